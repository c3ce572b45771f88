//! Takes all that is known of one patient out of a lake: rows, the messages that they came as, views, and the files that held them.
//!
//! Each table is gone through file by file: what stays of a file is written anew and put in its place by one commit. Then the views
//! are made again, and every object that is no part of its table is deleted at once, whatever its age: older versions of the tables
//! cannot be read any more. At the end all that is left is read once more, as the proof.

mod rows;
mod subject;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crash_point::Point;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::date::date_text;
use crate::delta::{ActiveFile, AddFile, Appended, Rewrite, TableLog, date_in};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::landing::{self, AGE_MAX_US};
use crate::ledger;
use crate::maintain::RETIRED_ROWS_APP;
use crate::parquet::{Ending, Sink, WholeFile, view_schema};
use crate::store::{PART_BYTES, Store, Upload};
use crate::table::{PARTITION, Table};
use crate::tables::{dead_letters, landings, messages};
use crate::views;
use rows::{Messages, Rows, identities};

pub use subject::{NotAnId, Subject};

/// Where records of what was done are.
const FOLDER: &str = "_tidemark/erasures";
const READ_ROWS: usize = 8 * 1024;
/// Messages of one patient that are held at most; of more, those as they came are found by what they say alone.
const MESSAGES_MAX: usize = 4_000_000;
/// How often somebody else may be first at a table.
const TRIES: u32 = 16;

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
    pub async fn run(
        &self,
        lake: &Lake,
        now_us: i64,
        told: &(dyn Fn(&str) + Sync),
    ) -> Result<Erasure, LakeError> {
        let (mut tables, mut came_as) = (BTreeMap::new(), Messages::new());
        let raw =
            |table: &Table| [messages::NAME, dead_letters::NAME].contains(&table.name.as_ref());
        let all: Vec<&Arc<Table>> = lake.catalog().of_rows().iter().collect();
        self.holds(lake, &all, now_us).await?;
        // What messages became first: it says which messages go as they came.
        let (after, first): (Vec<_>, Vec<_>) = all.into_iter().partition(|table| raw(table));
        for table in first.into_iter().chain(after) {
            told(&table.name);
            let done = self.table(lake, table, &mut came_as, now_us).await?;
            tables.insert(table.name.to_string(), done);
        }
        let mut erasure = Erasure {
            id: Uuid::new_v4().to_string(),
            at_us: now_us,
            reference: self.reference.to_owned(),
            tables,
            complete: false,
        };
        if !self.dry_run {
            self.clean(lake, &mut erasure, now_us, told).await?;
        }
        erasure.tables.retain(|_, done| *done != ErasedTable::default());
        let done = |table: &ErasedTable| table.left + table.young == 0;
        erasure.complete = !self.dry_run && erasure.tables.values().all(done);
        if !self.dry_run {
            let record = serde_json::to_vec(&erasure).expect("it has string keys and numbers only");
            lake.store().put(&format!("{FOLDER}/{}.json", erasure.id), record.into()).await?;
        }
        Ok(erasure)
    }

    /// Makes the views again, deletes what is no part of any table, and looks whether something is left.
    async fn clean(
        &self,
        lake: &Lake,
        erasure: &mut Erasure,
        now_us: i64,
        told: &(dyn Fn(&str) + Sync),
    ) -> Result<(), LakeError> {
        for view in lake.catalog().views() {
            if TableLog::load(lake.store(), view).await?.is_some() {
                told(&view.name);
                views::run(lake, view, now_us).await?;
            }
        }
        let planned = planned(lake).await?;
        for table in lake.catalog().all().filter(|table| table.name != landings::NAME) {
            let done = erasure.tables.entry(table.name.to_string()).or_default();
            let young_us = now_us - 2 * AGE_MAX_US;
            (done.deleted, done.young) =
                sweep(lake, table, &planned, young_us.div_euclid(1000)).await?;
            (done.left, done.elsewhere) = self.look(lake, table).await?;
        }
        Ok(())
    }

    /// Before anything is removed: does a table that is on hold have such rows?
    async fn holds(
        &self,
        lake: &Lake,
        tables: &[&Arc<Table>],
        now_us: i64,
    ) -> Result<(), LakeError> {
        let is_held =
            |table: &Table| self.legal_hold.iter().any(|held| *held == table.name || held == "*");
        let dry = Self { dry_run: true, ..*self };
        for table in tables.iter().filter(|table| is_held(table)) {
            if dry.table(lake, table, &mut Messages::new(), now_us).await?.rows > 0 {
                return Err(LakeError::Held { table: table.name.to_string() });
            }
        }
        Ok(())
    }

    async fn table(
        &self,
        lake: &Lake,
        table: &Arc<Table>,
        came_as: &mut Messages,
        now_us: i64,
    ) -> Result<ErasedTable, LakeError> {
        let (mut done, mut lost) = (ErasedTable::default(), 0);
        let mut clear: HashSet<String> = HashSet::new();
        'again: loop {
            let Some((mut log, active)) = TableLog::load_with_files(lake.store(), table).await?
            else {
                return Ok(done);
            };
            for file in active.into_files() {
                if clear.contains(&file.path) {
                    continue;
                }
                let found = self.find(lake.store(), table, &file, came_as).await?;
                if found == 0 {
                    clear.insert(file.path);
                    continue;
                }
                if self.dry_run {
                    done.rows += found;
                    done.files += 1;
                    clear.insert(file.path);
                    continue;
                }
                match self.rewrite(lake.store(), &mut log, &file, found, came_as, now_us).await? {
                    Some(made) => {
                        done.rows += found;
                        done.files += 1;
                        clear.extend([file.path, made]);
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
            return Ok(done);
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

    /// Puts what stays of a file in its place; returns the new file, empty if nothing stays. `None`: somebody else was first.
    async fn rewrite(
        &self,
        lake: &Store,
        log: &mut TableLog,
        file: &ActiveFile,
        gone: u64,
        came_as: &Messages,
        now_us: i64,
    ) -> Result<Option<String>, LakeError> {
        let (table, now_ms) = (log.table().clone(), now_us.div_euclid(1000));
        let folder = lake.child(&table.name);
        let kept = self.keep(&folder, &table, file, came_as, now_ms).await?;
        crash_point::reach(Point::MergedWritten);
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
            Ok(Appended::At(_)) => Ok(Some(made)),
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

    async fn keep(
        &self,
        folder: &Store,
        table: &Arc<Table>,
        file: &ActiveFile,
        came_as: &Messages,
        now_ms: i64,
    ) -> Result<Option<AddFile>, LakeError> {
        let whole =
            WholeFile::open(folder, table, folder.path(&file.path), file.bytes, None).await?;
        let (mut batches, rows) = (whole.stream(READ_ROWS)?, Rows { table, subject: self.subject });
        let date = file.date.or_else(|| date_in(&file.path)).map(date_text);
        let path = format!(
            "{PARTITION}={}/kept-{}.parquet",
            date.clone().unwrap_or_default(),
            Uuid::new_v4()
        );
        let mut upload = Upload::new(folder, &path);
        let mut sink = Sink::new(table, &view_schema(table))?;
        while let Some(batch) = batches.try_next().await? {
            let stay = rows.matches(&batch, came_as).into_iter().map(|found| Some(!found));
            let stay = arrow::compute::filter_record_batch(&batch, &stay.collect());
            sink.write(&stay.map_err(|error| LakeError::file("encode", &table.name, error))?)?;
            if sink.ready() >= PART_BYTES {
                upload.write(&sink.take()).await?;
            }
        }
        let Ending { bytes, stats, rows } = sink.finish()?;
        if rows == 0 {
            upload.abort().await;
            return Ok(None);
        }
        upload.write(&bytes).await?;
        Ok(Some(AddFile {
            path,
            partition_values: [(PARTITION.to_owned(), date)].into(),
            size: upload.finish().await?,
            modification_time: now_ms,
            data_change: true,
            stats: Some(stats),
        }))
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

/// The files that landings decided on and may not have applied yet.
async fn planned(lake: &Lake) -> Result<HashSet<String>, LakeError> {
    let (store, table) = (lake.store(), lake.catalog().ledger());
    let missing =
        || LakeError::Missing { table: table.name.to_string(), url: lake.url().to_owned() };
    let log = TableLog::load(store, table).await?.ok_or_else(missing)?;
    let plans = ledger::last_plans(store, table, landing::lanes(log.txns())).await?;
    let adds = plans.iter().flat_map(|plan| {
        plan.tables
            .iter()
            .flat_map(|(table, adds)| adds.iter().map(move |add| format!("{table}/{}", add.path)))
    });
    Ok(adds.collect())
}

/// Deletes the files in a table's folder that are not part of it. Returns how many, and how many may be of a landing under way.
async fn sweep(
    lake: &Lake,
    table: &Arc<Table>,
    planned: &HashSet<String>,
    young_ms: i64,
) -> Result<(u64, u64), LakeError> {
    let store = lake.store();
    let Some((_, active)) = TableLog::load_with_files(store, table).await? else {
        return Ok((0, 0));
    };
    let (mut deleted, mut young) = (0, Vec::new());
    let prefix = format!("{}/", table.name);
    for object in store.list(&table.name).await? {
        let path = object.path.strip_prefix(&prefix).unwrap_or_default();
        let Some(date) = date_in(path).filter(|_| path.ends_with(".parquet")) else { continue };
        let known = active.known_before().is_none_or(|end| date < end);
        let waits = planned.contains(&object.path) && active.removed_ms(path).is_none();
        if active.has(path) || waits || !known {
            continue;
        }
        if active.removed_ms(path).is_none() && object.modified_ms >= young_ms {
            young.push(path.to_owned());
            continue;
        }
        store.delete(&object.path).await?;
        crash_point::reach(Point::ObjectSwept);
        deleted += 1;
    }
    if young.is_empty() {
        return Ok((deleted, 0));
    }
    // What has landed since is read like all the rest.
    let loaded = TableLog::load_with_files(store, table).await?;
    let landed = |path: &String| loaded.as_ref().is_some_and(|(_, active)| active.has(path));
    young.retain(|path| !landed(path));
    Ok((deleted, young.len() as u64))
}
