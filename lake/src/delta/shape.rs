//! The columns of a checkpoint: a row an action, made of lines of a log and of rows of anybody's checkpoint.
//!
//! They are what the protocol's reader version 1 and writer version 2 know; what later features brought is left out. All may be
//! NULL, as other writers have them, too.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray};
use arrow::array::{RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::{LineDelimitedWriter, ReaderBuilder};

/// The kinds of actions that a checkpoint has.
pub(super) const PARTS: [&str; 5] = ["protocol", "metaData", "txn", "add", "remove"];

/// The columns of some kinds of actions.
pub(super) fn schema(parts: &[&str]) -> SchemaRef {
    let part = |name: &&str| Field::new(*name, DataType::Struct(fields(name)), true);
    Arc::new(Schema::new(parts.iter().map(part).collect::<Vec<_>>()))
}

fn fields(part: &str) -> Fields {
    use DataType::{Boolean, Int32, Int64, Utf8};
    let fields = match part {
        "protocol" => vec![("minReaderVersion", Int32), ("minWriterVersion", Int32)],
        "metaData" => vec![
            ("id", Utf8),
            ("name", Utf8),
            ("description", Utf8),
            ("format", DataType::Struct(fields("format"))),
            ("schemaString", Utf8),
            ("partitionColumns", DataType::List(Arc::new(Field::new("element", Utf8, true)))),
            ("createdTime", Int64),
            ("configuration", texts_by_name()),
        ],
        "format" => vec![("provider", Utf8), ("options", texts_by_name())],
        "txn" => vec![("appId", Utf8), ("version", Int64), ("lastUpdated", Int64)],
        "add" => vec![
            ("path", Utf8),
            ("partitionValues", texts_by_name()),
            ("size", Int64),
            ("modificationTime", Int64),
            ("dataChange", Boolean),
            ("stats", Utf8),
            ("tags", texts_by_name()),
        ],
        "remove" => vec![
            ("path", Utf8),
            ("deletionTimestamp", Int64),
            ("dataChange", Boolean),
            ("extendedFileMetadata", Boolean),
            ("partitionValues", texts_by_name()),
            ("size", Int64),
            ("stats", Utf8),
            ("tags", texts_by_name()),
        ],
        other => unreachable!("{other} is no kind of action"),
    };
    fields.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect()
}

fn texts_by_name() -> DataType {
    let text = |name: &str, nullable| Field::new(name, DataType::Utf8, nullable);
    let pair = DataType::Struct(vec![text("key", false), text("value", true)].into());
    DataType::Map(Arc::new(Field::new("key_value", pair, false)), false)
}

/// Whether a column of a Parquet file, by its path, is one of those of `parts`: others need not be read.
pub(super) fn is_known(parts: &[&str], path: &[String]) -> bool {
    let known = path.first().and_then(|part| parts.iter().find(|known| *known == part));
    // A part without columns cannot be one: who makes rows of it says so.
    known.is_some_and(|part| path.get(1).is_none_or(|name| fields(part).find(name).is_some()))
}

/// Rows of a checkpoint in the columns of `schema`, whatever the order, the inner names and the kinds of texts that its writer took;
/// what it lacks is NULL.
///
/// # Errors
/// A column is of a type that cannot be what the protocol says.
pub(super) fn conformed(
    batch: &RecordBatch,
    schema: &SchemaRef,
) -> Result<RecordBatch, ArrowError> {
    let columns = schema.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) => conformed_to(column, field.data_type()),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

fn conformed_to(array: &ArrayRef, to: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    Ok(match (array.data_type(), to) {
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let array = array.as_struct();
            let columns = fields.iter().map(|field| match array.column_by_name(field.name()) {
                Some(column) => conformed_to(column, field.data_type()),
                None => Ok(new_null_array(field.data_type(), array.len())),
            });
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            Arc::new(StructArray::try_new(fields.clone(), columns, array.nulls().cloned())?)
        }
        (DataType::Map(..), DataType::Map(entries, sorted)) => {
            let (map, DataType::Struct(pair)) = (array.as_map(), entries.data_type()) else {
                unreachable!("the entries of a map are pairs")
            };
            let columns = [map.keys(), map.values()].into_iter().zip(pair);
            let columns = columns.map(|(column, field)| conformed_to(column, field.data_type()));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            let pairs = StructArray::try_new(pair.clone(), columns, None)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, nulls, *sorted)?)
        }
        (DataType::List(_), DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = conformed_to(list.values(), element.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(ListArray::try_new(element.clone(), offsets, values, nulls)?)
        }
        _ => cast(array, to)?,
    })
}

/// Rows of all [`PARTS`] out of lines of a log.
///
/// # Errors
/// A line says something in a type that it cannot have.
pub(super) fn rows_of<'a>(
    lines: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Option<RecordBatch>, ArrowError> {
    let mut text = Vec::new();
    let mut rows = 0;
    for line in lines {
        text.extend_from_slice(line);
        text.push(b'\n');
        rows += 1;
    }
    let reader = ReaderBuilder::new(schema(&PARTS)).with_batch_size(rows.max(1));
    let mut decoder = reader.build_decoder()?;
    decoder.decode(&text)?;
    decoder.flush()
}

