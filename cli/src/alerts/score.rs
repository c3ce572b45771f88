//! Holds alerts against what was true: precision, recall, and how long it took.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use simulator::truth::Truth;
use watch::{AlertId, State, Transition};

/// The alerts of a backtest, each as it first fired.
#[derive(Debug, Default)]
pub(super) struct Fired {
    seen: BTreeSet<AlertId>,
    alerts: Vec<Alert>,
    pub(super) transitions: u64,
}

#[derive(Debug)]
struct Alert {
    rule: String,
    site: String,
    device: String,
    at_us: i64,
}

/// What came of one rule.
#[derive(Debug, Default, Serialize, PartialEq)]
pub(super) struct OfRule {
    pub(super) rule: String,
    /// Rows that it looked at; of silence, devices.
    pub(super) looked_at: u64,
    pub(super) alerts: u64,
    /// Alerts of a device while a scenario of it was on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) right: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) precision: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) scenarios: Vec<OfScenario>,
}

/// What a rule found of a scenario.
#[derive(Debug, Serialize, PartialEq)]
pub(super) struct OfScenario {
    pub(super) scenario: String,
    /// How often it was played.
    pub(super) played: u64,
    /// How often an alert told of it.
    pub(super) found: u64,
    pub(super) recall: f64,
    /// From its onset to the first alert, median, minutes.
    pub(super) onset_to_alert_min: Option<f64>,
    /// From the first alert to its treatment, median, minutes: what is gained; negative: it came after.
    pub(super) alert_to_treatment_min: Option<f64>,
}

impl Fired {
    /// Takes a transition; counts an alert when it first fires.
    pub(super) fn take(&mut self, told: &Transition) {
        self.transitions += 1;
        if told.to == State::Firing && self.seen.insert(told.alert) {
            self.alerts.push(Alert {
                rule: told.rule.to_string(),
                site: told.site.to_string(),
                device: told.device.to_string(),
                at_us: told.at_us,
            });
        }
    }

    /// What came of each rule; against what was true, if that is known.
    pub(super) fn by_rule<'a>(
        &self,
        looked_at: impl Iterator<Item = (&'a str, u64)>,
        truths: Option<&[Truth]>,
    ) -> Vec<OfRule> {
        looked_at
            .map(|(rule, looked_at)| OfRule { looked_at, ..self.of_rule(rule, truths) })
            .collect()
    }

    fn of_rule(&self, rule: &str, truths: Option<&[Truth]>) -> OfRule {
        let own: Vec<&Alert> = self.alerts.iter().filter(|alert| alert.rule == rule).collect();
        let mut result =
            OfRule { rule: rule.to_owned(), alerts: own.len() as u64, ..OfRule::default() };
        let Some(truths) = truths else { return result };
        let right = own.iter().filter(|alert| truths.iter().any(|truth| tells(alert, truth)));
        let right = right.count() as u64;
        result.right = Some(right);
        result.precision = (result.alerts > 0).then(|| ratio(right, result.alerts));
        let mut by_scenario: BTreeMap<&str, Vec<&Truth>> = BTreeMap::new();
        for truth in truths {
            by_scenario.entry(&truth.scenario).or_default().push(truth);
        }
        let scenarios =
            by_scenario.into_iter().map(|(name, played)| of_scenario(name, &played, &own));
        // A rule on fridges has nothing to say of patients.
        result.scenarios = scenarios.filter(|scenario| scenario.found > 0).collect();
        result
    }
}

fn of_scenario(name: &str, played: &[&Truth], alerts: &[&Alert]) -> OfScenario {
    let first = |truth: &&Truth| {
        let found =
            alerts.iter().filter(|alert| tells(alert, truth)).map(|alert| alert.at_us).min();
        found.map(|at_us| (at_us, (*truth).clone()))
    };
    let found: Vec<(i64, Truth)> = played.iter().filter_map(first).collect();
    let after = found.iter().map(|(at_us, truth)| at_us - truth.onset_us);
    let before = found.iter().filter_map(|(at_us, truth)| Some(truth.treated_us? - at_us));
    OfScenario {
        scenario: name.to_owned(),
        played: played.len() as u64,
        found: found.len() as u64,
        recall: ratio(found.len() as u64, played.len() as u64),
        onset_to_alert_min: median(after.collect()),
        alert_to_treatment_min: median(before.collect()),
    }
}

/// Whether an alert is of a device, and within the time, of a scenario.
fn tells(alert: &Alert, truth: &Truth) -> bool {
    (truth.onset_us..=truth.until_us).contains(&alert.at_us)
        && alert.device == truth.device_id
        && alert.site == truth.site
}

#[expect(clippy::cast_precision_loss, reason = "counts of alerts")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The median of times, in minutes.
fn median(mut times_us: Vec<i64>) -> Option<f64> {
    times_us.sort_unstable();
    let middle = times_us.get(times_us.len().checked_sub(1)? / 2)?;
    #[expect(clippy::cast_precision_loss, reason = "minutes for people")]
    let minutes = *middle as f64 / 60e6;
    Some((minutes * 10.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000_000;

    fn alert(device: &str, minute: i64) -> Alert {
        Alert { rule: "r".into(), site: "s".into(), device: device.into(), at_us: minute * MINUTE }
    }

    fn truth(device: &str, from: i64, until: i64) -> Truth {
        Truth {
            site: "s".into(),
            device_id: device.into(),
            scenario: "sepsis".into(),
            onset_us: from * MINUTE,
            treated_us: Some((until - 10) * MINUTE),
            until_us: until * MINUTE,
        }
    }

    #[test]
    fn alerts_are_right_if_a_scenario_of_their_device_is_on() {
        let alerts =
            vec![alert("a", 30), alert("a", 40), alert("a", 200), alert("b", 30), alert("c", 5)];
        let fired = Fired { alerts, ..Fired::default() };
        let truths = [truth("a", 10, 100), truth("b", 50, 100), truth("c", 0, 100)];
        let found = fired.by_rule([("r", 9), ("quiet", 0)].into_iter(), Some(&truths));
        let r = &found[0];
        assert_eq!((r.alerts, r.right, r.precision), (5, Some(3), Some(0.6)));
        let sepsis = &r.scenarios[0];
        assert_eq!((sepsis.played, sepsis.found), (3, 2));
        assert_eq!(sepsis.onset_to_alert_min, Some(5.0), "of 20 and 5 the lower");
        assert_eq!(sepsis.alert_to_treatment_min, Some(60.0));
        assert_eq!((found[1].alerts, found[1].precision, found[1].scenarios.len()), (0, None, 0));
    }

    #[test]
    fn without_truth_alerts_are_only_counted() {
        let fired = Fired { alerts: vec![alert("a", 1)], ..Fired::default() };
        let found = fired.by_rule([("r", 9)].into_iter(), None);
        assert_eq!((found[0].alerts, found[0].right), (1, None));
    }
}
