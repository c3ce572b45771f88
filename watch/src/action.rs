//! What people do to alerts.

use std::sync::Arc;

use crate::transition::AlertId;

/// Something that a person does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Somebody looks after it.
    Acknowledge {
        /// Which alert.
        alert: AlertId,
        /// Who.
        by: Arc<str>,
    },
    /// Nobody wants to hear of it for a while.
    Silence {
        /// Which alert.
        alert: AlertId,
        /// Until when, Unix microseconds.
        until_us: i64,
        /// Who says so.
        by: Arc<str>,
    },
    /// Alerts of these devices are silenced: those that are there, and those that come.
    Maintain {
        /// Pattern of sites.
        site: String,
        /// Pattern of devices.
        device: String,
        /// From when.
        from_us: i64,
        /// Until when.
        until_us: i64,
        /// Who says so.
        by: Arc<str>,
    },
}

/// Why an action was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ActError {
    /// There is none of that id, or it is resolved.
    #[error("there is no such alert: it may be resolved; list the open ones")]
    NoSuchAlert,
    /// It is so already, or can't be.
    #[error("the alert is not in a state for that: a pending one has to fire first")]
    NotNow,
    /// The end is not after now, or not after the beginning.
    #[error("the time is over already: give one that is to come")]
    Over,
    /// There are too many maintenance windows.
    #[error("there are {0} maintenance windows already: wait until one is over")]
    TooMany(usize),
    /// A pattern is empty.
    #[error("a pattern is empty and matches nothing: * is for all")]
    Empty,
}
