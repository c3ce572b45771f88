//! One column of a declared table: where its value is, and what becomes of it.

use std::borrow::Cow;

use lake::table::{Column as Definition, Kind};

use crate::batch::{Bool, Column, Date, Double, Handle, Int, Long, Row, Text, Time};
use crate::decode::clock::Clock;
use crate::decode::json::Given;
use crate::decode::place::Place;
use crate::decode::read::Read;
use crate::decode::reject::{Code, Reject};
use crate::decode::sound::Pointer;
use crate::mistake::Mistake;

/// Where a value is.
#[derive(Debug)]
pub(super) enum Source {
    Pointer {
        pointer: Pointer,
        text: String,
    },
    /// Levels of the topic.
    Topic(Place),
    Received,
    /// As JSON.
    Constant(String),
}

impl Source {
    pub(super) fn parse(text: &str) -> Result<Self, Mistake> {
        if text == "{received}" {
            return Ok(Self::Received);
        }
        if text.starts_with('/') {
            let wrong = || Mistake::new(text, "is no JSON pointer");
            let pointer = Pointer::parse(text).ok_or_else(wrong)?;
            return Ok(Self::Pointer { pointer, text: text.to_owned() });
        }
        if text.contains(['{', '}']) {
            return Place::parse(text).map(Self::Topic);
        }
        Ok(Self::Constant(serde_json::Value::from(text).to_string()))
    }
}

/// The handle of a column.
#[derive(Debug)]
enum Target {
    Text(Column<Text>),
    /// Any JSON.
    Json(Column<Text>),
    Double(Column<Double>),
    Long(Column<Long>),
    Int(Column<Int>),
    Bool(Column<Bool>),
    Date(Column<Date>),
    Time(Column<Time>),
}

/// A column and where its value is.
#[derive(Debug)]
pub(super) struct Field {
    name: String,
    required: bool,
    source: Source,
    target: Target,
    clock: Clock,
}

/// A value that its column takes.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Text(Cow<'a, str>),
    Double(f64),
    Long(i64),
    Int(i32),
    Bool(bool),
    Date(i32),
    Time(i64),
}

/// Texts of this many bytes are free for JSON: how a column of JSON is told from one of text.
const JSON_BYTES: usize = usize::MAX;
const DAY_US: i64 = 86_400_000_000;

impl Field {
    pub(super) fn new(
        table: &Handle,
        column: &Definition,
        source: Source,
    ) -> Result<Self, Mistake> {
        let name = column.name.as_ref();
        let target = match column.kind {
            Kind::Text if column.bytes_max == JSON_BYTES => Target::Json(table.column(name)?),
            Kind::Text => Target::Text(table.column(name)?),
            Kind::Double => Target::Double(table.column(name)?),
            Kind::Long => Target::Long(table.column(name)?),
            Kind::Int => Target::Int(table.column(name)?),
            Kind::Bool => Target::Bool(table.column(name)?),
            Kind::Date => Target::Date(table.column(name)?),
            Kind::Timestamp => Target::Time(table.column(name)?),
            Kind::Binary => return Err(Mistake::new(name, "is a column of bytes: JSON has none")),
        };
        let (name, required) = (name.to_owned(), !column.nullable);
        Ok(Self { name, required, source, target, clock: Clock::new(None)? })
    }

    /// The value that the message has for all its rows.
    pub(super) fn around<'a>(&'a self, topic: &str, whole: &'a str, received_us: i64) -> Found<'a> {
        let value = match &self.source {
            Source::Pointer { pointer, .. } => return self.found(pointer, whole),
            Source::Received => Some(match self.target {
                Target::Date(_) => {
                    Value::Date(i32::try_from(received_us.div_euclid(DAY_US)).unwrap_or(i32::MAX))
                }
                _ => Value::Time(received_us),
            }),
            Source::Topic(place) => place.text(topic).and_then(|text| {
                self.value(&serde_json::Value::from(text).to_string()).map(Value::into_owned)
            }),
            Source::Constant(raw) => self.value(raw),
        };
        Found { misfit: false, member: None, repeated: 0, own: value, around: None }
    }

    /// The value for a row: what its element says, else what the message says of all.
    pub(super) fn of<'a>(&'a self, element: &'a str, around: &'a Found<'a>) -> Found<'a> {
        if let Source::Pointer { pointer, .. } = &self.source {
            let own = self.found(pointer, element);
            if own.own.is_some() || own.misfit || own.member.is_some() {
                return own;
            }
        }
        let repeated = match &around.own {
            Some(Value::Text(text)) => text.len(),
            _ => 0,
        };
        let (misfit, around) = (around.misfit, around.own.as_ref());
        Found { misfit, member: None, repeated, own: None, around }
    }

