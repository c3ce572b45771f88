//! How long a commit takes: with several workers at once, and after many landings that nobody has looked after.

use std::time::Duration;

use lake::{Lake, LandOutcome, Lander, OpenMode};
use service_runtime::Clock;
use tokio::task::JoinSet;

use super::Lines;
use crate::made::{DAY_US, Made};

/// Rows of a landing.
const ROWS: u64 = 100;
/// Landings of a worker beside others.
const LANDINGS: u64 = 200;
/// The last so many landings are looked at.
const LAST: usize = 100;

/// See the module. Only the decision and its application count, not the writing of the file before it.
pub(super) async fn measure(
    tenth: u64,
    many: bool,
    clock: Clock,
    lines: &mut Lines,
) -> anyhow::Result<()> {
    let mut alone = None;
    for workers in [1, 4, 8] {
        let folder = tempfile::tempdir()?;
        let url = folder.path().display().to_string();
        let lake = Lake::open(&url, &[].into(), OpenMode::Create).await?;
        let (mut all, began) = (JoinSet::new(), clock.uptime());
        for number in 0..workers {
            let mut worker = Worker::open(&lake, number, clock).await?;
            all.spawn(async move {
                let mut took = Vec::new();
                for _ in 0..LANDINGS / tenth {
                    took.push(worker.land().await?);
                }
                anyhow::Ok(took)
            });
        }
        let mut took = Vec::new();
        while let Some(of_worker) = all.join_next().await {
            took.extend(of_worker??);
        }
        let seconds = (clock.uptime() - began).as_secs_f64();
        let median = percentile(&mut took, 50);
        let first = *alone.get_or_insert(median);
        let what = format!("commit of a landing, {workers} workers at once");
        lines.push(format!("{what}, p50"), (median, "ms"), Some(("one alone", first)));
        lines.push(format!("{what}, p99"), (percentile(&mut took, 99), "ms"), None);
        let rate = took.len() as f64 / seconds;
        lines.push(format!("{what}: all together"), (rate, "landings/s"), None);
    }
    after_many(tenth, many, clock, lines).await
}

/// One worker lands again and again, and nobody merges or cleans up.
async fn after_many(tenth: u64, many: bool, clock: Clock, lines: &mut Lines) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let url = folder.path().display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await?;
    let mut worker = Worker::open(&lake, 0, clock).await?;
    let marks = [100, 1_000, 10_000, 100_000].map(|landings| landings / tenth);
    let marks = if many { &marks[..] } else { &marks[..3] };
    let (mut took, mut first) = (Vec::new(), None);
    for mark in marks {
        while (took.len() as u64) < *mark {
            took.push(worker.land().await?);
        }
        let mut last: Vec<Duration> = took.iter().rev().take(LAST).copied().collect();
        let median = percentile(&mut last, 50);
        let first = *first.get_or_insert(median);
        let what = format!("after {mark} landings without upkeep");
        let beside = Some(("at the beginning", first));
        lines.push(format!("{what}: commit, p50"), (median, "ms"), beside);
        let began = clock.uptime();
        drop(Worker::open(&lake, 1, clock).await?);
        let opened = millis(clock.uptime() - began);
        lines.push(format!("{what}: another worker begins"), (opened, "ms"), None);
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let at = times.len().saturating_sub(1) * percent / 100;
    times.get(at).copied().map_or(0.0, millis)
}

/// A worker with a lane and a source of its own.
struct Worker {
    lake: Lake,
    lander: Lander,
    lane: u8,
    source: String,
    made: Made,
    next: u64,
    clock: Clock,
}

impl Worker {
    async fn open(lake: &Lake, lane: u8, clock: Clock) -> anyhow::Result<Self> {
        let (source, now_us) = (format!("bench-{lane}"), clock.now_us());
        let lander = Lander::open(lake, &source, [lane], now_us).await?;
        let start_us = (now_us.div_euclid(DAY_US) - 3) * DAY_US;
        let made = Made { devices: 100, start_us, rows: 1 << 24, offset: 0 };
        Ok(Self { lake: lake.clone(), lander, lane, source, made, next: 0, clock })
    }

    /// Lands once more; what the commit took.
    async fn land(&mut self) -> anyhow::Result<Duration> {
        let (now_us, part) = (self.clock.now_us(), [self.next, self.next + ROWS]);
        let staged = self.made.stage(&self.lake, (&self.source, self.lane), part, now_us).await?;
        let began = self.clock.uptime();
        let outcome = self.lander.land(&staged, now_us).await?;
        anyhow::ensure!(matches!(outcome, LandOutcome::Landed { .. }), "{outcome:?}");
        self.next += ROWS;
        Ok(self.clock.uptime() - began)
    }
}
