//! A message in the making: what it says, written down part by part, and beside each part what must become of it.

use std::sync::Arc;

use bytes::Bytes;

use crate::canonical::write_scalar;
use crate::device::{Given, quality};
use crate::fingerprint::{EventTime, ReadingRow, StatusRow, Value, said_key, status_key};
use crate::message::{DeviceName, Expectation, Message, StreamKind};

/// A value as a device writes it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// A number.
    Number(f64),
    /// A number whose digits are given.
    Digits(String),
    /// A whole number that no double holds exactly: the row has the nearest, and the digits as text.
    Long(&'static str),
    /// A text that is a number, or is a word for one: the row has both.
    Word(String, f64),
    /// Any other text.
    Text(String),
    /// True or false: the row has 1 or 0.
    Truth(bool),
    /// JSON null.
    Null,
}

impl Said {
    /// JSON.
    fn json(&self) -> String {
        let text = |text: &str| {
            let mut json = Vec::new();
            write_scalar(text, &mut json);
            String::from_utf8(json).unwrap_or_default()
        };
        match self {
            Self::Number(number) => number.to_string(),
            Self::Digits(digits) => digits.clone(),
            Self::Long(digits) => (*digits).to_owned(),
            Self::Word(said, _) | Self::Text(said) => text(said),
            Self::Truth(truth) => truth.to_string(),
            Self::Null => "null".to_owned(),
        }
    }

    /// What the row has.
    fn value(&self) -> Value<'_> {
        match self {
            Self::Number(number) => Value::Number(*number),
            Self::Digits(digits) => Value::Number(number(digits)),
            Self::Long(digits) => Value::Word(number(digits), digits),
            Self::Word(text, number) => Value::Word(*number, text),
            Self::Text(text) => Value::Text(text),
            Self::Truth(truth) => Value::Number(f64::from(u8::from(*truth))),
            Self::Null => Value::Null,
        }
    }

    fn given(&self) -> Given<'_> {
        match self.value() {
            Value::Number(number) | Value::Word(number, _) | Value::Written(number) => {
                Given::Number(number)
            }
            Value::Text(text) => Given::Text(text),
            Value::Null => Given::Null,
        }
    }
}

fn number(digits: &str) -> f64 {
    digits.parse().unwrap_or(f64::NAN)
}

/// A reading that must become a row.
#[derive(Debug, Clone)]
struct Leaf {
    metric: String,
    said: Said,
    unit: Option<&'static str>,
    time: Time,
}

/// When a reading happened, as the device says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Time {
    /// It does not say so.
    Untold,
    /// Microseconds since 1970, which may be more than can be believed.
    Told(EventTime),
}

impl Time {
    fn event(self) -> EventTime {
        match self {
            Self::Untold => EventTime::Received,
            Self::Told(event) => event,
        }
    }

