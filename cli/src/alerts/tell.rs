//! Prints transitions: a line each.

use serde::Serialize;
use watch::Transition;

use crate::options::Format;
use crate::print;
use crate::tables::instant;

/// Prints them as they come.
pub(super) struct Teller {
    format: Format,
}

/// A transition as JSON, by the names of the table `alerts`.
#[derive(Serialize)]
struct Told<'a> {
    alert_id: String,
    rule: &'a str,
    rule_version: &'a str,
    severity: &'static str,
    site: &'a str,
    device_id: &'a str,
    metric: &'a str,
    group: &'a str,
    from: &'static str,
    to: &'static str,
    reason: &'static str,
    at_us: i64,
    heard_us: i64,
    cause: String,
    evidence: Vec<String>,
    value: &'a str,
    threshold: &'a str,
}

impl Teller {
    pub(super) fn new(format: Format) -> Self {
        Self { format }
    }

    pub(super) fn tell(&mut self, told: &Transition) -> anyhow::Result<()> {
        let line = match self.format {
            Format::Json => serde_json::to_string(&json(told))?,
            Format::Text => text(told),
        };
        Ok(print::line(&line)?)
    }
}

fn text(told: &Transition) -> String {
    let whom = match (told.device.as_ref(), told.metric.as_ref()) {
        ("", _) => format!("source {}", told.group),
        (device, "") => format!("{}/{device}", told.site),
        (device, metric) => format!("{}/{device} {metric}", told.site),
    };
    let value = if told.value.is_empty() { String::new() } else { format!(": {}", told.value) };
    format!(
        "{}  {:<12}  {:<8}  {}  {whom}{value} ({})",
        instant(told.at_us),
        told.to.name(),
        told.severity.name(),
        told.rule,
        told.threshold
    )
}

fn json(told: &Transition) -> Told<'_> {
    Told {
        alert_id: told.alert.to_string(),
        rule: &told.rule,
        rule_version: &told.rule_version,
        severity: told.severity.name(),
        site: &told.site,
        device_id: &told.device,
        metric: &told.metric,
        group: &told.group,
        from: told.from.name(),
        to: told.to.name(),
        reason: told.reason.name(),
        at_us: told.at_us,
        heard_us: told.heard_us,
        cause: told.cause.to_string(),
        evidence: told.evidence.iter().map(ToString::to_string).collect(),
        value: &told.value,
        threshold: &told.threshold,
    }
}
