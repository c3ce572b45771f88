//! Room for devices: which go when there are too many, and what has to be made anew then.

use crate::names::Index;
use crate::track::NOT_DUE;
use crate::watch::{Next, Watch, hash_of};

impl Watch {
    pub(crate) fn put_in_index(&mut self, number: u32) {
        let device = &self.devices[number as usize];
        let hash = hash_of(self.names.get(device.site), &device.name);
        if let Err(key) = self.index.find(hash, |other| other == number) {
            self.index.put(key, number);
        }
    }

    /// Forgets a quarter of the devices: those that were not heard for longest, and have no alert.
    pub(crate) fn make_room(&mut self) {
        let mut quiet: Vec<(i64, u32)> = (0..)
            .zip(&self.devices)
            .filter(|(_, device)| !device.has_alert())
            .map(|(number, device)| (device.received_us, number))
            .collect();
        quiet.sort_unstable();
        quiet.truncate((self.limits.devices / 4).max(1));
        let mut goes = vec![false; self.devices.len()];
        for (_, number) in &quiet {
            goes[*number as usize] = true;
        }
        let mut number = 0;
        self.devices.retain(|_| {
            number += 1;
            !goes[number - 1]
        });
        self.counts.forgotten += quiet.len() as u64;
        self.rebuild();
    }

    /// Makes what follows from the devices: the index, the sources' members and queues.
    pub(crate) fn rebuild(&mut self) {
        self.index = Index::default();
        self.next = Next::default();
        self.known.devices.forget();
        for source in &mut self.sources {
            source.queue.clear();
            source.members = 0;
        }
        for number in 0..u32::try_from(self.devices.len()).unwrap_or(u32::MAX) {
            self.put_in_index(number);
            let device = &mut self.devices[number as usize];
            device.queued_us = NOT_DUE;
            let has_clock = device.has_clock(&self.rules.rules);
            self.sources[device.source as usize].members += u32::from(has_clock);
            self.requeue(number);
        }
    }
}
