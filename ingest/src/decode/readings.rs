//! The stream `readings`: one JSON object, an array of them, or many values under one time.
//!
//! ```text
//! {"ts": RFC 3339 | ms since 1970, "metric": …, "value": number | text | null,
//!  "unit"?, "boot"?, "seq"?, "patient_id"?, "encounter_id"?, "ward"?, "bed"?}
//! [ such an object, … ]
//! {"ts": …, "values": {metric: value, …}, and the other members as above}
//! ```
//!
//! What has no column is kept in `extra`: of an object in its row, beside `values` in each of their rows. `timestamp` or `time` stand
//! for a `ts` that is not there.
//!
//! A payload is read by the fast scanner if it can, else by serde_json; both end in the same rows. One bad reading among
//! good ones leaves the good ones alone: the message then has rows and a dead letter. JSON that is not sound has no rows.

use lake::tables::readings::NAME;

use super::extra::{Extra, Room};
use super::json::{self, Given, as_double, wrong_type};
use super::members::{Members, Name, Shape, scan_member, scan_object};
use super::number::{self, Told};
use super::object::Object;
use super::plain_settings::Manner;
use super::read::Read;
use super::reject::{Code, Reject};
use super::scan::Scan;
use super::time;
use super::{Decoder, Message, Spec};
use crate::batch::flags::Flags;
use crate::batch::intern::NONE;
use crate::batch::judging::Measured;
use crate::batch::readings::{ABSENT, Context, Origin, READINGS_JSON, Readings};
use crate::batch::{Remembering, Rows};

pub(super) const SPEC: Spec = Spec {
    name: "readings",
    about: "JSON readings: one object with `metric` and `value`, an array of them, or an object with `values`",
    build: |settings, _| Ok(Box::new(Plain { manner: Manner::of(settings)? })),
};

#[derive(Debug)]
struct Plain {
    manner: Manner,
}

impl Decoder for Plain {
    fn decode(&self, message: &Message<'_>, rows: &mut Rows<'_>) -> Result<(), Reject> {
        let before = rows.readings().len();
        let result = decode(&message.text()?, &self.manner, rows);
        rows.count_readings(before);
        result
    }
}

fn decode(text: &str, manner: &Manner, into: &mut Rows<'_>) -> Result<(), Reject> {
    let origin = *into.origin();
    let (readings, shape, remembering) = into.parts();
    let start = readings.mark();
    let mut rows = Gathered::new(readings, (&origin, manner), remembering, text);
    let read = match rows.fast(text, shape) {
        Some(()) => Ok(()),
        None => {
            rows.readings.truncate(start);
            rows = Gathered::new(rows.readings, (&origin, manner), rows.remembering, text);
            rows.careful(text)
        }
    };
    match read {
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
    }
}

/// Readings of one message, at most: a hundred seconds of a waveform at 1 kHz.
const MESSAGE_ROWS_MAX: i32 = 100_000;

/// Whole numbers up to here are exact in a double.
const EXACT_MAX: u64 = 1 << 53;

/// The rows of one message.
struct Gathered<'a, 'b> {
    readings: &'a mut Readings,
    origin: &'a Origin,
    manner: &'a Manner,
    remembering: Remembering<'a, 'b>,
    next: i32,
    /// What is wrong with the first bad reading.
    reject: Option<Reject>,
    /// What stands beside `values` is there once for each value that brings something of its own.
    room: Room,
}

