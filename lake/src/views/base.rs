//! A table that a view is made of, with its archive: its files, and what became of them since the view saw them last.
//!
//! Rows that move into the archive are no news, there as here. So a view says the same of a date before and after.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::delta::{self, Changes, FileInfo, TableLog};
use crate::error::LakeError;
use crate::listed::Listed;
use crate::store::Store;
use crate::table::Table;
use crate::tables::landings;
use crate::whole;

/// See the module.
pub(crate) struct Base {
    pub(crate) table: Arc<Table>,
    /// All its files and those of its archive, at the versions that are followed up to.
    pub(crate) files: Vec<FileInfo>,
    /// Files whose rows the view has not seen.
    pub(crate) added: Vec<FileInfo>,
    /// Dates that rows were taken out of.
    pub(crate) dates: BTreeSet<i32>,
    /// Whether it has every landing that the ledger knows.
    pub(super) is_whole: bool,
    version: u64,
    seen: Option<u64>,
    archive: Option<Archive>,
}

struct Archive {
    table: Arc<Table>,
    version: u64,
    seen: Option<u64>,
}

/// The application id whose version is that of a table up to which a view is true.
pub(super) fn app(table: &Table) -> String {
    format!("view/{}", table.name)
}

impl Base {
    /// Reads a table, its archive if there is one, and what of both is new to a view that has `seen` a table up to a version.
    ///
    /// # Errors
    /// [`LakeError::Changed`] if rows move into the archive all the time, else as reading logs does.
    pub(super) async fn load(
        store: &Store,
        table: Arc<Table>,
        archive: Option<&Arc<Table>>,
        seen: impl Fn(&Table) -> Option<u64>,
        ledger: &TableLog,
    ) -> Result<Self, LakeError> {
        let Listed { files, version, log, archived, .. } =
            Listed::settled(store, &table, archive).await?;
        let is_whole = table.name == landings::NAME
            || log.is_some_and(|log| {
                log.version() == version && whole::has_all(&table.name, ledger.txns(), log.txns())
            });
        let has_seen = seen(&table);
        let (added, dates) = (Vec::new(), BTreeSet::new());
        let mut base =
            Self { table, files, added, dates, is_whole, version, seen: None, archive: None };
        if let Some(has_seen) = has_seen
            && let Some(Changes { added, dates }) =
                delta::changes(store, &base.table, has_seen, version).await?
        {
            (base.added, base.dates, base.seen) = (added, dates, Some(has_seen));
        }
        if let (Some(archive), Some((files, version))) = (archive, archived) {
            base.files.extend(files);
            let mut own = Archive { table: archive.clone(), version, seen: None };
            // A view that never saw it saw the rows in the table.
            let from = seen(archive).unwrap_or(0);
            if let Some(changes) = delta::changes(store, archive, from, version).await? {
                base.dates.extend(changes.dates);
                own.seen = Some(from);
            }
            base.archive = Some(own);
        }
        Ok(base)
    }

    /// Whether nobody can say any more what is new.
    pub(super) fn is_unseen(&self) -> bool {
        self.seen.is_none() || self.archive.as_ref().is_some_and(|archive| archive.seen.is_none())
    }

    /// Whether the view says that it has seen a version that is so many commits old.
    pub(super) fn lags(&self, commits: u64) -> bool {
        let lags = |version: u64, seen: Option<u64>| {
            seen.is_none_or(|seen| version.saturating_sub(seen) >= commits)
        };
        let archive = self.archive.as_ref();
        lags(self.version, self.seen)
            || archive.is_some_and(|archive| lags(archive.version, archive.seen))
    }

    /// The versions up to which a view is true that has seen all of it.
    pub(super) fn txns(&self) -> impl Iterator<Item = (String, i64)> {
        let archive = self.archive.iter().map(|archive| (app(&archive.table), archive.version));
        let both = std::iter::once((app(&self.table), self.version)).chain(archive);
        both.map(|(app, version)| (app, version.cast_signed()))
    }
}
