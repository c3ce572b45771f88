//! What a process has refused, dropped or given up on since its start, by group and reason: for `/status` (INV-13).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What happened to those that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Kept with their bytes, but not as rows.
    DeadLetters,
    /// Accepted, and gone.
    Dropped,
    /// Not let in.
    Refused,
    /// Ended for cause.
    Disconnected,
    /// A limit was reached.
    Limits,
}

impl Group {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::DeadLetters, Self::Dropped, Self::Refused, Self::Disconnected, Self::Limits];

    /// The group's name in `/status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadLetters => "dead_letters",
            Self::Dropped => "dropped",
            Self::Refused => "refused",
            Self::Disconnected => "disconnected",
            Self::Limits => "limits",
        }
    }
}

/// Counts by reason, by group, as `/status` has them.
pub type Groups = BTreeMap<String, BTreeMap<String, u64>>;

/// The counts of a process. Cheap to clone; clones share them. Reasons are words of the program, so their number is limited by it.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    counts: Arc<Mutex<BTreeMap<(Group, &'static str), u64>>>,
}

impl Counts {
    /// Counts so many more.
    pub fn add(&self, group: Group, reason: &'static str, more: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((group, reason)).or_default() += more;
    }

    /// Returns what was counted; groups without anything are not there.
    #[must_use]
    pub fn read(&self) -> Groups {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut groups = Groups::new();
        for ((group, reason), count) in &*counts {
            groups
                .entry(group.as_str().to_owned())
                .or_default()
                .insert((*reason).to_owned(), *count);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv13_what_is_counted_is_read_by_group_and_reason() {
        let counts = Counts::default();
        assert!(counts.read().is_empty());
        counts.clone().add(Group::Refused, "bad_login", 1);
        counts.add(Group::Refused, "bad_login", 2);
        counts.add(Group::Limits, "sources_max", 1);
        let read = counts.read();
        assert_eq!(
            (read.len(), read["refused"]["bad_login"], read["limits"]["sources_max"]),
            (2, 3, 1)
        );
    }
}
