//! Moves an alert and tells of it: the one place where transitions are made.

use std::sync::Arc;

use crate::life::{Event, State, next};
use crate::names::Names;
use crate::reading::{Mark, RowKey};
use crate::rules::{Rule, Window};
use crate::track::{NEVER, Track};
use crate::transition::{AlertId, Reason, Transition};

/// What all transitions need to be told.
pub(crate) struct Scene<'a> {
    pub(crate) rules: &'a [Rule],
    pub(crate) names: &'a Names,
    pub(crate) sources: &'a Names,
    pub(crate) windows: [&'a [Window]; 2],
}

/// Whom an alert is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) site: u32,
    /// Empty: the source.
    pub(crate) device: &'a Arc<str>,
    pub(crate) source: u32,
}

/// A step that is to be made.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) event: Event,
    pub(crate) at_us: i64,
    /// How far the source's time has come.
    pub(crate) heard_us: i64,
    pub(crate) cause: Mark,
    pub(crate) reason: Reason,
    /// What was measured; none: what was measured last.
    pub(crate) value: Option<String>,
    pub(crate) by: Option<Arc<str>>,
    pub(crate) until_us: i64,
}

impl Step {
    /// A step that follows from a condition, or from time.
    pub(crate) fn new(event: Event, at_us: i64, heard_us: i64, cause: Mark) -> Self {
        let reason = match event {
            Event::Wake | Event::Again => Reason::Time,
            _ => Reason::Condition,
        };
        Self { event, at_us, heard_us, cause, reason, value: None, by: None, until_us: NEVER }
    }
}

impl Scene<'_> {
    /// Moves an alert, if the step moves it. Returns whether it did.
    pub(crate) fn step(
        &self,
        subject: Subject<'_>,
        track: &mut Track,
        mut step: Step,
        out: &mut Vec<Transition>,
    ) -> bool {
        if step.event == Event::Hold {
            self.maintained(subject, &mut step);
        }
        let from = track.state;
        let Some(to) = next(from, step.event) else { return false };
        let rule = &self.rules[usize::from(track.rule)];
        let none = Arc::default();
        let metric = self.names.all().get(track.metric as usize).unwrap_or(&none);
        let site = self.names.get(subject.site);
        if from == State::Resolved {
            let cause = self.key(step.cause);
            let id = AlertId::new(&rule.name, site, subject.device, metric, &cause);
            track.begin(id.0, step.at_us, step.cause);
            track.witness(step.cause);
        }
        if !from.is_raised() && to.is_raised() {
            track.fires(step.at_us);
        }
        track.state = to;
        let Some(open) = &mut track.open else { return false };
        if let Some(value) = step.value {
            open.says(value);
        }
        open.told_us = step.heard_us;
        if step.event == Event::Again {
            open.repeats += 1;
        }
        if let Some(by) = &step.by {
            open.acts(by);
        }
        if to == State::Silenced {
            open.until_us = step.until_us;
        }
        out.push(Transition {
            alert: AlertId(open.id),
            rule: rule.name.clone(),
            rule_version: rule.version.clone(),
            severity: rule.severity,
            site: site.clone(),
            device: subject.device.clone(),
            metric: metric.clone(),
            group: self.sources.get(subject.source).clone(),
            from,
            to,
            reason: step.reason,
            at_us: step.at_us,
            heard_us: step.heard_us,
            cause: self.key(step.cause),
            evidence: open.evidence.iter().map(|mark| self.key(*mark)).collect(),
            value: open.value.as_str().into(),
            threshold: rule.threshold.clone(),
            by: step.by,
            until_us: (to == State::Silenced).then_some(step.until_us),
        });
        if to == State::Resolved {
            track.open = None;
        }
        true
    }

    /// In a maintenance window (by the source's time) an alert is silenced from its start, until the last window is over.
    fn maintained(&self, subject: Subject<'_>, step: &mut Step) {
        let site = self.names.get(subject.site);
        let windows = self.windows.iter().copied().flatten();
        let open = windows.filter(|window| window.holds(site, subject.device, step.heard_us));
        if let Some(until_us) = open.map(|window| window.until_us).max() {
            step.event = Event::Quiet;
            step.reason = Reason::Maintenance;
            step.until_us = until_us;
        }
    }

    fn key(&self, mark: Mark) -> RowKey {
        RowKey {
            source_id: self.sources.get(mark.source).clone(),
            epoch: mark.epoch,
            source_offset: mark.offset,
            row_no: mark.row_no,
        }
    }
}
