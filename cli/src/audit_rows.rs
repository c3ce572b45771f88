//! Turns the lake's columns into the rows that the audit compares.

use anyhow::Context;
use arrow::array::{
    Array, AsArray, BinaryArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use simulator::fingerprint::{DeadLetterRow, EhrRow, EventTime, ReadingRow, StatusRow, Value};
use simulator::{LakeRow, Position};

/// The tables that an audit reads, with the columns it needs.
pub(crate) const AUDITED: [(&str, &[&str]); 4] = [
    (
        "readings",
        &[
            "source_id",
            "epoch",
            "source_offset",
            "row_no",
            "site",
            "device_id",
            "metric",
            "event_ts",
            "device_ts",
            "value",
            "value_text",
            "unit",
            "quality",
            "flags",
            "extra",
            "time_text",
            "patient_id",
            "boot_id",
            "seq",
        ],
    ),
    (
        "ehr_events",
        &[
            "source_id",
            "epoch",
            "source_offset",
            "row_no",
            "site",
            "system_id",
            "resource_type",
            "resource_id",
            "version_id",
            "status",
            "code",
            "value",
            "value_text",
            "unit",
            "effective_start",
            "resource",
        ],
    ),
    (
        "device_status",
        &[
            "source_id",
            "epoch",
            "source_offset",
            "row_no",
            "site",
            "device_id",
            "event_ts",
            "device_ts",
            "status",
            "battery",
            "firmware",
            "flags",
            "extra",
            "time_text",
            "boot_id",
            "seq",
        ],
    ),
    ("dead_letters", &["source_id", "epoch", "source_offset", "row_no", "topic", "payload"]),
];

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

/// Converts a batch of an audited table.
pub(crate) fn rows(table: &str, batch: &RecordBatch, sink: Sink<'_>) -> anyhow::Result<()> {
    let columns = Columns(batch);
    let count = batch.num_rows();
    match table {
        "readings" => readings(&columns, count, sink),
        "ehr_events" => ehr_events(&columns, count, sink),
        "device_status" => device_status(&columns, count, sink),
        "dead_letters" => dead_letters(&columns, count, sink),
        other => anyhow::bail!("table {other} is not audited"),
    }
}

fn readings(columns: &Columns<'_>, count: usize, sink: Sink<'_>) -> anyhow::Result<()> {
    let at = columns.positions()?;
    let (site, device, metric) =
        (columns.text("site")?, columns.text("device_id")?, columns.text("metric")?);
    let (number, words, unit) =
        (columns.double("value")?, columns.text("value_text")?, columns.text("unit")?);
    let (event, quality, flags) =
        (columns.time("event_ts")?, columns.text("quality")?, columns.text("flags")?);
    let (extra, time_text) = (columns.text("extra")?, columns.text("time_text")?);
    let device_ts = columns.time("device_ts")?;
    let (patient, boot, seq) =
        (columns.text("patient_id")?, columns.long("boot_id")?, columns.long("seq")?);
    for row in 0..count {
        let reading = ReadingRow {
            site: site.value(row),
            device_id: device.value(row),
            metric: metric.value(row),
            event: event_time(event, device_ts, text(flags, row), row),
            value: reading_value(number, words, row),
            unit: text(unit, row),
            quality: quality.value(row),
            patient_id: text(patient, row),
            boot_id: long(boot, row),
            seq: long(seq, row),
            extra: text(extra, row),
            time_text: text(time_text, row),
        };
        sink(&LakeRow::reading(at(row), &reading).with_flags(text(flags, row)))?;
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
    let at = columns.positions()?;
    let (site, system, kind) =
        (columns.text("site")?, columns.text("system_id")?, columns.text("resource_type")?);
    let (id, version) = (columns.text("resource_id")?, columns.text("version_id")?);
    let (status, code, unit) =
        (columns.text("status")?, columns.text("code")?, columns.text("unit")?);
    let (number, words) = (columns.double("value")?, columns.text("value_text")?);
    let (start, resource) = (columns.time("effective_start")?, columns.text("resource")?);
    for row in 0..count {
        let event = EhrRow {
            site: site.value(row),
            system_id: system.value(row),
            resource_type: kind.value(row),
            resource_id: text(id, row).unwrap_or_default(),
            version_id: text(version, row).unwrap_or_default(),
            status: text(status, row),
            code: text(code, row),
            value: value(number, words, row),
            unit: text(unit, row),
            effective_us: start.is_valid(row).then(|| start.value(row)),
            resource: resource.value(row).as_bytes(),
        };
        sink(&LakeRow::ehr(at(row), &event))?;
    }
    Ok(())
}

fn device_status(columns: &Columns<'_>, count: usize, sink: Sink<'_>) -> anyhow::Result<()> {
    let at = columns.positions()?;
    let (site, device, status) =
        (columns.text("site")?, columns.text("device_id")?, columns.text("status")?);
    let (event, flags, battery) =
        (columns.time("event_ts")?, columns.text("flags")?, columns.double("battery")?);
    let (extra, time_text) = (columns.text("extra")?, columns.text("time_text")?);
    let device_ts = columns.time("device_ts")?;
    let (firmware, boot, seq) =
        (columns.text("firmware")?, columns.long("boot_id")?, columns.long("seq")?);
    for row in 0..count {
        let status = StatusRow {
            site: site.value(row),
            device_id: device.value(row),
            event: event_time(event, device_ts, text(flags, row), row),
            status: text(status, row),
            battery: double(battery, row),
            firmware: text(firmware, row),
            boot_id: long(boot, row),
            seq: long(seq, row),
            extra: text(extra, row),
            time_text: text(time_text, row),
        };
        sink(&LakeRow::status(at(row), &status).with_flags(text(flags, row)))?;
    }
    Ok(())
}

fn dead_letters(columns: &Columns<'_>, count: usize, sink: Sink<'_>) -> anyhow::Result<()> {
    let at = columns.positions()?;
    let (topic, payload) = (columns.text("topic")?, columns.binary("payload")?);
    for row in 0..count {
        let letter = DeadLetterRow {
            topic: text(topic, row).unwrap_or_default(),
            payload: payload.value(row),
        };
        sink(&LakeRow::dead_letter(at(row), &letter))?;
    }
    Ok(())
}
