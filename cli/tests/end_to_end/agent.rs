//! The agent keeps what it accepts while the gateway is away, and lands it exactly once when it is back.

use std::process::Command;

use crate::harness::{Process, Site, free_port, get, post, wait_for};

#[test]
fn inv3_messages_wait_in_the_agent_until_the_gateway_is_back() {
    let (site, admin, input) = Site::with_agent("");
    let agent = site.start("agent", admin);
    let send = |from: u64, count: u64| {
        let lines: String = (from..from + count)
            .map(|n| format!("{{\"topic\":\"dt/w/dev/readings\",\"payload\":{{\"ts\":{},\"metric\":\"spo2\",\"value\":97,\"seq\":{n}}}}}\n", 1_790_000_000_000 + n))
            .collect();
        post(input, "/v1/messages", &lines).expect("accepted without the gateway");
    };
    for batch in 0..20 {
        send(batch * 500, 500);
    }
    let before = agent.rss_kb();
    let status: serde_json::Value =
        serde_json::from_slice(&get(admin, "/status").unwrap()).unwrap();
    assert_eq!((&status[0]["synced"], &status[0]["landed"]), (&10_000.into(), &0.into()));
    let up = site.up();
    let landed = |expected: u64| {
        wait_for("the backlog to land", || {
            let status: serde_json::Value =
                serde_json::from_slice(&get(admin, "/status").unwrap()).unwrap();
            status[0]["landed"].as_u64() == Some(expected)
        });
    };
    landed(10_000);
    send(10_000, 500);
    landed(10_500);
    assert_eq!(site.rows("readings"), 10_500);
    if let (Some(before), Some(after)) = (before, agent.rss_kb()) {
        assert!(
            after < before + 40_000,
            "memory does not grow with the backlog: {before} kB, then {after} kB"
        );
    }
    assert!(presence(site.mqtt, "agent").contains("online"));
    assert!(presence(site.mqtt, "gateway").contains("online"));
    agent.kill();
    wait_for("the agent's will", || presence(site.mqtt, "agent").contains("offline"));
    up.stop();
}

/// Subscribes to a source's status and returns the retained message.
fn presence(port: u16, source: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(&[0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 60, 0, 1, b'w']).unwrap();
    let topic = format!("tm/v1/status/{source}");
    let len = u8::try_from(topic.len()).unwrap();
    stream.write_all(&[0x82, len + 5, 0, 1, 0, len]).unwrap();
    stream.write_all(topic.as_bytes()).unwrap();
    stream.write_all(&[0]).unwrap();
    // CONNACK, SUBACK, then a PUBLISH shorter than 128 bytes.
    let mut head = [0; 4 + 5 + 2];
    stream.read_exact(&mut head).unwrap();
    let mut publish = vec![0; usize::from(head[10])];
    stream.read_exact(&mut publish).unwrap();
    String::from_utf8_lossy(&publish).into_owned()
}

#[test]
fn lines_on_standard_input_land_and_the_agent_says_that_it_drained() {
    let admin = free_port();
    let site = Site::new(&format!(
        "[agent]\nadmin_listen = \"127.0.0.1:{admin}\"\n[agent.inputs]\nndjson = \"-\"\n"
    ));
    let mut config = std::fs::read_to_string(site.config()).unwrap();
    config.push_str(&format!(
        "[ingest.sources]\nagent = [\"dt/w/#\"]\n[agent.gateway]\nport = {}\n[agent.spool]\ndir = {:?}\n",
        site.mqtt,
        site.folder.path().join("agent-spool")
    ));
    std::fs::write(site.config(), config).unwrap();
    let up = site.up();
    let lines = site.folder.path().join("lines");
    std::fs::write(&lines, "{\"topic\":\"dt/w/dev/readings\",\"payload\":{\"ts\":1790000000000,\"metric\":\"spo2\",\"value\":97}}\nnonsense\n").unwrap();
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(
        "exec {} agent --config {} < {}",
        env!("CARGO_BIN_EXE_tidemark"),
        site.config().display(),
        lines.display()
    ));
    let agent = Process::start(command, &site.folder.path().join("agent.log"));
    wait_for("the line to land", || {
        get(admin, "/status").is_some_and(|body| {
            serde_json::from_slice::<serde_json::Value>(&body).unwrap()[0]["landed"].as_u64()
                == Some(1)
        })
    });
    let log = agent.stop();
    assert!(log.contains("skipped: not a message") && log.contains("drained"), "{log}");
    assert_eq!(site.rows("readings"), 1);
    up.stop();
}
