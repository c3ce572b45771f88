//! Upkeep beside running workers: small files become large ones, old dates and files that nothing needs go, logs get checkpoints.
//! Never in the path of a commit.
//!
//! Any number of processes may do this at once, and be killed at any point: what counts is decided by commits alone.

mod archive;
mod compact;
mod inputs;
mod logs;
mod merge;
mod pace;
mod proof;
mod retire;
mod rewrite;
mod select;
mod settings;
mod sweep;
mod writing;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Serialize;
use service_runtime::Boxed;

use crate::delta::ActiveFile;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::table::Table;
use crate::views::{self, Viewed};
use archive::Archiving;
use compact::Compaction;
use sweep::Sweep;

pub(crate) use archive::{MOVE_APP as ARCHIVE_MOVE_APP, ROWS_APP as ARCHIVED_ROWS_APP, under_way};
pub use logs::{CHECKPOINT_COMMITS, LOG_RETENTION_US, Maintained, run_once};
pub use pace::Pace;
pub(crate) use retire::ROWS_APP as RETIRED_ROWS_APP;
pub use settings::{KEEP_DAYS, MaintainConfig, Settings, SettingsError};

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
    /// Dates that are older than the retention were taken out of the table.
    Retired {
        /// Table name.
        table: String,
        /// Their files.
        files: u64,
        /// Their rows.
        rows: u64,
    },
    /// Files of one date moved into the table's archive.
    Archived {
        /// Table name.
        table: String,
        /// `YYYY-MM-DD`.
        date: String,
        /// Their rows.
        rows: u64,
    },
    /// Files that nothing needs are gone.
    Swept {
        /// Table name.
        table: String,
        /// How many.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
}

/// Files and rows that were taken out of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Retired {
    /// Files.
    pub files: u64,
    /// Rows.
    pub rows: u64,
}

/// Objects that are gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Objects.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Done {
    /// Table name.
    pub table: String,
    /// Files that became fewer.
    pub merged: Merged,
    /// Files that can't be merged.
    pub left: Vec<Left>,
    /// Dates older than the retention.
    pub retired: Retired,
    /// Dates that moved into the table's archive.
    pub archived: Retired,
    /// Files that nothing needs.
    pub swept: Swept,
    /// The version of a new checkpoint.
    pub checkpoint: Option<u64>,
    /// Old log entries removed.
    pub log_entries: usize,
}

impl Done {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self { table: self.table.clone(), ..Self::default() }
    }
}

/// What was done to a lake.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Each table.
    pub tables: Vec<Done>,
    /// Plans of landings that are long applied.
    pub plans: Swept,
    /// Each view that was brought up to date.
    pub views: Vec<Viewed>,
}

impl Report {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.tables.iter().all(Done::is_nothing)
            && self.views.iter().all(Viewed::is_nothing)
            && self.plans.files == 0
    }
}

/// What a run could not do. What it did all the same is in its report.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.said())]
pub struct Incomplete {
    /// What was done.
    pub report: Report,
    /// Tables and views that could not be looked after (empty: the lake as a whole), and why.
    pub failed: Vec<(String, LakeError)>,
}

impl Incomplete {
    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.failed.iter().any(|(_, error)| matches!(error, LakeError::Stopped))
    }

    fn said(&self) -> String {
        let names = self.failed.iter().map(|(name, _)| name).filter(|name| !name.is_empty());
        let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        match (names.as_slice(), self.failed.as_slice()) {
            ([], [(_, error), ..]) => error.to_string(),
            (names, _) => format!("could not look after {}", names.join(", ")),
        }
    }
}

/// Looks after a lake once: logs get checkpoints; views are brought up to date; every table is merged, its old dates go, and its log gets a
/// checkpoint if all that made one due; then what nothing needs is swept. A table or view that can't be looked after does not keep the
/// others from it.
///
/// # Errors
/// [`LakeError::Stopped`], [`LakeError::Unproven`], [`LakeError::Store`] and what else keeps a table from being looked after;
/// nothing is half done, the next run goes on.
pub fn run<'a>(
    lake: &'a Lake,
    settings: &'a Settings,
    now_us: i64,
    pace: &'a mut Pace,
    told: &'a (dyn Fn(&Step) + Sync),
) -> Boxed<'a, Result<Report, Incomplete>> {
    Box::pin(everything(lake, settings, now_us, pace, told))
}

