//! Messages on their way to a client that it has not acknowledged: packet ids, the window, what to send again. Pure.

use std::collections::VecDeque;

use crate::letter::Letter;
use crate::shares::Share;
use crate::store::Flight;

/// The QoS 1 and QoS 2 messages that a client has not fully acknowledged.
#[derive(Debug)]
pub(crate) struct Outgoing {
    /// In the order of sending, which is the order of sending again (MQTT 3.1.1 and 5, section 4.6).
    in_flight: VecDeque<InFlight>,
    in_flight_max: usize,
    last: u16,
    /// The bytes of what is under way, if they are counted: one share for all, which many connections then touch less often.
    bytes: Option<Share>,
}

/// Most messages in flight: packet ids are shared by two kinds.
const IN_FLIGHT_MAX: u16 = 16 << 10;
/// Packet ids of letters that stand on disk.
const STORED_IDS: u64 = 0x7fff;

#[derive(Debug)]
struct InFlight {
    pkid: u16,
    letter: Letter,
    released: bool,
}

/// What to send after a PUBREC.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AfterReceived {
    /// A PUBREL; the letter's number on disk, if it has one.
    Release(Option<u64>),
    /// Nothing: the client refused the message.
    Refused(Letter),
    /// A PUBREL that says that the packet id is not in use.
    Unknown,
}

/// What a client acknowledges with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AckKind {
    /// PUBACK: QoS 1 is done.
    Done,
    /// PUBREC: QoS 2 has come.
    Received,
    /// PUBCOMP: QoS 2 is done.
    Complete,
}

/// What to send again on a new connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Again<'a> {
    Publish(&'a Letter),
    Release,
}

impl Outgoing {
    pub(crate) fn new(in_flight_max: u16) -> Self {
        let in_flight_max = in_flight_max.min(IN_FLIGHT_MAX).into();
        Self { in_flight: VecDeque::new(), in_flight_max, last: 0, bytes: None }
    }

    /// Counts the bytes of what is under way: it takes memory until it is acknowledged.
    pub(crate) fn counted(self, bytes: Share) -> Self {
        Self { bytes: Some(bytes), ..self }
    }

    fn begin(&mut self, pkid: u16, letter: Letter, released: bool) {
        if let Some(bytes) = &mut self.bytes {
            bytes.add(letter.message.size());
        }
        self.in_flight.push_back(InFlight { pkid, letter, released });
    }

    /// Takes one out.
    fn end(&mut self, at: usize) -> Option<Letter> {
        let InFlight { letter, .. } = self.in_flight.remove(at)?;
        self.give_back(&letter);
        Some(letter)
    }

    fn give_back(&mut self, letter: &Letter) {
        if let Some(bytes) = &mut self.bytes {
            bytes.remove(letter.message.size());
        }
    }

    /// Puts back what was under way when the process ended.
    pub(crate) fn restore(&mut self, letter: Letter, flight: Flight) {
        let Flight { pkid, released } = flight;
        self.begin(pkid, letter, released);
    }

