//! Brings `ehr_current` and `ehr_retracted` up to date: of each resource the rows of its latest version, in the one or in the other.
//!
//! Each keeps what the other has to know: a version that comes late must find the deletion that it comes after. So each follows from
//! where the one that is behind stands; taking in a version twice changes nothing.

use std::collections::HashMap;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use futures::TryStreamExt;

use super::follow::Followed;
use super::hash;
use super::rows::{Columns, at, text_at};
use crate::delta;
use crate::error::LakeError;
use crate::lake::Lake;
use crate::parquet::Within;
use crate::tables::{ehr_current, ehr_events, ehr_retracted};

/// Bytes of files that are gone through at once when all is made anew; they unpack to about ten times as much.
const PASS_BYTES: u64 = 24 << 20;
/// What says that a resource is no more.
const RETRACTED: [&str; 2] = ["entered-in-error", "deleted"];

/// A resource; or a row of one that has no id, by what tells rows apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    system: String,
    kind: String,
    id: Result<String, (Version, i32)>,
}

/// A version: when it was made, by itself or by when it was accepted; when that was; and its message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Version {
    made_us: i64,
    received_us: i64,
    source: String,
    epoch: i64,
    offset: i64,
}

/// The latest version of a resource that is known.
#[derive(Debug)]
struct Latest {
    version: Version,
    retracted: bool,
    /// Its rows, by number in the message: batch and row.
    rows: HashMap<i32, (usize, usize)>,
}

#[derive(Debug, Default)]
struct Resources {
    batches: Vec<RecordBatch>,
    latest: HashMap<Key, Latest>,
}

/// The other of the two.
pub(crate) fn other(view: &str) -> &'static str {
    if view == ehr_current::NAME { ehr_retracted::NAME } else { ehr_current::NAME }
}

/// See the module.
///
/// # Errors
/// As reading and writing do.
pub(crate) async fn update(lake: &Lake, followed: &mut Followed) -> Result<(), LakeError> {
    if followed.lost_rows() {
        followed.begin_anew();
    }
    if followed.is_up_to_date() {
        return Ok(());
    }
    if !followed.anew && added_bytes(followed) > PASS_BYTES {
        followed.begin_anew();
    }
    // All made anew is more than what was new.
    let passes = added_bytes(followed).div_ceil(PASS_BYTES).max(1);
    for pass in 0..passes {
        let mut resources = Resources::default();
        let mine = |key: &Key| passes == 1 || hash(key) % passes == pass;
        fold(followed, &mut resources, mine).await?;
        if !followed.anew {
            let own = followed.own.clone();
            for batch in followed.take_out(own, |batch| resources.touched(batch)).await? {
                resources.add(batch, &mine)?;
            }
            beside(lake, followed, &mut resources).await?;
        }
        let retracted = followed.view.name == ehr_retracted::NAME;
        if let Some(rows) = resources.rows(&followed.view.name, retracted)? {
            followed.put(&[rows]).await?;
        }
    }
    Ok(())
}

fn added_bytes(followed: &Followed) -> u64 {
    followed.bases.iter().flat_map(|base| &base.added).map(|file| file.bytes).sum()
}

async fn fold(
    followed: &mut Followed,
    resources: &mut Resources,
    mine: impl Fn(&Key) -> bool,
) -> Result<(), LakeError> {
    let Some(base) = followed.bases.first() else { return Ok(()) };
    let (table, added) = (base.table.clone(), base.added.clone());
    let names: Vec<&str> = table.file_columns().map(|column| column.name.as_ref()).collect();
    let mut rows = followed.scan(&table, added, &names, &Within::default())?;
    while let Some(batch) = rows.try_next().await? {
        followed.rows_read += batch.num_rows() as u64;
        resources.add(batch, &mine)?;
    }
    Ok(())
}

/// Takes in what the other view knows of these resources.
async fn beside(
    lake: &Lake,
    followed: &Followed,
    resources: &mut Resources,
) -> Result<(), LakeError> {
    let name = other(&followed.view.name);
    let Some(view) = lake.catalog().find(name) else { return Ok(()) };
    let (files, _) = delta::files(lake.store(), view).await?;
    let names: Vec<&str> = view.file_columns().map(|column| column.name.as_ref()).collect();
    let mut rows = followed.scan(view, files, &names, &Within::default())?;
    while let Some(batch) = rows.try_next().await? {
        let touched = resources.touched(&batch);
        if touched.true_count() > 0 {
            let failed = |error| LakeError::file("filter", name, error);
            let batch = arrow::compute::filter_record_batch(&batch, &touched).map_err(failed)?;
            resources.add(batch, &|_: &Key| true)?;
        }
    }
    Ok(())
}

