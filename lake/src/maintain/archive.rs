//! Dates that are older than a table's `archive_days` move into a table of their own: packed harder, in a folder whose data files a
//! lifecycle rule of the store may put where storage is cheap.
//!
//! The rows are written into the archive's folder and proven, and a plan names the file. The commit that takes the rows out of the table
//! moves it to the plan's number: it decides. The commit that adds the file moves the archive to the same number. Where the table is
//! ahead of its archive somebody was killed in between: whoever comes next adds the file that the plan names, and nobody decides
//! anything else before. So a row is never in both tables, and in neither only between these two commits.

use std::collections::HashSet;
use std::sync::Arc;

use crash_point::Point;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::inputs::Inputs;
use super::pace::Pace;
use super::retire::ROWS_APP as GONE_ROWS_APP;
use super::select::{FILES_MAX, MERGED_BYTES};
use super::writing::{Writing, Written};
use super::{Left, Retired, Step};
use crate::date::date_text;
use crate::delta::{self, ActiveFile, AddFile, Appended, FileInfo, Rewrite, TableLog};
use crate::error::LakeError;
use crate::store::{Created, Store};
use crate::table::{PARTITION, Table};

/// Where plans are, relative to the lake.
pub(crate) const FOLDER: &str = "_tidemark/archives";
/// The application id whose version is the last move: of the table the last that was decided, of the archive the last that it has.
pub(crate) const MOVE_APP: &str = "archive/move";
/// The application id whose version is the number of rows that a table gave, and that its archive was given.
pub(crate) const ROWS_APP: &str = "archive/rows";
/// The version of plans that this code writes. It reads every version up to this one.
const VERSION: u32 = 1;
/// The low bits of a move's number are anything, so that of two that prepare the same one neither takes the other's plan for its own.
const ANY_BITS: u32 = 24;
/// How often somebody else may be first.
const TRIES: u32 = 16;

/// One file of an archive, and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    version: u32,
    /// See [`MOVE_APP`].
    number: i64,
    /// Rows of the file.
    rows: u64,
    /// The file.
    add: AddFile,
}

/// Where the plan of a move is, relative to the lake.
pub(crate) fn plan_path(table: &Table, number: i64) -> String {
    format!("{FOLDER}/{}-{number:016x}.json", table.name)
}

impl Plan {
    async fn load(lake: &Store, table: &Table, number: i64) -> Result<Self, LakeError> {
        let path = plan_path(table, number);
        let Some(bytes) = lake.get(&path).await? else {
            let reason = format!("`{path}` is gone, which names rows that left it for its archive");
            return Err(lake.not_whole(&table.name, reason));
        };
        let plan: Self = serde_json::from_slice(&bytes)
            .map_err(|error| LakeError::damaged(lake.address(&path), error))?;
        if plan.version > VERSION {
            let reason = format!("version {} is newer than {VERSION}", plan.version);
            return Err(LakeError::damaged(lake.address(&path), reason));
        }
        Ok(plan)
    }
}

/// A table, and where its old dates go.
pub(crate) struct Archiving<'a> {
    pub(crate) lake: &'a Store,
    pub(crate) table: &'a Arc<Table>,
    pub(crate) archive: &'a Arc<Table>,
    pub(crate) now_ms: i64,
    pub(crate) told: &'a (dyn Fn(&Step) + Sync),
}

/// What became of one move.
enum Moved {
    Rows(u64),
    /// Somebody else was first.
    GaveWay,
    /// None of the files can be read or sorted.
    Nothing,
}

