//! Bad input ends in `dead_letters` with its own reason while its neighbours land.

use std::process::Command;

use crate::harness::{Site, text, tidemark, wait_for};

pub(crate) fn publish(site: &Site, messages: &[(&str, Vec<u8>)]) {
    publish_to(site.mqtt, messages);
}

pub(crate) fn publish_to(port: u16, messages: &[(&str, Vec<u8>)]) {
    publish_as(port, 0x32, messages);
}

/// `head`: the first byte of each packet; 0x33 is to be retained.
pub(crate) fn publish_as(port: u16, head: u8, messages: &[(&str, Vec<u8>)]) {
    // One MQTT 3.1.1 connection, QoS 1, by hand: the payloads are not what any client library would send.
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 1, b'x']).unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    for (topic, payload) in messages {
        let mut body = u16::try_from(topic.len()).unwrap().to_be_bytes().to_vec();
        body.extend_from_slice(topic.as_bytes());
        body.extend_from_slice(&[0, 1]);
        body.extend_from_slice(payload);
        let (mut packet, mut rest) = (vec![head], body.len());
        while rest >= 0x80 {
            packet.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        packet.push(u8::try_from(rest).unwrap());
        packet.extend_from_slice(&body);
        stream.write_all(&packet).unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0x40, 2, 0, 1], "{topic} is acknowledged");
    }
}

/// What is retained below a filter: the first of it, topic and payload, within two seconds.
pub(crate) fn retained(port: u16, filter: &str) -> Option<(String, Vec<u8>)> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    stream.write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 1, b'r']).unwrap();
    let length = u8::try_from(filter.len()).unwrap();
    stream
        .write_all(&[&[0x82, length + 5, 0, 1, 0, length], filter.as_bytes(), &[0]].concat())
        .unwrap();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        let is_publish = byte[0] & 0xf0 == 0x30;
        let (mut left, mut shift) = (0, 0);
        loop {
            stream.read_exact(&mut byte).ok()?;
            left |= usize::from(byte[0] & 0x7f) << shift;
            shift += 7;
            if byte[0] & 0x80 == 0 {
                break;
            }
        }
        let mut rest = vec![0; left];
        stream.read_exact(&mut rest).ok()?;
        if is_publish {
            let end = 2 + usize::from(u16::from_be_bytes([rest[0], rest[1]]));
            let topic = String::from_utf8(rest[2..end].to_vec()).unwrap();
            return Some((topic, rest[end..].to_vec()));
        }
    }
}

