//! What every process says of itself in its metrics: since when it runs, what it holds of the system, which of its parts can work,
//! and what it has refused, dropped or given up on.

use std::fs;

use crate::readiness::Readiness;
use crate::{Clock, Group, Metrics};

/// Adds them. To be called once, early in the life of the process.
pub(crate) fn register(metrics: &Metrics, readiness: &Readiness, clock: Clock) {
    #[expect(clippy::cast_precision_loss, reason = "seconds to look at")]
    let began = clock.now_us().saturating_sub(micros(clock)) as f64 / 1e6;
    metrics.observe("process", move |facts| {
        let help = "When the process began, seconds since the Unix epoch";
        facts.gauge("start_time_seconds", help, began)?;
        if let Some(bytes) = resident_bytes() {
            facts.gauge("resident_memory_bytes", "Memory that the process has in use", bytes)?;
        }
        if let Some(open) = open_files() {
            facts.gauge("open_fds", "Open files and sockets", open)?;
        }
        match files_max() {
            Some(most) => facts.gauge("max_fds", "Most that may be open at once", most),
            None => Ok(()),
        }
    });
    let (readiness, counts) = (readiness.clone(), metrics.counts());
    metrics.observe("tidemark", move |facts| {
        let version = [([("version", env!("CARGO_PKG_VERSION"))], 1_u64)];
        facts.gauges("build_info", "The version that runs; always 1", version)?;
        let parts = readiness.parts().into_iter();
        let parts = parts.map(|(part, ready)| ([("part", part)], u64::from(ready)));
        let help = "Whether a part of the process can do its work (1) or not (0); /readyz says why";
        facts.gauges("part_ready", help, parts)?;
        let counted = counts.read();
        let groups = Group::ALL.map(|group| {
            let of = counted.get(group.as_str());
            ([("group", group.as_str())], of.map_or(0, |of| of.values().sum::<u64>()))
        });
        // Each group is there from the start: what is counted for the first time is a growth, too.
        let help = "What the process dead-lettered, dropped, refused, disconnected or limited";
        facts.counters("incidents", help, groups)?;
        let reasons = counted.iter().flat_map(|(group, of)| {
            of.iter().map(move |(reason, count)| {
                ([("group", group.as_str()), ("reason", reason.as_str())], *count)
            })
        });
        facts.counters("incidents_by_reason", "The same, by reason", reasons)
    });
}

fn micros(clock: Clock) -> i64 {
    i64::try_from(clock.uptime().as_micros()).unwrap_or(i64::MAX)
}

/// As Linux says; elsewhere nobody does.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

fn open_files() -> Option<u64> {
    // One of them is the look itself.
    Some((fs::read_dir("/proc/self/fd").ok()?.count() as u64).saturating_sub(1))
}

fn files_max() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv13_a_process_says_what_it_holds_what_works_and_what_it_refused() {
        let (metrics, readiness) = (Metrics::default(), Readiness::default());
        register(&metrics, &readiness, Clock::default());
        readiness.set("lake", Err("full".into()));
        readiness.set("spool", Ok(()));
        let text = metrics.render();
        assert!(text.contains("tidemark_incidents_total{group=\"dropped\"} 0\n"), "{text}");
        metrics.counts().add(Group::Dropped, "queue_full", 3);
        metrics.counts().add(Group::Dropped, "spool_full", 4);
        let text = metrics.render();
        for line in [
            "tidemark_part_ready{part=\"lake\"} 0\n",
            "tidemark_part_ready{part=\"spool\"} 1\n",
            "tidemark_incidents_total{group=\"dropped\"} 7\n",
            "tidemark_incidents_total{group=\"refused\"} 0\n",
            "tidemark_incidents_by_reason_total{group=\"dropped\",reason=\"spool_full\"} 4\n",
            "process_start_time_seconds ",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
