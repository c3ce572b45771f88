//! An infusion pump: it delivers what the EHR says it delivers.

use crate::device::{Context, Device, Form, Given, Sample};
use crate::message::Message;
use crate::seeded::Stream;
use crate::world::noise::rounded;

/// What runs through pumps: name, and the usual rate in mL/h.
const DRUGS: [(&str, f64); 5] = [
    ("norepinephrine", 5.0),
    ("fentanyl", 4.0),
    ("insulin", 2.0),
    ("heparin", 12.0),
    ("ringer lactate", 80.0),
];

/// A pump at a bed.
#[derive(Debug, Clone)]
pub(crate) struct Pump {
    pub(crate) device: Device,
    /// Index of the bed.
    pub(crate) bed: usize,
    pub(crate) drug: &'static str,
    usual_rate: f64,
    /// mL/h; 0 when it stands still.
    pub(crate) rate: f64,
    volume_ml: f64,
    battery: f64,
    now_us: i64,
    stream: Stream,
}

impl Pump {
    pub(crate) fn new(device: Device, seed: u64, bed: usize) -> Self {
        let mut stream = Stream::new(seed, "pump", &device.name.device_id, "infusion");
        let (drug, usual_rate) = stream.pick(&DRUGS);
        let battery = rounded(stream.range(60.0, 100.0), 10.0);
        Self {
            device,
            bed,
            drug,
            usual_rate,
            rate: 0.0,
            volume_ml: 0.0,
            battery,
            now_us: 0,
            stream,
        }
    }

    /// Sets a new rate; returns the wait until the next change, in seconds.
    pub(crate) fn change_rate(&mut self, due_us: i64) -> f64 {
        self.run_until(due_us);
        self.rate =
            rounded((self.usual_rate * self.stream.log_normal(1.0, 0.3)).clamp(0.1, 900.0), 10.0);
        self.stream.exponential(7_200.0).max(60.0)
    }

    /// The patient has left.
    pub(crate) fn halt(&mut self, due_us: i64) {
        self.run_until(due_us);
        self.rate = 0.0;
        self.volume_ml = 0.0;
    }

    fn run_until(&mut self, due_us: i64) {
        #[expect(clippy::cast_precision_loss, reason = "hours between two messages")]
        let hours = (due_us - self.now_us).max(0) as f64 / 3.6e9;
        self.volume_ml += self.rate * hours;
        self.now_us = due_us;
    }

    pub(crate) fn reading(&mut self, start_us: i64, due_us: i64, context: Context<'_>) -> Message {
        self.run_until(due_us);
        let stamp = self.device.stamp(start_us, due_us);
        let samples = [
            Sample { metric: "infusion_rate", given: Given::Number(self.rate) },
            Sample {
                metric: "infusion_volume",
                given: Given::Number(rounded(self.volume_ml.min(10_000.0), 100.0)),
            },
        ];
        self.device.readings(Form::Array, &stamp, context, &samples)
    }

    pub(crate) fn status(&mut self, start_us: i64, due_us: i64) -> Message {
        let stamp = self.device.stamp(start_us, due_us);
        // Mostly on mains power; the battery follows a slow random walk.
        self.battery =
            rounded((self.battery + self.stream.normal(0.1, 0.5)).clamp(5.0, 100.0), 10.0);
        let status = if self.rate > 0.0 { "infusing" } else { "idle" };
        self.device.status(&stamp, status, Some(self.battery), "4.2.0")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Disorder;
    use crate::message::{DeviceName, Run};

    #[test]
    fn the_volume_is_the_integral_of_the_rate() {
        let device = Device::new(
            0,
            DeviceName::new("s", "pump-1"),
            Run::of_boot(1),
            1,
            &Disorder::default(),
        );
        let mut pump = Pump::new(device, 1, 0);
        pump.change_rate(0);
        let (first, rate) = (pump.rate, pump.rate);
        pump.change_rate(3_600_000_000);
        pump.run_until(2 * 3_600_000_000);
        assert!((pump.volume_ml - (first + pump.rate)).abs() < 1e-9);
        assert!(rate > 0.0);
        pump.halt(3 * 3_600_000_000);
        assert!(pump.rate.abs() < 1e-12 && pump.volume_ml.abs() < 1e-12);
    }
}
