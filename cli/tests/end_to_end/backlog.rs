//! Alerts of a backlog: an agent that was cut off for an hour hands over what it heard meanwhile.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{Process, Site, get, post, tidemark, wait_for};
use crate::payloads::publish;

/// Every so often the devices say something.
const STEP_S: i64 = 300;
const STEPS: i64 = 12;

/// The agent, with a clock that is so far behind.
fn agent(site: &Site, admin: u16, behind_s: i64) -> Process {
    let mut command = tidemark();
    command.arg("agent").arg("--config").arg(site.config());
    command.env("TIDEMARK_CLOCK__JUMPS", format!("0:-{behind_s}"));
    let process = Process::start(command, &site.folder.path().join("agent.log"));
    wait_for("the agent to be there", || get(admin, "/healthz").is_some());
    process
}

/// The steps of firing and resolving, by rule and device: when each was, in minutes after the first row, rounded.
fn told(site: &Site, begun_us: i64) -> BTreeMap<(String, String), Vec<(String, i64)>> {
    let path = "/api/v1/alerts/history?limit=1000&from=2020-01-01T00:00:00Z";
    let page: Value = serde_json::from_slice(&get(site.admin, path).unwrap()).unwrap();
    let mut steps: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for step in page["transitions"].as_array().unwrap().iter().rev() {
        let said = |what: &str| step[what].as_str().unwrap().to_owned();
        let (before, state) = (said("before"), said("state"));
        // What was only pending was told to nobody.
        if state == "firing" || (state == "resolved" && before != "pending") {
            let at: jiff::Timestamp = said("at").parse().unwrap();
            let minute = (at.as_microsecond() - begun_us + 30_000_000).div_euclid(60_000_000);
            steps.entry((said("rule"), said("device"))).or_default().push((state, minute));
        }
    }
    steps
}

/// Nothing that was not so is told, nothing that was so is missed, and each is told as of when it was.
#[test]
fn inv14_a_backlog_of_an_hour_makes_no_false_alert_and_hides_no_true_one() {
    let folder = tempfile::tempdir().unwrap();
    let rules = folder.path().join("rules.toml");
    let text = "[[rule]]\nname = \"silent\"\nsilent_for = \"8m\"\n[[rule]]\nname = \"warm\"\nmetric = \"fridge_temp\"\nabove = 8\nfor = \"20m\"\n";
    std::fs::write(&rules, text).unwrap();
    let (site, admin, input) = Site::with_agent(&format!("[alerts]\nrules = {rules:?}\n"));

    let say = |step: i64| {
        let mut lines = String::new();
        for (device, is_there, is_warm) in [
            ("good", true, (2..=3).contains(&step)),
            ("gone", !(4..=8).contains(&step), false),
            ("warm", true, (2..=8).contains(&step)),
        ] {
            let value = if is_warm { 9.5 } else { 5.0 };
            if is_there {
                lines += &format!(
                    "{{\"topic\":\"dt/w/{device}/readings\",\"payload\":{{\"metric\":\"fridge_temp\",\"value\":{value}}}}}\n"
                );
            }
        }
        post(input, "/v1/messages", &lines).expect("accepted without the gateway");
    };
    let begun_us = jiff::Timestamp::now().as_microsecond() - STEPS * STEP_S * 1_000_000;
    for step in 0..STEPS {
        let process = agent(&site, admin, (STEPS - step) * STEP_S);
        say(step);
        process.kill();
    }
    let _agent = agent(&site, admin, 0);
    say(STEPS);
    let up = site.up();
    // Whoever is heard directly meanwhile is not mistaken for one of them.
    publish(&site, &[("dt/v/live/readings", br#"{"metric":"fridge_temp","value":5}"#.to_vec())]);
    wait_for("the backlog to land", || {
        let status: Value = serde_json::from_slice(&get(admin, "/status").unwrap()).unwrap();
        status[0]["landed"].as_i64() == Some(3 * (STEPS + 1) - 5)
    });
    site.wait_landed();
    let expected = |rule: &str, device: &str, firing: i64, resolved: i64| {
        let steps = vec![("firing".to_owned(), firing), ("resolved".to_owned(), resolved)];
        ((rule.to_owned(), device.to_owned()), steps)
    };
    // Heard last at minute 15, and again at 45; too warm since minute 10, and well at 45.
    let expected =
        BTreeMap::from([expected("silent", "gone", 23, 45), expected("warm", "warm", 30, 45)]);
    wait_for("the steps to be there", || told(&site, begun_us) == expected);
    up.stop();
    assert_eq!(site.rows("readings"), 3 * 13 - 5 + 1);
}
