//! Some columns of any Parquet file, a few rows at a time.

use arrow::array::RecordBatch;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::ParquetRecordBatchStreamBuilder;
use parquet::errors::ParquetError;

use super::Ranges;
use crate::error::LakeError;
use crate::store::Store;

/// Up to this size a file is fetched as one, which saves requests.
const AT_ONCE: u64 = 4 << 20;

/// Streams the columns of `file` in `folder` that are `wanted`, told by the whole path of each, in batches of `rows`. What the writer's
/// Arrow said of its texts is no matter. `None`: there is no such file.
///
/// # Errors
/// [`LakeError::Damaged`] if it cannot be understood, [`LakeError::Store`]; here or in the stream.
pub(crate) async fn batches(
    folder: &Store,
    file: &str,
    wanted: impl Fn(&[String]) -> bool,
    rows: usize,
) -> Result<Option<BoxStream<'static, Result<RecordBatch, LakeError>>>, LakeError> {
    let Some(size) = folder.size(file).await? else { return Ok(None) };
    let held = if size <= AT_ONCE { folder.get(file).await? } else { None };
    let size = held.as_ref().map_or(size, |held| held.len() as u64);
    let reader = Ranges { store: folder.root(), path: folder.path(file), size, held };
    let address = folder.address(file);
    let failed = move |error: ParquetError| match error {
        ParquetError::External(source) if source.is::<object_store::Error>() => {
            LakeError::Store { action: "read", path: address.clone(), source }
        }
        error => LakeError::damaged(&address, error),
    };
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchStreamBuilder::new_with_options(reader, options).await;
    let builder = builder.map_err(&failed)?;
    let leaves = builder.parquet_schema().columns().iter().enumerate();
    let leaves = leaves.filter(|(_, column)| wanted(column.path().parts())).map(|(n, _)| n);
    let mask = ProjectionMask::leaves(builder.parquet_schema(), leaves);
    let stream = builder.with_projection(mask).with_batch_size(rows).build();
    Ok(Some(stream.map_err(&failed)?.map_err(failed).boxed()))
}
