//! The decoder `values`: what any payload says becomes readings, and reports of whether a device is there.

use lake::tables::readings::NAME as READINGS;

use super::extra::{Extra, Room};
use super::place::{Around, Whence};
use super::reject::{Code, Reject};
use super::status::Columns as StatusColumns;
use super::time;
use super::unpack::{Encoding, unpack};
use super::values::{Group, Leaf, Report, Said, Settings as Given, Told, Values};
use super::{Decoder, Message, Settings, Spec};
use crate::batch::flags::Flags;
use crate::batch::intern::NONE;
use crate::batch::judging::Measured;
use crate::batch::readings::{ABSENT, Context, VALUES, VALUES_NAME};
use crate::batch::{Layout, Row, Rows};
use crate::mistake::Mistake;

pub(super) const SPEC: Spec = Spec {
    name: "values",
    about: "any JSON object, array of objects, or plain value: one reading for each number, text or truth value in it",
    build: |settings, layout| Ok(Box::new(ValuesDecoder::new(settings, layout)?)),
};

/// See the module.
#[derive(Debug)]
struct ValuesDecoder {
    values: Values,
    encoding: Encoding,
    status: StatusColumns,
}

impl ValuesDecoder {
    fn new(settings: &Settings, layout: &Layout) -> Result<Self, Mistake> {
        let mut settings = settings.clone();
        let encoding = settings.remove("encoding").map(serde_json::from_value).transpose();
        let encoding = encoding.map_err(|_| {
            Mistake::new("encoding", "is none: there are auto, json, cbor and message_pack")
        })?;
        let values = Values::new(&Given::of(&settings)?)?;
        Ok(Self {
            values,
            encoding: encoding.unwrap_or_default(),
            status: StatusColumns::of(layout)?,
        })
    }
}

impl Decoder for ValuesDecoder {
    fn decode(&self, message: &Message<'_>, rows: &mut Rows<'_>) -> Result<(), Reject> {
        let text = unpack(message.payload, message.content_type, self.encoding)?;
        let groups = self.values.read(message.topic, &text)?;
        let scalar = !text.trim_start().starts_with(['{', '[']);
        let room = Room::of(&text);
        let mut filling = Filling { status: &self.status, rows, next: 0, room, reject: None };
        let mut around = Around::default();
        let mut carried = Extra::default();
        for group in &groups {
            around.turn_to(group.whole);
            let whence = Whence {
                topic: message.topic,
                publisher: message.publisher,
                object: group.raw,
                member: group.member.as_deref(),
            };
            // What an object without a row of its own says stands in the next one's.
            carried.append(&mut group.first.clone());
            if group.readings.is_empty() && group.report.is_none() {
                carried.append(&mut group.extra.clone());
                continue;
            }
            filling.rows.locate(&whence, &mut around, scalar)?;
            filling.group(group, std::mem::take(&mut carried))?;
        }
        match filling.reject {
            Some(reject) => Err(reject),
            None if !carried.is_empty() => {
                Err(Reject::new(Code::ValueMissing, "the last object of the message has no value"))
            }
            None => Ok(()),
        }
    }

    fn locates(&self) -> bool {
        true
    }
}

/// The rows of one message.
struct Filling<'a, 'b> {
    status: &'a StatusColumns,
    rows: &'a mut Rows<'b>,
    next: i32,
    room: Room,
    /// What could not be kept first.
    reject: Option<Reject>,
}

