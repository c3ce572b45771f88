//! What is wrong now, the worst first: troubles of the service and alerts that fire.

use super::answers::{Alert, Alerts, Overview};
use super::cells::{Tone, severity, worst};
use super::words::plural;

/// One thing that somebody should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) severity: String,
    pub(crate) what: String,
    pub(crate) remedy: String,
    pub(crate) since: Option<String>,
}

impl Wrong {
    /// How its severity looks.
    pub(crate) fn tone(&self) -> Tone {
        severity(&self.severity)
    }
}

/// All of it. Where alerts may not be seen, their number is told.
pub(crate) fn wrong(now: &Overview, alerts: Option<&Alerts>) -> Vec<Wrong> {
    let mut all: Vec<Wrong> = Vec::new();
    all.extend(now.troubles.iter().map(|it| Wrong {
        severity: it.severity.to_string(),
        what: it.what.to_string(),
        remedy: it.remedy.to_string(),
        since: it.since.as_ref().map(ToString::to_string),
    }));
    let firing: Vec<&Alert> = alerts
        .map(|known| known.alerts.iter().filter(|alert| &*alert.state == "firing").collect())
        .unwrap_or_default();
    match (alerts.is_some(), now.alerts.firing) {
        (false, 1..) => all.push(Wrong {
            severity: "warning".into(),
            what: format!("{} firing", plural(now.alerts.firing, "alert is", "alerts are")),
            remedy: "the view of alerts says which".into(),
            since: None,
        }),
        _ => all.extend(firing.into_iter().map(|alert| Wrong {
            severity: alert.severity.to_string(),
            what: format!("{} on {}", alert.rule, alert.whom()),
            remedy: alert.measured(),
            since: Some(alert.since.to_string()),
        })),
    }
    all.sort_by_key(|one| std::cmp::Reverse(worst(&one.severity)));
    all
}
