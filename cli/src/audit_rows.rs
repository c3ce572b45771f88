//! Turns the lake's columns into the rows that the audit compares.

use anyhow::Context;
use arrow::array::{
    Array, AsArray, BinaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use lake::tables::{dead_letters, device_status, ehr_events, readings};
use simulator::fingerprint::{DeadLetterRow, EhrRow, EventTime, ReadingRow, StatusRow, Value};
use simulator::{LakeRow, Position};

/// What an audit compares of a table: its columns, and how they become the rows that it compares. Which tables there are says
/// the catalog; of those that have no reader only the identities of rows are looked at.
pub(crate) struct Reader {
    /// The table.
    table: &'static str,
    /// Beside [`IDENTITY`].
    columns: &'static [&'static str],
    rows: fn(&Columns<'_>, usize, Sink<'_>) -> anyhow::Result<()>,
}

const READERS: [Reader; 4] = [
    Reader { table: readings::NAME, columns: Readings::NAMES, rows: readings },
    Reader { table: ehr_events::NAME, columns: EhrEvents::NAMES, rows: ehr_events },
    Reader { table: device_status::NAME, columns: DeviceStatus::NAMES, rows: device_status },
    Reader { table: dead_letters::NAME, columns: DeadLetters::NAMES, rows: dead_letters },
];

/// The reader of a table.
pub(crate) fn reader(table: &str) -> Option<&'static Reader> {
    READERS.iter().find(|reader| reader.table == table)
}

impl Reader {
    /// The columns to read.
    pub(crate) fn columns(&self) -> Vec<&'static str> {
        [&IDENTITY[..], self.columns].concat()
    }

    /// Converts a batch of the table.
    pub(crate) fn rows(&self, batch: &RecordBatch, sink: Sink<'_>) -> anyhow::Result<()> {
        (self.rows)(&Columns(batch), batch.num_rows(), sink)
    }
}

/// The columns of any other table: which message each row is from.
pub(crate) const IDENTITY: [&str; 4] = ["source_id", "epoch", "source_offset", "row_no"];

/// Where a converted row goes.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(&LakeRow) -> anyhow::Result<()>;

struct Columns<'a>(&'a RecordBatch);

impl<'a> Columns<'a> {
    fn named(&self, name: &str) -> anyhow::Result<&'a dyn Array> {
        Ok(self
            .0
            .column_by_name(name)
            .with_context(|| format!("the table has no column {name}"))?
            .as_ref())
    }

    fn text(&self, name: &str) -> anyhow::Result<&'a StringArray> {
        self.named(name)?.as_string_opt().with_context(|| format!("column {name} is not text"))
    }

    fn long(&self, name: &str) -> anyhow::Result<&'a Int64Array> {
        self.named(name)?
            .as_primitive_opt::<Int64Type>()
            .with_context(|| format!("column {name} is not bigint"))
    }

    fn int(&self, name: &str) -> anyhow::Result<&'a Int32Array> {
        self.named(name)?
            .as_primitive_opt::<Int32Type>()
            .with_context(|| format!("column {name} is not int"))
    }

    fn double(&self, name: &str) -> anyhow::Result<&'a Float64Array> {
        self.named(name)?
            .as_primitive_opt::<Float64Type>()
            .with_context(|| format!("column {name} is not double"))
    }

    fn time(&self, name: &str) -> anyhow::Result<&'a TimestampMicrosecondArray> {
        self.named(name)?
            .as_primitive_opt::<TimestampMicrosecondType>()
            .with_context(|| format!("column {name} is not a timestamp"))
    }

    fn binary(&self, name: &str) -> anyhow::Result<&'a BinaryArray> {
        self.named(name)?
            .as_binary_opt::<i32>()
            .with_context(|| format!("column {name} is not binary"))
    }

    fn positions(&self) -> anyhow::Result<impl Fn(usize) -> Position<'a> + use<'a>> {
        let (source, epoch) = (self.text("source_id")?, self.long("epoch")?);
        let (offset, row_no) = (self.long("source_offset")?, self.int("row_no")?);
        Ok(move |row| Position {
            source_id: source.value(row),
            epoch: epoch.value(row),
            source_offset: offset.value(row),
            row_no: row_no.value(row),
        })
    }
}

fn text(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

fn long(column: &Int64Array, row: usize) -> Option<i64> {
    column.is_valid(row).then(|| column.value(row))
}

fn double(column: &Float64Array, row: usize) -> Option<f64> {
    column.is_valid(row).then(|| column.value(row))
}

fn value<'a>(number: &Float64Array, words: &'a StringArray, row: usize) -> Value<'a> {
    match (double(number, row), text(words, row)) {
        (Some(number), _) => Value::Number(number),
        (None, Some(text)) => Value::Text(text),
        (None, None) => Value::Null,
    }
}

/// The same of a reading, whose number may have come as a text.
fn reading_value<'a>(number: &Float64Array, words: &'a StringArray, row: usize) -> Value<'a> {
    match (double(number, row), text(words, row)) {
        (Some(number), Some(text)) => Value::Word(number, text),
        _ => value(number, words, row),
    }
}

/// Converts a batch of any other table, which has a `number`.
pub(crate) fn others(number: u8, batch: &RecordBatch, sink: Sink<'_>) -> anyhow::Result<()> {
    let at = Columns(batch).positions()?;
    (0..batch.num_rows()).try_for_each(|row| sink(&LakeRow::other(at(row), number)))
}

