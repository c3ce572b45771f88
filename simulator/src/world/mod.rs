//! The simulated ward: an endless plan of messages in the order in which they are due.
//!
//! Simulated time drives everything; nothing here knows the wall clock. Each device and each bed draws from its own
//! streams, so that adding one does not change another.

mod agenda;
mod building;
mod ehr;
mod fhir;
mod monitor;
mod noise;
mod patient;
mod pump;
mod scenarios;
mod stays;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use chrono::Datelike;

use crate::config::{Config, Ward};
use crate::device::{Context, Device};
use crate::message::{DeviceName, Message, Planned, Run};
use crate::seeded::Stream;
use agenda::{Agenda, Event, seconds};
use building::{Fridge, Room};
use ehr::Ehr;
use monitor::Monitor;
use patient::Patient;
use pump::Pump;

const WARDS: [&str; 3] = ["ward-a", "ward-b", "icu"];
/// Beds of a ward.
const WARD_BEDS: usize = 12;

/// A bed and who lies in it.
#[derive(Debug)]
struct Bed {
    ward: &'static str,
    label: String,
    stream: Stream,
    patient: Option<Patient>,
    /// How many patients have lain here; events of earlier ones are stale.
    stay: u32,
    admitted_us: i64,
    /// Numbers the stay's laboratory orders, charts and tablets.
    orders: u32,
}

/// The ward and everything that sends from it.
#[derive(Debug)]
pub struct World {
    seed: u64,
    start_us: i64,
    year: i32,
    ward: Ward,
    devices: Vec<DeviceName>,
    agenda: Agenda,
    ready: VecDeque<Planned>,
    beds: Vec<Bed>,
    monitors: Vec<Monitor>,
    pumps: Vec<Pump>,
    infusions: Vec<u32>,
    fridges: Vec<Fridge>,
    rooms: Vec<Room>,
    ehr: Option<Ehr>,
}

impl World {
    /// The ward of `config`; its devices are numbered from `first_device` on.
    #[must_use]
    pub fn ward(config: &Config, run: Run, first_device: u32) -> Self {
        let mut world = Self {
            seed: config.seed,
            start_us: config.start.timestamp_micros(),
            year: config.start.year(),
            ward: config.ward.clone(),
            devices: Vec::new(),
            agenda: Agenda::default(),
            ready: VecDeque::new(),
            beds: Vec::new(),
            monitors: Vec::new(),
            pumps: Vec::new(),
            infusions: Vec::new(),
            fridges: Vec::new(),
            rooms: Vec::new(),
            ehr: None,
        };
        world.furnish(config, run, first_device);
        world
    }

    /// Every device, in the order of their numbers.
    #[must_use]
    pub fn devices(&self) -> &[DeviceName] {
        &self.devices
    }

    fn furnish(&mut self, config: &Config, run: Run, first_device: u32) {
        let ward = self.ward.clone();
        let (seed, disorder) = (config.seed, &config.disorder);
        let mut devices = Vec::new();
        let mut device = |kind: &str, n: u32, digits: usize| {
            let name = DeviceName::new(&config.site, &format!("{kind}-{n:0digits$}"));
            let number = first_device + u32::try_from(devices.len()).unwrap_or(u32::MAX);
            devices.push(name.clone());
            Device::new(number, name, run, seed, disorder)
        };
        for n in 0..ward.beds {
            let index = n as usize;
            let label = format!("{:02}", index % WARD_BEDS + 1);
            let stream = Stream::new(seed, "bed", &n.to_string(), "stays");
            let ward_name = WARDS[index / WARD_BEDS % WARDS.len()];
            self.beds.push(Bed {
                ward: ward_name,
                label,
                stream,
                patient: None,
                stay: 0,
                admitted_us: 0,
                orders: 0,
            });
            self.monitors.push(Monitor::new(
                device("monitor", n + 1, 3),
                seed,
                disorder.artefacts,
                ward.monitor_s,
            ));
        }
        for n in 0..ward.pumps {
            let bed = (n % ward.beds.max(1)) as usize;
            self.pumps.push(Pump::new(device("pump", n + 1, 3), seed, bed));
            self.infusions.push(0);
        }
        for n in 0..ward.fridges {
            let device = device("fridge", n + 1, 2);
            self.fridges.push(Fridge::new(device, seed, ward.failing_fridges));
        }
        for n in 0..ward.rooms {
            let ward_name = WARDS[n as usize % WARDS.len()];
            self.rooms.push(Room::new(device("room", n + 1, 3), seed, ward_name));
        }
        if ward.ehr {
            let device = Device::new(
                first_device + u32::try_from(devices.len()).unwrap_or(u32::MAX),
                DeviceName::new(&config.site, "ehr-main"),
                run,
                seed,
                disorder,
            );
            devices.push(device.name.clone());
            self.ehr = Some(Ehr::new(device, self.start_us));
        }
        self.devices = devices;
        self.open();
    }

