//! When it happened, in whatever way a device writes that: text of many kinds, or a count since 1970.

mod texts;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{strtime, temporal};
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::eras::YEAR_2000_US;
use super::json::Given;
use super::read::Read;
use super::sound::Pointer;
use super::values::{Pointers, Time, Written};
use crate::batch::flags::Flags;
use crate::mistake::Mistake;
use texts::Said;

/// Members that say when it happened, where no setting says which does.
pub(crate) const USUAL: [&str; 11] = [
    "ts",
    "timestamp",
    "time",
    "Time",
    "datetime",
    "dateTime",
    "date_time",
    "created_at",
    "received_at",
    "reported_at",
    "at",
];

/// Where the time is and how it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Clock {
    pub(crate) place: Where,
    format: Format,
    /// UTC if nobody says it.
    zone: Option<TimeZone>,
}

/// Where the time is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Where {
    /// Nowhere.
    None,
    /// In a member with one of the [`USUAL`] names.
    Usual,
    /// Here; the first that is there counts.
    Members(Vec<Pointer>),
}

#[derive(Debug, Clone, PartialEq)]
enum Format {
    Auto,
    Rfc3339,
    /// So many microseconds.
    Unix {
        unit_us: f64,
        unit: i64,
    },
    Strptime(String),
}

/// A time that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct When {
    pub(crate) us: i64,
    /// What is remarkable about it: nobody says its zone, only a date, an hour that there was not or was twice.
    pub(crate) flags: Flags,
}

/// Digits of a date and a time in one: as a count they would be a time of another millennium.
const COMPACT_LEN: usize = 14;

/// 9999-12-31, as in the table.
const END_US: f64 = 253_402_300_800_000_000.0;

impl Default for Clock {
    fn default() -> Self {
        Self { place: Where::Usual, format: Format::Auto, zone: None }
    }
}

impl Clock {
    /// Compiles the setting `time`.
    pub(crate) fn new(time: Option<&Time>) -> Result<Self, Mistake> {
        let written = match time {
            None | Some(Time::Any(true)) => return Ok(Self::default()),
            Some(Time::Any(false)) => return Ok(Self { place: Where::None, ..Self::default() }),
            Some(Time::Members(members)) => {
                &Written { member: members.clone(), ..Written::default() }
            }
            Some(Time::Written(written)) => written,
        };
        let place = place(&written.member)?;
        let format = written.format.as_deref().map_or(Ok(Format::Auto), format)?;
        let zone = written.zone.as_deref().map(zone).transpose()?;
        Ok(Self { place, format, zone })
    }

    /// Where the time may be, the first that is there counts, and whether these are only names that a time usually has.
    pub(crate) fn pointers(&self) -> (Vec<Pointer>, bool) {
        match &self.place {
            Where::None => (Vec::new(), false),
            Where::Members(pointers) => (pointers.clone(), false),
            Where::Usual => (USUAL.iter().map(|name| Pointer::member(name)).collect(), true),
        }
    }

    /// Reads a scalar, as it came in JSON.
    pub(crate) fn read(&self, raw: &str) -> Option<When> {
        match Read::of(raw).given() {
            Given::Text(text) => self.text(text.trim()),
            given @ (Given::Int(_) | Given::Float(_)) => self.number(given, raw),
            _ => None,
        }
    }

    /// The same of a member that was read already.
    pub(super) fn given(&self, given: Given<'_>) -> Option<When> {
        match given {
            Given::Text(text) => self.text(text.trim()),
            Given::Int(int) => self.number(given, &int.to_string()),
            Given::Float(number) => self.number(given, &number.to_string()),
            _ => None,
        }
    }

    /// Nothing is said about how the time is written.
    pub(crate) fn is_auto(&self) -> bool {
        self.format == Format::Auto
    }

    /// The same for a member that has a usual name, but may mean something else: a count must be from this century.
    pub(crate) fn guess(&self, raw: &str) -> Option<When> {
        let when = self.read(raw)?;
        (raw.starts_with('"') || when.us >= YEAR_2000_US).then_some(when)
    }

