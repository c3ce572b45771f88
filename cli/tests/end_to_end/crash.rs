//! `kill -9` in the middle: what was acknowledged lands exactly once all the same.

use crash_point::PAYLOAD_VARIABLE;

use crate::harness::{Process, Site, tidemark, wait_for};
use crate::payloads::publish;

#[test]
fn inv1_inv5_everything_killed_under_load_and_restarted_loses_and_doubles_nothing() {
    let site = Site::new("");
    let mut up = site.up();
    let simulator = Process::start(
        site.simulate(&[
            "--seconds",
            "12",
            "--rate",
            "400",
            "--connections",
            "8",
            "--duplicates",
            "0.01",
        ]),
        &site.folder.path().join("simulate.log"),
    );
    for landed in [200, 1500] {
        wait_for("some messages to land", || site.status()["landed"].as_u64().unwrap() >= landed);
        up.kill();
        up = site.up();
    }
    simulator.finish();
    site.wait_landed();
    let log = up.stop();
    assert!(log.contains("drained: everything accepted is readable in the lake"), "{log}");
    let report = site.audit();
    assert!(report["acknowledged"].as_u64().unwrap() > 2000, "{report:#}");
    assert_eq!(
        (&report["lost"], &report["doubled"], &report["altered"]),
        (&0.into(), &0.into(), &0.into())
    );
}

#[test]
fn inv7_ingest_alone_can_be_killed_again_and_again() {
    let site = Site::new("");
    let gateway = site.start("gateway", site.admin);
    let simulator = Process::start(
        site.simulate(&["--seconds", "8", "--rate", "300", "--connections", "4"]),
        &site.folder.path().join("simulate.log"),
    );
    for landed in [100, 600, 1200] {
        let mut command = tidemark();
        command.arg("ingest").arg("--config").arg(site.config());
        let ingest = Process::start(command, &site.folder.path().join("ingest.log"));
        wait_for("some messages to land", || site.status()["landed"].as_u64().unwrap() >= landed);
        ingest.kill();
    }
    simulator.finish();
    let mut command = tidemark();
    command.arg("ingest").arg("--config").arg(site.config());
    let ingest = Process::start(command, &site.folder.path().join("ingest.log"));
    site.wait_landed();
    gateway.stop();
    ingest.stop();
    site.audit();
}

#[test]
fn inv4_a_message_that_ingest_dies_of_ends_as_a_dead_letter_and_what_is_around_it_lands() {
    let site = Site::new("");
    let gateway = site.start("gateway", site.admin);
    let reading = |n: u32, text: &str| {
        let payload = format!(r#"{{"metric":"spo2","value":{n},"seq":{n},"note":"{text}"}}"#);
        ("dt/ward/dev/readings", payload.into_bytes())
    };
    let mut messages: Vec<_> = (0..300).map(|n| reading(n, "harmless")).collect();
    messages[170] = reading(170, "deadly");
    publish(&site, &messages);
    let log = site.folder.path().join("ingest.log");
    let (mut lives, mut all_landed) = (0, false);
    while !all_landed {
        lives += 1;
        assert!(lives <= 12, "{}", std::fs::read_to_string(&log).unwrap());
        let mut command = tidemark();
        command.env(PAYLOAD_VARIABLE, "deadly");
        command.arg("ingest").arg("--config").arg(site.config());
        let mut ingest = Process::start(command, &log);
        let mut died = false;
        wait_for("ingest to die, or everything to land", || {
            died = ingest.has_ended();
            all_landed = site.status()["landed"] == site.status()["appended"];
            died || all_landed
        });
        if !died {
            let said = ingest.stop();
            assert!(said.contains("ends_ingest"), "{said}");
        }
    }
    assert!(lives > 4, "two bad ends, then narrower and narrower, and twice alone: {lives}");
    assert_eq!((site.rows("readings"), site.rows("dead_letters")), (299, 1));
    gateway.stop();
}
