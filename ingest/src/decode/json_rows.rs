//! The decoder `json`: rows of a declared table, column by column from where the rule says.
//!
//! ```text
//! settings.table    the table
//! settings.rows     pointer to an array: each element is a row; none: the message is one
//! settings.columns  column → where it is: a JSON pointer (in the element, else in the message), levels of the topic as {1},
//!                   {received}, or a constant; a column that is not named is at the pointer /{column}
//! settings.time     where event_ts is, and how it is written; as of the decoder `values`
//! ```

mod cells;

use std::collections::BTreeMap;

use lake::table::{EXTRA_BYTES_MAX, IDENTITY, PARTITION};
use serde::Deserialize;

use super::extra::Extra;
use super::json;
use super::object::Object;
use super::place::{Around, Whence};
use super::reject::{Code, Reject};
use super::sound::Pointer;
use super::time::{DAY_US, YEAR_2000_US};
use super::unpack::{Encoding, unpack};
use super::values::{Clock, Time as TimeSetting, When};
use super::{Decoder, Message, Settings, Spec};
use crate::batch::flags::Flags;
use crate::batch::{Column, Handle, Layout, Row, Rows, Text, Time};
use crate::mistake::Mistake;
use cells::{Field, Source};

pub(super) const SPEC: Spec = Spec {
    name: "json",
    about: "rows of a declared table: columns from JSON pointers, topic levels, constants or the time of receipt",
    build: |settings, layout| Ok(Box::new(JsonRows::new(settings, layout)?)),
};

/// Rows of one message at most.
const MESSAGE_ROWS_MAX: usize = 100_000;
/// Columns that are filled for every row alike.
const OWN: [&str; 6] = ["event_ts", "received_ts", "site", "device_id", "flags", "extra"];

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    table: String,
    rows: Option<String>,
    #[serde(default)]
    columns: BTreeMap<String, String>,
    time: Option<TimeSetting>,
    #[serde(default)]
    encoding: Encoding,
}

/// See the module.
#[derive(Debug)]
struct JsonRows {
    table: Handle,
    rows: Option<Pointer>,
    fields: Vec<Field>,
    /// Where times are looked for.
    times: Vec<Pointer>,
    /// These are only names that a time usually has.
    usual: bool,
    clock: Clock,
    encoding: Encoding,
    event_ts: Column<Time>,
    site: Column<Text>,
    device_id: Column<Text>,
    flags: Column<Text>,
    extra: Column<Text>,
}

impl JsonRows {
    fn new(settings: &Settings, layout: &Layout) -> Result<Self, Mistake> {
        let given = serde_json::Value::Object(settings.clone());
        let mut given: Given = serde_json::from_value(given)
            .map_err(|error| Mistake::new("settings", format!("cannot be meant: {error}")))?;
        let table = layout.table(&given.table)?.clone();
        let rows = given.rows.as_deref().map(|text| pointer("rows", text)).transpose()?;
        let mut fields = Vec::new();
        for column in table.table().file_columns() {
            let name = column.name.as_ref();
            let filled = OWN.contains(&name) || IDENTITY.iter().any(|own| own.name == name);
            if filled || name == PARTITION {
                continue;
            }
            let source = given.columns.remove(name).unwrap_or_else(|| format!("/{name}"));
            let source = Source::parse(&source).map_err(|mistake| mistake.within("columns"))?;
            fields.push(Field::new(&table, column, source)?);
        }
        if let Some((column, _)) = given.columns.pop_first() {
            let problem = format!("is no column of `{}` that a rule fills", given.table);
            return Err(Mistake::new(format!("columns.{column}"), problem));
        }
        let clock = Clock::new(given.time.as_ref())?;
        let (times, usual) = clock.pointers();
        Ok(Self {
            rows,
            fields,
            times,
            usual,
            clock,
            encoding: given.encoding,
            event_ts: table.column("event_ts")?,
            site: table.column("site")?,
            device_id: table.column("device_id")?,
            flags: table.column("flags")?,
            extra: table.column("extra")?,
            table,
        })
    }

    fn read_time(&self, raw: &str) -> Option<When> {
        if self.usual { self.clock.guess(raw) } else { self.clock.read(raw) }
    }

    /// The time that is said, and where; without a time: where something stands that is none.
    fn when(&self, element: &str, whole: &str) -> (Option<When>, Option<&Pointer>) {
        let mut unreadable = None;
        for pointer in &self.times {
            let raw = pointer.find(element).or_else(|| pointer.find(whole));
            let Some(raw) = raw.filter(|raw| *raw != "null") else { continue };
            if let Some(when) = self.read_time(raw) {
                return (Some(when), Some(pointer));
            }
            unreadable = unreadable.or((!self.usual || raw.starts_with('"')).then_some(pointer));
        }
        (None, unreadable)
    }

