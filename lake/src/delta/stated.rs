//! What a checkpoint states of its table: the metadata and the protocol.

use arrow::array::{Array, BooleanArray};
use arrow::compute::filter_record_batch;
use futures::TryStreamExt;
use serde_json::Value;

use super::action::Protocol;
use super::log::checkpoint_path;
use super::shape::{conformed, is_known, lines_of, schema};
use crate::error::LakeError;
use crate::parquet::batches;
use crate::store::Store;

/// See the module.
#[derive(Debug)]
pub(super) struct Stated {
    /// The content of the `metaData` action.
    pub(super) metadata: Value,
    /// Reader and writer version that the table needed then.
    pub(super) needs: (i32, i32),
}

const PARTS: [&str; 2] = ["protocol", "metaData"];
const ROWS: usize = 16 * 1024;

impl Stated {
    /// Reads the checkpoint of a version, which the log names. `folder` is the table's.
    ///
    /// # Errors
    /// [`LakeError::Damaged`], also if it is gone; [`LakeError::Store`].
    pub(super) async fn read(folder: &Store, version: u64) -> Result<Self, LakeError> {
        let path = checkpoint_path(version);
        let read = batches(folder, &path, |column| is_known(&PARTS, column), ROWS);
        let mut rows = read.await?.ok_or_else(|| gone(folder, version))?;
        let address = folder.address(&path);
        let damaged = |error: &dyn ToString| LakeError::damaged(&address, error.to_string());
        let (mut metadata, mut needs) = (None, None);
        while let Some(batch) = rows.try_next().await? {
            let batch = conformed(&batch, &schema(&PARTS)).map_err(|error| damaged(&error))?;
            let said = |row| batch.columns().iter().any(|column| column.is_valid(row));
            let said: BooleanArray = (0..batch.num_rows()).map(|row| Some(said(row))).collect();
            let said = filter_record_batch(&batch, &said).map_err(|error| damaged(&error))?;
            let lines = lines_of(&said).map_err(|error| damaged(&error))?;
            for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let mut line: Value =
                    serde_json::from_slice(line).map_err(|error| damaged(&error))?;
                if let Some(said) = line.get_mut("metaData") {
                    metadata = Some(said.take());
                }
                if let Some(said) = line.get_mut("protocol") {
                    let said: Protocol =
                        serde_json::from_value(said.take()).map_err(|error| damaged(&error))?;
                    needs = Some((said.min_reader_version, said.min_writer_version));
                }
            }
            if metadata.is_some() && needs.is_some() {
                break;
            }
        }
        let metadata = metadata.ok_or_else(|| damaged(&"no metaData"))?;
        let needs = needs.ok_or_else(|| damaged(&"no protocol"))?;
        Ok(Self { metadata, needs })
    }
}

/// What there is to say of a checkpoint that the log names and that isn't there.
pub(super) fn gone(folder: &Store, version: u64) -> LakeError {
    let path = folder.address(&checkpoint_path(version));
    LakeError::damaged(path, "_last_checkpoint names it, but it isn't there")
}
