//! Which of the 64 lanes a source belongs to: the unit that ingest workers share out.

use crate::id::SourceId;
use crate::wire::mix64;

/// Number of lanes. Part of the topic layout and the ledger, so it never changes.
pub const LANES: u8 = 64;

/// Returns the lane of a source, 0 to 63: FNV-1a over its name, mixed, modulo [`LANES`].
pub fn lane_of(source: &SourceId) -> u8 {
    let fnv = source.as_str().bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let lane = mix64(fnv) % u64::from(LANES);
    u8::try_from(lane).expect("a remainder of 64 fits a byte")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(name: &str) -> u8 {
        lane_of(&name.parse().unwrap())
    }

    #[test]
    fn lanes_are_stable_for_ever() {
        assert_eq!([lane("gateway"), lane("agent-1"), lane("agent-2")], [25, 19, 44]);
    }

    #[test]
    fn a_thousand_sources_use_every_lane() {
        let mut used = [false; LANES as usize];
        for n in 0..1000 {
            used[usize::from(lane(&format!("agent-{n}")))] = true;
        }
        assert!(used.iter().all(|lane| *lane));
    }
}
