//! The building: vaccine fridges and room sensors.

use crate::device::{Context, Device, Form, Given, Sample};
use crate::message::Message;
use crate::seeded::Stream;
use crate::world::noise::{Slow, daily, rounded};

/// A two-node model of a fridge: air, and a probe in glycol. The compressor runs from above 6 °C to below 4 °C; doors
/// open about four times an hour by day. A buffered probe then stays within 2 to 8 °C although the air does not.
#[derive(Debug, Clone)]
pub(crate) struct Fridge {
    pub(crate) device: Device,
    stream: Stream,
    air: f64,
    probe: f64,
    cooling: bool,
    door_open_s: i64,
    now_s: i64,
    /// When it has no power, seconds.
    fails: Option<(i64, i64)>,
}

impl Fridge {
    /// `failing`: the chance that it fails once, 2 to 20 hours from the start, for 3 to 6 hours.
    pub(crate) fn new(device: Device, seed: u64, failing: f64) -> Self {
        let mut draw = Stream::new(seed, "fridge", &device.name.device_id, "failure");
        let fails = draw.chance(failing).then(|| {
            #[expect(clippy::cast_possible_truncation, reason = "a day, in seconds")]
            let mut hours = |low, high| (draw.range(low, high) * 3_600.0) as i64;
            let from_s = hours(2.0, 20.0);
            (from_s, from_s + hours(3.0, 6.0))
        });
        let mut stream = Stream::new(seed, "fridge", &device.name.device_id, "physics");
        let air = stream.range(4.2, 5.8);
        Self {
            device,
            air,
            probe: air + stream.normal(0.0, 0.1),
            stream,
            cooling: false,
            door_open_s: 0,
            now_s: 0,
            fails,
        }
    }

    /// When it has no power, microseconds of simulated time.
    pub(crate) fn fails(&self) -> Option<(i64, i64)> {
        self.fails.map(|(from_s, until_s)| (from_s * 1_000_000, until_s * 1_000_000))
    }

    fn run_until(&mut self, now_s: i64, hour: f64) {
        // Explicit Euler steps of five seconds: the fastest time constant is 240 s.
        const STEP_S: i64 = 5;
        const STEP: f64 = 5.0;
        let opens = if (7.0..20.0).contains(&hour) { 4.0 } else { 0.4 } * STEP / 3600.0;
        while self.now_s + STEP_S <= now_s {
            if self.door_open_s > 0 {
                self.door_open_s -= STEP_S;
            } else if self.stream.chance(opens) {
                #[expect(clippy::cast_possible_truncation, reason = "seconds of an open door")]
                let open_s = self.stream.exponential(25.0).min(600.0) as i64;
                self.door_open_s = open_s;
            }
            let power = self.fails.is_none_or(|(from, until)| !(from..until).contains(&self.now_s));
            self.cooling = power && if self.cooling { self.air > 4.0 } else { self.air > 6.0 };
            let leak = (22.0 - self.air) / 21_600.0;
            let cold = if self.cooling { (self.air + 12.0) / 3_960.0 } else { 0.0 };
            let door = if self.door_open_s > 0 { (22.0 - self.air) / 240.0 } else { 0.0 };
            let air = leak - cold + door + (self.probe - self.air) / 1_800.0;
            self.probe += STEP * (self.air - self.probe) / 900.0;
            self.air += STEP * air;
            self.now_s += STEP_S;
        }
    }

    pub(crate) fn reading(&mut self, start_us: i64, due_us: i64, hour: f64) -> Message {
        self.run_until(due_us / 1_000_000, hour);
        let stamp = self.device.stamp(start_us, due_us);
        let value = rounded(self.probe + self.stream.normal(0.0, 0.02), 100.0);
        let sample = Sample { metric: "fridge_temp", given: Given::Number(value) };
        self.device.readings(Form::Single, &stamp, Context::default(), &[sample])
    }
}

/// A room: temperature, humidity, carbon dioxide by occupancy, and the door.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    pub(crate) device: Device,
    ward: &'static str,
    stream: Stream,
    drift: [Slow; 3],
    co2: f64,
    now_s: i64,
}