fn status(site: &Site, options: &[&str]) -> String {
    let mut command = tidemark();
    command.arg("status");
    if options.is_empty() {
        command.arg("--admin").arg(format!("127.0.0.1:{}", site.admin));
    }
    let output = command.args(options).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

/// INV-13: "landed 23" would be no answer.
fn dead_letters_are_told(site: &Site, count: u64, (shown, log): &(String, String)) {
    let expected = format!("dead letters since the start: {count} (");
    assert!(shown.contains(&expected), "{shown}");
    assert!(shown.contains("topic_not_allowed 1"), "{shown}");
    let lake = site.folder.path().join("lake").display().to_string();
    let of_lake = status(site, &["--lake", &lake, "--format", "json"]);
    let of_lake: serde_json::Value = serde_json::from_str(&of_lake).unwrap();
    assert_eq!(of_lake[0]["dead_letters"], count);
    let told: Vec<&str> =
        log.lines().filter(|line| line.contains("messages become dead letters")).collect();
    assert!(told.iter().any(|line| line.contains("json_truncated")), "{log}");
    assert!(told.iter().any(|line| line.contains("dt/elsewhere/dev/readings")), "{log}");
    assert!(!log.contains('\u{1b}'), "a log in a file has no colours: {log}");
}

#[test]
fn inv4_every_accepted_message_becomes_rows_or_one_dead_letter() {
    let site = Site::new("[ingest.sources]\n\"*\" = [\"dt/ward/#\", \"dt/other/dev/unheard\"]\n");
    let up = site.up();
    let good =
        br#"{"ts":"2026-11-01T10:00:00Z","metric":"spo2","value":97,"boot":1,"seq":1}"#.to_vec();
    let nested = format!("{}{}", "[".repeat(200), "]".repeat(200)).into_bytes();
    let mut largest = br#"{"ts":"2026-11-01T10:00:00Z","metric":"note","value":"#.to_vec();
    largest.push(b'"');
    largest.resize(1_000_000 - 2, b'x');
    largest.extend_from_slice(b"\"}");
    let bad: [&[u8]; 8] = [
        br#"{"ts":"2026-11-01T10:00:00Z","metric":"spo2","val"#,
        br#"{"ts":"2026-11-01T10:00:00Z","metric":7,"value":97}"#,
        br#"{"ts":"2026-11-01T10:00:00Z","metric":"spo2","value":nope}"#,
        br#"{"ts":"2026-11-01T10:00:00Z","metric":"spo2","value":1e999}"#,
        br#"{"ts":"2026-11-01T10:00:00Z","value":97}"#,
        br#"{"ts":"2026-11-01T10:00:00Z","metric":"spo2"}"#,
        b"",
        b"\xff\xfe{}",
    ];
    let topic = "dt/ward/dev/readings";
    let mut messages = vec![(topic, good.clone())];
    for payload in bad {
        messages.push((topic, payload.to_vec()));
        messages.push((topic, good.clone()));
    }
    messages.extend([
        (topic, nested),
        ("dt/ward/dev/unheard", b"{}".to_vec()),
        ("dt/elsewhere/dev/readings", good.clone()),
        ("dt/ward/ehr/fhir", br#"{"resourceType":5}"#.to_vec()),
        (topic, largest),
        (topic, br#"{"ts":"yesterday","metric":"spo2","value":96}"#.to_vec()),
        (topic, br#"{"ts":"2026-11-01T10:00:00Z","metric":"spo2","value":-999}"#.to_vec()),
    ]);
    publish(&site, &messages);
    let sent = messages.len() as u64;
    wait_for("everything to land", || site.status()["landed"].as_u64() == Some(sent));
    assert_eq!(
        site.rows("readings"),
        9 + 3,
        "the good ones, the largest, the one without a time, the sentinel"
    );
    assert_eq!(site.rows("dead_letters"), 8 + 4);
    dead_letters_are_told(&site, 12, &up.stop_after(|| status(&site, &[])));
}

#[test]
fn wait_files_status_and_check_answer() {
    let site = Site::new("");
    let up = site.up();
    publish(
        &site,
        &[("dt/ward/dev/readings", br#"{"ts":1790000000000,"metric":"spo2","value":97}"#.to_vec())],
    );
    let status = site.status();
    let position = format!("gateway/{}/0", status["epoch"].as_str().unwrap());
    let wait = |position: &str, timeout: &str| {
        tidemark()
            .args(["wait", position, "--timeout", timeout, "--broker"])
            .arg(format!("127.0.0.1:{}", site.mqtt))
            .output()
            .unwrap()
    };
    let landed = wait(&position, "30");
    assert!(landed.status.success(), "{}", text(&landed));
    let never = wait(&position.replace("/0", "/7"), "1");
    assert_eq!(never.status.code(), Some(1), "{}", text(&never));
    let config = site.config();
    let run = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_tidemark")).args(arguments).output().unwrap()
    };
    let config = config.to_str().unwrap();
    let files = run(&["files", "readings", "--config", config]);
    let path = String::from_utf8(files.stdout).unwrap();
    assert!(std::fs::metadata(path.trim()).unwrap().len() > 0, "{path}");
    let admin = format!("127.0.0.1:{}", site.admin);
    let status = run(&["status", "--admin", &admin]);
    assert!(text(&status).contains("gateway"), "{}", text(&status));
    let check = run(&["up", "--check", "--config", config]);
    assert!(text(&check).contains("flush_age_ms = 300"), "{}", text(&check));
    let spool = site.folder.path().join("spool");
    let busy = run(&["source", "rebind", spool.to_str().unwrap()]);
    assert!(text(&busy).contains("in use by another process"), "{}", text(&busy));
    up.stop();
    let rebound = run(&["source", "rebind", spool.to_str().unwrap()]);
    assert!(
        rebound.status.success() && text(&rebound).contains("no longer bound to lake"),
        "{}",
        text(&rebound)
    );
}

#[test]
fn a_mistake_in_the_configuration_is_named() {
    let site = Site::new("[gatway]\nlisten = 1\n");
    let output = tidemark().args(["up", "--config"]).arg(site.config()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("unknown section [gatway]"), "{}", text(&output));
}
