//! A bedside monitor: it samples its patient, and lies in the ways that monitors do.
//!
//! What "no value" looks like depends on the vendor; the four ways here were all seen in captures of real monitors.

use crate::device::{Context, Device, Form, Given, Sample};
use crate::message::Message;
use crate::seeded::Stream;
use crate::world::noise::rounded;
use crate::world::patient::Vitals;

/// What a vendor sends when a probe is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NoValue {
    Zero,
    Sentinel,
    Null,
    Omit,
}

/// A monitor beside a bed.
#[derive(Debug, Clone)]
pub(crate) struct Monitor {
    pub(crate) device: Device,
    stream: Stream,
    no_value: NoValue,
    /// A firmware that sometimes sends temperatures ten times too high (384.5 was seen).
    scaling_bug: bool,
    artefacts: bool,
    interval_s: f64,
    probe_off_until_us: i64,
    next_cuff_us: i64,
}

impl Monitor {
    pub(crate) fn new(device: Device, seed: u64, artefacts: bool, interval_s: f64) -> Self {
        let mut stream = Stream::new(seed, "monitor", &device.name.device_id, "sampling");
        let no_value =
            stream.pick(&[NoValue::Zero, NoValue::Sentinel, NoValue::Null, NoValue::Omit]);
        let scaling_bug = stream.chance(0.1);
        #[expect(clippy::cast_possible_truncation, reason = "fifteen minutes")]
        let next_cuff_us = stream.range(0.0, 900e6) as i64;
        Self {
            device,
            stream,
            no_value,
            scaling_bug,
            artefacts,
            interval_s,
            probe_off_until_us: 0,
            next_cuff_us,
        }
    }

    pub(crate) fn firmware(&self) -> &'static str {
        if self.scaling_bug { "2.0.1" } else { "2.1.0" }
    }

    /// One message with everything the monitor measures now.
    pub(crate) fn reading(
        &mut self,
        start_us: i64,
        due_us: i64,
        vitals: &Vitals,
        context: Context<'_>,
    ) -> Message {
        let stamp = self.device.stamp(start_us, due_us);
        let mut samples = Vec::with_capacity(10);
        let heart_rate = vitals.heart_rate + self.stream.normal(0.0, 0.5);
        push(&mut samples, "heart_rate", Given::Number(rounded(heart_rate, 1.0)));
        self.oximeter(due_us, vitals, heart_rate, &mut samples);
        let resp_rate = vitals.resp_rate + self.stream.normal(0.0, 0.8);
        push(&mut samples, "resp_rate", Given::Number(rounded(resp_rate.clamp(2.0, 80.0), 1.0)));
        let temperature = rounded(vitals.temperature + self.stream.normal(0.0, 0.02), 10.0);
        let too_high = self.artefacts && self.scaling_bug && self.stream.chance(0.02);
        let given = if too_high {
            Given::Suspect(rounded(temperature * 10.0, 1.0))
        } else {
            Given::Number(temperature)
        };
        push(&mut samples, "temp_body", given);
        push(
            &mut samples,
            "etco2",
            Given::Number(rounded(vitals.etco2 + self.stream.normal(0.0, 1.0).max(-4.0), 1.0)),
        );
        if due_us >= self.next_cuff_us {
            self.cuff(due_us, vitals, &mut samples);
        }
        self.device.readings(Form::Values, &stamp, context, &samples)
    }

    /// SpO2, pulse and perfusion fail together when the probe is off: four times a day, mostly for minutes.
    fn oximeter(
        &mut self,
        due_us: i64,
        vitals: &Vitals,
        heart_rate: f64,
        samples: &mut Vec<Sample<'static>>,
    ) {
        let falls_off = self.artefacts && self.stream.chance(4.0 * self.interval_s / 86_400.0);
        if falls_off {
            #[expect(clippy::cast_possible_truncation, reason = "at most three hours")]
            let off_us = (self.stream.log_normal(300.0, 1.0).min(10_800.0) * 1e6) as i64;
            self.probe_off_until_us = due_us + off_us;
        }
        // Drawn even when unused, so that a fallen probe does not shift later numbers.
        let (noise, perfusion) =
            (self.stream.normal(0.0, 0.4), vitals.perfusion + self.stream.normal(0.0, 0.1));
        if due_us < self.probe_off_until_us {
            let given = match self.no_value {
                NoValue::Zero => Given::Sentinel(0.0),
                NoValue::Sentinel => {
                    Given::Sentinel(self.stream.pick(&[-999.0, -100.0, -1.0, 8_388_607.0]))
                }
                NoValue::Null => Given::Null,
                NoValue::Omit => return,
            };
            push(samples, "spo2", given);
            push(samples, "pulse_rate", given);
            return;
        }
        push(
            samples,
            "spo2",
            Given::Number(rounded((vitals.spo2 + noise).clamp(30.0, 100.0), 1.0)),
        );
        push(samples, "pulse_rate", Given::Number(rounded(heart_rate + noise, 1.0)));
        push(
            samples,
            "perfusion_index",
            Given::Number(rounded(perfusion.clamp(0.05, 30.0), 100.0)),
        );
    }

    /// A cuff measurement: every 15 minutes, every five when the pressure is low; three in a hundred fail.
    fn cuff(&mut self, due_us: i64, vitals: &Vitals, samples: &mut Vec<Sample<'static>>) {
        let minutes = if vitals.systolic < 100.0 { 5 } else { 15 };
        self.next_cuff_us = due_us + minutes * 60_000_000;
        let error = self.stream.normal(0.0, 5.0);
        let fails = self.stream.chance(0.03);
        let pressures = [
            ("nibp_sys", vitals.systolic + error),
            ("nibp_dia", vitals.diastolic + 0.6 * error),
            ("nibp_map", vitals.mean_pressure + 0.7 * error),
        ];
        for (metric, pressure) in pressures {
            let measured = Given::Number(rounded(pressure.clamp(30.0, 200.0), 1.0));
            push(samples, metric, if fails && self.artefacts { Given::Null } else { measured });
        }
    }
}

