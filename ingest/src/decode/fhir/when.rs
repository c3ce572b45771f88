//! When what a resource tells of began and ended, when it was written down, and which of these times its row goes by.

use serde_json::Value;

use super::super::time::{self, DAY_US, YEAR_1900_US};
use super::element::{Found, Tree, all, first, text_of};
use super::paths::Paths;
use crate::batch::flags::Flags;

/// The times of a resource, Unix microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct When<'a> {
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) recorded: Option<i64>,
    pub(super) updated: Option<i64>,
    /// What its row goes by.
    pub(super) event_us: i64,
    /// What is remarkable about them.
    pub(super) flags: Flags,
    /// A time that could not be read.
    pub(super) unread: Option<&'a str>,
}

/// First and last moment of what may be less exact than a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Interval<'a> {
    pub(super) first: Option<i64>,
    /// `None`: it is a moment, or has no end yet.
    last: Option<i64>,
    date_only: bool,
    /// It is no time of a calendar: an age, a range, a text.
    relative: bool,
    unread: Option<&'a str>,
}

impl<'a> When<'a> {
    /// The times of a resource that was received at `received_us`. `modified_us`: when it was changed, by what the Bundle says.
    pub(super) fn of(
        tree: &'a Tree,
        paths: &Paths,
        received_us: i64,
        modified_us: Option<i64>,
    ) -> Self {
        let held = held(tree, paths.start);
        let until = interval(&first(tree, paths.end));
        let written = interval(&first(tree, paths.recorded));
        let updated = tree.get("meta").and_then(|meta| moment(meta.get("lastUpdated")));
        let mut when = Self {
            start: held.first,
            end: until.last.or(until.first).or(held.last),
            recorded: written.first,
            updated: updated.or(modified_us),
            event_us: received_us,
            flags: Flags::default(),
            unread: held.unread,
        };
        when.choose(&held, paths, received_us);
        when
    }

    /// By which of its times its row goes, and what there is to say about that.
    fn choose(&mut self, held: &Interval<'_>, paths: &Paths, received_us: i64) {
        let latest = received_us.saturating_add(DAY_US);
        let possible = |us: &i64| (YEAR_1900_US..=latest).contains(us);
        let written = self.recorded.into_iter().chain(self.updated).find(possible);
        let absurd = self.recorded.or(self.updated).is_some() && written.is_none();
        let flag = |said, flag| if said { flag } else { Flags::default() };
        self.flags = flag(held.date_only, Flags::DATE_ONLY)
            | flag(held.relative, Flags::TIME_RELATIVE)
            | match self.start.or(self.end) {
                Some(us) if possible(&us) => {
                    self.event_us = us;
                    flag(held.unread.is_some(), Flags::NOT_CONVERTED)
                }
                Some(us) if us > latest && !paths.done => {
                    self.event_us = written.unwrap_or(received_us);
                    Flags::PLANNED
                }
                Some(_) => Flags::TIME_ABSURD,
                None if written.is_some() => {
                    self.event_us = written.unwrap_or(received_us);
                    flag(held.unread.is_some(), Flags::NOT_CONVERTED)
                        | flag(!paths.start.is_empty(), Flags::TIME_RECORDED)
                }
                None if held.unread.is_some() => Flags::TIME_UNPARSABLE,
                None if absurd => Flags::TIME_ABSURD,
                None => Flags::TIME_MISSING,
            };
    }
}

/// A point in time.
pub(super) fn moment(value: Option<&Value>) -> Option<i64> {
    Some(time::fhir(text_of(value)?)?.us)
}

/// What the first of these elements says that is a time; that there are others before is kept.
fn held<'a>(tree: &'a Tree, paths: &[&str]) -> Interval<'a> {
    let mut held = Interval::default();
    for path in paths {
        let found = interval(&all(tree, path));
        let relative = held.relative || found.relative;
        let unread = held.unread.or(found.unread);
        held = Interval { relative, unread, ..found };
        if held.first.or(held.last).is_some() {
            break;
        }
    }
    held
}

/// What a time, a period or a timing says; of several the first.
fn interval<'a>(found: &[Found<'a>]) -> Interval<'a> {
    let Some(Found { kind, value }) = found.first() else { return Interval::default() };
    let relative = Interval { relative: true, ..Interval::default() };
    let object = match value {
        Value::String(_) if *kind == "String" => return relative,
        Value::String(text) => return point(text),
        Value::Object(object) => object,
        _ => return relative,
    };
    let bounds = object.get("repeat").and_then(|repeat| repeat.get("boundsPeriod"));
    if let Some(events) = object.get("event").and_then(Value::as_array) {
        match events.as_slice() {
            [Value::String(one)] => point(one),
            events => span(events.first(), events.last()),
        }
    } else if let Some(bounds) = bounds {
        span(bounds.get("start"), bounds.get("end"))
    } else if object.contains_key("start") || object.contains_key("end") {
        span(object.get("start"), object.get("end"))
    } else if object.keys().any(|name| !matches!(name.as_str(), "id" | "extension")) {
        relative
    } else {
        Interval::default()
    }
}

pub(super) fn point(text: &str) -> Interval<'_> {
    let Some(parsed) = time::fhir(text) else {
        return Interval { unread: Some(text), ..Interval::default() };
    };
    let last = if parsed.date_only { last_moment(text, parsed.us) } else { None };
    let (first, date_only) = (Some(parsed.us), parsed.date_only);
    Interval { first, last, date_only, ..Interval::default() }
}

fn span<'a>(start: Option<&'a Value>, end: Option<&'a Value>) -> Interval<'a> {
    let read = |value: Option<&'a Value>| text_of(value).map(point).unwrap_or_default();
    let (start, end) = (read(start), read(end));
    Interval {
        first: start.first,
        last: end.last.or(end.first),
        date_only: if start.first.is_some() { start.date_only } else { end.date_only },
        relative: false,
        unread: start.unread.or(end.unread),
    }
}

/// The last microsecond of a year, a month or a day.
fn last_moment(text: &str, first_us: i64) -> Option<i64> {
    let next = match text.len() {
        4 => time::fhir(&format!("{:04}", text.parse::<u16>().ok()? + 1))?.us,
        7 => {
            let (year, month) = text.split_once('-')?;
            let (year, month) = (year.parse::<u16>().ok()?, month.parse::<u8>().ok()?);
            let (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            time::fhir(&format!("{year:04}-{month:02}"))?.us
        }
        _ => first_us.checked_add(DAY_US)?,
    };
    Some(next - 1)
}

#[cfg(test)]
mod tests;
