//! `bench alerts`: what twenty alert rules cost the path from device to lake.

use std::io::Write;
use std::path::Path;

use anyhow::ensure;
use service_runtime::Clock;

use crate::report::PathReport;
use crate::{AlertsOptions, path, watching};

/// Measures both in turn and prints the ratio of their medians.
pub(crate) async fn run(options: &AlertsOptions) -> anyhow::Result<()> {
    let clock = Clock::default();
    let folder = tempfile::tempdir()?;
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, watching::twenty("dev-*"))?;
    let nothing = "[alerts]\nwatch = false\n".to_owned();
    let twenty = format!("[alerts]\nrules = {rules:?}\n");
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for round in 1..=options.rounds {
        for (what, more, all) in
            [("nothing", &nothing, &mut without), ("20 rules", &twenty, &mut with)]
        {
            let report = once(options, more, clock).await?;
            say(&format!(
                "round {round}, {what}: {:>9.0} messages/s, PUBACK p99 {:.1} ms, ingest {:.2} s of CPU, {:.0} MB",
                report.messages_per_second,
                report.puback_p99_ms,
                report.cpu_seconds.get("ingest").copied().unwrap_or_default(),
                report.rss_mb.get("ingest").copied().unwrap_or_default()
            ))?;
            all.push(report.messages_per_second);
        }
    }
    let (without, with) = (median(&mut without), median(&mut with));
    say(&format!(
        "{} devices, medians: watching nothing {without:.0} messages/s, 20 rules {with:.0} messages/s: {:.1} %",
        options.devices,
        100.0 * with / without
    ))
}

async fn once(options: &AlertsOptions, more: &str, clock: Clock) -> anyhow::Result<PathReport> {
    let folder = tempfile::tempdir()?;
    let folder: &Path = folder.path();
    let report = path::once(&options.path, options.devices, more, folder, clock).await?.0;
    // What is known of devices is kept with the lake, if they are watched.
    let is_watched = folder.join("lake/_tidemark/watch").exists();
    ensure!(is_watched != more.contains("watch = false"), "the settings had no effect");
    Ok(report)
}

fn median(all: &mut [f64]) -> f64 {
    all.sort_unstable_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}