/// The columns of a table that are compared, said once: their names, and their arrays.
macro_rules! compared {
    ($name:ident { $($column:ident: $kind:ident),* $(,)? }) => {
        struct $name<'a> { $($column: compared!(@ $kind 'a)),* }

        impl<'a> $name<'a> {
            const NAMES: &'static [&'static str] = &[$(stringify!($column)),*];

            fn of(columns: &Columns<'a>) -> anyhow::Result<Self> {
                Ok(Self { $($column: columns.$kind(stringify!($column))?),* })
            }
        }
    };
    (@ text $a:lifetime) => { &$a StringArray };
    (@ long $a:lifetime) => { &$a Int64Array };
    (@ double $a:lifetime) => { &$a Float64Array };
    (@ time $a:lifetime) => { &$a TimestampMicrosecondArray };
    (@ binary $a:lifetime) => { &$a BinaryArray };
}

compared! {
    Readings {
        site: text, device_id: text, metric: text, event_ts: time, device_ts: time, value: double, value_text: text, unit: text,
        quality: text, flags: text, extra: text, time_text: text, patient_id: text, boot_id: long, seq: long,
    }
}

compared! {
    EhrEvents {
        site: text, system_id: text, resource_type: text, resource_id: text, version_id: text, status: text, code: text,
        value: double, value_text: text, unit: text, effective_start: time, resource: text,
    }
}

compared! {
    DeviceStatus {
        site: text, device_id: text, event_ts: time, device_ts: time, status: text, battery: double, firmware: text,
        flags: text, extra: text, time_text: text, boot_id: long, seq: long,
    }
}

compared! {
    DeadLetters { topic: text, payload: binary }
}

fn readings(columns: &Columns<'_>, count: usize, sink: Sink<'_>) -> anyhow::Result<()> {
    let (at, own) = (columns.positions()?, Readings::of(columns)?);
    for row in 0..count {
        let flags = text(own.flags, row);
        let reading = ReadingRow {
            site: own.site.value(row),
            device_id: own.device_id.value(row),
            metric: own.metric.value(row),
            event: event_time(own.event_ts, own.device_ts, flags, row),
            value: reading_value(own.value, own.value_text, row),
            unit: text(own.unit, row),
            quality: own.quality.value(row),
            patient_id: text(own.patient_id, row),
            boot_id: long(own.boot_id, row),
            seq: long(own.seq, row),
            extra: text(own.extra, row),
            time_text: text(own.time_text, row),
        };
        sink(&LakeRow::reading(at(row), &reading).with_flags(flags))?;
    }
    Ok(())
}

/// When it happened, by what the device said.
fn event_time(
    event: &TimestampMicrosecondArray,
    device: &TimestampMicrosecondArray,
    flags: Option<&str>,
    row: usize,
) -> EventTime {
    let device = device.is_valid(row).then(|| device.value(row));
    EventTime::of_row(event.value(row), device, flags)
}

fn ehr_events(columns: &Columns<'_>, count: usize, sink: Sink<'_>) -> anyhow::Result<()> {
    let (at, own) = (columns.positions()?, EhrEvents::of(columns)?);
    for row in 0..count {
        let start = own.effective_start;
        let event = EhrRow {
            site: own.site.value(row),
            system_id: own.system_id.value(row),
            resource_type: own.resource_type.value(row),
            resource_id: text(own.resource_id, row).unwrap_or_default(),
            version_id: text(own.version_id, row).unwrap_or_default(),
            status: text(own.status, row),
            code: text(own.code, row),
            value: value(own.value, own.value_text, row),
            unit: text(own.unit, row),
            effective_us: start.is_valid(row).then(|| start.value(row)),
            resource: own.resource.value(row).as_bytes(),
        };
        sink(&LakeRow::ehr(at(row), &event))?;
    }
    Ok(())
}

fn device_status(columns: &Columns<'_>, count: usize, sink: Sink<'_>) -> anyhow::Result<()> {
    let (at, own) = (columns.positions()?, DeviceStatus::of(columns)?);
    for row in 0..count {
        let flags = text(own.flags, row);
        let status = StatusRow {
            site: own.site.value(row),
            device_id: own.device_id.value(row),
            event: event_time(own.event_ts, own.device_ts, flags, row),
            status: text(own.status, row),
            battery: double(own.battery, row),
            firmware: text(own.firmware, row),
            boot_id: long(own.boot_id, row),
            seq: long(own.seq, row),
            extra: text(own.extra, row),
            time_text: text(own.time_text, row),
        };
        sink(&LakeRow::status(at(row), &status).with_flags(flags))?;
    }
    Ok(())
}

fn dead_letters(columns: &Columns<'_>, count: usize, sink: Sink<'_>) -> anyhow::Result<()> {
    let (at, own) = (columns.positions()?, DeadLetters::of(columns)?);
    for row in 0..count {
        let letter = DeadLetterRow {
            topic: text(own.topic, row).unwrap_or_default(),
            payload: own.payload.value(row),
        };
        sink(&LakeRow::dead_letter(at(row), &letter))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use lake::Catalog;

    use super::*;

    #[test]
    fn every_column_that_is_compared_is_one_of_the_catalog_and_of_its_kind() {
        let catalog = Catalog::builtin();
        for reader in &READERS {
            let table = catalog.get(reader.table).unwrap();
            let columns = reader.columns();
            let missing = columns.iter().find(|name| table.column(name).is_none());
            assert_eq!(missing, None, "{}", reader.table);
            let empty = RecordBatch::new_empty(table.arrow());
            reader.rows(&empty, &mut |_| Ok(())).unwrap();
        }
    }
}
