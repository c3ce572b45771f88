//! `tidemark tap` and `tidemark top --once` at a running pair: what they show, how they end, and that they disturb nobody.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::harness::{Process, Site, get, text, tidemark, wait_for};
use crate::payloads::publish;

const TOPIC: &str = "dt/ward/mon-1/readings";

fn good() -> Vec<u8> {
    br#"{ "ts": "2026-11-01T10:00:00Z", "metric": "spo2", "value": 97 }"#.to_vec()
}

/// A tap that listens.
struct Tap {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
}

impl Tap {
    fn start(site: &Site, arguments: &[&str]) -> Self {
        let mut command = tidemark();
        command.arg("tap").args(arguments).arg("--config").arg(site.config());
        if !arguments.contains(&"--for") {
            // A test that waits in vain ends.
            command.args(["--for", "120"]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let mut tap = Self { child, said };
        tap.wait_said("listening at 127.0.0.1:");
        tap
    }

    /// Reads on until it says something on standard error.
    fn wait_said(&mut self, words: &str) -> String {
        let mut all = String::new();
        while !all.contains(words) {
            assert_ne!(
                self.said.read_line(&mut all).unwrap(),
                0,
                "it ended without {words}: {all}"
            );
        }
        all
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Its exit code, what it printed, and the rest of what it said.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut said) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.said.read_to_string(&mut said).unwrap();
        (self.child.wait().unwrap().code(), out, said)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn sessions(site: &Site) -> String {
    let admin = format!("127.0.0.1:{}", site.admin);
    text(&tidemark().args(["session", "list", "--admin", &admin]).output().unwrap())
}

#[test]
fn a_tap_shows_messages_with_what_they_become_and_leaves_nothing_behind() {
    let site = Site::new("");
    let _up = site.up();
    let tap = Tap::start(&site, &["dt/#", "--decoded", "--count", "3"]);
    assert!(sessions(&site).contains("tidemark-tap-"), "{}", sessions(&site));
    publish(
        &site,
        &[
            (TOPIC, good()),
            ("dt/ward/\u{202e}dni/readings", b"\x1b]0;owned\x07\xff".to_vec()),
            (TOPIC, b"{\"metric\": \"spo2\",\n".to_vec()),
        ],
    );
    let (code, out, said) = tap.end();
    assert_eq!(code, Some(0), "{out}{said}");
    assert!(said.ends_with("3 messages came\n"), "{said}");
    let lines: Vec<&str> = out.lines().collect();
    let first = format!(
        "Z  {TOPIC}  QoS 0  63 B  {{\"ts\":\"2026-11-01T10:00:00Z\",\"metric\":\"spo2\",\"value\":97}}"
    );
    assert!(lines[0].ends_with(&first), "{out}");
    assert!(lines[1].starts_with("    by "), "{out}");
    assert!(lines[2].starts_with("    readings  ") && lines[2].contains("value=97"), "{out}");
    assert!(
        out.contains("dt/ward/\\u{202e}dni/readings") && out.contains("binary 1b5d303b"),
        "{out}"
    );
    assert!(out.contains("    dead letter, not_utf8: "), "{out}");
    assert!(
        out.contains("{\"metric\": \"spo2\",\\n\n"),
        "what is no JSON is shown as it is: {out}"
    );
    assert!(out.contains("    dead letter, json_truncated: "), "{out}");
    assert!(out.contains("      remedy: mend what publishes"), "{out}");
    assert!(!out.chars().any(|c| c == '\u{202e}' || (c != '\n' && c.is_control())), "{out:?}");
    wait_for("its session to end", || !sessions(&site).contains("tidemark-tap-"));
    let status = String::from_utf8(get(site.admin, "/status").unwrap()).unwrap();
    assert!(!status.contains("disconnected"), "it left as one should: {status}");
}

#[test]
fn programs_get_an_object_a_line_and_a_tap_that_waits_in_vain_says_so() {
    let site = Site::new("");
    let _up = site.up();
    let tap = Tap::start(
        &site,
        &["dt/#", "x/y", "--format", "json", "--decoded", "-n", "2", "--qos", "1"],
    );
    publish(&site, &[(TOPIC, good()), ("x/y", vec![0xff; 3000])]);
    let (code, out, said) = tap.end();
    assert_eq!(code, Some(0), "{out}{said}");
    let read: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&read[0]["topic"], &read[0]["qos"]), (&TOPIC.into(), &1.into()), "{out}");
    assert_eq!(read[0]["decoded"]["rows"][0]["columns"]["metric"], "spo2");
    assert_eq!((&read[1]["bytes"], &read[1]["left_out"]), (&3000.into(), &1976.into()), "{out}");
    assert!(read[1]["payload_base64"].is_string());
    let (code, out, said) = Tap::start(&site, &["nothing/here", "--for", "1", "-n", "1"]).end();
    assert_eq!((code, out.as_str()), (Some(1), ""), "{said}");
    assert!(said.ends_with("0 messages came\n"), "{said}");
    let (code, _, _) = Tap::start(&site, &["nothing/here", "--for", "1"]).end();
    assert_eq!(code, Some(0), "the time that was asked for is over");
}

#[test]
fn a_tap_ends_well_by_ctrl_c_and_when_nobody_reads_any_more() {
    let site = Site::new("");
    let _up = site.up();
    let mut tap = Tap::start(&site, &["dt/#"]);
    publish(&site, &[(TOPIC, good())]);
    let mut line = String::new();
    BufReader::new(tap.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(TOPIC), "{line}");
    tap.signal("-INT");
    let (code, _, said) = tap.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("1 message came\n"), "{said}");
    let mut tap = Tap::start(&site, &["dt/#"]);
    drop(tap.child.stdout.take());
    wait_for("it to notice that nobody reads", || {
        publish(&site, &[(TOPIC, good())]);
        tap.child.try_wait().unwrap().is_some()
    });
    assert_eq!(tap.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_lost_connection_is_made_again_and_said() {
    let site = Site::new("");
    let up = site.up();
    let mut tap = Tap::start(&site, &["dt/#", "-n", "2"]);
    publish(&site, &[(TOPIC, good())]);
    up.kill();
    tap.wait_said("connection lost (");
    let _up = site.up();
    let said = tap.wait_said("connected again after ");
    assert!(said.contains("what was published in between was not seen"), "{said}");
    publish(&site, &[(TOPIC, good())]);
    let (code, out, said) = tap.end();
    assert_eq!((code, out.lines().count()), (Some(0), 2), "{out}{said}");
    assert!(said.contains("2 messages came; the connection was lost once"), "{said}");
}

#[test]
fn a_refused_tap_says_what_to_do() {
    let site = Site::new("");
    let file = |name: &str| site.folder.path().join(name);
    std::fs::write(file("password"), "correct horse").unwrap();
    std::fs::write(file("wrong"), "wrong horse").unwrap();
    for (name, role) in [("ingest", "ingest"), ("mon-1", "device")] {
        let mut add = tidemark();
        add.args(["identity", "add", name, "--role", role, "--password-file"])
            .arg(file("password"));
        let added = add.arg("--file").arg(file("identities.toml")).output().unwrap();
        assert!(added.status.success(), "{}", text(&added));
    }
    let config = std::fs::read_to_string(site.config()).unwrap();
    let login = format!(
        "username = \"ingest\"\nclient_id = \"ingest\"\npassword_file = {:?}\n[gateway.access]\nidentities_file = {:?}\n",
        file("password"),
        file("identities.toml")
    );
    std::fs::write(site.config(), config + &login).unwrap();
    let up: Process = site.up();
    let tap = |password: &str| {
        let mut tap = tidemark();
        tap.args(["tap", "dt/#", "--for", "1", "--username", "mon-1", "--password-file"]);
        tap.arg(file(password)).arg("--config").arg(site.config()).output().unwrap()
    };
    let refused = tap("password");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(
        text(&refused).contains("refuses the subscription to dt/#: not allowed"),
        "{}",
        text(&refused)
    );
    let unknown = tap("wrong");
    assert_eq!(unknown.status.code(), Some(2), "{}", text(&unknown));
    assert!(text(&unknown).contains("check --username, --password-file"), "{}", text(&unknown));
    up.stop();
    let gone = tap("password");
    assert_eq!(gone.status.code(), Some(2), "{}", text(&gone));
    assert!(text(&gone).contains("does a gateway run there?"), "{}", text(&gone));
}

#[test]
fn top_tells_a_script_whether_all_is_well() {
    let site = Site::new("");
    let up = site.up();
    let top = || {
        let admin = format!("127.0.0.1:{}", site.admin);
        tidemark().args(["top", "--once", "--admin", &admin]).output().unwrap()
    };
    let well = top();
    assert_eq!(well.status.code(), Some(0), "{}", text(&well));
    assert!(text(&well).contains("all is well   every part can work"), "{}", text(&well));
    publish(&site, &[(TOPIC, good()), (TOPIC, b"{".to_vec())]);
    wait_for("the dead letter to be told", || {
        text(&top()).contains("dead letters  1 in the last hour")
    });
    let wrong = top();
    assert_eq!(wrong.status.code(), Some(1), "{}", text(&wrong));
    let said = text(&wrong);
    assert!(
        said.contains("warning       messages become dead letters, more and more: json_truncated"),
        "{said}"
    );
    assert!(said.contains("→ /api/v1/dead-letters shows which"), "{said}");
    assert!(said.contains("devices       1 online, 0 silent, 0 unknown"), "{said}");
    let no_terminal = tidemark().arg("top").stdin(Stdio::null()).output().unwrap();
    assert_eq!(no_terminal.status.code(), Some(2));
    assert!(text(&no_terminal).contains("--once"), "{}", text(&no_terminal));
    up.stop();
    let gone = top();
    assert_eq!(gone.status.code(), Some(2), "{}", text(&gone));
    assert!(text(&gone).contains("nobody answers at 127.0.0.1:"), "{}", text(&gone));
}
