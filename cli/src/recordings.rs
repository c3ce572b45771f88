//! Parquet files for `tidemark simulate --replay`: rows of cells, as the simulator takes them.

use std::fs::File;
use std::io;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lake::parquet::Foreign;
use simulator::{Recording, Tables};

/// What reads Parquet.
#[derive(Debug)]
pub(crate) struct ParquetFiles;

impl Tables for ParquetFiles {
    fn parquet(&self, file: File) -> Result<Box<dyn Recording>, String> {
        let file = Foreign::open(file).map_err(|error| format!("it can't be read: {error}"))?;
        let (mut columns, mut places, mut nested) = (Vec::new(), Vec::new(), Vec::new());
        for (place, field) in file.schema().fields().iter().enumerate() {
            if is_scalar(field.data_type()) {
                columns.push(field.name().clone());
                places.push(place);
            } else {
                nested.push(format!("`{}`", field.name()));
            }
        }
        Ok(Box::new(Rows { file, columns, places, nested, cells: Vec::new(), row: 0, rows: 0 }))
    }
}

/// Whether it has one value a row that a cell can have.
fn is_scalar(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_scalar(values),
        DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Timestamp(..)
        | DataType::Date32
        | DataType::Date64 => true,
        kind => kind.is_numeric(),
    }
}

/// The rows of a file.
struct Rows {
    file: Foreign,
    columns: Vec<String>,
    /// Where they are in the file.
    places: Vec<usize>,
    /// Those that have no cells.
    nested: Vec<String>,
    /// Of the rows that are in memory, by column.
    cells: Vec<Vec<String>>,
    /// The next of them.
    row: usize,
    rows: usize,
}

impl Recording for Rows {
    fn columns(&self) -> &[String] {
        &self.columns
    }

    fn left_out(&self) -> Option<String> {
        (!self.nested.is_empty())
            .then(|| format!("{} (no numbers, texts or times)", self.nested.join(", ")))
    }

    fn row(&mut self) -> Option<io::Result<Vec<String>>> {
        while self.row == self.rows {
            let batch = self.file.next()?;
            let read = batch.and_then(|batch| self.take(&batch));
            if let Err(error) = read {
                return Some(Err(io::Error::other(error)));
            }
        }
        let row = self.row;
        self.row += 1;
        Some(Ok(self.cells.iter_mut().map(|column| std::mem::take(&mut column[row])).collect()))
    }
}

impl Rows {
    fn take(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let columns = self.places.iter().map(|place| texts(batch.column(*place)));
        self.cells = columns.collect::<Result<_, _>>()?;
        (self.row, self.rows) = (0, batch.num_rows());
        Ok(())
    }
}

/// A column's cells.
fn texts(column: &ArrayRef) -> Result<Vec<String>, ArrowError> {
    let column = match column.data_type() {
        DataType::Dictionary(_, values) => &cast(column, values)?,
        _ => column,
    };
    match column.data_type() {
        DataType::Timestamp(_, zone) => times(column, zone.as_ref()),
        DataType::Boolean => {
            let said = column.as_boolean().iter();
            Ok(said
                .map(|said| said.map_or("", |truth| if truth { "1" } else { "0" }).to_owned())
                .collect())
        }
        _ => {
            let options = FormatOptions::default().with_null("");
            let shown = ArrayFormatter::try_new(column, &options)?;
            (0..column.len()).map(|row| shown.value(row).try_to_string()).collect()
        }
    }
}

/// Times of a zone are moments; without one they are as somebody's clock showed them.
fn times(column: &ArrayRef, zone: Option<&Arc<str>>) -> Result<Vec<String>, ArrowError> {
    let exact = cast(column, &DataType::Timestamp(TimeUnit::Microsecond, zone.cloned()))?;
    let shown = |us| {
        let at = Timestamp::from_microsecond(us).ok();
        at.map_or_else(String::new, |at| match zone {
            Some(_) => at.to_string(),
            None => TimeZone::UTC.to_datetime(at).to_string(),
        })
    };
    let times = exact.as_primitive::<TimestampMicrosecondType>().iter();
    Ok(times.map(|us| us.map_or_else(String::new, shown)).collect())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use arrow::array::{
        BooleanArray, Date32Array, Float32Array, Int64Array, ListArray, StringArray,
        TimestampMillisecondArray, TimestampNanosecondArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    #[test]
    fn cells_are_what_the_simulator_takes() {
        let shown = |column: ArrayRef| texts(&column).unwrap();
        let ms = vec![Some(1_795_633_285_250), None];
        let moment = TimestampMillisecondArray::from(ms.clone()).with_timezone("+02:00");
        assert_eq!(shown(Arc::new(moment)), ["2026-11-25T19:01:25.25Z", ""]);
        let zoned = TimestampMillisecondArray::from(ms.clone()).with_timezone("Europe/Berlin");
        assert_eq!(shown(Arc::new(zoned)), ["2026-11-25T19:01:25.25Z", ""]);
        let local = TimestampMillisecondArray::from(ms);
        assert_eq!(shown(Arc::new(local)), ["2026-11-25T19:01:25.25", ""]);
        let exact = TimestampNanosecondArray::from(vec![1_795_633_285_000_000_999]);
        assert_eq!(shown(Arc::new(exact)), ["2026-11-25T19:01:25"]);
        assert_eq!(shown(Arc::new(Date32Array::from(vec![20_782]))), ["2026-11-25"]);
        assert_eq!(shown(Arc::new(Float32Array::from(vec![Some(21.5), None]))), ["21.5", ""]);
        assert_eq!(shown(Arc::new(Int64Array::from(vec![-7]))), ["-7"]);
        let truths = BooleanArray::from(vec![Some(true), Some(false), None]);
        assert_eq!(shown(Arc::new(truths)), ["1", "0", ""]);
        let words = StringArray::from(vec![Some("sinus"), None]);
        let words: ArrayRef = Arc::new(words);
        let kind = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
        assert_eq!(shown(cast(&words, &kind).unwrap()), ["sinus", ""]);
        assert_eq!(shown(words), ["sinus", ""]);
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1)])]);
        assert!(!is_scalar(list.data_type()));
    }

    #[test]
    fn what_begins_like_parquet_and_is_none_is_told() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"PAR1 and no more").unwrap();
        let error = ParquetFiles.parquet(file).err().unwrap();
        assert!(error.starts_with("it can't be read: "), "{error}");
    }
}
