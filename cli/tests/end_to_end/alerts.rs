//! Alert rules by command: checked with their lines, played over rows of a file, and over what a ward left in the lake.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Output;

use serde_json::Value;

use crate::harness::{Site, get, text, tidemark, wait_for};
use crate::payloads::{publish, retained};

fn alerts(arguments: &[&str]) -> Output {
    tidemark().arg("alerts").args(arguments).output().unwrap()
}

/// The rules that are shipped.
fn shipped() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/alerts.toml")
}

#[test]
fn the_rules_that_are_shipped_make_sense() {
    let shown = alerts(&["test", shipped().to_str().unwrap()]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown));
    assert!(
        text(&shown).contains("news2-emergency (critical): NEWS2 at least 7 for 2m"),
        "{}",
        text(&shown)
    );
}

#[test]
fn every_rule_in_the_documentation_makes_sense() {
    let document = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/alerts.md");
    let document = std::fs::read_to_string(document).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let blocks = document.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut rules: String = blocks.collect();
    // Names are there once in a file, and twice in the text.
    for n in 0..rules.matches("name = \"").count() {
        rules = rules.replacen("name = \"", &format!("name=\"{n}-"), 1);
    }
    let file = folder.path().join("all.toml");
    std::fs::write(&file, &rules).unwrap();
    let shown = alerts(&["test", file.to_str().unwrap()]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown));
    assert!(rules.matches("[[rule]]").count() > 10);
}

#[test]
fn inv12_a_rule_that_can_match_nothing_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, "[[rule]]\nname = \"hot\"\nmetric = \"fridge_temp\"\nabove = 99\n")
        .unwrap();
    let shown = alerts(&["test", rules.to_str().unwrap()]);
    assert_eq!(shown.status.code(), Some(1));
    let said = text(&shown);
    assert!(said.contains("rules.toml: line 4: rule `hot`: `above` can't be exceeded: `fridge_temp` is -40 to 50 Cel"), "{said}");
}

#[test]
fn rows_of_a_file_show_what_rules_would_tell() {
    let folder = tempfile::tempdir().unwrap();
    let (rules, rows) = (folder.path().join("rules.toml"), folder.path().join("rows.ndjson"));
    std::fs::write(
        &rules,
        "[[rule]]\nname = \"warm\"\nmetric = \"fridge_temp\"\nabove = 8\nfor = \"15m\"\n",
    )
    .unwrap();
    let row = |minute: u32| {
        format!(
            "{{\"device_id\":\"f\",\"metric\":\"fridge_temp\",\"value\":9.5,\"event_ts\":\"2026-03-01T08:{minute:02}:00Z\"}}\n"
        )
    };
    std::fs::write(&rows, [row(0), row(10), row(20)].concat()).unwrap();
    let paths = [rules.to_str().unwrap(), rows.to_str().unwrap()];
    let shown = alerts(&["test", paths[0], "--readings", paths[1], "--format", "json"]);
    let told: Vec<Value> =
        text(&shown).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let states: Vec<&Value> = told.iter().map(|told| &told["to"]).collect();
    assert_eq!(states, ["pending", "firing"]);
    assert_eq!(told[1]["at_us"], 1_772_352_900_000_000_i64, "08:15");
    std::fs::write(&rows, [row(0), "{}\n".to_owned()].concat()).unwrap();
    let shown = alerts(&["test", paths[0], "--readings", paths[1]]);
    assert_eq!(shown.status.code(), Some(2));
    assert!(
        text(&shown).contains("rows.ndjson, line 2: missing field `device_id`"),
        "{}",
        text(&shown)
    );
}

