//! Looks at the rows themselves: each file has as many as its log says, and each row's identity is there once.

use std::sync::Arc;

use futures::TryStreamExt;

use crate::delta::FileInfo;
use crate::error::LakeError;
use crate::reader;
use crate::row_hash::identities;
use crate::store::Store;
use crate::table::Table;

/// Identities that are held at once (8 bytes each); of a larger table all files are read several times.
const HELD_MAX: u64 = 16 << 20;

/// What was seen in a table's files.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Files that can't be read or have other rows than the log says, with what is wrong.
    pub(super) bad: Vec<(String, String)>,
    /// Rows whose identity was there before.
    pub(super) doubled: u64,
}

/// Reads the identities of all rows of `files`.
///
/// # Errors
/// [`LakeError::Store`]; what is wrong with a file is no error.
pub(super) async fn look(
    lake: &Store,
    table: &Arc<Table>,
    files: &[FileInfo],
    held_max: u64,
) -> Result<Seen, LakeError> {
    let rows: u64 = files.iter().map(|file| file.rows).sum();
    let parts = rows.div_ceil(held_max).max(1);
    let mut seen = Seen::default();
    for part in 0..parts {
        let mut held = Vec::new();
        for file in files {
            if part > 0 && seen.bad.iter().any(|(path, _)| *path == file.path) {
                continue;
            }
            let wanted = |number: &u64| number % parts == part;
            match one(lake, table, file, wanted, &mut held).await {
                // Other writers need not say how many.
                Ok(rows) if rows == file.rows || file.rows == 0 => {}
                Ok(rows) => {
                    let problem = format!("it has {rows} rows, its log says {}", file.rows);
                    seen.bad.push((file.path.clone(), problem));
                }
                Err(error) if error.is_of_a_file() => {
                    seen.bad.push((file.path.clone(), error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        held.sort_unstable();
        seen.doubled += held.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64;
    }
    Ok(seen)
}

/// As [`look`], with as much memory as a check may take.
pub(super) async fn all(
    lake: &Store,
    table: &Arc<Table>,
    files: &[FileInfo],
) -> Result<Seen, LakeError> {
    look(lake, table, files, HELD_MAX).await
}

async fn one(
    lake: &Store,
    table: &Arc<Table>,
    file: &FileInfo,
    wanted: impl Fn(&u64) -> bool,
    held: &mut Vec<u64>,
) -> Result<u64, LakeError> {
    let mut batches = reader::scan(lake, table, vec![file.clone()], &table.identity())?;
    let mut rows = 0;
    while let Some(batch) = batches.try_next().await? {
        rows += batch.num_rows() as u64;
        held.extend(identities(batch.columns(), batch.num_rows()).into_iter().filter(&wanted));
    }
    Ok(rows)
}
