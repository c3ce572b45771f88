//! What is known of devices and alerts as of a landing, as bytes: kept before the landing is decided, so that a kill costs nothing.
//!
//! ```text
//! zstd( length of the head u32 LE | head, JSON | state of `watch` )
//! head: {"v":1,"number":…,"next":…,"lanes":{"lane": landings},"waiting":[notices that were not told yet]}
//! ```
//!
//! The lanes say which state of the ledger it belongs to: each landing moves at least one of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::notify::Waiting;

const VERSION: u8 = 1;
/// Bytes of a head at most.
const HEAD_MAX: usize = 64 << 20;
/// Bytes of all, unpacked, at most.
const BYTES_MAX: usize = 512 << 20;
/// One of zstd's fast levels: it is written with each landing, and replaced by the next.
const LEVEL: i32 = -3;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    v: u8,
    /// Counts a worker's states.
    pub(crate) number: u64,
    /// The next offset of ingest's own source: how many steps of alerts there were.
    pub(crate) next: u64,
    /// Lane → landings of it, with this one.
    pub(crate) lanes: BTreeMap<u8, i64>,
    /// What was not told yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) waiting: Vec<Waiting>,
    /// The state.
    #[serde(skip)]
    pub(crate) state: Vec<u8>,
}

/// It is none, or one that this program can't read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is damaged, or of a newer version")]
pub(crate) struct Unreadable;

impl Kept {
    pub(crate) fn new(number: u64, next: u64, state: Vec<u8>) -> Self {
        Self { v: VERSION, number, next, lanes: BTreeMap::new(), waiting: Vec::new(), state }
    }

    /// Its bytes.
    ///
    /// # Errors
    /// None that could be expected: it is plain data.
    pub(crate) fn encode(&self) -> std::io::Result<Vec<u8>> {
        let head = serde_json::to_vec(self)?;
        let length = u32::try_from(head.len()).map_err(std::io::Error::other)?;
        let mut bytes = Vec::with_capacity(4 + head.len() + self.state.len());
        bytes.extend(length.to_le_bytes());
        bytes.extend(head);
        bytes.extend(&self.state);
        zstd::bulk::compress(&bytes, LEVEL)
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let length = zstd::zstd_safe::get_frame_content_size(bytes).ok().flatten();
        let length = length.and_then(|length| usize::try_from(length).ok());
        let length = length.filter(|length| *length <= BYTES_MAX).ok_or(Unreadable)?;
        let bytes = zstd::bulk::decompress(bytes, length).map_err(|_| Unreadable)?;
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or(Unreadable)?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > HEAD_MAX {
            return Err(Unreadable);
        }
        let (head, state) = rest.split_at_checked(length).ok_or(Unreadable)?;
        let kept: Self = serde_json::from_slice(head).map_err(|_| Unreadable)?;
        if kept.v != VERSION {
            return Err(Unreadable);
        }
        Ok(Self { state: state.to_vec(), ..kept })
    }

    /// Whether the ledger is where it was after this one's landing.
    pub(crate) fn is_of(&self, lanes: &BTreeMap<u8, i64>) -> bool {
        self.lanes == *lanes
    }

    /// Whether the ledger has come to this one's landing, and went on.
    pub(crate) fn is_before(&self, lanes: &BTreeMap<u8, i64>) -> bool {
        self.lanes.iter().all(|(lane, own)| lanes.get(lane).is_some_and(|now| own <= now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> Kept {
        let lanes = [(0, 3), (7, 1)].into();
        Kept { lanes, ..Kept::new(5, 9, b"state".to_vec()) }
    }

    #[test]
    fn golden_head_of_version_1() {
        let golden = r#"{"v":1,"number":5,"next":9,"lanes":{"0":3,"7":1}}"#;
        assert_eq!(serde_json::to_string(&kept()).unwrap(), golden);
        assert_eq!(Kept::decode(&kept().encode().unwrap()), Ok(kept()));
    }

    #[test]
    fn what_is_none_is_refused() {
        let bytes = kept().encode().unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(Kept::decode(&bytes[..cut]), Err(Unreadable), "{cut}");
        }
        let long = zstd::bulk::compress(&u32::MAX.to_le_bytes(), 1).unwrap();
        assert_eq!(Kept::decode(&long), Err(Unreadable));
        let newer = Kept { v: 2, ..kept() }.encode().unwrap();
        assert_eq!(Kept::decode(&newer), Err(Unreadable));
    }

    #[test]
    fn the_lanes_say_which_ledger_it_is_of() {
        let at = |zero, seven| BTreeMap::from([(0, zero), (7, seven)]);
        assert!(kept().is_of(&at(3, 1)) && kept().is_before(&at(3, 1)));
        assert!(!kept().is_of(&at(4, 1)) && kept().is_before(&at(4, 1)));
        assert!(!kept().is_before(&at(2, 1)), "its landing was never decided");
        assert!(!kept().is_of(&BTreeMap::from([(0, 3)])));
    }
}
