//! One sending device: its sequence numbers, its clock, and the two ways to write a message of its own.

mod clock;
mod more;
mod quality;

use std::sync::Arc;

use bytes::Bytes;
use telemetry_core::catalog;

use crate::canonical::write_scalar;
use crate::config::Disorder;
use crate::fingerprint::{EventTime, ReadingRow, StatusRow, Value, device_key};
use crate::message::{DeviceName, Expectation, Message, Run, StreamKind};

use clock::DeviceClock;
pub use clock::{Stamp, utc_stamp};
use more::More;
pub(crate) use quality::quality;

/// What a device says about a metric, and whether the simulator means it as a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Given<'a> {
    /// A plausible number.
    Number(f64),
    /// A number outside the metric's plausible range: it lands as it is, suspect.
    Suspect(f64),
    /// A number that stands for "no value": it lands as NULL, bad.
    Sentinel(f64),
    /// Words.
    Text(&'a str),
    /// JSON null: lands as NULL, bad.
    Null,
}

/// One metric of a message.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'a> {
    /// Name, as in the catalogue if it is there.
    pub metric: &'a str,
    /// What the device says.
    pub given: Given<'a>,
}

/// The three layouts of the `readings` stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `{"ts":…,"metric":…,"value":…}`, one sample.
    Single,
    /// `[{"ts":…,"metric":…,"value":…},…]`
    Array,
    /// `{"ts":…,"values":{metric: value,…}}`
    Values,
}

/// Whom the device is attached to.
#[derive(Debug, Clone, Copy, Default)]
#[expect(missing_docs, reason = "the fields are the table's columns")]
pub struct Context<'a> {
    pub patient_id: Option<&'a str>,
    pub encounter_id: Option<&'a str>,
    pub ward: Option<&'a str>,
    pub bed: Option<&'a str>,
}

/// A device that publishes.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its number in the simulation.
    pub number: u32,
    /// Its name.
    pub name: DeviceName,
    run: Run,
    seq: i64,
    readings: Arc<str>,
    status: Arc<str>,
    clock: DeviceClock,
    more: More,
}

impl Device {
    /// A device whose clock behaves as `disorder` allows.
    #[must_use]
    pub fn new(number: u32, name: DeviceName, run: Run, seed: u64, disorder: &Disorder) -> Self {
        let clock = DeviceClock::new(seed, &name, disorder);
        let more = More::new(seed, &name, disorder);
        let (readings, status) = (name.topic("readings"), name.topic("status"));
        Self { number, name, run, seq: 0, readings, status, clock, more }
    }

    /// The next sequence number; the first is 1.
    pub fn next_seq(&mut self) -> i64 {
        self.seq += 1;
        self.seq
    }

    /// The time as this device tells it.
    pub fn stamp(&mut self, start_us: i64, due_us: i64) -> Stamp {
        let stamp = self.clock.stamp(start_us, due_us);
        Stamp { event: self.believed(stamp.event), ..stamp }
    }

    /// The boot that its messages carry.
    #[must_use]
    pub fn boot(&self) -> i64 {
        self.run.boot
    }

    /// The event time that a row gets: the pipeline does not believe times of the far future.
    #[must_use]
    pub fn believed(&self, event: EventTime) -> EventTime {
        match event {
            EventTime::At(us) if us > self.run.horizon_us => EventTime::Received,
            other => other,
        }
    }

