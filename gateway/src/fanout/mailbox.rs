//! What waits for one session: messages for its subscriptions, in order, within limits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::letter::Letter;
use crate::shares::{Share, Shares};
use crate::store::{Op, Store};

/// Bytes of control messages that wait for one session: what ingest may lag behind its sources before they send again.
const PASSING_BYTES_MAX: usize = 32 << 20;

/// Bytes of each session that have room although all mailboxes, or those of the identity, are full: a command for a client that is
/// away does not depend on what others leave lying.
const GUARANTEED_BYTES: usize = 4 << 10;

/// Limits of one mailbox, and what all mailboxes share.
#[derive(Debug, Clone)]
pub(crate) struct MailboxLimits {
    messages_max: usize,
    bytes_max: usize,
    /// Whose mailbox it is.
    identity: Arc<str>,
    all: Shares,
}

impl MailboxLimits {
    /// Limits without one on all mailboxes together.
    #[cfg(test)]
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self::sharing(messages_max, bytes_max, Shares::unlimited())
    }

    /// Limits of each mailbox, and the bytes that all mailboxes share.
    pub(crate) fn sharing(messages_max: usize, bytes_max: usize, all: Shares) -> Self {
        Self { messages_max, bytes_max, identity: "".into(), all }
    }

    /// Returns the bytes that wait in all mailboxes.
    pub(crate) fn taken(&self) -> usize {
        self.all.taken()
    }

    /// The limits of an identity's mailboxes.
    pub(crate) fn of(self, identity: &str) -> Self {
        Self { identity: identity.into(), ..self }
    }
}

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It waits.
    Taken,
    /// The client is away and QoS 0 does not wait for it.
    Away,
    /// The limit is reached: it is dropped, and the ones before it stay.
    Full,
}

/// A session's mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) client_id: Arc<str>,
    inner: Mutex<Inner>,
    news: Notify,
    limits: MailboxLimits,
    store: Option<Store>,
}

#[derive(Debug)]
struct Inner {
    letters: VecDeque<Letter>,
    bytes: Share,
    /// Control messages: only for who is there, and never on disk.
    passing: VecDeque<Letter>,
    passing_bytes: Share,
    connected: bool,
    /// The session outlives its connection, and so do its letters.
    durable: bool,
    next: u64,
}

impl Inner {
    fn drop_passing(&mut self) {
        self.passing = VecDeque::new();
        self.passing_bytes.remove(self.passing_bytes.own());
    }

    fn has_room(&self, size: usize, limits: &MailboxLimits) -> bool {
        let own = self.bytes.own() + size;
        self.letters.len() < limits.messages_max
            && own <= limits.bytes_max
            && (self.bytes.of_holder() + size <= GUARANTEED_BYTES
                || self.bytes.allows(size).is_ok())
    }
}

impl Mailbox {
    pub(crate) fn new(client_id: Arc<str>, limits: MailboxLimits, store: Option<Store>) -> Self {
        let bytes = limits.all.of(&limits.identity).in_steps();
        let inner = Inner {
            letters: VecDeque::new(),
            passing: VecDeque::new(),
            passing_bytes: bytes.another(),
            bytes,
            connected: false,
            durable: false,
            next: 0,
        };
        Self { client_id, inner: Mutex::new(inner), news: Notify::new(), limits, store }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to count what its session has beside what waits here.
    pub(crate) fn share(&self) -> Share {
        self.inner().bytes.another()
    }

    /// Whether somebody is there, and whether letters are written to disk from now on.
    pub(crate) fn set_present(&self, connected: bool, durable: bool) {
        let mut inner = self.inner();
        (inner.connected, inner.durable) = (connected, durable);
        if !connected {
            inner.drop_passing();
            let before = std::mem::take(&mut inner.letters);
            for letter in before {
                if letter.qos > 0 {
                    inner.letters.push_back(letter);
                } else {
                    inner.bytes.remove(letter.message.size());
                }
            }
        }
    }

    /// Puts back what the disk had, in order.
    pub(crate) fn restore(&self, letters: impl IntoIterator<Item = Letter>, next: u64) {
        let mut inner = self.inner();
        for letter in letters {
            inner.bytes.add(letter.message.size());
            inner.letters.push_back(letter);
        }
        (inner.durable, inner.next) = (true, next);
    }

    /// Tells whether a shared subscription may choose this session.
    pub(crate) fn would_take(&self, qos: u8) -> bool {
        let inner = self.inner();
        inner.letters.len() < self.limits.messages_max
            && (inner.connected || (inner.durable && qos > 0))
    }

    /// Tells whether the client is connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.inner().connected
    }