impl Archiving<'_> {
    /// Moves everything before `first` (a date), file by file. Returns what went, and what can't.
    ///
    /// # Errors
    /// [`LakeError::Unsupported`] if the table is append-only, [`LakeError::Stopped`], [`LakeError::Unproven`], else as the store
    /// fails; what is moved is moved.
    pub(crate) async fn before(
        &self,
        first: i32,
        dry_run: bool,
        pace: &mut Pace,
    ) -> Result<(Retired, Vec<Left>), LakeError> {
        let (mut moved, mut left, mut lost) = (Retired::default(), Vec::new(), 0);
        let (mut skipped, mut distrusted) = (HashSet::<String>::new(), HashSet::new());
        loop {
            let at = if dry_run { None } else { Some(self.finish().await?) };
            let loaded = TableLog::load_with_files(self.lake, self.table).await?;
            let Some((mut log, active)) = loaded else { break };
            log.fit().writable(self.table)?;
            // What somebody else decided meanwhile comes before what we may.
            if at.is_some_and(|at| at != log.txn(MOVE_APP)) {
                lost += 1;
                if lost < TRIES { continue } else { break }
            }
            let old = active.files().filter(|file| {
                file.date.is_some_and(|date| date < first) && !skipped.contains(&file.path)
            });
            let old: Vec<ActiveFile> = old.cloned().collect();
            if dry_run {
                moved.files = old.len() as u64;
                moved.rows = old.iter().filter_map(|file| file.rows).sum();
                break;
            }
            let Some((date, files)) = next(old) else { break };
            if log.is_append_only() {
                let needs = "no row to be removed (delta.appendOnly)".to_owned();
                return Err(LakeError::Unsupported { table: self.table.name.to_string(), needs });
            }
            let folder = self.lake.child(&self.table.name);
            let mut inputs = Inputs::open(&folder, self.table, files, &distrusted).await?;
            for (file, error) in std::mem::take(&mut inputs.left) {
                left.push(Left::new(&file, &error));
                skipped.insert(file.path);
            }
            let number = inputs.used.len() as u64;
            match self.one(&mut log, date, inputs, pace).await {
                Err(LakeError::Disorder { path, .. }) => drop(distrusted.insert(path)),
                Ok(Moved::Rows(rows)) => {
                    moved.files += number;
                    moved.rows += rows;
                    let table = self.table.name.to_string();
                    (self.told)(&Step::Archived { table, date: date_text(date), rows });
                }
                Ok(Moved::Nothing) => {}
                Ok(Moved::GaveWay) if lost < TRIES => lost += 1,
                // Somebody else is at it, or merges all the time: the next run goes on.
                Ok(Moved::GaveWay) => break,
                Err(error) => return Err(error),
            }
        }
        Ok((moved, left))
    }

    /// Moves the rows of `inputs`, files of one date that are part of the table at the log's version.
    async fn one(
        &self,
        log: &mut TableLog,
        date: i32,
        inputs: Inputs,
        pace: &mut Pace,
    ) -> Result<Moved, LakeError> {
        let used = inputs.used.clone();
        if used.is_empty() {
            return Ok(Moved::Nothing);
        }
        let folder = self.lake.child(&self.archive.name);
        let path = format!("{PARTITION}={}/archived-{}.parquet", date_text(date), Uuid::new_v4());
        let mut writing = Writing { folder: &folder, table: self.archive, pace };
        let written = writing.write(inputs, &path).await?;
        let written_us = writing.pace.now_us();
        writing.prove(&path, &written).await?;
        crash_point::reach(Point::ArchiveWritten);
        let plan = self.plan(log.txn(MOVE_APP), date, &used, path, written);
        let encoded = serde_json::to_vec(&plan).expect("it has string keys and numbers only");
        let plan_path = plan_path(self.table, plan.number);
        let new = matches!(self.lake.create(&plan_path, encoded.into()).await?, Created::New);
        crash_point::reach(Point::ArchivePlanned);
        // A sweep may be after the file of one that slept.
        let fresh = new && !writing.pace.is_stale(written_us);
        match if fresh { self.decide(log, &plan, &used).await? } else { Appended::Conflict } {
            Appended::At(_) => {
                crash_point::reach(Point::ArchiveDecided);
                Ok(Moved::Rows(plan.rows))
            }
            // Whether it counts is seen by the table's number.
            Appended::Reloaded if log.txn(MOVE_APP) == plan.number => Ok(Moved::Rows(plan.rows)),
            Appended::Reloaded => Ok(Moved::GaveWay),
            Appended::Conflict => {
                folder.delete(&plan.add.path).await?;
                if new {
                    self.lake.delete(&plan_path).await?;
                }
                Ok(Moved::GaveWay)
            }
        }
    }

    fn plan(
        &self,
        last: i64,
        date: i32,
        used: &[ActiveFile],
        path: String,
        written: Written,
    ) -> Plan {
        let any = i64::from(Uuid::new_v4().as_fields().0 & ((1 << ANY_BITS) - 1));
        let modified_ms = used.iter().map(|file| file.modified_ms).max().unwrap_or(self.now_ms);
        let add = AddFile {
            path,
            partition_values: [(PARTITION.to_owned(), Some(date_text(date)))].into(),
            size: written.size,
            modification_time: modified_ms,
            data_change: true,
            stats: Some(written.stats),
        };
        let number = (((last >> ANY_BITS) + 1) << ANY_BITS) | any;
        Plan { version: VERSION, number, rows: written.rows, add }
    }

    /// Takes the files out of the table: from then on the plan counts.
    async fn decide(
        &self,
        log: &mut TableLog,
        plan: &Plan,
        used: &[ActiveFile],
    ) -> Result<Appended, LakeError> {
        // Who streams the table is told of no row that went: it has seen them.
        let removes: Vec<_> = used.iter().map(|file| file.removal(false, self.now_ms)).collect();
        let gone = log.txn(GONE_ROWS_APP).saturating_add_unsigned(plan.rows);
        let moved = log.txn(ROWS_APP).saturating_add_unsigned(plan.rows);
        let txns = [
            (MOVE_APP.to_owned(), plan.number),
            (ROWS_APP.to_owned(), moved),
            (GONE_ROWS_APP.to_owned(), gone),
        ];
        let rewrite = Rewrite {
            operation: "DELETE",
            removes: &removes,
            adds: &[],
            txns: txns.into(),
            now_ms: self.now_ms,
        };
        match log.rewrite(self.lake, &rewrite).await {
            // Somebody widened the table: its old dates move another time, with its columns.
            Err(LakeError::Changed { .. }) => Ok(Appended::Conflict),
            outcome => outcome,
        }
    }

    /// Gives the archive what left the table for it and did not get there. Returns the last move that it has.
    ///
    /// # Errors
    /// [`LakeError::NotWhole`] if the plan or its file is gone, else as appending.
    pub(crate) async fn finish(&self) -> Result<i64, LakeError> {
        let Some(log) = TableLog::load(self.lake, self.table).await? else { return Ok(0) };
        let decided = log.txn(MOVE_APP);
        if decided == 0 {
            return Ok(0);
        }
        let mut archive = self.opened().await?;
        for _ in 0..TRIES {
            if archive.txn(MOVE_APP) >= decided {
                return Ok(archive.txn(MOVE_APP));
            }
            let plan = Plan::load(self.lake, self.table, decided).await?;
            let folder = self.lake.child(&self.archive.name);
            if folder.size(&plan.add.path).await? != Some(plan.add.size) {
                let reason = format!("`{}` is gone, which its table was told of", plan.add.path);
                return Err(self.lake.not_whole(&self.archive.name, reason));
            }
            let rows = archive.txn(ROWS_APP).saturating_add_unsigned(plan.rows);
            let rewrite = Rewrite {
                operation: "WRITE",
                removes: &[],
                adds: std::slice::from_ref(&plan.add),
                txns: [(MOVE_APP.to_owned(), decided), (ROWS_APP.to_owned(), rows)].into(),
                now_ms: self.now_ms,
            };
            match archive.rewrite(self.lake, &rewrite).await {
                Ok(Appended::At(_)) => crash_point::reach(Point::ArchiveApplied),
                Ok(_) => {}
                Err(LakeError::Changed { .. }) => archive.reload(self.lake).await?,
                Err(error) => return Err(error),
            }
        }
        let (table, version) = (self.archive.name.to_string(), archive.version());
        Err(LakeError::Changed { table, version })
    }

    /// The archive's log; an archive that is not there is made, one of an earlier version gets its columns.
    async fn opened(&self) -> Result<TableLog, LakeError> {
        let missing = || LakeError::Missing {
            table: self.archive.name.to_string(),
            url: self.lake.url().to_string(),
        };
        if TableLog::load(self.lake, self.archive).await?.is_none() {
            delta::create(self.lake, self.archive).await?;
        }
        let log = TableLog::load(self.lake, self.archive).await?.ok_or_else(missing)?;
        if log.fit().lacks.is_empty() {
            return Ok(log);
        }
        delta::widen(self.lake, log, self.now_ms).await?;
        TableLog::load(self.lake, self.archive).await?.ok_or_else(missing)
    }
}

