//! Takes all that is known of one patient out of a lake: rows, the messages that they came as, views, and the files that held them.
//!
//! Each table is gone through file by file: what stays of a file is written anew and put in its place by one commit, of messages as they
//! came, and of alerts, before what the messages became, so that whoever is killed in between still finds them by it. Then the views
//! are made again, and every object that is no part of its table is deleted at once, whatever its age: older versions of the tables
//! cannot be read any more. At the end all that is left is read once more, as the proof.

mod objects;
mod rows;
mod subject;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crash_point::Point;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use service_runtime::Boxed;
use uuid::Uuid;

use crate::date::date_text;
use crate::delta::{ActiveFile, AddFile, Appended, Rewrite, TableLog, date_in};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::landing::AGE_MAX_US;
use crate::maintain::{self, RETIRED_ROWS_APP};
use crate::parquet::{Ending, Sink, WholeFile, view_schema};
use crate::store::{PART_BYTES, Store, Upload};
use crate::table::{ARCHIVE, PARTITION, Table};
use crate::tables::landings;
use crate::views;
use rows::{Messages, Rows, goes_with, identities};

pub use subject::{NotAnId, Subject};

/// Where records of what was done are.
const FOLDER: &str = "_tidemark/erasures";
const READ_ROWS: usize = 8 * 1024;
/// Messages of one patient that are held at most; of more, those as they came are found by what they say alone.
const MESSAGES_MAX: usize = 4_000_000;
/// How often somebody else may be first at a table.
const TRIES: u32 = 16;

/// Files of a table that were read, and how many rows of each speak of the patient.
type Seen = HashMap<String, u64>;

/// What was done to one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedTable {
    /// Rows that went, or would go.
    pub rows: u64,
    /// Files that held them.
    pub files: u64,
    /// Objects that were deleted.
    pub deleted: u64,
    /// Objects that may be of a landing under way: who they are of is seen by the next run.
    pub young: u64,
    /// Rows that still speak of the patient, in whatever object. More than 0: it was not done.
    pub left: u64,
    /// Rows in which the id stands, without anything that says that it is a patient's. Only of ids that are long.
    pub elsewhere: u64,
}

/// What was done, for the books. The patient is not named in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Its own name.
    pub id: String,
    /// When, Unix microseconds.
    pub at_us: i64,
    /// What whoever asked for it calls it.
    pub reference: String,
    /// Each table that had something, or has.
    pub tables: BTreeMap<String, ErasedTable>,
    /// Nothing is left, and nothing has to be looked at again.
    pub complete: bool,
}

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Erase<'a> {
    /// Who.
    pub subject: &'a Subject,
    /// For the books; must not name the patient.
    pub reference: &'a str,
    /// Only count.
    pub dry_run: bool,
    /// Tables that nothing may be removed from.
    pub legal_hold: &'a [String],
}

