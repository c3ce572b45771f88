//! Looks at everything of a lake: logs, ledger against tables, data files, plans. Reads only, and says all that it finds.
//!
//! Memory grows with the files of the largest table. What ingest lands meanwhile may be reported as missing: let it rest, or
//! look twice.

mod rows;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use service_runtime::Boxed;

use crate::books;
use crate::delta::{self, TableLog};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::landing;
use crate::ledger;
use crate::maintain::{ARCHIVE_MOVE_APP, ARCHIVED_ROWS_APP, RETIRED_ROWS_APP};
use crate::reader;
use crate::table::Table;
use crate::tables::landings;
use crate::whole;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The table.
    pub table: String,
    /// What is wrong with it.
    pub problem: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What a check looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Logs, plans, names and sizes of files.
    Files,
    /// Also every row's identity: reads four columns of every file.
    Rows,
}

const RESTORE: &str =
    "restore the whole lake from a backup (docs/operations.md, Backup and restore)";
const LOST_FILES: &str = "put the files back from a copy of the lake; without one their rows are lost: restore the whole lake, or begin a new one";
const UNAPPLIED: &str =
    "start ingest for that lane: it applies the landing; if one runs, look again in a minute";
const UNMOVED: &str = "run `tidemark maintain`: it finishes what somebody was killed at";
const DOUBLED: &str = "another program rewrote files beside `tidemark maintain`: bring the table back to the version before (RESTORE in delta-rs or Spark) and keep that program off";
const UNEVEN: &str = "look again while ingest rests; if it stays, a table was changed by another program: RESTORE it to the version before, or restore the whole lake";
const ANEW: &str =
    "remove the folder of this view: the next run of `tidemark maintain` makes it anew";

/// What a check saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Data files that are there, over all tables.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// What is wrong; none: the lake is one whole.
    pub findings: Vec<Finding>,
}

/// Looks at the whole lake.
///
/// # Errors
/// [`LakeError::Store`] and what else keeps it from looking; what it finds is no error.
pub async fn run(lake: &Lake) -> Result<Checked, LakeError> {
    run_to(lake, Depth::Rows).await
}

/// As [`run`], to that depth.
///
/// # Errors
/// As [`run`].
pub fn run_to(lake: &Lake, depth: Depth) -> Boxed<'_, Result<Checked, LakeError>> {
    Box::pin(everything(lake, depth))
}

async fn everything(lake: &Lake, depth: Depth) -> Result<Checked, LakeError> {
    let mut check = Check { lake, depth, checked: Checked::default() };
    let catalog = lake.catalog();
    let mut logs = HashMap::new();
    for table in catalog.tables() {
        if let Some(log) = check.log(table).await? {
            logs.insert(table.name.to_string(), log);
        }
    }
    let retired = logs.iter().map(|(name, log)| (name.clone(), log.txn(RETIRED_ROWS_APP)));
    let retired: HashMap<String, i64> = retired.collect();
    // With a broken ledger there is nothing to hold the rest against.
    if let Some(mut ledger) = logs.remove(landings::NAME) {
        ledger.refresh().await?;
        check.agree(&ledger, &mut logs).await?;
        check.last_plans(&ledger, &logs).await?;
        check.sources(&ledger).await?;
    }
    let counted = check.counted().await?;
    for table in catalog.tables() {
        let retired = retired.get(table.name.as_ref()).copied().unwrap_or(0).cast_unsigned();
        let sum = counted.as_ref().filter(|_| table.name != landings::NAME);
        let sum = sum.map(|sums| sums.get(table.name.as_ref()).copied().unwrap_or(0));
        check.files(table, sum.map(|sum| (sum, "the ledger counts")), retired).await?;
    }
    check.archives().await?;
    for view in catalog.views() {
        if TableLog::load(lake.store(), view).await.is_ok_and(|log| log.is_none()) {
            continue;
        }
        if check.log(view).await?.is_some() {
            check.files(view, None, 0).await?;
        }
    }
    Ok(check.checked)
}

struct Check<'a> {
    lake: &'a Lake,
    depth: Depth,
    checked: Checked,
}

