//! `bench lake`: how large rows are, how fast they are written and merged, what a reader must read of them, and how long a commit takes;
//! each beside what somebody could do without Tidemark, in the same run.

mod commits;
mod device_day;
mod plain_parquet;
mod sizes;
mod ward;
mod writing;

use std::io::Write;

use clap::Args;
use serde::Serialize;
use service_runtime::Clock;

use crate::limits::{self, Messages};
use crate::{CompactionOptions, Format, compaction};

#[derive(Debug, Clone, Args)]
pub(crate) struct LakeOptions {
    /// A tenth of everything: to see that it works, not for figures.
    #[arg(long)]
    quick: bool,
    /// Land 100,000 times, not 10,000: a quarter of an hour or more.
    #[arg(long)]
    many: bool,
    /// How the figures are printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    what: String,
    unit: &'static str,
    ours: f64,
    /// What it is held against, and its figure.
    beside: Option<(&'static str, f64)>,
}

/// The lines so far.
#[derive(Default)]
pub(crate) struct Lines(Vec<Line>);

impl Lines {
    /// Adds a line and says so: a run takes minutes.
    fn push(
        &mut self,
        what: impl Into<String>,
        (ours, unit): (f64, &'static str),
        beside: Option<(&'static str, f64)>,
    ) {
        let what = what.into();
        // Standard error may be closed: there is nobody left to tell.
        drop(writeln!(std::io::stderr(), "measured: {what}"));
        self.0.push(Line { what, unit, ours, beside });
    }
}

/// Runs the measurement and prints it.
pub(crate) async fn run(options: LakeOptions) -> anyhow::Result<()> {
    let (clock, tenth) = (Clock::default(), if options.quick { 10 } else { 1 });
    let mut lines = Lines::default();
    let columns = of_the_ward(tenth, clock, &mut lines).await?;
    let rate = limits::decode_and_encode(&Messages::new(1_000_000 / tenth.cast_unsigned()), clock)?;
    lines.push("messages of one reading: JSON decoded and encoded, one core", (rate, ROWS), None);
    let tenth = tenth.cast_unsigned();
    let merge = CompactionOptions { files: 20, rows: 200_000 / tenth, devices: 1_000, bare: true };
    let aside = |line: &str| Ok(writeln!(std::io::stderr().lock(), "{line}")?);
    let took = compaction::measure(&merge, aside).await?;
    let rate = |seconds: f64| took.bytes as f64 / 1e6 / seconds;
    let bare = took.bare.map(|bare| ("bare read, sort, write in memory", rate(bare)));
    lines.push(
        "merging 20 files of a date, with proof and commit",
        (rate(took.maintain), "MB/s"),
        bare,
    );
    device_day::measure(tenth, clock, &mut lines).await?;
    commits::measure(tenth, options.many, clock, &mut lines).await?;
    print(&lines.0, &columns, options.format)
}

const ROWS: &str = "rows/s";

/// What a day of the simulator's ward takes, and how fast it is written. Returns the table of its columns.
async fn of_the_ward(
    tenth: i64,
    clock: Clock,
    lines: &mut Lines,
) -> anyhow::Result<sizes::Columns> {
    let messages = ward::messages(24 * ward::HOUR_US / tenth);
    let by_hour = ward::decode(&messages, ward::HOUR_US, clock)?;
    writing::measure(&by_hour, clock, lines)?;
    sizes::measure(&messages, by_hour, clock, lines).await
}

fn print(lines: &[Line], columns: &sizes::Columns, format: Format) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if format == Format::Json {
        let all = serde_json::json!({ "lines": lines, "bytes_a_row": columns.json() });
        serde_json::to_writer(&mut out, &all)?;
        return Ok(writeln!(out)?);
    }
    let shown = |figure: f64| {
        let digits = if figure >= 1000.0 { 0 } else { 2 };
        format!("{figure:.digits$}")
    };
    writeln!(out, "| measurement | Tidemark | beside it | ratio |\n|---|---|---|---|")?;
    for Line { what, unit, ours, beside } in lines {
        let (beside, ratio) = match beside {
            Some((what, theirs)) => {
                (format!("{} {unit}: {what}", shown(*theirs)), format!("{:.2}", ours / theirs))
            }
            None => (String::new(), String::new()),
        };
        writeln!(out, "| {what} | {} {unit} | {beside} | {ratio} |", shown(*ours))?;
    }
    writeln!(out)?;
    columns.print(&mut out)
}