/// A ward of three fridges, all of which fail, for a simulated day, through gateway and ingest.
#[test]
fn a_backtest_finds_what_was_true() {
    let site = Site::new(
        "[simulator.ward]\nbeds = 0\npumps = 0\nrooms = 0\nfridges = 3\nehr = false\nfailing_fridges = 1.0\nbuilding_s = 120.0\n",
    );
    let (up, truth) = (site.up(), site.folder.path().join("truth.ndjson"));
    let truth = truth.to_str().unwrap();
    let mut simulated =
        site.simulate(&["--messages", "2160", "--as-fast-as-acknowledged", "--truth", truth]);
    let simulated = simulated.arg("--config").arg(site.config()).output().unwrap();
    assert!(simulated.status.success(), "{}", text(&simulated));
    site.wait_landed();
    up.stop();
    let rules = shipped();
    let config = site.config();
    let backtest = |more: &[&str]| {
        let mut all = vec![
            "backtest",
            rules.to_str().unwrap(),
            "--config",
            config.to_str().unwrap(),
            "--since",
            "2000-01-01",
        ];
        all.extend(more);
        let shown = alerts(&all);
        assert_eq!(shown.status.code(), Some(0), "{}", text(&shown));
        shown
    };
    let report: Value =
        serde_json::from_slice(&backtest(&["--truth", truth, "--format", "json"]).stdout).unwrap();
    assert_eq!(report["rows"], 2160);
    let warm = report["rules"]
        .as_array()
        .unwrap()
        .iter()
        .find(|rule| rule["rule"] == "fridge-warm")
        .unwrap();
    assert_eq!((&warm["alerts"], &warm["right"]), (&3.into(), &3.into()), "{report:#}");
    assert_eq!(warm["scenarios"][0]["scenario"], "fridge_failure");
    assert_eq!(warm["scenarios"][0]["recall"], 1.0);
    // The same alerts again, to the byte; and in the order of events, which is the same here. What is repeated depends on when
    // rows were received.
    let told = |order: &str| text(&backtest(&["--transitions", "--order", order]));
    let arrival = told("arrival");
    assert_eq!(arrival, told("arrival"));
    let lines = |told: &str| {
        let steps =
            told.lines().filter(|line| line.contains("pending") || line.contains("resolved"));
        // Which fridge was heard first is another matter.
        steps.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    assert_eq!(lines(&arrival), lines(&told("event")));
    assert!(lines(&arrival).len() >= 6);
    let none = alerts(&[
        "backtest",
        rules.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
        "--since",
        "2099-01-01",
    ]);
    assert_eq!(none.status.code(), Some(2), "a backtest of nothing proves nothing");
}

/// What is known of the ward that does not depend on when it is asked.
fn known(site: &Site) -> (Value, Value) {
    let asked =
        |path: &str| -> Value { serde_json::from_slice(&get(site.admin, path).unwrap()).unwrap() };
    let mut devices = asked("/api/v1/devices?metrics=true&limit=1000")["devices"].clone();
    for device in devices.as_array_mut().unwrap() {
        let device = device.as_object_mut().unwrap();
        device.remove("status");
        device.remove("rows_per_minute");
    }
    let mut alerts = asked("/api/v1/alerts?limit=1000")["alerts"].clone();
    alerts.as_array_mut().unwrap().sort_by_key(|alert| alert["alert"].to_string());
    (devices, alerts)
}

/// What is known of devices and alerts is gone with its folder; the rows of the lake give it back, what people did included.
#[test]
fn inv14_what_is_known_of_devices_and_alerts_is_made_anew_from_the_lake() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    let rule = "[[rule]]\nname = \"there\"\nmetric = \"fridge_temp\"\nabove = -39\nfor = \"10m\"\n";
    std::fs::write(&rules, rule).unwrap();
    let site = Site::new(&format!(
        "[alerts]\nrules = {rules:?}\n[simulator.ward]\nbeds = 0\npumps = 0\nrooms = 0\nfridges = 3\nehr = false\nbuilding_s = 120.0\n",
    ));
    let up = site.up();
    let mut simulated = site.simulate(&["--messages", "300", "--as-fast-as-acknowledged"]);
    let simulated = simulated.arg("--config").arg(site.config()).output().unwrap();
    assert!(simulated.status.success(), "{}", text(&simulated));
    site.wait_landed();
    let (_, alerts_there) = known(&site);
    let admin = format!("127.0.0.1:{}", site.admin);
    let id = |at: usize| alerts_there[at]["alert"].as_str().unwrap().to_owned();
    let acknowledged = alerts(&["ack", &id(0), "--admin", &admin]);
    assert!(acknowledged.status.success(), "{}", text(&acknowledged));
    let silenced = alerts(&["silence", &id(1), "--for", "5h", "--admin", &admin]);
    assert!(silenced.status.success(), "{}", text(&silenced));
    let before = known(&site);
    let states: BTreeSet<&str> =
        before.1.as_array().unwrap().iter().map(|alert| alert["state"].as_str().unwrap()).collect();
    assert_eq!(states, BTreeSet::from(["acknowledged", "firing", "silenced"]));
    up.stop();

    std::fs::remove_dir_all(site.folder.path().join("lake/_tidemark/watch")).unwrap();
    let config = site.config();
    let rebuilt = alerts(&["rebuild", "--config", config.to_str().unwrap()]);
    assert!(rebuilt.status.success(), "{}", text(&rebuilt));
    assert!(
        text(&rebuilt).contains("its 8 steps of alerts are those in the lake"),
        "{}",
        text(&rebuilt)
    );
    let up = site.up();
    assert_eq!(known(&site), before);
    up.stop();
}

/// States are retained for the devices that the rules ask for, and taken away when they do not any more.
#[test]
fn the_state_of_a_device_is_published_on_request_of_a_rule() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    std::fs::write(&rules, "[[state]]\ndevice = \"living*\"\nevery = \"1s\"\n").unwrap();
    let site = Site::new(&format!("[alerts]\nrules = {rules:?}\n"));
    let up = site.up();
    let of = |device: &str, value: &str| {
        (format!("home/{device}/temperature"), value.as_bytes().to_vec())
    };
    let say = |device: &str, value: &str| {
        let (topic, payload) = of(device, value);
        publish(&site, &[(&topic, payload)]);
    };
    say("kitchen", "19.5");
    for value in ["21.5", "22.25"] {
        say("livingroom", value);
        wait_for("the state", || {
            let Some((topic, payload)) = retained(site.mqtt, "tm/v1/state/#") else { return false };
            assert_eq!(topic, "tm/v1/state/home/livingroom");
            let state: Value = serde_json::from_slice(&payload).unwrap();
            assert_eq!((&state["v"], &state["status"]), (&1.into(), &"online".into()), "{state}");
            state["metrics"][0]["value"].as_f64() == value.parse().ok()
        });
    }
    std::fs::write(&rules, "[[state]]\ndevice = \"cellar\"\n").unwrap();
    wait_for("the state to go", || retained(site.mqtt, "tm/v1/state/#").is_none());
    up.stop();
}
