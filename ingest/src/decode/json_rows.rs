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

use lake::table::{IDENTITY, PARTITION};
use serde::Deserialize;

use super::clock::{Clock, When};
use super::extra::{Extra, Room};
use super::json;
use super::object::Object;
use super::place::{self, Whence};
use super::reject::{Code, Reject};
use super::sound::Pointer;
use super::time;
use super::unpack::{Encoding, unpack};
use super::values::Time as TimeSetting;
use super::{Decoder, Message, Settings, Spec};
use crate::batch::flags::Flags;
use crate::batch::{Column, Handle, Layout, Row, Rows, Text, Time};
use crate::mistake::Mistake;
use cells::{Field, Found, Source};

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

    /// The time that is said in an object, and where; without a time: where something stands that is none.
    fn when<'a>(&'a self, object: &str) -> (Option<When>, Option<&'a Pointer>) {
        let mut unreadable = None;
        for pointer in &self.times {
            let Some(raw) = pointer.find(object).filter(|raw| *raw != "null") else { continue };
            if let Some(when) = self.read_time(raw) {
                return (Some(when), Some(pointer));
            }
            unreadable = unreadable.or((!self.usual || raw.starts_with('"')).then_some(pointer));
        }
        (None, unreadable)
    }

    /// What a message says of all its rows. Looked up once: there may be very many.
    fn around<'a>(&'a self, topic: &str, whole: &'a str, received_us: i64) -> Around<'a> {
        let fields = self.fields.iter().map(|field| field.around(topic, whole, received_us));
        Around { fields: fields.collect(), when: self.when(whole) }
    }

    fn row(
        &self,
        element: &str,
        around: &Around<'_>,
        beside: &Extra<'_>,
        room: &mut Room,
        rows: &mut Rows<'_>,
    ) -> Result<(), Reject> {
        let (when, place) = match self.when(element) {
            (None, None) => around.when,
            own => own,
        };
        let (event_us, mut flags) = event(when, place.is_some(), rows.origin().received_us);
        // A time that stands in no column is kept as it came.
        let told = place.filter(|_| when.is_some() && !flags.has(Flags::TIME_ABSURD));
        flags |= rows.origin().flags() | rows.dated(&self.table, event_us);
        flags |= rows.message(when.is_some());
        let fields = self.fields.iter().zip(&around.fields);
        let cells: Vec<_> = fields.map(|(field, around)| field.of(element, around)).collect();
        if cells.iter().any(|cell| cell.misfit) {
            flags |= Flags::NOT_CONVERTED;
        }
        room.take(cells.iter().map(|cell| cell.repeated).sum())?;
        let kept = self.kept(element, beside, told, &cells, room)?;
        let flags = flags.text();
        let (site, device) = rows.device();
        let (site, device) = (site.to_owned(), device.to_owned());
        let mut row = Row::new(&self.table, event_us);
        row.set(self.event_ts, event_us)
            .set(self.site, &*site)
            .set(self.device_id, &*device)
            .set(self.flags, flags.as_deref())
            .set(self.extra, kept.as_deref());
        for (field, cell) in self.fields.iter().zip(&cells) {
            field.set(&mut row, cell.value())?;
        }
        Ok(rows.add(row)?)
    }

    /// What of an element is in no column. `time` is where its time stood.
    fn kept(
        &self,
        element: &str,
        beside: &Extra<'_>,
        time: Option<&Pointer>,
        cells: &[Found<'_>],
        room: &mut Room,
    ) -> Result<Option<String>, Reject> {
        let mut extra = beside.clone();
        if let Ok(mut object) = Object::read(element) {
            for name in cells.iter().filter_map(|cell| cell.member) {
                object.take(name);
            }
            if let Some([name]) = time.map(Pointer::names) {
                object.take(name);
            }
            extra.append(&mut object.rest());
        }
        room.text(EXTRA_TABLE, &extra, None)
    }

    /// What the message says beside the array of its rows.
    fn beside<'a>(
        &self,
        whole: &'a str,
        rows: &Pointer,
        around: &Around<'_>,
        received_us: i64,
    ) -> Extra<'a> {
        let Ok(mut object) = Object::read(whole) else { return Extra::default() };
        if let [name, ..] = rows.names() {
            object.take(name);
        }
        for name in around.fields.iter().filter_map(|cell| cell.member) {
            object.take(name);
        }
        let (when, place) = around.when;
        let possible =
            when.is_some_and(|when| time::judged(when.us, received_us).1 == Flags::default());
        if let Some([name]) = place.filter(|_| possible).map(Pointer::names) {
            object.take(name);
        }
        object.rest()
    }
}

/// What a message says of all its rows.
struct Around<'a> {
    /// By the number of the field.
    fields: Vec<Found<'a>>,
    when: (Option<When>, Option<&'a Pointer>),
}

/// Event time and what is remarkable about it. `there`: something stands where the time should.
fn event(when: Option<When>, there: bool, received_us: i64) -> (i64, Flags) {
    match when {
        None if there => (received_us, Flags::TIME_UNPARSABLE),
        None => (received_us, Flags::TIME_MISSING),
        Some(When { us, flags }) => {
            let (event_us, judged) = time::judged(us, received_us);
            (event_us, judged | flags)
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
        let mut places = place::Around::default();
        places.turn_to(whole);
        let received_us = rows.origin().received_us;
        let around = self.around(message.topic, whole, received_us);
        let mut room = Room::of(whole);
        let Some(pointer) = &self.rows else {
            let whence = Whence {
                topic: message.topic,
                publisher: message.publisher,
                object: whole,
                member: None,
            };
            rows.locate(&whence, &mut places, false)?;
            return self.row(whole, &around, &Extra::default(), &mut room, rows);
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
        let mut beside = self.beside(whole, pointer, &around, received_us);
        let mut first = None;
        for element in parts {
            let whence = Whence {
                topic: message.topic,
                publisher: message.publisher,
                object: element,
                member: None,
            };
            let result = rows
                .locate(&whence, &mut places, false)
                .and_then(|()| self.row(element, &around, &beside, &mut room, rows));
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