    fn found<'a>(&'a self, pointer: &'a Pointer, object: &'a str) -> Found<'a> {
        let raw = pointer.find(object);
        let own = raw.filter(|raw| *raw != "null").and_then(|raw| self.value(raw));
        let misfit = own.is_none() && raw.is_some_and(|raw| raw != "null");
        let member = match pointer.names() {
            [name] if raw.is_some() && !misfit => Some(name.as_str()),
            _ => None,
        };
        Found { misfit, member, repeated: 0, own, around: None }
    }

    fn value<'a>(&self, raw: &'a str) -> Option<Value<'a>> {
        let read = Read::of(raw);
        let text = matches!(read.given(), Given::Text(_));
        // A number may come as a text.
        let plain: Cow<'a, str> = if text { read.clone().into_text() } else { raw.into() };
        let number = || plain.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        let whole = || {
            let exact = plain.trim().parse::<i64>().ok();
            #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
            let rounded =
                || number().filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i64);
            exact.or_else(rounded)
        };
        match (&self.target, read.given()) {
            (Target::Json(_), _) => Some(Value::Text(raw.into())),
            (_, Given::Nested | Given::Null | Given::Absent) => None,
            (Target::Text(_), _) => Some(Value::Text(plain)),
            (Target::Bool(_), Given::Bool(truth)) => Some(Value::Bool(truth)),
            (Target::Bool(_), _) => match plain.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(Value::Bool(true)),
                "false" | "0" => Some(Value::Bool(false)),
                _ => None,
            },
            (Target::Double(_), _) => number().map(Value::Double),
            (Target::Long(_), _) => whole().map(Value::Long),
            (Target::Int(_), _) => whole().and_then(|int| i32::try_from(int).ok()).map(Value::Int),
            (Target::Time(_), _) => self.clock.read(raw).map(|when| Value::Time(when.us)),
            (Target::Date(_), _) => {
                let day = self.clock.read(raw)?.us.div_euclid(DAY_US);
                i32::try_from(day).ok().map(Value::Date)
            }
        }
    }

    /// Sets the column.
    ///
    /// # Errors
    /// There must be a value and is none.
    pub(super) fn set<'a>(
        &self,
        row: &mut Row<'a>,
        value: Option<&'a Value<'_>>,
    ) -> Result<(), Reject> {
        match (&self.target, value) {
            (_, None) if self.required => {
                let place = match &self.source {
                    Source::Pointer { text, .. } => text.as_str(),
                    _ => "where its rule says",
                };
                let name = &self.name;
                let reason = format!(
                    "column `{name}` must have a value, there is none that it takes at `{place}`"
                );
                return Err(Reject::new(Code::ValueMissing, reason));
            }
            (Target::Text(column) | Target::Json(column), Some(Value::Text(text))) => {
                row.set(*column, &**text);
            }
            (Target::Double(column), Some(Value::Double(number))) => {
                row.set(*column, *number);
            }
            (Target::Long(column), Some(Value::Long(number))) => {
                row.set(*column, *number);
            }
            (Target::Int(column), Some(Value::Int(number))) => {
                row.set(*column, *number);
            }
            (Target::Bool(column), Some(Value::Bool(truth))) => {
                row.set(*column, *truth);
            }
            (Target::Date(column), Some(Value::Date(date))) => {
                row.set(*column, *date);
            }
            (Target::Time(column), Some(Value::Time(us))) => {
                row.set(*column, *us);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What was found for a column.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Something is there that the column does not take.
    pub(super) misfit: bool,
    /// The member of the object that is wholly in the column.
    pub(super) member: Option<&'a str>,
    /// Bytes that the row says again although its element does not.
    pub(super) repeated: usize,
    own: Option<Value<'a>>,
    around: Option<&'a Value<'a>>,
}

impl Found<'_> {
    pub(super) fn value(&self) -> Option<&Value<'_>> {
        self.own.as_ref().or(self.around)
    }
}

impl Value<'_> {
    fn into_owned<'b>(self) -> Value<'b> {
        match self {
            Self::Text(text) => Value::Text(text.into_owned().into()),
            Self::Double(number) => Value::Double(number),
            Self::Long(number) => Value::Long(number),
            Self::Int(number) => Value::Int(number),
            Self::Bool(truth) => Value::Bool(truth),
            Self::Date(date) => Value::Date(date),
            Self::Time(us) => Value::Time(us),
        }
    }
}
