//! Gateway and ingest in one process, when the gateway turns its own ingest away.

use service_runtime::Clock;

use crate::harness::{PATIENCE, Process, Site, answer, get, text, tidemark, wait_for};

/// A site whose gateway knows one identity, `ingest`; with a password, its ingest says that it is that one.
fn with_identity(shown: Option<&str>) -> Site {
    let site = Site::new("");
    let file = |name: &str| site.folder.path().join(name);
    std::fs::write(file("right"), "correct horse").unwrap();
    let added = tidemark()
        .args(["identity", "add", "ingest", "--role", "ingest", "--password-file"])
        .arg(file("right"))
        .arg("--file")
        .arg(file("identities.toml"))
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", text(&added));
    let mut config = std::fs::read_to_string(site.config()).unwrap();
    if let Some(shown) = shown {
        std::fs::write(file("shown"), shown).unwrap();
        config += &format!(
            "username = \"ingest\"\nclient_id = \"ingest\"\npassword_file = {:?}\n",
            file("shown")
        );
    }
    config += &format!("[gateway.access]\nidentities_file = {:?}\n", file("identities.toml"));
    std::fs::write(site.config(), config).unwrap();
    site
}

#[test]
fn inv12_ingest_that_is_turned_away_makes_the_pair_not_ready() {
    for (password, is_ready) in [("wrong horse", false), ("correct horse", true)] {
        let site = with_identity(Some(password));
        let mut command = tidemark();
        command.arg("up").arg("--config").arg(site.config());
        let _up = Process::start(command, &site.folder.path().join("up.log"));
        wait_for("the pair to say how it is", || {
            let said = answer(site.admin, "/readyz").unwrap_or_default();
            let broker = said.lines().find(|line| line.starts_with("broker:")).unwrap_or_default();
            match is_ready {
                true => said.starts_with("HTTP/1.1 200") && broker == "broker: ready",
                false => said.starts_with("HTTP/1.1 503") && broker.contains("check username"),
            }
        });
        assert!(get(site.admin, "/healthz").is_some());
    }
}

/// What says nothing of itself yet is not ready.
#[test]
fn inv12_the_first_word_that_a_pair_is_ready_is_of_all_its_parts() {
    let clock = Clock::default();
    for _ in 0..5 {
        let site = Site::new("");
        let mut command = tidemark();
        command.arg("up").arg("--config").arg(site.config());
        let _up = Process::start(command, &site.folder.path().join("up.log"));
        let (mut said, end) = (String::new(), clock.uptime() + PATIENCE);
        // As often as can be: what is looked for is over in a moment.
        while !said.starts_with("HTTP/1.1 200") {
            assert!(clock.uptime() < end, "it is not ready: {said}");
            said = answer(site.admin, "/readyz").unwrap_or_default();
        }
        let parts = said.split("\r\n\r\n").nth(1).unwrap_or_default();
        assert_eq!(parts, "broker: ready\nlake: ready\nspool: ready\n");
    }
}

#[test]
fn a_pair_that_could_never_work_together_is_refused_at_the_start() {
    let site = with_identity(None);
    for check in [&["--check"][..], &[]] {
        let output =
            tidemark().arg("up").args(check).arg("--config").arg(site.config()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output));
        assert!(text(&output).contains("anonymous_on_loopback"), "{}", text(&output));
    }
}
