//! The acknowledgements that a client is owed, in the order of its messages: none leaves before its message is safe.

use std::collections::VecDeque;

use store_forward::{Place, Progress};

use crate::mqtt::Ack;

/// One acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owed {
    pub(crate) pkid: u16,
    pub(crate) reason: Ack,
    /// Where the message stands in the spool; `None` when it does not go there, and so needs no sync.
    pub(crate) place: Option<Place>,
}

/// Acknowledgements in the order in which MQTT wants them sent (3.1.1 section 4.6, 5 section 4.6).
#[derive(Debug, Default)]
pub(crate) struct Acks {
    owed: VecDeque<Owed>,
}

impl Acks {
    pub(crate) fn push(&mut self, owed: Owed) {
        self.owed.push_back(owed);
    }

    pub(crate) fn len(&self) -> usize {
        self.owed.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Takes the next acknowledgement that may leave with what is on stable storage (INV-1).
    pub(crate) fn pop(&mut self, progress: &Progress) -> Option<Owed> {
        self.owed.pop_front_if(|owed| owed.place.is_none_or(|place| progress.covers(place)))
    }
}

#[cfg(test)]
mod tests {
    use telemetry_core::id::Epoch;

    use super::*;

    fn owed(pkid: u16, place: Option<(u32, u64)>) -> Owed {
        let epoch = Epoch::from_random(7);
        let place = place.map(|(generation, offset)| Place { epoch, generation, offset });
        Owed { pkid, reason: Ack::Success, place }
    }

    fn synced(generation: u32, synced: u64) -> Progress {
        // Far more is accepted: that says nothing.
        Progress { generation, synced, appended: 1 << 40, ..Progress::default() }
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
