//! The files of a merge, opened: small ones in memory, larger ones to be read as they are merged; as many as fit.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use futures::{StreamExt, stream};

use super::proof::Sums;
use crate::delta::ActiveFile;
use crate::error::LakeError;
use crate::parquet::{WholeFile, view_schema};
use crate::sort;
use crate::store::Store;
use crate::table::{Table, Text};

/// Files that are read bit by bit, at once.
pub(crate) const STREAMS: usize = 64;
/// Bytes that those may hold together, packed and unpacked.
const STREAMS_MEMORY: u64 = 160 << 20;
/// A file up to this size is read whole, unless it unpacks to more than [`LOOSE_UNPACKED`].
const LOOSE_BYTES: u64 = 256 << 10;
const LOOSE_UNPACKED: u64 = 2 << 20;
/// A file that does not say that it is sorted is sorted in memory if it unpacks to no more than this.
const UNSORTED_UNPACKED: u64 = 16 << 20;
/// Bytes of rows in memory, at most about.
const LOOSE_MEMORY: usize = 64 << 20;
/// Batches in memory before they become one: each has a weight of its own, however few its rows.
const LOOSE_BATCHES: usize = 512;
/// Files that are opened at once.
const OPENED_AT_ONCE: usize = 8;

/// See the module.
pub(crate) struct Inputs {
    /// The files that are in it.
    pub(crate) used: Vec<ActiveFile>,
    /// Those that can't be merged, with the reason.
    pub(crate) left: Vec<(ActiveFile, LakeError)>,
    /// The rows of small files, in order.
    pub(crate) loose: Option<RecordBatch>,
    /// What the small files hold.
    pub(crate) sums: Sums,
    /// Larger files: each in order, as it says.
    pub(crate) streams: Vec<(ActiveFile, WholeFile)>,
}

/// The columns that rows of `table` are merged by.
pub(crate) fn order(table: &Table) -> Vec<Text> {
    if table.sort.is_empty() { vec![table.time.clone()] } else { table.sort.clone() }
}

impl Inputs {
    /// Opens `files`, smallest first, until there are as many as fit in memory. Those of `distrusted` are not in order, whatever they
    /// say.
    ///
    /// # Errors
    /// [`LakeError::Store`]. What is wrong with a file keeps it out of the merge and is no error.
    pub(crate) async fn open(
        folder: &Store,
        table: &Arc<Table>,
        files: Vec<ActiveFile>,
        distrusted: &HashSet<String>,
    ) -> Result<Self, LakeError> {
        let sums = Sums::new(table);
        let mut inputs =
            Self { used: vec![], left: vec![], loose: None, sums, streams: Vec::new() };
        let (mut loose, mut memory) = (Loose::new(table), 0);
        let opened = stream::iter(files).map(|file| open(folder.clone(), table.clone(), file));
        let mut opened = opened.buffered(OPENED_AT_ONCE);
        while let Some((file, opened)) = opened.next().await {
            let whole = match opened.and_then(|whole| as_logged(table, &file, whole)) {
                Ok(whole) => whole,
                Err(error) if error.is_of_a_file() => {
                    inputs.left.push((file, error));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let sorted = whole.says_sorted() && !distrusted.contains(&file.path);
            let unpacked = whole.memory();
            let small = file.bytes <= LOOSE_BYTES && unpacked <= LOOSE_UNPACKED;
            if small || (!sorted && unpacked <= UNSORTED_UNPACKED) {
                if loose.memory >= LOOSE_MEMORY {
                    break;
                }
                for batch in whole.read().await? {
                    inputs.sums.add(&batch);
                    loose.add(batch)?;
                }
            } else if !sorted {
                let reason = "it does not say that it is sorted, and is too large to sort";
                let error = LakeError::file("merge", &table.name, reason);
                inputs.left.push((file, error));
                continue;
            } else {
                memory += unpacked;
                // Two are always merged: else large row groups would never be.
                let fits = memory <= STREAMS_MEMORY || inputs.streams.len() < 2;
                if inputs.streams.len() == STREAMS || !fits {
                    break;
                }
                inputs.streams.push((file.clone(), whole));
            }
            inputs.used.push(file);
        }
        inputs.loose = loose.sorted()?;
        Ok(inputs)
    }

    /// Rows of all of them.
    pub(crate) fn rows(&self) -> u64 {
        let loose = self.loose.as_ref().map_or(0, |loose| loose.num_rows() as u64);
        loose + self.streams.iter().map(|(_, whole)| whole.rows()).sum::<u64>()
    }
}

async fn open(
    folder: Store,
    table: Arc<Table>,
    file: ActiveFile,
) -> (ActiveFile, Result<WholeFile, LakeError>) {
    let whole = async {
        // A path of somebody else's may be quoted; where it leads is his to say.
        if file.path.contains(['%', ':']) {
            let reason = "its path is not one of ours";
            return Err(LakeError::file("merge", &table.name, reason));
        }
        let mut held = None;
        if file.bytes <= LOOSE_BYTES {
            let bytes = folder.get(&file.path).await?;
            let gone =
                || LakeError::damaged(folder.address(&file.path), "its log names it, it is gone");
            held = Some(bytes.ok_or_else(gone)?);
        }
        WholeFile::open(&folder, &table, folder.path(&file.path), file.bytes, held).await
    };
    let whole = whole.await;
    (file, whole)
}

/// A file whose rows are not what the log says is not to be touched: `tidemark check` names it.
fn as_logged(table: &Table, file: &ActiveFile, whole: WholeFile) -> Result<WholeFile, LakeError> {
    match file.rows {
        Some(rows) if rows != whole.rows() => {
            let reason = format!("it has {} rows, its log says {rows}", whole.rows());
            Err(LakeError::file("merge", &table.name, reason))
        }
        _ => Ok(whole),
    }
}

/// Rows in memory.
struct Loose<'a> {
    table: &'a Table,
    batches: Vec<RecordBatch>,
    memory: usize,
}

impl<'a> Loose<'a> {
    fn new(table: &'a Table) -> Self {
        Self { table, batches: Vec::new(), memory: 0 }
    }

    fn add(&mut self, batch: RecordBatch) -> Result<(), LakeError> {
        self.memory += batch.get_array_memory_size();
        self.batches.push(batch);
        if self.batches.len() >= LOOSE_BATCHES {
            self.fold()?;
        }
        Ok(())
    }

    /// Makes one batch of all, without the parts of pages that no row is in.
    fn fold(&mut self) -> Result<(), LakeError> {
        let failed = |error| LakeError::file("merge", &self.table.name, error);
        let schema = view_schema(self.table);
        let all = concat_batches(&schema, &self.batches).map_err(failed)?;
        let columns = all.columns().iter().map(|column| -> ArrayRef {
            match column.data_type() {
                DataType::Utf8View => Arc::new(column.as_string_view().gc()),
                DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
                _ => column.clone(),
            }
        });
        let all = RecordBatch::try_new(schema, columns.collect()).map_err(failed)?;
        self.memory = all.get_array_memory_size();
        self.batches = vec![all];
        Ok(())
    }

    fn sorted(mut self) -> Result<Option<RecordBatch>, LakeError> {
        if self.batches.is_empty() {
            return Ok(None);
        }
        self.fold()?;
        let all = self.batches.pop();
        all.map(|all| sort::sorted_by(self.table, &order(self.table), &all)).transpose()
    }
}
