//! What people do: acknowledge, silence, maintain.

use watch::{ActError, Action, AlertId, State};

use crate::harness::{HOUR, MINUTE, SECOND, START, Scene};

fn firing() -> (Scene, AlertId) {
    let mut scene = Scene::rule("metric = \"spo2\"\nbelow = 90\nrepeat = \"10m\"");
    scene.at(0, "spo2", 80.0);
    let alert = scene.told[0].alert;
    scene.said();
    (scene, alert)
}

fn act(scene: &mut Scene, action: &Action, at_us: i64) -> Result<(), ActError> {
    scene.watch.act(action, START + at_us, &mut scene.told)
}

#[test]
fn an_alert_that_somebody_has_is_not_repeated() {
    let (mut scene, alert) = firing();
    act(&mut scene, &Action::Acknowledge { alert, by: "nurse".into() }, MINUTE).unwrap();
    scene.tick("gw", HOUR);
    scene.at(HOUR, "spo2", 80.0).at(HOUR + SECOND, "spo2", 97.0);
    assert_eq!(scene.said(), ["r acknowledged 60", "r resolved 3601"]);
    assert_eq!(scene.told[1].by.as_deref(), Some("nurse"));
    let again = act(&mut scene, &Action::Acknowledge { alert, by: "nurse".into() }, HOUR);
    assert_eq!(again, Err(ActError::NoSuchAlert));
}

#[test]
fn a_silence_ends_and_the_alert_is_told_again_if_it_is_still_there() {
    let (mut scene, alert) = firing();
    let silence = Action::Silence { alert, until_us: START + 30 * MINUTE, by: "nurse".into() };
    act(&mut scene, &silence, MINUTE).unwrap();
    scene.tick("gw", 29 * MINUTE);
    assert_eq!(scene.said(), ["r silenced 60"]);
    assert_eq!(scene.told[1].until_us, Some(START + 30 * MINUTE));
    scene.tick("gw", 31 * MINUTE);
    assert_eq!(scene.said(), ["r firing 1800"]);
    assert_eq!(act(&mut scene, &silence, HOUR), Err(ActError::Over));
}

#[test]
fn in_a_maintenance_window_alerts_are_silenced_from_the_start() {
    let (mut scene, _) = firing();
    let window = |from: i64, until: i64| Action::Maintain {
        site: "*".into(),
        device: "d".into(),
        from_us: START + from,
        until_us: START + until,
        by: "engineer".into(),
    };
    assert_eq!(act(&mut scene, &window(MINUTE, MINUTE), 0), Err(ActError::Over));
    act(&mut scene, &window(0, 20 * MINUTE), MINUTE).unwrap();
    assert_eq!(scene.said(), ["r silenced 60"], "what is there is silenced, too");
    scene.at(2 * MINUTE, "spo2", 97.0).at(3 * MINUTE, "spo2", 80.0);
    assert_eq!(scene.said(), ["r resolved 120", "r silenced 180"]);
    assert_eq!(scene.told.last().unwrap().from, State::Resolved);
    scene.tick("gw", 21 * MINUTE);
    assert_eq!(scene.said(), ["r firing 1200"]);
}

#[test]
fn a_pending_alert_can_be_neither_acknowledged_nor_silenced() {
    let mut scene = Scene::rule("metric = \"spo2\"\nbelow = 90\nfor = \"1m\"");
    scene.at(0, "spo2", 80.0);
    let alert = scene.told[0].alert;
    let by = "nurse".into();
    assert_eq!(act(&mut scene, &Action::Acknowledge { alert, by }, 1), Err(ActError::NotNow));
}

#[test]
fn a_window_of_the_rules_file_counts_too() {
    let mut scene = Scene::new(
        "[[rule]]\nname = \"r\"\nmetric = \"spo2\"\nbelow = 90\n\
         [[maintenance]]\ndevice = \"d*\"\nfrom = 2026-01-01T00:00:00Z\nuntil = 2026-01-01T01:00:00+00:00\n",
    );
    scene.at(MINUTE, "spo2", 80.0).tick("gw", 2 * HOUR);
    assert_eq!(scene.said(), ["r silenced 60", "r firing 3600"]);
}
