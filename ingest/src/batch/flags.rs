//! What is remarkable about a row, and the quality that follows from it.

use std::ops::{BitAnd, BitOr, BitOrAssign};

/// A set of flags. The bits are in the order of the names, so that the joined names are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Flags(pub(crate) u64);

/// A flag, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Flag {
    /// As it stands in the column `flags`.
    pub name: &'static str,
    /// What it means.
    pub about: &'static str,
    /// What to do about it, or with the row.
    pub remedy: &'static str,
}

macro_rules! flags {
    ($($flag:ident = $name:literal: $about:literal => $remedy:literal;)*) => {
        #[expect(clippy::upper_case_acronyms, non_camel_case_types, reason = "the flags, by place")]
        #[derive(Clone, Copy)]
        enum Bit { $($flag,)* }

        impl Flags {
            $(#[doc = $about] pub(crate) const $flag: Self = Self(1 << Bit::$flag as u64);)*
        }

        /// Every flag, sorted by name.
        pub const FLAGS: &[Flag] = &[$(Flag { name: $name, about: $about, remedy: $remedy },)*];
    };
}

flags! {
    ABSENT = "absent": "There is no value: null was sent, or why there is none."
        => "Leave it out of figures; of FHIR `absent_reason` says why.";
    BOOLEAN = "boolean": "The device sent true or false: the value is 1 or 0."
        => "Nothing: use it as 0 or 1.";
    CODE_MISSING = "code_missing": "A value of the Observation has no code: it is no reading."
        => "Have the sender give each value and component a `code`; the resource has the value.";
    COMPARATOR = "comparator": "Only a bound is known: the true value is so against `value` as `comparator` says."
        => "Compare it with limits only; it belongs in no average.";
    COMPOUND = "compound": "The value is a range, a ratio or a period: `value_text` has it."
        => "Read `value_text`; of an event `value_low` and `value_high` have the ends of a range.";
    DATE_OF_LANDING = "date_of_landing": "Its message has more dates than a landing may touch: `event_date` is that of the landing."
        => "Select it by `event_ts`, and widen `event_date` to the day it was received; send old data in smaller pieces.";
    DATE_ONLY = "date_only": "Only a date was given: the time is its first moment, UTC."
        => "Do not order it within its day; `effective_end` is the last moment that it may mean.";
    DECIMAL_COMMA = "decimal_comma": "The number was written with a comma: `value_text` has it as it came."
        => "Nothing, if the sender writes so; else say `decimal_comma = false` in the topic's rule.";
    EXTRA_TOO_LONG = "extra_too_long": "What has no column is too long for `extra`: a dead letter has the whole message."
        => "Look at the dead letter of the message; give the members that matter a column (a declared table), or have the sender leave out what nobody needs.";
    HOUR_SKIPPED = "hour_skipped": "The local time fell into an hour that daylight saving leaves out: the hour after it was taken."
        => "Have the device send UTC or an offset; look at its clock and at the rule's `zone`.";
    HOUR_TWICE = "hour_twice": "The local time was there twice when daylight saving ended: the first was taken."
        => "Have the device send UTC or an offset; it may be an hour later.";
    INTEGER_BEYOND_DOUBLE = "integer_beyond_double": "A whole number that a double can't hold exactly: `value` is the nearest, `value_text` has its digits."
        => "Use `value_text` where each digit counts, as of a serial number.";
    LOCAL_TIME = "local_time": "The time came without a zone and was taken for UTC."
        => "Say the `zone` in the topic's rule, or have the device send UTC or an offset.";
    MAYBE_REPEAT = "maybe_repeat": "The message may be in the lake already under another epoch: its source's spool was cloned or restored."
        => "Leave it out where each may count once and the other epoch has the same; do not run clones of a spool.";
    NO_VALUE_WORD = "no_value_word": "A text that stands for no value: `value_text` has it as it came."
        => "Leave it out of figures; if the word means something, `words` of the decoder `values` makes it a number.";
    NOT_A_NUMBER = "not_a_number": "A text where the metric is a number: it is in `value_text`."
        => "Read `value_text`; `words` of the decoder `values` makes a word a number.";
    NOT_CONVERTED = "not_converted": "A member is not what its column takes: it is in `extra`, as it came."
        => "Look at `extra` (of FHIR at `resource`); have the sender write what the column takes, or name the member otherwise in the rule.";
    NOT_FINAL = "not_final": "The result is not final, or does not say so: `status` has what it says."
        => "Wait for the final version of the resource (view `ehr_current`), or take it as preliminary.";
    OUT_OF_RANGE = "out_of_range": "Outside the metric's plausible range."
        => "Look at the patient or the probe before the figure is used; a scale or unit that is wrong is mended by `scale` or `unit` of the decoder `values`.";
    PLANNED = "planned": "It tells of the future: `effective_start` says when, `event_ts` when that was written down or received."
        => "Do not take it for something that has happened.";
    RECEIVED_ABSURD = "received_absurd": "The time at which the source says that it received the message can't be right: ingest's own stands in."
        => "Set the clock of the gateway or agent (NTP).";
    REPEAT = "repeat": "It was sent already: the same boot and number, or the same payload or resource where it says when it is from, or a retained message once more."
        => "Leave it out where each may count once; a message that is sent again and again may mean a lost PUBACK, or a device that counts anew without a new `boot`.";
    RETRACTED = "retracted": "It was entered in error, or the measurement was cancelled: the value is no result."
        => "Leave it out; the view `ehr_current` has what holds instead.";
    SAMPLED = "sampled": "It is from a series of samples in one message."
        => "Nothing: its time is its own.";
    SAMPLES_IN_RESOURCE = "samples_in_resource": "More than 10,000 samples in one message: they are in the resource (`ehr_events`)."
        => "Read them there, or have the sender cut the series.";
    SENTINEL = "sentinel": "A code for \"no value\": `value_text` has it as it came."
        => "Leave it out of figures: the device had none.";
    TEXT_NUMBER = "text_number": "The number came as a text: `value_text` has it as it came."
        => "Nothing; have the device send numbers without quotes if that is simple.";
    TIME_ABSURD = "time_absurd": "The device's time can't be right (before 2000, more than a day ahead): `received_ts` stands in unless it could be corrected, `device_ts` has it."
        => "Set the device's clock, or say in the topic's rule how its times are written (`time`).";
    TIME_CORRECTED = "time_corrected": "The device's clock is wrong by a known time: `event_ts` is corrected by it, `device_ts` is as it came."
        => "Set the device's clock; until then use `event_ts`.";
    TIME_MISSING = "time_missing": "The message says no time: `received_ts` stands in."
        => "Have the device say a time; of a retained message or a backlog `event_ts` may be far too late.";
    TIME_RECORDED = "time_recorded": "It does not say when it happened: the time is when it was written down."
        => "Take it as no earlier than it happened, not as when.";
    TIME_RELATIVE = "time_relative": "When it happened is an age, a range or a text: the resource has it."
        => "Read the resource; do not order by `event_ts`.";
    TIME_UNPARSABLE = "time_unparsable": "The time can't be read: `received_ts` stands in, `time_text` (or `extra`, if it is no plain value) has it as it came."
        => "Say how its times are written in the topic's rule (`time`): later rows have them, those that are there keep the text.";
    UNIT_CHANGED = "unit_changed": "The device named another unit for the metric before."
        => "Look whether the device was replaced or set up anew; compare values before and after only in the same unit.";
    UNIT_CONVERTED = "unit_converted": "Converted to the catalogue's unit: `value_original` and `unit_original` have what came."
        => "Nothing: the value is in the catalogue's unit.";
    UNIT_DIFFERS = "unit_differs": "Not the catalogue's unit, nor one that can be converted to it: the range was not checked."
        => "Do not compare it with other values of the metric; `unit` of the decoder `values` names the right one, `rename` another metric.";
    UNKNOWN_METRIC = "unknown_metric": "The metric is not in the catalogue: its range was not checked."
        => "Check it yourself; if the catalogue has it by another name, `rename` of the decoder `values` gives it that.";
    UNKNOWN_WORD = "unknown_word": "The catalogue knows the metric, but not this word or number for it: nothing checked it."
        => "Look whether it is a new state of the device; nothing was judged by it.";
    UNMAPPED = "unmapped": "No rule of the configuration is for the topic: a built-in one made the row."
        => "Have a rule made: `tidemark map suggest`.";
    VALUE_IN_EXTRA = "value_in_extra": "The value is an object, an array or beyond a double: it is in `extra`, as it came."
        => "Read it in `extra`; the decoder `values` makes readings of what is inside, the decoder `json` rows of a table.";
    WORD = "word": "The number stands for a word, which is in `value_text`."
        => "Nothing: the word is what was sent.";
}

/// The values of the column `quality`.
pub(crate) const QUALITIES: [&str; 4] = ["bad", "good", "suspect", "unchecked"];
/// The values of the column `time_source`.
pub(crate) const TIME_SOURCES: [&str; 3] = ["corrected", "device", "received"];

impl Flags {
    /// There is no value that may be used.
    const BAD: Self = Self(
        Self::ABSENT.0
            | Self::NOT_A_NUMBER.0
            | Self::NO_VALUE_WORD.0
            | Self::RETRACTED.0
            | Self::SAMPLES_IN_RESOURCE.0
            | Self::SENTINEL.0
            | Self::VALUE_IN_EXTRA.0,
    );
    /// Something speaks against the value or its time.
    const SUSPECT: Self = Self(
        Self::COMPARATOR.0
            | Self::COMPOUND.0
            | Self::HOUR_SKIPPED.0
            | Self::HOUR_TWICE.0
            | Self::LOCAL_TIME.0
            | Self::NOT_FINAL.0
            | Self::OUT_OF_RANGE.0
            | Self::TIME_ABSURD.0
            | Self::TIME_RELATIVE.0
            | Self::TIME_UNPARSABLE.0
            | Self::UNIT_DIFFERS.0,
    );
    /// Nothing is known that the value could be checked by.
    const UNCHECKED: Self = Self(Self::UNKNOWN_METRIC.0 | Self::UNKNOWN_WORD.0);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names, joined by commas; `None` for the empty set.
    pub(crate) fn text(self) -> Option<String> {
        let set = FLAGS.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1);
        let names: Vec<&str> = set.map(|(_, flag)| flag.name).collect();
        (!names.is_empty()).then(|| names.join(","))
    }

    /// Number of whose time the event's is in [`TIME_SOURCES`].
    pub(crate) fn time_source(self) -> u8 {
        let received = Self::TIME_MISSING | Self::TIME_UNPARSABLE | Self::TIME_ABSURD;
        match (self.has(Self::TIME_CORRECTED), self.has(received)) {
            (true, _) => 0,
            (_, true) => 2,
            _ => 1,
        }
    }

    /// Number of the quality in [`QUALITIES`].
    pub(crate) fn quality(self) -> u8 {
        if self.has(Self::BAD) {
            0
        } else if self.has(Self::SUSPECT) {
            2
        } else if self.has(Self::UNCHECKED) {
            3
        } else {
            1
        }
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Flags {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitOrAssign for Flags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_the_worst_flag_makes_the_quality() {
        assert!(FLAGS.is_sorted() && QUALITIES.is_sorted());
        assert_eq!(Flags::default().text(), None);
        assert_eq!((Flags::WORD | Flags::UNMAPPED).text().unwrap(), "unmapped,word");
        let both = Flags::UNKNOWN_METRIC | Flags::SENTINEL;
        assert_eq!(both.text().unwrap(), "sentinel,unknown_metric");
        let quality = |flags: Flags| QUALITIES[usize::from(flags.quality())];
        assert_eq!(quality(both), "bad");
        assert_eq!(quality(Flags::TIME_ABSURD | Flags::UNKNOWN_METRIC), "suspect");
        assert_eq!(quality(Flags::UNKNOWN_METRIC | Flags::TEXT_NUMBER), "unchecked");
        assert_eq!(quality(Flags::default()), "good");
    }

    /// INV-11: what each flag makes of a row that is `good` without it.
    #[test]
    fn inv11_every_flag_has_a_quality() {
        let expected = [
            (
                "bad",
                "absent no_value_word not_a_number retracted samples_in_resource sentinel value_in_extra",
            ),
            (
                "suspect",
                "comparator compound hour_skipped hour_twice local_time not_final out_of_range time_absurd time_relative time_unparsable unit_differs",
            ),
            ("unchecked", "unknown_metric unknown_word"),
            (
                "good",
                "boolean code_missing date_of_landing date_only decimal_comma extra_too_long integer_beyond_double maybe_repeat \
                 not_converted planned received_absurd repeat sampled text_number time_corrected time_missing time_recorded unit_changed unit_converted unmapped word",
            ),
        ];
        let of = |name: &str| {
            expected.iter().find(|(_, names)| names.split(' ').any(|own| own == name)).unwrap().0
        };
        let all: Vec<Flags> = (0..FLAGS.len()).map(|bit| Flags(1 << bit)).collect();
        for flag in &all {
            assert_eq!(
                QUALITIES[usize::from(flag.quality())],
                of(&flag.text().unwrap()),
                "{flag:?}"
            );
        }
        // Of two the worse one counts.
        let order = ["good", "unchecked", "suspect", "bad"];
        let place = |flags: Flags| {
            order.iter().position(|own| *own == QUALITIES[usize::from(flags.quality())])
        };
        for one in &all {
            for other in &all {
                assert_eq!(
                    place(*one | *other),
                    place(*one).max(place(*other)),
                    "{one:?} {other:?}"
                );
            }
        }
    }
}
