//! The stream `readings`: one JSON object, an array of them, or many values under one time.
//!
//! ```text
//! {"ts": RFC 3339 | ms since 1970, "metric": …, "value": number | text | null,
//!  "unit"?, "boot"?, "seq"?, "patient_id"?, "encounter_id"?, "ward"?, "bed"?}
//! [ such an object, … ]
//! {"ts": …, "values": {metric: value, …}, and the other members as above}
//! ```
//!
//! A payload is read by the fast scanner if it can, else by serde_json; both end in the same rows. One bad reading among
//! good ones leaves the good ones alone: the message then has rows and a dead letter. JSON that is not sound has no rows.

use serde_json::{Map, Value};

use super::json::{self, Given, as_double, wrong_type};
use super::members::{Members, Name, Shape, scan_member, scan_object};
use super::reject::{Code, Reject};
use super::scan::Scan;
use super::time::{self, DAY_US, YEAR_2000_US};
use crate::batch::flags::Flags;
use crate::batch::readings::{ABSENT, Context, Measured, Origin, READINGS_JSON, Readings};
use crate::batch::{Batch, Target};

pub(super) fn decode(batch: &mut Batch, origin: &Origin, text: &str) -> Result<(), Reject> {
    let start = batch.readings.mark();
    let mut rows = Rows { readings: &mut batch.readings, origin, next: 0, reject: None };
    let read = match rows.fast(text, &mut batch.shape) {
        Some(()) => Ok(()),
        None => {
            rows.readings.truncate(start);
            rows = Rows { readings: &mut batch.readings, origin, next: 0, reject: None };
            rows.careful(text)
        }
    };
    let result = match read {
        Ok(()) if rows.next <= MESSAGE_ROWS_MAX => rows.finish(),
        Ok(()) => {
            rows.readings.truncate(start);
            let reason = format!("more than {MESSAGE_ROWS_MAX} readings in one message");
            Err(Reject::new(Code::TooManyValues, reason))
        }
        // JSON that is not sound, which may show at its end only.
        Err(reject) => {
            rows.readings.truncate(start);
            Err(reject)
        }
    };
    for row in start.rows..batch.readings.len() {
        let event_us = batch.readings.event_us[row];
        batch.count_row(origin.source, Target::Readings, event_us);
    }
    result
}

/// Readings of one message, at most: a hundred seconds of a waveform at 1 kHz.
const MESSAGE_ROWS_MAX: i32 = 100_000;

/// The rows of one message.
struct Rows<'a> {
    readings: &'a mut Readings,
    origin: &'a Origin,
    next: i32,
    /// What is wrong with the first bad reading.
    reject: Option<Reject>,
}

