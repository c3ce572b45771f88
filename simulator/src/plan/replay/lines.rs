//! The lines (or rows) of a file that can be used, and those that can't, with why.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Chain, Cursor, Read};

use encoding_rs_io::DecodeReaderBytes;
use serde_json::{Map, Value};

use super::cells::{metric_of, number, sample};
use super::form::Form;
use super::recording::{Rows, Tables, is_parquet};
use crate::config::ReplayForm;
use crate::device::Sample;

/// How much of a file is looked at to see how it is written.
const BEGINNING: u64 = 64 << 10;
/// Longest line of NDJSON, in bytes.
const LINE_MAX: u64 = 1 << 20;
/// Members of NDJSON that say when it was, if nothing else is said.
const TIME_NAMES: [&str; 8] =
    ["ts", "time", "timestamp", "datetime", "date_time", "date", "event_ts", "recorded_at"];

type Text = Chain<Cursor<Vec<u8>>, DecodeReaderBytes<File, Vec<u8>>>;

/// Why a file can't be opened.
pub(super) enum Problem {
    Read(io::Error),
    Form(String),
}

/// Why a line is not there.
pub(super) enum Unread {
    /// It can't be used.
    Line { number: u64, why: String },
    /// Nor can what follows.
    File(io::Error),
}

/// A line with a time and values.
pub(super) struct Line {
    /// When it was, in microseconds since 1970.
    pub(super) at_us: i64,
    /// Metric and cell.
    cells: Vec<(String, String)>,
}

impl Line {
    pub(super) fn samples(&self, decimal_comma: bool) -> Vec<Sample<'_>> {
        let samples =
            self.cells.iter().filter_map(|(metric, cell)| sample(metric, cell, decimal_comma));
        samples.collect()
    }
}

/// See the module.
pub(super) struct Lines {
    form: Form,
    kind: Kind,
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lines").field("form", &self.form).finish_non_exhaustive()
    }
}

enum Kind {
    Csv { records: Box<csv::StringRecordsIntoIter<Text>>, metrics: Vec<String> },
    Json { lines: Box<BufReader<Text>>, time: Option<String>, number: u64 },
    Rows(Rows),
}

impl Lines {
    /// Opens a file: with how it is written, for people.
    pub(super) fn open(
        mut file: File,
        said: &ReplayForm,
        stem: &str,
        tables: Option<&dyn Tables>,
    ) -> Result<(Self, String), Problem> {
        if is_parquet(&mut file).map_err(Problem::Read)? {
            let tables = tables.ok_or("it is Parquet, which only `tidemark simulate` replays");
            let recording = tables.map_err(str::to_owned).and_then(|tables| tables.parquet(file));
            let rows = recording.and_then(|recording| Rows::of(recording, said, stem));
            let (rows, form, told) = rows.map_err(Problem::Form)?;
            return Ok((Self { form, kind: Kind::Rows(rows) }, told));
        }
        // Looks for the mark of UTF-8 or UTF-16, and takes it away.
        let mut text = DecodeReaderBytes::new(file);
        let mut beginning = Vec::new();
        text.by_ref().take(BEGINNING).read_to_end(&mut beginning).map_err(Problem::Read)?;
        let shown = String::from_utf8_lossy(&beginning).into_owned();
        let text = Cursor::new(beginning).chain(text);
        if shown.trim_start().starts_with('{') {
            // The cells of NDJSON are numbers already.
            let plain = ReplayForm {
                delimiter: Some(','),
                header: Some(false),
                decimal_comma: Some(false),
                time_column: None,
                ..said.clone()
            };
            let form = Form::of(&plain, "0,0\n").map_err(Problem::Form)?;
            let (lines, time) = (Box::new(BufReader::new(text)), said.time_column.clone());
            let told = "NDJSON, an object a line".to_owned();
            return Ok((Self { form, kind: Kind::Json { lines, time, number: 0 } }, told));
        }
        let form = Form::of(said, &shown).map_err(Problem::Form)?;
        let mut records = csv::ReaderBuilder::new()
            .delimiter(form.delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text)
            .into_records();
        let head = if form.header { records.next().and_then(Result::ok) } else { None };
        let first: Vec<String> = head.unwrap_or_default().iter().map(str::to_owned).collect();
        let told = form.told(&first);
        let metrics = first.iter().map(|name| metric_of(name, stem)).collect();
        let kind = Kind::Csv { records: Box::new(records), metrics };
        Ok((Self { form, kind }, told))
    }

    /// Whether numbers are as `21,5`.
    pub(super) fn decimal_comma(&self) -> bool {
        self.form.decimal_comma
    }

