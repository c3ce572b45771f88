//! Times as recorded series have them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{strtime, temporal};
use jiff::tz::TimeZone;

/// How a time is written.
#[derive(Debug, Clone, PartialEq)]
enum Format {
    Auto,
    /// So many nanoseconds.
    Unix(i128),
    Strptime(String),
}

/// How the times of a file are read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Times {
    format: Format,
    zone: TimeZone,
}

/// Ways that are no standard and can't be misread. A month before its day is not among them.
const PATTERNS: [&str; 5] = [
    "%Y/%m/%d %H:%M:%S%.f",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M",
    "%Y%m%d%H%M%S",
];

impl Times {
    /// By what an operator says.
    ///
    /// # Errors
    /// The setting that makes no sense, with what is wrong.
    pub(super) fn new(format: Option<&str>, zone: Option<&str>) -> Result<Self, String> {
        let format = match format.unwrap_or("auto") {
            "auto" => Format::Auto,
            "unix_s" => Format::Unix(1_000_000_000),
            "unix_ms" => Format::Unix(1_000_000),
            "unix_us" => Format::Unix(1_000),
            "unix_ns" => Format::Unix(1),
            pattern if pattern.contains('%') => Format::Strptime(pattern.to_owned()),
            other => {
                return Err(format!(
                    "time_format `{other}` is none of auto, unix_s, unix_ms, unix_us, unix_ns, and no pattern such as %d.%m.%Y %H:%M"
                ));
            }
        };
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => temporal::DateTimeParser::new().parse_time_zone(name).map_err(|_| {
                format!("zone `{name}` is unknown: it must be as Europe/Berlin or +02:00")
            })?,
        };
        Ok(Self { format, zone })
    }

    /// Reads a cell: microseconds since 1970.
    pub(super) fn read(&self, cell: &str) -> Option<i64> {
        let cell = cell.trim();
        match &self.format {
            Format::Unix(unit) => count(cell, *unit),
            Format::Strptime(pattern) => self.pattern(pattern, cell),
            Format::Auto => self.auto(cell),
        }
    }

    fn auto(&self, cell: &str) -> Option<i64> {
        if let Ok(at) = cell.parse::<Timestamp>() {
            return Some(at.as_microsecond());
        }
        if let Ok(told) = temporal::DateTimeParser::new().parse_datetime(cell) {
            return self.local(told);
        }
        // Fewer digits are a year, or a number of the line.
        let whole = cell.split('.').next().unwrap_or_default();
        let digits = whole.bytes().all(|digit| digit.is_ascii_digit());
        if digits && (9..=19).contains(&whole.len()) && whole.len() != 14 {
            let unit = match whole.len() {
                0..=11 => 1_000_000_000,
                12..=14 => 1_000_000,
                15..=17 => 1_000,
                _ => 1,
            };
            return count(cell, unit);
        }
        PATTERNS.iter().find_map(|pattern| self.pattern(pattern, cell))
    }

    fn pattern(&self, pattern: &str, cell: &str) -> Option<i64> {
        let told = strtime::parse(pattern, cell).ok()?;
        if let Ok(at) = told.to_timestamp() {
            return Some(at.as_microsecond());
        }
        let midnight = || Some(told.to_date().ok()?.to_datetime(jiff::civil::Time::midnight()));
        self.local(told.to_datetime().ok().or_else(midnight)?)
    }

    fn local(&self, told: DateTime) -> Option<i64> {
        self.zone.to_timestamp(told).ok().map(Timestamp::as_microsecond)
    }
}

/// A count since 1970 with an optional fraction, exactly.
fn count(cell: &str, unit_ns: i128) -> Option<i64> {
    let (whole, part) = cell.split_once(['.', ',']).unwrap_or((cell, ""));
    let digits = |text: &str| text.bytes().all(|digit| digit.is_ascii_digit());
    if whole.is_empty() || part.len() > 9 || !digits(part) || !digits(whole.trim_start_matches('-'))
    {
        return None;
    }
    let places = 10_i128.pow(u32::try_from(part.len()).ok()?);
    let part: i128 = if part.is_empty() { 0 } else { part.parse().ok()? };
    let nanoseconds = whole.parse::<i128>().ok()?.checked_mul(unit_ns)? + part * unit_ns / places;
    let us = i64::try_from(nanoseconds.div_euclid(1000)).ok()?;
    Timestamp::from_microsecond(us).ok().map(|_| us)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENING: i64 = 1_795_633_285_000_000;

    #[test]
    fn what_recorders_write_is_read_and_what_can_be_misread_is_not() {
        let times = Times::new(None, None).unwrap();
        for cell in [
            "2026-11-25T19:01:25Z",
            "2026-11-25 19:01:25",
            "2026-11-25T20:01:25+01:00",
            " 25.11.2026 19:01:25 ",
            "2026/11/25 19:01:25",
            "20261125190125",
            "1795633285",
            "1795633285.0",
            "1795633285000",
            "1795633285000000",
            "1795633285000000000",
        ] {
            assert_eq!(times.read(cell), Some(EVENING), "{cell}");
        }
        for cell in ["", "soon", "11/25/2026 19:01", "12", "2026", "2026-13-01T00:00:00Z", "1e9"] {
            assert_eq!(times.read(cell), None, "{cell}");
        }
    }

    #[test]
    fn format_and_zone_are_taken_at_their_word() {
        for (format, zone, cell) in [
            ("auto", "Europe/Berlin", "2026-11-25 20:01:25"),
            ("%m/%d/%Y %I:%M:%S %p", "+01:00", "11/25/2026 08:01:25 PM"),
            ("unix_s", "UTC", "1795633285"),
            ("unix_ms", "UTC", "1795633285000"),
        ] {
            let times = Times::new(Some(format), Some(zone)).unwrap();
            assert_eq!(times.read(cell), Some(EVENING), "{cell}");
        }
        assert!(Times::new(Some("unix"), None).unwrap_err().contains("unix_s"));
        assert!(Times::new(None, Some("Mars")).unwrap_err().contains("Europe/Berlin"));
    }
}
