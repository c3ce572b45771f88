//! Silence: told at the right time, once, and of whom it is true.

use std::collections::BTreeMap;

use proptest::prelude::*;
use watch::{SourceState, State, Status};

use crate::harness::{HOUR, MINUTE, Row, SECOND, START, Scene, seconds};

const FIVE: &str = "silent_for = \"5m\"";

fn beat(scene: &mut Scene, device: &str, at_us: i64) {
    scene.row(Row::new(device, "heart_rate", at_us, 80.0));
}

#[test]
fn a_device_is_silent_at_its_last_row_and_the_time_whenever_that_is_found_out() {
    for tick_us in [5 * MINUTE, 5 * MINUTE + SECOND, HOUR] {
        let mut scene = Scene::rule(FIVE);
        beat(&mut scene, "d", 0);
        scene.tick("gw", 5 * MINUTE - 1);
        assert_eq!(scene.said(), [] as [&str; 0]);
        scene.tick("gw", tick_us);
        assert_eq!(scene.said(), ["r firing 300"]);
        assert_eq!(scene.watch.device("icu", "d").unwrap().status, Status::Silent);
        beat(&mut scene, "d", HOUR + MINUTE);
        assert_eq!(scene.said(), [format!("r resolved {}", 3660)]);
        assert_eq!(scene.watch.device("icu", "d").unwrap().status, Status::Online);
    }
}

#[test]
fn rows_of_others_bring_the_time_too() {
    let mut scene = Scene::rule(FIVE);
    beat(&mut scene, "a", 0);
    for minute in 0..10 {
        beat(&mut scene, "b", minute * MINUTE);
    }
    assert_eq!(scene.said(), ["r firing 300"]);
    assert_eq!(scene.told[0].device.as_ref(), "a");
    assert_eq!(scene.told[0].cause.source_offset, 0, "the last row of the silent device");
}

/// 500 devices, each every minute, and then none of them.
fn dead_agent(scene: &mut Scene, source: &str) {
    for minute in 0..3 {
        for n in 0..500_i64 {
            let at_us = minute * MINUTE + n * MINUTE / 500;
            scene.row(Row::new(&format!("d-{n}"), "heart_rate", at_us, 80.0).source(source));
        }
    }
}

#[test]
fn a_dead_agent_with_500_devices_is_one_alert() {
    let mut scene = Scene::rule(FIVE);
    dead_agent(&mut scene, "agent-1");
    scene.tick("agent-1", HOUR);
    assert_eq!(scene.told.len(), 1, "{:?}", scene.said());
    let told = scene.told[0].clone();
    assert_eq!(
        (told.to, told.group.as_ref(), told.device.as_ref()),
        (State::Firing, "agent-1", "")
    );
    assert_eq!(told.value.as_ref(), "source silent, 500 devices");
    assert_eq!(seconds(told.at_us), 2 * 60 + 300, "when the first of them was silent");
    assert!(scene.watch.devices().all(|device| device.status == Status::Unknown));
    // It comes back: the alert is over, and each device has its time again.
    scene.row(Row::new("d-0", "heart_rate", HOUR, 80.0).source("agent-1"));
    scene.row(Row::new("d-0", "heart_rate", HOUR + 4 * MINUTE, 80.0).source("agent-1"));
    assert_eq!(scene.told.len(), 2);
    assert_eq!((scene.told[1].to, scene.told[1].alert), (State::Resolved, told.alert));
    scene.row(Row::new("d-0", "heart_rate", HOUR + 6 * MINUTE, 80.0).source("agent-1"));
    assert_eq!(scene.told.len(), 2 + 499, "those that stay away are silent now, each by itself");
}

#[test]
fn a_dead_agent_is_one_alert_also_if_only_its_rows_tell_the_time() {
    let mut scene = Scene::rule(FIVE);
    dead_agent(&mut scene, "agent-1");
    scene.row(Row::new("d-7", "heart_rate", 2 * HOUR, 80.0).source("agent-1"));
    let said: Vec<State> = scene.told.iter().map(|told| told.to).collect();
    assert_eq!(said, [State::Firing, State::Resolved]);
}

#[test]
fn a_source_that_is_away_makes_its_devices_unknown_and_is_one_alert() {
    let mut scene = Scene::rule(FIVE);
    dead_agent(&mut scene, "agent-1");
    scene.source("agent-1", SourceState::Away { since_us: START + 3 * MINUTE });
    scene.tick("agent-1", 4 * MINUTE);
    assert!(scene.watch.devices().all(|device| device.status == Status::Unknown));
    scene.tick("agent-1", HOUR);
    assert_eq!(scene.told.len(), 1);
    scene.source("agent-1", SourceState::Here { heard_us: START + HOUR });
    assert_eq!(scene.told.len(), 2);
    assert!(scene.watch.devices().all(|device| device.status == Status::Online));
    scene.tick("agent-1", HOUR + 4 * MINUTE);
    assert_eq!(scene.told.len(), 2, "they have their time again");
}

#[test]
fn a_backlog_of_an_hour_makes_no_false_alert() {
    let mut scene = Scene::rule(FIVE);
    for minute in 0..10 {
        for device in ["a", "b", "c"] {
            scene.row(Row::new(device, "heart_rate", minute * MINUTE, 80.0));
        }
    }
    scene.source("gw", SourceState::Behind { heard_us: START + 10 * MINUTE });
    // An hour passes here; what was received meanwhile comes device by device, minute by minute.
    scene.tick("gw", 70 * MINUTE);
    for minute in 10..70 {
        for device in ["a", "b", "c"] {
            scene.row(Row::new(device, "heart_rate", minute * MINUTE, 80.0));
        }
        scene.tick("gw", 71 * MINUTE);
    }
    scene.source("gw", SourceState::Here { heard_us: START + 70 * MINUTE });
    scene.tick("gw", 71 * MINUTE);
    assert_eq!(scene.said(), [] as [&str; 0]);
    scene.tick("gw", 80 * MINUTE);
    assert_eq!(scene.told.len(), 1, "and what is silent after it is told");
}

