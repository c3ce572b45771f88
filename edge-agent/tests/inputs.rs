//! What a sender may rely on: an answer means that the message is on stable storage, with the gateway away.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: runs the agent as a task"
)]

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use edge_agent::{Agent, AgentConfig};
use serde_json::Value;
use service_runtime::http::{self, Method, StatusCode};
use service_runtime::{Clock, Metrics, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(60);

fn config(folder: &Path) -> AgentConfig {
    let free_port = ([127, 0, 0, 1], 0).into();
    let mut config =
        AgentConfig { admin_listen: free_port, drain_seconds: 0, ..AgentConfig::default() };
    config.spool.dir = folder.join("spool");
    // Nobody listens there: the agent is on its own.
    config.gateway.port = 9;
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn inv1_http_answers_with_positions_after_the_sync() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.inputs.http_listen = Some(([127, 0, 0, 1], 0).into());
    let agent = Agent::bind(config, Metrics::default(), Clock::default()).await.unwrap();
    let (http_address, admin) =
        (agent.http_address().unwrap().unwrap(), agent.admin_address().unwrap());
    let (spool, stop) = (agent.spool(), Stop::new());
    let running = tokio::spawn(agent.run(stop.clone()));
    let post = |body: &'static str| {
        http::call(
            http_address,
            Method::POST,
            "/v1/messages",
            Bytes::from_static(body.as_bytes()),
            PATIENCE,
        )
    };

    let (status, body) = post(r#"{"topic":"dt/w/a/readings","payload":{"v":1}}"#).await.unwrap();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &answer["offsets"]), (StatusCode::OK, &serde_json::json!([0, 0])));
    assert_eq!(answer["source"], "agent");
    assert!(spool.progress().borrow().synced >= 1);

    let (_, body) =
        post("{\"topic\":\"a/b\",\"payload\":1}\n{\"topic\":\"a/b\",\"payload\":\"x\"}\n")
            .await
            .unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap()["offsets"],
        serde_json::json!([1, 2])
    );

    let (status, body) = post(r#"{"topic":"a/#","payload":1}"#).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let refused = |body: &[u8]| {
        let answer: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(answer.get("offsets"), None, "{answer}");
        answer["refused"][0]["problem"].as_str().unwrap().to_owned()
    };
    assert_eq!(refused(&body), "wildcard `+` or `#` in the wrong place");
    for nonsense in ["nonsense", "[{\"topic\":\"a/b\",", "{\"topic\":\"a/b\"}", "[1]"] {
        let (status, body) = post(nonsense).await.unwrap();
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(refused(&body).starts_with("not a message"), "{nonsense}");
    }
    let (status, body) = post(" \n").await.unwrap();
    assert_eq!((status, &body[..]), (StatusCode::BAD_REQUEST, &b"no message in the body\n"[..]));

    let (_, body) =
        http::call(admin, Method::GET, "/status", Bytes::new(), PATIENCE).await.unwrap();
    let sources: Value = serde_json::from_slice(&body).unwrap();
    for (field, value) in
        [("accepted", 3), ("synced", 3), ("landed_messages", 0), ("pending", 3), ("dropped", 0)]
    {
        assert_eq!(sources[0][field], serde_json::json!(value), "{field}");
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// What is no message holds up no other: it is named by its place, with a bound on how many are.
#[tokio::test(flavor = "multi_thread")]
async fn inv4_lines_that_are_no_messages_are_refused_by_their_place_and_the_others_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.inputs.http_listen = Some(([127, 0, 0, 1], 0).into());
    let agent = Agent::bind(config, Metrics::default(), Clock::default()).await.unwrap();
    let address = agent.http_address().unwrap().unwrap();
    let (spool, stop) = (agent.spool(), Stop::new());
    let running = tokio::spawn(agent.run(stop.clone()));
    let post = async |body: String| {
        let body = Bytes::from(body);
        let (status, answer) =
            http::call(address, Method::POST, "/v1/messages", body, PATIENCE).await.unwrap();
        (status, serde_json::from_slice::<Value>(&answer).unwrap())
    };
    let good = r#"{"topic":"dt/w/a/readings","payload":{"v":1}}"#;
    let lines = [good, "secret", r#"{"topic":"a/#","payload":1}"#, good, r#"{"topic":1}"#, good];
    let (status, answer) = post(lines.join("\n")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["offsets"], serde_json::json!([0, 2]));
    let refused = |answer: &Value| -> Vec<u64> {
        let refused = answer["refused"].as_array().unwrap();
        refused.iter().map(|own| own["message"].as_u64().unwrap()).collect()
    };
    assert_eq!(refused(&answer), [1, 2, 4]);
    assert!(!answer.to_string().contains("secret"), "nothing is said of what it is");
    // The elements of an array have places, too.
    let (status, answer) = post(format!("[{good},7,{good}]")).await;
    assert_eq!((status, refused(&answer)), (StatusCode::BAD_REQUEST, vec![1]));
    assert_eq!(answer["offsets"], serde_json::json!([3, 4]));
    let (_, answer) = post(format!("{}{good}", "x\n".repeat(5000))).await;
    assert_eq!((refused(&answer).len(), &answer["refused_more"]), (100, &4900.into()));
    assert_eq!(answer["offsets"], serde_json::json!([5, 5]));
    assert_eq!(spool.status().synced, 6);
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// Sends a request as it stands and returns its status.
async fn ask(address: SocketAddr, head: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_web_send_no_messages() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.inputs.http_listen = Some(([127, 0, 0, 1], 0).into());
    let metrics = Metrics::default();
    let agent = Agent::bind(config, metrics.clone(), Clock::default()).await.unwrap();
    let (input, stop) = (agent.http_address().unwrap().unwrap(), Stop::new());
    let running = tokio::spawn(agent.run(stop.clone()));

    let (post, message) = ("POST /v1/messages HTTP/1.1", r#"{"topic":"a/b","payload":1}"#);
    let json = format!("{post}\r\nContent-Type: application/json");
    let own = format!("{json}\r\nHost: {input}");
    let port = input.port();
    for (head, status) in [
        (own.clone(), "200"),
        (format!("{json}\r\nHost: localhost:{port}\r\nOrigin: http://localhost:{port}"), "200"),
        (format!("{own}\r\nSec-Fetch-Site: same-origin"), "200"),
        (
            format!("{post}\r\nHost: {input}\r\nContent-Type: Application/X-NDJSON; charset=utf-8"),
            "200",
        ),
        // By another name: DNS rebinding.
        (format!("{json}\r\nHost: evil.example"), "421"),
        (
            format!("{json}\r\nHost: evil.example:{port}\r\nOrigin: http://evil.example:{port}"),
            "421",
        ),
        (format!("{json}\r\nHost: 127.0.0.1.evil.example:{port}"), "421"),
        // From a page of another site, of another port, of nowhere.
        (format!("{own}\r\nOrigin: http://evil.example"), "403"),
        (format!("{own}\r\nOrigin: http://localhost:3000"), "403"),
        (format!("{own}\r\nOrigin: null"), "403"),
        // Without Origin: what the browser says of the site is enough.
        (format!("{own}\r\nSec-Fetch-Site: cross-site"), "403"),
        (format!("{own}\r\nSec-Fetch-Site: same-site"), "403"),
        (format!("{own}\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate"), "403"),
        // What any page may send without asking first, if the browser says nothing of it.
        (format!("{post}\r\nHost: {input}"), "415"),
        (format!("{post}\r\nHost: {input}\r\nContent-Type: text/plain"), "415"),
        (format!("{post}\r\nHost: {input}\r\nContent-Type: text/plain;application/json"), "415"),
        (
            format!("{post}\r\nHost: {input}\r\nContent-Type: multipart/form-data; boundary=x"),
            "415",
        ),
        (
            format!("{post}\r\nHost: {input}\r\nContent-Type: application/x-www-form-urlencoded"),
            "415",
        ),
    ] {
        assert_eq!(ask(input, &head, message).await, status, "{head}");
    }
    assert!(
        metrics.render().contains("agent_http_input_requests_refused_total{reason=\"host\"} 3")
    );
    let types = "agent_http_input_requests_refused_total{reason=\"content_type\"} 5";
    assert!(metrics.render().contains(types), "{}", metrics.render());

    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_the_web_do_not_read_the_status_and_a_token_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let token_file = folder.path().join("token");
    std::fs::write(&token_file, "0123456789abcdef\n").unwrap();
    let mut config = config(folder.path());
    config.admin_token_file = Some(token_file);
    let agent = Agent::bind(config, Metrics::default(), Clock::default()).await.unwrap();
    let (admin, stop) = (agent.admin_address().unwrap(), Stop::new());
    let running = tokio::spawn(agent.run(stop.clone()));
    let bearer = "Authorization: Bearer 0123456789abcdef";
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nHost: localhost".to_owned(), "200"),
        ("GET /status HTTP/1.1\r\nHost: localhost".to_owned(), "401"),
        (format!("GET /status HTTP/1.1\r\nHost: localhost\r\n{bearer}"), "200"),
        (format!("GET /status HTTP/1.1\r\nHost: evil.example\r\n{bearer}"), "421"),
        (
            format!("GET /status HTTP/1.1\r\nHost: localhost\r\n{bearer}\r\nSec-Fetch-Site: cross-site"),
            "403",
        ),
        // A link on a page of another site, which cannot read what it leads to.
        (
            "GET /healthz HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate"
                .to_owned(),
            "200",
        ),
    ] {
        assert_eq!(ask(admin, &head, "").await, status, "{head}");
    }
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[test]
fn an_admin_address_that_others_reach_needs_a_token() {
    let mut config = config(Path::new("/nonexistent"));
    config.admin_listen = ([0, 0, 0, 0], 8081).into();
    let problem = config.check().unwrap_err().to_string();
    assert!(problem.contains("admin_token_file"), "{problem}");
    config.admin_token_file = Some("/etc/tidemark/token".into());
    config.check().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn inv3_a_full_spool_is_told_by_http_and_keeps_what_it_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.inputs.http_listen = Some(([127, 0, 0, 1], 0).into());
    (config.spool.segment_bytes, config.spool.bytes_max) = (64 << 10, 1280 << 10);
    let agent = Agent::bind(config, Metrics::default(), Clock::default()).await.unwrap();
    let address = agent.http_address().unwrap().unwrap();
    let (spool, stop) = (agent.spool(), Stop::new());
    let running = tokio::spawn(agent.run(stop.clone()));
    let body = format!("{{\"topic\":\"dt/w/a/readings\",\"payload\":\"{}\"}}", "x".repeat(100_000));
    let mut accepted = 0;
    let refusal = loop {
        let body = Bytes::from(body.clone());
        let (status, body) =
            http::call(address, Method::POST, "/v1/messages", body, PATIENCE).await.unwrap();
        match status {
            StatusCode::OK if accepted < 1000 => accepted += 1,
            status => break (status, body),
        }
    };
    assert_eq!(refusal.0, StatusCode::INSUFFICIENT_STORAGE, "{:?}", refusal.1);
    assert!(accepted >= 10, "{accepted}");
    assert_eq!(spool.status().synced, accepted);
    stop.cancel();
    running.await.unwrap().unwrap();
}

/// Lines of a request: a message that fits, a Bundle that is too large, a payload that is no FHIR, a Bundle with a resource that is
/// too large, lines with one, and a message that fits.
fn larger_than(room: usize) -> Vec<String> {
    let patient = |id: usize, bytes: usize| {
        format!(r#"{{"resourceType":"Patient","id":"p{id}","note":"{}"}}"#, "x".repeat(bytes))
    };
    let entries = |sizes: &[usize]| {
        let sizes = sizes.iter().enumerate();
        let all: Vec<String> =
            sizes.map(|(id, bytes)| format!("{{\"resource\":{}}}", patient(id, *bytes))).collect();
        format!("{{\"resourceType\":\"Bundle\",\"entry\":[{}]}}", all.join(","))
    };
    let small = r#"{"v":1}"#;
    let (fits, large) = (room / 2, room + room / 4);
    let lines = format!("{}\n{}\n{}\n", patient(0, fits), patient(1, large), patient(2, fits));
    let payloads = [
        small.to_owned(),
        entries(&[fits, fits, 10]),
        format!("\"{}\"", "x".repeat(large)),
        entries(&[10, large, 10]),
        serde_json::to_string(&lines).unwrap(),
        small.to_owned(),
    ];
    let line = |payload| format!("{{\"topic\":\"dt/w/ehr/fhir\",\"payload\":{payload}}}");
    payloads.iter().map(line).collect()
}

/// INV-4: what is larger than a message may be is split or named, and holds up nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_beyond_the_limit_is_split_and_what_can_not_be_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.inputs.http_listen = Some(([127, 0, 0, 1], 0).into());
    // A record may have a megabyte.
    (config.spool.segment_bytes, config.spool.bytes_max) = (4 << 20, 9 << 20);
    let room = config.spool.record_bytes_max();
    let agent = Agent::bind(config, Metrics::default(), Clock::default()).await.unwrap();
    let address = agent.http_address().unwrap().unwrap();
    let (spool, stop) = (agent.spool(), Stop::new());
    let running = tokio::spawn(agent.run(stop.clone()));
    let body = larger_than(room);
    let post = |lines: &[String]| {
        let body = Bytes::from(lines.join("\n"));
        http::call(address, Method::POST, "/v1/messages", body, PATIENCE)
    };

    let (status, answer) = post(&body[..2]).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    let split = serde_json::json!([{"message": 1, "parts": 2}]);
    assert_eq!(
        (status, &answer["offsets"], &answer["split"]),
        (StatusCode::OK, &serde_json::json!([0, 2]), &split)
    );
    assert_eq!(answer.get("refused"), None);

    let (status, answer) = post(&body[2..]).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(
        (status, &answer["offsets"]),
        (StatusCode::PAYLOAD_TOO_LARGE, &serde_json::json!([3, 7]))
    );
    let parts = serde_json::json!([{"message": 1, "parts": 2}, {"message": 2, "parts": 2}]);
    assert_eq!(answer["split"], parts);
    let refused: Vec<_> = answer["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| {
            assert!(own["problem"].as_str().unwrap().starts_with("larger than a message may be"));
            assert!(own["bytes"].as_u64().unwrap() > room as u64);
            [&own["message"], &own["line"], &own["entry"], &own["resource"]].map(Value::to_string)
        })
        .collect();
    let expected = [
        ["0", "null", "null", "null"],
        ["1", "null", "1", "\"Patient\""],
        ["2", "2", "null", "\"Patient\""],
    ];
    assert_eq!(refused, expected);
    // Alone it leaves nothing to accept.
    let (status, answer) = post(&body[2..3]).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((status, answer.get("offsets")), (StatusCode::PAYLOAD_TOO_LARGE, None));
    assert_eq!(spool.status().synced, 8);
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_stored_and_bad_ones_skipped() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    let lines = folder.path().join("messages.ndjson");
    let text: String =
        (0..1000).map(|n| format!("{{\"topic\":\"dt/w/a/readings\",\"payload\":{n}}}\n")).collect();
    std::fs::write(&lines, format!("nonsense\n{text}{{\"topic\":\"a/+\",\"payload\":1}}\n"))
        .unwrap();
    config.inputs.ndjson = Some(lines);
    let agent = Agent::bind(config, Metrics::default(), Clock::default()).await.unwrap();
    let (spool, stop) = (agent.spool(), Stop::new());
    let running = tokio::spawn(agent.run(stop.clone()));
    let mut progress = spool.progress();
    tokio::time::timeout(PATIENCE, progress.wait_for(|now| now.synced == 1000))
        .await
        .unwrap()
        .unwrap();
    stop.cancel();
    running.await.unwrap().unwrap();
}

#[test]
fn settings_that_do_not_fit_are_refused_by_name() {
    let mut open = AgentConfig::default();
    open.inputs.http_listen = Some(([0, 0, 0, 0], 80).into());
    assert!(
        open.check()
            .unwrap_err()
            .to_string()
            .contains("inputs.http_listen must be a loopback address")
    );
    let mut tls = AgentConfig::default();
    tls.gateway.tls = true;
    assert!(tls.check().unwrap_err().to_string().contains("gateway: tls needs ca_file"));
}
