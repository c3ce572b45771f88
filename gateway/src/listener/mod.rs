//! Accepts connections, within the limit, and gives each one a task.
//!
//! `acceptor` takes sockets of every port, `handshake` makes a `stream` of bytes of each in the connection's own task: `tls`,
//! `ws`, both or neither.

pub(crate) mod acceptor;
pub(crate) mod addresses;
pub mod config;
pub(crate) mod handshake;
pub(crate) mod stream;
pub(crate) mod tls;
mod ws;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use acceptor::{Acceptor, NotServed};
use service_runtime::Stop;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::connection::serve;
use crate::notices::{Event, Who};
use crate::shared::Shared;

/// Devices have this long to take their last acknowledgements.
const FAREWELL: Duration = Duration::from_secs(3);

/// Serves clients until `stop`; then devices leave, `uplink_stop` is cancelled, and the rest stays until `closing`.
pub(crate) async fn run(
    mut acceptor: Acceptor,
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
            accepted = acceptor.accept() => match accepted {
                Ok(turned) if connections.len() >= shared.limits.connections_max => {
                    shared.metrics.disconnected("connections_max");
                    tell(&shared, Event::ConnectionsMax, (turned.peer, turned.endpoint.name.clone()));
                }
                Ok(accepted) => {
                    serial += 1;
                    connections.spawn(serve(shared.clone(), accepted, serial));
                }
                Err(NotServed::Address(peer)) => {
                    shared.metrics.disconnected("connections_per_address_max");
                    tell(&shared, Event::AddressMax, (peer, "".into()));
                }
                Err(NotServed::Error(error)) => warn!(%error, "cannot accept a connection"),
            },
        }
        shared.metrics.connections.set(i64::try_from(connections.len()).unwrap_or(i64::MAX));
    }
    drop(acceptor);
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

fn tell(shared: &Shared, event: Event, place: (SocketAddr, Arc<str>)) {
    shared.metrics.notices.tell(event, Who { place: Some(place), ..Who::default() });
}

#[cfg(test)]
mod tests;
