//! Packet ids of the messages that a subscriber has not acknowledged yet.

use std::collections::HashSet;

/// The window of unacknowledged QoS 1 messages towards a client.
#[derive(Debug)]
pub(crate) struct Outbox {
    in_flight: HashSet<u16>,
    in_flight_max: usize,
    last: u16,
}

impl Outbox {
    pub(crate) fn new(in_flight_max: u16) -> Self {
        Self { in_flight: HashSet::new(), in_flight_max: in_flight_max.into(), last: 0 }
    }

    /// Tells whether another QoS 1 message may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.in_flight.len() < self.in_flight_max
    }

    /// Takes a free packet id. Ask [`Self::has_room`] first.
    pub(crate) fn take(&mut self) -> u16 {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if self.in_flight.insert(self.last) {
                return self.last;
            }
        }
    }

    /// The client acknowledged a packet id; `false` when it was not in flight.
    pub(crate) fn acknowledged(&mut self, pkid: u16) -> bool {
        self.in_flight.remove(&pkid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_wrap_around_those_in_flight_and_are_never_zero() {
        let mut outbox = Outbox::new(3);
        outbox.last = u16::MAX - 1;
        assert_eq!([outbox.take(), outbox.take(), outbox.take()], [u16::MAX, 1, 2]);
        assert!(!outbox.has_room());
        assert!(outbox.acknowledged(1) && !outbox.acknowledged(1));
        outbox.last = u16::MAX - 1;
        assert_eq!(outbox.take(), 1, "65535 is still in flight");
    }
}
