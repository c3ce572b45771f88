//! `tidemark alerts backtest`: the rows of a lake through a file of rules.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use futures::TryStreamExt;
use lake::Lake;
use lake::date::date_of;
use service_runtime::Clock;
use simulator::truth::Truth;
use watch::{Limits, Reading, Rules, Watch};

use super::lines::moment;
use super::order::{self, Order};
use super::report::{self, Report};
use super::rows::Rows;
use super::score::Fired;
use super::tell::Teller;
use super::{lake_rows, truth};
use crate::options::{Format, LakeOption, path};
use crate::{config, print};

const DAY_US: i64 = 86_400_000_000;
/// How often progress is said.
const PROGRESS_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct Backtest {
    /// The rules, TOML (docs/alerts.md).
    #[arg(value_parser = path)]
    rules: PathBuf,
    #[command(flatten)]
    lake: LakeOption,
    /// From this time of the event on: a day (UTC) or RFC 3339.
    #[arg(long)]
    since: String,
    /// Before this time of the event.
    #[arg(long)]
    until: Option<String>,
    /// In which order rows are played.
    #[arg(long, value_enum, default_value_t = Order::Arrival)]
    order: Order,
    /// Hold the alerts against what was true: the file that `simulate --truth` wrote.
    #[arg(long, value_parser = path)]
    truth: Option<PathBuf>,
    /// Print every transition, too; as JSON one a line before the summary.
    #[arg(long)]
    transitions: bool,
    /// Rows that are held in memory, at most.
    #[arg(long, default_value_t = 20_000_000)]
    rows_max: usize,
    /// How the summary is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// False if a rule makes no sense.
pub(super) async fn run(options: &Backtest) -> anyhow::Result<bool> {
    let since_us = moment(&options.since).context("--since")?;
    let until_us = options.until.as_deref().map(moment).transpose().context("--until")?;
    let until_us = until_us.unwrap_or(i64::MAX);
    anyhow::ensure!(since_us < until_us, "--until is not after --since: there are no rows between");
    let Some(rules) = super::rules(&options.rules)? else { return Ok(false) };
    let truths = options.truth.as_deref().map(truth::read).transpose()?;
    let lake = config::open_lake(&options.lake).await?;
    let mut rows = read(&lake, (since_us, until_us), options.rows_max, |_| true).await?;
    anyhow::ensure!(!rows.rows.is_empty(), "the lake has no rows in that time");
    order::sort(&mut rows, options.order);
    let report = play(rules, &rows, truths.as_deref(), options)?;
    report::show(&report, options.format)?;
    Ok(true)
}

/// Reads the rows of a time; files of other days are not opened.
pub(super) async fn read(
    lake: &Lake,
    (since_us, until_us): (i64, i64),
    most: usize,
    wanted: impl Fn(&Reading<'_>) -> bool,
) -> anyhow::Result<Rows> {
    let days = date_of(since_us)..=date_of(until_us.saturating_sub(1));
    let mut files = lake.files("readings").await?;
    // A landing of many dates files some rows under its own: a day on either side is looked at, too.
    files.retain(|file| {
        file.date
            .is_none_or(|date| (*days.start() - 1..=days.end().saturating_add(1)).contains(&date))
    });
    let expected: u64 = files.iter().map(|file| file.rows).sum();
    let mut progress = Progress::new(expected);
    let mut rows = Rows::new(most);
    let mut batches = lake.scan_files("readings", files, &lake_rows::COLUMNS)?;
    while let Some(batch) = batches.try_next().await? {
        lake_rows::each(&batch, |reading| {
            if (since_us..until_us).contains(&reading.event_us) && wanted(reading) {
                rows.push(reading)
            } else {
                Ok(())
            }
        })?;
        progress.add(batch.num_rows() as u64, "read");
    }
    Ok(rows)
}

/// Plays the rows, each source's time with them.
fn play(
    rules: Rules,
    rows: &Rows,
    truths: Option<&[Truth]>,
    options: &Backtest,
) -> anyhow::Result<Report> {
    let limits = Limits { devices: 1_000_000, ..Limits::default() };
    let mut watch = Watch::new(rules, limits);
    let (mut fired, mut told) = (Fired::default(), Vec::new());
    let mut teller = Teller::new(options.format);
    let mut progress = Progress::new(rows.rows.len() as u64);
    let mut days = BTreeSet::new();
    let clock = Clock::default();
    let started = clock.uptime();
    for chunk in rows.rows.chunks(8_192) {
        for kept in chunk {
            let reading = rows.reading(kept);
            watch.reading(&reading, &mut told);
            days.insert((kept.device_number(), kept.event_us.div_euclid(DAY_US)));
        }
        for transition in told.drain(..) {
            fired.take(&transition);
            if options.transitions {
                teller.tell(&transition)?;
            }
        }
        progress.add(chunk.len() as u64, "played");
    }
    let seconds = (clock.uptime() - started).as_secs_f64();
    let counts = watch.counts();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rows_per_second = (counts.rows as f64 / seconds.max(1e-9)).round();
    Ok(Report {
        rows: counts.rows,
        late_rows: counts.late,
        devices: watch.devices().count() as u64,
        device_days: days.len() as u64,
        first_us: rows.rows.iter().map(|row| row.event_us).min(),
        last_us: rows.rows.iter().map(|row| row.event_us).max(),
        transitions: fired.transitions,
        beyond_limits: counts.beyond_limits,
        undecided: counts.undecided,
        rows_per_second,
        rules: fired.by_rule(watch.looked_at(), truths),
    })
}

/// Says how far it is, beside the results.
pub(super) struct Progress {
    clock: Clock,
    told: Duration,
    done: u64,
    of: u64,
}

impl Progress {
    pub(super) fn new(of: u64) -> Self {
        let clock = Clock::default();
        Self { clock, told: clock.uptime(), done: 0, of }
    }

    pub(super) fn add(&mut self, rows: u64, what: &str) {
        self.done += rows;
        if self.clock.uptime() - self.told >= PROGRESS_EVERY {
            self.told = self.clock.uptime();
            print::aside(&format!(
                "{what} {} of {} rows",
                print::grouped(self.done),
                print::grouped(self.of)
            ));
        }
    }
}