    /// Adds a letter at the end.
    pub(crate) fn put(&self, mut letter: Letter) -> Put {
        let (qos, size) = (letter.qos, letter.message.size());
        let mut inner = self.inner();
        if !inner.connected && (qos == 0 || !inner.durable) {
            return Put::Away;
        }
        if !inner.has_room(size, &self.limits) {
            return Put::Full;
        }
        if let (true, Some(store)) = (inner.durable && qos > 0, &self.store) {
            letter.stored = Some(inner.next);
            let client_id = self.client_id.clone();
            // Under the lock: on disk the letters have the order that they have here.
            store.push(Op::Queue { client_id, number: inner.next, letter: letter.clone() });
            inner.next += 1;
        }
        inner.bytes.add(size);
        inner.letters.push_back(letter);
        drop(inner);
        self.news.notify_one();
        Put::Taken
    }

    /// Adds a control message at the end, if the client is there. The oldest ones make room for it: their senders say it again.
    /// Tells whether it waits now, and how many were dropped.
    pub(crate) fn pass(&self, letter: Letter) -> (bool, u64) {
        let size = letter.message.size();
        let mut inner = self.inner();
        if !inner.connected {
            return (false, 0);
        }
        let mut dropped = 0;
        while inner.passing_bytes.own() + size > PASSING_BYTES_MAX
            || inner.passing_bytes.allows(size).is_err()
        {
            dropped += 1;
            let Some(oldest) = inner.passing.pop_front() else { return (false, dropped) };
            inner.passing_bytes.remove(oldest.message.size());
        }
        inner.passing_bytes.add(size);
        inner.passing.push_back(letter);
        drop(inner);
        self.news.notify_one();
        (true, dropped)
    }

    /// Takes the first letter if `wanted` agrees; control messages come before the others.
    pub(crate) fn take_if(&self, wanted: impl FnOnce(&Letter) -> bool) -> Option<Letter> {
        let mut inner = self.inner();
        if !inner.passing.is_empty() {
            let letter = inner.passing.pop_front_if(|letter| wanted(letter))?;
            inner.passing_bytes.remove(letter.message.size());
            return Some(letter);
        }
        let letter = inner.letters.pop_front_if(|letter| wanted(letter))?;
        inner.bytes.remove(letter.message.size());
        Some(letter)
    }

    /// Takes out letters that are not to be delivered.
    pub(crate) fn remove(&self, mut unwanted: impl FnMut(&Letter) -> bool) -> Vec<Letter> {
        let mut inner = self.inner();
        let Inner { letters, bytes, passing, passing_bytes, .. } = &mut *inner;
        let mut gone = Vec::new();
        for (queue, bytes) in [(letters, bytes), (passing, passing_bytes)] {
            let mut stay = VecDeque::with_capacity(queue.len());
            for letter in std::mem::take(queue) {
                if unwanted(&letter) {
                    bytes.remove(letter.message.size());
                    gone.push(letter);
                } else {
                    stay.push_back(letter);
                }
            }
            *queue = stay;
        }
        gone
    }

    /// Takes everything, for a session that ends.
    pub(crate) fn empty(&self) -> Vec<Letter> {
        let mut inner = self.inner();
        let bytes = inner.bytes.own();
        inner.bytes.remove(bytes);
        inner.drop_passing();
        (inner.connected, inner.durable) = (false, false);
        std::mem::take(&mut inner.letters).into()
    }