    /// Tells whether another message may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight.len() < self.in_flight_max
    }

    /// Tells whether a letter, by its number on disk, may be sent: there is room, and nothing under way has its packet id.
    pub(crate) fn may_send(&self, stored: Option<u64>) -> bool {
        // Numbers are sent in order: the first is the oldest, and the ids of all that follow are as far apart.
        let oldest = || self.in_flight.iter().find_map(|flight| flight.letter.stored);
        self.has_room()
            && stored.is_none_or(|number| oldest().is_none_or(|first| number - first < STORED_IDS))
    }

    /// Takes a message under way and gives it a packet id. Ask [`Self::may_send`] first.
    ///
    /// A letter that stands on disk gets an odd id that follows from its number: a restart sends it with the same one, although
    /// nothing was written when it left. The others get even ids.
    pub(crate) fn send(&mut self, letter: Letter) -> u16 {
        let pkid = match letter.stored {
            Some(number) => (number % STORED_IDS) as u16 * 2 + 1,
            None => loop {
                self.last = self.last.checked_add(2).unwrap_or(2);
                if self.at(self.last).is_none() {
                    break self.last;
                }
            },
        };
        self.begin(pkid, letter, false);
        pkid
    }

    fn at(&self, pkid: u16) -> Option<usize> {
        // Mostly the first: clients acknowledge in order.
        self.in_flight.iter().position(|flight| flight.pkid == pkid)
    }

    /// Tells whether an acknowledgement is of a kind that does not fit what is under way with its packet id: who sends it has lost
    /// count, and says so by a protocol error (MQTT 3.1.1 and 5, section 4.3). Nothing contradicts an id that is not in use.
    pub(crate) fn contradicts(&self, pkid: u16, kind: AckKind) -> bool {
        self.at(pkid).and_then(|at| self.in_flight.get(at)).is_some_and(|flight| match kind {
            AckKind::Done => flight.letter.qos != 1,
            AckKind::Received => flight.letter.qos != 2,
            AckKind::Complete => !flight.released,
        })
    }

    /// Takes a PUBACK; returns the message that is done.
    pub(crate) fn acknowledged(&mut self, pkid: u16) -> Option<Letter> {
        let at = self.at(pkid).filter(|at| self.in_flight[*at].letter.qos == 1)?;
        self.end(at)
    }

    /// Takes a PUBREC.
    pub(crate) fn received(&mut self, pkid: u16, refused: bool) -> AfterReceived {
        let at = self.at(pkid).filter(|at| self.in_flight[*at].letter.qos == 2);
        let Some(flight) = at.and_then(|at| self.in_flight.get_mut(at)) else {
            return AfterReceived::Unknown;
        };
        if !refused || flight.released {
            flight.released = true;
            return AfterReceived::Release(flight.letter.stored);
        }
        let refused = at.and_then(|at| self.end(at));
        refused.map_or(AfterReceived::Unknown, AfterReceived::Refused)
    }

    /// Takes a PUBCOMP; returns the message that is done.
    pub(crate) fn completed(&mut self, pkid: u16) -> Option<Letter> {
        let at = self.at(pkid).filter(|at| self.in_flight[*at].released)?;
        self.end(at)
    }

    /// Returns what a client that comes back is to get again, in order.
    pub(crate) fn again(&self) -> impl Iterator<Item = (u16, Again<'_>)> {
        self.in_flight.iter().map(|flight| {
            let released = flight.released.then_some(Again::Release);
            (flight.pkid, released.unwrap_or(Again::Publish(&flight.letter)))
        })
    }

    /// Returns what to send again for one packet id.
    pub(crate) fn find(&self, pkid: u16) -> Option<Again<'_>> {
        self.again().find_map(|(id, again)| (id == pkid).then_some(again))
    }

    /// A message could not be sent: it is not under way.
    pub(crate) fn forget(&mut self, pkid: u16) {
        if let Some(at) = self.at(pkid) {
            drop(self.end(at));
        }
    }

    /// Takes out messages that the client must not get again; what it has received (QoS 2) stays until it is released.
    pub(crate) fn remove(&mut self, mut unwanted: impl FnMut(u16, &Letter) -> bool) -> Vec<Letter> {
        let (gone, stay): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.in_flight)
            .into_iter()
            .partition(|flight| !flight.released && unwanted(flight.pkid, &flight.letter));
        self.in_flight = stay;
        let gone: Vec<Letter> = gone.into_iter().map(|flight| flight.letter).collect();
        gone.iter().for_each(|letter| self.give_back(letter));
        gone
    }

    /// Takes out everything, for a session that ends.
    pub(crate) fn empty(&mut self) -> impl Iterator<Item = Letter> {
        if let Some(bytes) = &mut self.bytes {
            bytes.remove(bytes.own());
        }
        self.in_flight.drain(..).map(|flight| flight.letter)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::message::Message;
    use crate::shares::Shares;

    fn letter(qos: u8) -> Letter {
        let message = Arc::new(Message::own("a".into(), "x", 2, false));
        Letter { message, qos, retain: false, ids: Vec::new(), shared: None, stored: Some(5) }
    }

    /// Whatever ends it, its bytes are given back, once.
    #[test]
    fn inv8_what_is_under_way_is_counted_until_it_is_done() {
        let shares = Shares::new(1 << 20, 100);
        let mut outgoing = Outgoing::new(10).counted(shares.of("one"));
        let size = letter(1).message.size();
        let mut ids = Vec::new();
        for qos in [1, 2, 2, 1, 1, 1] {
            ids.push(outgoing.send(Letter { stored: None, ..letter(qos) }));
        }
        assert_eq!(shares.taken(), 6 * size);
        assert!(outgoing.acknowledged(ids[0]).is_some() && outgoing.acknowledged(ids[0]).is_none());
        outgoing.received(ids[1], false);
        assert_eq!(shares.taken(), 5 * size, "one that is released is under way");
        outgoing.completed(ids[1]);
        outgoing.received(ids[2], true);
        outgoing.forget(ids[3]);
        outgoing.forget(ids[3]);
        assert_eq!(shares.taken(), 2 * size);
        assert_eq!(outgoing.remove(|pkid, _| pkid == ids[4]).len(), 1);
        assert_eq!((outgoing.empty().count(), shares.taken()), (1, 0));
        outgoing.send(unstored());
        drop(outgoing);
        assert_eq!(shares.taken(), 0);
    }

    fn unstored() -> Letter {
        Letter { stored: None, ..letter(1) }
    }

    #[test]
    fn ids_wrap_around_those_in_flight_and_are_never_zero() {
        let mut outgoing = Outgoing::new(3);
        outgoing.last = u16::MAX - 3;
        let ids = [outgoing.send(unstored()), outgoing.send(unstored()), outgoing.send(unstored())];
        assert_eq!(ids, [u16::MAX - 1, 2, 4]);
        assert!(!outgoing.has_room());
        assert!(outgoing.acknowledged(2).is_some() && outgoing.acknowledged(2).is_none());
        outgoing.last = u16::MAX - 1;
        assert_eq!(
            [outgoing.send(unstored()), outgoing.send(unstored())],
            [2, 6],
            "4 is in flight"
        );
    }

    #[test]
    fn a_letter_on_disk_has_the_same_id_every_time() {
        let numbered = |number| Letter { stored: Some(number), ..letter(2) };
        let ids = |numbers: &[u64]| -> Vec<u16> {
            let mut outgoing = Outgoing::new(100);
            outgoing.send(unstored());
            numbers.iter().map(|number| outgoing.send(numbered(*number))).collect()
        };
        assert_eq!(ids(&[0, 1, 0x7ffe, 0x7fff + 5]), [1, 3, 0xfffd, 11]);
        assert_eq!(ids(&[1]), [3]);
    }

    #[test]
    fn a_letter_waits_for_the_one_that_has_its_packet_id() {
        let mut outgoing = Outgoing::new(3);
        outgoing.send(unstored());
        let first = outgoing.send(Letter { stored: Some(5), ..letter(1) });
        assert!(outgoing.may_send(Some(5 + 0x7ffe)) && !outgoing.may_send(Some(5 + 0x7fff)));
        assert!(outgoing.may_send(None));
        outgoing.acknowledged(first);
        assert!(outgoing.may_send(Some(5 + 0x7fff)));
    }

    #[test]
    fn a_qos_2_message_is_under_way_until_it_is_completed_and_is_never_sent_twice() {
        let mut outgoing = Outgoing::new(1);
        let pkid = outgoing.send(letter(2));
        assert_eq!(outgoing.acknowledged(pkid), None, "a PUBACK is not for QoS 2");
        assert_eq!(outgoing.completed(pkid), None, "nor a PUBCOMP before the PUBREC");
        assert_eq!(outgoing.again().collect::<Vec<_>>(), [(pkid, Again::Publish(&letter(2)))]);
        assert_eq!(outgoing.received(pkid, false), AfterReceived::Release(Some(5)));
        assert_eq!(
            outgoing.received(pkid, true),
            AfterReceived::Release(Some(5)),
            "too late to refuse"
        );
        assert_eq!(outgoing.again().collect::<Vec<_>>(), [(pkid, Again::Release)]);
        assert!(!outgoing.has_room() && outgoing.completed(pkid).is_some() && outgoing.has_room());
        assert_eq!(outgoing.received(pkid, false), AfterReceived::Unknown);
    }

    #[test]
    fn an_acknowledgement_fits_its_message_or_is_an_error() {
        let mut outgoing = Outgoing::new(3);
        let once = outgoing.send(unstored());
        let exactly = outgoing.send(letter(2));
        let fits = |outgoing: &Outgoing, pkid| {
            [AckKind::Done, AckKind::Received, AckKind::Complete]
                .map(|kind| !outgoing.contradicts(pkid, kind))
        };
        assert_eq!(fits(&outgoing, once), [true, false, false]);
        assert_eq!(fits(&outgoing, exactly), [false, true, false]);
        outgoing.received(exactly, false);
        assert_eq!(fits(&outgoing, exactly), [false, true, true]);
        assert_eq!(fits(&outgoing, 77), [true; 3], "a late one of a message that is done");
    }

    #[test]
    fn a_client_may_refuse_a_message() {
        let mut outgoing = Outgoing::new(1);
        let pkid = outgoing.send(letter(2));
        assert_eq!(outgoing.received(pkid, true), AfterReceived::Refused(letter(2)));
        assert!(outgoing.has_room());
    }
}
