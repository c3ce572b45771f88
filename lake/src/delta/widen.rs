//! More columns for a table that lacks them.

use crash_point::Point;
use serde_json::Value;
use tracing::info;

use super::action::Widening;
use super::fit::widened;
use super::log::{Appended, TableLog, last_checkpoint};
use super::since::Since;
use super::stated::Stated;
use crate::error::LakeError;
use crate::store::Store;
use crate::table::Table;

/// How often somebody may be first while columns are added: every other start of ingest could be.
const WIDEN_TRIES: u32 = 8;

/// Adds the columns that the table of `log` lacks, by one commit that counts only if nobody changed the table's metadata since it
/// was read. Rows may be landed meanwhile: files without a column read NULL there. Workers read the ledger again when they
/// meet the change. Whoever is killed here leaves the table as it was or as it is to be.
///
/// # Errors
/// [`LakeError::Schema`] if the table differs by more than that, [`LakeError::Damaged`] if its metadata can't be read, else as appending.
pub(crate) async fn widen(lake: &Store, mut log: TableLog, now_ms: i64) -> Result<(), LakeError> {
    let table = log.table().clone();
    for _ in 0..WIDEN_TRIES {
        log.fit().growable(&table)?;
        let lacks = log.fit().lacks.clone();
        if lacks.is_empty() {
            return Ok(());
        }
        let damaged = |error| LakeError::damaged(log.address(), error);
        let mut metadata = stated(lake, &table).await?;
        let schema = metadata.get("schemaString").and_then(Value::as_str);
        let schema = widened(schema.unwrap_or_default(), &lacks).map_err(damaged)?;
        metadata["schemaString"] = schema.into();
        let columns = lacks.iter().map(|column| column.name.as_ref()).collect();
        crash_point::reach(Point::ColumnsWanted);
        match log.widen(lake, &Widening { metadata: &metadata, columns, now_ms }).await {
            Ok(Appended::At(version)) => {
                crash_point::reach(Point::ColumnsAdded);
                let columns: Vec<&str> = lacks.iter().map(|column| column.name.as_ref()).collect();
                info!(table = %table.name, version, ?columns, "added columns");
                return Ok(());
            }
            Ok(Appended::Conflict | Appended::Reloaded) | Err(LakeError::Changed { .. }) => {
                log.reload(lake).await?;
            }
            Err(error) => return Err(error),
        }
    }
    log.fit().writable(&table)
}

/// The content of the table's last `metaData` action, whole. Not older than any log that was loaded before: what changed in between is
/// met by the commit.
async fn stated(lake: &Store, table: &Table) -> Result<Value, LakeError> {
    let folder = lake.child(&table.name);
    let base = last_checkpoint(&folder).await?;
    let since = Since::read(&folder, table, (base, None), usize::MAX).await?;
    match (since.metadata(), base) {
        (Some(metadata), _) => Ok(metadata),
        (None, Some(base)) => Ok(Stated::read(&folder, base).await?.metadata),
        (None, None) => Err(LakeError::damaged(folder.url(), "no metaData")),
    }
}
