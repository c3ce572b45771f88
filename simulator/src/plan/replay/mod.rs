//! Turns a recorded series into a device: a CSV file (one column has the time, every further one is a metric), or NDJSON (the same
//! as members), or Parquet, if whoever starts it reads that. Text is UTF-8 or UTF-16 with its mark, as Excel writes it. A line that can't be used is counted and named; none is
//! published at a time that it does not say.

mod cells;
mod form;
mod lines;
mod recording;
mod times;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::DateTime;
use tracing::info;

use super::PlanError;
use crate::canonical::write_scalar;
use crate::config::{Disorder, ReplayForm, device_id_from};
use crate::device::{Context, Device, Form as Written, Stamp};
use crate::fingerprint::EventTime;
use crate::left_out::LeftOut;
use crate::message::{DeviceName, Planned, Run};
use lines::{Line, Lines};
pub use recording::{Recording, Tables};

/// 2000-01-01: no device that sends now measured before it.
const OLDEST_US: i64 = 946_684_800_000_000;

/// What there is to say of all files.
#[derive(Debug, Default)]
pub struct Say {
    /// By the operator.
    pub form: ReplayForm,
    /// To the operator.
    pub left_out: Arc<LeftOut>,
    /// What reads files that are no text; `None`: they are refused.
    pub tables: Option<Arc<dyn Tables>>,
}

/// A file being replayed. Constant memory.
#[derive(Debug)]
pub struct Replay {
    path: PathBuf,
    lines: Lines,
    device: Device,
    first_us: Option<i64>,
    due_us: i64,
    left_out: Arc<LeftOut>,
}

impl Replay {
    /// Opens `path` and reads its head.
    ///
    /// # Errors
    /// When the file cannot be read or has no column beside the time, or is not what was said of it.
    pub fn open(
        path: &Path,
        site: &str,
        run: Run,
        number: u32,
        say: &Say,
    ) -> Result<Self, PlanError> {
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
        let file = std::fs::File::open(path).map_err(read)?;
        let opened = Lines::open(file, &say.form, &stem, say.tables.as_deref());
        let (lines, told) = opened.map_err(|problem| match problem {
            lines::Problem::Read(source) => read(source),
            lines::Problem::Form(problem) => PlanError::Csv { path: path.to_owned(), problem },
        })?;
        info!("{}: {told}; a --replay-… option says otherwise", path.display());
        let (path, left_out) = (path.to_owned(), say.left_out.clone());
        Ok(Self { path, lines, device, first_us: None, due_us: 0, left_out })
    }

    /// The device that the file becomes.
    #[must_use]
    pub fn device(&self) -> &DeviceName {
        &self.device.name
    }

    /// The message of a line, if that has a value.
    fn planned(&mut self, line: &Line) -> Option<Planned> {
        let samples = line.samples(self.lines.decimal_comma());
        if samples.is_empty() {
            return None;
        }
        let at_us = line.at_us;
        let first_us = *self.first_us.get_or_insert(at_us);
        // Real series run backwards now and then; the plan does not.
        self.due_us = self.due_us.max(at_us.saturating_sub(first_us));
        let stamp = self.stamp(at_us);
        let message = self.device.readings(Written::Values, &stamp, Context::default(), &samples);
        Some(Planned { due_us: self.due_us, message })
    }

    /// What to send as the time.
    fn stamp(&self, us: i64) -> Stamp {
        let event = if us < OLDEST_US {
            EventTime::Received
        } else {
            self.device.believed(EventTime::At(us))
        };
        let time = DateTime::from_timestamp_micros(us).unwrap_or_default();
        let mut json = Vec::with_capacity(32);
        write_scalar(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true), &mut json);
        let json = String::from_utf8_lossy(&json).into_owned();
        Stamp { json, event, unread: None }
    }
}

