//! QoS 2 messages of a client that it has not released: the same packet id again is the same message. Pure.

use std::collections::HashMap;

use store_forward::Place;

/// Packet ids in use by the client.
#[derive(Debug, Default)]
pub(crate) struct Received {
    ids: HashMap<u16, Option<Place>>,
}

impl Received {
    /// Tells whether a packet id is in use: a message with it is a repeat.
    pub(crate) fn contains(&self, pkid: u16) -> bool {
        self.ids.contains_key(&pkid)
    }

    /// Takes a packet id into use.
    pub(crate) fn begin(&mut self, pkid: u16) {
        self.ids.entry(pkid).or_default();
    }

    /// Notes where the message stands: a repeat is acknowledged when that is safe.
    pub(crate) fn placed(&mut self, pkid: u16, place: Option<Place>) {
        self.ids.insert(pkid, place);
    }

    /// Returns where the message of a packet id stands.
    pub(crate) fn place(&self, pkid: u16) -> Option<Place> {
        self.ids.get(&pkid).copied().flatten()
    }

    /// The client releases a packet id, or its message was refused; `false` when it was not in use.
    pub(crate) fn end(&mut self, pkid: u16) -> bool {
        self.ids.remove(&pkid).is_some()
    }

    /// Returns how many packet ids are in use.
    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_id_is_one_message_until_it_is_released() {
        let mut received = Received::default();
        received.begin(7);
        received.begin(7);
        assert!(received.contains(7) && received.len() == 1);
        assert!(received.end(7) && !received.end(7) && !received.contains(7));
    }
}
