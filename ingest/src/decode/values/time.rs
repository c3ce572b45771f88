//! When it happened, in whatever way a device writes that: text of many kinds, or a count since 1970.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime, temporal};
use jiff::tz::TimeZone;

use super::settings::{Pointers, Time, Written};
use crate::decode::json::Given;
use crate::decode::object::Read;
use crate::decode::sound::Pointer;
use crate::decode::time::YEAR_2000_US;
use crate::mistake::Mistake;

/// Members that say when it happened, where no setting says which does.
pub(super) const USUAL: [&str; 11] = [
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
    pub(super) place: Where,
    format: Format,
    /// UTC if nobody says it.
    zone: Option<TimeZone>,
}

/// Where the time is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Where {
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
    /// Nobody says its zone.
    pub(crate) local: bool,
    /// Only a date.
    pub(crate) date_only: bool,
}

/// Ways to write a time that are no standard and yet cannot be misread.
const RELATIVES: [&str; 3] = ["%Y/%m/%d %H:%M:%S%.f", "%Y.%m.%d %H:%M:%S%.f", "%Y%m%d%H%M%S"];
/// Digits of the last of them: as a count they would be a time of another millennium.
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
        let read = Read::of(raw);
        match read.given() {
            Given::Text(text) => self.text(text.trim()),
            Given::Int(_) | Given::Float(_) => self.number(raw),
            _ => None,
        }
    }

    /// The same for a member that has a usual name, but may mean something else: a count must be from this century.
    pub(crate) fn guess(&self, raw: &str) -> Option<When> {
        let when = self.read(raw)?;
        (raw.starts_with('"') || when.us >= YEAR_2000_US).then_some(when)
    }

    fn number(&self, number: &str) -> Option<When> {
        let given = Read::of(number);
        let given = given.given();
        let size = given.number()?.abs();
        let (unit_us, unit) = match &self.format {
            Format::Unix { unit_us, unit } => (*unit_us, *unit),
            Format::Auto if size < 1e11 => (1e6, 1_000_000),
            Format::Auto if size < 1e14 => (1e3, 1_000),
            Format::Auto if size < 1e17 => (1.0, 1),
            Format::Auto => (1e-3, 0),
            Format::Rfc3339 => return None,
            Format::Strptime(_) => return self.strptime(number),
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
        Some(When { us, local: false, date_only: false })
    }

    fn text(&self, text: &str) -> Option<When> {
        match &self.format {
            Format::Strptime(_) => self.strptime(text),
            Format::Unix { .. } => self.number(text),
            Format::Rfc3339 => instant(text),
            // Fewer digits are a year, or a time of the day.
            Format::Auto if text.len() == COMPACT_LEN && text.starts_with("20") => {
                self.relative(text).or_else(|| self.number(text))
            }
            Format::Auto if text.len() >= 9 && counts(text) => self.number(text),
            Format::Auto => instant(text)
                .or_else(|| self.civil(text))
                .or_else(|| rfc2822::parse(text).ok().map(|told| when(told.timestamp())))
                .or_else(|| self.relative(text)),
        }
    }

    /// A time without a zone.
    fn civil(&self, text: &str) -> Option<When> {
        let told: DateTime = temporal::DateTimeParser::new().parse_datetime(text).ok()?;
        let mut when = self.zoned(told)?;
        when.date_only = text.len() <= 10;
        Some(when)
    }

    fn zoned(&self, told: DateTime) -> Option<When> {
        let local = self.zone.is_none();
        let zone = self.zone.clone().unwrap_or(TimeZone::UTC);
        Some(When { local, ..when(zone.to_timestamp(told).ok()?) })
    }

    /// A time without a zone that is nearly as the standard wants it.
    fn relative(&self, text: &str) -> Option<When> {
        let told = RELATIVES.iter().find_map(|pattern| strtime::parse(pattern, text).ok())?;
        self.zoned(told.to_datetime().ok()?)
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
        let midnight = told.to_date().ok()?.to_datetime(jiff::civil::Time::midnight());
        Some(When { date_only: true, ..self.zoned(midnight)? })
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

/// A time with its zone.
fn instant(text: &str) -> Option<When> {
    text.parse::<Timestamp>().ok().map(when)
}

fn when(at: Timestamp) -> When {
    When { us: at.as_microsecond(), local: false, date_only: false }
}

fn counts(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    [whole, part]
        .iter()
        .all(|digits| !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::time::DAY_US;

    const EVENING: i64 = 1_795_633_285_000_000;

    fn clock(format: &str, zone: &str) -> Clock {
        let (format, zone) = (Some(format.to_owned()), (!zone.is_empty()).then(|| zone.to_owned()));
        Clock::new(Some(&Time::Written(Written { format, zone, ..Written::default() }))).unwrap()
    }

    fn read(clock: &Clock, raw: &str) -> Option<(i64, bool)> {
        clock.read(raw).map(|when| (when.us - EVENING, when.local))
    }

    #[test]
    fn what_devices_write_is_read_without_being_told() {
        let clock = Clock::default();
        for raw in [
            "\"2026-11-25T19:01:25Z\"",
            "\"2026-11-25T19:01:25.000+00:00\"",
            "\"2026-11-25 20:01:25+01:00\"",
            "\"20261125T190125Z\"",
            "\"2026-11-25T20:01:25+0100\"",
            "\"Wed, 25 Nov 2026 19:01:25 +0000\"",
            "1795633285",
            "1795633285.000",
            "1795633285000",
            "1795633285000000",
            "1795633285000000000",
            "\"1795633285\"",
            "\"1795633285.0\"",
        ] {
            assert_eq!(read(&clock, raw), Some((0, false)), "{raw}");
        }
        for raw in [
            "\"2026-11-25T19:01:25\"",
            "\"2026-11-25 19:01:25\"",
            "\"2026-11-25 19:01:25.000\"",
            "\"2026/11/25 19:01:25\"",
            "\"2026.11.25 19:01:25\"",
            "\"20261125190125\"",
        ] {
            assert_eq!(read(&clock, raw), Some((0, true)), "{raw}");
        }
        assert_eq!(read(&clock, "1795633285.25"), Some((250_000, false)));
        assert_eq!(read(&clock, "\"2026/11/25 19:01:25.25\""), Some((250_000, true)));
        let day = clock.read("\"2026-11-25\"").unwrap();
        assert_eq!((day.us % DAY_US, day.local, day.date_only), (0, true, true));
        for raw in [
            "\"yesterday\"",
            "\"\"",
            "\"19:01\"",
            "\"2026\"",
            "true",
            "null",
            "{}",
            "1e300",
            "\"2026-02-30T00:00:00Z\"",
        ] {
            assert_eq!(read(&clock, raw), None, "{raw}");
        }
    }

    #[test]
    fn a_count_that_is_no_time_of_this_century_is_no_guess() {
        let clock = Clock::default();
        assert_eq!(clock.guess("12"), None);
        assert_eq!(clock.read("12").unwrap().us, 12_000_000);
        assert!(
            clock.guess("1795633285").is_some()
                && clock.guess("\"1999-01-01T00:00:00Z\"").is_some()
        );
    }

    #[test]
    fn a_format_and_a_zone_are_taken_at_their_word() {
        for (format, zone, raw) in [
            ("unix_s", "", "1795633285"),
            ("unix_ms", "", "\"1795633285000\""),
            ("unix_us", "", "1795633285000000"),
            ("unix_ns", "", "1795633285000000000"),
            ("rfc3339", "", "\"2026-11-25T19:01:25Z\""),
            ("auto", "Europe/Berlin", "\"2026-11-25T20:01:25\""),
            ("auto", "+02:00", "\"2026-11-25 21:01:25\""),
            ("%d.%m.%Y %H:%M:%S", "Europe/Berlin", "\"25.11.2026 20:01:25\""),
            ("%d/%b/%Y:%H:%M:%S %z", "", "\"25/Nov/2026:20:01:25 +0100\""),
            ("%Y%m%d%H%M%S", "UTC", "20261125190125"),
        ] {
            assert_eq!(read(&clock(format, zone), raw), Some((0, false)), "{format} {raw}");
        }
        assert_eq!(
            read(&clock("%Y-%m-%d %H:%M:%S", ""), "\"2026-11-25 19:01:25\""),
            Some((0, true))
        );
        assert_eq!(read(&clock("unix_s", ""), "\"2026-11-25T19:01:25Z\""), None);
        assert!(clock("%Y-%m-%d", "UTC").read("\"2026-11-25\"").unwrap().date_only);
        // An hour that there was not is the one after it, as clocks show.
        let spring = clock("auto", "Europe/Berlin").read("\"2026-03-29T02:30:00\"").unwrap();
        assert_eq!(spring.us, 1_774_747_800_000_000);
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let of = |written| Clock::new(Some(&Time::Written(written))).unwrap_err().key;
        let format = |text: &str| of(Written { format: Some(text.into()), ..Written::default() });
        assert_eq!(format("unix"), "time.format");
        assert_eq!(format("%Q %!"), "time.format");
        let zone = |text: &str| of(Written { zone: Some(text.into()), ..Written::default() });
        assert_eq!(zone("Europe/Nowhere"), "time.zone");
        let member = Pointers::One("ts".into());
        assert_eq!(of(Written { member, ..Written::default() }), "time.member");
        assert_eq!(Clock::new(Some(&Time::Any(false))).unwrap().place, Where::None);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,40}", number in any::<f64>()) {
            for clock in [Clock::default(), clock("unix_ns", ""), clock("%d.%m.%Y", "Europe/Berlin")] {
                let _any = (clock.read(&serde_json::Value::from(text.clone()).to_string()), clock.read(&text), clock.read(&number.to_string()));
            }
        }
    }
}
