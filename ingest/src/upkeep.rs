//! Looks after the lake beside the landings: merges, checkpoints, retention, sweeps.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use lake::maintain::{self, Done, Incomplete, Pace, Report, Settings};
use lake::{Lake, MaintainConfig};
use service_runtime::{Clock, Metrics, Stop};
use tracing::{info, warn};

use crate::causes::chain;
use crate::upkeep_metrics::UpkeepMetrics;

/// Files that can't be merged and were told of; beyond, all are told of again.
const TOLD_MAX: usize = 1000;
/// A view that fails is tried less and less often, at last once in this time: making one anew reads whole tables.
const PAUSE_MAX: Duration = Duration::from_secs(3600);

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
    let mut troubles = Troubles::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let mut settings = Settings::from(&config);
        settings.sweep = swept.is_none_or(|swept| clock.uptime() - swept >= between_sweeps);
        let now = clock.uptime();
        let views = std::mem::take(&mut settings.views);
        let left_out;
        (settings.views, left_out) = views.into_iter().partition(|view| troubles.is_due(view, now));
        let mut pace = Pace::new(clock, config.cpu_percent, stop.clone());
        // It may be dropped at any point, as if it was killed.
        let ran = tokio::select! {
            () = stop.cancelled() => return,
            ran = maintain::run(&lake, &settings, clock.now_us(), &mut pace, &|_| {}) => ran,
        };
        let (report, failed) = match ran {
            Ok(report) => {
                if settings.sweep {
                    swept = Some(clock.uptime());
                }
                (report, Vec::new())
            }
            Err(Incomplete { report, failed }) => (report, failed),
        };
        if failed.is_empty() && left_out.is_empty() {
            metrics.done(&report, clock.now_us());
        } else {
            metrics.failed(&report);
        }
        let failed = failed.into_iter().map(|(name, error)| (name, chain(&error)));
        let left_out = Settings { views: left_out, ..Settings::default() };
        let times = (clock.uptime(), every);
        troubles.note(failed.collect(), |name| left_out.has_view(name), times);
        tell(&report, &mut told);
    }
}

/// Tables and views that could not be looked after: each trouble is told when it begins, when it changes and when it is over.
#[derive(Debug, Default)]
struct Troubles(BTreeMap<String, Trouble>);

#[derive(Debug)]
struct Trouble {
    said: String,
    /// Runs that it failed in.
    times: u32,
    /// When it is tried again, if it is a view.
    retry: Duration,
}

impl Troubles {
    /// Whether a view is to be tried at this time.
    fn is_due(&self, view: &str, now: Duration) -> bool {
        self.0.get(view).is_none_or(|trouble| trouble.retry <= now)
    }

    /// Notes what failed in a run that left out these views. Tells what is new and what is over.
    fn note(
        &mut self,
        failed: Vec<(String, String)>,
        left_out: impl Fn(&str) -> bool,
        (now, every): (Duration, Duration),
    ) {
        let mut before = std::mem::take(&mut self.0);
        let mut news: Vec<(String, String)> = Vec::new();
        for (name, said) in failed {
            let known = before.remove(&name);
            if known.as_ref().is_none_or(|known| known.said != said) {
                news.push((name.clone(), said.clone()));
            }
            let times = known.map_or(0, |known| known.times).saturating_add(1);
            let retry = now + every.saturating_mul(times).min(PAUSE_MAX);
            self.0.insert(name, Trouble { said, times, retry });
        }
        // A store that is away is one trouble, however many tables there are.
        if let Some((first, said)) = news.first() {
            warn!(of = first, others = news.len() - 1, error = said, "upkeep failed; trying again");
        }
        for (name, trouble) in before {
            if left_out(&name) {
                self.0.insert(name, trouble);
            } else {
                info!(of = name, "upkeep goes on");
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
        let Done { table, merged, retired, archived, swept, .. } = done;
        let files = merged.made_files + retired.files + archived.files + swept.files;
        if files > 0 || done.checkpoint.is_some() {
            info!(
                table,
                merged_files = merged.files,
                into_files = merged.made_files,
                merged_bytes = merged.bytes,
                into_bytes = merged.made_bytes,
                retired_rows = retired.rows,
                archived_rows = archived.rows,
                swept_files = swept.files,
                swept_bytes = swept.bytes,
                checkpoint = done.checkpoint,
                log_entries = done.log_entries,
                "table maintained"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(60);

    fn at(minutes: u32) -> (Duration, Duration) {
        (EVERY * minutes, EVERY)
    }

    fn failed(names: &[&str]) -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), "cannot read `x`".to_owned())).collect()
    }

    #[test]
    fn a_view_that_fails_is_tried_less_and_less_often_and_others_as_ever() {
        let mut troubles = Troubles::default();
        let mut tried = Vec::new();
        for minute in 0..600 {
            assert!(troubles.is_due("device_latest", EVERY * minute));
            if troubles.is_due("vitals_1m", EVERY * minute) {
                tried.push(minute);
                troubles.note(failed(&["vitals_1m", "readings"]), |_| false, at(minute));
            } else {
                troubles.note(failed(&["readings"]), |name| name == "vitals_1m", at(minute));
            }
        }
        assert_eq!(tried[..6], [0, 1, 3, 6, 10, 15]);
        let most = tried.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(most <= Some(60), "{tried:?}");
        // It is over once it was tried and did not fail.
        troubles.note(Vec::new(), |name| name == "vitals_1m", at(600));
        assert_eq!(troubles.0.keys().collect::<Vec<_>>(), ["vitals_1m"]);
        troubles.note(Vec::new(), |_| false, at(601));
        assert!(troubles.is_due("vitals_1m", EVERY * 601) && troubles.0.is_empty());
    }
}
