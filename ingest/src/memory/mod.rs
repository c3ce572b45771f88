//! What is remembered of devices from message to message: by how much their clocks are wrong, and what they said already; and of
//! EHR systems, which resources they sent.
//!
//! A batch takes it along while it fills, so that it always belongs to what was decoded; the next batch goes on with a copy. After
//! a landing it may be saved, never before: what is saved is never ahead of the ledger, else a message that is decoded again after
//! a kill would look like a repeat of itself. Bounded: of more devices than it has room for, those that were silent longest are
//! forgotten.

mod clock;
mod resources;
mod saved;

use std::collections::HashMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::batch::intern::Seeded;
use clock::DeviceClock;
pub(crate) use clock::Heard;
use resources::Resources;
pub(crate) use resources::Statement;

/// Devices that are remembered, at most.
pub(crate) const DEVICES_MAX: usize = 10_000;
/// Messages of a device that are remembered.
const MESSAGES: usize = 32;
/// Units of a device that are remembered.
const UNITS_MAX: usize = 64;

/// What is remembered of a device.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Device {
    clock: DeviceClock,
    /// Marks of its last messages, the next goes to `next`.
    messages: Vec<u32>,
    next: usize,
    /// Marks of a metric and of its unit.
    units: Vec<(u32, u32)>,
    /// When it was heard last.
    heard_us: i64,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory {
    devices: Vec<(u64, Device)>,
    /// Where a device is among them, by the hash of its name.
    places: HashMap<u64, u32, Seeded>,
    resources: Resources,
    /// How often devices were forgotten: then the others have other places.
    generation: u32,
}

/// Where the devices of a batch are in the memory, by their numbers there: so that no name is hashed for each message.
#[derive(Debug, Default)]
pub(crate) struct Places {
    of: Vec<Option<u32>>,
    generation: u32,
}

impl Places {
    /// The place of a device of the batch.
    pub(crate) fn place(&mut self, memory: &mut Memory, number: u32, names: (&str, &str)) -> u32 {
        if self.generation != memory.generation {
            self.of.clear();
            self.generation = memory.generation;
        }
        let number = number as usize;
        if let Some(Some(place)) = self.of.get(number) {
            return *place;
        }
        let place = memory.place(names);
        if self.generation == memory.generation {
            if self.of.len() <= number {
                self.of.resize(number + 1, None);
            }
            self.of[number] = Some(place);
        }
        place
    }

    /// What it takes in memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        (self.of.capacity() * size_of::<Option<u32>>()) as u64
    }
}

/// What tells a message of a device from its others.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mark<'a> {
    /// The device's own numbers.
    Numbered { boot: i64, seq: i64 },
    /// What it says, with when it says so.
    Payload(&'a [u8]),
}

impl Memory {
    /// What it takes in memory, at most.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let device = size_of::<(u64, Device)>() + 4 * MESSAGES + 8 * 8 + 32;
        (self.devices.capacity() * device + self.resources.memory_bytes()) as u64
    }

    /// Takes the time of a message of the device at a place. Returns when it was made, if the device's own time is wrong and it is
    /// known by how much.
    pub(crate) fn clock(&mut self, place: u32, heard: &Heard) -> Option<i64> {
        self.device(place, heard.received_us)?.clock.hear(heard)
    }

    /// Takes a message of a device. Returns whether it was there already, among its last.
    pub(crate) fn repeats(
        &mut self,
        place: u32,
        topic: &str,
        mark: Mark<'_>,
        received_us: i64,
    ) -> bool {
        let topic = xxh3_64(topic.as_bytes());
        let mark = match mark {
            Mark::Numbered { boot, seq } => {
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&boot.to_le_bytes());
                bytes[8..].copy_from_slice(&seq.to_le_bytes());
                xxh3_64_with_seed(&bytes, topic)
            }
            Mark::Payload(payload) => xxh3_64_with_seed(payload, topic),
        };
        let mark = short(mark);
        let Some(device) = self.device(place, received_us) else { return false };
        if device.messages.contains(&mark) {
            return true;
        }
        match device.messages.get_mut(device.next) {
            Some(oldest) => *oldest = mark,
            None => device.messages.push(mark),
        }
        device.next = (device.next + 1) % MESSAGES;
        false
    }

    /// Takes what a message says of a resource. Returns whether it said just that before.
    pub(crate) fn resource(&mut self, topic: &str, statement: &Statement<'_>) -> bool {
        self.resources.hear(topic, statement)
    }

    /// Takes the unit that a device names. Returns whether it was another before.
    pub(crate) fn other_unit(
        &mut self,
        place: u32,
        metric: &str,
        unit: &str,
        received_us: i64,
    ) -> bool {
        let (metric, unit) = (short(xxh3_64(metric.as_bytes())), short(xxh3_64(unit.as_bytes())));
        let Some(Device { units, .. }) = self.device(place, received_us) else { return false };
        match units.iter_mut().find(|(own, _)| *own == metric) {
            Some((_, before)) => std::mem::replace(before, unit) != unit,
            None => {
                if units.len() < UNITS_MAX {
                    units.push((metric, unit));
                }
                false
            }
        }
    }

    fn device(&mut self, place: u32, received_us: i64) -> Option<&mut Device> {
        let (_, device) = self.devices.get_mut(place as usize)?;
        device.heard_us = device.heard_us.max(received_us);
        Some(device)
    }

    /// The place of a device, which is new if it was not known; until others are forgotten.
    fn place(&mut self, (site, name): (&str, &str)) -> u32 {
        let key = xxh3_64_with_seed(name.as_bytes(), xxh3_64(site.as_bytes()));
        match self.places.get(&key) {
            Some(place) => *place,
            None => self.add(key, Device::default()),
        }
    }

    fn add(&mut self, key: u64, device: Device) -> u32 {
        if self.devices.len() >= DEVICES_MAX {
            self.forget();
        }
        let place = u32::try_from(self.devices.len()).expect("fewer than DEVICES_MAX");
        self.devices.push((key, device));
        self.places.insert(key, place);
        place
    }

    /// Makes room: a quarter that was silent longest goes.
    fn forget(&mut self) {
        self.devices.sort_unstable_by_key(|(_, device)| std::cmp::Reverse(device.heard_us));
        self.devices.truncate(DEVICES_MAX - DEVICES_MAX / 4);
        self.places.clear();
        self.places.extend((0..).zip(&self.devices).map(|(place, (key, _))| (*key, place)));
        self.generation += 1;
    }
}

