//! What is shown of devices: last values by the time of the event, whether they are there, what was counted.

use watch::{Quality, State, Status};

use crate::harness::{MINUTE, Row, SECOND, START, Scene};

#[test]
fn the_last_value_is_the_newest_by_the_time_of_the_event() {
    let mut scene = Scene::rule("metric = \"spo2\"\nbelow = 90");
    scene.at(MINUTE, "spo2", 85.0).row(Row::new("d", "spo2", 0, 99.0).received(2 * MINUTE));
    scene.row(Row::new("d", "door_open", MINUTE, 0.0).text("open").quality(Quality::Unchecked));
    let device = scene.watch.device("icu", "d").unwrap();
    assert_eq!((device.source, device.heard_us), ("gw", START + 2 * MINUTE));
    let metrics: Vec<_> = device.metrics().collect();
    assert_eq!((metrics[0].value, metrics[0].unit, metrics[0].late), (Some(85.0), "u", 1));
    assert_eq!((metrics[0].event_us, metrics[0].counts), (START + MINUTE, [2, 0, 0, 0]));
    assert_eq!((metrics[1].value, metrics[1].text), (None, Some("open")));
    assert_eq!(metrics[1].counts, [0, 1, 0, 0]);
    let alert = device.alerts().next().unwrap();
    assert_eq!((alert.rule, alert.state, alert.metric), ("r", State::Firing, "spo2"));
    assert_eq!((alert.value, alert.alert), ("85 u", scene.told[0].alert));
    assert!(scene.watch.device("icu", "e").is_none() && scene.watch.device("er", "d").is_none());
}

#[test]
fn a_device_without_a_rule_of_silence_is_shown_silent_after_five_minutes() {
    let mut scene = Scene::rule("metric = \"spo2\"\nbelow = 90");
    for second in 0..60 {
        scene.at(second * 2 * SECOND, "spo2", 97.0);
    }
    let shown = |scene: &Scene| {
        let device = scene.watch.device("icu", "d").unwrap();
        (device.status, device.rows_per_minute)
    };
    assert_eq!(shown(&scene), (Status::Online, 30));
    scene.tick("gw", 8 * MINUTE);
    assert_eq!(shown(&scene), (Status::Silent, 0));
}

#[test]
fn inv12_a_rule_that_looks_at_nothing_can_be_told() {
    let mut scene = Scene::new(
        "[[rule]]\nname = \"a\"\nmetric = \"spo2\"\nbelow = 90\n\
         [[rule]]\nname = \"b\"\nmetric = \"spo2\"\ndevice = \"monitr-*\"\nbelow = 90\n\
         [[rule]]\nname = \"c\"\nsilent_for = \"5m\"\n",
    );
    scene.at(0, "spo2", 97.0).at(SECOND, "spo2", 97.0).at(SECOND, "heart_rate", 80.0);
    let looked_at: Vec<_> = scene.watch.looked_at().collect();
    assert_eq!(looked_at, [("a", 2), ("b", 0), ("c", 1)]);
}
