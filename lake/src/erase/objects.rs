//! The objects of a lake that may still speak of a patient after all commits: what no table has any more goes at once.

use std::collections::HashSet;
use std::sync::Arc;

use crash_point::Point;

use crate::delta::{TableLog, date_in};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::landing;
use crate::ledger;
use crate::table::Table;

/// The files that landings decided on and may not have applied yet.
pub(super) async fn planned(lake: &Lake) -> Result<HashSet<String>, LakeError> {
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
pub(super) async fn sweep(
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
        crash_point::reach(Point::EraseSwept);
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
