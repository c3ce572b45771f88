//! Sorted files become one sorted stream of rows, a batch of each in memory.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::row::{Row, RowConverter, Rows, SortField};
use futures::TryStreamExt;
use futures::stream::BoxStream;

use super::inputs::{Inputs, order};
use super::proof::Sums;
use crate::error::LakeError;
use crate::parquet::view_schema;
use crate::table::Table;

/// Rows of a merged batch.
const MERGED_ROWS: usize = 8 * 1024;
/// Rows that all inputs together have in memory, about.
const INPUT_ROWS: usize = 64 * 1024;
/// Rows of a batch of one input at most.
const BATCH_ROWS: usize = 8 * 1024;

/// A merge under way.
pub(crate) struct Merge {
    table: Arc<Table>,
    schema: SchemaRef,
    converter: RowConverter,
    /// Numbers of the columns that the rows are ordered by.
    key: Vec<usize>,
    cursors: BinaryHeap<Cursor>,
    /// Batches that rows were taken from since the last merged batch, and those that the cursors are in.
    batches: Vec<RecordBatch>,
    /// The next merged batch: numbers of batches and rows.
    picks: Vec<(usize, usize)>,
    sums: Sums,
}

/// Where an input is. The greatest cursor is the one whose row comes first.
struct Cursor {
    keys: Rows,
    at: usize,
    batch: usize,
    more: Option<Source>,
}

/// Batches yet to come, and the file that they come from.
struct Source {
    path: String,
    stream: BoxStream<'static, Result<RecordBatch, LakeError>>,
}

impl Cursor {
    fn key(&self) -> Row<'_> {
        self.keys.row(self.at)
    }
}

impl PartialEq for Cursor {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Cursor {}
impl PartialOrd for Cursor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Cursor {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key().cmp(&self.key())
    }
}

impl Merge {
    /// Begins to read.
    ///
    /// # Errors
    /// [`LakeError::File`], [`LakeError::Disorder`] if a file is not in the order that it says.
    pub(crate) async fn new(table: &Arc<Table>, inputs: Inputs) -> Result<Self, LakeError> {
        let schema = view_schema(table);
        let failed = |error| LakeError::file("merge", &table.name, error);
        let key = order(table).iter().map(|name| schema.index_of(name)).collect::<Result<_, _>>();
        let key: Vec<usize> = key.map_err(failed)?;
        let types = key.iter().map(|n| SortField::new(schema.field(*n).data_type().clone()));
        let converter = RowConverter::new(types.collect()).map_err(failed)?;
        let streams = inputs.streams.len();
        let mut merge = Self {
            table: table.clone(),
            schema,
            converter,
            key,
            cursors: BinaryHeap::with_capacity(streams + 1),
            batches: Vec::with_capacity(streams + 1),
            picks: Vec::with_capacity(MERGED_ROWS),
            sums: inputs.sums,
        };
        if let Some(loose) = inputs.loose.filter(|loose| loose.num_rows() > 0) {
            let keys = merge.keys(&loose)?;
            merge.batches.push(loose);
            merge.cursors.push(Cursor { keys, at: 0, batch: 0, more: None });
        }
        let rows = (INPUT_ROWS / streams.max(1)).min(BATCH_ROWS);
        for (file, whole) in inputs.streams {
            let more = Some(Source { path: file.path, stream: whole.stream(rows)? });
            let keys = merge.keys(&RecordBatch::new_empty(merge.schema.clone()))?;
            let cursor = Cursor { keys, at: 0, batch: 0, more };
            if let Some(cursor) = merge.advanced(cursor).await? {
                merge.cursors.push(cursor);
            }
        }
        Ok(merge)
    }

    /// What was read so far.
    pub(crate) fn sums(&self) -> &Sums {
        &self.sums
    }

    /// The next rows in order, or `None` after the last.
    ///
    /// # Errors
    /// As [`Merge::new`].
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, LakeError> {
        loop {
            let crowded = self.batches.len() > 2 * self.cursors.len() + 16;
            if self.picks.len() >= MERGED_ROWS || (crowded && !self.picks.is_empty()) {
                return self.emit().map(Some);
            }
            let Some(mut first) = self.cursors.pop() else {
                return if self.picks.is_empty() { Ok(None) } else { self.emit().map(Some) };
            };
            let (start, room) = (first.at, MERGED_ROWS - self.picks.len());
            let end = first.keys.num_rows().min(start + room);
            let bound = self.cursors.peek().map(Cursor::key);
            let comes_first = |at: &usize| bound.is_none_or(|bound| first.keys.row(*at) <= bound);
            let taken = 1 + (start + 1..end).take_while(comes_first).count();
            self.picks.extend((start..start + taken).map(|row| (first.batch, row)));
            first.at += taken;
            let left = first.at < first.keys.num_rows();
            let next = if left { Some(first) } else { self.advanced(first).await? };
            self.cursors.extend(next);
        }
    }

    /// The cursor in the next batch of its input; `None`: there is no other.
    async fn advanced(&mut self, mut cursor: Cursor) -> Result<Option<Cursor>, LakeError> {
        let Some(source) = &mut cursor.more else { return Ok(None) };
        while let Some(batch) = source.stream.try_next().await? {
            if batch.num_rows() == 0 {
                continue;
            }
            self.sums.add(&batch);
            let keys = self.keys(&batch)?;
            let before = cursor.keys.num_rows().checked_sub(1).map(|last| cursor.keys.row(last));
            let follows = before.is_none_or(|before| before <= keys.row(0));
            if !follows || (1..keys.num_rows()).any(|at| keys.row(at - 1) > keys.row(at)) {
                let (table, path) = (self.table.name.to_string(), source.path.clone());
                return Err(LakeError::Disorder { table, path });
            }
            (cursor.keys, cursor.at, cursor.batch) = (keys, 0, self.batches.len());
            self.batches.push(batch);
            return Ok(Some(cursor));
        }
        Ok(None)
    }

    fn keys(&self, batch: &RecordBatch) -> Result<Rows, LakeError> {
        let columns: Vec<ArrayRef> = self.key.iter().map(|n| batch.column(*n).clone()).collect();
        self.converter
            .convert_columns(&columns)
            .map_err(|error| LakeError::file("merge", &self.table.name, error))
    }

    fn emit(&mut self) -> Result<RecordBatch, LakeError> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let merged = interleave_record_batch(&batches, &self.picks)
            .map_err(|error| LakeError::file("merge", &self.table.name, error))?;
        self.picks.clear();
        // Only what the cursors are in is needed on.
        let mut cursors = std::mem::take(&mut self.cursors).into_vec();
        let mut kept = Vec::with_capacity(cursors.len());
        for cursor in &mut cursors {
            kept.push(self.batches[cursor.batch].clone());
            cursor.batch = kept.len() - 1;
        }
        self.batches = kept;
        self.cursors = cursors.into();
        Ok(merged)
    }
}
