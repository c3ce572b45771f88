//! Addresses for gateways in processes of their own, which must be known before they start.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};

/// Returns an address that is free, and below the ports that the system hands out by itself: nobody else gets it by chance before it
/// is bound.
pub(crate) fn free_address() -> SocketAddr {
    const FIRST: u32 = 28_000;
    const PORTS: u32 = 4_000;
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    for _ in 0..PORTS {
        // Test programs that run at the same time begin at different ones.
        let turn =
            std::process::id().wrapping_mul(97).wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + turn % PORTS).unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if is_free(address) {
            return address;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + PORTS)
}

/// Binds without listening. A process that is being started at this moment by another thread has a copy of each socket until it
/// runs its own program: it would go on listening, take connections in the gateway's place, and reset them.
fn is_free(address: SocketAddr) -> bool {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(address).is_ok()
}
