//! `tidemark check` of a machine: before a start, beside a running service, and when something is in the way.

use std::net::TcpListener;

use serde_json::Value;

use crate::harness::{Site, text, tidemark};

/// Exit code and findings.
fn check(site: &Site, options: &[&str]) -> (i32, Vec<Value>) {
    let mut command = tidemark();
    command.args(["check", "--format", "json", "--config"]).arg(site.config()).args(options);
    let output = command.output().unwrap();
    let shown: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    (output.status.code().unwrap(), shown["findings"].as_array().unwrap().clone())
}

/// What was found of one thing that is as asked for.
fn found<'a>(findings: &'a [Value], verdict: &str, what: &str) -> &'a str {
    let one = findings.iter().find(|one| one["verdict"] == verdict && one["what"] == what);
    one.unwrap_or_else(|| panic!("no {verdict} {what}: {findings:#?}"))["found"].as_str().unwrap()
}

#[test]
fn what_a_machine_has_is_looked_at_before_the_start_and_beside_the_service() {
    let site = Site::new("");
    let (code, before) = check(&site, &[]);
    assert_eq!(code, 0, "{before:#?}");
    assert!(found(&before, "ok", "lake").contains("will be made at the start"));
    assert!(found(&before, "ok", "port").contains("is free"));

    let up = site.up();
    let (code, beside) = check(&site, &[]);
    assert_eq!(code, 0, "{beside:#?}");
    assert!(found(&beside, "ok", "store").contains("one winner"));
    assert!(found(&beside, "ok", "clock").contains("no other to hold it against"));
    assert!(found(&beside, "ok", "lake").contains("is one whole"));
    assert!(found(&beside, "ok", "spool").contains("in use by a running service"));
    assert!(found(&beside, "ok", "port").contains("in use by the service that runs"));
    up.stop();
}

#[test]
fn what_is_in_the_way_of_a_start_is_told_with_its_remedy() {
    let site = Site::new("");
    let taken = TcpListener::bind(("127.0.0.1", site.mqtt)).unwrap();
    let (code, findings) = check(&site, &[]);
    assert_eq!(code, 1);
    assert!(found(&findings, "bad", "port").contains("taken by another program"));
    drop(taken);

    // An agent whose gateway is not there.
    let agent = format!("[agent.gateway]\nhost = \"127.0.0.1\"\nport = {}\n", site.mqtt);
    let config = std::fs::read_to_string(site.config()).unwrap() + &agent;
    std::fs::write(site.config(), config).unwrap();
    let (code, findings) = check(&site, &["--service", "agent"]);
    assert_eq!(code, 1);
    let bad = findings.iter().find(|one| one["what"] == "gateway").unwrap();
    assert!(
        bad["remedy"].as_str().unwrap().contains("what is accepted meanwhile is kept"),
        "{bad}"
    );

    // A spool that was made under another name.
    site.up().stop();
    let config = std::fs::read_to_string(site.config()).unwrap();
    let renamed = config.replacen("[gateway]\n", "[gateway]\nsource_id = \"renamed\"\n", 1);
    assert_ne!(renamed, config);
    std::fs::write(site.config(), renamed).unwrap();
    let (code, findings) = check(&site, &[]);
    assert_eq!(code, 1);
    assert!(found(&findings, "bad", "spool").contains("source_id = \"renamed\""));

    std::fs::write(site.config(), "[gateway]\nlisten = \"nowhere\"\n").unwrap();
    let (code, findings) = check(&site, &[]);
    assert_eq!((code, findings.len()), (1, 1));
    assert!(found(&findings, "bad", "configuration").contains("listen"));
}
