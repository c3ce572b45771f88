//! `tidemark maintain`: the upkeep that ingest does, as a command.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use clap::Args;
use lake::maintain::{self, Done, KEEP_DAYS, MaintainConfig, Pace, Report, Settings, Step};
use lake::{Lake, LakeError};
use service_runtime::signals::Signals;
use service_runtime::{Clock, Stop};

use crate::options::{Format, LakeOption};
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Maintain {
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// Do what is due and end; this is the default.
    #[arg(long, conflicts_with = "every")]
    pub(crate) once: bool,
    /// Go on until Ctrl-C, with so many seconds between two runs, as `[maintain]` says.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) every: Option<u64>,
    /// Only say what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Remove the rows of a table after so many days; 0: never. Before what the configuration or the table says.
    #[arg(long, value_name = "TABLE=DAYS", value_parser = table_days)]
    pub(crate) retention_days: Vec<(String, u32)>,
    /// Move the rows of a table into its archive (TABLE_archive) after so many days; 0: never. Before what the configuration says.
    #[arg(long, value_name = "TABLE=DAYS", value_parser = table_days)]
    pub(crate) archive_days: Vec<(String, u32)>,
    /// Keep files that are no part of a table any more for so many days [default: [maintain] keep_days].
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(i64::from(KEEP_DAYS)..))]
    pub(crate) keep_days: Option<u32>,
    /// Checkpoint a table that has so many commits since its last checkpoint.
    #[arg(long, default_value_t = lake::maintain::CHECKPOINT_COMMITS, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) commits: u64,
    /// How what was done is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

fn table_days(text: &str) -> Result<(String, u32), String> {
    let parts = text.split_once('=');
    let days = parts.and_then(|(table, days)| Some((table.to_owned(), days.parse().ok()?)));
    days.ok_or_else(|| format!("`{text}` is not TABLE=DAYS, as in messages=30"))
}

/// Does what is due.
pub(crate) async fn run(options: &Maintain) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let mut config = config::load(options.lake.config.as_deref())?.maintain;
    config.retention_days.extend(options.retention_days.iter().cloned());
    config.archive_days.extend(options.archive_days.iter().cloned());
    config.keep_days = options.keep_days.unwrap_or(config.keep_days);
    let lake = config::open_lake(&options.lake).await?;
    config.check(lake.catalog())?;
    let stop = Stop::new();
    signals.until(stop.clone(), work(&lake, options, &config, stop)).await
}

async fn work(
    lake: &Lake,
    options: &Maintain,
    config: &MaintainConfig,
    stop: Stop,
) -> anyhow::Result<()> {
    let clock = Clock::default();
    let mut settings = Settings { commits: options.commits, ..Settings::from(config) };
    settings.dry_run = options.dry_run;
    let mut percent = config.cpu_percent;
    if options.every.is_none() {
        // By hand: all that can be done, as fast as it goes.
        (settings.quiet_us, percent) = (0, 100);
    }
    loop {
        let mut pace = Pace::new(clock, percent, stop.clone());
        let ran = maintain::run(lake, &settings, clock.now_us(), &mut pace, &progress).await;
        match (ran, options.every) {
            (Ok(report), _) => show(&report, options)?,
            (Err(incomplete), Some(_)) if incomplete.is_stopped() => return Ok(()),
            (Err(incomplete), every) => {
                if options.format == Format::Json || !incomplete.report.is_nothing() {
                    show(&incomplete.report, options)?;
                }
                let Some((first, rest)) = said(incomplete.failed) else { return Ok(()) };
                rest.iter().for_each(print::error);
                if every.is_none() {
                    return Err(first);
                }
                // The next run may find it mended.
                print::error(&first);
            }
        }
        let Some(seconds) = options.every else { return Ok(()) };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
        }
    }
}

/// What could not be done, as errors: the first and the others.
fn said(failed: Vec<(String, LakeError)>) -> Option<(anyhow::Error, Vec<anyhow::Error>)> {
    let mut errors = failed.into_iter().map(|(name, error)| match name.is_empty() {
        true => error.into(),
        false => anyhow::Error::from(error).context(format!("could not look after `{name}`")),
    });
    Some((errors.next()?, errors.collect()))
}

/// For who watches: on a terminal, beside what is printed at the end.
fn progress(step: &Step) {
    if !std::io::stderr().is_terminal() {
        return;
    }
    let mib = |bytes: u64| print::grouped(bytes.div_ceil(1 << 20));
    print::aside(&match step {
        Step::Merging { table, date, files, bytes } => {
            format!("{table} {date}: merging {} files, {} MiB", print::grouped(*files), mib(*bytes))
        }
        Step::Merged { table, date, bytes } => {
            format!("{table} {date}: merged, {} MiB", mib(*bytes))
        }
        Step::Retired { table, files, rows } => {
            let (files, rows) = (print::grouped(*files), print::grouped(*rows));
            format!("{table}: {rows} rows in {files} files went by the retention")
        }
        Step::Archived { table, date, rows } => {
            format!("{table} {date}: {} rows moved into the archive", print::grouped(*rows))
        }
        Step::Swept { table, files, bytes } => {
            format!("{table}: swept {} files, {} MiB", print::grouped(*files), mib(*bytes))
        }
    });
}

fn show(report: &Report, options: &Maintain) -> anyhow::Result<()> {
    if options.format == Format::Json {
        return Ok(print::json(report)?);
    }
    if report.is_nothing() {
        return Ok(print::line("nothing to do")?);
    }
    let done: Vec<&Done> = report.tables.iter().filter(|done| !done.is_nothing()).collect();
    let views: Vec<_> = report.views.iter().filter(|view| !view.is_nothing()).collect();
    let header =
        ["table", "merged", "into", "bytes", "into", "retired", "archived", "swept", "checkpoint"];
    let row = |done: &&Done| {
        let counts = [
            done.merged.files,
            done.merged.made_files,
            done.merged.bytes,
            done.merged.made_bytes,
            done.retired.rows,
            done.archived.rows,
            done.swept.files,
        ];
        let checkpoint = done.checkpoint.map_or_else(|| "-".to_owned(), print::grouped);
        let counts = counts.into_iter().map(print::grouped);
        std::iter::once(done.table.clone()).chain(counts).chain([checkpoint]).collect()
    };
    let rows: Vec<Vec<String>> = done.iter().map(row).collect();
    if !rows.is_empty() {
        print::columns(&header, &rows)?;
    }
    for view in views {
        let (read, written) = (print::grouped(view.rows_read), print::grouped(view.rows_written));
        let anew = if view.anew { ", made anew" } else { "" };
        print::line(&format!("{}: {read} rows read, {written} written{anew}", view.view))?;
    }
    if report.plans.files > 0 {
        print::line(&format!("{} applied plans swept", print::grouped(report.plans.files)))?;
    }
    let mut reasons: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
    for left in done.iter().flat_map(|done| &done.left) {
        reasons.entry(&left.reason).or_insert((0, &left.path)).0 += 1;
    }
    for (reason, (files, path)) in reasons {
        print::line(&format!("left as they are: {files} files, the first `{path}`: {reason}"))?;
    }
    if options.dry_run {
        print::line("nothing was changed: a dry run")?;
    }
    Ok(())
}
