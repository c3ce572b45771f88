//! How many connections each address has: one address must not take all of them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts connections by address. It has no more entries than there are connections.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    max: usize,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place among those of its address: given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    addresses: Addresses,
    address: IpAddr,
}

impl Addresses {
    /// Allows `max` connections of an address; 0 for no limit.
    pub(crate) fn new(max: usize) -> Self {
        Self { max, counts: Arc::default() }
    }

    /// Takes a place; `None` when the address has no more.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Place> {
        let address = subscriber(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if self.max > 0 && *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Place { addresses: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.addresses.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Returns what one subscriber has: an IPv4 address, or a /64 of IPv6, of which each host has 2^64 addresses.
pub(crate) fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places() {
        let addresses = Addresses::new(2);
        let enter = |text: &str| addresses.enter(text.parse().unwrap());
        let (one, two) = (enter("10.0.0.7").unwrap(), enter("::ffff:10.0.0.7").unwrap());
        assert!(enter("10.0.0.7").is_none() && enter("10.0.0.8").is_some());
        drop(one);
        assert!(enter("10.0.0.7").is_some());
        drop(two);
        let (_one, _two) = (enter("2001:db8::1").unwrap(), enter("2001:db8::2").unwrap());
        assert!(enter("2001:db8::3").is_none() && enter("2001:db8:0:1::3").is_some());
        assert_eq!(addresses.counts.lock().unwrap().len(), 1, "who has left is forgotten");
    }

    #[test]
    fn no_limit_is_none() {
        let addresses = Addresses::new(0);
        let places: Vec<_> = (0..100).map(|_| addresses.enter([1, 2, 3, 4].into())).collect();
        assert!(places.iter().all(Option::is_some));
    }
}
