//! Notices that a connection is cut again and again over the same packet, which nobody says in MQTT 3.1.1.

use crate::Trouble;

/// So many cuts in a row, with nothing acknowledged between them, are not the network's doing.
const SUSPICIOUS: u32 = 3;

/// What was sent and not acknowledged when the connection was lost.
#[derive(Debug, Clone, Default)]
pub struct Cuts {
    in_flight: bool,
    times: u32,
}

impl Cuts {
    /// A packet was sent that is to be acknowledged.
    pub fn sent(&mut self) {
        self.in_flight = true;
    }

    /// One was acknowledged.
    pub fn acknowledged(&mut self) {
        *self = Self::default();
    }

    /// The connection is lost; `bytes` is the size of the packet that was being sent. Says so when that has happened before.
    pub fn lost(&mut self, bytes: usize) -> Option<Trouble> {
        if std::mem::take(&mut self.in_flight) {
            self.times += 1;
        }
        (self.times >= SUSPICIOUS).then_some(Trouble::Cut { bytes, times: self.times })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv13_only_cuts_in_a_row_over_what_is_not_acknowledged_are_told() {
        let mut cuts = Cuts::default();
        for _ in 0..5 {
            assert_eq!(cuts.lost(7), None, "nothing was being sent");
        }
        for _ in 0..2 {
            cuts.sent();
            assert_eq!(cuts.lost(7), None);
        }
        cuts.acknowledged();
        for times in 1..=4 {
            cuts.sent();
            let told = (times >= 3).then_some(Trouble::Cut { bytes: 7, times });
            assert_eq!(cuts.lost(7), told);
        }
    }
}
