//! Conditions by their rules: hold times, hysteresis, flapping, repeats, filters.

use watch::{Quality, Severity, State};

use crate::harness::{HOUR, MINUTE, Row, SECOND, START, Scene};

#[test]
fn a_threshold_must_hold_and_be_cleared_for_as_long_as_asked() {
    let mut scene = Scene::rule(
        "metric = \"heart_rate\"\nabove = 120\nclear = 115\nfor = \"10s\"\nclear_for = \"20s\"",
    );
    for (at, value) in [(0, 130.0), (5, 131.0), (8, 118.0)] {
        scene.at(at * SECOND, "heart_rate", value);
    }
    assert_eq!(
        scene.said(),
        ["r pending 0", "r resolved 8"],
        "the zone between ends what did not hold"
    );
    for (at, value) in [(20, 130.0), (25, 125.0), (33, 122.0)] {
        scene.at(at * SECOND, "heart_rate", value);
    }
    assert_eq!(scene.said(), ["r pending 20", "r firing 30"], "true from 20 on: it is 30, not 33");
    for (at, value) in [(40, 117.0), (50, 110.0), (60, 118.0), (65, 112.0), (84, 112.0)] {
        scene.at(at * SECOND, "heart_rate", value);
    }
    assert_eq!(scene.said(), [] as [&str; 0], "the zone between is not cleared");
    scene.at(90 * SECOND, "heart_rate", 112.0);
    assert_eq!(scene.said(), ["r resolved 85"]);
}

