//! INV-12: a simulation that did nothing and an audit that saw nothing say so, and fail.

use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::{Process, Site, text, tidemark};

fn audit(site: &Site, journal: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = tidemark();
    command.arg("audit").args(arguments).arg("--journal").arg(journal);
    command.arg("--config").arg(site.config());
    command
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(output)))
}

#[test]
fn inv12_a_simulation_that_reached_nobody_fails_and_so_does_its_audit() {
    let site = Site::new("");
    site.up().stop();
    let mut simulate = tidemark();
    simulate.args(["simulate", "--gateway", "127.0.0.1:1", "--seconds", "1", "--journal"]);
    let simulated = simulate.arg(site.journal()).output().unwrap();
    assert_eq!(simulated.status.code(), Some(2), "{}", text(&simulated));
    let said = text(&simulated);
    assert!(said.contains("nothing was published: cannot reach the gateway"), "{said}");
    let audited = audit(&site, &site.journal(), &[]).output().unwrap();
    assert_eq!(audited.status.code(), Some(1), "{}", text(&audited));
    let said = text(&audited);
    assert!(said.contains("the journal has no message") && !said.contains("PASSED"), "{said}");
}

#[test]
fn inv12_what_is_on_its_way_is_pending_until_it_was_waited_for() {
    let site = Site::new("");
    site.up().stop();
    let gateway = site.start("gateway", site.admin);
    let simulated = site.simulate(&["--messages", "50", "--as-fast-as-acknowledged"]).output();
    let simulated = simulated.unwrap();
    assert!(simulated.status.success(), "{}", text(&simulated));

    let early = audit(&site, &site.journal(), &["--format", "json"]).output().unwrap();
    let report = json(&early);
    assert_eq!(early.status.code(), Some(1), "{report:#}");
    assert_eq!((&report["pending"], &report["lost"]), (&50.into(), &0.into()), "{report:#}");
    let said = text(&audit(&site, &site.journal(), &[]).output().unwrap());
    assert!(said.contains("audit PENDING"), "{said}");
    let late = json(
        &audit(&site, &site.journal(), &["--format", "json", "--wait", "0"]).output().unwrap(),
    );
    assert_eq!((&late["pending"], &late["lost"]), (&0.into(), &50.into()), "{late:#}");

    let log = site.folder.path().join("waiting.log");
    let waiting = Process::start(audit(&site, &site.journal(), &["--wait", "60"]), &log);
    let mut command = tidemark();
    command.arg("ingest").arg("--config").arg(site.config());
    let ingest = Process::start(command, &site.folder.path().join("ingest.log"));
    let said = waiting.finish();
    assert!(said.contains("audit PASSED"), "{said}");
    ingest.stop();
    gateway.stop();
}

#[test]
fn inv12_a_journal_of_another_run_is_named_and_its_messages_are_not_called_doubled() {
    let site = Site::new("");
    let up = site.up();
    let journals = ["one", "two"].map(|name| site.folder.path().join(name));
    for journal in &journals {
        let mut simulate = tidemark();
        simulate.args(["simulate", "--messages", "60", "--as-fast-as-acknowledged", "--gateway"]);
        simulate.arg(format!("127.0.0.1:{}", site.mqtt)).arg("--journal").arg(journal);
        let simulated = simulate.output().unwrap();
        assert!(simulated.status.success(), "{}", text(&simulated));
    }
    site.wait_landed();
    let report = json(&audit(&site, &journals[0], &["--format", "json"]).output().unwrap());
    assert_eq!(report["unproven"][0]["reason"], "another_run", "{report:#}");
    assert_eq!((&report["doubled"], &report["lost"]), (&0.into(), &0.into()), "{report:#}");
    up.stop();
    let other = Site::new("");
    other.up().stop();
    let elsewhere = audit(&other, &journals[0], &["--wait", "0"]).output().unwrap();
    let said = text(&elsewhere);
    assert_eq!(elsewhere.status.code(), Some(1), "{said}");
    assert!(said.contains("is it the lake of this journal?"), "{said}");
}