fn short(hash: u64) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "both halves are folded into one")]
    let folded = (hash ^ (hash >> 32)) as u32;
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: u32 = 0;

    fn one() -> Memory {
        let mut memory = Memory::default();
        assert_eq!(memory.place(("icu", "mon-1")), AT);
        memory
    }

    fn numbered(boot: i64, seq: i64) -> Mark<'static> {
        Mark::Numbered { boot, seq }
    }

    #[test]
    fn a_message_is_a_repeat_if_it_is_among_the_last_of_its_device() {
        let mut memory = one();
        assert!(!memory.repeats(AT, "t", numbered(1, 1), 1));
        assert!(memory.repeats(AT, "t", numbered(1, 1), 2));
        assert!(!memory.repeats(AT, "t", numbered(2, 1), 3), "another boot");
        assert!(!memory.repeats(AT, "u", numbered(1, 1), 4), "another topic has its own numbers");
        let other = memory.place(("icu", "mon-2"));
        assert!(!memory.repeats(other, "t", numbered(1, 1), 5));
        assert!(!memory.repeats(AT, "t", Mark::Payload(b"a"), 6));
        assert!(memory.repeats(AT, "t", Mark::Payload(b"a"), 7));
        for seq in 10..10 + i64::try_from(MESSAGES).unwrap() {
            assert!(!memory.repeats(AT, "t", numbered(1, seq), 8));
        }
        assert!(!memory.repeats(AT, "t", numbered(1, 1), 9), "too long ago");
        assert!(memory.repeats(AT, "t", numbered(1, 30), 9));
    }

    #[test]
    fn a_device_that_changes_its_unit_is_told_once() {
        let mut memory = one();
        let mut changed = |metric, unit| memory.other_unit(AT, metric, unit, 1);
        assert!(!changed("t", "Cel"));
        assert!(!changed("t", "Cel"));
        assert!(!changed("u", "[degF]"));
        assert!(changed("t", "[degF]"));
        assert!(!changed("t", "[degF]"));
    }

    #[test]
    fn those_that_were_silent_longest_are_forgotten() {
        let mut memory = Memory::default();
        for n in 0..DEVICES_MAX + 1 {
            let name = n.to_string();
            let place = memory.place(("s", &name));
            memory.repeats(place, "t", numbered(1, 1), i64::try_from(n).unwrap());
        }
        assert!(memory.devices.len() <= DEVICES_MAX);
        let (old, new) = (memory.place(("s", "0")), memory.place(("s", "9999")));
        assert!(!memory.repeats(old, "t", numbered(1, 1), 20_000), "forgotten");
        assert!(memory.repeats(new, "t", numbered(1, 1), 20_000));
        assert_eq!(memory.generation, 1);
    }

    #[test]
    fn places_of_a_batch_hold_until_devices_are_forgotten() {
        let (mut memory, mut places) = (Memory::default(), Places::default());
        let names: Vec<String> = (0..=DEVICES_MAX).map(|n| n.to_string()).collect();
        for _ in 0..2 {
            for (number, name) in (0..).zip(&names) {
                let place = places.place(&mut memory, number, ("s", name));
                let key = memory.devices[place as usize].0;
                assert_eq!(memory.places[&key], place);
                memory.repeats(place, "t", numbered(1, 1), i64::from(number));
            }
        }
        assert!(memory.generation > 0 && memory.devices.len() <= DEVICES_MAX);
    }
}
