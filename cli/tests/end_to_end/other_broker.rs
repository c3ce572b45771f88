//! Agent and ingest with a broker that is not ours, rumqttd: they need QoS 1, retained messages and their topics, and nothing else.

use serde_json::json;

use crate::harness::{Site, free_port, get, post, wait_for};

/// Starts rumqttd on a port; it runs until the test's process ends, because it knows no stop.
fn rumqttd(port: u16) {
    let config = json!({
        "id": 0,
        "router": {
            "id": 0,
            "max_connections": 100,
            "max_outgoing_packet_count": 200,
            "max_segment_size": 4 << 20,
            "max_segment_count": 10,
        },
        "v4": { "1": {
            "name": "v4",
            "listen": format!("127.0.0.1:{port}"),
            "next_connection_delay_ms": 1,
            "connections": {
                "connection_timeout_ms": 5000,
                "max_payload_size": 16 << 20,
                "max_inflight_count": 100,
                "dynamic_filters": true,
            },
        }},
    });
    let config: rumqttd::Config = serde_json::from_value(config).unwrap();
    std::thread::spawn(move || rumqttd::Broker::new(config).start().unwrap());
    wait_for("rumqttd to listen", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
}

#[test]
fn agent_and_ingest_work_with_a_broker_that_is_not_ours() {
    let ((site, agent_admin, input), ingest_admin) = (Site::with_agent(""), free_port());
    let config = std::fs::read_to_string(site.config()).unwrap();
    let config = config.replace(
        "[ingest]\nadmin_listen = \"127.0.0.1:0\"",
        &format!("[ingest]\nadmin_listen = \"127.0.0.1:{ingest_admin}\""),
    );
    std::fs::write(site.config(), config).unwrap();
    rumqttd(site.mqtt);
    let ingest = site.start("ingest", ingest_admin);
    let agent = site.start("agent", agent_admin);
    let message = |n: u64| {
        format!(
            "{{\"topic\":\"dt/w/dev/readings\",\"payload\":{{\"ts\":{},\"metric\":\"spo2\",\"value\":97,\"seq\":{n}}}}}\n",
            1_790_000_000_000 + n
        )
    };
    let lines: String = (0..2_000).map(message).collect();
    post(input, "/v1/messages", &lines).expect("the agent accepts");
    wait_for("everything to land", || {
        let status: serde_json::Value =
            serde_json::from_slice(&get(agent_admin, "/status").unwrap()).unwrap();
        status[0]["landed"].as_u64() == Some(2_000)
    });
    assert_eq!(site.rows("readings"), 2_000);
    agent.stop();
    ingest.stop();
}