    fn row(
        &self,
        message: &Message<'_>,
        [element, whole]: [&str; 2],
        beside: &Extra<'_>,
        rows: &mut Rows<'_>,
    ) -> Result<(), Reject> {
        let received_us = rows.origin().received_us;
        let (when, place) = self.when(element, whole);
        let (event_us, mut flags) = event(when, place.is_some(), received_us);
        flags |= rows.origin().flags() | rows.dated(&self.table, event_us);
        let fields = self.fields.iter();
        let read: Vec<_> =
            fields.map(|field| field.read(message.topic, element, whole, received_us)).collect();
        let fields = || self.fields.iter().zip(&read);
        if fields().any(|(field, read)| read.is_none() && field.source_has(element, whole)) {
            flags |= Flags::NOT_CONVERTED;
        }
        let kept = self.kept(element, beside, when.and(place))?;
        let flags = flags.text();
        let (site, device) = rows.device();
        let (site, device) = (site.to_owned(), device.to_owned());
        let mut row = Row::new(&self.table, event_us);
        row.set(self.event_ts, event_us)
            .set(self.site, &*site)
            .set(self.device_id, &*device)
            .set(self.flags, flags.as_deref())
            .set(self.extra, kept.as_deref());
        for (field, read) in fields() {
            field.set(&mut row, read.as_ref())?;
        }
        Ok(rows.add(row)?)
    }

    /// What of an element is in no column. `time` is where its time stood.
    fn kept(
        &self,
        element: &str,
        beside: &Extra<'_>,
        time: Option<&Pointer>,
    ) -> Result<Option<String>, Reject> {
        let mut extra = beside.clone();
        if let Ok(mut object) = Object::read(element) {
            for name in self.fields.iter().filter_map(|field| field.takes(element)) {
                object.take(name);
            }
            if let Some([name]) = time.map(Pointer::names) {
                object.take(name);
            }
            extra.append(&mut object.rest());
        }
        extra.text(EXTRA_TABLE, None).map_err(|_| {
            let reason = format!("what has no column has more than {EXTRA_BYTES_MAX} bytes");
            Reject::new(Code::TextTooLong, reason)
        })
    }

    /// What the message says beside the array of its rows.
    fn beside<'a>(&self, whole: &'a str, rows: &Pointer) -> Extra<'a> {
        let Ok(mut object) = Object::read(whole) else { return Extra::default() };
        if let [name, ..] = rows.names() {
            object.take(name);
        }
        for name in self.fields.iter().filter_map(|field| field.takes(whole)) {
            object.take(name);
        }
        let (when, place) = self.when(whole, whole);
        if let Some([name]) = when.and(place).map(Pointer::names) {
            object.take(name);
        }
        object.rest()
    }
}

/// Event time and what is remarkable about it. `there`: something stands where the time should.
fn event(when: Option<When>, there: bool, received_us: i64) -> (i64, Flags) {
    match when {
        None if there => (received_us, Flags::TIME_UNPARSABLE),
        None => (received_us, Flags::TIME_MISSING),
        Some(When { us, .. }) if us < YEAR_2000_US || us > received_us.saturating_add(DAY_US) => {
            (received_us, Flags::TIME_ABSURD)
        }
        Some(when) => {
            let local = if when.local { Flags::LOCAL_TIME } else { Flags::default() };
            (when.us, if when.date_only { local | Flags::DATE_ONLY } else { local })
        }
    }
}

/// In errors about `extra`.
const EXTRA_TABLE: &str = "a declared table";

impl Decoder for JsonRows {
    fn decode(&self, message: &Message<'_>, rows: &mut Rows<'_>) -> Result<(), Reject> {
        let text = unpack(message.payload, message.content_type, self.encoding)?;
        let whole = text.trim();
        json::sound(whole)?;
        let mut around = Around::default();
        around.turn_to(whole);
        let Some(pointer) = &self.rows else {
            let whence = Whence {
                topic: message.topic,
                publisher: message.publisher,
                object: whole,
                member: None,
            };
            rows.locate(&whence, &mut around, false)?;
            return self.row(message, [whole, whole], &Extra::default(), rows);
        };
        let missing = || {
            let names = pointer.names().join("/");
            Reject::new(Code::ValueMissing, format!("there is no array at `/{names}`"))
        };
        let elements =
            pointer.find(whole).filter(|raw| raw.starts_with('[')).ok_or_else(missing)?;
        let mut parts: Vec<&str> = Vec::new();
        json::each(elements, |element| parts.push(element))?;
        if parts.len() > MESSAGE_ROWS_MAX {
            let reason = format!("more than {MESSAGE_ROWS_MAX} rows in one message");
            return Err(Reject::new(Code::TooManyValues, reason));
        }
        if parts.is_empty() {
            return Err(Reject::new(Code::ValueMissing, "the array has no element"));
        }
        // It is in the first row.
        let mut beside = self.beside(whole, pointer);
        let mut first = None;
        for element in parts {
            let whence = Whence {
                topic: message.topic,
                publisher: message.publisher,
                object: element,
                member: None,
            };
            let result = rows
                .locate(&whence, &mut around, false)
                .and_then(|()| self.row(message, [element, whole], &beside, rows));
            match result {
                Ok(()) => beside = Extra::default(),
                Err(reject) => drop(first.get_or_insert(reject)),
            }
        }
        first.map_or(Ok(()), Err)
    }

    fn locates(&self) -> bool {
        true
    }
}

fn pointer(key: &str, text: &str) -> Result<Pointer, Mistake> {
    let wrong = || Mistake::new(format!("{key}.{text}"), "is no JSON pointer: write it as /items");
    Pointer::parse(text).ok_or_else(wrong)
}
