//! Devices that publish as those of other makers do: as Zigbee2MQTT, Tasmota, Shelly, … Each of their messages is for a profile's
//! rule, and what rows it must become is said by whoever writes it, from its own values.

mod kinds;
mod messages;
mod now;
mod telling;
#[cfg(test)]
mod tests;
mod unknown;

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use crate::config::Config;
use crate::fingerprint::EventTime;
use crate::message::{DeviceName, Message, Planned, Run};
use crate::seeded::Stream;
use kinds::{FAMILIES, Family};
use now::Now;
use telling::{Sender, Telling};
use unknown::Unknown;

/// Profile and filter of the topic rules that the messages are for, in the order in which they must stand; without a filter
/// the profile's own count.
pub const RULES: [(&str, Option<&str>); FAMILIES.len()] = rules();

/// The rules as a configuration has them.
#[must_use]
pub fn rules_toml() -> String {
    let line = |(profile, filter): &(&str, Option<&str>)| {
        let filter = filter.map_or_else(String::new, |filter| format!("filter = \"{filter}\"\n"));
        format!("[[ingest.topics]]\nprofile = \"{profile}\"\n{filter}")
    };
    RULES.iter().map(line).collect()
}

const fn rules() -> [(&'static str, Option<&'static str>); FAMILIES.len()] {
    let mut rules = [("", None); FAMILIES.len()];
    let mut place = 0;
    while place < rules.len() {
        rules[place] = (FAMILIES[place].profile, FAMILIES[place].filter);
        place += 1;
    }
    rules
}

static ALL: [Family; FAMILIES.len()] = FAMILIES;

/// Of what a meter shows, so much is each boot's own: a run of fewer messages a device shows nothing that another did.
const BOOT: u64 = 1_000_000_000;

/// One device.
#[derive(Debug)]
struct Device {
    family: &'static Family,
    own: String,
    id: u64,
    number: u32,
    name: DeviceName,
    seq: i64,
    stream: Stream,
    temperature: f64,
    unknown: Unknown,
}

/// The devices, and their endless plan: one after the other, each once an interval.
#[derive(Debug)]
pub struct Families {
    run: Run,
    start_us: i64,
    interval_us: i64,
    names: Vec<DeviceName>,
    devices: Vec<Device>,
    next: usize,
    round: i64,
    ready: VecDeque<Planned>,
}

impl Families {
    /// The devices that `config` asks for, numbered from `first_device` on.
    #[must_use]
    pub fn new(config: &Config, run: Run, first_device: u32) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "a day at most, in microseconds")]
        let interval_us = (config.families.interval_s * 1e6) as i64;
        let each = 1..=config.families.each;
        let all = each.flat_map(|n| ALL.iter().map(move |family| (n, family)));
        let devices: Vec<Device> = (first_device..)
            .zip(all)
            .map(|(number, (n, family))| Device::new(config, family, n, number))
            .collect();
        Self {
            run,
            start_us: config.start.timestamp_micros(),
            interval_us,
            names: devices.iter().map(|device| device.name.clone()).collect(),
            devices,
            next: 0,
            round: 0,
            ready: VecDeque::new(),
        }
    }

    /// Every device, in the order of their numbers.
    #[must_use]
    pub fn devices(&self) -> &[DeviceName] {
        &self.names
    }
}

impl Iterator for Families {
    type Item = Planned;

    fn next(&mut self) -> Option<Planned> {
        if let Some(planned) = self.ready.pop_front() {
            return Some(planned);
        }
        let many = i64::try_from(self.devices.len()).ok()?;
        let turn = i64::try_from(self.next).ok()?;
        let due_us = self.round * self.interval_us + turn * self.interval_us / many.max(1);
        let (run, start_us, first) = (self.run, self.start_us, self.round == 0);
        let device = self.devices.get_mut(self.next)?;
        let birth = first.then(|| device.birth(run)).flatten();
        let message = device.message(run, start_us + due_us);
        self.next += 1;
        if self.next == self.names.len() {
            (self.next, self.round) = (0, self.round + 1);
        }
        let planned = |message| Planned { due_us, message };
        self.ready.extend(birth.map(planned));
        self.ready.push_back(planned(message));
        self.ready.pop_front()
    }
}

impl Device {
    fn new(config: &Config, family: &'static Family, n: u32, number: u32) -> Self {
        // By its device id a client is known, whatever site its rows have.
        let own = format!("{}-{}-{n:02}", config.site, family.profile);
        let id = xxh3_64(own.as_bytes());
        let (site, device_id) = (family.name)(&own, id);
        let name = DeviceName::new(&site, &device_id);
        let mut stream = Stream::new(config.seed, "family", &device_id, &site);
        let temperature = stream.range(15.0, 25.0);
        let unknown = Unknown::new(config.seed, &name, &config.disorder);
        Self { family, own, id, number, name, seq: 0, stream, temperature, unknown }
    }

    fn sender(&mut self, run: Run) -> Sender<'_> {
        self.seq += 1;
        Sender { number: self.number, name: &self.name, boot: run.boot, seq: self.seq }
    }

    fn birth(&mut self, run: Run) -> Option<Message> {
        let (topic, payload) = self.family.birth?(&self.own);
        Some(self.sender(run).birth(&topic, payload))
    }

    fn message(&mut self, run: Run, now_us: i64) -> Message {
        let rounded = |value: f64| (value * 100.0).round() / 100.0 + 0.0;
        self.temperature = (self.temperature + self.stream.normal(0.0, 0.1)).clamp(-20.0, 60.0);
        let (temperature, humidity) = (rounded(self.temperature), self.stream.range(20.0, 90.0));
        let power = if self.stream.chance(0.2) { 0.0 } else { self.stream.range(5.0, 2_000.0) };
        let grown = self.unknown.next();
        let boot = u64::try_from(run.boot).unwrap_or(0);
        let meter = boot * BOOT + u64::try_from(self.seq).unwrap_or(0);
        // Devices write milliseconds.
        let ms = now_us.div_euclid(1000);
        let believed =
            |us| if us > run.horizon_us { EventTime::Received } else { EventTime::At(us) };
        let (family, own, id) = (self.family, self.own.clone(), self.id);
        let now = Now {
            own: &own,
            id,
            meter,
            ms,
            event: believed(ms * 1000),
            event_before: believed((ms - 1000) * 1000),
            temperature,
            humidity: rounded(humidity),
            power: rounded(power),
            grown,
        };
        let mut telling = Telling::new();
        let other = family.other.filter(|_| self.seq % 2 == 1);
        let topic = other.unwrap_or(family.say)(&now, &mut telling);
        telling.message(self.sender(run), &topic)
    }
}
