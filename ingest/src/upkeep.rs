//! Looks after the lake beside the landings: merges, checkpoints, retention, sweeps.

use std::collections::HashSet;
use std::time::Duration;

use lake::maintain::{self, Done, Pace, Report, Settings};
use lake::{Lake, MaintainConfig};
use service_runtime::{Clock, Metrics, Stop};
use tracing::{info, warn};

use crate::causes::chain;
use crate::upkeep_metrics::UpkeepMetrics;

/// Files that can't be merged and were told of; beyond, all are told of again.
const TOLD_MAX: usize = 1000;

/// Runs until `stop`. Whatever fails is tried again: nothing depends on it being done now.
pub(crate) async fn look_after(
    lake: Lake,
    config: MaintainConfig,
    metrics: Metrics,
    clock: Clock,
    stop: Stop,
) {
    if config.every_seconds == 0 {
        return;
    }
    let metrics = UpkeepMetrics::register(&metrics, clock.now_us());
    let every = Duration::from_secs(config.every_seconds);
    let between_sweeps = Duration::from_secs(u64::from(config.sweep_hours) * 3600);
    let (mut swept, mut told): (Option<Duration>, HashSet<String>) = (None, HashSet::new());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let mut settings = Settings::from(&config);
        settings.sweep = swept.is_none_or(|swept| clock.uptime() - swept >= between_sweeps);
        let mut pace = Pace::new(clock, config.cpu_percent, stop.clone());
        // It may be dropped at any point, as if it was killed.
        let ran = tokio::select! {
            () = stop.cancelled() => return,
            ran = maintain::run(&lake, &settings, clock.now_us(), &mut pace, &|_| {}) => ran,
        };
        match ran {
            Ok(report) => {
                if settings.sweep {
                    swept = Some(clock.uptime());
                }
                metrics.done(&report, clock.now_us());
                tell(&report, &mut told);
            }
            Err(error) => {
                metrics.failed();
                warn!(error = chain(&error), "maintenance failed; trying again");
            }
        }
    }
}

fn tell(report: &Report, told: &mut HashSet<String>) {
    for done in &report.tables {
        if told.len() > TOLD_MAX {
            told.clear();
        }
        let news = done.left.iter().filter(|left| told.insert(left.path.clone()));
        if let Some(first) = news.collect::<Vec<_>>().first() {
            let (files, reason) = (done.left.len(), &first.reason);
            warn!(table = done.table, files, object = first.path, reason, "files are not merged");
        }
        let Done { table, merged, retired, swept, .. } = done;
        if merged.made_files + retired.files + swept.files > 0 || done.checkpoint.is_some() {
            info!(
                table,
                merged_files = merged.files,
                into_files = merged.made_files,
                merged_bytes = merged.bytes,
                into_bytes = merged.made_bytes,
                retired_rows = retired.rows,
                swept_files = swept.files,
                swept_bytes = swept.bytes,
                checkpoint = done.checkpoint,
                log_entries = done.log_entries,
                "table maintained"
            );
        }
    }
}
