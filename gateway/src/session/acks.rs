//! The acknowledgements that a client is owed, in the order of its messages: none leaves before its message is safe.

use std::collections::VecDeque;

use telemetry_core::id::Offset;

use crate::mqtt::AckReason;

/// One acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owed {
    pub(crate) pkid: u16,
    pub(crate) reason: AckReason,
    /// The message's offset in the spool; `None` when it does not go there, and so needs no sync.
    pub(crate) offset: Option<Offset>,
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

    /// Takes the next acknowledgement that may leave when everything below `synced` is on stable storage (INV-1).
    pub(crate) fn pop(&mut self, synced: Offset) -> Option<Owed> {
        self.owed.pop_front_if(|owed| owed.offset.is_none_or(|offset| offset < synced))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owed(pkid: u16, offset: Option<Offset>) -> Owed {
        Owed { pkid, reason: AckReason::Success, offset }
    }

    #[test]
    fn inv1_no_acknowledgement_leaves_before_its_message_is_synced() {
        let mut acks = Acks::default();
        acks.push(owed(1, Some(10)));
        acks.push(owed(2, None));
        acks.push(owed(3, Some(11)));
        assert_eq!(acks.pop(10), None, "offset 10 is not below 10");
        assert_eq!(acks.pop(11).map(|ack| ack.pkid), Some(1));
        assert_eq!(acks.pop(11).map(|ack| ack.pkid), Some(2), "order is kept");
        assert_eq!(acks.pop(11), None);
        assert_eq!(acks.pop(12).map(|ack| ack.pkid), Some(3));
        assert!(acks.is_empty());
    }
}