fn push(samples: &mut Vec<Sample<'static>>, metric: &'static str, given: Given<'static>) {
    samples.push(Sample { metric, given });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Disorder;
    use crate::message::{DeviceName, Run};
    use crate::world::patient::Patient;
    use telemetry_core::catalog::{Verdict, judge, metric};

    /// The samples of many messages, with what the catalogue says about each number.
    fn judged(artefacts: bool) -> Vec<(String, Option<f64>, Option<Verdict>)> {
        let mut all = Vec::new();
        for n in 0..20 {
            let id = format!("monitor-{n}");
            let device =
                Device::new(0, DeviceName::new("s", &id), Run::of_boot(1), 1, &Disorder::default());
            let mut monitor = Monitor::new(device, 1, artefacts, 30.0);
            let mut patient = Patient::new(1, &id, 0, 2026, 0.5);
            for step in 0..400i64 {
                let vitals = patient.at(step * 30, 12.0);
                let message = monitor.reading(0, step * 30_000_000, &vitals, Context::default());
                let json: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
                for (name, value) in json["values"].as_object().unwrap() {
                    let number = value.as_f64();
                    all.push((
                        name.clone(),
                        number,
                        number.map(|v| judge(metric(name).unwrap(), Some(v), v)),
                    ));
                }
            }
        }
        all
    }

    #[test]
    fn a_well_behaved_monitor_sends_only_plausible_numbers() {
        for (name, value, verdict) in judged(false) {
            assert_eq!(verdict, Some(Verdict::Plausible), "{name} {value:?}");
        }
    }

    #[test]
    fn artefacts_bring_sentinels_nulls_and_impossible_values() {
        let all = judged(true);
        assert!(all.iter().any(|(_, _, verdict)| *verdict == Some(Verdict::Sentinel)));
        assert!(all.iter().any(|(_, _, verdict)| *verdict == Some(Verdict::OutOfRange)));
        assert!(all.iter().any(|(_, value, _)| value.is_none()));
        for (name, value, verdict) in all {
            let expected = match verdict {
                Some(Verdict::OutOfRange) => name == "temp_body",
                Some(Verdict::Sentinel) => name == "spo2" || name == "pulse_rate",
                Some(Verdict::Plausible | Verdict::NoRange) | None => true,
            };
            assert!(expected, "{name} {value:?} {verdict:?}");
        }
    }
}