impl Rows<'_> {
    fn finish(self) -> Result<(), Reject> {
        match self.reject {
            Some(reject) => Err(reject),
            None if self.next == 0 => {
                Err(Reject::new(Code::ValueMissing, "the message has no reading"))
            }
            None => Ok(()),
        }
    }

    fn note(&mut self, result: Result<(), Reject>) {
        if let Err(reject) = result {
            self.reject.get_or_insert(reject);
        }
    }

    /// `None`: not for the scanner. Rows that were added must be taken back then.
    fn fast(&mut self, text: &str, shape: &mut Shape) -> Option<()> {
        let mut scan = Scan::new(text);
        match scan.peek()? {
            b'{' => {
                let mut members = Members::default();
                let values = scan_object(&mut scan, &mut members, shape)?;
                if !scan.ends() {
                    return None;
                }
                self.fast_emit(&members, values)
            }
            b'[' => {
                scan.take(b'[');
                if !scan.take(b']') {
                    loop {
                        let mut members = Members::default();
                        let values = scan_object(&mut scan, &mut members, shape)?;
                        self.fast_emit(&members, values)?;
                        if !scan.take(b',') {
                            break;
                        }
                    }
                    if !scan.take(b']') {
                        return None;
                    }
                }
                scan.ends().then_some(())
            }
            _ => None,
        }
    }

    fn fast_emit(&mut self, members: &Members<'_>, values: Option<Scan<'_>>) -> Option<()> {
        let Some(mut values) = values else {
            let result = self.single(members);
            self.note(result);
            return Some(());
        };
        match self.context(members) {
            Ok(context) => {
                // `scan_object` went over these members: they are sound.
                while let Some((name, value)) = scan_member(&mut values) {
                    let result = self.one(&context, Given::Text(name), value, None);
                    self.note(result);
                    values.take(b',');
                }
            }
            Err(reject) => self.note(Err(reject)),
        }
        Some(())
    }

    fn careful(&mut self, text: &str) -> Result<(), Reject> {
        if Scan::new(text).peek() == Some(b'[') {
            return json::each(text, |element| {
                let result = match element {
                    Value::Object(object) => self.object(&object),
                    _ => Err(Reject::new(
                        Code::WrongType,
                        "an element of the array is not an object",
                    )),
                };
                self.note(result);
            });
        }
        let Value::Object(object) = json::parse(text)? else {
            return Err(Reject::new(
                Code::WrongType,
                "the payload is neither an object nor an array",
            ));
        };
        let result = self.object(&object);
        self.note(result);
        Ok(())
    }

    fn object(&mut self, object: &Map<String, Value>) -> Result<(), Reject> {
        let mut members = Members::default();
        for (name, value) in object {
            if let Some(name) = Name::of(name) {
                members.set(name, Given::of(Some(value)));
            }
        }
        let Some(values) = object.get("values").and_then(Value::as_object) else {
            return self.single(&members);
        };
        let context = self.context(&members)?;
        for (name, value) in values {
            let result = self.one(&context, Given::Text(name), Given::of(Some(value)), None);
            self.note(result);
        }
        Ok(())
    }

    /// An object with one metric and one value.
    fn single(&mut self, members: &Members<'_>) -> Result<(), Reject> {
        if members.get(Name::Values) != Given::Absent {
            return Err(wrong_type("values", "an object"));
        }
        let context = self.context(members)?;
        let unit = members.get(Name::Unit).optional_text("unit")?;
        self.one(&context, members.get(Name::Metric), members.get(Name::Value), unit)
    }

    fn one(
        &mut self,
        context: &Context,
        metric: Given<'_>,
        value: Given<'_>,
        unit: Option<&str>,
    ) -> Result<(), Reject> {
        let metric = match metric {
            Given::Text(metric) if !metric.is_empty() => metric,
            Given::Text(_) | Given::Absent | Given::Null => {
                return Err(Reject::new(Code::MetricMissing, "a reading has no `metric`"));
            }
            _ => return Err(wrong_type("metric", "a text")),
        };
        let measured = match value {
            Given::Int(int) => Measured::Number(as_double(int)),
            Given::Float(number) => Measured::Number(number),
            Given::Text(text) => Measured::Text(text),
            Given::Null => Measured::Absent,
            Given::Absent => {
                return Err(Reject::new(Code::ValueMissing, "a reading has no `value`"));
            }
            Given::Bool | Given::Nested => {
                return Err(wrong_type("value", "a number, a text or null"));
            }
        };
        self.readings.push(self.origin, context, self.next, metric, unit, measured)?;
        self.next += 1;
        Ok(())
    }

    fn context(&mut self, members: &Members<'_>) -> Result<Context, Reject> {
        if members.get(Name::Values) == Given::Nested
            && (members.get(Name::Metric), members.get(Name::Value))
                != (Given::Absent, Given::Absent)
        {
            return Err(wrong_type("values", "alone: `metric` and `value` are there too"));
        }
        let place = [
            members.get(Name::PatientId).optional_text("patient_id")?,
            members.get(Name::EncounterId).optional_text("encounter_id")?,
            members.get(Name::Ward).optional_text("ward")?,
            members.get(Name::Bed).optional_text("bed")?,
        ];
        let boot = members.get(Name::Boot).optional_int("boot")?.unwrap_or(ABSENT);
        let seq = members.get(Name::Seq).optional_int("seq")?.unwrap_or(ABSENT);
        let (event_us, device_us, flags) =
            event_time(members.get(Name::Ts), self.origin.received_us);
        let place = self.readings.place(place)?;
        Ok(Context { event_us, device_us, boot, seq, place, flags, protocol: READINGS_JSON })
    }
}

