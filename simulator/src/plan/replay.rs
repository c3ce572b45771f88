//! Turns a CSV file of time series into a device: the first column is the time, every further one a metric.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDateTime};
use telemetry_core::catalog::{self, Verdict, judge};

use super::PlanError;
use super::csv::fields;
use crate::canonical::write_scalar;
use crate::config::{Disorder, device_id_from};
use crate::device::{Context, Device, Form, Given, Sample, Stamp};
use crate::fingerprint::EventTime;
use crate::message::{DeviceName, Planned, Run};

/// Longest line in bytes; a longer one is refused.
const LINE_MAX: usize = 64 << 10;
/// 2000-01-01: no device that sends now measured before it.
const OLDEST_US: i64 = 946_684_800_000_000;

/// A file being replayed. Constant memory.
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    lines: BufReader<File>,
    metrics: Vec<String>,
    device: Device,
    first_us: Option<i64>,
    due_us: i64,
    line: String,
}

impl Replay {
    /// Opens `path` and reads its head.
    ///
    /// # Errors
    /// When the file cannot be read or has no column beside the time.
    pub fn open(path: &Path, site: &str, run: Run, number: u32) -> Result<Self, PlanError> {
        let read = |source| PlanError::Read { path: path.to_owned(), source };
        let stem =
            path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let device = Device::new(
            number,
            DeviceName::new(site, &device_id_from(&stem)),
            run,
            0,
            &Disorder::default(),
        );
        let lines = BufReader::with_capacity(1 << 16, File::open(path).map_err(read)?);
        let mut replay = Self {
            path: path.to_owned(),
            lines,
            metrics: Vec::new(),
            device,
            first_us: None,
            due_us: 0,
            line: String::new(),
        };
        if !replay.read_line()? {
            return Err(replay.problem("it is empty"));
        }
        replay.metrics = fields(replay.line.trim_start_matches('\u{feff}'))
            .iter()
            .skip(1)
            .map(|c| metric_of(c, &stem))
            .collect();
        if replay.metrics.is_empty() {
            return Err(replay.problem("it needs a time column and at least one value column"));
        }
        Ok(replay)
    }

    /// The device that the file becomes.
    #[must_use]
    pub fn device(&self) -> &DeviceName {
        &self.device.name
    }

    fn problem(&self, problem: &str) -> PlanError {
        PlanError::Csv { path: self.path.clone(), problem: problem.to_owned() }
    }

    /// Reads the next line; false at the end of the file.
    fn read_line(&mut self) -> Result<bool, PlanError> {
        self.line.clear();
        let limit = LINE_MAX as u64;
        let read = self.lines.by_ref().take(limit).read_line(&mut self.line);
        let n = read.map_err(|source| PlanError::Read { path: self.path.clone(), source })?;
        if n == LINE_MAX {
            return Err(self.problem("it has a line longer than 64 KiB"));
        }
        Ok(n > 0)
    }

    /// The message of the current line, if it has a value.
    fn planned(&mut self) -> Option<Planned> {
        let cells = fields(&self.line);
        let (time, values) = cells.split_first()?;
        let samples: Vec<Sample<'_>> = self
            .metrics
            .iter()
            .zip(values)
            .filter_map(|(metric, cell)| sample(metric, cell))
            .collect();
        if samples.is_empty() {
            return None;
        }
        let (stamp, at_us) = self.stamp(time.trim());
        if let Some(at_us) = at_us {
            let first_us = *self.first_us.get_or_insert(at_us);
            // Real series run backwards now and then; the plan does not.
            self.due_us = self.due_us.max(at_us.saturating_sub(first_us));
        }
        let message = self.device.readings(Form::Values, &stamp, Context::default(), &samples);
        Some(Planned { due_us: self.due_us, message })
    }

    /// What to send as the time, and the instant if there is one.
    fn stamp(&self, cell: &str) -> (Stamp, Option<i64>) {
        let mut json = Vec::with_capacity(32);
        match parse_time(cell) {
            Some(us) => {
                let event = if us < OLDEST_US {
                    EventTime::Received
                } else {
                    self.device.believed(EventTime::At(us))
                };
                let time = DateTime::from_timestamp_micros(us).unwrap_or_default();
                write_scalar(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true), &mut json);
                let json = String::from_utf8_lossy(&json).into_owned();
                (Stamp { json, event, unread: None }, Some(us))
            }
            None => {
                write_scalar(cell, &mut json);
                let json = String::from_utf8_lossy(&json).into_owned();
                let unread = Some(cell.to_owned());
                (Stamp { json, event: EventTime::Received, unread }, None)
            }
        }
    }
}

impl Iterator for Replay {
    type Item = Result<Planned, PlanError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read_line() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
            if let Some(planned) = self.planned() {
                return Some(Ok(planned));
            }
        }
    }
}

/// RFC 3339, or `YYYY-MM-DD HH:MM:SS` taken as UTC, in microseconds since the Unix epoch.
fn parse_time(cell: &str) -> Option<i64> {
    if let Ok(time) = DateTime::parse_from_rfc3339(cell) {
        return Some(time.timestamp_micros());
    }
    let time = NaiveDateTime::parse_from_str(cell, "%Y-%m-%d %H:%M:%S%.f").ok()?;
    Some(time.and_utc().timestamp_micros())
}

