//! What is known of the store, as metrics: requests, failures, room, and its clock, which is asked now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lake::Lake;
use service_runtime::{Clock, Metrics, Stop, Tasks, disk_room};
use tracing::{debug, warn};

use crate::causes::chain;

/// How often the store's clock is asked.
const EVERY: Duration = Duration::from_secs(300);
/// A clock that is so wrong is spoken of: a day is then cut elsewhere, and signatures of requests come near to be refused.
const WRONG_MS: i64 = 60_000;
/// Not known.
const UNKNOWN: i64 = i64::MIN;

/// How far the store's clock is ahead, milliseconds.
type Ahead = Arc<AtomicI64>;

/// Adds the metrics of `lake`'s store, and the task that asks for its clock.
pub(crate) fn begin(tasks: &mut Tasks, metrics: &Metrics, lake: &Lake, worker: &str, clock: Clock) {
    let ahead = Arc::new(AtomicI64::new(UNKNOWN));
    register(metrics, lake, ahead.clone());
    let asks = watch(ahead, lake.clone(), worker.to_owned(), clock, tasks.stop());
    tasks.spawn("store clock", asks);
}

fn register(metrics: &Metrics, lake: &Lake, known: Ahead) {
    let counts = lake.store_counts();
    if let Some(folder) = lake.folder() {
        disk_room::register(metrics, "ingest", "lake", folder);
    }
    metrics.observe("ingest", move |facts| {
        let asked = counts.asked().into_iter();
        let asked = asked.map(|(operation, count)| ([("operation", operation)], count));
        facts.counters("store_requests", "Requests to the lake's store, by operation", asked)?;
        let failed = counts
            .failed()
            .into_iter()
            .map(|(operation, kind, count)| ([("operation", operation), ("kind", kind)], count));
        let help = "Requests that the lake's store did not serve, by operation and kind";
        facts.counters("store_errors", help, failed)?;
        let ahead_ms = known.load(Ordering::Relaxed);
        if ahead_ms == UNKNOWN {
            return Ok(());
        }
        #[expect(clippy::cast_precision_loss, reason = "seconds to look at")]
        let ahead_s = ahead_ms as f64 / 1e3;
        let help = "How far another clock is ahead of this machine's; below 0 this one is ahead";
        facts.gauges("clock_offset_seconds", help, [([("against", "store")], ahead_s)])
    });
}

/// Asks for the store's clock now and then, until `stop`.
///
/// # Errors
/// Never: a store that does not answer is told by whoever needs it.
async fn watch(
    own: Ahead,
    lake: Lake,
    worker: String,
    clock: Clock,
    stop: Stop,
) -> anyhow::Result<()> {
    let mut was_wrong = false;
    loop {
        let asked = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            asked = lake.clock_ahead_ms(&worker, clock) => asked,
        };
        match asked {
            // It is on a disk of this machine: there is but one clock.
            Ok(None) => return Ok(()),
            Ok(Some(ahead_ms)) => {
                own.store(ahead_ms, Ordering::Relaxed);
                let is_wrong = ahead_ms.abs() >= WRONG_MS;
                if is_wrong && !was_wrong {
                    let ahead_s = ahead_ms / 1000;
                    warn!(
                        ahead_s,
                        "the store's clock and this machine's differ: is NTP running on both?"
                    );
                }
                was_wrong = is_wrong;
            }
            Err(error) => {
                own.store(UNKNOWN, Ordering::Relaxed);
                debug!(error = chain(&error), "the store's clock is not known");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
