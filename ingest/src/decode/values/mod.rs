//! Any JSON object, array of objects, or bare scalar becomes readings: one for each scalar, whose metric is the path to it.
//!
//! What a device said is either a reading, its time, a report, or kept as it came in `extra`. Which it is says a rule; what no
//! setting names is a reading.

mod compiled;
mod groups;
mod leaves;
mod pattern;
mod report;
mod scalar;
mod settings;
mod tree;

use std::borrow::Cow;

use super::extra::Extra;
use super::reject::{Code, Reject};
use crate::batch::flags::Flags;
use crate::batch::judging::Comparator;
pub(crate) use compiled::Values;
use groups::Reader;
pub(crate) use settings::{Pointers, Settings, Time, Written};
use tree::Tree;

/// One object of the message, or the scalar; in order.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// When it happened.
    pub(crate) time: Told<'a>,
    /// Its readings.
    pub(crate) readings: Vec<Leaf<'a>>,
    /// Whether the device is there.
    pub(crate) report: Option<Report<'a>>,
    /// For every row: members that qualify all readings.
    pub(crate) extra: Extra<'a>,
    /// For its first row only: whatever has no row.
    pub(crate) first: Extra<'a>,
    /// The object, as it came.
    pub(crate) raw: &'a str,
    /// The message or the element of its array that the object is in.
    pub(crate) whole: &'a str,
    /// Its name, where each member of an object is a group.
    pub(crate) member: Option<Cow<'a, str>>,
}

/// What the device says about when it happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Told<'a> {
    /// Nothing.
    Nothing,
    /// It was then, with what is remarkable about it. `text` is the raw JSON.
    At { us: i64, flags: Flags, text: &'a str },
    /// Something that could not be read, as raw JSON; `extra` has it if it fits no column.
    Unreadable(&'a str),
}

/// A reading.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Leaf<'a> {
    /// Its path, or what the rule calls it.
    pub(crate) metric: Cow<'a, str>,
    /// The value.
    pub(crate) value: Said<'a>,
    /// The unit, if anybody says it.
    pub(crate) unit: Option<Cow<'a, str>>,
    /// The value as it came: raw JSON, or the bare payload.
    pub(crate) raw: &'a str,
    /// What is remarkable about it.
    pub(crate) flags: Flags,
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said<'a> {
    Number(f64),
    /// A number that came as a text, which is kept.
    Word {
        number: f64,
        text: Cow<'a, str>,
    },
    /// The true value is only known to be so against the number.
    Bound {
        comparator: Comparator,
        number: f64,
        text: Cow<'a, str>,
    },
    Text(Cow<'a, str>),
    /// A text that stands for no value.
    Nothing(Cow<'a, str>),
    Bool(bool),
    Null,
    /// What has no place in a column: a whole number beyond 2^53, a number beyond a double, an array that is kept in one piece.
    Nested,
}

/// Whether a device is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report<'a> {
    /// `online`, `offline`, or what the rule calls it.
    pub(crate) status: Cow<'a, str>,
    /// What came, if it was another word; JSON.
    pub(crate) detail: Option<&'a str>,
}

/// Longest bare text, in bytes.
const BARE_BYTES_MAX: usize = 256;

impl Values {
    /// The groups of a message: at least one reading or report.
    ///
    /// # Errors
    /// What is not sound, has no value, or too many.
    pub(crate) fn read<'a>(
        &'a self,
        topic: &'a str,
        text: &'a str,
    ) -> Result<Vec<Group<'a>>, Reject> {
        // Some systems put a mark of the byte order before everything.
        let payload = text.trim_start_matches('\u{feff}').trim();
        match payload.as_bytes().first() {
            None => Err(Reject::new(Code::EmptyPayload, "the payload is blank")),
            Some(b'{' | b'[') => {
                let tree = Tree::read(payload)?;
                Reader::new(self, &tree, topic).read()
            }
            Some(_) => self.bare(topic, payload).map(|group| vec![group]),
        }
    }

    /// A message that is nothing but a scalar.
    fn bare<'a>(&'a self, topic: &'a str, payload: &'a str) -> Result<Group<'a>, Reject> {
        if payload.starts_with('"') {
            super::json::sound(payload)?;
        } else if payload.len() > BARE_BYTES_MAX || payload.contains(char::is_control) {
            return Err(Reject::new(Code::JsonSyntax, "neither JSON nor a short text"));
        }
        let level = topic.rsplit('/').find(|level| !level.is_empty()).unwrap_or("value");
        let mut group = Group {
            time: Told::Nothing,
            readings: Vec::new(),
            report: self.reports.bare(level, payload),
            extra: Extra::default(),
            first: Extra::default(),
            raw: payload,
            whole: payload,
            member: None,
        };
        if group.report.is_none() {
            let path = match &self.metric {
                Some(template) => template.text(topic).map_or(Cow::Borrowed(level), Cow::Owned),
                None => Cow::Borrowed(level),
            };
            group.readings.push(self.bare_leaf(path, payload)?);
        }
        Ok(group)
    }

    fn bare_leaf<'a>(&'a self, path: Cow<'a, str>, payload: &'a str) -> Result<Leaf<'a>, Reject> {
        if self.ignores(&path) || !(self.only.is_empty() || self.only.get(&path).is_some()) {
            return Err(Reject::new(Code::ValueMissing, "the rule ignores the only value"));
        }
        let metric = self.renamed(&path).unwrap_or_else(|| path.clone());
        let words = self.words_of(&path, &metric);
        let (value, flags, unit) = scalar::of_bare(payload, self.comma_bare, words);
        let value = self.scaled(value, &path, &metric);
        let unit = unit.map(Cow::Borrowed);
        let unit = unit.or_else(|| self.unit_constant(&path, &metric).map(Cow::Borrowed));
        Ok(Leaf { metric, value, unit, raw: payload, flags })
    }
}

#[cfg(test)]
mod tests;