async fn everything(
    lake: &Lake,
    settings: &Settings,
    now_us: i64,
    pace: &mut Pace,
    told: &(dyn Fn(&Step) + Sync),
) -> Result<Report, Incomplete> {
    let (mut report, mut failed) = (Report::default(), Vec::new());
    let mut logs =
        if settings.dry_run { HashMap::new() } else { checkpoints(lake, settings, now_us).await };
    // Somebody may have been killed half-way, and the setting may be gone since.
    let moves = if settings.dry_run { Ok(()) } else { finish_moves(lake, now_us).await };
    for view in lake.catalog().views() {
        if settings.dry_run || !settings.has_view(&view.name) {
            continue;
        }
        match views::run(lake, view, now_us).await {
            Ok(viewed) => report.views.push(viewed),
            Err(error) => failed.push((view.name.to_string(), error)),
        }
    }
    let (views_failed, mut kept) = (failed.len(), Vec::new());
    failed.extend(moves.err().map(|error| (String::new(), error)));
    for table in lake.catalog().all() {
        let log = logs.remove(table.name.as_ref());
        match one(lake, table, settings, (now_us, log), pace, told).await {
            Ok(done) => {
                report.tables.push(done);
                kept.push(table);
            }
            Err(error) => {
                let stopped = matches!(error, LakeError::Stopped);
                failed.push((table.name.to_string(), error));
                if stopped {
                    return Err(Incomplete { report, failed });
                }
            }
        }
    }
    // What becomes of the files of a table that could not be looked after is for the next run.
    if settings.sweep && failed.len() == views_failed {
        let swept = sweep_all(lake, settings, now_us, &kept, &mut report, told).await;
        failed.extend(swept.err().map(|error| (String::new(), error)));
    }
    if failed.is_empty() { Ok(report) } else { Err(Incomplete { report, failed }) }
}

/// Checkpoints that are due before anything else is done: whoever starts reads the log from the last one, and who is killed while it merges
/// would never come to write the next. A table that is not in it failed: it is tried again when it is merged, and told then.
async fn checkpoints(
    lake: &Lake,
    settings: &Settings,
    now_us: i64,
) -> HashMap<String, Option<Maintained>> {
    let mut logs = HashMap::new();
    for table in lake.catalog().all() {
        if let Ok(log) = logs::of_table(lake, table, settings.commits, now_us).await {
            logs.insert(table.name.to_string(), log);
        }
    }
    logs
}

/// Gives every archive what left its table for it and did not get there.
///
/// # Errors
/// As a run; what is done is done.
pub(crate) async fn finish_moves(lake: &Lake, now_us: i64) -> Result<(), LakeError> {
    let (store, catalog, now_ms) = (lake.store(), lake.catalog(), now_us.div_euclid(1000));
    for table in catalog.of_rows() {
        if let Some(archive) = catalog.archive(&table.name) {
            let archiving = Archiving { lake: store, table, archive, now_ms, told: &|_| {} };
            archiving.finish().await?;
        }
    }
    Ok(())
}

async fn sweep_all(
    lake: &Lake,
    settings: &Settings,
    now_us: i64,
    tables: &[&Arc<Table>],
    report: &mut Report,
    told: &(dyn Fn(&Step) + Sync),
) -> Result<(), LakeError> {
    let before_ms = (now_us - settings.keep_us).div_euclid(1000);
    let sweep = Sweep::begin(lake, before_ms, settings.dry_run).await?;
    for (table, done) in tables.iter().zip(&mut report.tables) {
        if !settings.on_hold(table) {
            done.swept = sweep.table(table, told).await?;
        }
    }
    report.plans = sweep.plans().await?;
    Ok(())
}

/// `first`: what became of its log before; `None`: that failed.
async fn one(
    lake: &Lake,
    table: &Arc<Table>,
    settings: &Settings,
    (now_us, first): (i64, Option<Option<Maintained>>),
    pace: &mut Pace,
    told: &(dyn Fn(&Step) + Sync),
) -> Result<Done, LakeError> {
    let (store, dry_run, now_ms) = (lake.store(), settings.dry_run, now_us.div_euclid(1000));
    let mut done = Done { table: table.name.to_string(), ..Done::default() };
    // First: what goes need not be merged.
    if let Some(first) = settings.first_date(table, now_us) {
        done.retired = retire::before(store, table, first, now_ms, dry_run, told).await?;
    }
    let archive = lake.catalog().archive(&table.name);
    let archiving = archive.map(|archive| Archiving { lake: store, table, archive, now_ms, told });
    if let Some(archiving) = archiving
        && let Some(first) = settings.first_unarchived(table, now_us)
    {
        (done.archived, done.left) = archiving.before(first, dry_run, pace).await?;
    }
    let now = select::Now { ms: now_ms, quiet_ms: settings.quiet_us / 1000 };
    let compaction = Compaction { lake: store, table, now, dry_run, told };
    let Some(compacted) = compaction.run(pace).await? else { return Ok(done) };
    let compact::Compacted { merged, left } = compacted;
    done.merged = merged;
    let named: HashSet<String> = done.left.iter().map(|left| left.path.clone()).collect();
    done.left.extend(left.into_iter().filter(|left| !named.contains(&left.path)));
    if !dry_run {
        let gone = done.retired.files + done.archived.files;
        let last = match &first {
            // It was looked at, and nothing was committed here since.
            Some(_) if done.merged.made_files + gone == 0 => None,
            _ => logs::of_table(lake, table, settings.commits, now_us).await?,
        };
        for log in first.flatten().into_iter().chain(last) {
            done.checkpoint = Some(log.checkpoint);
            done.log_entries += log.removed;
        }
    }
    Ok(done)
}
