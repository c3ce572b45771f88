//! Hears sources say that all they had is landed, and keeps that with the lake: an hour is over only for a source that said so, or
//! that went on.

use std::collections::BTreeMap;
use std::time::Duration;

use lake::{Heard, Lake};
use service_runtime::{Clock, Stop};
use telemetry_core::id::SourceId;
use tokio::sync::watch;
use tracing::warn;

use crate::causes::chain;

/// Shortest time between two writes; what was heard in between is at most so old.
const EVERY: Duration = Duration::from_secs(20);

/// Source → when it said so, Unix microseconds.
type Sources = BTreeMap<String, i64>;

/// What the pipeline tells.
#[derive(Debug)]
pub(crate) struct Hearing {
    sources: watch::Sender<Sources>,
    sources_max: usize,
}

impl Hearing {
    /// Keeps what at most `sources_max` sources say.
    pub(crate) fn new(sources_max: usize) -> (Self, watch::Receiver<Sources>) {
        let (sources, heard) = watch::channel(Sources::new());
        (Self { sources, sources_max }, heard)
    }

    /// A source says that all that it had accepted at `at_us` is landed, which is so.
    pub(crate) fn hear(&self, source: &SourceId, at_us: i64) {
        self.sources.send_if_modified(|sources| {
            if let Some(known) = sources.get_mut(source.as_str()) {
                let newer = *known < at_us;
                *known = at_us.max(*known);
                return newer;
            }
            // Who comes when there is no room is heard by what it lands.
            let room = sources.len() < self.sources_max;
            if room {
                sources.insert(source.to_string(), at_us);
            }
            room
        });
    }
}

/// Keeps what is heard, until `stop` and nobody tells any more.
///
/// # Errors
/// Never: what can't be kept now is kept another time.
pub(crate) async fn keep(
    lake: Lake,
    worker: String,
    mut heard: watch::Receiver<Sources>,
    clock: Clock,
    stop: Stop,
) -> anyhow::Result<()> {
    let mut written: Option<Duration> = None;
    // Whoever told is gone: it is the end.
    while heard.changed().await.is_ok() {
        let due = written.map_or(clock.uptime(), |written| written + EVERY);
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep_until(clock.instant(due).into()) => {}
        }
        write(&lake, &worker, &mut heard).await;
        written = Some(clock.uptime());
    }
    Ok(())
}

async fn write(lake: &Lake, worker: &str, heard: &mut watch::Receiver<Sources>) {
    let sources = heard.borrow_and_update().clone();
    if let Err(error) = lake.keep_heard(worker, &Heard::new(sources)).await {
        warn!(
            error = chain(&error),
            "what sources said is not kept this time: hours are sealed later"
        );
    }
}