/// When it happened: what the device says, unless that can't be.
pub(super) fn event_time(ts: Given<'_>, received_us: i64) -> (i64, i64, Flags) {
    let device_us = match ts {
        Given::Text(text) => time::rfc3339(text),
        Given::Int(ms) => time::epoch_ms(as_double(ms)),
        Given::Float(ms) => time::epoch_ms(ms),
        _ => None,
    };
    match device_us {
        None => (received_us, ABSENT, Flags::TIME_UNPARSABLE),
        Some(us) if us < YEAR_2000_US || us > received_us.saturating_add(DAY_US) => {
            (received_us, us, Flags::TIME_ABSURD)
        }
        Some(us) => (us, us, Flags::default()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ORIGIN: Origin = Origin {
        source: 0,
        device: 0,
        offset: 7,
        received_us: 1_785_542_400_000_000,
        maybe_repeat: false,
        received_absurd: false,
    };

    /// The rows as texts, so that numbers of interned texts don't matter, and the first reject.
    fn rows(text: &str, fast: bool) -> Option<(Vec<String>, Option<Code>)> {
        let mut readings = Readings::default();
        let mut rows = Rows { readings: &mut readings, origin: &ORIGIN, next: 0, reject: None };
        if fast {
            rows.fast(text, &mut Shape::default())?;
        } else {
            rows.careful(text).ok()?;
        }
        let code = rows.finish().err().map(|reject| reject.code);
        let shown = (0..readings.len()).map(|row| {
            let place = readings.place_list.get(readings.place[row] as usize);
            let place = place.map(|parts| parts.map(|part| readings.people.text(part).to_owned()));
            let fields = [
                readings.event_us[row],
                readings.device_us[row],
                readings.boot[row],
                readings.seq[row],
            ];
            let texts = [
                readings.metrics.text(readings.metric[row]),
                readings.units.text(readings.unit[row]),
                readings.texts.text(readings.text[row]),
            ];
            let value = readings.value[row].to_bits();
            format!(
                "{fields:?} {texts:?} {place:?} {value:x} {:?} {}",
                readings.flags[row], readings.row_no[row]
            )
        });
        Some((shown.collect(), code))
    }

    fn scalar() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-2000_i64..2000).prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-500.0..500.0_f64).prop_map(|number| json!((number * 100.0).round() / 100.0)),
            any::<f64>().prop_map(|number| json!(number)),
            "[a-zé ]{0,8}".prop_map(Value::from),
            Just(json!("2026-07-31T10:00:00Z")),
            Just(json!(1_785_538_800_250_i64)),
        ]
    }

    fn object() -> impl Strategy<Value = Value> {
        let names = [
            "ts",
            "metric",
            "value",
            "unit",
            "boot",
            "seq",
            "patient_id",
            "encounter_id",
            "ward",
            "bed",
            "other",
        ];
        let member = (prop::sample::select(names.to_vec()), scalar());
        let metric = prop::sample::select(vec!["spo2", "steps", "mood"]);
        (prop::collection::vec(member, 0..8), metric, scalar()).prop_map(
            |(members, metric, value)| {
                let mut object = json!({"metric": metric, "value": value});
                for (name, value) in members {
                    object[name] = value;
                }
                object
            },
        )
    }

    proptest! {
        #[test]
        fn the_scanner_and_serde_json_end_in_the_same_rows(objects in prop::collection::vec(object(), 1..4), single: bool) {
            let text = if single { objects[0].to_string() } else { json!(objects).to_string() };
            if let Some(fast) = rows(&text, true) {
                prop_assert_eq!(Some(fast), rows(&text, false), "{}", text);
            }
        }

        #[test]
        fn the_scanner_accepts_nothing_that_is_not_json(object in object(), cut in 0.0..1.0_f64, junk in "[{}\\[\\],:\"a0 ]{0,3}") {
            let text = object.to_string();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
            let at = (text.len() as f64 * cut) as usize;
            let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            let broken = format!("{}{junk}{}", &text[..at], if junk.is_empty() { "" } else { &text[at..] });
            if rows(&broken, true).is_some() {
                prop_assert!(serde_json::from_str::<Value>(&broken).is_ok(), "{}", broken);
            }
        }

        #[test]
        fn many_values_under_one_time_end_in_the_same_rows(value in scalar(), other in scalar(), ts in scalar()) {
            let text = json!({"ts": ts, "values": {"heart_rate": value, "spo2": other}, "seq": 5}).to_string();
            if let Some(fast) = rows(&text, true) {
                prop_assert_eq!(Some(fast), rows(&text, false), "{}", text);
            }
        }
    }
}
