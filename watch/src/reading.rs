//! A row of the table `readings` as watching sees it, and where it is in the lake.

use std::fmt;
use std::sync::Arc;

/// Where a row is: its source's position and its number in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowId<'a> {
    /// The spool that it came from.
    pub source_id: &'a str,
    /// Which life of that spool.
    pub epoch: i64,
    /// The message's offset.
    pub source_offset: i64,
    /// Row of the message.
    pub row_no: i32,
}

/// The same, owned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// The spool that it came from.
    pub source_id: Arc<str>,
    /// Which life of that spool.
    pub epoch: i64,
    /// The message's offset.
    pub source_offset: i64,
    /// Row of the message.
    pub row_no: i32,
}

impl RowKey {
    /// The same, borrowed.
    #[must_use]
    pub fn id(&self) -> RowId<'_> {
        let Self { source_id, epoch, source_offset, row_no } = self;
        RowId { source_id, epoch: *epoch, source_offset: *source_offset, row_no: *row_no }
    }
}

impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/{}", self.source_id, self.epoch, self.source_offset, self.row_no)
    }
}

/// What the column `quality` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// Understood, in the catalogue's unit, inside its range.
    Good,
    /// Nothing is known to check it by.
    Unchecked,
    /// Something that came with it says otherwise.
    Suspect,
    /// No usable value.
    Bad,
}

impl Quality {
    /// All of them, by number.
    pub const ALL: [Self; 4] = [Self::Good, Self::Unchecked, Self::Suspect, Self::Bad];

    /// The word in the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Unchecked => "unchecked",
            Self::Suspect => "suspect",
            Self::Bad => "bad",
        }
    }

    /// The quality of that name; a word that is none is [`Quality::Bad`]: nothing may be built on it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|quality| quality.name() == name).unwrap_or(Self::Bad)
    }

    pub(crate) fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// One row of `readings`. Borrowed: nothing is allocated for a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading<'a> {
    /// Where it is.
    pub id: RowId<'a>,
    /// The device's site.
    pub site: &'a str,
    /// The device.
    pub device: &'a str,
    /// What was measured.
    pub metric: &'a str,
    /// The unit; empty if there is none.
    pub unit: &'a str,
    /// The number.
    pub value: Option<f64>,
    /// The text, where the value is one.
    pub text: Option<&'a str>,
    /// What the value is worth.
    pub quality: Quality,
    /// When it happened, Unix microseconds.
    pub event_us: i64,
    /// When its source received it, Unix microseconds.
    pub received_us: i64,
}

/// A row's place with its source as a number; what the state holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Mark {
    pub(crate) source: u32,
    pub(crate) row_no: i32,
    pub(crate) epoch: i64,
    pub(crate) offset: i64,
}

impl Mark {
    pub(crate) fn of(source: u32, id: RowId<'_>) -> Self {
        Self { source, row_no: id.row_no, epoch: id.epoch, offset: id.source_offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_have_the_names_of_the_table_and_an_unknown_word_is_worth_nothing() {
        for quality in Quality::ALL {
            assert_eq!(Quality::named(quality.name()), quality);
        }
        assert_eq!(Quality::named("GOOD"), Quality::Bad);
        let bits: u8 = Quality::ALL.iter().map(|quality| quality.bit()).sum();
        assert_eq!(bits, 0b1111);
    }
}
