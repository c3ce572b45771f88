//! All the gateway's ports, and the sockets that come in by them.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep_until};

use super::addresses::Addresses;
use super::config::{ListenerConfig, Transport};
use super::handshake::{Accepted, Endpoint};
use super::tls::Tls;

/// Rest after an error: out of file descriptors, mostly, and others may leave.
const REST: Duration = Duration::from_millis(100);

/// The ports.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listeners: Vec<(TcpListener, Arc<Endpoint>)>,
    addresses: Addresses,
    /// The listener that is asked first, so that a busy one does not starve the others.
    first: usize,
    rest_until: Option<Instant>,
}

/// A socket that is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotServed {
    #[error("the address has as many connections as it may")]
    Address(SocketAddr),
    #[error("cannot accept a connection")]
    Error(#[source] io::Error),
}

impl Acceptor {
    /// Starts without ports. An address may have `per_address_max` connections, 0 for no limit.
    pub(crate) fn new(per_address_max: usize) -> Self {
        let addresses = Addresses::new(per_address_max);
        Self { listeners: Vec::new(), addresses, first: 0, rest_until: None }
    }

    /// Adds a port. `tls` is for transports with TLS, `frame_bytes_max` for WebSocket.
    pub(crate) async fn bind(
        &mut self,
        config: &ListenerConfig,
        tls: Option<&Tls>,
        frame_bytes_max: usize,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(config.listen).await?;
        let address = listener.local_addr()?;
        let transport = config.transport;
        let tls = match (transport.has_tls(), tls) {
            (true, None) => return Err(io::Error::other("a listener with TLS has no certificate")),
            (true, tls) => tls.cloned(),
            (false, _) => None,
        };
        let endpoint = Endpoint {
            transport,
            name: format!("{transport} {address}").into(),
            is_local: address.ip().to_canonical().is_loopback(),
            tls,
            frame_bytes_max,
        };
        self.listeners.push((listener, Arc::new(endpoint)));
        Ok(address)
    }

    /// Returns the addresses of the ports, in the order in which they were added.
    pub(crate) fn addresses(&self) -> io::Result<Vec<(Transport, SocketAddr)>> {
        let listeners = self.listeners.iter();
        listeners
            .map(|(listener, endpoint)| Ok((endpoint.transport, listener.local_addr()?)))
            .collect()
    }

    /// Waits for the next socket. Cancel safe. Nothing is read from it here: a client that is silent holds nobody up.
    pub(crate) async fn accept(&mut self) -> Result<Accepted, NotServed> {
        if let Some(until) = self.rest_until {
            sleep_until(until).await;
            self.rest_until = None;
        }
        let accepted = poll_fn(|cx| self.poll_accept(cx)).await;
        let (stream, peer, endpoint) = accepted
            // Acknowledgements are small and must not wait for each other.
            .and_then(|accepted| accepted.0.set_nodelay(true).map(|()| accepted))
            .map_err(|error| {
                self.rest_until = Some(Instant::now() + REST);
                NotServed::Error(error)
            })?;
        match self.addresses.enter(peer.ip()) {
            Some(place) => Ok(Accepted { stream, peer, endpoint, place }),
            None => Err(NotServed::Address(peer)),
        }
    }

    fn poll_accept(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr, Arc<Endpoint>)>> {
        let count = self.listeners.len();
        for step in 0..count {
            let at = (self.first + step) % count;
            let Some((listener, endpoint)) = self.listeners.get(at) else { continue };
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                self.first = (at + 1) % count;
                let endpoint = endpoint.clone();
                return Poll::Ready(accepted.map(|(stream, peer)| (stream, peer, endpoint)));
            }
        }
        Poll::Pending
    }
}
