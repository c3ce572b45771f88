//! A source's birth and will: whether it is connected, retained on `{prefix}/status/{source_id}`.
//!
//! A small JSON object: `{"v":1,"state":"online","epoch":"16 hex digits"}` when the source has connected, the same with
//! `"offline"` as its will. It tells people and dashboards; nothing in the pipeline depends on it.

use serde::{Deserialize, Serialize};

use crate::id::Epoch;

/// The version this module writes.
pub const VERSION: u8 = 1;

/// Whether a source is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It has connected.
    Online,
    /// Its connection is gone.
    Offline,
}

/// What stands on a source's status topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Format version.
    pub v: u8,
    /// Whether it is connected.
    pub state: State,
    /// The life of its spool.
    pub epoch: Epoch,
}

impl Presence {
    /// Says that a source is in a state.
    pub fn new(state: State, epoch: Epoch) -> Self {
        Self { v: VERSION, state, epoch }
    }

    /// Encodes it as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data without map keys or floats")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_version_1() {
        let presence = Presence::new(State::Online, Epoch::from_random(255));
        let golden = r#"{"v":1,"state":"online","epoch":"00000000000000ff"}"#;
        assert_eq!(String::from_utf8(presence.to_json()).unwrap(), golden);
        assert_eq!(serde_json::from_str::<Presence>(golden).unwrap(), presence);
    }
}
