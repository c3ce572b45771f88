//! Puts the rows of a small batch into their table's order. Big tables are sorted by their writer, which knows its keys.

use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, lexsort_to_indices, take_record_batch};

use crate::error::LakeError;
use crate::table::{Table, Text};

/// The order of the rows of `batch` in a file of `table`: indices into the batch.
///
/// # Errors
/// [`LakeError::File`] if a sort column is missing.
pub fn order(table: &Table, batch: &RecordBatch) -> Result<UInt32Array, LakeError> {
    if table.sort.is_empty() {
        let rows = u32::try_from(batch.num_rows())
            .map_err(|error| LakeError::file("encode", &table.name, error))?;
        return Ok(UInt32Array::from_iter_values(0..rows));
    }
    order_by(table, &table.sort, batch)
}

/// The order of the rows of `batch` by the named columns.
fn order_by(table: &Table, names: &[Text], batch: &RecordBatch) -> Result<UInt32Array, LakeError> {
    let columns = names.iter().map(|name| {
        let values = batch.column_by_name(name).cloned();
        let values = values
            .ok_or_else(|| LakeError::file("encode", &table.name, format!("no column {name}")))?;
        Ok(SortColumn { values, options: None })
    });
    let columns = columns.collect::<Result<Vec<_>, LakeError>>()?;
    lexsort_to_indices(&columns, None)
        .map_err(|error| LakeError::file("encode", &table.name, error))
}

/// `batch` in the order of `table`.
///
/// # Errors
/// [`LakeError::File`] if a sort column is missing.
pub fn sorted(table: &Table, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
    let order = order(table, batch)?;
    take_record_batch(batch, &order).map_err(|error| LakeError::file("encode", &table.name, error))
}

/// As [`sorted`], by other columns than the table's.
///
/// # Errors
/// As [`sorted`].
pub(crate) fn sorted_by(
    table: &Table,
    names: &[Text],
    batch: &RecordBatch,
) -> Result<RecordBatch, LakeError> {
    let order = order_by(table, names, batch)?;
    take_record_batch(batch, &order).map_err(|error| LakeError::file("merge", &table.name, error))
}
