//! What a log says since a checkpoint: of each file, application and setting the last word, as it stands in the log.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, StringArray, StructArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use serde_json::Value;

use super::action::Seen;
use super::entries::Entries;
use super::log::entry_path;
use super::replay::supported;
use crate::error::LakeError;
use crate::store::Store;
use crate::table::Table;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Since {
    /// The last entry; `None`: there is none.
    pub(super) last: Option<u64>,
    /// Whether there may be more: what is held was enough.
    pub(super) more: bool,
    /// Path → the last line about it.
    files: BTreeMap<String, File>,
    /// Application id → the last line about it.
    txns: BTreeMap<String, Bytes>,
    metadata: Option<Bytes>,
    protocol: Option<(Bytes, (i32, i32))>,
    /// Bytes of the entries.
    read: usize,
}

/// The last line about a file.
#[derive(Debug)]
struct File {
    line: Bytes,
    /// When it was taken out, where it was, Unix milliseconds; one that does not say when is kept until the next checkpoint.
    removed_ms: Option<i64>,
}

impl Since {
    /// Reads the log of `table` in `folder` after version `base`, which needed `needs`, and goes on until there is no more, or until
    /// the entries have more bytes than `held_max`; but never ends where the table is one that we do not write to.
    ///
    /// # Errors
    /// [`LakeError::Store`], [`LakeError::Damaged`].
    pub(super) async fn read(
        folder: &Store,
        table: &Table,
        (base, needs): (Option<u64>, Option<(i32, i32)>),
        held_max: usize,
    ) -> Result<Self, LakeError> {
        let mut since = Self::default();
        let mut entries = Entries::from(folder, base.map_or(0, |base| base + 1));
        while let Some((version, entry)) = entries.next().await? {
            let taken = since.entry(&entry);
            let path = || folder.address(&entry_path(version));
            taken.map_err(|error| LakeError::damaged(path(), error))?;
            since.last = Some(version);
            let fit = since
                .needs()
                .or(needs)
                .is_some_and(|(reader, writer)| supported(table, reader, writer).is_ok());
            if since.read > held_max && fit {
                since.more = true;
                break;
            }
        }
        Ok(since)
    }

    fn entry(&mut self, entry: &Bytes) -> serde_json::Result<()> {
        self.read += entry.len();
        for text in entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let seen: Seen<'_> = serde_json::from_slice(text)?;
            let line = || entry.slice_ref(text);
            if let Some(protocol) = seen.protocol {
                let needs = (protocol.min_reader_version, protocol.min_writer_version);
                self.protocol = Some((line(), needs));
            }
            if seen.meta_data.is_some() {
                self.metadata = Some(line());
            }
            if let Some(txn) = seen.txn {
                self.txns.insert(txn.app_id.into_owned(), line());
            }
            if let Some(remove) = seen.remove {
                let removed_ms = Some(remove.deletion_timestamp.unwrap_or(i64::MAX));
                self.files.insert(remove.path.into_owned(), File { line: line(), removed_ms });
            }
            if let Some(add) = seen.add {
                let file = File { line: line(), removed_ms: None };
                self.files.insert(add.path.into_owned(), file);
            }
        }
        Ok(())
    }

    /// Reader and writer version that the table needs, if an entry says it.
    pub(super) fn needs(&self) -> Option<(i32, i32)> {
        self.protocol.as_ref().map(|(_, needs)| *needs)
    }

    /// The content of the last `metaData` action, if there is one.
    pub(super) fn metadata(&self) -> Option<Value> {
        let mut line: Value = serde_json::from_slice(self.metadata.as_ref()?).ok()?;
        Some(line.get_mut("metaData")?.take())
    }

    /// The lines about the table and its applications.
    pub(super) fn settings(&self) -> impl Iterator<Item = &[u8]> {
        let protocol = self.protocol.iter().map(|(line, _)| line);
        protocol.chain(&self.metadata).chain(self.txns.values()).map(AsRef::as_ref)
    }

    /// The lines about files, without those that say that one was taken out before `expired_ms` (Unix milliseconds).
    pub(super) fn files(&self, expired_ms: i64) -> impl Iterator<Item = &[u8]> {
        let fresh = move |file: &&File| file.removed_ms.is_none_or(|at| at >= expired_ms);
        self.files.values().filter(fresh).map(|file| file.line.as_ref())
    }

    /// Which rows of the checkpoint before still hold; or what a row lacks.
    pub(super) fn still_holds(
        &self,
        rows: &RecordBatch,
        expired_ms: i64,
    ) -> Result<BooleanArray, &'static str> {
        let part = |name| rows.column_by_name(name).and_then(|part| part.as_struct_opt());
        let add = part("add").ok_or("add")?;
        let remove = part("remove").ok_or("remove")?;
        let txn = part("txn").ok_or("txn")?;
        let added = texts(add, "path").ok_or("add.path")?;
        let removed = texts(remove, "path").ok_or("remove.path")?;
        let apps = texts(txn, "appId").ok_or("txn.appId")?;
        let times = remove.column_by_name("deletionTimestamp");
        let times = times.and_then(|times| times.as_primitive_opt::<Int64Type>());
        let times = times.ok_or("remove.deletionTimestamp")?;
        let (metadata, protocol) =
            (part("metaData").ok_or("metaData")?, part("protocol").ok_or("protocol")?);
        let holds = |row: usize| {
            if add.is_valid(row) {
                let path = text(added, row).ok_or("add.path")?;
                return Ok(!self.files.contains_key(path));
            }
            if remove.is_valid(row) {
                let path = text(removed, row).ok_or("remove.path")?;
                let fresh = times.is_valid(row) && times.value(row) >= expired_ms;
                return Ok(fresh && !self.files.contains_key(path));
            }
            if txn.is_valid(row) {
                let app = text(apps, row).ok_or("txn.appId")?;
                return Ok(!self.txns.contains_key(app));
            }
            let stated = metadata.is_valid(row) && self.metadata.is_none();
            Ok(stated || (protocol.is_valid(row) && self.protocol.is_none()))
        };
        (0..rows.num_rows()).map(|row| holds(row).map(Some)).collect()
    }
}

fn texts<'a>(part: &'a StructArray, name: &str) -> Option<&'a StringArray> {
    part.column_by_name(name)?.as_string_opt::<i32>()
}

fn text(texts: &StringArray, row: usize) -> Option<&str> {
    texts.is_valid(row).then(|| texts.value(row))
}
