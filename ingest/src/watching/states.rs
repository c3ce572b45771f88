//! States of devices that the rules ask to be published (`[[state]]`): retained on `{prefix}/state/{site}/{device}`.
//!
//! A device's state is published when it was heard and when it falls silent or comes back, no more often than its rule says. What
//! can't be sent now is sent later, as it is then.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use watch::{Status, Watch};

use super::answers;
use super::now::DeviceNow;
use crate::notify::{StateLink, time};

/// Devices whose state is published, at most; the first ones of their names.
const DEVICES_MAX: usize = 10_000;
/// How often it is looked who fell silent.
const STATUS_EVERY: Duration = Duration::from_secs(5);
/// Of this version.
const VERSION: u8 = 1;

/// What is published of a device, as JSON.
#[derive(Serialize)]
struct Published<'a> {
    v: u8,
    site: &'a str,
    device: &'a str,
    source: &'a str,
    status: &'static str,
    /// When it was heard last, RFC 3339.
    heard: String,
    metrics: Vec<Metric<'a>>,
    alerts: Vec<Alert<'a>>,
}

#[derive(Serialize)]
struct Metric<'a> {
    metric: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    unit: &'a str,
    quality: &'static str,
    event: String,
}

#[derive(Serialize)]
struct Alert<'a> {
    alert: String,
    rule: &'a str,
    severity: &'static str,
    state: &'static str,
    since: String,
}

fn word(status: Status) -> &'static str {
    match status {
        Status::Online => "online",
        Status::Silent => "silent",
        Status::Unknown => "unknown",
    }
}

fn json(device: &DeviceNow) -> Vec<u8> {
    let metrics = device.metrics.iter().map(|last| Metric {
        metric: &last.metric,
        value: last.value,
        text: last.text.as_deref(),
        unit: &last.unit,
        quality: last.quality.name(),
        event: time(last.event_us),
    });
    let alerts = device.alerts.iter().map(|alert| Alert {
        alert: alert.alert.to_string(),
        rule: &alert.rule,
        severity: alert.severity,
        state: alert.state.name(),
        since: time(alert.since_us),
    });
    let published = Published {
        v: VERSION,
        site: &device.site,
        device: &device.device,
        source: &device.source,
        status: word(device.status),
        heard: time(device.heard_us),
        metrics: metrics.collect(),
        alerts: alerts.collect(),
    };
    serde_json::to_vec(&published).unwrap_or_default()
}

/// A device that is published.
#[derive(Debug)]
struct Known {
    every: Duration,
    /// When it was published last, and what it was then; `None`: not yet.
    told: Option<(Duration, Status)>,
    is_due: bool,
}

/// Whose turn it is. Pure.
#[derive(Debug, Default)]
struct Turns {
    known: BTreeMap<(String, String), Known>,
    looked: Option<Duration>,
    /// Who found no room is the first of the next turn.
    first: (String, String),
}

impl Turns {
    /// A device was heard; `every_us`: how often it is to be published.
    fn heard(&mut self, site: &str, device: &str, every_us: Option<i64>) {
        let Some(every_us) = every_us else { return };
        let name = (site.to_owned(), device.to_owned());
        if let Some(known) = self.known.get_mut(&name) {
            known.is_due = true;
        } else if self.known.len() < DEVICES_MAX {
            let every = Duration::from_micros(every_us.unsigned_abs());
            self.known.insert(name, Known { every, told: None, is_due: true });
        }
    }

    /// Looks for whom `status_of` is not what was published, as often as that is worth it.
    fn look(&mut self, now: Duration, status_of: impl Fn(&str, &str) -> Option<Status>) {
        if self.looked.is_some_and(|looked| now < looked + STATUS_EVERY) {
            return;
        }
        self.looked = Some(now);
        for ((site, device), known) in &mut self.known {
            let told = known.told.map(|(_, status)| status);
            known.is_due |= told.is_some() && status_of(site, device) != told;
        }
    }

    /// Publishes whose turn it is by `publish`, until that has no room.
    fn publish(
        &mut self,
        now: Duration,
        mut publish: impl FnMut(&str, &str) -> Option<Option<Status>>,
    ) {
        let is_turn = |known: &Known| {
            known.is_due && known.told.is_none_or(|(at, _)| now >= at + known.every)
        };
        let all = self.known.iter().filter(|(_, known)| is_turn(known));
        let mut turn: Vec<(String, String)> = all.map(|(name, _)| name.clone()).collect();
        let first = turn.partition_point(|name| *name < self.first);
        turn.rotate_left(first);
        for name in turn {
            let Some(status) = publish(&name.0, &name.1) else {
                self.first = name;
                return;
            };
            if let Some(known) = self.known.get_mut(&name) {
                known.is_due = false;
                known.told = status.map(|status| (now, status));
            }
        }
    }

