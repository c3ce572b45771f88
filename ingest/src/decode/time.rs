//! When it happened: the fast way to read RFC 3339, its FHIR subset with missing parts, and what can't be right.

use std::borrow::Cow;

use lake::table::NAME_BYTES_MAX;

use super::clock::{Clock, When};
pub(crate) use super::eras::{DAY_US, YEAR_1900_US, YEAR_2000_US};
use super::json::{self, Given};
use crate::batch::flags::Flags;
use crate::batch::readings::ABSENT;

/// 2020-01-01T00:00:00Z: no source is older than this software.
const YEAR_2020_US: i64 = 1_577_836_800_000_000;
/// How far a source's clock may be ahead of ingest's.
const AHEAD_US: i64 = 7 * DAY_US;

/// Whether a source can't have received a message when it says so: its clock starts anew at each start, or runs ahead. An ingest
/// that has no clock itself believes everything.
pub(crate) fn received_is_absurd(received_us: i64, now_us: i64) -> bool {
    let judges = now_us >= YEAR_2020_US;
    judges && (received_us < YEAR_2020_US || received_us > now_us.saturating_add(AHEAD_US))
}

/// A parsed time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// Microseconds since the Unix epoch.
    pub(crate) us: i64,
    /// Only a date, a month or a year was given; the time is its first moment, UTC.
    pub(crate) date_only: bool,
}

/// Parses `YYYY-MM-DDThh:mm:ss[.fraction](Z|±hh:mm)`; a space may stand for the `T`. Digits beyond microseconds are cut off.
pub(crate) fn rfc3339(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let (date, rest) = bytes.split_at_checked(10)?;
    let days = date_days(date)?;
    let (clock, mut rest) = rest.split_at_checked(9)?;
    let &[b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2] = clock else { return None };
    let (hour, minute, second) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    // A leap second counts as the first moment of the next minute.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut fraction = 0;
    if let [b'.', digits @ ..] = rest {
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return None;
        }
        let digit = |place: usize| if place < count { i64::from(digits[place] - b'0') } else { 0 };
        fraction = (0..6).fold(0, |fraction, place| fraction * 10 + digit(place));
        rest = &digits[count..];
    }
    let zone_minutes = match *rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (two(h1, h2)?, two(m1, m2)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            if sign == b'-' { -(hours * 60 + minutes) } else { hours * 60 + minutes }
        }
        _ => return None,
    };
    let seconds = days * 86_400 + (hour * 60 + minute - zone_minutes) * 60 + second;
    Some(seconds * 1_000_000 + fraction)
}

/// Parses FHIR's `dateTime`, `instant` and `date`: RFC 3339, or `YYYY`, `YYYY-MM`, `YYYY-MM-DD`.
pub(crate) fn fhir(text: &str) -> Option<Parsed> {
    let bytes = text.as_bytes();
    let mut date = *b"0000-01-01";
    match bytes.len() {
        4 | 7 | 10 => date[..bytes.len()].copy_from_slice(bytes),
        _ => return Some(Parsed { us: rfc3339(text)?, date_only: false }),
    }
    Some(Parsed { us: date_days(&date)? * DAY_US, date_only: true })
}

/// When it happened: what the device says, unless that can't be. Returns event time, device time and flags.
pub(super) fn event(clock: &Clock, ts: Given<'_>, received_us: i64) -> (i64, i64, Flags) {
    let plain = match ts {
        // Most devices write it so: it is read ten times as fast.
        Given::Text(text) if clock.is_auto() => rfc3339(text),
        Given::Absent | Given::Null => return (received_us, ABSENT, Flags::TIME_MISSING),
        _ => None,
    };
    let when = match plain {
        Some(us) => Some(When { us, flags: Flags::default() }),
        None => clock.given(ts),
    };
    let Some(When { us, flags }) = when else {
        return (received_us, ABSENT, Flags::TIME_UNPARSABLE);
    };
    let (event_us, judged) = judged(us, received_us);
    (event_us, us, flags | judged)
}

/// Whether a time that could not be read, raw JSON, fits the column `time_text`; else it is kept in `extra`.
pub(super) fn has_column(raw: &str) -> bool {
    !raw.starts_with(['{', '[']) && raw.len() <= NAME_BYTES_MAX
}

/// What that column has of it.
pub(super) fn column_text(raw: &str) -> Option<Cow<'_, str>> {
    let fits = has_column(raw);
    fits.then(|| {
        if raw.starts_with('"') {
            json::text(raw).unwrap_or(Cow::Borrowed(raw))
        } else {
            Cow::Borrowed(raw)
        }
    })
}

/// The time of an event by what the device says, unless that can't be.
pub(super) fn judged(device_us: i64, received_us: i64) -> (i64, Flags) {
    if device_us < YEAR_2000_US || device_us > received_us.saturating_add(DAY_US) {
        (received_us, Flags::TIME_ABSURD)
    } else {
        (device_us, Flags::default())
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD` (Howard Hinnant's `days_from_civil`).
fn date_days(date: &[u8]) -> Option<i64> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = date else { return None };
    let (year, month, day) = (two(y1, y2)? * 100 + two(y3, y4)?, two(m1, m2)?, two(d1, d2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=length).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit())
        .then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, SecondsFormat};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rfc3339_with_zones_and_fractions() {
        assert_eq!(rfc3339("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(rfc3339("2026-08-01T02:00:00.123456789+02:00"), Some(1_785_542_400_123_456));
        assert_eq!(rfc3339("2026-07-31 19:00:00.5-05:00"), Some(1_785_542_400_500_000));
        assert_eq!(rfc3339("2016-12-31T23:59:60Z"), rfc3339("2017-01-01T00:00:00Z"));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "now",
            "2026-08-01",
            "2026-08-01T00:00:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-08-01T24:00:00Z",
            "2026-08-01T00:00:00.Z",
            "2026-08-01T00:00:00+2:00",
            "2026-08-01T00:00:00Zx",
            "20é6-08-01T00:00:00Z",
        ] {
            assert_eq!(rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn fhir_dates_are_the_first_moment_of_their_year_month_or_day() {
        let date = |us| Some(Parsed { us, date_only: true });
        assert_eq!(fhir("1970"), date(0));
        assert_eq!(fhir("1970-02"), date(31 * DAY_US));
        assert_eq!(fhir("1999-07-02"), date(10_774 * DAY_US));
        assert_eq!(
            fhir("2015-02-19T09:30:35+01:00"),
            Some(Parsed { us: 1_424_334_635_000_000, date_only: false })
        );
        assert_eq!(fhir("soon"), None);
    }

    #[test]
    fn what_a_source_says_is_believed_as_far_as_our_own_clock_allows() {
        let now = YEAR_2020_US + 1000 * DAY_US;
        for absurd in [0, -5, YEAR_2020_US - 1, now + AHEAD_US + 1, i64::MIN, i64::MAX] {
            assert!(received_is_absurd(absurd, now), "{absurd}");
            assert!(!received_is_absurd(absurd, 1_000_000), "{absurd}");
        }
        for fine in [YEAR_2020_US, now, now + AHEAD_US] {
            assert!(!received_is_absurd(fine, now), "{fine}");
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_chrono(us in YEAR_1900_US..4_102_444_800_000_000_i64) {
            let text = DateTime::from_timestamp_micros(us).unwrap().to_rfc3339_opts(SecondsFormat::Micros, true);
            prop_assert_eq!(rfc3339(&text), Some(us));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,40}") {
            let _any = (rfc3339(&text), fhir(&text));
        }
    }
}
