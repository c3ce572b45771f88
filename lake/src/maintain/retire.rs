//! Dates that are older than their table's retention are taken out of it by a commit; the sweep removes their files later.
//!
//! The table's log counts the rows that went (`txn retired/rows`), so that the ledger still adds up.

use std::sync::Arc;

use crash_point::Point;

use super::{Retired, Step};
use crate::delta::{ActiveFile, Appended, Rewrite, TableLog};
use crate::error::LakeError;
use crate::parquet;
use crate::store::Store;
use crate::table::Table;

/// The application id whose version is the number of rows that went.
pub(crate) const ROWS_APP: &str = "retired/rows";
/// Files of one commit at most.
const FILES_MAX: usize = 4096;
/// How often somebody else may be first.
const TRIES: u32 = 16;

/// Takes everything before `first` (a date) out of the table.
///
/// # Errors
/// [`LakeError::Unsupported`] if the table is append-only, else as the store fails; what is gone is gone.
pub(crate) async fn before(
    lake: &Store,
    table: &Arc<Table>,
    first: i32,
    now_ms: i64,
    dry_run: bool,
    told: &(dyn Fn(&Step) + Sync),
) -> Result<Retired, LakeError> {
    let (mut retired, mut lost) = (Retired::default(), 0);
    loop {
        let Some((mut log, active)) = TableLog::load_with_files(lake, table).await? else { break };
        let old = active.files().filter(|file| file.date.is_some_and(|date| date < first));
        let old: Vec<&ActiveFile> = old.take(FILES_MAX).collect();
        if old.is_empty() {
            break;
        }
        if log.is_append_only() {
            let needs = "no row to be removed (delta.appendOnly)".to_owned();
            return Err(LakeError::Unsupported { table: table.name.to_string(), needs });
        }
        let rows = counted(lake, table, &old).await?;
        let files = old.len() as u64;
        if !dry_run {
            let removes: Vec<_> = old.iter().map(|file| file.removal(true, now_ms)).collect();
            let before = log.txn(ROWS_APP);
            let rewrite = Rewrite {
                operation: "DELETE",
                removes: &removes,
                adds: &[],
                txns: [(ROWS_APP.to_owned(), before.saturating_add_unsigned(rows))].into(),
                now_ms,
            };
            crash_point::reach(Point::RetireDue);
            match log.rewrite(lake, &rewrite).await {
                Ok(Appended::At(_)) => crash_point::reach(Point::RetireCommitted),
                Ok(_) | Err(LakeError::Changed { .. }) if lost < TRIES => {
                    lost += 1;
                    continue;
                }
                // Somebody else is at it, or merges all the time: the next run goes on.
                Ok(_) | Err(LakeError::Changed { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        retired.files += files;
        retired.rows += rows;
        told(&Step::Retired { table: table.name.to_string(), files, rows });
        if dry_run {
            break;
        }
    }
    Ok(retired)
}

/// The rows of files; of those whose log does not say it, by their footers.
async fn counted(
    lake: &Store,
    table: &Arc<Table>,
    files: &[&ActiveFile],
) -> Result<u64, LakeError> {
    let (folder, mut rows) = (lake.child(&table.name), 0);
    for file in files {
        rows += match file.rows {
            Some(rows) => rows,
            None => parquet::rows(&folder, table, folder.path(&file.path), file.bytes).await?,
        };
    }
    Ok(rows)
}