    /// The next line; `Ok(None)`: it has no value and is left out.
    fn line(&mut self) -> Option<Result<Option<Line>, Unread>> {
        match &mut self.kind {
            Kind::Csv { records, metrics } => {
                let record = match records.next()? {
                    Ok(record) => record,
                    Err(error) => return Some(Err(unread(error))),
                };
                let number = record.position().map_or(0, csv::Position::line);
                cells(&self.form, record.iter(), metrics, number)
            }
            Kind::Rows(rows) => {
                let row = match rows.next()? {
                    Ok(row) => row,
                    Err(error) => return Some(Err(Unread::File(error))),
                };
                cells(&self.form, row.iter().map(String::as_str), &rows.metrics, rows.number)
            }
            Kind::Json { lines, time, number } => {
                let mut line = String::new();
                let read = lines.by_ref().take(LINE_MAX).read_line(&mut line);
                *number += 1;
                match read {
                    Ok(0) => None,
                    Ok(_) if line.trim().is_empty() => Some(Ok(None)),
                    Ok(_) => Some(object(&self.form, time.as_deref(), *number, &line)),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        Some(Err(Unread::Line {
                            number: *number,
                            why: "it is not UTF-8".to_owned(),
                        }))
                    }
                    Err(error) => Some(Err(Unread::File(error))),
                }
            }
        }
    }
}

impl Iterator for Lines {
    type Item = Result<Line, Unread>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.line()? {
                Ok(Some(line)) => return Some(Ok(line)),
                Ok(None) => {}
                Err(unread) => return Some(Err(unread)),
            }
        }
    }
}

fn unread(error: csv::Error) -> Unread {
    let number = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(source) => Unread::File(source),
        csv::ErrorKind::Utf8 { .. } => Unread::Line { number, why: "it is not UTF-8".to_owned() },
        _ => Unread::Line { number, why: "it is no line of CSV".to_owned() },
    }
}

/// A line of cells, a column each.
fn cells<'a>(
    form: &Form,
    all: impl Iterator<Item = &'a str>,
    metrics: &[String],
    number: u64,
) -> Option<Result<Option<Line>, Unread>> {
    let (mut cells, mut time) = (Vec::new(), "");
    for (at, cell) in all.enumerate() {
        if at == form.time {
            time = cell;
            continue;
        }
        let metric = metrics.get(at).cloned();
        let metric = metric.unwrap_or_else(|| format!("column_{}", at + 1));
        cells.push((metric, cell.to_owned()));
    }
    if cells.iter().all(|(_, cell)| cell.trim().is_empty()) {
        return Some(Ok(None));
    }
    Some(dated(form, time, number, cells))
}

/// A line at the time that it says.
fn dated(
    form: &Form,
    time: &str,
    number: u64,
    cells: Vec<(String, String)>,
) -> Result<Option<Line>, Unread> {
    match form.times.read(time) {
        Some(at_us) => Ok(Some(Line { at_us, cells })),
        None if time.trim().is_empty() => {
            Err(Unread::Line { number, why: "it says no time".to_owned() })
        }
        None => Err(Unread::Line { number, why: "its time can't be read".to_owned() }),
    }
}

/// A line of NDJSON: its members are metrics, nested ones by their path.
fn object(
    form: &Form,
    time: Option<&str>,
    number: u64,
    line: &str,
) -> Result<Option<Line>, Unread> {
    let why = |why: &str| Unread::Line { number, why: why.to_owned() };
    let object: Map<String, Value> =
        serde_json::from_str(line).map_err(|_| why("it is no JSON object"))?;
    let names: Vec<&str> = time.map_or_else(|| TIME_NAMES.to_vec(), |name| vec![name]);
    let name = names.into_iter().find(|name| object.contains_key(*name));
    let Some(name) = name else { return Err(why("it says no time")) };
    let told = match &object[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut cells = Vec::new();
    for (member, value) in object.iter().filter(|(member, _)| *member != name) {
        flatten(member, value, &mut cells);
    }
    if cells.is_empty() {
        return Ok(None);
    }
    dated(form, &told, number, cells)
}

/// Cells that are left of an object are few: a line is at most [`LINE_MAX`] long.
fn flatten(path: &str, value: &Value, cells: &mut Vec<(String, String)>) {
    match value {
        Value::Null | Value::Array(_) => {}
        Value::Object(members) => {
            for (name, value) in members {
                flatten(&format!("{path}.{name}"), value, cells);
            }
        }
        Value::String(text) => cells.push((metric_of(path, path), text.clone())),
        Value::Bool(truth) => cells.push((metric_of(path, path), u8::from(*truth).to_string())),
        Value::Number(given) => {
            let text = given.to_string();
            debug_assert!(number(&text, false).is_some());
            cells.push((metric_of(path, path), text));
        }
    }
}
