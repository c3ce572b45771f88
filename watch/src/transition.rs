//! What is told of an alert: each step of its life, with what caused it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::life::State;
use crate::reading::RowKey;
use crate::rules::Severity;

/// Which alert: a function of its rule, of whom it is about, and of the row that it began with. So whoever comes to it, by
/// whatever way, has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(pub u128);

impl AlertId {
    /// The alert that began with a row.
    #[must_use]
    pub fn new(rule: &str, site: &str, device: &str, metric: &str, began: &RowKey) -> Self {
        let mut bytes = Vec::with_capacity(128);
        for text in [rule, site, device, metric, &began.source_id] {
            bytes.extend((text.len() as u64).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes.extend(began.epoch.to_le_bytes());
        bytes.extend(began.source_offset.to_le_bytes());
        bytes.extend(began.row_no.to_le_bytes());
        Self(xxh3_128(&bytes))
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// It is no alert's id: 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no alert's id: it has 32 hexadecimal digits, as `alerts` lists them")]
pub struct NoAlertId;

impl FromStr for AlertId {
    type Err = NoAlertId;

    fn from_str(text: &str) -> Result<Self, NoAlertId> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let id = digits.then(|| u128::from_str_radix(text, 16).ok()).flatten();
        id.map(Self).ok_or(NoAlertId)
    }
}

/// Why an alert moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Its condition.
    Condition,
    /// A person.
    Person,
    /// A maintenance window.
    Maintenance,
    /// Time: it is repeated, or its silence is over.
    Time,
    /// Its rule is gone, or says something else now.
    RuleChanged,
}

impl Reason {
    /// Its word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Condition => "condition",
            Self::Person => "person",
            Self::Maintenance => "maintenance",
            Self::Time => "time",
            Self::RuleChanged => "rule_changed",
        }
    }
}

/// One step of an alert's life.
#[derive(Debug, Clone, PartialEq)]
pub struct Transition {
    /// Which alert.
    pub alert: AlertId,
    /// Its rule.
    pub rule: Arc<str>,
    /// What the rule said then.
    pub rule_version: Arc<str>,
    /// How bad it is.
    pub severity: Severity,
    /// The device's site; of a source, that of the first device heard through it.
    pub site: Arc<str>,
    /// The device; of a source that is silent, empty.
    pub device: Arc<str>,
    /// The metric; empty if it is about the whole device.
    pub metric: Arc<str>,
    /// What belongs together: the source.
    pub group: Arc<str>,
    /// The state before.
    pub from: State,
    /// The state from here on.
    pub to: State,
    /// Why.
    pub reason: Reason,
    /// When it became so: of values by the time of the event, of silence by the source's.
    pub at_us: i64,
    /// How far the source's time had come when it was found out.
    pub heard_us: i64,
    /// The row that caused the step; of silence the last that was heard.
    pub cause: RowKey,
    /// The rows by which the condition was true, the first ones.
    pub evidence: Vec<RowKey>,
    /// What was measured, for people.
    pub value: Arc<str>,
    /// What the rule asks, for people.
    pub threshold: Arc<str>,
    /// Who acknowledged or silenced it.
    pub by: Option<Arc<str>>,
    /// Until when it is silenced.
    pub until_us: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(offset: i64) -> RowKey {
        RowKey { source_id: "gw".into(), epoch: 1, source_offset: offset, row_no: 0 }
    }

    /// Ids are in tables and topics: they never change.
    #[test]
    fn golden_id() {
        let id = AlertId::new("tachycardia", "icu", "monitor-1", "heart_rate", &row(7));
        assert_eq!(id.to_string(), "a61bdc10b6f4042615424110580da915");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn an_id_depends_on_all_that_it_is_of() {
        let ids = [
            AlertId::new("r", "s", "d", "m", &row(1)),
            AlertId::new("r", "s", "d", "m", &row(2)),
            AlertId::new("rs", "", "d", "m", &row(1)),
            AlertId::new("r", "s", "dm", "", &row(1)),
        ];
        let set: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(set.len(), ids.len());
        for wrong in ["", "12", &"g".repeat(32), "+0000000000000000000000000000001"] {
            assert_eq!(wrong.parse::<AlertId>(), Err(NoAlertId));
        }
    }
}