    /// What speaks against a value for its time: a device without a clock says nothing wrong.
    fn judged(self) -> EventTime {
        match self {
            Self::Untold => EventTime::At(0),
            Self::Told(event) => event,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Telling {
    text: String,
    time: Time,
    leaves: Vec<Leaf>,
    /// Members that the column `extra` of every row has.
    shared: String,
    /// Those that only the first row has: the units, what stands beside the readings, what is around them.
    kept: [String; 3],
}

/// Which part of the first row's `extra` something is in.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Unit = 0,
    Beside = 1,
    Around = 2,
}

impl Telling {
    /// Nothing yet, and no time.
    pub(super) fn new() -> Self {
        Self {
            text: String::new(),
            time: Time::Untold,
            leaves: Vec::new(),
            shared: String::new(),
            kept: Default::default(),
        }
    }

    /// From here on readings happened then.
    pub(super) fn at(&mut self, event: EventTime) {
        self.time = Time::Told(event);
    }

    /// A payload that is nothing but a value, written as `text`.
    pub(super) fn bare(
        &mut self,
        text: &str,
        metric: &str,
        said: Said,
        unit: Option<&'static str>,
    ) {
        text.clone_into(&mut self.text);
        self.leaf(metric.to_owned(), said, unit);
    }

    /// Text that says nothing of its own: braces and brackets.
    pub(super) fn mark(&mut self, mark: &str) {
        if mark.starts_with(['{', '[']) {
            self.separate();
        }
        self.text.push_str(mark);
    }

    /// The name of a member whose value follows.
    pub(super) fn name(&mut self, name: &str) {
        self.separate();
        write_name(&mut self.text, name);
    }

    /// A member that is an object.
    pub(super) fn object(&mut self, name: &str, tell: impl FnOnce(&mut Self)) {
        self.name(name);
        self.text.push('{');
        tell(self);
        self.text.push('}');
    }

    /// A member that is a reading.
    pub(super) fn reading(
        &mut self,
        name: &str,
        said: Said,
        metric: &str,
        unit: Option<&'static str>,
    ) {
        self.name(name);
        self.text.push_str(&said.json());
        self.leaf(metric.to_owned(), said, unit);
    }

    /// A member that is a reading whose row has another number than was written, in another unit.
    pub(super) fn converted(
        &mut self,
        name: &str,
        json: &str,
        said: Said,
        metric: &str,
        unit: Option<&'static str>,
    ) {
        self.silent(name, json);
        self.leaf(metric.to_owned(), said, unit);
    }

    /// An element of an array that is a reading.
    pub(super) fn element(&mut self, said: Said, metric: &str, unit: Option<&'static str>) {
        self.separate();
        self.text.push_str(&said.json());
        self.leaf(metric.to_owned(), said, unit);
    }

    /// A member that only says when the readings happened, or that is kept elsewhere.
    pub(super) fn silent(&mut self, name: &str, json: &str) {
        self.name(name);
        self.text.push_str(json);
    }

    /// A member that qualifies every reading; they are kept in the order in which the rule of the profile names them.
    pub(super) fn shared(&mut self, name: &str, json: &str) {
        self.silent(name, json);
        self.share(name, json);
    }

    /// Something that qualifies every reading, and is written elsewhere.
    pub(super) fn share(&mut self, name: &str, json: &str) {
        push_member(&mut self.shared, name, json);
    }

    /// A member that is no reading: the first row keeps it as `path`.
    pub(super) fn aside(&mut self, part: Part, name: &str, path: &str, json: &str) {
        self.silent(name, json);
        push_member(&mut self.kept[part as usize], path, json);
    }

    fn leaf(&mut self, metric: String, said: Said, unit: Option<&'static str>) {
        self.leaves.push(Leaf { metric, said, unit, time: self.time });
    }

    fn separate(&mut self) {
        if !(self.text.is_empty() || self.text.ends_with(['{', '[', ':'])) {
            self.text.push(',');
        }
    }

    /// The message, and the rows that it must become.
    pub(super) fn message(self, from: Sender<'_>, topic: &str) -> Message {
        let DeviceName { site, device_id } = from.name;
        let object = |members: String| (!members.is_empty()).then(|| format!("{{{members}}}"));
        let mut first = self.shared.clone();
        for part in self.kept.iter().filter(|part| !part.is_empty()) {
            first.extend([if first.is_empty() { "" } else { "," }, part]);
        }
        let (first, shared) = (object(first), object(self.shared));
        let mut expect = Expectation::default();
        for (place, leaf) in self.leaves.iter().enumerate() {
            let extra = if place == 0 { &first } else { &shared };
            expect.reading(&ReadingRow {
                site,
                device_id,
                metric: &leaf.metric,
                event: leaf.time.event(),
                value: leaf.said.value(),
                unit: leaf.unit,
                quality: quality(&leaf.metric, leaf.said.given(), leaf.time.judged()),
                patient_id: None,
                boot_id: None,
                seq: None,
                extra: extra.as_deref(),
                time_text: None,
            });
        }
        let key = self
            .leaves
            .first()
            .map(|leaf| said_key(site, device_id, &leaf.metric, leaf.said.value()));
        from.message(topic, self.text.into_bytes(), key.unwrap_or_default(), expect)
    }
}

/// Who sends a message, and its place among theirs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) number: u32,
    pub(super) name: &'a DeviceName,
    pub(super) boot: i64,
    pub(super) seq: i64,
}

impl Sender<'_> {
    /// A birth: the device says that it is there.
    pub(super) fn birth(self, topic: &str, payload: &str) -> Message {
        let DeviceName { site, device_id } = self.name;
        let mut expect = Expectation::default();
        expect.status(&StatusRow {
            site,
            device_id,
            event: EventTime::Received,
            status: Some("online"),
            battery: None,
            firmware: None,
            boot_id: None,
            seq: None,
            extra: None,
            time_text: None,
        });
        let key = status_key(site, device_id, "online");
        self.message(topic, payload.as_bytes().to_vec(), key, expect)
    }

    fn message(
        self,
        topic: &str,
        payload: Vec<u8>,
        key: crate::fingerprint::MessageKey,
        expect: Expectation,
    ) -> Message {
        let Self { number, boot, seq, .. } = self;
        let (topic, payload): (Arc<str>, _) = (topic.into(), Bytes::from(payload));
        let stream = StreamKind::Values;
        Message { device: number, stream, topic, payload, boot, seq, key, expect, file: None }
    }
}

fn write_name(text: &mut String, name: &str) {
    text.extend(["\"", name, "\":"]);
}

fn push_member(members: &mut String, name: &str, json: &str) {
    if !members.is_empty() {
        members.push(',');
    }
    write_name(members, name);
    members.push_str(json);
}
