//! What the API answers, as far as it is shown. Every text in it is made harmless when it is read.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer};

use crate::harmless::harmless;

/// A text from outside that cannot drive the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self(harmless(&String::deserialize(from)?).into_owned()))
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Any answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    Overview(Box<Overview>),
    Sources(Sources),
    Devices(Devices),
    Topics(Topics),
    Alerts(Alerts),
    DeadLetters(DeadLetters),
    Limits(Limits),
    Connections(Connections),
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Overview {
    pub(crate) time: Text,
    pub(crate) version: Text,
    pub(crate) worker: Option<Text>,
    pub(crate) rates: Rates,
    pub(crate) devices: DeviceTotals,
    pub(crate) alerts: AlertTotals,
    pub(crate) sources: Option<u64>,
    pub(crate) lag: Lag,
    pub(crate) dead_letters: DeadLetterTotals,
    pub(crate) troubles: Vec<Trouble>,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Rates {
    pub(crate) messages_per_s: f64,
    pub(crate) rows_per_s: f64,
    pub(crate) landings_per_min: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct DeviceTotals {
    pub(crate) online: u64,
    pub(crate) silent: u64,
    pub(crate) unknown: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct AlertTotals {
    pub(crate) firing: u64,
    pub(crate) acknowledged: u64,
    pub(crate) silenced: u64,
    pub(crate) pending: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
pub(crate) struct Lag {
    pub(crate) messages: Option<u64>,
    pub(crate) oldest_s: Option<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) struct DeadLetterTotals {
    pub(crate) total: u64,
    pub(crate) last_hour: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Trouble {
    pub(crate) what: Text,
    pub(crate) since: Option<Text>,
    pub(crate) remedy: Text,
    pub(crate) severity: Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Sources {
    pub(crate) sources: Vec<Source>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Source {
    pub(crate) source: Text,
    pub(crate) epoch: Text,
    pub(crate) state: Text,
    pub(crate) accepted: Option<u64>,
    pub(crate) landed: u64,
    pub(crate) pending: Option<u64>,
    pub(crate) dropped: u64,
    pub(crate) dead_letters: u64,
    pub(crate) heard: Option<Text>,
    pub(crate) devices: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Devices {
    pub(crate) devices: Vec<Device>,
    pub(crate) totals: DeviceTotals,
    pub(crate) next: Option<Text>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Device {
    pub(crate) site: Text,
    pub(crate) device: Text,
    pub(crate) source: Text,
    pub(crate) status: Text,
    pub(crate) heard: Option<Text>,
    pub(crate) rows_per_minute: u64,
    pub(crate) alerts: Vec<Alert>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Topics {
    pub(crate) topics: Vec<Topic>,
    pub(crate) left_out: u64,
    pub(crate) next: Option<Text>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Topic {
    pub(crate) topic: Text,
    pub(crate) rule: Option<Text>,
    pub(crate) rows_per_minute: u64,
    pub(crate) last: Text,
    pub(crate) bytes: u64,
    pub(crate) dead_letters: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Alerts {
    pub(crate) alerts: Vec<Alert>,
    pub(crate) next: Option<Text>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Alert {
    pub(crate) alert: Text,
    pub(crate) rule: Text,
    pub(crate) severity: Text,
    pub(crate) state: Text,
    pub(crate) site: Text,
    pub(crate) device: Text,
    pub(crate) source: Text,
    pub(crate) metric: Text,
    pub(crate) value: Text,
    pub(crate) threshold: Text,
    pub(crate) since: Text,
    pub(crate) by: Option<Text>,
    pub(crate) until: Option<Text>,
}

impl Alert {
    /// Whom it is about: a device of a site, or a source as a whole.
    pub(crate) fn whom(&self) -> String {
        match (self.device.is_empty(), self.site.is_empty()) {
            (true, _) => self.source.to_string(),
            (false, true) => self.device.to_string(),
            (false, false) => format!("{}/{}", self.site, self.device),
        }
    }

    /// What was measured and what the rule asks.
    pub(crate) fn measured(&self) -> String {
        let parts = [&self.metric, &self.value].map(|part| part.to_string());
        let value = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        match (value.is_empty(), self.threshold.is_empty()) {
            (_, true) => value,
            (true, false) => self.threshold.to_string(),
            (false, false) => format!("{value}; {}", self.threshold),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct DeadLetters {
    pub(crate) reasons: Vec<Reason>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Reason {
    pub(crate) reason: Text,
    pub(crate) count: u64,
    pub(crate) last: Text,
    pub(crate) topics: Vec<TopicCount>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct TopicCount {
    pub(crate) topic: Text,
    pub(crate) count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Limits {
    pub(crate) limits: Vec<Limit>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Limit {
    pub(crate) name: Text,
    pub(crate) used: u64,
    pub(crate) max: u64,
    pub(crate) effect: Text,
    pub(crate) setting: Option<Text>,
}

impl Limit {
    /// How full it is, in percent.
    pub(crate) fn percent(&self) -> u64 {
        match self.max {
            0 => 0,
            max => u64::try_from(u128::from(self.used) * 100 / u128::from(max)).unwrap_or(u64::MAX),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Connections {
    pub(crate) connections: Vec<Connection>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) next: Option<Text>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Connection {
    pub(crate) client_id: Text,
    pub(crate) identity: Text,
    pub(crate) connected: bool,
    pub(crate) since: Text,
    pub(crate) waiting: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) reason: Text,
    pub(crate) count: u64,
    pub(crate) last: Text,
}
