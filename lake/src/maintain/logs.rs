//! Checkpoints and log clean-up.

use crate::delta::{self, entry_path, last_checkpoint};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::table::Table;

/// Commits after which a table gets a new checkpoint.
pub const CHECKPOINT_COMMITS: u64 = 100;
/// Log entries below a checkpoint are kept this long, for readers of older versions and for sleeping workers.
pub const LOG_RETENTION_US: i64 = 7 * 24 * 3600 * 1_000_000;

/// What was done to one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintained {
    /// Table name.
    pub table: String,
    /// The version of the new checkpoint.
    pub checkpoint: u64,
    /// Old log entries removed.
    pub removed: usize,
}

/// Looks at every table once: those with `commits` commits since their last checkpoint get a new one, and lose the log
/// entries below it that are older than [`LOG_RETENTION_US`]. Returns them. Any number of processes may do this at once.
///
/// # Errors
/// [`LakeError::Unsupported`], [`LakeError::Damaged`], [`LakeError::Store`]; nothing is half done, the next run continues.
pub async fn run_once(
    lake: &Lake,
    commits: u64,
    now_us: i64,
) -> Result<Vec<Maintained>, LakeError> {
    let mut done = Vec::new();
    for table in lake.catalog().tables() {
        done.extend(of_table(lake, table, commits, now_us).await?);
    }
    Ok(done)
}

/// As [`run_once`], of one table. To see that nothing is due takes two short requests.
///
/// # Errors
/// As [`run_once`].
pub(crate) async fn of_table(
    lake: &Lake,
    table: &Table,
    commits: u64,
    now_us: i64,
) -> Result<Option<Maintained>, LakeError> {
    let folder = lake.store().child(&table.name);
    let due = last_checkpoint(&folder).await?.unwrap_or(0) + commits;
    if folder.size(&entry_path(due)).await?.is_none() {
        return Ok(None);
    }
    let keep_after_ms = (now_us - LOG_RETENTION_US).div_euclid(1000);
    let (checkpoint, removed) = delta::checkpoint(lake.store(), table, keep_after_ms).await?;
    Ok(Some(Maintained { table: table.name.to_string(), checkpoint, removed }))
}
