//! How a recorded series is written: what an operator says of it, and for the rest a guess from its beginning.

use super::cells;
use super::times::Times;
use crate::config::ReplayForm;

/// How a file is written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Form {
    pub(super) delimiter: u8,
    pub(super) header: bool,
    pub(super) decimal_comma: bool,
    /// Which column has the time.
    pub(super) time: usize,
    pub(super) times: Times,
}

const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Names that a column with the time has, in lower case.
const TIME_NAMES: [&str; 12] = [
    "time",
    "timestamp",
    "ts",
    "datetime",
    "date_time",
    "date",
    "date time",
    "zeit",
    "zeitstempel",
    "datum",
    "charttime",
    "recorded_at",
];
/// Lines that are looked at.
const LINES: usize = 50;

impl Form {
    /// How a file that begins so is written.
    ///
    /// # Errors
    /// A setting that makes no sense, or that the file has not what it says.
    pub(super) fn of(said: &ReplayForm, beginning: &str) -> Result<Self, String> {
        let times = Times::new(said.time_format.as_deref(), said.zone.as_deref())?;
        let delimiter = match said.delimiter {
            Some(char) => u8::try_from(char)
                .ok()
                .filter(u8::is_ascii)
                .ok_or_else(|| format!("delimiter `{char}` is no ASCII character"))?,
            None => delimiter(beginning),
        };
        let lines = lines(beginning, delimiter);
        let [first, rest @ ..] = lines.as_slice() else { return Err("it is empty".to_owned()) };
        let is_value =
            |cell: &String| times.read(cell).is_some() || cells::number(cell, true).is_some();
        let header = said.header.unwrap_or_else(|| !first.iter().any(is_value));
        let values = if header { rest } else { lines.as_slice() };
        let time = match &said.time_column {
            Some(name) => column(name, first, header)?,
            None => time_column(first, values, &times, header),
        };
        if first.len() < 2 {
            return Err("it needs a column with the time and at least one with values".to_owned());
        }
        let decimal_comma = said.decimal_comma.unwrap_or_else(|| decimal_comma(values, time));
        Ok(Self { delimiter, header, decimal_comma, time, times })
    }

    /// For people.
    pub(super) fn told(&self, first: &[String]) -> String {
        let delimiter = match self.delimiter {
            b'\t' => "tab".to_owned(),
            other => format!("`{}`", char::from(other)),
        };
        let header = if self.header { "header" } else { "no header" };
        let decimal = if self.decimal_comma { "decimal comma" } else { "decimal point" };
        let time = match first.get(self.time).filter(|_| self.header) {
            Some(name) => format!("time in `{}`", name.trim()),
            None => format!("time in column {}", self.time + 1),
        };
        format!("delimiter {delimiter}, {header}, {decimal}, {time}")
    }
}

fn column(name: &str, first: &[String], header: bool) -> Result<usize, String> {
    let named = first.iter().position(|own| header && own.trim().eq_ignore_ascii_case(name.trim()));
    let numbered = || name.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < first.len());
    named.or_else(numbered).ok_or_else(|| {
        let names: Vec<&str> = first.iter().map(|name| name.trim()).collect();
        format!("there is no column `{name}` (time_column): there are {}", names.join(", "))
    })
}

fn time_column(first: &[String], values: &[Vec<String>], times: &Times, header: bool) -> usize {
    let reads = |at: usize| {
        let cells: Vec<&String> = values.iter().filter_map(|line| line.get(at)).collect();
        !cells.is_empty()
            && cells.iter().filter(|cell| times.read(cell).is_some()).count() * 2 > cells.len()
    };
    let is_named =
        |at: usize| header && TIME_NAMES.contains(&first[at].trim().to_lowercase().as_str());
    let all = 0..first.len();
    let both = all.clone().find(|at| is_named(*at) && reads(*at));
    both.or_else(|| all.clone().find(|at| reads(*at)))
        .or_else(|| all.clone().find(|at| is_named(*at)))
        .unwrap_or(0)
}

