//! `tidemark audit`: the journal against the lake.

use std::path::{Path, PathBuf};

use clap::Args;
use futures::TryStreamExt;
use lake::Lake;
use simulator::AuditReport;

use crate::audit_rows::{AUDITED, IDENTITY, others, rows};
use crate::options::{Format, LakeOption, path};
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Folder of the journal that `tidemark simulate` kept.
    #[arg(long, value_parser = path)]
    pub(crate) journal: PathBuf,
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// Folder for temporary files, about 100 bytes a row.
    #[arg(long, value_parser = path)]
    pub(crate) temporary: Option<PathBuf>,
    /// How the report is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// True when nothing was lost, doubled or altered.
pub(crate) async fn run(options: &Audit) -> anyhow::Result<bool> {
    let lake = config::open_lake(&options.lake).await?;
    let report = audit(&lake, &options.journal, options.temporary.as_deref()).await?;
    match options.format {
        Format::Json => print::json(&report)?,
        Format::Text => print_report(&report)?,
    }
    Ok(report.passed)
}

/// Streams every audited row of the lake past the journal.
pub(crate) async fn audit(
    lake: &Lake,
    journal: &Path,
    temporary: Option<&Path>,
) -> anyhow::Result<AuditReport> {
    let mut audit = simulator::Audit::new(temporary)?;
    for (table, columns) in AUDITED {
        let mut batches = lake.scan(table, columns).await?;
        while let Some(batch) = batches.try_next().await? {
            // Sorting into partitions writes temporary files: off the threads that serve the network.
            tokio::task::block_in_place(|| {
                rows(table, &batch, &mut |row| audit.add(row).map_err(Into::into))
            })?;
        }
    }
    let known = |name: &str| AUDITED.iter().any(|(table, _)| *table == name);
    let tables = lake.catalog().of_rows().iter().filter(|table| !known(&table.name));
    for (number, table) in (0..).zip(tables) {
        let mut batches = lake.scan(&table.name, &IDENTITY).await?;
        while let Some(batch) = batches.try_next().await? {
            tokio::task::block_in_place(|| {
                others(number, &batch, &mut |row| audit.add(row).map_err(Into::into))
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
    print::line(if report.passed {
        "audit PASSED: nothing lost, doubled or altered"
    } else {
        "audit FAILED"
    })
}
