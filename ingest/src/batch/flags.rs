//! What is remarkable about a row, and the quality that follows from it.

use std::ops::{BitAnd, BitOr, BitOrAssign};

/// A set of flags. The bits are in the order of the names, so that the joined names are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Flags(pub(crate) u64);

macro_rules! flags {
    ($($flag:ident = $name:literal: $about:literal;)*) => {
        #[expect(clippy::upper_case_acronyms, non_camel_case_types, reason = "the flags, by place")]
        #[derive(Clone, Copy)]
        enum Bit { $($flag,)* }

        impl Flags {
            $(#[doc = $about] pub(crate) const $flag: Self = Self(1 << Bit::$flag as u64);)*
        }

        /// Every flag with its meaning, sorted by name.
        pub const FLAGS: &[(&str, &str)] = &[$(($name, $about),)*];
    };
}

flags! {
    ABSENT = "absent": "There is no value: null was sent, or why there is none.";
    BOOLEAN = "boolean": "The device sent true or false: the value is 1 or 0.";
    CODE_MISSING = "code_missing": "A value of the Observation has no code: it is no reading.";
    COMPARATOR = "comparator": "Only a bound is known: the true value is so against `value` as `comparator` says.";
    COMPOUND = "compound": "The value is a range, a ratio or a period: `value_text` has it.";
    DATE_OF_LANDING = "date_of_landing": "Its message has more dates than a landing may touch: `event_date` is that of the landing.";
    DATE_ONLY = "date_only": "Only a date was given: the time is its first moment, UTC.";
    DECIMAL_COMMA = "decimal_comma": "The number was written with a comma: `value_text` has it as it came.";
    EXTRA_TOO_LONG = "extra_too_long": "What has no column is too long for `extra`: a dead letter has the whole message.";
    HOUR_SKIPPED = "hour_skipped": "The local time fell into an hour that daylight saving leaves out: the hour after it was taken.";
    HOUR_TWICE = "hour_twice": "The local time was there twice when daylight saving ended: the first was taken.";
    INTEGER_BEYOND_DOUBLE = "integer_beyond_double": "A whole number that a double can't hold exactly: `value` is the nearest, `value_text` has its digits.";
    LOCAL_TIME = "local_time": "The time came without a zone and was taken for UTC: say the zone in the topic's rule.";
    MAYBE_REPEAT = "maybe_repeat": "The message may be in the lake already under another epoch: its source's spool was cloned or restored.";
    NO_VALUE_WORD = "no_value_word": "A text that stands for no value: `value_text` has it as it came.";
    NOT_A_NUMBER = "not_a_number": "A text where the metric is a number: it is in `value_text`.";
    NOT_CONVERTED = "not_converted": "A member is not what its column takes: it is in `extra`, as it came.";
    NOT_FINAL = "not_final": "The result is not final, or does not say so: `status` has what it says.";
    OUT_OF_RANGE = "out_of_range": "Outside the metric's plausible range.";
    PLANNED = "planned": "It tells of the future: `effective_start` says when, `event_ts` when that was written down or received.";
    RECEIVED_ABSURD = "received_absurd": "The time at which the source says that it received the message can't be right: ingest's own stands in.";
    REPEAT = "repeat": "The device sent it already: the same boot and number, or the same payload with the same time, or a retained message once more.";
    RETRACTED = "retracted": "It was entered in error, or the measurement was cancelled: the value is no result.";
    SAMPLED = "sampled": "It is from a series of samples in one message.";
    SAMPLES_IN_RESOURCE = "samples_in_resource": "More than 10,000 samples in one message: they are in the resource (`ehr_events`).";
    SENTINEL = "sentinel": "A code for \"no value\": `value_text` has it as it came.";
    TEXT_NUMBER = "text_number": "The number came as a text: `value_text` has it as it came.";
    TIME_ABSURD = "time_absurd": "The device's time can't be right (before 2000, more than a day ahead): `received_ts` stands in unless it could be corrected, `device_ts` has it.";
    TIME_CORRECTED = "time_corrected": "The device's clock is wrong by a known time: `event_ts` is corrected by it, `device_ts` is as it came.";
    TIME_MISSING = "time_missing": "The message says no time: `received_ts` stands in.";
    TIME_RECORDED = "time_recorded": "It does not say when it happened: the time is when it was written down.";
    TIME_RELATIVE = "time_relative": "When it happened is an age, a range or a text: the resource has it.";
    TIME_UNPARSABLE = "time_unparsable": "The time can't be read: `received_ts` stands in, `time_text` (or `extra`, if it is no plain value) has it as it came.";
    UNIT_CHANGED = "unit_changed": "The device named another unit for the metric before.";
    UNIT_CONVERTED = "unit_converted": "Converted to the catalogue's unit: `value_original` and `unit_original` have what came.";
    UNIT_DIFFERS = "unit_differs": "Not the catalogue's unit, nor one that can be converted to it: the range was not checked.";
    UNKNOWN_METRIC = "unknown_metric": "The metric is not in the catalogue: its range was not checked.";
    UNKNOWN_WORD = "unknown_word": "The catalogue knows the metric, but not this word or number for it: nothing checked it.";
    UNMAPPED = "unmapped": "No rule of the configuration is for the topic: a built-in one made the row.";
    VALUE_IN_EXTRA = "value_in_extra": "The value is an object, an array or beyond a double: it is in `extra`, as it came.";
    WORD = "word": "The number stands for a word, which is in `value_text`.";
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
        let names: Vec<&str> = set.map(|(_, (name, _))| *name).collect();
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
