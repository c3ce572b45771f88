//! Failed logins make further ones wait, so that passwords cannot be guessed, and nobody can lock a name out for its owner.
//!
//! Failures count for the name at its address, for the name and for the address:
//!
//! - A name at an address waits after [`FREE`] failures there: a second, then twice as long with each, up to [`WAIT_MAX`].
//! - A name that fails everywhere ([`NAME_FREE`] times) waits after its first failure at each address: many addresses together
//!   guess no faster. An address that it has not failed at is always heard, so its owner gets in.
//! - An address at which many names fail ([`ADDRESS_FREE`]) waits with every name that never succeeded there.
//!
//! A name that succeeds at an address is forgiven there, and others' failures make it wait there no more. What was refused
//! unheard counts as nothing. Failures are forgotten after [`FORGET`] without one.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::Duration;

/// Failures of a name at an address that cost nothing.
const FREE: u32 = 5;
/// Failures of a name, wherever, that cost nothing.
const NAME_FREE: u32 = 50;
/// Names that failed at an address that cost nothing.
const ADDRESS_FREE: u32 = 50;
/// Longest wait. An attacker at one address guesses once in it.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Failures and successes are forgotten after so long without another one.
const FORGET: Duration = Duration::from_secs(15 * 60);
/// How long a success at an address counts for a name.
const REMEMBER: Duration = Duration::from_secs(30 * 24 * 3600);
/// Entries of each kind; beyond them those that were not touched for longest go, half of them at once. About 4 MiB in all.
const ENTRIES_MAX: usize = 16_384;

/// Somebody who offers a password or token: from where, and for which name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Who {
    address: u64,
    name: u64,
    pair: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    count: u32,
    /// When the next try is heard.
    until: Duration,
}

/// What is remembered of failed logins. Times are uptimes.
#[derive(Debug)]
pub(crate) struct Throttle {
    hasher: RandomState,
    pairs: Recent<Failures>,
    names: Recent<Failures>,
    addresses: Recent<Failures>,
    trusted: Recent<()>,
}

impl Who {
    /// Returns the address, as a number.
    pub(crate) fn address(self) -> u64 {
        self.address
    }
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            pairs: Recent::new(FORGET),
            names: Recent::new(FORGET),
            addresses: Recent::new(FORGET),
            trusted: Recent::new(REMEMBER),
        }
    }
}

impl Throttle {
    /// Returns who it is that offers a name, or a token, at an address (one of [`crate::listener::addresses::subscriber`]).
    pub(crate) fn who(&self, address: IpAddr, name: &[u8]) -> Who {
        let hash = |of: &(Option<IpAddr>, Option<&[u8]>)| self.hasher.hash_one(of);
        Who {
            address: hash(&(Some(address), None)),
            name: hash(&(None, Some(name))),
            pair: hash(&(Some(address), Some(name))),
        }
    }

    /// Tells whether the name was let in from the address before.
    pub(crate) fn is_known(&mut self, who: Who, now: Duration) -> bool {
        self.trusted.get(who.pair, now).is_some()
    }

    /// Tells whether a try may be heard now.
    ///
    /// # Errors
    /// How long it must wait.
    pub(crate) fn admit(&mut self, who: Who, now: Duration) -> Result<(), Duration> {
        let mut until = self.pairs.get(who.pair, now).map_or(Duration::ZERO, |own| own.until);
        if self.trusted.get(who.pair, now).is_none()
            && let Some(address) = self.addresses.get(who.address, now)
        {
            until = until.max(address.until);
        }
        if until > now { Err(until.saturating_sub(now)) } else { Ok(()) }
    }

    /// Takes note of a try that was heard and failed. Returns the wait that begins, if one does.
    pub(crate) fn failed(&mut self, who: Who, now: Duration) -> Option<Duration> {
        let name = self.names.touch(who.name, now);
        name.count = name.count.saturating_add(1);
        let of_name = name.count.saturating_sub(NAME_FREE);
        let pair = self.pairs.touch(who.pair, now);
        pair.count = pair.count.saturating_add(1);
        let is_first = pair.count == 1;
        let wait = wait_after(pair.count.saturating_sub(FREE).max(of_name));
        pair.until = now + wait;
        let mut longest = wait;
        if is_first {
            let address = self.addresses.touch(who.address, now);
            address.count = address.count.saturating_add(1);
            let wait = wait_after(address.count.saturating_sub(ADDRESS_FREE));
            address.until = now + wait;
            longest = longest.max(wait);
        }
        (!longest.is_zero()).then_some(longest)
    }

    /// Takes note of a try that succeeded.
    pub(crate) fn succeeded(&mut self, who: Who, now: Duration) {
        self.pairs.forget(who.pair);
        self.trusted.touch(who.pair, now);
    }
}

fn wait_after(excess: u32) -> Duration {
    match excess {
        0 => Duration::ZERO,
        _ => Duration::from_secs(1 << (excess - 1).min(6)).min(WAIT_MAX),
    }
}

/// A map that forgets what was not touched for a while, and more when it is full: what is kept longest is what is used.
#[derive(Debug)]
struct Recent<V> {
    forget: Duration,
    new: HashMap<u64, (Duration, V)>,
    old: HashMap<u64, (Duration, V)>,
}

impl<V: Default> Recent<V> {
    fn new(forget: Duration) -> Self {
        Self { forget, new: HashMap::new(), old: HashMap::new() }
    }

    fn get(&mut self, key: u64, now: Duration) -> Option<&mut V> {
        let kept = |touched: Duration| now.saturating_sub(touched) < self.forget;
        let generation = if self.new.contains_key(&key) { &mut self.new } else { &mut self.old };
        if generation.get(&key).is_some_and(|(touched, _)| !kept(*touched)) {
            generation.remove(&key);
        }
        generation.get_mut(&key).map(|(_, value)| value)
    }

    /// Returns the entry, made if there is none, and counts it as used.
    fn touch(&mut self, key: u64, now: Duration) -> &mut V {
        let value = self.get(key, now).map(std::mem::take).unwrap_or_default();
        self.old.remove(&key);
        if self.new.len() >= ENTRIES_MAX && !self.new.contains_key(&key) {
            self.old = std::mem::take(&mut self.new);
        }
        let entry = self.new.entry(key).or_default();
        *entry = (now, value);
        &mut entry.1
    }

    fn forget(&mut self, key: u64) {
        self.new.remove(&key);
        self.old.remove(&key);
    }
}

#[cfg(test)]
mod tests;
