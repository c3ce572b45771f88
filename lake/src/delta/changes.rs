//! What became part of a table, and what went, between two of its versions: what views follow.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};

use super::action::lines;
use super::active::date_in;
use super::file::FileInfo;
use super::log::entry_path;
use crate::error::LakeError;
use crate::store::Store;
use crate::table::Table;

/// Log entries that are read at once.
const AT_ONCE: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Files whose rows are new, and still there.
    pub(crate) added: Vec<FileInfo>,
    /// Dates that rows were taken out of.
    pub(crate) dates: BTreeSet<i32>,
}

/// What was committed after version `from`, up to `to`; rows that only moved to other files are no change. `None`: the log does
/// not say it any more, so whoever follows it begins anew.
///
/// # Errors
/// [`LakeError::Store`], [`LakeError::Damaged`].
pub(crate) async fn changes(
    lake: &Store,
    table: &Table,
    from: u64,
    to: u64,
) -> Result<Option<Changes>, LakeError> {
    let folder = lake.child(&table.name);
    let entries = stream::iter(from.saturating_add(1)..=to).map(|version| {
        let folder = folder.clone();
        async move { (version, folder.get(&entry_path(version)).await) }
    });
    let mut entries = entries.buffered(AT_ONCE);
    let (mut added, mut dates) = (BTreeMap::new(), BTreeSet::new());
    while let Some((version, entry)) = entries.next().await {
        let Some(entry) = entry? else { return Ok(None) };
        for line in lines(&entry) {
            let damaged = |error| LakeError::damaged(folder.address(&entry_path(version)), error);
            let line = line.map_err(damaged)?;
            if let Some(remove) = line.remove.filter(|remove| remove.data_change) {
                added.remove(&*remove.path);
                // Whoever names files otherwise must say the date some other way, which we do not follow.
                let Some(date) = date_in(&remove.path) else { return Ok(None) };
                dates.insert(date);
            }
            if let Some(add) = line.add.filter(|add| add.data_change) {
                let info = FileInfo::of_line(&folder, table, &add);
                added.insert(add.path.into_owned(), info);
            }
        }
    }
    Ok(Some(Changes { added: added.into_values().collect(), dates }))
}
