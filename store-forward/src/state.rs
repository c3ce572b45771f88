//! The spool's state file: who it is, which lake it is bound to and how far it has landed.
//!
//! `spool.json`, replaced atomically:
//!
//! ```text
//! {"v":3,"source_id":"gateway","epoch":"16 hex digits","key":"16 hex digits","lake_id":"…","landed":0,"chain":"16 hex digits",
//!  "evicted":0,"forked":false,"leaving":"16 hex digits","dropped":0,"gaps":[[first,end],…]}
//! ```
//!
//! `key` is the secret that records are written with. `dropped` counts the offsets below `landed` that landed as gaps, `gaps` lists those
//! above that were announced as such. `leaving` is an epoch whose folder may be deleted: all of it is in this one, or landed.
//! Version 2 had neither `key` nor `leaving`, version 1 neither `dropped` nor `gaps`.
//! `landed` may lag behind the truth (it is written when segments are deleted and at the end); then some messages are sent
//! again and ingest drops them. `forked` asks the next start to move what is not landed to a new epoch, if
//! this one does not get that far.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use telemetry_core::id::{Epoch, Offset, SourceId};
use telemetry_core::spool::format::{Format, Key};
use telemetry_core::spool::segment::{self, SegmentHeader};

use crate::books::Gaps;
use crate::disk::{self, DiskError, Segments};

const FILE: &str = "spool.json";
const VERSION: u8 = 3;

/// The content of the state file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub(crate) v: u8,
    pub(crate) source_id: SourceId,
    pub(crate) epoch: Epoch,
    #[serde(default = "no_key")]
    pub(crate) key: Key,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lake_id: Option<String>,
    pub(crate) landed: Offset,
    #[serde(with = "hex")]
    pub(crate) chain: u64,
    /// Offsets below were evicted before they landed, as far as they are above `landed`.
    pub(crate) evicted: Offset,
    pub(crate) forked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) leaving: Option<Epoch>,
    /// Offsets below `landed` that landed as gaps.
    #[serde(default)]
    pub(crate) dropped: u64,
    /// Offsets at or above `landed` that were announced as gaps.
    #[serde(default)]
    pub(crate) gaps: Gaps,
}

/// What stands in a state that has no key; [`State::upgrade`] gives it one.
fn no_key() -> Key {
    Key::from_random(0)
}

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Not a state file of ours.
    #[error("{} is not a spool's state: restore it, or move the folder away to start a new spool", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// Written by a newer version.
    #[error("{} has version {version}, this program reads up to {VERSION}: update it", path.display())]
    Version {
        /// Which file.
        path: PathBuf,
        /// Its version.
        version: u8,
    },
}

impl State {
    pub(crate) fn new(source_id: SourceId, epoch: Epoch, key: Key) -> Self {
        Self {
            v: VERSION,
            source_id,
            epoch,
            key,
            lake_id: None,
            landed: 0,
            chain: 0,
            evicted: 0,
            forked: false,
            leaving: None,
            dropped: 0,
            gaps: Gaps::default(),
        }
    }

    pub(crate) fn load(folder: &Path) -> Result<Option<Self>, StateError> {
        let path = folder.join(FILE);
        let Some(bytes) = disk::read_small(&path)? else {
            return Ok(None);
        };
        let state: Self = serde_json::from_slice(&bytes)
            .map_err(|source| StateError::Invalid { path: path.clone(), source })?;
        if state.v == 0 || state.v > VERSION {
            return Err(StateError::Version { path, version: state.v });
        }
        Ok(Some(state))
    }

    /// Makes the state of an older program this one's; tells whether it was one.
    pub(crate) fn upgrade(&mut self, key: Key) -> bool {
        let older = self.v < VERSION;
        if older {
            (self.v, self.key) = (VERSION, key);
        }
        older
    }

    /// Returns the header of a segment that begins at `first`, where the chain value is `chain`.
    pub(crate) fn header(&self, first: Offset, chain: u64) -> SegmentHeader {
        let source = segment::tag(&self.source_id);
        SegmentHeader { epoch: self.epoch, first, chain, format: self.format(), source }
    }

    /// Returns how new records are written.
    pub(crate) fn format(&self) -> Format {
        Format::V2(self.key)
    }

    pub(crate) fn save(&self, folder: &Path) -> Result<(), DiskError> {
        let bytes = serde_json::to_vec(self).expect("the state is plain data");
        disk::replace(&folder.join(FILE), &bytes)
    }

