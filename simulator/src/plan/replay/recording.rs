//! Recorded series that are no text: whoever starts a simulation says what reads them, so that the simulator knows no such format.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _, Seek as _};

use super::cells::metric_of;
use super::form::Form;
use crate::config::ReplayForm;

/// How a Parquet file begins.
const PARQUET: [u8; 4] = *b"PAR1";
/// Rows that are looked at to see which column has the time.
const ROWS: usize = 50;

/// A file as rows of cells.
pub trait Recording: Send {
    /// The names of its columns.
    fn columns(&self) -> &[String];

    /// What of the file is in no column, for people; nothing: all is.
    fn left_out(&self) -> Option<String>;

    /// The next row, a cell for each column: numbers with a point, times as RFC 3339 (without an offset where the file says none), and
    /// nothing where there is none. An error ends it.
    fn row(&mut self) -> Option<io::Result<Vec<String>>>;
}

/// Opens files as [`Recording`]s.
pub trait Tables: Send + Sync + fmt::Debug {
    /// Opens a Parquet file.
    ///
    /// # Errors
    /// Why it can't be read, for people.
    fn parquet(&self, file: File) -> Result<Box<dyn Recording>, String>;
}

/// Whether it is a Parquet file. It is at its start again.
pub(super) fn is_parquet(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    file.by_ref().take(PARQUET.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(start == PARQUET)
}

/// The rows of a recording, those that were looked at once more.
pub(super) struct Rows {
    recording: Box<dyn Recording>,
    ahead: std::vec::IntoIter<Vec<String>>,
    /// Of its columns.
    pub(super) metrics: Vec<String>,
    /// Of the last row, from 1.
    pub(super) number: u64,
}

impl Rows {
    /// Looks at the first rows: with what the file's form is, and that for people.
    ///
    /// # Errors
    /// What was said of the file and it has not, or a first row that can't be read.
    pub(super) fn of(
        mut recording: Box<dyn Recording>,
        said: &ReplayForm,
        stem: &str,
    ) -> Result<(Self, Form, String), String> {
        let mut ahead = Vec::new();
        while ahead.len() < ROWS {
            match recording.row() {
                None => break,
                Some(Ok(row)) => ahead.push(row),
                Some(Err(error)) => return Err(format!("row {}: {error}", ahead.len() + 1)),
            }
        }
        // Its numbers are numbers, and its columns have names: what is left to see is where the time is.
        let plain = ReplayForm {
            delimiter: Some(','),
            header: Some(true),
            decimal_comma: Some(false),
            ..said.clone()
        };
        let form = Form::of(&plain, &text(recording.columns(), &ahead)?)?;
        let columns = recording.columns();
        let mut told = format!("Parquet, time in `{}`", columns[form.time]);
        if let Some(left_out) = recording.left_out() {
            told.push_str(", without ");
            told.push_str(&left_out);
        }
        let metrics = columns.iter().map(|name| metric_of(name, stem)).collect();
        let ahead = ahead.into_iter();
        Ok((Self { recording, ahead, metrics, number: 0 }, form, told))
    }

    /// The next row.
    pub(super) fn next(&mut self) -> Option<io::Result<Vec<String>>> {
        self.number += 1;
        self.ahead.next().map(Ok).or_else(|| self.recording.row())
    }
}

/// Head and rows as CSV.
fn text(columns: &[String], rows: &[Vec<String>]) -> Result<String, String> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for cells in std::iter::once(columns).chain(rows.iter().map(Vec::as_slice)) {
        writer.write_record(cells).map_err(|error| error.to_string())?;
    }
    let bytes = writer.into_inner().map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::message::Run;
    use crate::plan::{PlanError, Replay, Say};

    /// Files with these columns and rows; one that is `broken` can't be read.
    #[derive(Debug)]
    struct Fake(Vec<&'static str>, Vec<Vec<&'static str>>);

    struct FakeRows(Vec<String>, std::vec::IntoIter<Vec<&'static str>>);

    impl Tables for Fake {
        fn parquet(&self, _: File) -> Result<Box<dyn Recording>, String> {
            let columns = self.0.iter().map(|name| (*name).to_owned()).collect();
            Ok(Box::new(FakeRows(columns, self.1.clone().into_iter())))
        }
    }

    impl Recording for FakeRows {
        fn columns(&self) -> &[String] {
            &self.0
        }

        fn left_out(&self) -> Option<String> {
            Some("`tags`".to_owned())
        }

        fn row(&mut self) -> Option<io::Result<Vec<String>>> {
            let row = self.1.next()?;
            if row == ["broken"] {
                return Some(Err(io::Error::other("a page is damaged")));
            }
            Some(Ok(row.into_iter().map(str::to_owned).collect()))
        }
    }

    fn file(folder: &Path) -> std::path::PathBuf {
        let path = folder.join("oven.parquet");
        std::fs::write(&path, "PAR1").unwrap();
        path
    }

    fn open(fake: Fake, form: ReplayForm) -> Result<(Replay, Say), PlanError> {
        let folder = tempfile::tempdir().unwrap();
        let say = Say { form, tables: Some(Arc::new(fake)), ..Say::default() };
        let replay = Replay::open(&file(folder.path()), "s", Run::of_boot(1), 0, &say)?;
        Ok((replay, say))
    }

    fn payloads(replay: Replay) -> Vec<String> {
        let texts =
            replay.map(|planned| String::from_utf8(planned.unwrap().message.payload.to_vec()));
        texts.map(Result::unwrap).collect()
    }

    #[test]
    fn inv12_rows_of_a_table_are_replayed_and_those_that_cannot_be_used_are_named() {
        let mut rows = vec![
            vec!["7", "2026-01-01T00:00:00Z", "72", "21.5", "sinus"],
            vec!["8", "", "73", "", ""],
            vec!["9", "soon", "74", "", ""],
            vec!["", "2026-01-01T00:00:01Z", "", "", ""],
        ];
        // More than are looked at first.
        rows.extend((0..60).map(|_| vec!["1", "2026-01-01T00:00:02Z", "70", "20", ""]));
        let fake = Fake(vec!["n", "at", "hr", "value", "rhythm"], rows);
        let (replay, say) = open(fake, ReplayForm::default()).unwrap();
        let texts = payloads(replay);
        assert_eq!(texts.len(), 61);
        let first = r#"{"ts":"2026-01-01T00:00:00Z","boot":1,"seq":1,"values":{"n":7,"heart_rate":72,"oven":21.5,"rhythm":"sinus"}}"#;
        assert_eq!(texts[0], first);
        let (count, left) = say.left_out.all();
        let left: Vec<_> = left.iter().map(|row| (row.line, row.why.as_str())).collect();
        let expected = [(2, "it says no time"), (3, "its time can't be read")];
        assert_eq!((count, left.as_slice()), (2, &expected[..]));
    }

    #[test]
    fn what_is_said_of_a_table_counts_and_its_local_times_are_in_the_zone() {
        let rows = vec![vec!["2026-07-01T00:00:00", "2026-07-01T12:00:00", "1"]];
        let form = ReplayForm {
            time_column: Some("measured".into()),
            zone: Some("Europe/Berlin".into()),
            // Nothing of a table.
            delimiter: Some(';'),
            header: Some(false),
            decimal_comma: Some(true),
            ..ReplayForm::default()
        };
        let fake = || Fake(vec!["time", "measured", "v"], rows.clone());
        let (replay, _) = open(fake(), form.clone()).unwrap();
        assert!(payloads(replay)[0].starts_with(r#"{"ts":"2026-07-01T10:00:00Z""#));
        let wrong = ReplayForm { time_column: Some("when".into()), ..form };
        let error = open(fake(), wrong).err().unwrap().to_string();
        assert!(error.contains("there are time, measured, v"), "{error}");
    }

    #[test]
    fn a_table_that_breaks_off_or_that_nobody_reads_is_named() {
        let early = Fake(vec!["time", "v"], vec![vec!["broken"]]);
        let error = open(early, ReplayForm::default()).err().unwrap().to_string();
        assert!(error.ends_with("oven.parquet: row 1: a page is damaged"), "{error}");
        let mut rows = vec![vec!["2026-01-01T00:00:00Z", "1"]; ROWS];
        rows.push(vec!["broken"]);
        let (replay, _) = open(Fake(vec!["time", "v"], rows), ReplayForm::default()).unwrap();
        let played: Vec<_> = replay.collect();
        assert!(matches!(played.last(), Some(Err(PlanError::Read { .. }))));
        assert_eq!(played.len(), ROWS + 1);
        let folder = tempfile::tempdir().unwrap();
        let alone = Replay::open(&file(folder.path()), "s", Run::of_boot(1), 0, &Say::default());
        let error = alone.err().unwrap().to_string();
        assert!(error.contains("only `tidemark simulate` replays"), "{error}");
    }
}
