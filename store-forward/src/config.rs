//! The settings of a spool and its uplink, as they stand in the configuration file.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use telemetry_core::frame::{Codec, FRAME_BYTES, FRAME_MAX};
use telemetry_core::id::SourceId;
use telemetry_core::spool::plan::{Limits, WhenFull};
use telemetry_core::spool::record::MESSAGE_MAX;

/// The `spool` table of `[gateway]` and `[agent]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SpoolConfig {
    /// Folder of the spool; made if missing. One process at a time may use it.
    pub dir: PathBuf,
    /// Most bytes on disk.
    pub bytes_max: u64,
    /// A segment file is closed at this size and deleted whole once landed.
    pub segment_bytes: u64,
    /// What happens when `bytes_max` is reached: `refuse` new messages or `drop_oldest`.
    pub when_full: WhenFull,
    /// Most bytes accepted but not yet written; publishers wait beyond it.
    pub pending_bytes_max: usize,
}

impl Default for SpoolConfig {
    fn default() -> Self {
        Self {
            dir: "tidemark-data/spool".into(),
            bytes_max: 4 << 30,
            segment_bytes: 16 << 20,
            when_full: WhenFull::Refuse,
            pending_bytes_max: 4 << 20,
        }
    }
}

impl SpoolConfig {
    /// Checks that the sizes fit each other.
    ///
    /// # Errors
    /// Which setting does not, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        if self.segment_bytes < 64 << 10 {
            return Err("spool.segment_bytes must be at least 65536".into());
        }
        let least = 2 * self.segment_bytes + (1 << 20);
        if self.bytes_max < least {
            return Err(format!(
                "spool.bytes_max must hold two segments and a megabyte ({least} bytes)"
            ));
        }
        if self.pending_bytes_max < 1 << 20 {
            return Err("spool.pending_bytes_max must be at least 1048576".into());
        }
        Ok(())
    }

    /// Returns the bytes of the largest record: what is left beside two segments, in a large spool as many as the format allows.
    pub fn record_bytes_max(&self) -> usize {
        let left = self.bytes_max.saturating_sub(2 * self.segment_bytes);
        usize::try_from(left).unwrap_or(usize::MAX).min(MESSAGE_MAX)
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits {
            segment_bytes: self.segment_bytes,
            spool_bytes: self.bytes_max,
            when_full: self.when_full,
        }
    }
}

/// The `uplink` table of `[gateway]` and `[agent]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UplinkConfig {
    /// How frames are compressed: `lz4` (fastest), `zstd` (smallest) or `none`.
    pub codec: Codec,
    /// How long a message may wait for others to share a frame, in milliseconds.
    pub linger_ms: u64,
    /// Most raw bytes in a frame of several messages, at most 8 MiB. Smaller frames cost less when a connection breaks in the middle of one.
    pub frame_bytes: usize,
    /// Most raw bytes a second that are sent, so that a backlog leaves room for others; 0 for no limit.
    pub drain_bytes_per_second: u64,
}

impl Default for UplinkConfig {
    fn default() -> Self {
        Self {
            codec: Codec::Lz4,
            linger_ms: 20,
            frame_bytes: FRAME_BYTES,
            drain_bytes_per_second: 0,
        }
    }
}

impl UplinkConfig {
    /// Checks the settings.
    ///
    /// # Errors
    /// Which setting does not fit, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        if !(1024..=FRAME_MAX).contains(&self.frame_bytes) {
            return Err(format!("uplink.frame_bytes must be from 1024 to {FRAME_MAX}"));
        }
        Ok(())
    }

    pub(crate) fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }
}

/// Who a spool belongs to and how it is kept.
#[derive(Debug, Clone)]
pub struct SpoolOptions {
    /// The source's name.
    pub source_id: SourceId,
    /// Its settings.
    pub config: SpoolConfig,
}
