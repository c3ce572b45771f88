//! Late rows and wrong clocks: what is newer stays, and nothing false is told.

use crate::harness::{HOUR, MINUTE, Row, SECOND, START, Scene};

fn last(scene: &Scene, metric: &str) -> (Option<f64>, u32) {
    let device = scene.watch.device("icu", "d").unwrap();
    let last = device.metrics().find(|last| last.metric == metric).unwrap();
    (last.value, last.late)
}

#[test]
fn a_backlog_never_overwrites_what_is_newer_and_raises_nothing() {
    let mut scene = Scene::rule("metric = \"heart_rate\"\nabove = 120");
    scene.at(HOUR, "heart_rate", 80.0);
    for minute in 0..60 {
        scene.row(
            Row::new("d", "heart_rate", minute * MINUTE, 150.0).received(HOUR + minute * SECOND),
        );
    }
    assert_eq!(scene.said(), [] as [&str; 0]);
    assert_eq!(last(&scene, "heart_rate"), (Some(80.0), 60));
    assert_eq!(scene.watch.counts().late, 60);
}

#[test]
fn the_same_row_again_changes_nothing() {
    let mut scene = Scene::rule("metric = \"heart_rate\"\nabove = 120");
    scene.at(0, "heart_rate", 130.0).at(0, "heart_rate", 90.0);
    assert_eq!(last(&scene, "heart_rate"), (Some(130.0), 1));
}

#[test]
fn a_backlog_in_order_is_judged_by_its_own_time() {
    let mut scene = Scene::rule("metric = \"fridge_temp\"\nabove = 8\nfor = \"15m\"");
    for minute in 0..40 {
        let value = if minute < 20 { 9.0 } else { 5.0 };
        scene.row(Row::new("d", "fridge_temp", minute * MINUTE, value).received(2 * HOUR + minute));
    }
    assert_eq!(scene.said(), ["r pending 0", "r firing 900", "r resolved 1200"]);
    assert_eq!(
        scene.told[1].heard_us,
        START + 2 * HOUR + 15,
        "and it is seen how late it was told"
    );
}

#[test]
fn a_time_far_ahead_is_taken_for_the_time_of_receipt() {
    let mut scene = Scene::rule("metric = \"heart_rate\"\nabove = 120");
    scene.row(Row::new("d", "heart_rate", 20 * HOUR, 80.0).received(0));
    scene.at(MINUTE, "heart_rate", 130.0);
    assert_eq!(scene.said(), ["r firing 60"]);
    assert_eq!(scene.watch.counts().ahead, 1);
}

#[test]
fn a_device_whose_clock_was_set_back_is_deaf_for_a_quarter_of_an_hour_only() {
    let mut scene = Scene::rule("metric = \"heart_rate\"\nabove = 120");
    scene.at(HOUR, "heart_rate", 80.0);
    for minute in 1..=20 {
        scene.row(
            Row::new("d", "heart_rate", minute * MINUTE, 130.0).received(HOUR + minute * MINUTE),
        );
    }
    assert_eq!(scene.said(), [format!("r firing {}", 16 * 60)]);
    assert_eq!((scene.watch.counts().late, scene.watch.counts().clocks_set_back), (15, 1));
    assert_eq!(last(&scene, "heart_rate").0, Some(130.0));
}

#[test]
fn a_retained_message_that_comes_again_and_again_is_no_clock_that_was_set_back() {
    let mut scene = Scene::rule("metric = \"heart_rate\"\nabove = 120");
    for minute in 0..60 {
        scene.row(Row::new("d", "heart_rate", 0, 130.0).received(minute * MINUTE));
    }
    assert_eq!(scene.said(), ["r firing 0"]);
    assert_eq!(scene.watch.counts().clocks_set_back, 0);
}
