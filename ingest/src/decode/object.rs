//! One JSON object the careful way: members are taken by name and converted if they plainly can be. What nobody takes, and
//! what does not fit its column, is left for `extra`.

use std::borrow::Cow;

use super::clock::Clock;
use super::extra::Extra;
use super::json::{self, Given};
use super::read::{Read, number};
use super::reject::Reject;
use super::time;
use crate::batch::flags::Flags;
use crate::batch::readings::ABSENT;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
    /// [`Flags::NOT_CONVERTED`] once a member did not fit its column.
    pub(super) flags: Flags,
}

/// The members that may say when it happened, the first that is there counts.
const TIMES: [&str; 3] = ["ts", "timestamp", "time"];
/// Whole numbers up to here are exact in a double.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

impl<'a> Object<'a> {
    /// Reads an object, not what is in its members.
    ///
    /// # Errors
    /// What is not sound, too deep or too large, or no object.
    pub(super) fn read(text: &'a str) -> Result<Self, Reject> {
        let mut object = Self::default();
        json::members(text, |name, raw| object.members.push((name, raw)))?;
        Ok(object)
    }

    fn place(&self, name: &str) -> Option<usize> {
        // Of several members of one name the last counts.
        self.members.iter().rposition(|(own, _)| own == name)
    }

    /// The value of a member, as it came.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.place(name).map(|place| self.members[place].1)
    }

    /// The same, and it is no part of `extra` any more.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a str> {
        self.place(name).map(|place| self.members.remove(place).1)
    }

    /// Takes an optional member if `convert` can do something with it; else it stays, and that is flagged.
    fn taken<T>(&mut self, name: &str, convert: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        let raw = self.raw(name)?;
        if raw == "null" {
            self.take(name);
            return None;
        }
        let converted = convert(raw);
        if converted.is_some() {
            self.take(name);
        } else {
            self.flags |= Flags::NOT_CONVERTED;
        }
        converted
    }

    /// A text, or a number as it is written.
    pub(super) fn text(&mut self, name: &str) -> Option<Cow<'a, str>> {
        self.taken(name, |raw| match Read::of(raw) {
            Read { given: Given::Text(_), text } => Some(text),
            Read { given: Given::Int(_) | Given::Float(_), .. } => Some(Cow::Borrowed(raw)),
            _ => None,
        })
    }

    /// A whole number, also one with a fraction of 0 or as text.
    pub(super) fn int(&mut self, name: &str) -> Option<i64> {
        self.taken(name, |raw| {
            let int = match Read::of(raw) {
                Read { given: Given::Text(_), text } => whole(number(&text)),
                Read { given, .. } => whole(given),
            };
            int.filter(|int| *int != ABSENT)
        })
    }

    /// A number, also one as text.
    pub(super) fn number(&mut self, name: &str) -> Option<f64> {
        self.taken(name, |raw| match Read::of(raw) {
            Read { given: Given::Text(_), text } => number(&text).number(),
            Read { given, .. } => given.number(),
        })
    }

    /// When it happened, by the device: event time, device time and what is remarkable about them; and the text of a time that
    /// can't be read. What stands beside it, or has no column, stays.
    pub(super) fn time(
        &mut self,
        clock: &Clock,
        received_us: i64,
    ) -> ((i64, i64, Flags), Option<Cow<'a, str>>) {
        let said = |name: &&&str| self.raw(name).is_some_and(|raw| raw != "null");
        let Some(name) = TIMES.iter().find(said) else {
            self.take("ts");
            return (time::event(clock, Given::Absent, received_us), None);
        };
        let raw = self.raw(name).unwrap_or_default();
        let when = time::event(clock, Read::of(raw).given(), received_us);
        let text = match when.2.has(Flags::TIME_UNPARSABLE) {
            true => time::column_text(raw),
            false => None,
        };
        if text.is_some() || !when.2.has(Flags::TIME_UNPARSABLE | Flags::TIME_MISSING) {
            self.take(name);
        }
        (when, text)
    }

    /// What nobody has taken.
    pub(super) fn rest(self) -> Extra<'a> {
        let mut extra = Extra::default();
        for (name, raw) in self.members {
            extra.add(name, raw);
        }
        extra
    }
}

