//! `$SYS/broker/…`: what the gateway says about itself to MQTT clients.

use std::sync::Arc;
use std::time::Duration;

use service_runtime::Stop;
use tokio::time::MissedTickBehavior;

use crate::message::Message;
use crate::parked;
use crate::session::Due;
use crate::shared::Shared;
use crate::store::Position;
use crate::testament::Testament;
use crate::will;

/// How often the topics are published.
const EVERY: Duration = Duration::from_secs(10);
/// How often sessions, wills and retained messages are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Publishes the topics, and ends what has expired, until `closing`.
/// `wills` are of clients that the last process had: they are due.
pub(crate) async fn run(
    shared: Arc<Shared>,
    wills: Vec<Testament>,
    closing: Stop,
) -> anyhow::Result<()> {
    // What outlived the last process may have no right to be here any more.
    let mut tables = shared.access.generation();
    tables.mark_changed();
    for will in wills {
        will::publish(will, &shared).await;
    }
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut audiences = shared.fanout.audiences();
    let mut published_at: Option<Duration> = None;
    loop {
        tokio::select! {
            biased;
            () = closing.cancelled() => return Ok(()),
            _ = tick.tick() => {}
        }
        if tables.has_changed().unwrap_or(false) {
            tables.mark_unchanged();
            parked::review(&shared).await;
        }
        expire(&shared).await;
        shared.metrics.notices.due();
        let now = shared.clock.uptime();
        if published_at.is_none_or(|at| now >= at + EVERY) {
            published_at = Some(now);
            shared.retained.sweep(shared.clock.now_us());
            pass_exchanges(&shared);
            for (topic, value) in values(&shared) {
                let message = Message::own(format!("$SYS/broker/{topic}"), value, 0, true);
                let message = Arc::new(message);
                shared.retained.set(&message, "");
                audiences.publish(&message);
            }
        }
    }
}

/// Lets the file of sessions know how far the spool is: whatever was taken before this is noted by now.
fn pass_exchanges(shared: &Shared) {
    let exchanges = shared.store.exchanges();
    let status = shared.spool.status();
    exchanges.pass(Position { epoch: status.epoch, offset: status.appended });
}

/// Publishes wills that are due and ends sessions whose client did not come back.
async fn expire(shared: &Shared) {
    for due in shared.registry.due(shared.clock.uptime()) {
        match due {
            Due::Will(will) => will::publish(will, shared).await,
            Due::Ended(parked) => parked.session.end(&shared.fanout),
        }
    }
    shared.metrics.sessions.set(i64::try_from(shared.registry.len()).unwrap_or(i64::MAX));
}

fn values(shared: &Shared) -> [(&'static str, String); 12] {
    let metrics = &shared.metrics;
    let (retained, retained_bytes) = shared.retained.size();
    let connected = metrics.connections.get();
    let sessions = shared.registry.len();
    [
        ("version", concat!("tidemark ", env!("CARGO_PKG_VERSION")).to_owned()),
        ("uptime", format!("{} seconds", shared.clock.uptime().as_secs())),
        ("clients/connected", connected.to_string()),
        ("clients/total", sessions.to_string()),
        ("subscriptions/count", metrics.subscriptions.get().to_string()),
        ("messages/received", metrics.received.get().to_string()),
        ("messages/sent", metrics.delivered.get().to_string()),
        ("messages/dropped", metrics.queue_dropped.get().to_string()),
        ("bytes/received", metrics.bytes_received.get().to_string()),
        ("bytes/sent", metrics.bytes_sent.get().to_string()),
        ("retained messages/count", retained.to_string()),
        ("retained messages/bytes", retained_bytes.to_string()),
    ]
}
