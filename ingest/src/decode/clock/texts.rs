//! Times as texts, in every way that can't be misread: the standards' and what programming languages and devices print.
//!
//! A day before its month with slashes (`11/12/2026`) is not among them: it needs a pattern in the rule.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::{rfc2822, strtime, temporal};
use jiff::tz::TimeZone;

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    Instant(Timestamp),
    /// Milliseconds since 1970.
    Count(i64),
    /// Nobody says the zone.
    Civil(DateTime),
    Day(Date),
}

/// Ways to write a time that are no standard, beside what [`temporal`] reads.
const PATTERNS: [&str; 12] = [
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%Y.%m.%d %H:%M:%S%.f",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M",
    "%Y%m%d%H%M%S",
    "%Y%m%d %H%M%S",
    // C's asctime.
    "%a %b %e %H:%M:%S %Y",
    // RFC 850, without its zone.
    "%A, %d-%b-%y %H:%M:%S",
    "%a, %d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%b %d, %Y %H:%M:%S",
];

/// The same with an offset.
const WITH_OFFSET: [&str; 5] = [
    "%Y-%m-%d %H:%M:%S%.f %z",
    "%Y/%m/%d %H:%M:%S%.f %z",
    "%d/%b/%Y:%H:%M:%S %z",
    // JavaScript's Date.
    "%a %b %d %Y %H:%M:%S GMT%z",
    "%a %b %e %H:%M:%S %z %Y",
];

/// Longest text that is looked at.
const TEXT_BYTES_MAX: usize = 96;

/// Reads a text without blanks around it.
pub(super) fn read(text: &str) -> Option<Said> {
    if text.len() < 8 || text.len() > TEXT_BYTES_MAX {
        return None;
    }
    standard(text).or_else(|| net(text)).or_else(|| utc(text)).or_else(|| pattern(text)).or_else(
        || {
            // JavaScript says the zone once more, in brackets.
            let (plain, _) = text.split_once(" (")?;
            pattern(plain)
        },
    )
}

/// ISO 8601 and RFC 3339, RFC 9557, RFC 2822 and HTTP's.
fn standard(text: &str) -> Option<Said> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(Said::Instant(at));
    }
    if let Ok(told) = temporal::DateTimeParser::new().parse_datetime(text) {
        // A date alone is its first moment for the parser.
        let day = !text.contains(':') && !text.contains(['T', 't', ' ']);
        return Some(if day { Said::Day(told.date()) } else { Said::Civil(told) });
    }
    rfc2822::parse(text).ok().map(|told| Said::Instant(told.timestamp()))
}

/// `/Date(1764093292000+0100)/`: the offset changes nothing about the instant.
fn net(text: &str) -> Option<Said> {
    let inside = text.strip_prefix("/Date(")?.strip_suffix(")/")?;
    let digits = inside.get(1..)?.find(['+', '-']).map_or(inside, |at| &inside[..=at]);
    digits.parse().ok().map(Said::Count)
}

/// A time that says in a word that it is in UTC.
fn utc(text: &str) -> Option<Said> {
    let without = [" UTC", " GMT", " Z", " utc", " UT"].iter().find_map(|word| {
        text.strip_suffix(word).map(str::to_owned).or_else(|| {
            // As the command `date` prints it, before the year.
            let (before, year) = text.rsplit_once(' ')?;
            Some(format!("{} {year}", before.strip_suffix(word)?))
        })
    })?;
    match standard(&without).or_else(|| pattern(&without))? {
        Said::Civil(told) => TimeZone::UTC.to_timestamp(told).ok().map(Said::Instant),
        said => Some(said),
    }
}

fn pattern(text: &str) -> Option<Said> {
    let parse = |pattern: &&str| strtime::parse(pattern, text).ok();
    if let Some(told) = WITH_OFFSET.iter().find_map(parse) {
        return told.to_timestamp().ok().map(Said::Instant);
    }
    PATTERNS.iter().find_map(parse)?.to_datetime().ok().map(Said::Civil)
}
