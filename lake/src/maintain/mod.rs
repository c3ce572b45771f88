//! Upkeep beside running workers: small files become large ones, logs get checkpoints. Never in the path of a commit.
//!
//! Any number of processes may do this at once, and be killed at any point: what counts is decided by commits alone.

mod compact;
mod inputs;
mod logs;
mod merge;
mod pace;
mod proof;
mod rewrite;
mod select;

use serde::Serialize;

use crate::delta::ActiveFile;
use crate::error::LakeError;
use crate::lake::Lake;
use compact::Compaction;

pub use logs::{CHECKPOINT_COMMITS, LOG_RETENTION_US, Maintained, run_once};
pub use pace::Pace;

/// What upkeep is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Commits after which a table gets a new checkpoint.
    pub commits: u64,
    /// A date that is over is merged once nothing came for it for so long: Microseconds.
    pub quiet_us: i64,
    /// Only says what it would do.
    pub dry_run: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { commits: CHECKPOINT_COMMITS, quiet_us: 0, dry_run: false }
    }
}

/// What is being done, for who watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Files of one date are merged into one.
    Merging {
        /// Table name.
        table: String,
        /// `YYYY-MM-DD`.
        date: String,
        /// How many files.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// That is done.
    Merged {
        /// Table name.
        table: String,
        /// `YYYY-MM-DD`.
        date: String,
        /// Bytes of the one file.
        bytes: u64,
    },
}

/// Files that became fewer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// Files that were merged, or would be.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are there instead.
    pub made_files: u64,
    /// Their bytes; 0 in a dry run.
    pub made_bytes: u64,
    /// Merges that somebody else did first.
    pub gave_way: u64,
}

impl Merged {
    fn add(&mut self, used: &[ActiveFile], made: Option<&ActiveFile>) {
        self.files += used.len() as u64;
        self.bytes += used.iter().map(|file| file.bytes).sum::<u64>();
        self.made_files += 1;
        self.made_bytes += made.map_or(0, |file| file.bytes);
    }
}

/// A file that can't be merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Left {
    /// Relative to the table's folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

impl Left {
    fn new(file: &ActiveFile, error: &LakeError) -> Self {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
        let reason = format!("{error}{}", cause.unwrap_or_default());
        Self { path: file.path.clone(), reason }
    }
}

/// What was done to one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Table name.
    pub table: String,
    /// Files that became fewer.
    pub merged: Merged,
    /// Files that can't be merged.
    pub left: Vec<Left>,
    /// The version of a new checkpoint.
    pub checkpoint: Option<u64>,
    /// Old log entries removed.
    pub log_entries: usize,
}

impl Done {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.merged == Merged::default() && self.left.is_empty() && self.checkpoint.is_none()
    }
}

/// Looks after every table once.
///
/// # Errors
/// [`LakeError::Stopped`], [`LakeError::Unproven`], [`LakeError::Store`] and what else keeps a table from being looked after;
/// nothing is half done, the next run goes on.
pub async fn run(
    lake: &Lake,
    settings: &Settings,
    now_us: i64,
    pace: &mut Pace,
    told: &(dyn Fn(&Step) + Sync),
) -> Result<Vec<Done>, LakeError> {
    let now = select::Now { ms: now_us.div_euclid(1000), quiet_ms: settings.quiet_us / 1000 };
    let mut done = Vec::new();
    for table in lake.catalog().tables() {
        let dry_run = settings.dry_run;
        let compaction = Compaction { lake: lake.store(), table, now, dry_run, told };
        let (merged, left) = compaction.run(pace).await?;
        let checkpoint = if dry_run {
            None
        } else {
            logs::of_table(lake, table, settings.commits, now_us).await?
        };
        done.push(Done {
            table: table.name.to_string(),
            merged,
            left,
            checkpoint: checkpoint.as_ref().map(|done| done.checkpoint),
            log_entries: checkpoint.map_or(0, |done| done.removed),
        });
    }
    Ok(done)
}