impl Filling<'_, '_> {
    /// The rows of one object; `first` is for the first of them.
    fn group<'c>(&mut self, group: &Group<'c>, mut first: Extra<'c>) -> Result<(), Reject> {
        let when = when(group.time, self.rows.origin().received_us);
        let (event_us, flags) = self.rows.remembering().object((ABSENT, ABSENT), when);
        let device_us = when.1;
        let Group { readings, report, extra, .. } = group;
        let time_text = match group.time {
            Told::Unreadable(raw) => time::column_text(raw),
            _ => None,
        };
        let text = time_text.as_deref().map_or(NONE, |text| self.rows.readings().time_text(text));
        let context =
            Context { flags, time_text: text, ..Context::at(VALUES, event_us, device_us) };
        if let Some(report) = report {
            let mut whole = extra.clone();
            whole.append(&mut first);
            self.report(report, ([event_us, device_us], flags, time_text.as_deref()), &whole)?;
        }
        let shared = self.with_extra(context, extra, None);
        for (n, leaf) in readings.iter().enumerate() {
            let own = matches!(leaf.value, Said::Nested).then_some(leaf.raw);
            let with = match own {
                _ if n == 0 && !first.is_empty() => {
                    let mut whole = extra.clone();
                    whole.append(&mut first);
                    self.with_extra(context, &whole, own)
                }
                Some(own) => self.with_extra(context, extra, Some(own)),
                None => shared,
            };
            self.reading(with, leaf)?;
        }
        Ok(())
    }

    fn reading(&mut self, mut context: Context, leaf: &Leaf<'_>) -> Result<(), Reject> {
        let unit = leaf.unit.as_deref();
        context.flags |= leaf.flags | self.rows.remembering().unit(&leaf.metric, unit);
        let measured = match &leaf.value {
            Said::Number(number) => Measured::Number(*number),
            Said::Word { number, text } => Measured::Word(*number, text),
            Said::Bound { comparator, number, text } => {
                Measured::Bound(*comparator, *number, Some(text))
            }
            Said::Text(text) => Measured::Text(text),
            Said::Nothing(text) => Measured::Nothing(text),
            Said::Bool(truth) => {
                context.flags |= Flags::BOOLEAN;
                Measured::Number(f64::from(u8::from(*truth)))
            }
            Said::Null => Measured::Absent,
            Said::Nested => Measured::Elsewhere,
        };
        let row_no = self.next;
        let pushed = self.rows.reading(&context, row_no, &leaf.metric, unit, measured);
        match pushed {
            Ok(()) => self.next += 1,
            // The others are there; the dead letter has what this one could not say.
            Err(misfit) => drop(self.reject.get_or_insert(misfit.into())),
        }
        Ok(())
    }

    fn report(
        &mut self,
        report: &Report<'_>,
        ([event_us, device_us], flags, time_text): ([i64; 2], Flags, Option<&str>),
        extra: &Extra<'_>,
    ) -> Result<(), Reject> {
        let columns = self.status;
        let mut flags =
            flags | self.rows.origin().flags() | self.rows.dated(&columns.table, event_us);
        let kept = extra.text("device_status", None);
        if kept.is_err() {
            flags |= Flags::EXTRA_TOO_LONG;
        }
        let flags = flags.text();
        let (site, device) = self.rows.device();
        let (site, device) = (site.to_owned(), device.to_owned());
        let mut row = Row::new(&columns.table, event_us);
        row.set(columns.event_ts, event_us)
            .set(columns.device_ts, (device_us != ABSENT).then_some(device_us))
            .set(columns.site, &*site)
            .set(columns.device_id, &*device)
            .set(columns.status, &*report.status)
            .set(columns.detail, report.detail)
            .set(columns.flags, flags.as_deref())
            .set(columns.extra, kept.as_ref().ok().and_then(Option::as_deref))
            .set(columns.protocol, VALUES_NAME)
            .set(columns.time_text, time_text);
        self.rows.add(row)?;
        if let Err(misfit) = kept {
            self.reject.get_or_insert(misfit.into());
        }
        Ok(())
    }

    /// `context` with what has no column, and with a value of its own that had to be put there.
    fn with_extra(
        &mut self,
        mut context: Context,
        extra: &Extra<'_>,
        own: Option<&str>,
    ) -> Context {
        if extra.is_empty() && own.is_none() {
            return context;
        }
        match self.room.text(READINGS, extra, own) {
            Ok(text) => context.extra = self.rows.readings().extra(text.as_deref()),
            Err(reject) => {
                context.flags |= Flags::EXTRA_TOO_LONG;
                self.reject.get_or_insert(reject);
            }
        }
        context
    }
}

/// Event time, device time and what is remarkable about them.
fn when(told: Told<'_>, received_us: i64) -> (i64, i64, Flags) {
    match told {
        Told::Nothing => (received_us, ABSENT, Flags::TIME_MISSING),
        Told::Unreadable(_) => (received_us, ABSENT, Flags::TIME_UNPARSABLE),
        Told::At { us, flags, .. } => {
            let (event_us, judged) = time::judged(us, received_us);
            (event_us, us, flags | judged)
        }
    }
}