impl Erase<'_> {
    /// Does it, and keeps a record of it. `told` hears the name of each table as it is begun.
    ///
    /// # Errors
    /// [`LakeError::Held`] if a table with such rows is on legal hold; else as reading and committing do: what is gone is gone, the
    /// next run goes on.
    pub fn run<'a>(
        &'a self,
        lake: &'a Lake,
        now_us: i64,
        told: &'a (dyn Fn(&str) + Sync),
    ) -> Boxed<'a, Result<Erasure, LakeError>> {
        Box::pin(self.everything(lake, now_us, told))
    }

    async fn everything(
        &self,
        lake: &Lake,
        now_us: i64,
        told: &(dyn Fn(&str) + Sync),
    ) -> Result<Erasure, LakeError> {
        let mut came_as = Messages::new();
        if !self.dry_run {
            // What is on its way into an archive is in no table.
            maintain::finish_moves(lake, now_us).await?;
        }
        // What moves into an archive meanwhile is found there: it comes behind its table.
        let all = lake.catalog().of_rows().iter().chain(lake.catalog().archives());
        let (with, rows): (Vec<_>, Vec<_>) = all.partition(|table| goes_with(table).is_some());
        let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
        // What messages became says which of them go as they came, and which alerts.
        for table in rows.iter().chain(&with) {
            told(&table.name);
            seen.insert(&table.name, self.look_through(lake, table, &mut came_as).await?);
        }
        self.holds(&seen)?;
        let mut erasure = Erasure {
            id: Uuid::new_v4().to_string(),
            at_us: now_us,
            reference: self.reference.to_owned(),
            ..Erasure::default()
        };
        if self.dry_run {
            for (table, seen) in seen {
                let found = seen.values().filter(|found| **found > 0);
                let (rows, files) = (found.clone().sum(), found.count() as u64);
                let done = ErasedTable { rows, files, ..ErasedTable::default() };
                erasure.tables.insert(table.to_owned(), done);
            }
        } else {
            // So they go first: who is killed finds them again, by rows that are still there.
            self.record(lake, &erasure).await?;
            // Of which one says more than another knew: they are read again.
            with.iter().for_each(|table| drop(seen.remove(table.name.as_ref())));
            for table in with.into_iter().chain(rows) {
                let seen = seen.remove(table.name.as_ref()).unwrap_or_default();
                self.table(lake, table, seen, &mut came_as, &mut erasure).await?;
            }
            self.clean(lake, &mut erasure, now_us, told).await?;
        }
        erasure.tables.retain(|_, done| *done != ErasedTable::default());
        let done = |table: &ErasedTable| table.left + table.young == 0;
        erasure.complete = !self.dry_run && erasure.tables.values().all(done);
        if !self.dry_run {
            self.record(lake, &erasure).await?;
            crash_point::reach(Point::EraseRecorded);
        }
        Ok(erasure)
    }

    /// Keeps a record of what is done so far: who is killed leaves one that says that it is not complete.
    async fn record(&self, lake: &Lake, erasure: &Erasure) -> Result<(), LakeError> {
        let record = serde_json::to_vec(erasure).expect("it has string keys and numbers only");
        lake.store().put(&format!("{FOLDER}/{}.json", erasure.id), record.into()).await
    }

    /// Makes the views again, deletes what is no part of any table, and looks whether something is left.
    async fn clean(
        &self,
        lake: &Lake,
        erasure: &mut Erasure,
        now_us: i64,
        told: &(dyn Fn(&str) + Sync),
    ) -> Result<(), LakeError> {
        maintain::finish_moves(lake, now_us).await?;
        for view in lake.catalog().views() {
            if TableLog::load(lake.store(), view).await?.is_some() {
                told(&view.name);
                views::run(lake, view, now_us).await?;
            }
        }
        let planned = objects::planned(lake).await?;
        for table in lake.catalog().all().filter(|table| table.name != landings::NAME) {
            let done = erasure.tables.entry(table.name.to_string()).or_default();
            let young_us = now_us - 2 * AGE_MAX_US;
            (done.deleted, done.young) =
                objects::sweep(lake, table, &planned, young_us.div_euclid(1000)).await?;
            (done.left, done.elsewhere) = self.look(lake, table).await?;
        }
        Ok(())
    }

    /// Before anything is removed: does a table that is on hold have such rows?
    fn holds(&self, seen: &BTreeMap<&str, Seen>) -> Result<(), LakeError> {
        let is_held = |table: &str| {
            let name = table.strip_suffix(ARCHIVE).unwrap_or(table);
            self.legal_hold.iter().any(|held| held == name || held == "*")
        };
        let has = |seen: &Seen| seen.values().any(|found| *found > 0);
        match seen.iter().find(|(table, seen)| is_held(table) && has(seen)) {
            Some((table, _)) => Err(LakeError::Held { table: (*table).to_owned() }),
            None => Ok(()),
        }
    }

    /// Reads all files of a table, and changes nothing.
    async fn look_through(
        &self,
        lake: &Lake,
        table: &Arc<Table>,
        came_as: &mut Messages,
    ) -> Result<Seen, LakeError> {
        let mut seen = Seen::new();
        let loaded = TableLog::load_with_files(lake.store(), table).await?;
        for file in loaded.into_iter().flat_map(|(_, active)| active.into_files()) {
            let found = self.find(lake.store(), table, &file, came_as).await?;
            seen.insert(file.path, found);
        }
        Ok(seen)
    }

    /// Takes the rows out of a table, and counts them.
    async fn table(
        &self,
        lake: &Lake,
        table: &Arc<Table>,
        mut seen: Seen,
        came_as: &mut Messages,
        erasure: &mut Erasure,
    ) -> Result<(), LakeError> {
        let (mut lost, now_us) = (0, erasure.at_us);
        'again: loop {
            let Some((mut log, active)) = TableLog::load_with_files(lake.store(), table).await?
            else {
                return Ok(());
            };
            for file in active.into_files() {
                let found = match seen.get(&file.path) {
                    Some(found) => *found,
                    None => self.find(lake.store(), table, &file, came_as).await?,
                };
                if found == 0 {
                    seen.insert(file.path, 0);
                    continue;
                }
                match self.rewrite(lake.store(), &mut log, &file, came_as, now_us).await? {
                    Some((made, gone)) => {
                        let done = erasure.tables.entry(table.name.to_string()).or_default();
                        done.rows += gone;
                        done.files += 1;
                        seen.extend([(file.path, 0), (made, 0)]);
                        self.record(lake, erasure).await?;
                    }
                    None if lost < TRIES => {
                        // Somebody merged it: its rows are in another file now.
                        lost += 1;
                        continue 'again;
                    }
                    None => {
                        let (table, version) = (table.name.to_string(), log.version());
                        return Err(LakeError::Changed { table, version });
                    }
                }
            }
            return Ok(());
        }
    }

    /// How many rows of a file speak of the patient; takes note of their messages.
    async fn find(
        &self,
        lake: &Store,
        table: &Arc<Table>,
        file: &ActiveFile,
        came_as: &mut Messages,
    ) -> Result<u64, LakeError> {
        let folder = lake.child(&table.name);
        let path = folder.path(&file.path);
        let mut batches =
            WholeFile::open(&folder, table, path, file.bytes, None).await?.stream(READ_ROWS)?;
        let (rows, mut found) = (Rows { table, subject: self.subject }, 0);
        while let Some(batch) = batches.try_next().await? {
            let matches = rows.matches(&batch, came_as);
            found += matches.iter().map(|found| u64::from(*found)).sum::<u64>();
            if matches.contains(&true) && came_as.len() < MESSAGES_MAX {
                let messages = identities(&batch).into_iter().zip(&matches);
                came_as.extend(
                    messages.filter(|(_, found)| **found).filter_map(|(message, _)| message),
                );
            }
        }
        Ok(found)
    }

    /// Puts what stays of a file in its place; returns the new file, empty if nothing stays, and how many rows went. `None`: somebody
    /// else was first.
    async fn rewrite(
        &self,
        lake: &Store,
        log: &mut TableLog,
        file: &ActiveFile,
        came_as: &Messages,
        now_us: i64,
    ) -> Result<Option<(String, u64)>, LakeError> {
        let (table, now_ms) = (log.table().clone(), now_us.div_euclid(1000));
        let folder = lake.child(&table.name);
        let (kept, gone) = self.keep(&folder, &table, file, came_as, now_ms).await?;
        crash_point::reach(Point::KeptWritten);
        let (removes, adds) = ([file.removal(true, now_ms)], Vec::from_iter(kept));
        let before = log.txn(RETIRED_ROWS_APP);
        let rewrite = Rewrite {
            operation: "DELETE",
            removes: &removes,
            adds: &adds,
            txns: [(RETIRED_ROWS_APP.to_owned(), before.saturating_add_unsigned(gone))].into(),
            now_ms,
        };
        let made = adds.first().map(|add| add.path.clone()).unwrap_or_default();
        match log.rewrite(lake, &rewrite).await {
            Ok(Appended::At(_)) => {
                crash_point::reach(Point::EraseCommitted);
                Ok(Some((made, gone)))
            }
            Ok(Appended::Reloaded) => Ok(None),
            Ok(Appended::Conflict) | Err(LakeError::Changed { .. }) => {
                if !made.is_empty() {
                    folder.delete(&made).await?;
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes what stays of a file, if anything does, and counts what does not.
    async fn keep(
        &self,
        folder: &Store,
        table: &Arc<Table>,
        file: &ActiveFile,
        came_as: &Messages,
        now_ms: i64,
    ) -> Result<(Option<AddFile>, u64), LakeError> {
        let whole =
            WholeFile::open(folder, table, folder.path(&file.path), file.bytes, None).await?;
        let mut sink = Sink::new(table, &view_schema(table), whole.rows())?;
        let (mut batches, rows) = (whole.stream(READ_ROWS)?, Rows { table, subject: self.subject });
        let date = file.date.or_else(|| date_in(&file.path)).map(date_text);
        let path = format!(
            "{PARTITION}={}/kept-{}.parquet",
            date.clone().unwrap_or_default(),
            Uuid::new_v4()
        );
        let (mut upload, mut gone) = (Upload::new(folder, &path), 0);
        while let Some(batch) = batches.try_next().await? {
            let matches = rows.matches(&batch, came_as);
            gone += matches.iter().map(|found| u64::from(*found)).sum::<u64>();
            let stay = matches.into_iter().map(|found| Some(!found));
            let stay = arrow::compute::filter_record_batch(&batch, &stay.collect());
            sink.write(&stay.map_err(|error| LakeError::file("encode", &table.name, error))?)?;
            if sink.ready() >= PART_BYTES {
                upload.write(&sink.take()).await?;
            }
        }
        let Ending { bytes, stats, rows } = sink.finish()?;
        if rows == 0 {
            upload.abort().await;
            return Ok((None, gone));
        }
        upload.write(&bytes).await?;
        let add = AddFile {
            path,
            partition_values: [(PARTITION.to_owned(), date)].into(),
            size: upload.finish().await?,
            modification_time: now_ms,
            data_change: true,
            stats: Some(stats),
        };
        Ok((Some(add), gone))
    }

    /// Reads every object of a table that is there: rows that speak of the patient, and rows in which a long id stands.
    async fn look(&self, lake: &Lake, table: &Arc<Table>) -> Result<(u64, u64), LakeError> {
        let (folder, prefix) = (lake.store().child(&table.name), format!("{}/", table.name));
        let rows = Rows { table, subject: self.subject };
        let (mut left, mut elsewhere) = (0, 0);
        for object in lake.store().list(&table.name).await? {
            let path = object.path.strip_prefix(&prefix).unwrap_or_default();
            // Files of others may be in no folder of a date: what is read is every one.
            if path.starts_with("_delta_log/") || !path.ends_with(".parquet") {
                continue;
            }
            let whole =
                WholeFile::open(&folder, table, folder.path(path), object.size, None).await?;
            let mut batches = whole.stream(READ_ROWS)?;
            while let Some(batch) = batches.try_next().await? {
                let matches = rows.matches(&batch, &Messages::new());
                let found = matches.into_iter().map(u64::from).sum::<u64>();
                left += found;
                elsewhere += if self.subject.is_long() { rows.stands(&batch) - found } else { 0 };
            }
        }
        Ok((left, elsewhere))
    }
}