/// Numbers such as `21,5` and none such as `21.5`.
fn decimal_comma(values: &[Vec<String>], time: usize) -> bool {
    let cells =
        || values.iter().flat_map(|line| line.iter().enumerate().filter(|(at, _)| *at != time));
    let with = |separator: char| {
        cells()
            .filter(|(_, cell)| {
                let cell = cell.trim();
                let digits =
                    |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let parts = cell.trim_start_matches('-').split_once(separator);
                // Three digits may be a thousand.
                parts.is_some_and(|(whole, part)| {
                    digits(whole)
                        && digits(part)
                        && (part.len() != 3 || separator == '.' || whole == "0")
                })
            })
            .count()
    };
    with(',') > 0 && with('.') == 0
}

/// The one that parts all lines into the same number of cells, and most of them.
fn delimiter(beginning: &str) -> u8 {
    let score = |delimiter: &u8| {
        let lines = lines(beginning, *delimiter);
        let cells = lines.first().map_or(0, Vec::len);
        let same = lines.iter().filter(|line| line.len() == cells).count();
        (cells > 1, same * 10 / lines.len().max(1), cells)
    };
    DELIMITERS.into_iter().rev().max_by_key(score).unwrap_or(b',')
}

/// The first lines; the last may be cut off, so it is left out if there are others.
fn lines(beginning: &str, delimiter: u8) -> Vec<Vec<String>> {
    let reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(false)
        .flexible(true)
        .from_reader(beginning.as_bytes());
    let records = reader.into_records().take(LINES).map_while(Result::ok);
    let mut lines: Vec<Vec<String>> =
        records.map(|record| record.iter().map(str::to_owned).collect()).collect();
    if lines.len() > 2 && !beginning.ends_with('\n') {
        lines.pop();
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        let form = Form::of(&ReplayForm::default(), text).unwrap();
        form.told(&lines(text, form.delimiter)[0])
    }

    #[test]
    fn how_a_file_is_written_is_guessed_from_its_beginning() {
        for (text, expected) in [
            (
                "time,t\n2026-11-25 10:00:00,21.5\n",
                "delimiter `,`, header, decimal point, time in `time`",
            ),
            (
                "time;t\n2026-11-25 10:00:00;21,5\n",
                "delimiter `;`, header, decimal comma, time in `time`",
            ),
            (
                "time,t\n2026-11-25 10:00:00,\"21,5\"\n",
                "delimiter `,`, header, decimal comma, time in `time`",
            ),
            (
                "Zeit\tTemp\n25.11.2026 10:00:00\t21,5\n",
                "delimiter tab, header, decimal comma, time in `Zeit`",
            ),
            (
                "2026-11-25T10:00:00Z,1,2\n2026-11-25T10:00:01Z,1,2\n",
                "delimiter `,`, no header, decimal point, time in column 1",
            ),
            (
                "id;when;hr\n1;2026-11-25 10:00:00;72\n2;2026-11-25 10:01:00;73\n",
                "delimiter `;`, header, decimal point, time in `when`",
            ),
            ("hr|ts\n72|1795633285000\n", "delimiter `|`, header, decimal point, time in `ts`"),
            (
                "t,v\n2026-11-25 10:00:00,\"1,234\"\n",
                "delimiter `,`, header, decimal point, time in `t`",
            ),
        ] {
            assert_eq!(told(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_said_counts_and_what_cannot_be_is_named() {
        let of = |said: ReplayForm| Form::of(&said, "a;b\n1;2026-11-25 10:00:00\n");
        let said = ReplayForm {
            time_column: Some("B".into()),
            header: Some(true),
            ..ReplayForm::default()
        };
        assert_eq!(of(said).unwrap().time, 1);
        let numbered = ReplayForm { time_column: Some("2".into()), ..ReplayForm::default() };
        assert_eq!(of(numbered).unwrap().time, 1);
        let wrong = of(ReplayForm { time_column: Some("c".into()), ..ReplayForm::default() });
        assert!(wrong.unwrap_err().contains("there are a, b"));
        assert!(of(ReplayForm { delimiter: Some('é'), ..ReplayForm::default() }).is_err());
        for text in ["", "timestamp\n1\n"] {
            assert!(Form::of(&ReplayForm::default(), text).is_err(), "{text:?}");
        }
    }
}
