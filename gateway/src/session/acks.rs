//! The acknowledgements that a client is owed, in the order of its messages: none leaves before its message is safe.

use std::collections::VecDeque;

use store_forward::{Place, Progress};

use crate::mqtt::Ack;

/// One acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owed {
    pub(crate) pkid: u16,
    /// 1: a PUBACK, 2: a PUBREC.
    pub(crate) qos: u8,
    pub(crate) ack: Ack,
    /// Where the message stands in the spool; `None` when it does not go there, and so needs no sync.
    pub(crate) place: Option<Place>,
    /// How many changes of sessions must be on disk: the copies for subscribers who are away among them.
    pub(crate) stored: u64,
}

/// What is on stable storage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Safe {
    pub(crate) spool: Progress,
    /// Changes of sessions, counted from the start.
    pub(crate) stored: u64,
}

/// Acknowledgements in the order in which MQTT wants them sent (3.1.1 and 5, section 4.6).
#[derive(Debug, Default)]
pub(crate) struct Acks {
    owed: VecDeque<Owed>,
    /// How many of them are PUBACKs.
    pubacks: usize,
}

impl Acks {
    pub(crate) fn push(&mut self, owed: Owed) {
        self.pubacks += usize::from(owed.qos == 1);
        self.owed.push_back(owed);
    }

    /// Returns how many PUBACKs are owed; a PUBREC is owed for a packet id that stays in use after it.
    pub(crate) fn pubacks(&self) -> usize {
        self.pubacks
    }

    /// Gives back the memory of those that have left.
    pub(crate) fn rest(&mut self) {
        if self.owed.is_empty() {
            self.owed = VecDeque::new();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.owed.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Takes the next acknowledgement that may leave with what is on stable storage (INV-1).
    pub(crate) fn pop(&mut self, safe: &Safe) -> Option<Owed> {
        let owed = self.owed.pop_front_if(|owed| {
            owed.stored <= safe.stored && owed.place.is_none_or(|place| safe.spool.covers(place))
        })?;
        self.pubacks -= usize::from(owed.qos == 1);
        Some(owed)
    }
}

#[cfg(test)]
mod tests {
    use telemetry_core::id::Epoch;

    use super::*;

    fn owed(pkid: u16, place: Option<(u32, u64)>) -> Owed {
        let epoch = Epoch::from_random(7);
        let place = place.map(|(generation, offset)| Place { epoch, generation, offset });
        Owed { pkid, qos: 1, ack: Ack::Success, place, stored: 0 }
    }

    fn synced(generation: u32, synced: u64) -> Safe {
        // Far more is accepted: that says nothing.
        let spool = Progress { generation, synced, appended: 1 << 40, ..Progress::default() };
        Safe { spool, stored: 3 }
    }

    #[test]
    fn an_acknowledgement_waits_for_the_copies_of_who_is_away() {
        let mut acks = Acks::default();
        acks.push(Owed { stored: 4, ..owed(1, None) });
        acks.push(owed(2, None));
        assert_eq!(acks.pop(&synced(0, 0)), None);
        let safe = Safe { stored: 4, ..synced(0, 0) };
        assert_eq!(acks.pop(&safe).map(|ack| ack.pkid), Some(1));
        assert_eq!(acks.pop(&safe).map(|ack| ack.pkid), Some(2));
    }

    #[test]
    fn inv1_no_acknowledgement_leaves_before_its_message_is_synced() {
        let mut acks = Acks::default();
        acks.push(owed(1, Some((0, 10))));
        acks.push(owed(2, None));
        acks.push(owed(3, Some((0, 11))));
        assert_eq!(acks.pop(&synced(0, 10)), None, "offset 10 is not below 10");
        assert_eq!(acks.pop(&synced(0, 11)).map(|ack| ack.pkid), Some(1));
        assert_eq!(acks.pop(&synced(0, 11)).map(|ack| ack.pkid), Some(2), "order is kept");
        assert_eq!(acks.pop(&synced(0, 11)), None);
        assert_eq!(acks.pop(&synced(0, 12)).map(|ack| ack.pkid), Some(3));
        assert!(acks.is_empty());
    }

    #[test]
    fn inv1_a_new_epoch_has_offsets_of_its_own() {
        let mut acks = Acks::default();
        acks.push(owed(1, Some((0, 1000))));
        acks.push(owed(2, Some((1, 5))));
        assert_eq!(acks.pop(&synced(0, 1000)), None);
        let one = acks.pop(&synced(1, 5)).map(|ack| ack.pkid);
        assert_eq!(one, Some(1), "the epoch before was synced to its end");
        assert_eq!(
            acks.pop(&synced(0, 2000)),
            None,
            "what was heard before the change says nothing"
        );
        assert_eq!(acks.pop(&synced(1, 5)), None);
        assert_eq!(acks.pop(&synced(1, 6)).map(|ack| ack.pkid), Some(2));
    }
}