#[test]
fn a_device_that_was_silent_in_the_backlog_is_told_when_it_was() {
    let mut scene = Scene::rule(FIVE);
    for minute in 0..60 {
        beat(&mut scene, "a", minute * MINUTE);
        if !(20..40).contains(&minute) {
            beat(&mut scene, "b", minute * MINUTE);
        }
    }
    assert_eq!(
        scene.said(),
        [format!("r firing {}", 19 * 60 + 300), format!("r resolved {}", 40 * 60)]
    );
}

#[test]
fn the_silence_of_a_metric_is_told_while_the_device_speaks() {
    let mut scene = Scene::rule("metric = \"spo2\"\nsilent_for = \"2m\"");
    for minute in 0..6 {
        beat(&mut scene, "d", minute * MINUTE);
        if minute < 2 {
            scene.at(minute * MINUTE, "spo2", 97.0);
        }
    }
    assert_eq!(scene.said(), ["r firing 180"]);
    assert_eq!(scene.told[0].metric.as_ref(), "spo2");
    scene.at(6 * MINUTE, "spo2", 97.0);
    assert_eq!(scene.said(), ["r resolved 360"]);
}

#[test]
fn a_rule_for_sources_tells_of_sources() {
    let mut scene = Scene::rule("silent_for = \"2m\"\nper = \"source\"\nsource = \"agent-*\"");
    scene.row(Row::new("a", "heart_rate", 0, 80.0).source("agent-1"));
    scene.row(Row::new("b", "heart_rate", 0, 80.0).source("gw"));
    scene.tick("agent-1", HOUR).tick("gw", HOUR);
    assert_eq!(scene.told.len(), 1);
    assert_eq!((scene.told[0].group.as_ref(), seconds(scene.told[0].at_us)), ("agent-1", 120));
}

#[test]
fn a_device_that_moved_to_another_source_is_heard_there() {
    let mut scene = Scene::rule(FIVE);
    scene.row(Row::new("d", "heart_rate", 0, 80.0).source("one"));
    scene.row(Row::new("d", "heart_rate", MINUTE, 80.0).source("two"));
    scene.tick("one", HOUR);
    assert_eq!(scene.said(), [] as [&str; 0]);
    scene.tick("two", HOUR);
    assert_eq!(scene.said(), ["r firing 360"]);
}

#[test]
fn a_source_whose_clock_was_set_back_is_followed() {
    let mut scene = Scene::rule(FIVE);
    beat(&mut scene, "a", 24 * HOUR);
    beat(&mut scene, "b", 24 * HOUR);
    // The gateway's clock was a day ahead, and is right now.
    for minute in 0..40 {
        beat(&mut scene, "a", minute * MINUTE);
        if minute < 20 {
            beat(&mut scene, "b", minute * MINUTE);
        }
    }
    assert_eq!(scene.said(), [format!("r firing {}", 19 * 60 + 300)]);
    assert_eq!(scene.told[0].device.as_ref(), "b");
}

/// What silence is, worked out anew at each step, without queues: (when, whom, state) of each transition.
#[derive(Default)]
struct Naive {
    last: BTreeMap<u8, i64>,
    silent: BTreeMap<u8, bool>,
    heard: i64,
    here: i64,
    group: bool,
    told: Vec<(i64, String, State)>,
}

impl Naive {
    const AFTER: i64 = 5 * MINUTE;

    fn time(&mut self, to: i64) {
        while !self.group {
            let due = |(device, last): (&u8, &i64)| ((*last).max(self.here) + Self::AFTER, *device);
            let waiting = self.last.iter().filter(|(device, _)| !self.silent[device]);
            // Of several at one moment the one that was heard of first.
            let Some((at, device)) = waiting.map(due).min() else { break };
            if at > to {
                break;
            }
            if self.last.len() > 1 && at - self.heard >= Self::AFTER / 2 {
                self.group = true;
                self.told.push((at, String::new(), State::Firing));
            } else {
                self.silent.insert(device, true);
                self.told.push((at, format!("d-{device}"), State::Firing));
            }
        }
    }

    fn row(&mut self, device: u8, at: i64) {
        self.time(at);
        self.heard = at;
        if std::mem::take(&mut self.group) {
            self.here = at;
            self.told.push((at, String::new(), State::Resolved));
        }
        self.last.insert(device, at);
        if self.silent.insert(device, false) == Some(true) {
            self.told.push((at, format!("d-{device}"), State::Resolved));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// No silence is missed, doubled or told with another time than it has by its definition.
    #[test]
    fn no_silence_is_missed(steps in prop::collection::vec((0..5_u8, 0..200_i64, any::<bool>()), 1..200)) {
        let (mut scene, mut naive) = (Scene::rule(FIVE), Naive::default());
        naive.here = i64::MIN / 2;
        // Devices are heard of in the order of their numbers.
        for device in 0..4 {
            beat(&mut scene, &format!("d-{device}"), 0);
            naive.row(device, 0);
        }
        let mut now = 0;
        for (device, seconds, often) in steps {
            now += if often { seconds * SECOND / 10 } else { seconds * SECOND * 2 };
            if device == 4 {
                scene.tick("gw", now);
                naive.time(now);
            } else {
                beat(&mut scene, &format!("d-{device}"), now);
                naive.row(device, now);
            }
        }
        let told: Vec<_> =
            scene.told.iter().map(|told| (told.at_us - START, told.device.to_string(), told.to)).collect();
        prop_assert_eq!(told, naive.told);
    }
}
