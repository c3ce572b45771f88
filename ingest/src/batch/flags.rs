//! What is remarkable about a row, and the quality that follows from it.

use std::ops::{BitOr, BitOrAssign};

/// A set of flags. The bits are in the order of the names, so that the joined names are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Flags(pub(crate) u32);

const NAMES: [&str; 21] = [
    "absent",
    "boolean",
    "date_of_landing",
    "date_only",
    "decimal_comma",
    "extra_too_long",
    "integer_beyond_double",
    "local_time",
    "maybe_repeat",
    "not_converted",
    "out_of_range",
    "received_absurd",
    "sentinel",
    "text_number",
    "time_absurd",
    "time_unparsable",
    "unit_differs",
    "unknown_metric",
    "unmapped",
    "value_in_extra",
    "word",
];

/// The values of the column `quality`.
pub(crate) const QUALITIES: [&str; 3] = ["bad", "good", "suspect"];

impl Flags {
    /// The device sent null.
    pub(crate) const ABSENT: Self = Self(1);
    /// The device sent true or false: the value is 1 or 0, and `extra` has it as it came.
    pub(crate) const BOOLEAN: Self = Self(1 << 1);
    /// Its message has more dates than a landing may touch: `event_date` is that of the landing.
    pub(crate) const DATE_OF_LANDING: Self = Self(1 << 2);
    /// Only a date was given, the time is its first moment.
    pub(crate) const DATE_ONLY: Self = Self(1 << 3);
    /// The number was written with a comma: `value_text` has it as it came.
    pub(crate) const DECIMAL_COMMA: Self = Self(1 << 4);
    /// What has no column is too long for `extra`: a dead letter has the whole message.
    pub(crate) const EXTRA_TOO_LONG: Self = Self(1 << 5);
    /// A whole number that a double can't hold exactly: it is in `extra`, as it came.
    pub(crate) const INTEGER_BEYOND_DOUBLE: Self = Self(1 << 6);
    /// The time came without a zone and was taken for UTC.
    pub(crate) const LOCAL_TIME: Self = Self(1 << 7);
    /// The message may be in the lake already under another epoch.
    pub(crate) const MAYBE_REPEAT: Self = Self(1 << 8);
    /// A member is not what its column takes: it is in `extra`, as it came.
    pub(crate) const NOT_CONVERTED: Self = Self(1 << 9);
    /// Outside the metric's plausible range.
    pub(crate) const OUT_OF_RANGE: Self = Self(1 << 10);
    /// The time at which the source says that it received the message can't be right; ingest's own stands in.
    pub(crate) const RECEIVED_ABSURD: Self = Self(1 << 11);
    /// A code for "no value".
    pub(crate) const SENTINEL: Self = Self(1 << 12);
    /// The number came as a text: `value_text` has it as it came.
    pub(crate) const TEXT_NUMBER: Self = Self(1 << 13);
    /// The device's time can't be right; the receive time stands in.
    pub(crate) const TIME_ABSURD: Self = Self(1 << 14);
    /// There is no time that can be read; the receive time stands in.
    pub(crate) const TIME_UNPARSABLE: Self = Self(1 << 15);
    /// Not the catalogue's unit, so the range was not checked.
    pub(crate) const UNIT_DIFFERS: Self = Self(1 << 16);
    /// Not in the catalogue.
    pub(crate) const UNKNOWN_METRIC: Self = Self(1 << 17);
    /// No rule is for the topic: the row was made by the default.
    #[cfg_attr(not(test), expect(dead_code, reason = "the default rule comes next"))]
    pub(crate) const UNMAPPED: Self = Self(1 << 18);
    /// The value is an object, an array or beyond a double: it is in `extra`, as it came.
    pub(crate) const VALUE_IN_EXTRA: Self = Self(1 << 19);
    /// The number stands for a word: `value_text` has it.
    pub(crate) const WORD: Self = Self(1 << 20);

    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The names, joined by commas; `None` for the empty set.
    pub(crate) fn text(self) -> Option<String> {
        let names = NAMES.iter().enumerate().filter(|(bit, _)| self.0 >> bit & 1 == 1);
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        (!names.is_empty()).then(|| names.join(","))
    }

    /// Number of the quality in [`QUALITIES`].
    pub(crate) fn quality(self) -> u8 {
        if self.has(Self::ABSENT | Self::SENTINEL | Self::VALUE_IN_EXTRA) {
            0
        } else if self.has(Self::OUT_OF_RANGE) {
            2
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
        assert!(NAMES.is_sorted() && QUALITIES.is_sorted());
        assert_eq!(Flags::default().text(), None);
        assert_eq!((Flags::WORD | Flags::UNMAPPED).text().unwrap(), "unmapped,word");
        let both = Flags::UNKNOWN_METRIC | Flags::SENTINEL;
        assert_eq!(both.text().unwrap(), "sentinel,unknown_metric");
        let quality = |flags: Flags| QUALITIES[usize::from(flags.quality())];
        assert_eq!(quality(both), "bad");
        assert_eq!(quality(Flags::OUT_OF_RANGE), "suspect");
        assert_eq!(quality(Flags::OUT_OF_RANGE | Flags::ABSENT), "bad");
        assert_eq!(quality(Flags::TIME_ABSURD), "good");
        assert_eq!(quality(Flags::VALUE_IN_EXTRA), "bad");
    }
}