    /// Saves it; on a full disk with the room that was reserved for it.
    pub(crate) fn save_in_any_case(&self, folder: &Path) -> Result<(), DiskError> {
        match self.save(folder) {
            Err(failure) if failure.is_full() && disk::give_up_reserve(folder) => self.save(folder),
            other => other,
        }
    }

    /// Returns the folder of the epoch's segments.
    pub(crate) fn segments(&self, folder: &Path) -> PathBuf {
        Segments::Epoch(self.epoch).path(folder)
    }
}

/// What a spool's folder says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whose messages it holds.
    pub source_id: SourceId,
    /// The lake that it is bound to.
    pub lake_id: Option<String>,
    /// A process has it open.
    pub in_use: bool,
}

/// Looks at a spool's folder without touching it; `None` where there is no spool yet. What is in use can change at any time.
///
/// # Errors
/// When its state cannot be read.
pub fn look(folder: &Path) -> Result<Option<Found>, StateError> {
    let Some(State { source_id, lake_id, .. }) = State::load(folder)? else { return Ok(None) };
    Ok(Some(Found { source_id, lake_id, in_use: disk::is_locked(folder)? }))
}

/// Forgets which lake a spool is bound to, so that the next receipt binds it anew. The spool must not be in use.
///
/// Returns the lake it was bound to.
///
/// # Errors
/// When there is no spool in `folder`, it is in use, or its state cannot be read or written.
pub fn rebind(folder: &Path) -> Result<Option<String>, StateError> {
    let _lock = disk::lock(folder)?;
    let Some(mut state) = State::load(folder)? else {
        let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        return Err(disk::at::<()>("find", &folder.join(FILE), Err(missing))
            .expect_err("it is an error")
            .into());
    };
    let before = state.lake_id.take();
    state.save(folder)?;
    Ok(before)
}

mod hex {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = String::deserialize(deserializer)?;
        u64::from_str_radix(&text, 16).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN_V1: &str = r#"{"v":1,"source_id":"gw","epoch":"0000000000000007","lake_id":"l","landed":5,"chain":"00000000000000ff","evicted":0,"forked":false}"#;

    const GOLDEN_V2: &str = r#"{"v":2,"source_id":"gw","epoch":"0000000000000007","lake_id":"l","landed":5,"chain":"00000000000000ff","evicted":0,"forked":false,"dropped":3,"gaps":[[6,8]]}"#;

    const GOLDEN_V3: &str = r#"{"v":3,"source_id":"gw","epoch":"0000000000000007","key":"000000000000abcd","lake_id":"l","landed":5,"chain":"00000000000000ff","evicted":0,"forked":false,"leaving":"0000000000000006","dropped":3,"gaps":[[6,8]]}"#;

    const KEY: Key = Key::from_random(0xabcd);

    fn golden() -> State {
        let state = State::new("gw".parse().unwrap(), Epoch::from_random(7), KEY);
        State { lake_id: Some("l".into()), landed: 5, chain: 255, ..state }
    }

    fn with_gaps() -> State {
        State { dropped: 3, gaps: vec![(6, 8)].into(), ..golden() }
    }

    #[test]
    fn golden_bytes_of_older_versions() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(State::load(folder.path()).unwrap(), None);
        for (bytes, expected) in [(GOLDEN_V1, golden()), (GOLDEN_V2, with_gaps())] {
            std::fs::write(folder.path().join(FILE), bytes).unwrap();
            let mut state = State::load(folder.path()).unwrap().unwrap();
            assert!(state.upgrade(KEY));
            assert_eq!(state, expected);
        }
    }

    #[test]
    fn golden_bytes_of_version_3() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State { leaving: Some(Epoch::from_random(6)), ..with_gaps() };
        state.save(folder.path()).unwrap();
        assert_eq!(std::fs::read_to_string(folder.path().join(FILE)).unwrap(), GOLDEN_V3);
        assert_eq!(State::load(folder.path()).unwrap().as_ref(), Some(&state));
        assert!(!state.upgrade(Key::from_random(1)), "it has a key");
    }

    #[test]
    fn rebinding_forgets_the_lake_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), GOLDEN_V1).unwrap();
        assert_eq!(rebind(folder.path()).unwrap(), Some("l".into()));
        let state = State::load(folder.path()).unwrap().unwrap();
        assert_eq!((state.lake_id, state.landed), (None, 5));
    }
}
