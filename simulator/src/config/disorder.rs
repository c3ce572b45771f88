//! What goes wrong on purpose.

use serde::{Deserialize, Serialize};

/// Disorder on request. Probabilities are per message, 0 to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Disorder {
    /// A message is published twice.
    pub duplicates: f64,
    /// A message is overtaken by up to eight later ones.
    pub reordering: f64,
    /// A malformed message follows.
    pub malformed: f64,
    /// A message carries a time that is unparsable or absurd.
    pub bad_time: f64,
    /// A message has members that no column is for; a device has more of them the longer it runs.
    pub unknown_members: f64,
    /// A monitor has artefacts: sentinels, probes off, impossible values.
    pub artefacts: bool,
    /// Devices' clocks are wrong.
    pub clock_offset: bool,
    /// A connection is cut after about so many messages; 0 is never.
    pub disconnect_every: u64,
}

impl Default for Disorder {
    /// Order.
    fn default() -> Self {
        Self {
            duplicates: 0.0,
            reordering: 0.0,
            malformed: 0.0,
            bad_time: 0.0,
            unknown_members: 0.0,
            artefacts: false,
            clock_offset: false,
            disconnect_every: 0,
        }
    }
}

impl Disorder {
    /// A bit of everything, as a real ward has it.
    #[must_use]
    pub fn some() -> Self {
        Self {
            duplicates: 0.005,
            reordering: 0.01,
            malformed: 0.002,
            bad_time: 0.002,
            unknown_members: 0.05,
            artefacts: true,
            clock_offset: true,
            disconnect_every: 5_000,
        }
    }
}
