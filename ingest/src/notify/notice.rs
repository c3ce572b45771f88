//! What is told of a step of an alert, as JSON.
//!
//! ```json
//! {"v":1,"id":"32 hex digits","alert":"32 hex digits","rule":"tachycardia","rule_version":"…","severity":"critical","site":"icu",
//!  "device":"mon-1","metric":"heart_rate","source":"gateway","state":"firing","before":"pending","reason":"condition",
//!  "at":"2026-11-26T12:00:00.123456Z","measured":"131 /min","threshold":"above 120 for 10 s","by":null,"until":null}
//! ```
//!
//! `id` is a function of the step: whoever comes to it again, after a kill or a landing that was lost, tells the same, and a
//! receiver that knows it already need do nothing. Nothing in it is about a patient but what the device measured.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use watch::{AlertView, State, Transition};
use xxhash_rust::xxh3::xxh3_128;

const VERSION: u8 = 1;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    v: u8,
    /// Tells this step from all others: the idempotency key.
    pub id: String,
    /// Which alert.
    pub alert: String,
    /// Its rule.
    pub rule: String,
    /// What the rule said then.
    pub rule_version: String,
    /// `info`, `warning`, `critical`.
    pub severity: String,
    /// The site.
    pub site: String,
    /// The device; empty: the source as a whole.
    pub device: String,
    /// The metric; empty: the whole device.
    pub metric: String,
    /// The source that the device was heard through.
    pub source: String,
    /// `firing`, `acknowledged`, `silenced` or `resolved`.
    pub state: String,
    /// The state before.
    pub before: String,
    /// Why it moved.
    pub reason: String,
    /// When it became so, RFC 3339.
    pub at: String,
    /// What was measured.
    pub measured: String,
    /// What the rule asks.
    pub threshold: String,
    /// Who acknowledged or silenced it.
    pub by: Option<String>,
    /// Until when it is silenced, RFC 3339.
    pub until: Option<String>,
}

/// A time as RFC 3339 has it; one that no calendar has is empty.
pub(crate) fn time(us: i64) -> String {
    Timestamp::from_microsecond(us).map(|at| at.to_string()).unwrap_or_default()
}

impl Notice {
    /// Of a step; `None`: nobody is told, because it has not fired.
    pub(crate) fn of(step: &Transition) -> Option<Self> {
        if !step.to.is_raised() && !step.from.is_raised() {
            return None;
        }
        let mut bytes = step.alert.0.to_le_bytes().to_vec();
        bytes.extend(step.at_us.to_le_bytes());
        bytes.extend(step.heard_us.to_le_bytes());
        bytes.extend(step.until_us.unwrap_or_default().to_le_bytes());
        bytes.extend([step.from as u8, step.to as u8, step.reason as u8]);
        Some(Self {
            v: VERSION,
            id: format!("{:032x}", xxh3_128(&bytes)),
            alert: step.alert.to_string(),
            rule: step.rule.to_string(),
            rule_version: step.rule_version.to_string(),
            severity: step.severity.name().to_owned(),
            site: step.site.to_string(),
            device: step.device.to_string(),
            metric: step.metric.to_string(),
            source: step.group.to_string(),
            state: step.to.name().to_owned(),
            before: step.from.name().to_owned(),
            reason: step.reason.name().to_owned(),
            at: time(step.at_us),
            measured: step.value.to_string(),
            threshold: step.threshold.to_string(),
            by: step.by.as_deref().map(str::to_owned),
            until: step.until_us.map(time),
        })
    }

    /// Of an alert that is there since before; `None`: it has not fired.
    pub(crate) fn of_alert(alert: &AlertView<'_>) -> Option<Self> {
        let state = alert.state.name().to_owned();
        alert.state.is_raised().then(|| Self {
            v: VERSION,
            id: format!("{}-{state}", alert.alert),
            alert: alert.alert.to_string(),
            rule: alert.rule.to_owned(),
            rule_version: String::new(),
            severity: alert.severity.name().to_owned(),
            site: alert.site.to_owned(),
            device: alert.device.to_owned(),
            metric: alert.metric.to_owned(),
            source: alert.source.to_owned(),
            before: state.clone(),
            state,
            reason: "time".to_owned(),
            at: time(alert.since_us),
            measured: alert.value.to_owned(),
            threshold: alert.threshold.to_owned(),
            by: alert.by.map(str::to_owned),
            until: alert.until_us.map(time),
        })
    }

    /// Whether the alert is there from here on.
    pub(crate) fn is_open(&self) -> bool {
        self.state != State::Resolved.name()
    }

    /// Where it is told by MQTT, below the prefix: `alert/{site}/{device}/{rule}`, with `~{source}` for a source as a whole, and the
    /// metric behind the rule where there is one. What MQTT gives a meaning to is written as `%XX`.
    pub(crate) fn topic(&self) -> String {
        let device = match self.device.as_str() {
            "" => format!("~{}", level(&self.source)),
            device => level(device),
        };
        let metric = if self.metric.is_empty() {
            String::new()
        } else {
            format!("/{}", level(&self.metric))
        };
        format!("alert/{}/{device}/{}{metric}", level(&self.site), level(&self.rule))
    }

    /// The JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts are plain data")
    }
}

/// A name as one level of a topic.
pub(super) fn level(name: &str) -> String {
    if name.is_empty() {
        return "-".to_owned();
    }
    let plain = |c: char| !matches!(c, '/' | '+' | '#' | '%') && !c.is_control();
    name.chars()
        .map(|c| if plain(c) { c.to_string() } else { format!("%{:02X}", u32::from(c)) })
        .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A step of one alert.
    pub(crate) fn notice(alert: &str, state: &str) -> Notice {
        Notice {
            v: 1,
            id: format!("{alert}-{state}"),
            alert: alert.into(),
            rule: "fast".into(),
            rule_version: "1".into(),
            severity: "critical".into(),
            site: "icu".into(),
            device: "mon-1".into(),
            metric: "heart_rate".into(),
            source: "gw".into(),
            state: state.into(),
            before: "pending".into(),
            reason: "condition".into(),
            at: "2026-11-26T12:00:00Z".into(),
            measured: "131 /min".into(),
            threshold: "above 120".into(),
            by: None,
            until: None,
        }
    }

    #[test]
    fn golden_json_of_version_1() {
        let golden = r#"{"v":1,"id":"a-firing","alert":"a","rule":"fast","rule_version":"1","severity":"critical","site":"icu","device":"mon-1","metric":"heart_rate","source":"gw","state":"firing","before":"pending","reason":"condition","at":"2026-11-26T12:00:00Z","measured":"131 /min","threshold":"above 120","by":null,"until":null}"#;
        assert_eq!(String::from_utf8(notice("a", "firing").to_json()).unwrap(), golden);
        assert_eq!(serde_json::from_str::<Notice>(golden).unwrap(), notice("a", "firing"));
    }

    #[test]
    fn topics_are_topics_whatever_names_are() {
        let mut notice = notice("a", "firing");
        assert_eq!(notice.topic(), "alert/icu/mon-1/fast/heart_rate");
        (notice.site, notice.device, notice.metric) = (String::new(), "a/+#%\n".into(), "".into());
        assert_eq!(notice.topic(), "alert/-/a%2F%2B%23%25%0A/fast");
        notice.device.clear();
        assert_eq!(notice.topic(), "alert/-/~gw/fast");
    }
}