impl Room {
    pub(crate) fn new(device: Device, seed: u64, ward: &'static str) -> Self {
        let mut stream = Stream::new(seed, "room", &device.name.device_id, "physics");
        let drift = [60.0, 90.0, 30.0].map(|tau_min| Slow::new(&mut stream, 1.0, tau_min));
        Self { device, ward, stream, drift, co2: 520.0, now_s: 0 }
    }

    fn run_until(&mut self, now_s: i64, hour: f64) {
        let people = if (7.0..21.0).contains(&hour) { 2.5 } else { 1.0 };
        while self.now_s < now_s {
            for drift in &mut self.drift {
                drift.step(&mut self.stream);
            }
            // 40 m³, three air changes an hour, 0.3 L/min of CO2 a person.
            let exchange = (420.0 - self.co2) * 3.0 / 3600.0;
            let breath = people * 0.3 / 60.0 / 40_000.0 * 1e6;
            self.co2 += exchange + breath * (1.0 + 0.3 * self.drift[2].now());
            self.now_s += 1;
        }
    }

    pub(crate) fn reading(&mut self, start_us: i64, due_us: i64, hour: f64) -> Message {
        self.run_until(due_us / 1_000_000, hour);
        let stamp = self.device.stamp(start_us, due_us);
        let temperature = 22.0 + 0.8 * daily(hour, 16.0) + 0.5 * self.drift[0].now();
        let humidity = 45.0 + 5.0 * self.drift[1].now();
        let door = if self.stream.chance(0.1) { "open" } else { "closed" };
        let samples = [
            Sample { metric: "room_temp", given: Given::Number(rounded(temperature, 100.0)) },
            Sample {
                metric: "room_humidity",
                given: Given::Number(rounded(humidity.clamp(5.0, 95.0), 10.0)),
            },
            Sample {
                metric: "room_co2",
                given: Given::Number(rounded(self.co2.clamp(350.0, 5_000.0), 1.0)),
            },
            Sample { metric: "door_open", given: Given::Text(door) },
        ];
        let context = Context { ward: Some(self.ward), ..Context::default() };
        self.device.readings(Form::Array, &stamp, context, &samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Disorder;
    use crate::message::{DeviceName, Run};

    fn device(id: &str) -> Device {
        Device::new(0, DeviceName::new("s", id), Run::of_boot(1), 1, &Disorder::default())
    }

    #[test]
    fn a_healthy_fridge_keeps_its_probe_between_two_and_eight_degrees() {
        let mut fridge = Fridge::new(device("fridge-1"), 1, 0.0);
        let (mut low, mut high) = (f64::MAX, f64::MIN);
        for minute in 0..1440 {
            let hour = f64::from(minute) / 60.0;
            fridge.run_until(i64::from(minute) * 60, hour);
            low = low.min(fridge.probe);
            high = high.max(fridge.probe);
        }
        assert!(low > 2.0 && high < 8.0, "{low} {high}");
        assert!(high - low > 0.3, "the compressor cycles: {low} {high}");
    }

    #[test]
    fn a_fridge_without_power_gets_warm_and_recovers() {
        let mut fridge = Fridge::new(device("fridge-1"), 1, 1.0);
        let (from_us, until_us) = fridge.fails().unwrap();
        fridge.run_until(from_us / 1_000_000, 12.0);
        assert!(fridge.probe < 8.0, "{}", fridge.probe);
        fridge.run_until(until_us / 1_000_000, 12.0);
        assert!(fridge.probe > 8.0, "{}", fridge.probe);
        fridge.run_until(until_us / 1_000_000 + 7_200, 12.0);
        assert!(fridge.probe < 8.0, "{}", fridge.probe);
    }

    #[test]
    fn a_room_gets_stale_when_people_are_in_it() {
        let mut room = Room::new(device("room-1"), 1, "ward-a");
        room.run_until(6 * 3600, 12.0);
        let day = room.co2;
        room.run_until(12 * 3600, 2.0);
        assert!(day > room.co2 + 50.0, "{day} {}", room.co2);
        assert!((400.0..2_000.0).contains(&day), "{day}");
    }
}