#[test]
fn a_transition_says_what_it_is_of_and_by_which_rows() {
    let mut scene =
        Scene::rule("metric = \"fridge_temp\"\nabove = 8.0\nfor = \"2m\"\nseverity = \"critical\"");
    for minute in 0..4 {
        scene.at(minute * MINUTE, "fridge_temp", 9.5);
    }
    let fired = &scene.told[1];
    assert_eq!(
        (fired.from, fired.to, fired.severity),
        (State::Pending, State::Firing, Severity::Critical)
    );
    assert_eq!(fired.alert, scene.told[0].alert);
    assert_eq!(
        (fired.site.as_ref(), fired.device.as_ref(), fired.metric.as_ref()),
        ("icu", "d", "fridge_temp")
    );
    assert_eq!((fired.value.as_ref(), fired.threshold.as_ref()), ("9.5 u", "above 8 for 2m"));
    assert_eq!((fired.group.as_ref(), fired.cause.source_offset), ("gw", 2));
    assert_eq!(fired.evidence.iter().map(|row| row.source_offset).collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn values_that_are_worth_nothing_neither_raise_nor_clear() {
    let mut scene = Scene::rule("metric = \"spo2\"\nbelow = 90\nfor = \"10s\"");
    let row = |at: i64, value| Row::new("d", "spo2", at * SECOND, value);
    scene.row(row(0, 50.0).quality(Quality::Suspect)).row(row(20, 50.0).quality(Quality::Bad));
    assert_eq!(scene.said(), [] as [&str; 0]);
    scene.row(row(30, 85.0)).row(row(35, 99.0).quality(Quality::Suspect)).row(row(41, 85.0));
    assert_eq!(scene.said(), ["r pending 30", "r firing 40"]);
}

#[test]
fn a_long_gap_is_no_evidence_that_a_condition_held() {
    let mut scene = Scene::rule("metric = \"heart_rate\"\nabove = 120\nfor = \"10m\"");
    scene.at(0, "heart_rate", 130.0).at(3 * HOUR, "heart_rate", 130.0);
    assert_eq!(scene.said(), ["r pending 0"]);
    scene.at(3 * HOUR + 10 * MINUTE, "heart_rate", 130.0);
    assert_eq!(scene.said(), [format!("r firing {}", 3 * 3600 + 600)]);
}

#[test]
fn an_alert_that_comes_and_goes_stays() {
    let mut scene =
        Scene::rule("metric = \"spo2\"\nbelow = 90\nflapping = { times = 3, within = \"30m\" }");
    for n in 0..20 {
        let value = if n % 2 == 0 { 85.0 } else { 95.0 };
        scene.at(n * MINUTE, "spo2", value);
    }
    let said = scene.said();
    assert_eq!(said.len(), 5, "three times, then it stays: {said:?}");
    for n in 20..32 {
        scene.at(n * MINUTE, "spo2", 95.0);
    }
    assert_eq!(scene.said(), [format!("r resolved {}", 29 * 60)], "calm for a third of the time");
}

#[test]
fn an_alert_is_repeated_while_nobody_has_it() {
    let mut scene = Scene::rule("metric = \"spo2\"\nbelow = 90\nrepeat = \"10m\"");
    for minute in 0..=25 {
        scene.at(minute * MINUTE, "spo2", 80.0);
    }
    assert_eq!(scene.said(), ["r firing 0", "r firing 600", "r firing 1200"]);
    scene.tick("gw", HOUR);
    assert_eq!(scene.said(), ["r firing 1800", "r firing 2400", "r firing 3000", "r firing 3600"]);
    assert!(scene.told.windows(2).all(|pair| pair[0].alert == pair[1].alert));
    scene.tick("gw", 100 * HOUR);
    assert_eq!(scene.told.len(), 101, "and not for ever");
}

#[test]
fn filters_choose_devices_and_metrics() {
    let mut scene = Scene::new(
        "[[rule]]\nname = \"a\"\nmetric = \"*_temp\"\ndevice = \"fridge-*\"\nabove = 8\n\
         [[rule]]\nname = \"b\"\nsite = \"er\"\nmetric = \"fridge_temp\"\nabove = 8\n\
         [[rule]]\nname = \"c\"\nmetric = \"door_open\"\nequals = \"open\"\n",
    );
    scene.row(Row::new("fridge-1", "fridge_temp", 0, 9.0)).row(Row::new(
        "fridge-1",
        "room_temp",
        0,
        19.0,
    ));
    scene.row(Row::new("room-1", "room_temp", 0, 19.0));
    scene.row(Row::new("room-1", "door_open", 0, 0.0).text("open"));
    let said: Vec<String> =
        scene.told.iter().map(|t| format!("{} {} {}", t.rule, t.device, t.metric)).collect();
    assert_eq!(said, ["a fridge-1 fridge_temp", "a fridge-1 room_temp", "c room-1 door_open"]);
}

#[test]
fn an_expression_is_a_condition_a_filter_or_what_is_counted() {
    let mut scene = Scene::new(
        "[[rule]]\nname = \"both\"\nwhen = \"metric == 'spo2' && value < 90.0 && device.startsWith('mon')\"\n\
         [[rule]]\nname = \"filter\"\nmetric = \"spo2\"\nbelow = 90\nwhen = \"quality == 'good'\"\n\
         [[rule]]\nname = \"opened\"\nmetric = \"door_open\"\nwhen = \"text == 'open'\"\ncount = 2\nwithin = \"10m\"\n",
    );
    scene.row(Row::new("mon-1", "spo2", 0, 85.0)).row(Row::new("pump", "spo2", 0, 85.0));
    assert_eq!(scene.said(), ["both firing 0", "filter firing 0", "filter firing 0"]);
    scene.row(Row::new("mon-1", "spo2", SECOND, 95.0));
    assert_eq!(scene.said(), ["both resolved 1", "filter resolved 1"]);
    let door = |minute: i64, text| Row::new("room", "door_open", minute * MINUTE, 0.0).text(text);
    scene.row(door(1, "open")).row(door(2, "closed")).row(door(3, "open")).row(door(11, "closed"));
    assert_eq!(scene.said(), ["opened firing 180", "opened resolved 660"]);
    assert_eq!(scene.watch.counts().undecided, 0);
}

#[test]
fn an_expression_without_an_answer_decides_nothing_and_is_counted() {
    let mut scene = Scene::rule("when = \"value < 90.0\"");
    scene.row(Row::new("d", "spo2", 0, 85.0)).row(Row::new("d", "spo2", SECOND, 0.0).text("off"));
    assert_eq!(scene.said(), ["r firing 0"]);
    assert_eq!(scene.watch.counts().undecided, 1);
}

#[test]
fn a_score_is_made_of_all_metrics_of_a_device() {
    let mut scene = Scene::rule(
        "severity = \"critical\"\n[rule.news2]\nat_least = 7\nassume_oxygen = \"air\"\nassume_consciousness = \"A\"\nscale_2_devices = [\"copd-*\"]",
    );
    let sick = [
        ("resp_rate", 25.0),
        ("spo2", 91.0),
        ("heart_rate", 100.0),
        ("nibp_sys", 120.0),
        ("temp_body", 37.0),
    ];
    for device in ["bed-1", "copd-2"] {
        for (metric, value) in sick {
            scene.row(Row::new(device, metric, 0, value));
        }
    }
    assert_eq!(scene.said(), ["r firing 0"]);
    let fired = &scene.told[0];
    assert_eq!(
        (fired.device.as_ref(), fired.metric.as_ref()),
        ("bed-1", ""),
        "on scale 2, 91 % is well"
    );
    assert_eq!(
        fired.value.as_ref(),
        "NEWS2 7 or more; not known: systolic pressure, temperature; at 3: respiration, oxygen saturation"
    );
    assert_eq!(fired.at_us, START);
}

#[test]
fn the_metric_of_a_stuck_sensor_or_a_bad_one_is_named() {
    let mut scene = Scene::new(
        "[[rule]]\nname = \"stuck\"\nmetric = \"fridge_temp\"\nstuck_for = \"2h\"\n\
         [[rule]]\nname = \"bad\"\nmetric = \"spo2\"\ngood_share_below = 0.5\nwithin = \"10m\"\n",
    );
    for minute in 0..=120 {
        scene.at(minute * MINUTE, "fridge_temp", 5.0);
    }
    assert_eq!(scene.said(), ["stuck firing 7200"]);
    for n in 0..10 {
        scene.row(Row::new("d", "spo2", 3 * HOUR + n * SECOND, 0.0).quality(Quality::Bad));
    }
    assert_eq!(scene.said(), ["bad firing 10809"]);
    assert_eq!(scene.told.last().unwrap().value.as_ref(), "0 of 10 rows good");
}
