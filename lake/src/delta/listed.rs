//! All files of a table's current version, with what its log says of each.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};
use futures::TryStreamExt;

use super::action::lines;
use super::active::value;
use super::entries::Entries;
use super::file::FileInfo;
use super::log::{checkpoint_path, entry_path, last_checkpoint};
use super::shape::{conformed, is_known, schema};
use super::stated::gone;
use crate::date::date_parse;
use crate::error::LakeError;
use crate::parquet::batches;
use crate::store::Store;
use crate::table::{PARTITION, Table};

const PARTS: [&str; 2] = ["protocol", "add"];
const ROWS: usize = 16 * 1024;

/// The table's files and its version, as of now.
///
/// # Errors
/// [`LakeError::Missing`] if there is no such table, [`LakeError::Unsupported`] if it needs features that we don't read,
/// [`LakeError::Damaged`], [`LakeError::Store`].
pub(crate) async fn files(lake: &Store, table: &Table) -> Result<(Vec<FileInfo>, u64), LakeError> {
    let folder = lake.child(&table.name);
    let mut base = last_checkpoint(&folder).await?;
    let mut listing = loop {
        let fresh = Listing { folder: &folder, table, files: BTreeMap::new(), reader: None };
        let Some(version) = base else { break fresh };
        if let Some(listing) = fresh.checkpoint(version).await? {
            break listing;
        }
        // Gone while we looked, with all that is before a later one.
        let named = last_checkpoint(&folder).await?;
        if named == base {
            return Err(gone(&folder, version));
        }
        base = named;
    };
    let mut version = base;
    let mut entries = Entries::from(&folder, base.map_or(0, |base| base + 1));
    while let Some((at, entry)) = entries.next().await? {
        let taken = listing.entry(&entry);
        taken.map_err(|error| LakeError::damaged(folder.address(&entry_path(at)), error))?;
        version = Some(at);
    }
    let Some(version) = version else {
        let (table, url) = (table.name.to_string(), lake.url().to_string());
        return Err(LakeError::Missing { table, url });
    };
    if let Some(reader) = listing.reader.filter(|reader| *reader > 1) {
        let needs = format!("Delta reader version {reader}");
        return Err(LakeError::Unsupported { table: table.name.to_string(), needs });
    }
    Ok((listing.files.into_values().collect(), version))
}

struct Listing<'a> {
    folder: &'a Store,
    table: &'a Table,
    /// By path, as the log has it.
    files: BTreeMap<String, FileInfo>,
    /// The version of Delta that a reader must know, as the log says last.
    reader: Option<i32>,
}

impl Listing<'_> {
    /// Takes in a checkpoint; `None`: it is gone.
    async fn checkpoint(mut self, version: u64) -> Result<Option<Self>, LakeError> {
        let path = checkpoint_path(version);
        let read = batches(self.folder, &path, |column| is_known(&PARTS, column), ROWS);
        let Some(mut rows) = read.await? else { return Ok(None) };
        let (path, schema) = (self.folder.address(&path), schema(&PARTS));
        while let Some(batch) = rows.try_next().await? {
            let batch = conformed(&batch, &schema);
            let batch = batch.map_err(|error| LakeError::damaged(&path, error))?;
            let taken = self.rows(&batch);
            taken.map_err(|what| LakeError::damaged(&path, format!("no {what}")))?;
        }
        self.reader.ok_or_else(|| LakeError::damaged(&path, "no protocol"))?;
        Ok(Some(self))
    }

    /// Takes in rows of one, or says what they lack.
    fn rows(&mut self, batch: &RecordBatch) -> Result<(), &'static str> {
        let part = |name| batch.column_by_name(name).and_then(|part| part.as_struct_opt());
        let (protocol, add) = (part("protocol").ok_or("protocol")?, part("add").ok_or("add")?);
        let reader = protocol.column_by_name("minReaderVersion").ok_or("minReaderVersion")?;
        let reader = reader.as_primitive::<Int32Type>();
        for row in (0..batch.num_rows()).filter(|row| protocol.is_valid(*row)) {
            self.reader = Some(reader.value(row));
        }
        let text = |name| add.column_by_name(name).and_then(|texts| texts.as_string_opt::<i32>());
        let long =
            |name| add.column_by_name(name).and_then(|longs| longs.as_primitive_opt::<Int64Type>());
        let (paths, stats) = (text("path").ok_or("add.path")?, text("stats").ok_or("add.stats")?);
        let (sizes, times) = long("size").zip(long("modificationTime")).ok_or("add.size")?;
        let values = add.column_by_name("partitionValues").and_then(|map| map.as_map_opt());
        let values = values.ok_or("add.partitionValues")?;
        let said =
            |texts: &StringArray, row| texts.is_valid(row).then(|| texts.value(row).to_owned());
        for row in (0..batch.num_rows()).filter(|row| add.is_valid(*row)) {
            let path = said(paths, row).ok_or("add.path")?;
            let stats = said(stats, row);
            let info = FileInfo {
                bytes: u64::try_from(sizes.value(row)).unwrap_or(0),
                date: value(values, row, PARTITION).as_deref().and_then(date_parse),
                modified_ms: times.value(row),
                ..FileInfo::new(self.folder, self.table, &path, stats.as_deref())
            };
            self.files.insert(path, info);
        }
        Ok(())
    }

    /// Takes in an entry.
    fn entry(&mut self, entry: &[u8]) -> serde_json::Result<()> {
        for line in lines(entry) {
            let line = line?;
            if let Some(protocol) = line.protocol {
                self.reader = Some(protocol.min_reader_version);
            }
            if let Some(remove) = line.remove {
                self.files.remove(&*remove.path);
            }
            if let Some(add) = line.add {
                let info = FileInfo::of_line(self.folder, self.table, &add);
                self.files.insert(add.path.into_owned(), info);
            }
        }
        Ok(())
    }
}