    /// Returns how many letters wait, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.letters.len(), inner.bytes.own())
    }

    /// Tells whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        let inner = self.inner();
        inner.letters.is_empty() && inner.passing.is_empty()
    }

    /// Waits until a letter came since the last call.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn letter(qos: u8, payload: &'static str) -> Letter {
        let message = Arc::new(Message::own("a/b".into(), payload, qos, false));
        Letter { message, qos, retain: false, ids: Vec::new(), shared: None, stored: None }
    }

    fn mailbox(messages_max: usize, bytes_max: usize) -> Mailbox {
        Mailbox::new("mon-1".into(), MailboxLimits::new(messages_max, bytes_max), None)
    }

    #[test]
    fn inv8_a_mailbox_takes_no_more_than_its_limits() {
        let mailbox_of_two = mailbox(2, 1 << 20);
        mailbox_of_two.set_present(true, false);
        let put: Vec<Put> = (0..3).map(|_| mailbox_of_two.put(letter(1, "x"))).collect();
        assert_eq!(put, [Put::Taken, Put::Taken, Put::Full]);
        assert!(mailbox_of_two.take_if(|_| true).is_some());
        assert_eq!(mailbox_of_two.put(letter(1, "x")), Put::Taken);
        let size = letter(1, "x").message.size();
        let narrow = mailbox(100, size);
        narrow.set_present(true, false);
        assert_eq!(
            [narrow.put(letter(1, "x")), narrow.put(letter(1, ""))],
            [Put::Taken, Put::Full]
        );
    }

    #[test]
    fn inv8_all_mailboxes_together_have_a_limit_as_well() {
        let size = letter(1, "x").message.size();
        let limits = |identity: &str, all: &Shares| {
            MailboxLimits::sharing(100, 1 << 20, all.clone()).of(identity)
        };
        let mailbox = |identity, all| {
            let mailbox = Mailbox::new("x".into(), limits(identity, all), None);
            mailbox.set_present(false, true);
            mailbox
        };
        // Room for so many beyond what each has for itself.
        let guaranteed = GUARANTEED_BYTES / size;
        let fill = |mailbox: &Mailbox| {
            std::iter::from_fn(|| {
                Some(mailbox.put(letter(1, "x"))).filter(|put| *put == Put::Taken)
            })
            .take(100)
            .count()
        };
        let all = Shares::new(40 * size, 100);
        let (one, two) = (mailbox("one", &all), mailbox("two", &all));
        assert_eq!(
            (fill(&one), fill(&two)),
            (40, guaranteed),
            "what is guaranteed is not crowded out"
        );
        drop(one);
        assert_eq!(fill(&two), 40 - guaranteed);
        // An identity's other mailboxes count for it.
        let all = Shares::new(80 * size, 50);
        let (one, more, two) = (mailbox("one", &all), mailbox("one", &all), mailbox("two", &all));
        assert_eq!((fill(&one), fill(&more), fill(&two)), (40, guaranteed, guaranteed));
    }

    #[test]
    fn inv8_the_oldest_control_messages_make_room_and_none_waits_for_who_is_away() {
        let frame = |n: u8| {
            let message = Arc::new(Message::own("tm/v1/up/3/a".into(), vec![n; 8 << 20], 1, false));
            Letter { message, ..letter(1, "") }
        };
        let mailbox = mailbox(1, 1 << 20);
        assert_eq!(mailbox.pass(frame(0)), (false, 0), "nobody is there");
        mailbox.set_present(true, true);
        let dropped: u64 = (1..=5).map(|n| mailbox.pass(frame(n)).1).sum();
        mailbox.put(letter(1, "a command"));
        let first =
            |mailbox: &Mailbox| mailbox.take_if(|_| true).map(|letter| letter.message.payload[0]);
        assert_eq!((dropped, first(&mailbox), first(&mailbox)), (2, Some(3), Some(4)));
        mailbox.set_present(false, true);
        assert_eq!((first(&mailbox), first(&mailbox)), (Some(b'a'), None));
        let too_large =
            Message::own("tm/v1/up/3/a".into(), vec![0; PASSING_BYTES_MAX + 1], 1, false);
        mailbox.set_present(true, true);
        let too_large = Letter { message: Arc::new(too_large), ..letter(1, "") };
        assert_eq!(mailbox.pass(too_large), (false, 1));
    }

    #[test]
    fn only_what_must_not_be_lost_waits_for_who_is_away() {
        let mailbox = mailbox(10, 1 << 20);
        mailbox.set_present(true, true);
        mailbox.put(letter(0, "while here"));
        mailbox.put(letter(1, "kept"));
        mailbox.set_present(false, true);
        assert_eq!(mailbox.put(letter(0, "while away")), Put::Away);
        assert_eq!(mailbox.put(letter(2, "kept as well")), Put::Taken);
        let kept: Vec<_> =
            mailbox.empty().iter().map(|letter| letter.message.payload.clone()).collect();
        assert_eq!(kept, ["kept", "kept as well"]);
        mailbox.set_present(false, false);
        assert_eq!(mailbox.put(letter(1, "nobody will come")), Put::Away);
    }
}
