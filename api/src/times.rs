//! Times as the API writes and reads them, and the cursors of its lists.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::Error;

/// Longest time that somebody may ask for as a duration.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 366);

/// A time: RFC 3339, UTC, to the millisecond.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, format = DateTime)]
pub(crate) struct Time(String);

impl Time {
    /// Writes Unix microseconds.
    pub(crate) fn of(us: i64) -> Self {
        let at = Timestamp::from_microsecond(us);
        let at = at.unwrap_or(if us < 0 { Timestamp::MIN } else { Timestamp::MAX });
        Self(at.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
    }

    /// The same; what was never is not there.
    pub(crate) fn known(us: i64) -> Option<Self> {
        (us > 0).then(|| Self::of(us))
    }
}

/// Reads a time as Unix microseconds.
///
/// # Errors
/// 400 if it is none.
pub(crate) fn read(name: &str, text: &str) -> Result<i64, Error> {
    let at: Result<Timestamp, _> = text.parse();
    let bad = |_| Error::Bad(format!("{name} is no time: write it as 2026-11-26T12:00:00Z"));
    Ok(at.map_err(bad)?.as_microsecond())
}

/// Reads a duration such as `2h` as microseconds above 0.
///
/// # Errors
/// 400 if it is none.
pub(crate) fn read_span(name: &str, text: &str) -> Result<i64, Error> {
    let span: Option<SignedDuration> = text.parse().ok();
    let fits = span.filter(|span| *span > SignedDuration::ZERO && *span <= LONGEST);
    let us = fits.and_then(|span| i64::try_from(span.as_micros()).ok());
    us.ok_or_else(|| {
        Error::Bad(format!("{name} is no time span: write it as 30m or 2h, a year at most"))
    })
}

/// Writes where a page ends.
pub(crate) fn cursor(at: &impl Serialize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(at).unwrap_or_default())
}

/// Reads where the next page begins.
///
/// # Errors
/// 400 if it was not written here.
pub(crate) fn from_cursor<T: DeserializeOwned>(after: Option<&str>) -> Result<Option<T>, Error> {
    let Some(text) = after else { return Ok(None) };
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
    let at = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let bad =
        || Error::Bad("after is none of these lists: give the `next` of the page before".into());
    at.map(Some).ok_or_else(bad)
}

/// The length of a page.
pub(crate) fn page(limit: Option<u32>, usual: u32, most: u32) -> Result<usize, Error> {
    let limit = limit.unwrap_or(usual);
    if (1..=most).contains(&limit) {
        return Ok(limit as usize);
    }
    Err(Error::Bad(format!("limit must be 1 to {most}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_to_the_millisecond_and_read_in_any_zone() {
        assert_eq!(Time::of(1_790_000_000_123_456).0, "2026-09-21T14:13:20.123Z");
        assert_eq!(Time::of(i64::MIN).0.len(), Time::of(i64::MAX).0.len() + 1);
        assert_eq!(Time::known(i64::MIN), None);
        assert_eq!(read("from", "2026-09-21T16:13:20.5+02:00").unwrap(), 1_790_000_000_500_000);
        assert!(read("from", "yesterday").is_err());
    }

    #[test]
    fn spans_are_above_nothing_and_below_a_year() {
        assert_eq!(read_span("for", "2h").unwrap(), 7_200_000_000);
        for bad in ["", "0s", "-1h", "2 weeks ago", "100000h", "h"] {
            assert!(read_span("for", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_cursor_comes_back_as_it_was() {
        let at = ("icu".to_owned(), "mon-1".to_owned());
        let text = cursor(&at);
        assert_eq!(from_cursor::<(String, String)>(Some(&text)).unwrap(), Some(at));
        assert_eq!(from_cursor::<String>(None).unwrap(), None);
        for bad in ["x", "", "AAAA", &text[1..]] {
            assert!(from_cursor::<(String, String)>(Some(bad)).is_err(), "{bad}");
        }
    }
}
