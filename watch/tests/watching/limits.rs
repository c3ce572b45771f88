//! Limits: what is beyond is not watched, and counted; memory stays where it is said to stay.

use watch::{Limits, Watch};

use crate::harness::{HOUR, MINUTE, Row, SECOND, Scene, rules};

const SPO2: &str = "[[rule]]\nname = \"r\"\nmetric = \"spo2\"\nbelow = 90\n";

#[test]
fn of_too_many_devices_those_heard_longest_ago_go_but_none_with_an_alert() {
    let mut scene = Scene::limited(SPO2, Limits { devices: 8, ..Limits::default() });
    for n in 0..8 {
        scene.row(Row::new(
            &format!("d-{n}"),
            "spo2",
            n * MINUTE,
            if n == 0 { 80.0 } else { 97.0 },
        ));
    }
    scene.row(Row::new("d-8", "spo2", HOUR, 97.0));
    assert_eq!(scene.watch.counts().forgotten, 2);
    let names: Vec<&str> = scene.watch.devices().map(|device| device.device).collect();
    assert_eq!(names, ["d-0", "d-3", "d-4", "d-5", "d-6", "d-7", "d-8"]);
    scene.row(Row::new("d-0", "spo2", HOUR, 97.0)).row(Row::new("d-3", "spo2", HOUR, 80.0));
    assert_eq!(scene.said(), ["r firing 0", "r resolved 3600", "r firing 3600"]);
}

#[test]
fn if_all_devices_have_alerts_no_new_one_is_taken() {
    let mut scene = Scene::limited(SPO2, Limits { devices: 2, ..Limits::default() });
    for n in 0..3 {
        scene.row(Row::new(&format!("d-{n}"), "spo2", n, 80.0));
    }
    assert_eq!((scene.told.len(), scene.watch.counts().beyond_limits), (2, 1));
}

#[test]
fn metrics_names_and_sources_beyond_the_limit_are_counted() {
    let limits = Limits { metrics_per_device: 2, sources: 1, ..Limits::default() };
    let mut scene = Scene::limited(SPO2, limits);
    for metric in ["a", "b", "spo2"] {
        scene.at(0, metric, 1.0);
    }
    assert_eq!(scene.watch.counts().beyond_limits, 1);
    scene.row(Row::new("d", "a", SECOND, 1.0).source("other"));
    scene.row(Row::new(&"x".repeat(1000), "a", SECOND, 1.0));
    assert_eq!(scene.watch.counts().beyond_limits, 3);
    assert_eq!(scene.watch.devices().count(), 1);
}

/// 100,000 devices with five metrics each, on 20 rules. The count is of what is allocated, by type; docs/alerts.md has what a
/// process takes.
#[test]
fn a_hundred_thousand_devices_stay_below_300_mb() {
    let mut text = String::from(
        "[[rule]]\nname = \"silence\"\nsilent_for = \"5m\"\n[[rule]]\nname = \"score\"\nnews2 = { at_least = 7 }\n",
    );
    for n in 0..18 {
        text.push_str(&format!(
            "[[rule]]\nname = \"r-{n}\"\nmetric = \"spo2\"\ndevice = \"d-{n}*\"\nbelow = {}\n",
            70 + n
        ));
    }
    let mut watch = Watch::new(rules(&text), Limits::default());
    let mut out = Vec::new();
    let metrics = ["heart_rate", "spo2", "resp_rate", "temp_body", "etco2"];
    for n in 0..100_000_i64 {
        let mut row = Row::new(&format!("device-{n:06}"), "spo2", n, 97.0);
        for metric in metrics {
            row.metric = metric;
            watch.reading(&row.reading(), &mut out);
        }
    }
    assert_eq!((watch.devices().count(), out.len()), (100_000, 0));
    let mb = watch.memory_bytes() / 1_000_000;
    assert!(mb < 300, "{mb} MB");
}