    /// Writes a message of the `readings` stream. [`Form::Single`] takes the first sample only.
    pub fn readings(
        &mut self,
        form: Form,
        stamp: &Stamp,
        context: Context<'_>,
        samples: &[Sample<'_>],
    ) -> Message {
        let samples = if form == Form::Single { &samples[..samples.len().min(1)] } else { samples };
        let seq = self.next_seq();
        let more = self.more.members();
        let extra = extra(more.as_deref());
        let mut expect = Expectation::default();
        for sample in samples {
            let row = self.row(seq, stamp.event, context, sample);
            let time_text = stamp.unread.as_deref();
            expect.reading(&ReadingRow { extra: extra.as_deref(), time_text, ..row });
        }
        let head = self.head(stamp, seq, context, more.as_deref());
        let mut json = Vec::with_capacity(128 + 32 * samples.len());
        match form {
            Form::Single => {
                for sample in samples {
                    write_single(&mut json, &head, sample);
                }
            }
            Form::Array => {
                json.push(b'[');
                for (i, sample) in samples.iter().enumerate() {
                    if i > 0 {
                        json.push(b',');
                    }
                    write_single(&mut json, &head, sample);
                }
                json.push(b']');
            }
            Form::Values => write_values(&mut json, &head, samples),
        }
        self.message(StreamKind::Readings, self.readings.clone(), json, seq, expect)
    }

    /// Writes a message of the `status` stream.
    pub fn status(
        &mut self,
        stamp: &Stamp,
        status: &str,
        battery: Option<f64>,
        firmware: &str,
    ) -> Message {
        let seq = self.next_seq();
        let more = self.more.members();
        let extra = extra(more.as_deref());
        let mut expect = Expectation::default();
        expect.status(&StatusRow {
            site: &self.name.site,
            device_id: &self.name.device_id,
            event: stamp.event,
            status: Some(status),
            battery,
            firmware: Some(firmware),
            boot_id: Some(self.run.boot),
            seq: Some(seq),
            extra: extra.as_deref(),
            time_text: stamp.unread.as_deref(),
        });
        let mut json = self.head(stamp, seq, Context::default(), more.as_deref());
        text_member(&mut json, "status", Some(status));
        if let Some(battery) = battery {
            json.extend_from_slice(format!(",\"battery\":{battery}").as_bytes());
        }
        text_member(&mut json, "firmware", Some(firmware));
        json.extend_from_slice(b",\"detail\":{\"uptime_s\":");
        json.extend_from_slice(seq.to_string().as_bytes());
        json.extend_from_slice(b"}}");
        self.message(StreamKind::Status, self.status.clone(), json, seq, expect)
    }

    fn message(
        &self,
        stream: StreamKind,
        topic: Arc<str>,
        json: Vec<u8>,
        seq: i64,
        expect: Expectation,
    ) -> Message {
        let key = device_key(&self.name.site, &self.name.device_id, self.run.boot, seq);
        Message {
            device: self.number,
            stream,
            topic,
            payload: Bytes::from(json),
            boot: self.run.boot,
            seq,
            key,
            expect,
            file: None,
        }
    }

    fn row<'a>(
        &'a self,
        seq: i64,
        event: EventTime,
        context: Context<'a>,
        sample: &Sample<'a>,
    ) -> ReadingRow<'a> {
        let value = match sample.given {
            Given::Number(number) | Given::Suspect(number) => Value::Number(number),
            Given::Sentinel(number) => Value::Written(number),
            Given::Null => Value::Null,
            Given::Text(text) => Value::Text(text),
        };
        ReadingRow {
            site: &self.name.site,
            device_id: &self.name.device_id,
            metric: sample.metric,
            event,
            value,
            unit: catalog::metric(sample.metric).and_then(|metric| metric.unit),
            quality: quality(sample.metric, sample.given, event),
            patient_id: context.patient_id,
            boot_id: Some(self.run.boot),
            seq: Some(seq),
            extra: None,
            time_text: None,
        }
    }

    /// `{"ts":…,"boot":…,"seq":…`, the context, and what no column is for; the object stays open.
    fn head(&self, stamp: &Stamp, seq: i64, context: Context<'_>, more: Option<&str>) -> Vec<u8> {
        let mut json = format!("{{\"ts\":{},\"boot\":{},\"seq\":{seq}", stamp.json, self.run.boot)
            .into_bytes();
        text_member(&mut json, "patient_id", context.patient_id);
        text_member(&mut json, "encounter_id", context.encounter_id);
        text_member(&mut json, "ward", context.ward);
        text_member(&mut json, "bed", context.bed);
        if let Some(members) = more {
            json.push(b',');
            json.extend_from_slice(members.as_bytes());
        }
        json
    }
}

/// What no column is for, in the order in which it is written.
fn extra(more: Option<&str>) -> Option<String> {
    more.map(|members| format!("{{{members}}}"))
}

fn write_single(json: &mut Vec<u8>, head: &[u8], sample: &Sample<'_>) {
    json.extend_from_slice(head);
    text_member(json, "metric", Some(sample.metric));
    json.extend_from_slice(b",\"value\":");
    write_given(json, sample.given);
    json.push(b'}');
}

