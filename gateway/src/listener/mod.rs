//! Accepts connections, within the limit, and gives each one a task.
//!
//! `acceptor` takes sockets of every port, `handshake` makes a `stream` of bytes of each in the connection's own task: `tls`,
//! `ws`, both or neither.

pub(crate) mod acceptor;
mod addresses;
pub mod config;
pub(crate) mod handshake;
pub(crate) mod stream;
pub(crate) mod tls;
mod ws;

use std::sync::Arc;
use std::time::Duration;

use service_runtime::Stop;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::connection::{Shared, serve};

/// Devices have this long to take their last acknowledgements.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves clients until `stop`; then devices leave, `uplink_stop` is cancelled, and the rest stays until `closing`.
pub(crate) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    stop: Stop,
    uplink_stop: Stop,
) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    let mut serial = 0;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) if connections.len() >= shared.limits.connections_max => {
                    shared.metrics.disconnected("connections_max");
                    drop(stream);
                }
                Ok((stream, peer)) => {
                    serial += 1;
                    // Acknowledgements are small and must not wait for each other.
                    if stream.set_nodelay(true).is_ok() {
                        connections.spawn(serve(shared.clone(), stream, peer, serial));
                    }
                }
                Err(error) => {
                    // Out of file descriptors, mostly: others may leave.
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
        shared.metrics.connections.set(i64::try_from(connections.len()).unwrap_or(i64::MAX));
    }
    drop(listener);
    info!(connections = connections.len(), "no longer accepting: finishing with connected clients");
    shared.draining.cancel();
    let mut staying = shared.staying.subscribe();
    let farewell = tokio::time::sleep(FAREWELL);
    tokio::pin!(farewell);
    // Devices take their last acknowledgements and leave; then only those are left who take frames.
    while connections.len() > *staying.borrow_and_update() {
        tokio::select! {
            _ = connections.join_next() => {}
            _ = staying.changed() => {}
            () = &mut farewell => break,
        }
    }
    uplink_stop.cancel();
    while connections.join_next().await.is_some() {}
    Ok(())
}

#[cfg(test)]
mod tests;
