//! Columns of a batch by name, as what they are.

use arrow::array::{
    Array, AsArray, BooleanArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};

use crate::error::LakeError;

/// The columns of a batch of a table.
pub(crate) struct Columns<'a> {
    table: &'a str,
    batch: &'a RecordBatch,
}

impl<'a> Columns<'a> {
    pub(crate) fn of(table: &'a str, batch: &'a RecordBatch) -> Self {
        Self { table, batch }
    }

    /// A column of texts.
    ///
    /// # Errors
    /// [`LakeError::File`] if there is no such column, or not of that kind: a defect.
    pub(crate) fn text(&self, name: &str) -> Result<&'a StringArray, LakeError> {
        self.column(name, |column| column.as_string_opt::<i32>())
    }

    /// A column of yes and no; errors as [`Columns::text`].
    pub(crate) fn bool(&self, name: &str) -> Result<&'a BooleanArray, LakeError> {
        self.column(name, |column| column.as_boolean_opt())
    }

    /// A column of times, Unix microseconds; errors as [`Columns::text`].
    pub(crate) fn time(&self, name: &str) -> Result<&'a TimestampMicrosecondArray, LakeError> {
        self.number::<TimestampMicrosecondType>(name)
    }

    /// A column of numbers; errors as [`Columns::text`].
    pub(crate) fn long(&self, name: &str) -> Result<&'a Int64Array, LakeError> {
        self.number::<Int64Type>(name)
    }

    /// A column of numbers; errors as [`Columns::text`].
    pub(crate) fn int(&self, name: &str) -> Result<&'a Int32Array, LakeError> {
        self.number::<Int32Type>(name)
    }

    /// A column of numbers; errors as [`Columns::text`].
    pub(crate) fn double(&self, name: &str) -> Result<&'a Float64Array, LakeError> {
        self.number::<Float64Type>(name)
    }

    fn number<T: ArrowPrimitiveType>(
        &self,
        name: &str,
    ) -> Result<&'a arrow::array::PrimitiveArray<T>, LakeError> {
        self.column(name, |column| column.as_primitive_opt::<T>())
    }

    fn column<T>(
        &self,
        name: &str,
        as_kind: impl FnOnce(&'a dyn Array) -> Option<&'a T>,
    ) -> Result<&'a T, LakeError> {
        let column = self.batch.column_by_name(name);
        let column = column.and_then(|column| as_kind(column.as_ref()));
        column.ok_or_else(|| {
            LakeError::file("read", self.table, format!("no column {name} of its kind"))
        })
    }
}

/// The text of a row, if it has one.
pub(crate) fn text_at(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// The number of a row, if it has one.
pub(crate) fn at<T: ArrowPrimitiveType>(
    column: &arrow::array::PrimitiveArray<T>,
    row: usize,
) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}