impl Resources {
    fn add(&mut self, batch: RecordBatch, mine: &impl Fn(&Key) -> bool) -> Result<(), LakeError> {
        let (number, mut used) = (self.batches.len(), false);
        let columns = Versions::of(&batch)?;
        for row in 0..batch.num_rows() {
            let (key, version) = (columns.key(row), columns.version(row));
            if !mine(&key) {
                continue;
            }
            let (retracted, part) = (columns.is_retracted(row), columns.number.value(row));
            let fresh = || Latest { version: version.clone(), retracted, rows: HashMap::new() };
            let latest = self.latest.entry(key).or_insert_with(fresh);
            if version < latest.version {
                continue;
            }
            if version > latest.version {
                *latest = fresh();
            }
            latest.retracted |= retracted;
            latest.rows.insert(part, (number, row));
            used = true;
        }
        // Else its rows would be held for nothing.
        self.batches.push(if used { batch } else { RecordBatch::new_empty(batch.schema()) });
        Ok(())
    }

    /// The rows of a view that are of one of these resources.
    fn touched(&self, batch: &RecordBatch) -> BooleanArray {
        let Ok(columns) = Versions::of(batch) else {
            return BooleanArray::from(vec![false; batch.num_rows()]);
        };
        let of = |row| self.latest.contains_key(&columns.key(row));
        (0..batch.num_rows()).map(|row| Some(of(row))).collect()
    }

    /// The rows of the latest versions that are retracted, or of those that are not.
    fn rows(&self, view: &str, retracted: bool) -> Result<Option<RecordBatch>, LakeError> {
        let wanted = self.latest.values().filter(|latest| latest.retracted == retracted);
        let indices: Vec<(usize, usize)> =
            wanted.flat_map(|latest| latest.rows.values().copied()).collect();
        if indices.is_empty() {
            return Ok(None);
        }
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let rows = interleave_record_batch(&batches, &indices);
        rows.map(Some).map_err(|error| LakeError::file("encode", view, error))
    }
}

/// The columns that say which resource and version a row is of.
struct Versions<'a> {
    system: &'a arrow::array::StringArray,
    kind: &'a arrow::array::StringArray,
    id: &'a arrow::array::StringArray,
    status: &'a arrow::array::StringArray,
    method: &'a arrow::array::StringArray,
    source: &'a arrow::array::StringArray,
    updated: &'a arrow::array::TimestampMicrosecondArray,
    received: &'a arrow::array::TimestampMicrosecondArray,
    epoch: &'a arrow::array::Int64Array,
    offset: &'a arrow::array::Int64Array,
    number: &'a arrow::array::Int32Array,
}

impl<'a> Versions<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, LakeError> {
        let columns = Columns::of(ehr_events::NAME, batch);
        Ok(Self {
            system: columns.text("system_id")?,
            kind: columns.text("resource_type")?,
            id: columns.text("resource_id")?,
            status: columns.text("status")?,
            method: columns.text("request_method")?,
            source: columns.text("source_id")?,
            updated: columns.time("last_updated")?,
            received: columns.time("received_ts")?,
            epoch: columns.long("epoch")?,
            offset: columns.long("source_offset")?,
            number: columns.int("row_no")?,
        })
    }

    fn key(&self, row: usize) -> Key {
        let id = text_at(self.id, row).map(str::to_owned);
        Key {
            system: self.system.value(row).to_owned(),
            kind: self.kind.value(row).to_owned(),
            id: id.ok_or_else(|| (self.version(row), self.number.value(row))),
        }
    }

    fn version(&self, row: usize) -> Version {
        let received_us = self.received.value(row);
        Version {
            made_us: at(self.updated, row).unwrap_or(received_us),
            received_us,
            source: self.source.value(row).to_owned(),
            epoch: self.epoch.value(row),
            offset: self.offset.value(row),
        }
    }

    fn is_retracted(&self, row: usize) -> bool {
        text_at(self.status, row).is_some_and(|status| RETRACTED.contains(&status))
            || text_at(self.method, row) == Some("DELETE")
    }
}
