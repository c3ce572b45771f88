//! Rows of the lake's table `readings`, as watching takes them.

use anyhow::Context;
use arrow::array::{
    Array, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{
    ArrowPrimitiveType, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use watch::{Quality, Reading, RowId};

/// The columns that are read.
pub(super) const COLUMNS: [&str; 13] = [
    "source_id",
    "epoch",
    "source_offset",
    "row_no",
    "site",
    "device_id",
    "metric",
    "unit",
    "value",
    "value_text",
    "quality",
    "event_ts",
    "received_ts",
];

/// The columns of a batch.
struct Columns<'a> {
    texts: [&'a StringArray; 7],
    epoch: &'a Int64Array,
    offset: &'a Int64Array,
    row_no: &'a Int32Array,
    value: &'a Float64Array,
    event: &'a TimestampMicrosecondArray,
    received: &'a TimestampMicrosecondArray,
}

/// Hands over each row of a batch.
pub(super) fn each(
    batch: &RecordBatch,
    mut take: impl FnMut(&Reading<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let columns = Columns::of(batch)?;
    (0..batch.num_rows()).try_for_each(|row| take(&columns.reading(row)))
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> anyhow::Result<&'a dyn Array> {
    let found = batch.column_by_name(name);
    Ok(found.with_context(|| format!("the table has no column {name}"))?.as_ref())
}

fn of_type<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> anyhow::Result<&'a arrow::array::PrimitiveArray<T>> {
    let array = column(batch, name)?.as_primitive_opt::<T>();
    array.with_context(|| format!("column {name} is not {}", T::DATA_TYPE))
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> anyhow::Result<Self> {
        let text = |name: &str| {
            column(batch, name)?
                .as_string_opt()
                .with_context(|| format!("column {name} is not text"))
        };
        Ok(Self {
            texts: [
                text("source_id")?,
                text("site")?,
                text("device_id")?,
                text("metric")?,
                text("unit")?,
                text("value_text")?,
                text("quality")?,
            ],
            epoch: of_type::<Int64Type>(batch, "epoch")?,
            offset: of_type::<Int64Type>(batch, "source_offset")?,
            row_no: of_type::<Int32Type>(batch, "row_no")?,
            value: of_type::<Float64Type>(batch, "value")?,
            event: of_type::<TimestampMicrosecondType>(batch, "event_ts")?,
            received: of_type::<TimestampMicrosecondType>(batch, "received_ts")?,
        })
    }

    fn reading(&self, row: usize) -> Reading<'a> {
        let text = |at: usize| {
            let column: &'a StringArray = self.texts[at];
            column.is_valid(row).then(|| column.value(row))
        };
        Reading {
            id: RowId {
                source_id: text(0).unwrap_or_default(),
                epoch: self.epoch.value(row),
                source_offset: self.offset.value(row),
                row_no: self.row_no.value(row),
            },
            site: text(1).unwrap_or_default(),
            device: text(2).unwrap_or_default(),
            metric: text(3).unwrap_or_default(),
            unit: text(4).unwrap_or_default(),
            value: self.value.is_valid(row).then(|| self.value.value(row)),
            text: text(5),
            quality: Quality::named(text(6).unwrap_or_default()),
            event_us: self.event.value(row),
            received_us: self.received.value(row),
        }
    }
}
