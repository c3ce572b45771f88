//! What a connection has sent and not heard back about: a pure window, no I/O.
//!
//! A message keeps its packet id until it is answered, over any number of connections, and is sent again with DUP.

use std::collections::VecDeque;
use std::time::Duration;

use crate::message::Message;

/// A message under way.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) pkid: u16,
    pub(crate) message: Message,
    /// When the latency counts from.
    pub(crate) since: Duration,
    /// The gateway asked to try again, not before this.
    retry_at: Option<Duration>,
}

/// The window of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    window: usize,
    last_pkid: u16,
    /// In the order of sending; at most `window` long.
    inflight: VecDeque<Sent>,
}

impl Session {
    /// At most `window` messages under way (at least one).
    pub(crate) fn new(window: usize) -> Self {
        Self { window: window.max(1), last_pkid: 0, inflight: VecDeque::new() }
    }

    /// How many more messages may be sent now; `receive_max` is the gateway's limit.
    pub(crate) fn room(&self, receive_max: u16) -> usize {
        self.window.min(usize::from(receive_max)).saturating_sub(self.inflight.len())
    }

    pub(crate) fn len(&self) -> usize {
        self.inflight.len()
    }

    /// Takes a message in and returns its packet id.
    pub(crate) fn admit(&mut self, message: Message, since: Duration) -> u16 {
        let pkid = self.free_pkid();
        self.last_pkid = pkid;
        self.inflight.push_back(Sent { pkid, message, since, retry_at: None });
        pkid
    }

    /// The message is answered for good; `None` for a packet id that is not under way.
    pub(crate) fn settle(&mut self, pkid: u16) -> Option<Sent> {
        // Answers come in order, as a rule.
        let at = self.inflight.iter().position(|sent| sent.pkid == pkid)?;
        self.inflight.remove(at)
    }

    /// The message was turned away for now.
    pub(crate) fn defer(&mut self, pkid: u16, until: Duration) -> Option<&Sent> {
        let sent = self.inflight.iter_mut().find(|sent| sent.pkid == pkid)?;
        sent.retry_at = Some(until);
        Some(sent)
    }

    /// The earliest time at which a deferred message may be sent again.
    pub(crate) fn next_retry(&self) -> Option<Duration> {
        self.inflight.iter().filter_map(|sent| sent.retry_at).min()
    }

    /// Deferred messages whose time has come; they count as sent again.
    pub(crate) fn retries(&mut self, now: Duration) -> impl Iterator<Item = &Sent> {
        self.inflight.iter_mut().filter_map(move |sent| {
            let due = sent.retry_at.is_some_and(|at| at <= now);
            due.then(|| {
                sent.retry_at = None;
                &*sent
            })
        })
    }

    /// The oldest message under way, to be sent again.
    pub(crate) fn oldest(&mut self) -> Option<&Sent> {
        let sent = self.inflight.front_mut()?;
        sent.retry_at = None;
        Some(sent)
    }

    /// Everything unanswered, in order, to be sent again over a new connection.
    pub(crate) fn resend(&mut self) -> impl Iterator<Item = &Sent> {
        self.inflight.iter_mut().map(|sent| {
            sent.retry_at = None;
            &*sent
        })
    }

    fn free_pkid(&self) -> u16 {
        let mut pkid = self.last_pkid;
        loop {
            pkid = if pkid == u16::MAX { 1 } else { pkid + 1 };
            // The window is far smaller than 65535, so this ends.
            if !self.inflight.iter().any(|sent| sent.pkid == pkid) {
                return pkid;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::message::Run;
    use crate::world::World;

    fn message() -> Message {
        World::ward(&Config::default(), Run::of_boot(1), 0).next().unwrap().message
    }

    fn ids<'a>(sent: impl Iterator<Item = &'a Sent>) -> Vec<u16> {
        sent.map(|s| s.pkid).collect()
    }

    #[test]
    fn the_window_is_the_smaller_of_ours_and_the_gateways() {
        let mut session = Session::new(3);
        assert_eq!((session.room(u16::MAX), session.room(2)), (3, 2));
        session.admit(message(), Duration::ZERO);
        assert_eq!((session.room(u16::MAX), session.room(1)), (2, 0));
        assert_eq!(Session::new(0).room(10), 1);
    }

    #[test]
    fn unanswered_messages_keep_their_packet_ids_in_order() {
        let mut session = Session::new(8);
        for _ in 0..4 {
            session.admit(message(), Duration::ZERO);
        }
        assert_eq!(session.settle(2).map(|s| s.pkid), Some(2));
        assert!(session.settle(2).is_none() && session.settle(9).is_none());
        assert_eq!(ids(session.resend()), [1, 3, 4]);
        assert_eq!(session.admit(message(), Duration::ZERO), 5);
    }

    #[test]
    fn packet_ids_wrap_and_skip_those_in_use() {
        let (mut session, message) = (Session::new(4), message());
        let stuck = session.admit(message.clone(), Duration::ZERO);
        for _ in 0..65_534 {
            let pkid = session.admit(message.clone(), Duration::ZERO);
            assert!(pkid != 0 && pkid != stuck);
            session.settle(pkid);
        }
        assert_eq!(session.admit(message.clone(), Duration::ZERO), 2);
    }

    #[test]
    fn a_deferred_message_waits_for_its_time() {
        let mut session = Session::new(4);
        session.admit(message(), Duration::ZERO);
        session.admit(message(), Duration::ZERO);
        assert!(session.defer(2, Duration::from_secs(3)).is_some());
        assert_eq!(session.next_retry(), Some(Duration::from_secs(3)));
        assert!(ids(session.retries(Duration::from_secs(2))).is_empty());
        assert_eq!(ids(session.retries(Duration::from_secs(3))), [2]);
        assert_eq!((session.next_retry(), session.len()), (None, 2));
    }
}