    fn number(&self, given: Given<'_>, written: &str) -> Option<When> {
        let size = given.number()?.abs();
        let (unit_us, unit) = match &self.format {
            Format::Unix { unit_us, unit } => (*unit_us, *unit),
            Format::Auto if size < 1e11 => (1e6, 1_000_000),
            Format::Auto if size < 1e14 => (1e3, 1_000),
            Format::Auto if size < 1e17 => (1.0, 1),
            Format::Auto => (1e-3, 0),
            Format::Rfc3339 => return None,
            Format::Strptime(_) => return self.strptime(written),
        };
        if size * unit_us >= END_US {
            return None;
        }
        let us = match given {
            Given::Int(count) if unit > 0 => count.checked_mul(unit)?,
            Given::Int(count) => count.div_euclid(1000),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "checked to be far inside the range"
            )]
            given => (given.number()? * unit_us).round() as i64,
        };
        Some(When { us, flags: Flags::default() })
    }

    /// A count that is written as a text.
    fn count(&self, text: &str) -> Option<When> {
        self.number(Read::of(text).given(), text)
    }

    fn text(&self, text: &str) -> Option<When> {
        match &self.format {
            Format::Strptime(_) => self.strptime(text),
            Format::Unix { .. } => self.count(text),
            Format::Rfc3339 => text.parse().ok().map(when),
            // Fewer digits are a year, or a time of the day.
            Format::Auto if text.len() >= 9 && text.len() != COMPACT_LEN && counts(text) => {
                self.count(text)
            }
            Format::Auto => match texts::read(text) {
                Some(Said::Instant(at)) => Some(when(at)),
                Some(Said::Count(ms)) => self.number(Given::Int(ms), text),
                Some(Said::Civil(told)) => self.zoned(told),
                Some(Said::Day(day)) => self.day(day.at(0, 0, 0, 0)),
                None if counts(text) && text.len() == COMPACT_LEN => self.count(text),
                None => None,
            },
        }
    }

    /// A time without a zone: it is in the rule's.
    fn zoned(&self, told: DateTime) -> Option<When> {
        let Some(zone) = &self.zone else {
            let us = TimeZone::UTC.to_timestamp(told).ok()?.as_microsecond();
            return Some(When { us, flags: Flags::LOCAL_TIME });
        };
        let at = zone.to_ambiguous_timestamp(told);
        let flags = match at.offset() {
            AmbiguousOffset::Unambiguous { .. } => Flags::default(),
            AmbiguousOffset::Gap { .. } => Flags::HOUR_SKIPPED,
            AmbiguousOffset::Fold { .. } => Flags::HOUR_TWICE,
        };
        // After a gap, and the first of two, as clocks show.
        Some(When { us: at.compatible().ok()?.as_microsecond(), flags })
    }

    /// Only a date.
    fn day(&self, midnight: DateTime) -> Option<When> {
        let when = self.zoned(midnight)?;
        Some(When { flags: when.flags | Flags::DATE_ONLY, ..when })
    }

    fn strptime(&self, text: &str) -> Option<When> {
        let Format::Strptime(pattern) = &self.format else { return None };
        let told = strtime::parse(pattern, text).ok()?;
        if let Ok(at) = told.to_timestamp() {
            return Some(when(at));
        }
        if told.hour().is_some() {
            return self.zoned(told.to_datetime().ok()?);
        }
        self.day(told.to_date().ok()?.to_datetime(jiff::civil::Time::midnight()))
    }
}

fn place(members: &Pointers) -> Result<Where, Mistake> {
    let pointers = members.texts().iter().map(|text| {
        Pointer::parse(text).filter(|pointer| !pointer.names().is_empty()).ok_or_else(|| {
            Mistake::new("time.member", format!("is no JSON pointer: `{text}` must be as /a/b"))
        })
    });
    let pointers: Vec<Pointer> = pointers.collect::<Result<_, _>>()?;
    Ok(if pointers.is_empty() { Where::Usual } else { Where::Members(pointers) })
}

fn format(text: &str) -> Result<Format, Mistake> {
    let unix = |unit_us, unit| Ok(Format::Unix { unit_us, unit });
    match text {
        "auto" => Ok(Format::Auto),
        "rfc3339" => Ok(Format::Rfc3339),
        "unix_s" => unix(1e6, 1_000_000),
        "unix_ms" => unix(1e3, 1_000),
        "unix_us" => unix(1.0, 1),
        "unix_ns" => unix(1e-3, 0),
        // The parser says what it does not know only when it comes to it, so it is tried on what it would write itself.
        pattern if pattern.contains('%') && strtime_knows(pattern) => {
            Ok(Format::Strptime(pattern.to_owned()))
        }
        _ => Err(Mistake::new(
            "time.format",
            "is none of auto, rfc3339, unix_s, unix_ms, unix_us, unix_ns, and no pattern of strptime",
        )),
    }
}

fn strtime_knows(pattern: &str) -> bool {
    let day = TimeZone::UTC.to_timestamp(jiff::civil::date(2026, 11, 25).at(19, 1, 25, 0));
    let Ok(written) = day.map(|day| day.to_zoned_datetime(TimeZone::UTC)) else { return false };
    let written = strtime::format(pattern, &written);
    written.is_ok_and(|written| strtime::parse(pattern, written).is_ok())
}

fn zone(name: &str) -> Result<TimeZone, Mistake> {
    let parsed = temporal::DateTimeParser::new().parse_time_zone(name);
    parsed.map_err(|_| {
        Mistake::new(
            "time.zone",
            format!("is unknown: `{name}` must be as Europe/Berlin or +02:00"),
        )
    })
}

fn when(at: Timestamp) -> When {
    When { us: at.as_microsecond(), flags: Flags::default() }
}

fn counts(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    [whole, part]
        .iter()
        .all(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests;
