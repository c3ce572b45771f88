//! The devices and sources of a batch, as its rows name them: by number.

use std::collections::HashMap;

use super::intern::{Interner, Seeded};

/// The devices of a batch.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    pub(crate) sites: Interner,
    pub(crate) names: Interner,
    /// Site and name of each device, by its number.
    pub(crate) site_of: Vec<u32>,
    pub(crate) name_of: Vec<u32>,
    numbers: HashMap<[u32; 2], u32, Seeded>,
}

impl Devices {
    pub(super) fn number(&mut self, site: &str, name: &str) -> u32 {
        let pair = [self.sites.number(site), self.names.number(name)];
        let next = u32::try_from(self.site_of.len()).expect("fewer devices than messages");
        *self.numbers.entry(pair).or_insert_with(|| {
            self.site_of.push(pair[0]);
            self.name_of.push(pair[1]);
            next
        })
    }

    /// What they take in memory, about.
    pub(super) fn memory_bytes(&self) -> u64 {
        // A device is in two lists and a map.
        let devices = self.site_of.len() as u64 * 2 * (8 + 16);
        self.sites.memory_bytes() + self.names.memory_bytes() + devices
    }

    /// Site and name of a device.
    pub(crate) fn names(&self, device: u32) -> (&str, &str) {
        let device = device as usize;
        (self.sites.text(self.site_of[device]), self.names.text(self.name_of[device]))
    }

    /// For each device the place of its name among all names.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        // Devices of one name on several sites are told apart by the site, else their rows would not be together.
        let mut sorted: Vec<u32> = (0..).take(self.name_of.len()).collect();
        sorted.sort_unstable_by_key(|device| {
            let (site, name) = self.names(*device);
            (name, site)
        });
        let mut ranks = vec![0; sorted.len()];
        for (rank, device) in (0..).zip(sorted) {
            ranks[device as usize] = rank;
        }
        ranks
    }
}

/// The sources of a batch as the rows name them.
#[derive(Debug, Default)]
pub(crate) struct SourceNames {
    pub(crate) names: Interner,
    pub(crate) name_of: Vec<u32>,
    pub(crate) epochs: Vec<i64>,
}