/// The metric of a column: known names of monitor exports, else the name itself in snake case. A column called
/// `value` takes the file's name.
fn metric_of(column: &str, stem: &str) -> String {
    let name = column.split(['[', '(']).next().unwrap_or_default().trim();
    let known = match name.to_ascii_lowercase().as_str() {
        "hr" => "heart_rate",
        "pulse" => "pulse_rate",
        "resp" | "rr" => "resp_rate",
        "spo2" => "spo2",
        "abpsys" => "abp_sys",
        "abpdias" => "abp_dia",
        "abpmean" => "abp_map",
        "nbpsys" => "nibp_sys",
        "nbpdias" => "nibp_dia",
        "nbpmean" => "nibp_map",
        "temp" => "temp_body",
        "value" => return snake(stem),
        _ => return snake(name),
    };
    known.to_owned()
}

fn snake(name: &str) -> String {
    let snake = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = name.chars().take(64).map(snake).collect();
    if name.is_empty() { "value".to_owned() } else { name }
}

fn verdict(metric: &str, number: f64) -> Verdict {
    let known = catalog::metric(metric);
    known.map_or(Verdict::Plausible, |known| judge(known, Some(number), number))
}

fn sample<'a>(metric: &'a str, cell: &'a str) -> Option<Sample<'a>> {
    let cell = cell.trim();
    let given = match cell.parse::<f64>() {
        Ok(number) if number.is_finite() => match verdict(metric, number) {
            Verdict::Plausible | Verdict::NoRange => Given::Number(number),
            Verdict::Sentinel => Given::Sentinel(number),
            Verdict::OutOfRange => Given::Suspect(number),
        },
        // "NaN" is how some exports write a gap.
        Ok(_) => return None,
        Err(_) if cell.is_empty() => return None,
        Err(_) => Given::Text(cell),
    };
    Some(Sample { metric, given })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Expectation;

    const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/monitor.csv");

    fn open(text: &str) -> (tempfile::TempDir, Replay) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("machine temperature.csv");
        std::fs::write(&path, text).unwrap();
        let replay = Replay::open(&path, "s", Run::of_boot(1), 0).unwrap();
        (folder, replay)
    }

    #[test]
    fn a_monitor_export_becomes_catalogued_metrics() {
        let messages: Vec<_> = Replay::open(Path::new(FIXTURE), "s", Run::of_boot(1), 0)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let texts: Vec<_> =
            messages.iter().map(|p| std::str::from_utf8(&p.message.payload).unwrap()).collect();
        assert_eq!(
            texts,
            [
                r#"{"ts":"2026-01-01T00:00:00Z","boot":1,"seq":1,"values":{"heart_rate":0,"resp_rate":23,"spo2":0}}"#,
                r#"{"ts":"2026-01-01T00:01:00Z","boot":1,"seq":2,"values":{"heart_rate":62.8,"resp_rate":12.7,"spo2":97,"nibp_sys":121,"rhythm":"sinus"}}"#,
                r#"{"ts":"2026-01-01T00:00:30Z","boot":1,"seq":3,"values":{"heart_rate":63}}"#,
                r#"{"ts":"not a time","boot":1,"seq":4,"values":{"heart_rate":64}}"#,
            ]
        );
        assert_eq!(
            messages.iter().map(|p| p.due_us / 1_000_000).collect::<Vec<_>>(),
            [0, 60, 60, 60]
        );
        assert_eq!(messages[0].message.expect.rows, 3);
    }

    #[test]
    fn zeros_of_heart_rate_are_expected_as_missing_and_of_breathing_as_suspect() {
        assert_eq!(sample("heart_rate", "0.0").unwrap().given, Given::Sentinel(0.0));
        assert_eq!(sample("resp_rate", "0").unwrap().given, Given::Suspect(0.0));
        assert_eq!(sample("oven", "0").unwrap().given, Given::Number(0.0));
        assert!(sample("oven", " nan ").is_none() && sample("oven", "").is_none());
    }

    #[test]
    fn a_value_column_is_named_after_its_file() {
        let (_folder, mut replay) = open("timestamp,value\n2013-12-02 21:15:00,73.96732207\n");
        assert_eq!(&*replay.device().device_id, "machine-temperature");
        let message = replay.next().unwrap().unwrap().message;
        let text = std::str::from_utf8(&message.payload).unwrap();
        assert_eq!(
            text,
            r#"{"ts":"2013-12-02T21:15:00Z","boot":1,"seq":1,"values":{"machine_temperature":73.96732207}}"#
        );
        assert!(replay.next().is_none());
    }

    #[test]
    fn lines_without_a_value_are_no_messages() {
        let (_folder, replay) = open("t,a,b\n2026-01-01T00:00:00Z,,\n\n2026-01-01T00:00:01Z,1\n");
        assert_eq!(replay.map(Result::unwrap).count(), 1);
    }

    #[test]
    fn times_before_2000_are_expected_as_received() {
        let (_folder, mut replay) = open("t,a\n1999-12-31T23:59:59Z,1\n");
        let old = replay.next().unwrap().unwrap().message.expect;
        assert_ne!(old, Expectation::default());
        assert_eq!(replay.stamp("1999-12-31T23:59:59Z").0.event, EventTime::Received);
        assert_eq!(replay.stamp("2000-01-01T00:00:00Z").0.event, EventTime::At(OLDEST_US));
    }

    #[test]
    fn a_file_without_values_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        for text in ["", "timestamp\n1\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(
                matches!(Replay::open(&path, "s", Run::of_boot(1), 0), Err(PlanError::Csv { .. })),
                "{text:?}"
            );
        }
    }
}
