//! One file of the rows of others: written bit by bit, read back, and proven to hold the same rows.

use std::sync::Arc;

use futures::TryStreamExt;

use super::inputs::Inputs;
use super::merge::Merge;
use super::pace::Pace;
use super::proof::Sums;
use crate::error::LakeError;
use crate::parquet::{Ending, Sink, WholeFile, view_schema};
use crate::store::{PART_BYTES, Store, Upload};
use crate::table::Table;

/// Rows of a batch when a file is read back.
const PROOF_ROWS: usize = 8 * 1024;

/// A file that is there, and what is in it.
pub(crate) struct Written {
    pub(crate) size: u64,
    pub(crate) rows: u64,
    /// Delta's per-file statistics, as JSON.
    pub(crate) stats: String,
    sums: Sums,
}

/// Where files are written.
pub(crate) struct Writing<'a> {
    /// The folder of the table.
    pub(crate) folder: &'a Store,
    pub(crate) table: &'a Arc<Table>,
    pub(crate) pace: &'a mut Pace,
}

impl Writing<'_> {
    /// Writes the rows of `inputs`, in the table's order, to `path`.
    ///
    /// # Errors
    /// [`LakeError::Disorder`] if one is not in the order that it says, [`LakeError::Stopped`], [`LakeError::Store`]: there is no file.
    pub(crate) async fn write(&mut self, inputs: Inputs, path: &str) -> Result<Written, LakeError> {
        let mut upload = Upload::new(self.folder, path);
        match self.fill(&mut upload, inputs).await {
            Ok((Ending { bytes, stats, rows }, sums)) => {
                upload.write(&bytes).await?;
                Ok(Written { size: upload.finish().await?, rows, stats, sums })
            }
            Err(error) => {
                upload.abort().await;
                Err(error)
            }
        }
    }

    async fn fill(
        &mut self,
        upload: &mut Upload,
        inputs: Inputs,
    ) -> Result<(Ending, Sums), LakeError> {
        let mut sink = Sink::new(self.table, &view_schema(self.table), inputs.rows())?;
        self.pace.begin();
        let mut merge = Merge::new(self.table, inputs).await?;
        while let Some(batch) = merge.next().await? {
            sink.write(&batch)?;
            if sink.ready() >= PART_BYTES {
                upload.write(&sink.take()).await?;
            }
            self.pace.breathe().await?;
        }
        Ok((sink.finish()?, merge.sums().clone()))
    }

    /// Reads back what was written. What holds other rows is removed.
    ///
    /// # Errors
    /// [`LakeError::Unproven`], else as reading does.
    pub(crate) async fn prove(&mut self, path: &str, written: &Written) -> Result<(), LakeError> {
        let proven = self.read_back(path, written).await;
        if proven.is_err() {
            self.folder.delete(path).await?;
        }
        proven
    }

    async fn read_back(&mut self, path: &str, written: &Written) -> Result<(), LakeError> {
        let place = self.folder.path(path);
        let file = WholeFile::open(self.folder, self.table, place, written.size, None).await?;
        let mut rows = file.stream(PROOF_ROWS)?;
        let mut sums = Sums::new(self.table);
        self.pace.begin();
        while let Some(batch) = rows.try_next().await? {
            sums.add(&batch);
            self.pace.breathe().await?;
        }
        match written.sums.differs(&sums, self.table) {
            None => Ok(()),
            Some(what) => {
                let (table, path) = (self.table.name.to_string(), path.to_owned());
                Err(LakeError::Unproven { table, path, what })
            }
        }
    }
}