    /// The broker may have forgotten all.
    fn again(&mut self) {
        for known in self.known.values_mut() {
            (known.told, known.is_due) = (None, true);
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct States {
    turns: Turns,
    link: StateLink,
    /// The rules are new, or nothing is known yet: who is to be published is looked up.
    is_new: bool,
    is_wanted: bool,
}

impl States {
    pub(super) fn new(link: StateLink) -> Self {
        Self { turns: Turns::default(), link, is_new: true, is_wanted: false }
    }

    /// Whether it has to be told who was heard.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Who is to be published may be others now.
    pub(super) fn rules_changed(&mut self) {
        self.is_new = true;
    }

    /// Publishes what is due; `heard`: sites and names of devices that were heard since the last look.
    pub(super) fn look<'a>(
        &mut self,
        watch: &Watch,
        heard: impl Iterator<Item = &'a (String, String)>,
        now: Duration,
    ) {
        if self.is_new {
            self.begin(watch);
        }
        if !self.is_wanted || self.is_new {
            return;
        }
        if self.link.is_new() {
            self.turns.again();
        }
        for (site, device) in heard {
            self.turns.heard(site, device, watch.state_every_us(site, device));
        }
        self.turns.look(now, |site, device| Some(watch.device(site, device)?.status));
        let link = &self.link;
        self.turns.publish(now, |site, device| {
            let state = answers::device(watch, site, device);
            let payload = state.as_ref().map(json).unwrap_or_default();
            link.retain((site, device), payload).then(|| state.map(|state| state.status))
        });
    }

    /// Makes the list anew; what is not asked for any more is taken away.
    fn begin(&mut self, watch: &Watch) {
        let before = std::mem::take(&mut self.turns.known);
        self.is_wanted = watch.publishes_states();
        for device in watch.devices() {
            let every = watch.state_every_us(device.site, device.device);
            self.turns.heard(device.site, device.device, every);
        }
        let gone = before.keys().filter(|name| !self.turns.known.contains_key(*name));
        let all = gone.map(|(site, device)| self.link.retain((site, device), Vec::new()));
        self.is_new = all.fold(false, |no_room, sent| no_room | !sent);
        if self.is_new {
            // Those that found no room are looked for once more.
            self.turns.known.extend(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Who was published.
    fn published(turns: &mut Turns, now: u64, status: Status) -> Vec<String> {
        let mut names = Vec::new();
        turns.look(at(now), |_, _| Some(status));
        turns.publish(at(now), |_, device| {
            names.push(device.to_owned());
            Some(Some(status))
        });
        names
    }

    #[test]
    fn a_device_is_published_when_it_was_heard_and_no_more_often_than_asked_for() {
        let mut turns = Turns::default();
        turns.heard("s", "not-asked-for", None);
        turns.heard("s", "d", Some(10_000_000));
        assert_eq!(published(&mut turns, 0, Status::Online), ["d"]);
        turns.heard("s", "d", Some(10_000_000));
        assert!(published(&mut turns, 9, Status::Online).is_empty());
        assert_eq!(published(&mut turns, 10, Status::Online), ["d"]);
        assert!(published(&mut turns, 60, Status::Online).is_empty(), "it was not heard again");
    }

    #[test]
    fn who_falls_silent_is_published_without_being_heard() {
        let mut turns = Turns::default();
        turns.heard("s", "d", Some(1_000_000));
        assert_eq!(published(&mut turns, 0, Status::Online), ["d"]);
        assert!(published(&mut turns, 5, Status::Online).is_empty());
        assert_eq!(published(&mut turns, 10, Status::Silent), ["d"]);
        assert!(published(&mut turns, 15, Status::Silent).is_empty());
    }

    #[test]
    fn what_finds_no_room_is_published_later() {
        let mut turns = Turns::default();
        for device in ["a", "b", "c"] {
            turns.heard("s", device, Some(1_000_000));
        }
        let mut room = 2;
        turns.publish(at(0), |_, _| {
            room -= 1;
            (room >= 0).then_some(Some(Status::Online))
        });
        turns.heard("s", "0", Some(1_000_000));
        assert_eq!(published(&mut turns, 0, Status::Online), ["c", "0"], "who waited is the first");
        turns.again();
        assert_eq!(published(&mut turns, 0, Status::Online), ["c", "0", "a", "b"], "a new broker");
    }

    #[test]
    fn devices_beyond_the_limit_are_not_published() {
        let mut turns = Turns::default();
        for number in 0..=DEVICES_MAX {
            turns.heard("s", &number.to_string(), Some(1));
        }
        assert_eq!(turns.known.len(), DEVICES_MAX);
    }
}