fn whole(given: Given<'_>) -> Option<i64> {
    match given {
        Given::Int(int) => Some(int),
        #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
        Given::Float(number) if number.fract() == 0.0 && number.abs() <= EXACT_MAX => {
            Some(number as i64)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECEIVED_US: i64 = 1_785_542_400_000_000;

    fn rest(object: Object<'_>) -> String {
        object.rest().text("t", None).unwrap().unwrap_or_default()
    }

    #[test]
    fn inv10_what_can_plainly_be_converted_is_and_the_rest_stays() {
        let text = r#"{"a":"3","b":17.0,"c":"97.5","d":7,"e":true,"f":"full","g":null,"h":1.5,"i":"-0x1","j":"\ud800","k":1e999,"l":-9223372036854775808}"#;
        let mut object = Object::read(text).unwrap();
        assert_eq!((object.int("a"), object.int("b")), (Some(3), Some(17)));
        assert_eq!((object.number("c"), object.text("d").as_deref()), (Some(97.5), Some("7")));
        assert_eq!((object.text("g"), object.int("missing")), (None, None));
        assert_eq!(object.flags, Flags::default());
        assert_eq!((object.text("e"), object.number("f"), object.int("h")), (None, None, None));
        assert_eq!((object.int("i"), object.text("j"), object.number("k")), (None, None, None));
        assert_eq!(object.int("l"), None, "it stands for none");
        assert_eq!(object.flags, Flags::NOT_CONVERTED);
        let expected = r#"{"e":true,"f":"full","h":1.5,"i":"-0x1","j":"\ud800","k":1e999,"l":-9223372036854775808}"#;
        assert_eq!(rest(object), expected);
        for never in ["NaN", "inf", "+1", "0x10", "1_000", "01", ""] {
            let text = format!(r#"{{"a":"{never}"}}"#);
            assert_eq!(Object::read(&text).unwrap().number("a"), None, "{never}");
        }
    }

    #[test]
    fn inv10_of_two_members_of_one_name_the_last_counts_and_the_first_stays() {
        let mut object = Object::read(r#"{"a":1,"b":[2 ],"a":3,"\u0061":4}"#).unwrap();
        assert_eq!(object.int("a"), Some(4));
        assert_eq!(rest(object), r#"{"a":1,"b":[2 ],"a":3}"#);
    }

    #[test]
    fn inv10_a_time_that_cannot_be_read_or_is_one_too_many_stays() {
        for (text, at, left) in [
            (r#"{"timestamp":1764093292000}"#, Some(1_764_093_292_000_000), ""),
            (r#"{"time":"2026-07-31T23:00:00Z"}"#, Some(1_785_538_800_000_000), ""),
            (r#"{"time":1,"ts":1764093292000}"#, Some(1_764_093_292_000_000), r#"{"time":1}"#),
            (r#"{"ts":null,"time":1764093292000}"#, Some(1_764_093_292_000_000), r#"{"ts":null}"#),
            (r#"{"ts":"yesterday"}"#, None, ""),
            (r#"{"time":true}"#, None, ""),
            (r#"{"ts":{"a":1}}"#, None, r#"{"ts":{"a":1}}"#),
            (r#"{"ts":null}"#, None, ""),
            ("{}", None, ""),
        ] {
            let mut object = Object::read(text).unwrap();
            let ((event_us, device_us, flags), written) =
                object.time(&Clock::default(), RECEIVED_US);
            let none = flags.has(Flags::TIME_UNPARSABLE | Flags::TIME_MISSING);
            assert_eq!(none, at.is_none(), "{text}");
            assert_eq!((event_us, device_us), (at.unwrap_or(RECEIVED_US), at.unwrap_or(ABSENT)));
            assert_eq!(rest(object), left, "{text}");
            let unread = flags.has(Flags::TIME_UNPARSABLE) && left.is_empty();
            assert_eq!(written.is_some(), unread, "{text}");
        }
    }
}
