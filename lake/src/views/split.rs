//! Takes rows out of a view's files: what stays of a file is written again.

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, not};
use futures::TryStreamExt;

use super::follow::Followed;
use crate::delta::FileInfo;
use crate::error::LakeError;
use crate::parquet::Within;

impl Followed {
    /// Takes the rows that `touched` names out of `files`, and returns them. A file without such rows stays as it is.
    ///
    /// # Errors
    /// As reading and writing do.
    pub(crate) async fn take_out(
        &mut self,
        files: Vec<FileInfo>,
        touched: impl Fn(&RecordBatch) -> BooleanArray,
    ) -> Result<Vec<RecordBatch>, LakeError> {
        let view = self.view.clone();
        let columns: Vec<&str> = view.file_columns().map(|column| column.name.as_ref()).collect();
        let mut taken = Vec::new();
        for file in files {
            let mut rows = self.scan(&view, vec![file.clone()], &columns, &Within::default())?;
            let (mut kept, mut out) = (Vec::new(), Vec::new());
            while let Some(batch) = rows.try_next().await? {
                let touched = touched(&batch);
                let failed = |error| LakeError::file("read", &view.name, error);
                out.push(filter_record_batch(&batch, &touched).map_err(failed)?);
                let stays = not(&touched).map_err(failed)?;
                kept.push(filter_record_batch(&batch, &stays).map_err(failed)?);
            }
            if out.iter().all(|batch| batch.num_rows() == 0) {
                continue;
            }
            self.removes.push(file);
            taken.append(&mut out);
            if kept.iter().any(|batch| batch.num_rows() > 0) {
                self.put(&kept).await?;
            }
        }
        Ok(taken)
    }
}
