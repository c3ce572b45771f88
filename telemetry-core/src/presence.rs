//! A source's birth and will: whether it is connected, retained on `{prefix}/status/{source_id}`.
//!
//! A small JSON object: `{"v":1,"state":"online","epoch":"16 hex digits","version":"0.1.0"}` when the source has connected, the same
//! with `"offline"` as its will; `version` is its software's, and older ones do not say it. It tells people and dashboards; nothing in
//! the pipeline depends on it.

use serde::{Deserialize, Serialize};

use crate::id::Epoch;

/// The version this module writes.
pub const VERSION: u8 = 1;
/// Bytes of a software's version, at most.
pub const SOFTWARE_MAX: usize = 32;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    /// Format version.
    pub v: u8,
    /// Whether it is connected.
    pub state: State,
    /// The life of its spool.
    pub epoch: Epoch,
    /// The version of its software, where it says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

impl Presence {
    /// Says that a source is in a state, and the version of its software.
    pub fn new(state: State, epoch: Epoch, version: &str) -> Self {
        Self { v: VERSION, state, epoch, version: Some(version.to_owned()) }
    }

    /// Decodes it; `None` if it is something else.
    pub fn from_json(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The version of its software, if it says one that is fit to be shown: who may publish here may write anything.
    pub fn version(&self) -> Option<&str> {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-+_".contains(c);
        let fit = |text: &&str| (1..=SOFTWARE_MAX).contains(&text.len()) && text.chars().all(plain);
        self.version.as_deref().filter(fit)
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
        let presence = Presence::new(State::Online, Epoch::from_random(255), "0.1.0");
        let golden = r#"{"v":1,"state":"online","epoch":"00000000000000ff","version":"0.1.0"}"#;
        assert_eq!(String::from_utf8(presence.to_json()).unwrap(), golden);
        assert_eq!(Presence::from_json(golden.as_bytes()).unwrap(), presence);
        // As it was before there were versions in it.
        let old = Presence::from_json(br#"{"v":1,"state":"offline","epoch":"00000000000000ff"}"#)
            .unwrap();
        assert_eq!((old.state, old.version()), (State::Offline, None));
    }

    #[test]
    fn a_version_is_shown_only_if_it_looks_like_one() {
        let said = |version: &str| Presence::new(State::Online, Epoch::from_random(1), version);
        assert_eq!(said("1.2.3-rc.1+5").version(), Some("1.2.3-rc.1+5"));
        for unfit in ["", "\u{1b}[31m", "1 <b>", &"1".repeat(SOFTWARE_MAX + 1)] {
            assert_eq!(said(unfit).version(), None, "{unfit:?}");
        }
    }
}
