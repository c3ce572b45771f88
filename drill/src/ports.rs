//! Ports for services that are started and killed: nobody else has them, also while nothing listens there.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::bail;

/// A port on loopback that is free, below those that the system gives to outgoing connections: while a service is
/// down, nobody may take its port, least of all a client that tries to reach it. Nor does another process that asks here, as long as this one lives.
///
/// # Errors
/// When all are taken.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    const FIRST: u32 = 16_000;
    const PORTS: u32 = 12_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    // One for each service that this process starts.
    static RESERVED: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    for _ in 0..PORTS {
        let turn =
            std::process::id().wrapping_mul(97).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + turn % PORTS)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        // Services listen by TCP: the same number of UDP says whose it is, until this process ends.
        let Ok(reserved) = UdpSocket::bind(address) else { continue };
        if is_free(address)? {
            RESERVED.lock().unwrap_or_else(PoisonError::into_inner).push(reserved);
            return Ok(address);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + PORTS)
}

/// Binds without listening: a process that another thread is starting has a copy of each socket until it runs its own program, and
/// would go on listening in the place of the service.
fn is_free(address: SocketAddr) -> anyhow::Result<bool> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    Ok(socket.bind(address).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_was_given_is_free_and_nobody_else_is_given_it() {
        let (one, other) = (free_address().unwrap(), free_address().unwrap());
        assert_ne!(one, other);
        assert!(UdpSocket::bind(one).is_err(), "another process sees that it is taken");
        assert!(std::net::TcpListener::bind(one).is_ok(), "a service may listen there");
    }
}