impl Iterator for Replay {
    type Item = Result<Planned, PlanError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.lines.next()? {
                Ok(line) => {
                    if let Some(planned) = self.planned(&line) {
                        return Some(Ok(planned));
                    }
                }
                Err(lines::Unread::Line { number, why }) => {
                    self.left_out.add(&self.path, number, why);
                }
                Err(lines::Unread::File(source)) => {
                    return Some(Err(PlanError::Read { path: self.path.clone(), source }));
                }
            }
        }
    }
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
        let replay = Replay::open(&path, "s", Run::of_boot(1), 0, &Say::default()).unwrap();
        (folder, replay)
    }

    #[test]
    fn a_monitor_export_becomes_catalogued_metrics() {
        let messages: Vec<_> =
            Replay::open(Path::new(FIXTURE), "s", Run::of_boot(1), 0, &Say::default())
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
            ]
        );
        assert_eq!(messages.iter().map(|p| p.due_us / 1_000_000).collect::<Vec<_>>(), [0, 60, 60]);
        assert_eq!(messages[0].message.expect.rows, 3);
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
        assert_eq!(replay.stamp(OLDEST_US - 1).event, EventTime::Received);
        assert_eq!(replay.stamp(OLDEST_US).event, EventTime::At(OLDEST_US));
    }

    #[test]
    fn a_file_without_values_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        for text in ["", "timestamp\n1\n"] {
            std::fs::write(&path, text).unwrap();
            assert!(
                matches!(
                    Replay::open(&path, "s", Run::of_boot(1), 0, &Say::default()),
                    Err(PlanError::Csv { .. })
                ),
                "{text:?}"
            );
        }
    }

    /// The payloads of a file, and the lines that were left out.
    fn played(bytes: &[u8], form: ReplayForm) -> (Vec<String>, Vec<(u64, String)>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.csv");
        std::fs::write(&path, bytes).unwrap();
        let say = Say { form, ..Say::default() };
        let replay = Replay::open(&path, "s", Run::of_boot(1), 0, &say).unwrap();
        let texts = replay
            .map(|planned| String::from_utf8(planned.unwrap().message.payload.to_vec()).unwrap());
        let texts = texts.collect();
        let (_, left) = say.left_out.all();
        (texts, left.into_iter().map(|line| (line.line, line.why)).collect())
    }

    #[test]
    fn inv12_a_line_that_cannot_be_used_is_named_and_published_at_no_made_up_time() {
        let text = b"time,t\n2026-01-01T00:00:00Z,1\nsoon,2\n,3\n2026-01-01T00:00:02Z,\xff\n2026-01-01T00:00:03Z,4\n";
        let (texts, left) = played(text, ReplayForm::default());
        assert_eq!(texts.len(), 2, "{texts:?}");
        let why = |line, why: &str| (line, why.to_owned());
        let expected = [
            why(3, "its time can't be read"),
            why(4, "it says no time"),
            why(5, "it is not UTF-8"),
        ];
        assert_eq!(left, expected);
    }

    #[test]
    fn what_excel_writes_is_read_with_its_commas_and_marks() {
        let text =
            "Zeit;Temperatur\r\n25.11.2026 20:01:25;21,5\r\n\r\n25.11.2026 20:01:26;\"22,0\"\r\n";
        let expected =
            r#"{"ts":"2026-11-25T19:01:25Z","boot":1,"seq":1,"values":{"temperatur":21.5}}"#;
        let utf16 = |order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(order).collect()
        };
        let marked = format!("\u{feff}{text}").into_bytes();
        for bytes in
            [text.as_bytes().to_vec(), marked, utf16(u16::to_le_bytes), utf16(u16::to_be_bytes)]
        {
            let form = ReplayForm { zone: Some("Europe/Berlin".into()), ..ReplayForm::default() };
            let (texts, left) = played(&bytes, form);
            assert_eq!((texts.len(), left.len()), (2, 0), "{texts:?} {left:?}");
            assert_eq!(texts[0], expected);
        }
    }

    #[test]
    fn lines_of_json_are_replayed_too() {
        let text = br#"{"ts":"2026-01-01T00:00:00Z","hr":72,"on":true,"a":{"b":1.5},"none":null}
{"ts":1767225601,"hr":73}
{"hr":74}
nonsense
"#;
        let (texts, left) = played(text, ReplayForm::default());
        assert_eq!(
            texts,
            [
                r#"{"ts":"2026-01-01T00:00:00Z","boot":1,"seq":1,"values":{"a_b":1.5,"heart_rate":72,"on":1}}"#,
                r#"{"ts":"2026-01-01T00:00:01Z","boot":1,"seq":2,"values":{"heart_rate":73}}"#,
            ]
        );
        assert_eq!(left.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [3, 4]);
    }

    #[test]
    fn a_line_break_in_quotes_is_part_of_its_cell() {
        let (texts, left) = played(
            b"time,note\n2026-01-01T00:00:00Z,\"a\nb\"\n2026-01-01T00:00:01Z,c\n",
            ReplayForm::default(),
        );
        assert_eq!((texts.len(), left.len()), (2, 0));
        assert!(texts[0].ends_with(r#""values":{"note":"a\nb"}}"#), "{texts:?}");
    }
}
