//! The metrics of upkeep: runs, what they did, and when the last one ended well.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use lake::maintain::Report;
use service_runtime::Metrics;

/// Counts what upkeep does. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct UpkeepMetrics(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    done: AtomicU64,
    failed: AtomicU64,
    /// Unix microseconds; 0: not yet.
    last_us: AtomicI64,
    merged_files: AtomicU64,
    made_files: AtomicU64,
    gave_way: AtomicU64,
    /// Files of the last run that can't be merged.
    left_files: AtomicU64,
    retired_rows: AtomicU64,
    archived_rows: AtomicU64,
    swept_files: AtomicU64,
    views: AtomicU64,
}

impl UpkeepMetrics {
    /// Registers the metrics. `begun_us` is when the process looked after the lake for the first time: until the first run has ended,
    /// that counts as the last.
    pub(crate) fn register(metrics: &Metrics, begun_us: i64) -> Self {
        let own = Self::default();
        own.0.last_us.store(begun_us, Ordering::Relaxed);
        let inner = own.0.clone();
        metrics.observe("ingest", move |facts| {
            let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
            let runs = [
                ([("outcome", "done")], of(&inner.done)),
                ([("outcome", "failed")], of(&inner.failed)),
            ];
            facts.counters("upkeep_runs", "Runs of upkeep, by outcome", runs)?;
            #[expect(clippy::cast_precision_loss, reason = "seconds to look at")]
            let last_s = inner.last_us.load(Ordering::Relaxed) as f64 / 1e6;
            let help = "When upkeep last ended well, or else began, seconds since the Unix epoch";
            facts.gauge("upkeep_last_success_timestamp_seconds", help, last_s)?;
            for (name, help, count) in [
                ("upkeep_merged_files", "Files that became fewer", &inner.merged_files),
                ("upkeep_made_files", "Files that they became", &inner.made_files),
                ("upkeep_gave_way", "Merges that somebody else did first", &inner.gave_way),
                ("upkeep_retired_rows", "Rows older than the retention", &inner.retired_rows),
                ("upkeep_archived_rows", "Rows moved into an archive", &inner.archived_rows),
                ("upkeep_swept_files", "Objects removed that nothing needs", &inner.swept_files),
                ("upkeep_views", "Times that a view was brought up to date", &inner.views),
            ] {
                facts.counter(name, help, of(count))?;
            }
            let help = "Files that cannot be merged, as of the last run; the log names them";
            facts.gauge("upkeep_unmergeable_files", help, of(&inner.left_files))
        });
        own
    }

    /// A run ended well at `now_us`.
    pub(crate) fn done(&self, report: &Report, now_us: i64) {
        self.0.done.fetch_add(1, Ordering::Relaxed);
        self.0.last_us.store(now_us, Ordering::Relaxed);
        self.add(report);
    }

    /// A run could not do everything; this is what it did.
    pub(crate) fn failed(&self, report: &Report) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
        self.add(report);
    }

    fn add(&self, report: &Report) {
        let inner = &self.0;
        let add = |count: &AtomicU64, more: u64| count.fetch_add(more, Ordering::Relaxed);
        add(&inner.views, report.views.len() as u64);
        add(&inner.swept_files, report.plans.files);
        let mut left = 0;
        for done in &report.tables {
            add(&inner.merged_files, done.merged.files);
            add(&inner.made_files, done.merged.made_files);
            add(&inner.gave_way, done.merged.gave_way);
            add(&inner.retired_rows, done.retired.rows);
            add(&inner.archived_rows, done.archived.rows);
            add(&inner.swept_files, done.swept.files);
            left += done.left.len() as u64;
        }
        inner.left_files.store(left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use lake::maintain::{Done, Left, Merged, Retired, Swept};

    use super::*;

    #[test]
    fn what_a_run_did_is_added_up_and_its_end_is_told() {
        let metrics = Metrics::default();
        let own = UpkeepMetrics::register(&metrics, 1_000_000);
        own.failed(&Report::default());
        assert!(metrics.render().contains("upkeep_last_success_timestamp_seconds 1.0\n"));
        let left = Left { path: "x".into(), reason: "y".into() };
        let merged = Merged { files: 30, made_files: 1, ..Merged::default() };
        let done = Done {
            merged,
            left: vec![left],
            retired: Retired { files: 1, rows: 9 },
            archived: Retired { files: 1, rows: 4 },
            swept: Swept { files: 2, bytes: 10 },
            ..Done::default()
        };
        let report = Report { tables: vec![done], ..Report::default() };
        own.done(&report, 5_500_000);
        own.done(&report, 6_500_000);
        let text = metrics.render();
        for line in [
            "ingest_upkeep_runs_total{outcome=\"done\"} 2\n",
            "ingest_upkeep_runs_total{outcome=\"failed\"} 1\n",
            "ingest_upkeep_last_success_timestamp_seconds 6.5\n",
            "ingest_upkeep_merged_files_total 60\n",
            "ingest_upkeep_retired_rows_total 18\n",
            "ingest_upkeep_archived_rows_total 8\n",
            "ingest_upkeep_unmergeable_files 1\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
