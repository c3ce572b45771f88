//! The files of a table and of its archive, listed so that each row is in one of the two.

use std::sync::Arc;

use crate::delta::{self, FileInfo, TableLog};
use crate::error::LakeError;
use crate::maintain::{ARCHIVE_MOVE_APP, under_way};
use crate::store::Store;
use crate::table::Table;

/// How often rows may move while the files are listed.
const TRIES: u32 = 4;

/// See the module.
pub(crate) struct Listed {
    pub(crate) files: Vec<FileInfo>,
    pub(crate) version: u64,
    /// As of that version, or a later one.
    pub(crate) log: Option<TableLog>,
    pub(crate) archived: Option<(Vec<FileInfo>, u64)>,
    /// The last move that was decided, and the last that the archive had before its files were listed.
    moves: (i64, i64),
}

impl Listed {
    /// Lists once; `None`: rows moved meanwhile.
    async fn once(
        store: &Store,
        table: &Arc<Table>,
        archive: Option<&Arc<Table>>,
    ) -> Result<Option<Self>, LakeError> {
        let mut log = TableLog::load(store, table).await?;
        let last = |log: &Option<TableLog>| log.as_ref().map_or(0, |log| log.txn(ARCHIVE_MOVE_APP));
        let decided = last(&log);
        let there = archive.filter(|_| decided > 0);
        // Before its files: they have that much, or more.
        let has = match there {
            Some(archive) => last(&TableLog::load(store, archive).await?),
            None => decided,
        };
        let (files, version) = delta::files(store, table).await?;
        let archived = match there {
            Some(archive) if has > 0 => Some(delta::files(store, archive).await?),
            _ => None,
        };
        // Of that version or a later one: what it lacks, the files lack.
        if let Some(log) = &mut log {
            match log.refresh().await {
                Err(LakeError::Changed { .. }) => return Ok(None),
                refreshed => refreshed?,
            }
        }
        let nobody_moved = last(&log) == decided;
        let listed = Self { files, version, log, archived, moves: (decided, has) };
        Ok(nobody_moved.then_some(listed))
    }

    /// Lists until no row moved between the two meanwhile, and none is on its way: all that is there is in their logs.
    ///
    /// # Errors
    /// [`LakeError::Changed`] if rows move all the time, or wait to be moved on; else as reading logs does.
    pub(crate) async fn settled(
        store: &Store,
        table: &Arc<Table>,
        archive: Option<&Arc<Table>>,
    ) -> Result<Self, LakeError> {
        for _ in 0..TRIES {
            if let Some(listed) = Self::once(store, table, archive).await?
                && listed.moves.0 == listed.moves.1
            {
                return Ok(listed);
            }
        }
        Err(changed(store, table).await?)
    }
}

/// The files of both. Of rows on their way the plan's file is one: who was killed has not told the archive of it.
///
/// # Errors
/// [`LakeError::Changed`] if rows move all the time, [`LakeError::NotWhole`] if a plan is gone; else as reading logs does.
pub(crate) async fn files(
    store: &Store,
    table: &Arc<Table>,
    archive: Option<&Arc<Table>>,
) -> Result<Vec<FileInfo>, LakeError> {
    for _ in 0..TRIES {
        let Some(listed) = Listed::once(store, table, archive).await? else { continue };
        let Listed { mut files, archived, moves: (decided, has), .. } = listed;
        files.extend(archived.into_iter().flat_map(|(files, _)| files));
        if let Some(archive) = archive
            && has < decided
        {
            let file = under_way(store, table, archive, decided).await?;
            if !files.iter().any(|there| (&there.table, &there.path) == (&file.table, &file.path)) {
                files.push(file);
            }
        }
        return Ok(files);
    }
    Err(changed(store, table).await?)
}

async fn changed(store: &Store, table: &Arc<Table>) -> Result<LakeError, LakeError> {
    let version = TableLog::load(store, table).await?.map_or(0, |log| log.version());
    Ok(LakeError::Changed { table: table.name.to_string(), version })
}
