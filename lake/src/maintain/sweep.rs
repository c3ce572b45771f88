//! Objects that nothing needs any more: superseded files, files of landings and merges that never counted, plans that are applied.
//!
//! Nothing goes that is younger than the retention, which no landing and no merge outlives. Nothing goes that the last plan of a lane
//! names, if the table does not have it: it was decided and may still be applied. The plans are read before the tables: what was applied in between is part of its
//! table then, or named by the plan.

use std::collections::HashSet;

use crash_point::Point;
use futures::TryStreamExt;

use super::{Step, Swept, archive};
use crate::delta::{Active, TableLog, date_in};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::landing;
use crate::ledger;
use crate::plan::Plan;
use crate::store::Object;
use crate::table::Table;

/// A sweep of a whole lake.
pub(crate) struct Sweep<'a> {
    lake: &'a Lake,
    /// What is younger stays, Unix milliseconds.
    before_ms: i64,
    dry_run: bool,
    /// The last plan of each lane.
    plans: Vec<Plan>,
}

impl<'a> Sweep<'a> {
    /// Reads what must stay.
    ///
    /// # Errors
    /// As reading the ledger: without it nothing can be swept.
    pub(crate) async fn begin(
        lake: &'a Lake,
        before_ms: i64,
        dry_run: bool,
    ) -> Result<Self, LakeError> {
        let (store, table) = (lake.store(), lake.catalog().ledger());
        let missing =
            || LakeError::Missing { table: table.name.to_string(), url: lake.url().to_owned() };
        let log = TableLog::load(store, table).await?.ok_or_else(missing)?;
        let plans = ledger::last_plans(store, table, landing::lanes(log.txns())).await?;
        Ok(Self { lake, before_ms, dry_run, plans })
    }

    /// Removes the files in a table's folder that are not part of it.
    ///
    /// # Errors
    /// [`LakeError::Store`] and as loading the log; what is removed is removed.
    pub(crate) async fn table(
        &self,
        table: &std::sync::Arc<Table>,
        told: &(dyn Fn(&Step) + Sync),
    ) -> Result<Swept, LakeError> {
        let store = self.lake.store();
        let Some((log, active)) = TableLog::load_with_files(store, table).await? else {
            return Ok(Swept::default());
        };
        let open = self.plans.iter().filter(|plan| !landing::applied(plan, |app| log.txn(app)));
        let adds = open.flat_map(|plan| plan.tables.get(table.name.as_ref())).flatten();
        let planned: HashSet<&str> = adds.map(|add| add.path.as_str()).collect();
        let folder = format!("{}/", table.name);
        let of_table = |object: &Object| {
            let path = object.path.strip_prefix(&folder).unwrap_or_default();
            !planned.contains(path) && self.is_free(path, &active)
        };
        let swept = self.objects(&table.name, of_table).await?;
        let unfinished = match self.dry_run {
            true => 0,
            false => store.child(&table.name).sweep_unfinished(self.before_ms).await?,
        };
        let swept = Swept { files: swept.files + unfinished, ..swept };
        if swept.files > 0 {
            let (table, files, bytes) = (table.name.to_string(), swept.files, swept.bytes);
            told(&Step::Swept { table, files, bytes });
        }
        Ok(swept)
    }

    /// Whether a file in a table's folder is not part of it, and was not since the retention.
    fn is_free(&self, path: &str, active: &Active) -> bool {
        // Other tools keep things of theirs beside the files.
        let Some(date) = date_in(path).filter(|_| path.ends_with(".parquet")) else { return false };
        let known = active.known_before().is_none_or(|end| date < end);
        let late = active.removed_ms(path).is_some_and(|removed| removed >= self.before_ms);
        known && !active.has(path) && !late
    }

    /// Removes the plans that no lane may have to apply, and those of archives, which were given what was decided before the sweep began.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub(crate) async fn plans(&self) -> Result<Swept, LakeError> {
        let (catalog, mut moves) = (self.lake.catalog(), HashSet::new());
        for archive in catalog.archives() {
            let table = archive.archive_of().and_then(|table| catalog.get(table));
            let Some(table) = table else { continue };
            if let Some(log) = TableLog::load(self.lake.store(), table).await? {
                moves.insert(archive::plan_path(table, log.txn(archive::MOVE_APP)));
            }
        }
        let is_old =
            |object: &Object| object.path.ends_with(".json") && !moves.contains(&object.path);
        let of_archives = self.objects(archive::FOLDER, is_old).await?;
        let last = self.plans.iter().map(|plan| Plan::path(plan.landing));
        let last: HashSet<String> = last.collect();
        let is_free =
            |object: &Object| object.path.ends_with(".json") && !last.contains(&object.path);
        let swept = self.objects(Plan::FOLDER, is_free).await?;
        let (files, bytes) = (of_archives.files + swept.files, of_archives.bytes + swept.bytes);
        Ok(Swept { files, bytes })
    }

    async fn objects(
        &self,
        folder: &str,
        free: impl Fn(&Object) -> bool,
    ) -> Result<Swept, LakeError> {
        let store = self.lake.store();
        let mut swept = Swept::default();
        let mut listed = store.listing(folder);
        while let Some(object) = listed.try_next().await? {
            if object.modified_ms >= self.before_ms || !free(&object) {
                continue;
            }
            if !self.dry_run {
                store.delete(&object.path).await?;
                crash_point::reach(Point::ObjectSwept);
            }
            swept.files += 1;
            swept.bytes += object.size;
        }
        Ok(swept)
    }
}