impl<'a, 'b> Gathered<'a, 'b> {
    fn new(
        readings: &'a mut Readings,
        (origin, manner): (&'a Origin, &'a Manner),
        remembering: Remembering<'a, 'b>,
        text: &str,
    ) -> Self {
        Self { readings, origin, manner, remembering, next: 0, reject: None, room: Room::of(text) }
    }

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
            return self.fast_note(result);
        };
        // A unit that many values share is no unit of a row.
        if !matches!(members.get(Name::Unit), Given::Absent | Given::Null) {
            return None;
        }
        let context = match self.context(members) {
            Ok(context) => context,
            Err(reject) => return self.fast_note(Err(reject)),
        };
        // `scan_object` went over these members: they are sound.
        while let Some((name, value)) = scan_member(&mut values) {
            let result = self.one(&context, Given::Text(name), value, None);
            self.fast_note(result)?;
            values.take(b',');
        }
        Some(())
    }

    /// What is not as it should be may be converted, or kept in `extra`, the careful way.
    fn fast_note(&mut self, result: Result<(), Reject>) -> Option<()> {
        if matches!(&result, Err(reject) if reject.code == Code::WrongType) {
            return None;
        }
        self.note(result);
        Some(())
    }

    fn careful(&mut self, text: &str) -> Result<(), Reject> {
        if Scan::new(text).peek() == Some(b'[') {
            return json::each(text, |element| {
                let result = object(element, "an element of the array is not an object")
                    .and_then(|object| self.object(object));
                self.note(result);
            });
        }
        let object = object(text, "the payload is neither an object nor an array")?;
        let result = self.object(object);
        self.note(result);
        Ok(())
    }

    fn object(&mut self, mut object: Object<'_>) -> Result<(), Reject> {
        let values = object.raw("values").filter(|values| values.starts_with('{'));
        let place = ["patient_id", "encounter_id", "ward", "bed"].map(|name| object.text(name));
        let [boot, seq] = ["boot", "seq"].map(|name| object.int(name).unwrap_or(ABSENT));
        let ((event_us, device_us, time), time_text) =
            object.time(&self.manner.clock, self.origin.received_us);
        let time_text = time_text.map_or(NONE, |text| self.readings.time_text(&text));
        // A unit that many values share is no unit of a row.
        let unit = match values {
            Some(_) if object.raw("unit") != Some("null") => None,
            _ => object.text("unit"),
        };
        let [metric, value, many] = ["metric", "value", "values"].map(|name| object.take(name));
        match values {
            Some(_) if metric.or(value).is_some() => return Err(together()),
            None if many.is_some() => return Err(wrong_type("values", "an object")),
            _ => {}
        }
        let place = self.readings.place(place.each_ref().map(Option::as_deref))?;
        let when = (event_us, device_us, time | object.flags);
        let (event_us, flags) = self.remembering.object((boot, seq), when);
        let extra = object.rest();
        let at = Context::at(READINGS_JSON, event_us, device_us);
        let context = Context { boot, seq, place, flags, time_text, ..at };
        let Some(values) = values else {
            let metric = metric.map(Read::of);
            let metric = metric.as_ref().map_or(Given::Absent, Read::given);
            return self.of_one(
                context,
                &extra,
                metric,
                value.unwrap_or_default(),
                unit.as_deref(),
            );
        };
        let mut many = Many {
            with: self.with_extra(context, &extra, None),
            context,
            extra,
            truths: [None; 2],
        };
        json::members(values, |name, raw| {
            let result = self.of_many(&mut many, &name, raw);
            self.note(result);
        })
    }

    /// The reading of an object with one value, which must be one.
    fn of_one(
        &mut self,
        context: Context,
        extra: &Extra<'_>,
        metric: Given<'_>,
        raw: &str,
        unit: Option<&str>,
    ) -> Result<(), Reject> {
        let value = Read::of(raw);
        if let Given::Bool(truth) = value.given() {
            let mut context = self.with_extra(context, extra, Some(raw));
            context.flags |= Flags::BOOLEAN;
            return self.one(&context, metric, as_number(truth), unit);
        }
        let context = self.with_extra(context, extra, None);
        self.as_it_came(&context, metric, (value.given(), raw), unit)
    }

    /// The reading of a member of `values`: one that is no number keeps its own value beside what they share.
    fn of_many(&mut self, many: &mut Many<'_>, name: &str, raw: &str) -> Result<(), Reject> {
        let value = Read::of(raw);
        let (value, flag) = match value.given() {
            Given::Bool(truth) => (as_number(truth), Flags::BOOLEAN),
            Given::Nested | Given::Beyond => (Given::Nested, Flags::VALUE_IN_EXTRA),
            plain => {
                return self.as_it_came(&many.with, Given::Text(name), (plain, raw), None);
            }
        };
        let same = many.truths.iter().flatten().find(|(truth, _)| *truth == value);
        let context = match same {
            Some((_, context)) => *context,
            None => {
                let mut context = self.with_extra(many.context, &many.extra, Some(raw));
                context.flags |= flag;
                if value != Given::Nested {
                    let place = usize::from(value == as_number(true));
                    many.truths[place] = Some((value, context));
                }
                context
            }
        };
        if value == Given::Nested {
            return self.push(&context, Given::Text(name), Measured::Elsewhere, None);
        }
        self.one(&context, Given::Text(name), value, None)
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
        let exact;
        let mut context = *context;
        let measured = match value {
            // The column can't hold it: the number is the nearest, its text is exact.
            Given::Int(int) if int.unsigned_abs() > EXACT_MAX => {
                context.flags |= Flags::INTEGER_BEYOND_DOUBLE;
                exact = int.to_string();
                Measured::Word(as_double(int), &exact)
            }
            Given::Int(int) => Measured::Number(as_double(int)),
            Given::Float(number) => Measured::Number(number),
            Given::Text(text) => match number::of_text(text, self.manner.comma) {
                Told::Number(number, flag) => {
                    context.flags |= flag;
                    Measured::Word(number, text)
                }
                Told::Bound(comparator, number) => Measured::Bound(comparator, number, Some(text)),
                Told::Nothing => Measured::Nothing(text),
                Told::Text => Measured::Text(text),
            },
            Given::Null => Measured::Absent,
            Given::Absent if metric == Given::Absent => {
                return Err(Reject::new(Code::MetricMissing, "a reading has no `metric`"));
            }
            Given::Absent => {
                return Err(Reject::new(Code::ValueMissing, "a reading has no `value`"));
            }
            Given::Beyond => {
                return Err(Reject::new(Code::NotFinite, "`value` is more than a double holds"));
            }
            Given::Bool(_) | Given::Nested => {
                return Err(wrong_type("value", "a number, a text, a truth value or null"));
            }
        };
        self.push(&context, metric, measured, unit)
    }

    /// A value as it came in JSON.
    fn as_it_came(
        &mut self,
        context: &Context,
        metric: Given<'_>,
        (value, raw): (Given<'_>, &str),
        unit: Option<&str>,
    ) -> Result<(), Reject> {
        match value {
            Given::Float(number) if !raw.contains(['.', 'e', 'E']) && raw != "-0" => {
                let mut context = *context;
                context.flags |= Flags::INTEGER_BEYOND_DOUBLE;
                self.push(&context, metric, Measured::Word(number, raw), unit)
            }
            _ => self.one(context, metric, value, unit),
        }
    }

    fn push(
        &mut self,
        context: &Context,
        metric: Given<'_>,
        measured: Measured<'_>,
        unit: Option<&str>,
    ) -> Result<(), Reject> {
        let metric = match metric {
            Given::Text(metric) if !metric.is_empty() => metric,
            Given::Text(_) | Given::Absent | Given::Null => {
                return Err(Reject::new(Code::MetricMissing, "a reading has no `metric`"));
            }
            _ => return Err(wrong_type("metric", "a text")),
        };
        let flags = context.flags | self.remembering.unit(metric, unit);
        let context = Context { flags, ..*context };
        self.readings.push(self.origin, &context, self.next, metric, unit, measured)?;
        self.next += 1;
        Ok(())
    }

    /// The context of an object that the scanner read: everything is as it should be, or refused as a wrong type.
    fn context(&mut self, members: &Members<'_>) -> Result<Context, Reject> {
        if members.get(Name::Values) == Given::Nested
            && (members.get(Name::Metric), members.get(Name::Value))
                != (Given::Absent, Given::Absent)
        {
            return Err(together());
        }
        let place = [
            members.get(Name::PatientId).optional_text("patient_id")?,
            members.get(Name::EncounterId).optional_text("encounter_id")?,
            members.get(Name::Ward).optional_text("ward")?,
            members.get(Name::Bed).optional_text("bed")?,
        ];
        let boot = members.get(Name::Boot).optional_int("boot")?.unwrap_or(ABSENT);
        let seq = members.get(Name::Seq).optional_int("seq")?.unwrap_or(ABSENT);
        let ts = members.time()?;
        let (event_us, device_us, flags) =
            time::event(&self.manner.clock, ts, self.origin.received_us);
        if flags.has(Flags::TIME_UNPARSABLE) {
            return Err(wrong_type("ts", "a time"));
        }
        let place = self.readings.place_of(self.origin.device, place)?;
        let (event_us, flags) = self.remembering.object((boot, seq), (event_us, device_us, flags));
        let at = Context::at(READINGS_JSON, event_us, device_us);
        let context = Context { boot, seq, place, flags, ..at };
        Ok(self.with_extra(context, &members.extra, None))
    }

    /// `context` with what has no column. If that is too long, the rows say so and the message becomes a dead letter too.
    fn with_extra(
        &mut self,
        mut context: Context,
        extra: &Extra<'_>,
        own: Option<&str>,
    ) -> Context {
        if extra.is_empty() && own.is_none() {
            return context;
        }
        match self.room.text(NAME, extra, own) {
            Ok(text) => context.extra = self.readings.extra(text.as_deref()),
            Err(reject) => {
                context.flags |= Flags::EXTRA_TOO_LONG;
                self.note(Err(reject));
            }
        }
        context
    }
}

/// What the values of one object share.
struct Many<'a> {
    /// Without `extra`.
    context: Context,
    /// With it.
    with: Context,
    extra: Extra<'a>,
    /// As `with`, of values that are 0 for false and 1 for true: there may be very many.
    truths: [Option<(Given<'static>, Context)>; 2],
}

fn as_number(truth: bool) -> Given<'static> {
    Given::Int(truth.into())
}

fn object<'a>(text: &'a str, other: &'static str) -> Result<Object<'a>, Reject> {
    Object::read(text).map_err(|reject| match reject.code {
        Code::WrongType => Reject::new(Code::WrongType, other),
        _ => reject,
    })
}

fn together() -> Reject {
    wrong_type("values", "alone: `metric` and `value` are there too")
}

#[cfg(test)]
mod tests;
