//! One merge: files are read, one file is written, read back and proven to hold the same rows, and takes their place by one commit.
//!
//! Whoever is killed leaves a file that nobody knows, which the sweep takes. Two that merge the same files: one commits, the other
//! finds the `txn` of the date moved, or its files gone, and gives way. So does one that slept so long that a sweep may be after its
//! file. What is landed meanwhile stays where it is.

use std::collections::HashSet;

use crash_point::Point;
use uuid::Uuid;

use super::inputs::Inputs;
use super::pace::Pace;
use super::writing::{Writing, Written};
use crate::date::date_text;
use crate::delta::{ActiveFile, AddFile, Appended, COMPACT, Rewrite, TableLog};
use crate::error::LakeError;
use crate::store::Store;
use crate::table::PARTITION;

/// How a merge ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// One file is in the place of others.
    Merged {
        /// Those that are gone.
        used: Vec<ActiveFile>,
        /// The one that came.
        made: ActiveFile,
    },
    /// Somebody else was first: the files are as they were left.
    GaveWay,
    /// There were not two files that can be merged.
    Nothing,
}

/// How it ended, and what could not be merged, with the reason.
#[derive(Debug)]
pub(crate) struct Rewritten {
    pub(crate) outcome: Outcome,
    pub(crate) left: Vec<(ActiveFile, LakeError)>,
}

/// A table while its files are merged.
pub(crate) struct Place<'a> {
    pub(crate) lake: &'a Store,
    pub(crate) log: &'a mut TableLog,
    /// Files that are not in the order that they say.
    pub(crate) distrusted: &'a HashSet<String>,
    pub(crate) pace: &'a mut Pace,
}

impl Place<'_> {
    /// Merges `files` of one date of the table whose log this is; they are part of the table at the log's version.
    ///
    /// # Errors
    /// [`LakeError::Disorder`], [`LakeError::Unproven`], [`LakeError::Stopped`]: nothing was changed. Any other: as
    /// [`TableLog::rewrite`].
    pub(crate) async fn merge(
        &mut self,
        date: i32,
        files: Vec<ActiveFile>,
        now_ms: i64,
    ) -> Result<Rewritten, LakeError> {
        let table = self.log.table().clone();
        let folder = self.lake.child(&table.name);
        let mut inputs = Inputs::open(&folder, &table, files, self.distrusted).await?;
        let (used, left) = (inputs.used.clone(), std::mem::take(&mut inputs.left));
        if used.len() < 2 {
            return Ok(Rewritten { outcome: Outcome::Nothing, left });
        }
        let path = format!("{PARTITION}={}/merged-{}.parquet", date_text(date), Uuid::new_v4());
        let mut writing = Writing { folder: &folder, table: &table, pace: self.pace };
        let merged = writing.write(inputs, &path).await?;
        let written_us = writing.pace.now_us();
        crash_point::reach(Point::MergedWritten);
        writing.prove(&path, &merged).await?;
        let Written { size, rows, stats, .. } = merged;
        crash_point::reach(Point::MergedProven);
        if self.pace.is_stale(written_us) {
            folder.delete(&path).await?;
            return Ok(Rewritten { outcome: Outcome::GaveWay, left });
        }
        // As old as its newest rows: what came last is still found last, and a date is as quiet as it was.
        let modified_ms = used.iter().map(|file| file.modified_ms).max().unwrap_or(now_ms);
        let add = AddFile {
            path: path.clone(),
            partition_values: [(PARTITION.to_owned(), Some(date_text(date)))].into(),
            size,
            modification_time: modified_ms,
            data_change: false,
            stats: Some(stats),
        };
        let outcome = match self.commit(&used, &add, date, now_ms).await? {
            Committed::Ours => {
                crash_point::reach(Point::MergedCommitted);
                let (date, rows) = (Some(date), Some(rows));
                let made = ActiveFile { path, date, bytes: size, modified_ms, rows };
                Outcome::Merged { used, made }
            }
            Committed::Theirs => {
                folder.delete(&path).await?;
                Outcome::GaveWay
            }
            Committed::Unclear => Outcome::GaveWay,
        };
        Ok(Rewritten { outcome, left })
    }

    async fn commit(
        &mut self,
        used: &[ActiveFile],
        add: &AddFile,
        date: i32,
        now_ms: i64,
    ) -> Result<Committed, LakeError> {
        let app = format!("{COMPACT}{}/{}", self.log.table().name, date_text(date));
        let next = self.log.txn(&app) + 1;
        let removes: Vec<_> = used.iter().map(|file| file.removal(false, now_ms)).collect();
        let rewrite = Rewrite {
            operation: "OPTIMIZE",
            removes: &removes,
            adds: std::slice::from_ref(add),
            txns: [(app, next)].into(),
            now_ms,
        };
        match self.log.rewrite(self.lake, &rewrite).await {
            Ok(Appended::At(_)) => Ok(Committed::Ours),
            Ok(Appended::Conflict) => Ok(Committed::Theirs),
            Ok(Appended::Reloaded) => Ok(Committed::Unclear),
            // Somebody widened the table: the files are merged another time, with its columns.
            Err(LakeError::Changed { .. }) => Ok(Committed::Theirs),
            Err(error) => Err(error),
        }
    }
}

/// Whose commit counts.
enum Committed {
    Ours,
    /// What we wrote is known nowhere.
    Theirs,
    /// It may have been committed behind the log's start: the sweep sees whether the table knows our file.
    Unclear,
}
