//! Listens to the receipts of sources, whatever happens to the connection.

use std::sync::Arc;
use std::time::Duration;

use service_runtime::{Clock, Stop};
use telemetry_core::backoff::Backoff;
use telemetry_core::receipt::Receipt;
use tracing::debug;

use super::link::{Link, LinkError};
use super::mqtt::{Hello, Incoming};
use super::shared::Shared;

const KEEP_ALIVE_S: u16 = 30;

/// Listens to receipts until stopped; reconnects on its own, since receipts are retained.
pub(crate) async fn watch(
    shared: Arc<Shared>,
    client_id: String,
    filter: String,
    tracker: impl Fn(&Receipt, Duration),
    stop: Stop,
) {
    let Shared { dial, codec, clock, login, .. } = &*shared;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5));
    let hello = Hello {
        client_id: &client_id,
        login: login.as_ref(),
        keep_alive_s: KEEP_ALIVE_S,
        receipts: false,
    };
    let listening = async {
        loop {
            match Link::open(&**dial, *codec, &hello).await {
                Ok(mut link) => {
                    let ended = listen(&mut link, &filter, &tracker, *clock).await;
                    debug!(error = ?ended.err(), "receipts: connecting again");
                    backoff.reset();
                }
                Err(error) => debug!(%error, "receipts: cannot connect"),
            }
            // Jitter matters for fleets; this is one connection.
            tokio::time::sleep(backoff.delay(0)).await;
        }
    };
    tokio::select! {
        () = listening => {}
        () = stop.cancelled() => {}
    }
}

async fn listen(
    link: &mut Link,
    filter: &str,
    tracker: &impl Fn(&Receipt, Duration),
    clock: Clock,
) -> Result<(), LinkError> {
    link.codec.subscribe(&mut link.out, filter)?;
    let half = Duration::from_secs(u64::from(KEEP_ALIVE_S) / 2);
    loop {
        match tokio::time::timeout(half, link.turn()).await {
            Ok(turned) => {
                turned?;
            }
            Err(_) => link.codec.ping(&mut link.out),
        }
        while let Some(incoming) = link.next()? {
            if let Incoming::Published { payload } = incoming
                && let Ok(receipt) = Receipt::from_json(&payload)
            {
                tracker(&receipt, clock.uptime());
            }
        }
    }
}