impl Check<'_> {
    fn find(&mut self, table: &Table, problem: impl Into<String>, remedy: &'static str) {
        let view = self.lake.catalog().views().iter().any(|view| view.name == table.name);
        let remedy = if view { ANEW } else { remedy };
        let (table, problem) = (table.name.to_string(), problem.into());
        self.checked.findings.push(Finding { table, problem, remedy });
    }

    /// Takes what is wrong with a table for a finding, and what keeps us from looking for an error.
    fn found<T>(
        &mut self,
        table: &Table,
        result: Result<T, LakeError>,
    ) -> Result<Option<T>, LakeError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(LakeError::NotWhole { reason, .. }) => {
                self.find(table, reason, RESTORE);
                Ok(None)
            }
            Err(
                error @ (LakeError::Damaged { .. }
                | LakeError::Missing { .. }
                | LakeError::File { .. }
                | LakeError::Unreadable { .. }
                | LakeError::Schema { .. }
                | LakeError::Unsupported { .. }),
            ) => {
                self.find(table, error.to_string(), RESTORE);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn log(&mut self, table: &Arc<Table>) -> Result<Option<TableLog>, LakeError> {
        let loaded = TableLog::load(self.lake.store(), table).await;
        let Some(mut log) = self.found(table, loaded)?.flatten() else {
            if self.checked.findings.iter().all(|finding| finding.table != table.name) {
                self.find(table, "it is not there", RESTORE);
            }
            return Ok(None);
        };
        self.found(table, log.fit().growable(table))?;
        let ends = log.end_is_the_end(self.lake.store()).await;
        Ok(self.found(table, ends)?.map(|()| log))
    }

    async fn agree(
        &mut self,
        ledger: &TableLog,
        logs: &mut HashMap<String, TableLog>,
    ) -> Result<(), LakeError> {
        for table in self.lake.catalog().tables() {
            let Some(log) = logs.get_mut(table.name.as_ref()) else { continue };
            if let Some(reason) = whole::ahead(ledger.txns(), log.txns()) {
                self.find(table, reason, RESTORE);
            }
            log.refresh().await?;
            if let Some(reason) = whole::behind(&table.name, ledger.txns(), log.txns()) {
                self.find(table, reason, RESTORE);
            }
        }
        Ok(())
    }

    /// Only the last landing of a lane may not be applied.
    async fn last_plans(
        &mut self,
        ledger: &TableLog,
        logs: &HashMap<String, TableLog>,
    ) -> Result<(), LakeError> {
        let last = landing::lanes(ledger.txns());
        let plans = ledger::last_plans(self.lake.store(), self.lake.catalog().ledger(), last).await;
        let plans = self.found(self.lake.catalog().ledger(), plans)?;
        for plan in plans.into_iter().flatten() {
            for name in plan.tables.keys() {
                let (table, log) = (self.lake.catalog().get(name), logs.get(name));
                let Some((table, log)) = table.zip(log) else { continue };
                if !landing::applied(&plan, |app| log.txn(app)) {
                    let lanes: Vec<String> = plan.lanes.keys().map(u8::to_string).collect();
                    let (id, lanes) = (plan.landing, lanes.join(", "));
                    let problem =
                        format!("landing {id} of lane {lanes} was decided and is not in it");
                    self.find(table, problem, UNAPPLIED);
                }
            }
        }
        Ok(())
    }

    /// The ledger's rows must end where its log says that the sources are.
    async fn sources(&mut self, ledger: &TableLog) -> Result<(), LakeError> {
        let ledger_table = ledger.table();
        let rows = match self.lake.scan(landings::NAME, &books::COLUMNS).await {
            Ok(rows) => books::add_up(rows).await,
            Err(error) => Err(error),
        };
        let Some(books) = self.found(ledger_table, rows)? else { return Ok(()) };
        let mut positions = landing::positions(ledger.txns());
        for book in books {
            let at = positions.remove(&book.key).map_or(0, |position| position.landed);
            // A landing may have been decided since.
            if at > book.landed {
                let (id, epoch) = (&book.key.source_id, book.key.epoch);
                let rows = book.landed;
                self.find(
                    ledger_table,
                    format!(
                        "source {id}, epoch {epoch:016x}: its log says {at}, its rows end at {rows}"
                    ),
                    RESTORE,
                );
            }
        }
        for (key, at) in positions {
            let (id, epoch) = (&key.source_id, key.epoch);
            let at = at.landed;
            self.find(
                ledger_table,
                format!("source {id}, epoch {epoch:016x}: its log says {at}, there are no rows"),
                RESTORE,
            );
        }
        Ok(())
    }

    /// Rows of each table by the ledger.
    async fn counted(&mut self) -> Result<Option<HashMap<String, u64>>, LakeError> {
        let add_up = async {
            let mut rows = self.lake.scan(landings::NAME, &["table_name", "row_count"]).await?;
            let mut sums: HashMap<String, u64> = HashMap::new();
            while let Some(batch) = rows.try_next().await? {
                let names = batch.column(0).as_string::<i32>();
                let counts = batch.column(1).as_primitive::<Int64Type>();
                for (name, count) in names.iter().zip(counts.values()) {
                    if let Some(name) = name {
                        *sums.entry(name.to_owned()).or_default() += count.cast_unsigned();
                    }
                }
            }
            Ok(sums)
        };
        // What is wrong with the ledger was found before.
        let sums: Result<_, LakeError> = add_up.await;
        Ok(sums.ok())
    }

    /// Every archive has what left its table for it.
    async fn archives(&mut self) -> Result<(), LakeError> {
        let (store, catalog) = (self.lake.store(), self.lake.catalog());
        for archive in catalog.archives() {
            let table = archive.archive_of().and_then(|table| catalog.get(table));
            // Of a table whose log cannot be read it was found before.
            let log = match table {
                Some(table) => TableLog::load(store, table).await.ok().flatten(),
                None => None,
            };
            let of_table = |app| log.as_ref().map(|log| log.txn(app));
            let decided = of_table(ARCHIVE_MOVE_APP).unwrap_or(0);
            if decided == 0 && TableLog::load(store, archive).await.is_ok_and(|log| log.is_none()) {
                continue;
            }
            let Some(own) = self.log(archive).await? else { continue };
            if own.txn(ARCHIVE_MOVE_APP) < decided {
                self.find(archive, "rows that left its table for it are not in it", UNMOVED);
            }
            let given = own.txn(ARCHIVED_ROWS_APP).cast_unsigned();
            let moved = of_table(ARCHIVED_ROWS_APP).map_or(given, i64::cast_unsigned);
            if own.txn(ARCHIVE_MOVE_APP) == decided && given != moved {
                let problem = format!("{moved} rows left its table for it, it was given {given}");
                self.find(archive, problem, RESTORE);
            }
            let retired = own.txn(RETIRED_ROWS_APP).cast_unsigned();
            self.files(archive, Some((given, "what it was given is")), retired).await?;
        }
        Ok(())
    }

    async fn files(
        &mut self,
        table: &Arc<Table>,
        counted: Option<(u64, &'static str)>,
        retired: u64,
    ) -> Result<(), LakeError> {
        let files = delta::files(self.lake.store(), table).await;
        let Some((mut files, _)) = self.found(table, files)? else { return Ok(()) };
        reader::count_unsaid(self.lake.store(), table, &mut files).await;
        let stored = self.lake.store().list(&table.name).await?;
        let stored: HashMap<String, u64> =
            stored.into_iter().map(|object| (object.path, object.size)).collect();
        let path = |file: &delta::FileInfo| format!("{}/{}", table.name, file.path);
        let mut missing = Vec::new();
        for file in &files {
            match stored.get(&path(file)) {
                Some(bytes) if *bytes == file.bytes => {
                    self.checked.files += 1;
                    self.checked.rows += file.rows;
                }
                Some(_) => missing.push(format!("`{}` has another size", file.path)),
                None => missing.push(format!("`{}` is gone", file.path)),
            }
        }
        if let Some(first) = missing.first() {
            let (number, all) = (missing.len(), files.len());
            self.find(
                table,
                format!(
                    "{number} of {all} data files are not what its log says, the first: {first}"
                ),
                LOST_FILES,
            );
        }
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        if let Some((sum, by)) = counted.filter(|(sum, _)| rows + retired != *sum) {
            let gone = match retired {
                0 => String::new(),
                retired => format!(" and {retired} that left it (retention, erasure, archive)"),
            };
            let problem = format!("its log has {rows} rows{gone}, {by} {sum}");
            self.find(table, problem, UNEVEN);
        }
        if self.depth == Depth::Rows && missing.is_empty() {
            self.rows(table, &files).await?;
        }
        Ok(())
    }

    async fn rows(
        &mut self,
        table: &Arc<Table>,
        files: &[delta::FileInfo],
    ) -> Result<(), LakeError> {
        let seen = rows::all(self.lake.store(), table, files).await?;
        if let Some((path, problem)) = seen.bad.first() {
            let (number, all) = (seen.bad.len(), files.len());
            let problem = format!(
                "{number} of {all} data files do not hold what its log says, the first: `{path}`, {problem}"
            );
            self.find(table, problem, LOST_FILES);
        }
        if seen.doubled > 0 {
            let problem = format!("{} rows are there more than once", seen.doubled);
            self.find(table, problem, DOUBLED);
        }
        Ok(())
    }
}