fn write_values(json: &mut Vec<u8>, head: &[u8], samples: &[Sample<'_>]) {
    json.extend_from_slice(head);
    json.extend_from_slice(b",\"values\":{");
    for (i, sample) in samples.iter().enumerate() {
        if i > 0 {
            json.push(b',');
        }
        write_scalar(sample.metric, json);
        json.push(b':');
        write_given(json, sample.given);
    }
    json.extend_from_slice(b"}}");
}

fn text_member(json: &mut Vec<u8>, name: &str, text: Option<&str>) {
    let Some(text) = text else { return };
    json.extend_from_slice(format!(",\"{name}\":").as_bytes());
    write_scalar(text, json);
}

fn write_given(json: &mut Vec<u8>, given: Given<'_>) {
    match given {
        // Display writes the shortest text that reads back to the same bits, without an exponent.
        Given::Number(number) | Given::Suspect(number) | Given::Sentinel(number) => {
            json.extend_from_slice(number.to_string().as_bytes());
        }
        Given::Text(text) => write_scalar(text, json),
        Given::Null => json.extend_from_slice(b"null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        Device::new(0, DeviceName::new("s", "m-1"), Run::of_boot(3), 1, &Disorder::default())
    }

    fn text(message: &Message) -> &str {
        std::str::from_utf8(&message.payload).unwrap()
    }

    #[test]
    fn the_three_forms_of_readings() {
        let mut device = device();
        let stamp = utc_stamp(1_767_225_600_123_456);
        let context = Context { patient_id: Some("p-1"), ward: Some("w"), ..Context::default() };
        let samples = [
            Sample { metric: "heart_rate", given: Given::Number(72.0) },
            Sample { metric: "spo2", given: Given::Sentinel(0.0) },
        ];
        let head = |seq| {
            format!(
                r#"{{"ts":"2026-01-01T00:00:00.123Z","boot":3,"seq":{seq},"patient_id":"p-1","ward":"w","#
            )
        };
        let single = device.readings(Form::Single, &stamp, context, &samples);
        assert_eq!(text(&single), format!(r#"{}"metric":"heart_rate","value":72}}"#, head(1)));
        assert_eq!(single.expect.rows, 1);
        let array = device.readings(Form::Array, &stamp, context, &samples);
        assert_eq!(
            text(&array),
            format!(
                r#"[{}"metric":"heart_rate","value":72}},{}"metric":"spo2","value":0}}]"#,
                head(2),
                head(2)
            )
        );
        let values = device.readings(Form::Values, &stamp, context, &samples);
        assert_eq!(text(&values), format!(r#"{}"values":{{"heart_rate":72,"spo2":0}}}}"#, head(3)));
        assert_eq!(values.expect.rows, 2);
        assert_eq!(&*values.topic, "dt/s/m-1/readings");
        assert_ne!(values.key, array.key);
    }

    #[test]
    fn a_sentinel_must_be_no_value_and_is_kept_as_a_text() {
        let mut device = device();
        let stamp = utc_stamp(0);
        let sample = |given| [Sample { metric: "spo2", given }];
        let given = sample(Given::Sentinel(0.0));
        let sentinel = device.row(1, stamp.event, Context::default(), &given[0]);
        assert_eq!(
            (sentinel.value, sentinel.quality, sentinel.unit),
            (Value::Written(0.0), "bad", Some("%"))
        );
        let mut expect = Expectation::default();
        expect.reading(&ReadingRow { value: Value::Text("0"), ..sentinel });
        let message = device.readings(
            Form::Single,
            &stamp,
            Context::default(),
            &sample(Given::Sentinel(0.0)),
        );
        assert_eq!(message.expect, expect);
    }

    #[test]
    fn a_status_message_has_its_battery_and_firmware() {
        let mut device = device();
        let message = device.status(&utc_stamp(0), "online", Some(99.5), "1.0");
        assert_eq!(
            text(&message),
            r#"{"ts":"1970-01-01T00:00:00.000Z","boot":3,"seq":1,"status":"online","battery":99.5,"firmware":"1.0","detail":{"uptime_s":1}}"#
        );
        assert_eq!(&*message.topic, "dt/s/m-1/status");
    }
}