    /// Puts the first event of everybody on the agenda, spread so that they do not all speak at once.
    fn open(&mut self) {
        for (bed, state) in self.beds.iter_mut().enumerate() {
            // Nine of ten beds are taken when the simulation starts.
            let wait_s = if state.stream.chance(0.9) {
                state.stream.range(0.0, 2.0)
            } else {
                state.stream.exponential(3600.0)
            };
            self.agenda.add(seconds(wait_s), Event::Admit { bed });
        }
        let phase = |kind: &str, n: usize, interval_s: f64| {
            let mut stream = Stream::new(self.seed, kind, &n.to_string(), "phase");
            seconds(2.0 + stream.unit() * interval_s)
        };
        for n in 0..self.monitors.len() {
            self.agenda.add(phase("monitor", n, self.ward.monitor_s), Event::Monitor { n });
            self.agenda.add(phase("monitor-status", n, 2.0), Event::MonitorStatus { n });
        }
        for n in 0..self.pumps.len() {
            self.agenda.add(phase("pump", n, self.ward.pump_s), Event::Pump { n });
            self.agenda.add(phase("pump-status", n, 2.0), Event::PumpStatus { n });
        }
        for n in 0..self.fridges.len() {
            self.agenda.add(phase("fridge", n, self.ward.building_s), Event::Fridge { n });
        }
        for n in 0..self.rooms.len() {
            self.agenda.add(phase("room", n, self.ward.building_s), Event::Room { n });
        }
    }

    fn hour(&self, now_us: i64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "microseconds of a day")]
        let hour = (self.start_us + now_us).rem_euclid(86_400_000_000) as f64 / 3.6e9;
        hour
    }

    fn emit(&mut self, due_us: i64, message: Message) {
        self.ready.push_back(Planned { due_us, message });
    }

    fn play(&mut self, now_us: i64, event: Event) {
        match event {
            Event::Admit { bed } => self.admit(bed, now_us),
            Event::Discharge { bed, stay } if self.beds[bed].stay == stay => {
                self.discharge(bed, now_us);
            }
            Event::Labs { bed, stay } if self.beds[bed].stay == stay => self.labs(bed, now_us),
            Event::Chart { bed, stay } if self.beds[bed].stay == stay => self.chart(bed, now_us),
            Event::Tablet { bed, stay } if self.beds[bed].stay == stay => self.tablet(bed, now_us),
            Event::Rate { pump, stay } if self.beds[self.pumps[pump].bed].stay == stay => {
                self.rate(pump, now_us);
            }
            Event::Discharge { .. }
            | Event::Labs { .. }
            | Event::Chart { .. }
            | Event::Tablet { .. }
            | Event::Rate { .. } => {}
            Event::Monitor { n } => self.monitor(n, now_us),
            Event::MonitorStatus { n } => self.monitor_status(n, now_us),
            Event::Pump { n } => self.pump(n, now_us),
            Event::PumpStatus { n } => self.pump_status(n, now_us),
            Event::Fridge { n } => self.building(now_us, event, |world, hour| {
                world.fridges[n].reading(world.start_us, now_us, hour)
            }),
            Event::Room { n } => self.building(now_us, event, |world, hour| {
                world.rooms[n].reading(world.start_us, now_us, hour)
            }),
        }
    }

    fn monitor(&mut self, n: usize, now_us: i64) {
        self.agenda.add(now_us + seconds(self.ward.monitor_s), Event::Monitor { n });
        let hour = self.hour(now_us);
        let bed = &mut self.beds[n];
        let Some(patient) = bed.patient.as_mut() else { return };
        let vitals = patient.at(now_us / 1_000_000, hour);
        let context = context(patient, bed.ward, &bed.label);
        let message = self.monitors[n].reading(self.start_us, now_us, &vitals, context);
        self.emit(now_us, message);
    }

    fn monitor_status(&mut self, n: usize, now_us: i64) {
        self.agenda.add(now_us + seconds(self.ward.status_s), Event::MonitorStatus { n });
        let status = if self.beds[n].patient.is_some() { "monitoring" } else { "standby" };
        let monitor = &mut self.monitors[n];
        let (stamp, firmware) = (monitor.device.stamp(self.start_us, now_us), monitor.firmware());
        let message = monitor.device.status(&stamp, status, None, firmware);
        self.emit(now_us, message);
    }

    fn pump(&mut self, n: usize, now_us: i64) {
        self.agenda.add(now_us + seconds(self.ward.pump_s), Event::Pump { n });
        let Some(bed) = self.beds.get(self.pumps[n].bed) else { return };
        let context = bed
            .patient
            .as_ref()
            .map(|patient| context(patient, bed.ward, &bed.label))
            .unwrap_or_default();
        let message = self.pumps[n].reading(self.start_us, now_us, context);
        self.emit(now_us, message);
    }

    fn pump_status(&mut self, n: usize, now_us: i64) {
        self.agenda.add(now_us + seconds(self.ward.status_s), Event::PumpStatus { n });
        let message = self.pumps[n].status(self.start_us, now_us);
        self.emit(now_us, message);
    }

    fn building(
        &mut self,
        now_us: i64,
        event: Event,
        read: impl FnOnce(&mut Self, f64) -> Message,
    ) {
        self.agenda.add(now_us + seconds(self.ward.building_s), event);
        let hour = self.hour(now_us);
        let message = read(self, hour);
        self.emit(now_us, message);
    }
}

fn context<'a>(patient: &'a Patient, ward: &'a str, bed: &'a str) -> Context<'a> {
    Context {
        patient_id: Some(&patient.id),
        encounter_id: Some(&patient.encounter_id),
        ward: Some(ward),
        bed: Some(bed),
    }
}

impl Iterator for World {
    type Item = Planned;

    /// Endless, unless nobody is in the ward.
    fn next(&mut self) -> Option<Planned> {
        while self.ready.is_empty() {
            let (now_us, event) = self.agenda.pop()?;
            self.play(now_us, event);
        }
        self.ready.pop_front()
    }
}