/// The file of a move that was decided, as its plan has it.
///
/// # Errors
/// [`LakeError::NotWhole`] if the plan is gone, else as the store fails.
pub(crate) async fn under_way(
    lake: &Store,
    table: &Table,
    archive: &Table,
    number: i64,
) -> Result<FileInfo, LakeError> {
    let plan = Plan::load(lake, table, number).await?;
    Ok(FileInfo::of_add(&lake.child(&archive.name), archive, &plan.add))
}

/// The files that move next: of the oldest date, as many as one file may be made of.
fn next(mut old: Vec<ActiveFile>) -> Option<(i32, Vec<ActiveFile>)> {
    let date = old.iter().filter_map(|file| file.date).min()?;
    old.retain(|file| file.date == Some(date));
    old.sort_unstable_by(|a, b| (a.bytes, &a.path).cmp(&(b.bytes, &b.path)));
    let mut bytes = 0;
    let fits = old.iter().take(FILES_MAX).take_while(|file| {
        bytes += file.bytes;
        bytes <= MERGED_BYTES
    });
    let fits = fits.count().max(1);
    old.truncate(fits);
    Some((date, old))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(date: Option<i32>, bytes: u64) -> ActiveFile {
        let path = format!("{date:?}-{bytes}");
        ActiveFile { path, date, bytes, modified_ms: 0, rows: Some(1) }
    }

    #[test]
    fn the_oldest_date_moves_first_and_a_file_is_made_of_no_more_than_one_may_hold() {
        let half = MERGED_BYTES / 2;
        let files = [(2, 5), (1, half), (1, half + 1), (1, 7)];
        let old = files.map(|(date, bytes)| file(Some(date), bytes));
        let (date, taken) = next(old.to_vec()).unwrap();
        let bytes: Vec<u64> = taken.iter().map(|file| file.bytes).collect();
        assert_eq!((date, bytes), (1, vec![7, half]));
        let (_, taken) = next(vec![file(Some(1), MERGED_BYTES + 1)]).unwrap();
        assert_eq!(taken.len(), 1, "one that is larger moves alone");
        assert_eq!(next(vec![file(None, 1)]), None);
    }

    #[test]
    fn golden_bytes_of_a_plan() {
        let add = AddFile {
            path: "event_date=2026-08-01/archived-1.parquet".into(),
            partition_values: [("event_date".to_owned(), Some("2026-08-01".to_owned()))].into(),
            size: 1234,
            modification_time: 1_785_542_400_000,
            data_change: true,
            stats: Some(r#"{"numRecords":5}"#.into()),
        };
        let plan = Plan { version: 1, number: (1 << ANY_BITS) + 7, rows: 5, add };
        let golden = r#"{"version":1,"number":16777223,"rows":5,"add":{"path":"event_date=2026-08-01/archived-1.parquet","partitionValues":{"event_date":"2026-08-01"},"size":1234,"modificationTime":1785542400000,"dataChange":true,"stats":"{\"numRecords\":5}"}}"#;
        assert_eq!(serde_json::to_string(&plan).unwrap(), golden);
        assert_eq!(serde_json::from_str::<Plan>(golden).unwrap(), plan);
    }
}
