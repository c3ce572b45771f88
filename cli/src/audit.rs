//! `tidemark audit`: the journal against the lake.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context as _;
use clap::Args;
use futures::TryStreamExt;
use lake::Lake;
use lake::tables::alerts;
use service_runtime::Clock;
use simulator::journal::Journal;
use simulator::{AuditReport, LakeRow};

use crate::audit_rows::{IDENTITY, Reader, Sink, others, reader};
use crate::options::{Format, LakeOption, path};
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Folder of the journal that `tidemark simulate` kept.
    #[arg(long, value_parser = path)]
    pub(crate) journal: PathBuf,
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// Wait up to so many seconds for what is missing; only then is it lost. Without this, what is missing is `pending` within a minute of
    /// the journal's last entry.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<u64>,
    /// Folder for temporary files, about 100 bytes a row.
    #[arg(long, value_parser = path)]
    pub(crate) temporary: Option<PathBuf>,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// What was acknowledged less than this long ago may still be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(60);
/// Rest between two looks at the lake.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// True when the journal proves that nothing was lost, doubled or altered.
pub(crate) async fn run(options: &Audit) -> anyhow::Result<bool> {
    let lake = config::open_lake(&options.lake).await?;
    let clock = Clock::default();
    let deadline = clock.uptime() + Duration::from_secs(options.wait.unwrap_or(0));
    let mut report = loop {
        let report = audit(&lake, &options.journal, options.temporary.as_deref()).await?;
        if report.lost == 0 || clock.uptime() >= deadline {
            break report;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    };
    if options.wait.is_none() && is_fresh(&options.journal, clock)? {
        report.not_yet_lost();
    }
    match options.format {
        Format::Json => print::json(&report)?,
        Format::Text => print_report(&report)?,
    }
    Ok(report.passed)
}

/// Tells whether the last entry of a journal is young.
fn is_fresh(journal: &Path, clock: Clock) -> anyhow::Result<bool> {
    let Some(written) = Journal::last_written(journal)? else { return Ok(false) };
    let written_us = written.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let now_us = u128::try_from(clock.now_us()).unwrap_or(0);
    Ok(now_us.saturating_sub(written_us) < ON_ITS_WAY.as_micros())
}

/// Streams every audited row of the lake past the journal.
pub(crate) async fn audit(
    lake: &Lake,
    journal: &Path,
    temporary: Option<&Path>,
) -> anyhow::Result<AuditReport> {
    let mut audit = simulator::Audit::new(temporary)?;
    // Rows that ingest makes itself are no messages.
    let tables = lake.catalog().of_rows().iter().filter(|table| table.name != alerts::NAME);
    let (mut number, none) = (0..LakeRow::OTHERS_MAX, "more tables than an audit tells apart");
    for table in tables {
        let reader = reader(&table.name);
        let columns = reader.map_or_else(|| IDENTITY.to_vec(), Reader::columns);
        let other = if reader.is_none() { number.next().context(none)? } else { 0 };
        let mut batches = lake.scan(&table.name, &columns).await?;
        while let Some(batch) = batches.try_next().await? {
            // Sorting into partitions writes temporary files: off the threads that serve the network.
            tokio::task::block_in_place(|| {
                let sink: Sink<'_> = &mut |row| audit.add(row).map_err(Into::into);
                match reader {
                    Some(reader) => reader.rows(&batch, sink),
                    None => others(other, &batch, sink),
                }
            })?;
        }
    }
    let journal = journal.to_owned();
    Ok(tokio::task::spawn_blocking(move || audit.finish(&journal)).await??)
}

/// Prints a report for people.
pub(crate) fn print_report(report: &AuditReport) -> std::io::Result<()> {
    let count =
        |what: &str, number: u64| print::line(&format!("{:>12}  {what}", print::grouped(number)));
    count("messages in the journal", report.messages)?;
    count("times they were sent", report.sends)?;
    count("messages acknowledged", report.acknowledged)?;
    count("messages landed", report.landed)?;
    count("of them in dead_letters", report.dead_lettered)?;
    count("copies that repeated sends explain (resent)", report.resent)?;
    if report.unacknowledged + report.unacknowledged_landed > 0 {
        count("never acknowledged, and not landed", report.unacknowledged)?;
        count("never acknowledged, but landed", report.unacknowledged_landed)?;
    }
    if report.foreign > 0 {
        count("messages of devices that are not in the journal, not judged", report.foreign)?;
    }
    if report.maybe_repeat > 0 {
        count("copies flagged maybe_repeat: a spool was cloned or restored", report.maybe_repeat)?;
    }
    if report.pending > 0 {
        count("pending: acknowledged a moment ago, and not landed yet", report.pending)?;
    }
    if report.other_run > 0 {
        count("copies of another run, not judged", report.other_run)?;
    }
    if report.torn_journals > 0 {
        count("files of the journal that a kill cut off in a record", report.torn_journals)?;
    }
    count("lost", report.lost)?;
    count("doubled", report.doubled)?;
    count("altered", report.altered)?;
    if report.unexplained > 0 {
        count("messages of these devices that the journal does not know", report.unexplained)?;
    }
    for range in &report.missing {
        print::line(&format!(
            "missing: {}/{} boot {} seq {} to {}",
            range.site, range.device_id, range.boot, range.first_seq, range.last_seq
        ))?;
    }
    if report.missing_cut {
        print::line("missing: … more ranges than listed")?;
    }
    for example in &report.altered_examples {
        print::line(&format!(
            "altered: {}/{} boot {} seq {}: {}",
            example.site, example.device_id, example.boot, example.seq, example.reason
        ))?;
    }
    for reason in &report.unproven {
        print::line(&format!("not proven: {reason}"))?;
    }
    print::line(verdict(report))
}

fn verdict(report: &AuditReport) -> &'static str {
    let AuditReport { lost, doubled, altered, unexplained, .. } = *report;
    match report.passed {
        true => "audit PASSED: nothing lost, doubled or altered",
        false if lost + doubled + altered + unexplained > 0 => "audit FAILED",
        false if report.unproven.is_empty() => {
            "audit PENDING: nothing is wrong so far; look again, or let --wait do so"
        }
        false => "audit FAILED: it proves nothing",
    }
}
