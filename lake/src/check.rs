//! Looks at everything of a lake: logs, ledger against tables, data files, plans. Reads only, and says all that it finds.
//!
//! Memory grows with the files of the largest table. What ingest lands meanwhile may be reported as missing: let it rest, or
//! look twice.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;

use crate::books;
use crate::delta::{self, TableLog};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::landing;
use crate::ledger;
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
}

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
    let mut check = Check { lake, checked: Checked::default() };
    let catalog = lake.catalog();
    let mut logs = HashMap::new();
    for table in catalog.tables() {
        if let Some(log) = check.log(table).await? {
            logs.insert(table.name.to_string(), log);
        }
    }
    // With a broken ledger there is nothing to hold the rest against.
    if let Some(mut ledger) = logs.remove(landings::NAME) {
        ledger.refresh().await?;
        check.agree(&ledger, &mut logs).await?;
        check.last_plans(&ledger).await?;
        check.sources(&ledger).await?;
    }
    let counted = check.counted().await?;
    for table in catalog.tables() {
        check.files(table, counted.as_ref()).await?;
    }
    Ok(check.checked)
}

struct Check<'a> {
    lake: &'a Lake,
    checked: Checked,
}

impl Check<'_> {
    fn find(&mut self, table: &Table, problem: impl Into<String>) {
        self.checked
            .findings
            .push(Finding { table: table.name.to_string(), problem: problem.into() });
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
                self.find(table, reason);
                Ok(None)
            }
            Err(
                error @ (LakeError::Damaged { .. }
                | LakeError::Delta { .. }
                | LakeError::File { .. }
                | LakeError::Schema { .. }
                | LakeError::Unsupported { .. }),
            ) => {
                self.find(table, error.to_string());
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn log(&mut self, table: &Arc<Table>) -> Result<Option<TableLog>, LakeError> {
        let loaded = TableLog::load(self.lake.store(), table).await;
        let Some(mut log) = self.found(table, loaded)?.flatten() else {
            if self.checked.findings.iter().all(|finding| finding.table != table.name) {
                self.find(table, "it is not there");
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
                self.find(table, reason);
            }
            log.refresh().await?;
            if let Some(reason) = whole::behind(&table.name, ledger.txns(), log.txns()) {
                self.find(table, reason);
            }
        }
        Ok(())
    }

    async fn last_plans(&mut self, ledger: &TableLog) -> Result<(), LakeError> {
        let last = landing::lanes(ledger.txns());
        let plans = ledger::last_plans(self.lake.store(), self.lake.catalog().ledger(), last).await;
        self.found(self.lake.catalog().ledger(), plans)?;
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
                );
            }
        }
        for (key, at) in positions {
            let (id, epoch) = (&key.source_id, key.epoch);
            let at = at.landed;
            self.find(
                ledger_table,
                format!("source {id}, epoch {epoch:016x}: its log says {at}, there are no rows"),
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

    async fn files(
        &mut self,
        table: &Table,
        counted: Option<&HashMap<String, u64>>,
    ) -> Result<(), LakeError> {
        let files = delta::files(self.lake.store(), table).await;
        let Some((files, _)) = self.found(table, files)? else { return Ok(()) };
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
            );
        }
        let rows: u64 = files.iter().map(|file| file.rows).sum();
        let sum =
            counted.and_then(|counted| counted.get(table.name.as_ref())).copied().unwrap_or(0);
        if table.name != landings::NAME && counted.is_some() && rows != sum {
            self.find(table, format!("its log has {rows} rows, the ledger counts {sum}"));
        }
        Ok(())
    }
}