/// The lines that a log would have of `rows`.
///
/// # Errors
/// As writing JSON.
pub(super) fn lines_of(rows: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Int32Type;

    use super::*;

    const LINES: [&str; 5] = [
        r#"{"protocol":{"minReaderVersion":1,"minWriterVersion":2}}"#,
        r#"{"metaData":{"id":"i","name":"t","format":{"provider":"parquet","options":{}},"schemaString":"{\"a\":1}","partitionColumns":["d"],"createdTime":5,"configuration":{"k":"v"}}}"#,
        r#"{"txn":{"appId":"a\"b","version":3}}"#,
        r#"{"add":{"path":"d=1/a%20b.parquet","partitionValues":{"d":null},"size":7,"modificationTime":8,"dataChange":false,"stats":"{\"numRecords\":1}","tags":{"x":"ä😀"}}}"#,
        r#"{"remove":{"path":"b","dataChange":true}}"#,
    ];

    #[test]
    fn lines_become_rows_and_rows_lines_again() {
        let rows = rows_of(LINES.map(str::as_bytes)).unwrap().unwrap();
        assert_eq!((rows.num_rows(), rows.num_columns()), (5, 5));
        let lines = String::from_utf8(lines_of(&rows).unwrap()).unwrap();
        for (line, wanted) in lines.lines().zip(LINES) {
            let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            let (mut line, mut wanted) = (value(line), value(wanted));
            // That a date is NULL is not said again.
            for value in [&mut line, &mut wanted] {
                if let Some(values) = value.pointer_mut("/add/partitionValues") {
                    *values = serde_json::Value::Null;
                }
            }
            assert_eq!(line, wanted);
        }
        assert!(rows_of([]).unwrap().is_none());
        assert!(rows_of([br#"{"add":{"path":"a","size":"many"}}"#.as_slice()]).is_err());
    }

    /// As another writer may have them: other order, names, texts and numbers, and more columns.
    #[test]
    fn rows_of_others_are_taken_for_what_they_say() {
        let ours = rows_of(LINES.map(str::as_bytes)).unwrap().unwrap();
        let add = ours.column_by_name("add").unwrap().as_struct().clone();
        let (fields, mut columns, nulls) = add.into_parts();
        let mut fields: Vec<Field> = fields.iter().map(|field| (**field).clone()).collect();
        columns[0] = cast(&columns[0], &DataType::LargeUtf8).unwrap();
        fields[0] = Field::new("path", DataType::LargeUtf8, true);
        columns[2] = cast(&columns[2], &DataType::Int32).unwrap();
        fields[2] = Field::new("size", DataType::Int32, true);
        let entries = columns[1].as_map().clone();
        let (_, offsets, pairs, map_nulls, _) = entries.into_parts();
        let keys = cast(pairs.column(0), &DataType::Utf8View).unwrap();
        let values = cast(pairs.column(1), &DataType::Utf8View).unwrap();
        let text = |name, nullable| Field::new(name, DataType::Utf8View, nullable);
        let pair: Fields = vec![text("k", false), text("v", true)].into();
        let pairs = StructArray::new(pair.clone(), vec![keys, values], None);
        let pair = Arc::new(Field::new("entries", DataType::Struct(pair), false));
        columns[1] = Arc::new(MapArray::new(pair, offsets, pairs, map_nulls, false));
        fields[1] = Field::new("partitionValues", columns[1].data_type().clone(), true);
        fields.push(Field::new("deletionVector", DataType::Int32, true));
        columns.push(new_null_array(&DataType::Int32, 5));
        fields.reverse();
        columns.reverse();
        let add: ArrayRef = Arc::new(StructArray::new(fields.into(), columns, nulls));
        let of = |name: &str| (name.to_owned(), ours.column_by_name(name).unwrap().clone(), true);
        let more: ArrayRef = new_null_array(&DataType::Boolean, 5);
        let theirs = RecordBatch::try_from_iter_with_nullable([
            ("add".to_owned(), add, true),
            ("sidecar".to_owned(), more, true),
            of("remove"),
            of("metaData"),
            of("protocol"),
            of("txn"),
        ]);
        let conformed_rows = conformed(&theirs.unwrap(), &schema(&PARTS)).unwrap();
        assert_eq!(conformed_rows, ours);
    }

    #[test]
    fn what_a_checkpoint_lacks_is_null_and_what_cannot_be_is_refused() {
        let ours = rows_of(LINES.map(str::as_bytes)).unwrap().unwrap();
        let some = ours.project(&[0, 3]).unwrap();
        let rows = conformed(&some, &schema(&PARTS)).unwrap();
        assert_eq!(rows.column_by_name("txn").unwrap().null_count(), 5);
        let protocol = rows.column_by_name("protocol").unwrap().as_struct();
        assert_eq!(protocol.column(1).as_primitive::<Int32Type>().value(0), 2);
        let text: ArrayRef = Arc::new(arrow::array::StringArray::from(vec!["x"]));
        let odd = RecordBatch::try_from_iter([("add", text)]).unwrap();
        assert!(conformed(&odd, &schema(&PARTS)).is_err());
    }

    #[test]
    fn columns_of_later_features_are_not_read() {
        let path = |path: &str| path.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_known(&PARTS, &path("add.partitionValues.key_value.key")));
        for other in ["add.stats_parsed.numRecords", "add.deletionVector.offset", "sidecar.path"] {
            assert!(!is_known(&PARTS, &path(other)), "{other}");
        }
        assert!(!is_known(&["txn"], &path("add.path")));
        assert!(is_known(&["add"], &path("add")), "it is no struct, and not passed over");
    }
}
