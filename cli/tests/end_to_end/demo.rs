//! The first command of the README, and the one that stays.

use serde_json::Value;

use crate::harness::{Process, get, text, tidemark, wait_for};
use crate::payloads::publish_to;

#[test]
fn inv5_the_demo_ends_with_an_audit_that_passes_twice_on_the_same_folder() {
    let folder = tempfile::tempdir().unwrap();
    for seed in ["1", "2"] {
        let output = tidemark()
            .args(["demo", "--seconds", "4", "--seed", seed, "--data"])
            .arg(folder.path())
            .output()
            .unwrap();
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        assert!(said.contains("audit PASSED: nothing lost, doubled or altered"), "{said}");
        assert!(said.contains("dead_letters"), "{said}");
        assert!(said.contains("delta_scan("), "{said}");
    }
}

/// The port that follows these words in what the demo says.
fn port_after(said: &str, words: &str) -> Option<u16> {
    let rest = said.split_once(words)?.1;
    rest.split_once(|c: char| !c.is_ascii_digit())?.0.parse().ok()
}

#[test]
fn the_demo_that_stays_shows_the_ward_and_a_device_of_ones_own_and_is_audited_at_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("demo.log");
    let mut command = tidemark();
    command.args(["demo", "--stay", "--data"]).arg(folder.path().join("data"));
    let demo = Process::start(command, &log);
    let (mut page, mut mqtt) = (0, 0);
    wait_for("the demo to say where it is", || {
        let said = std::fs::read_to_string(&log).unwrap();
        let ports = port_after(&said, "look at    http://127.0.0.1:")
            .zip(port_after(&said, "mosquitto_pub -p "));
        ports.inspect(|found| (page, mqtt) = *found).is_some()
    });
    let asked = |path: &str| -> Option<Value> { serde_json::from_slice(&get(page, path)?).ok() };
    wait_for("the ward", || {
        let ward = asked("/api/v1/devices?site=demo-ward&limit=1000");
        ward.is_some_and(|ward| ward["devices"].as_array().is_some_and(|all| all.len() > 50))
    });
    publish_to(mqtt, &[("home/livingroom/temperature", b"21.5".to_vec())]);
    wait_for("a device of one's own", || {
        asked("/api/v1/devices?q=livingroom&metrics=true")
            .is_some_and(|devices| devices.to_string().contains("21.5"))
    });
    let said = demo.stop();
    assert!(said.contains("audit PASSED: nothing lost, doubled or altered"), "{said}");
}
