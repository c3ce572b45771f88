//! What the agent says of its connections when a broker refuses: a fake broker answers as it is told.
#![expect(clippy::disallowed_methods, reason = "test code: runs the agent as a task")]
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::path::Path;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use edge_agent::config::MqttInput;
use edge_agent::{Agent, AgentConfig};
use mqtt_link::Broker;
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish};
use service_runtime::http::{self, Method};
use service_runtime::{Clock, Metrics, Stop};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);
const PACKET_MAX: usize = 4 << 20;

/// One connection of the agent.
struct Session {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Session {
    async fn accept(listener: &TcpListener, answer: ConnAck) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let mut session = Self { stream, buffer: BytesMut::new() };
        assert!(matches!(session.next().await, Some(Packet::Connect(_))));
        session.write(Packet::ConnAck(answer)).await;
        session
    }

    async fn welcome(listener: &TcpListener, session_present: bool) -> Self {
        Self::accept(listener, ConnAck::new(ConnectReturnCode::Success, session_present)).await
    }

    async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Ok(packet) = Packet::read(&mut self.buffer, PACKET_MAX) {
                return Some(packet);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    async fn write(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, PACKET_MAX).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    /// Answers the next subscription with these codes, raw: the client library has no words for all of them.
    async fn answer_subscription(&mut self, codes: &[u8]) -> Vec<String> {
        loop {
            if let Packet::Subscribe(subscribe) = self.next().await.unwrap() {
                let mut bytes = vec![0x90, 2 + u8::try_from(codes.len()).unwrap()];
                bytes.extend(subscribe.pkid.to_be_bytes());
                bytes.extend(codes);
                self.stream.write_all(&bytes).await.unwrap();
                return subscribe.filters.iter().map(|filter| filter.path.clone()).collect();
            }
        }
    }
}

/// An agent with an input from one fake broker and an uplink to another.
struct Scene {
    _folder: tempfile::TempDir,
    input: TcpListener,
    gateway: TcpListener,
    admin: std::net::SocketAddr,
    spool: store_forward::Spool,
    stop: Stop,
}

async fn broker() -> (TcpListener, Broker) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Broker { port, ..Broker::default() })
}

fn config(folder: &Path, gateway: Broker) -> AgentConfig {
    let admin_listen = ([127, 0, 0, 1], 0).into();
    let mut config =
        AgentConfig { admin_listen, gateway, drain_seconds: 0, ..AgentConfig::default() };
    config.spool.dir = folder.join("spool");
    config
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ((input, broker), (gateway, uplink)) = (broker().await, broker().await);
        let mut config = config(folder.path(), uplink);
        let filters = vec!["dt/a/#".into(), "dt/b/#".into()];
        config.inputs.mqtt = Some(MqttInput { broker, filters });
        let agent = Agent::bind(config, Metrics::default(), Clock::default()).await.unwrap();
        let (admin, spool, stop) = (agent.admin_address().unwrap(), agent.spool(), Stop::new());
        tokio::spawn(agent.run(stop.clone()));
        Self { _folder: folder, input, gateway, admin, spool, stop }
    }

    async fn get(&self, path: &str) -> String {
        let answer = http::call(self.admin, Method::GET, path, Bytes::new(), PATIENCE).await;
        String::from_utf8(answer.unwrap().1.to_vec()).unwrap()
    }

    /// Waits until a page says so.
    async fn says(&self, path: &str, text: &str) {
        let said = async {
            while !self.get(path).await.contains(text) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(PATIENCE, said).await.is_err() {
            panic!("{path} never said {text}: {}", self.get(path).await);
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn troubles(link: &str, reason: &str, count: u64) -> String {
    format!("agent_link_troubles_total{{link=\"{link}\",reason=\"{reason}\"}} {count}")
}

#[tokio::test(flavor = "multi_thread")]
async fn inv12_an_input_that_may_not_subscribe_is_not_ready_and_says_what_to_do() {
    let scene = Scene::new().await;
    scene.says("/readyz", "mqtt input: connecting").await;
    let mut session = Session::welcome(&scene.input, false).await;
    assert_eq!(session.answer_subscription(&[1, 0x80]).await, ["dt/a/#", "dt/b/#"]);
    scene.says("/readyz", "refuses the subscription to dt/b/#: give this user the right").await;
    scene.says("/metrics", &troubles("mqtt input", "subscription_refused", 1)).await;

    // What was granted is taken all the same.
    let mut publish = Publish::new("dt/a/mon-1/readings", QoS::AtLeastOnce, "{}");
    publish.pkid = 7;
    session.write(Packet::Publish(publish)).await;
    assert!(matches!(session.next().await, Some(Packet::PubAck(ack)) if ack.pkid == 7));
    assert_eq!(scene.spool.status().synced, 1);

    // MQTT 5's codes too, from a broker that does not keep to 3.1.1.
    drop(session);
    let mut session = Session::welcome(&scene.input, true).await;
    session.answer_subscription(&[1, 0x87]).await;
    scene.says("/metrics", &troubles("mqtt input", "unreachable", 2)).await;
    drop(session);

    let mut session = Session::welcome(&scene.input, true).await;
    session.answer_subscription(&[1, 1]).await;
    scene.says("/readyz", "mqtt input: ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv12_a_refused_login_and_a_lost_session_are_told() {
    let scene = Scene::new().await;
    drop(
        Session::accept(&scene.input, ConnAck::new(ConnectReturnCode::BadUserNamePassword, false))
            .await,
    );
    scene.says("/readyz", "bad user name or password: check username").await;
    scene.says("/metrics", &troubles("mqtt input", "login_refused", 1)).await;
    let mut session = Session::welcome(&scene.input, false).await;
    session.answer_subscription(&[1, 1]).await;
    scene.says("/readyz", "mqtt input: ready").await;
    drop(session);
    let mut session = Session::welcome(&scene.input, false).await;
    session.answer_subscription(&[1, 1]).await;
    scene.says("/metrics", &troubles("mqtt input", "session_lost", 1)).await;
    scene.says("/readyz", "mqtt input: ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv12_an_uplink_that_may_not_hear_receipts_is_not_ready_and_sends_nothing() {
    let scene = Scene::new().await;
    let mut session = Session::welcome(&scene.gateway, false).await;
    session.answer_subscription(&[0x80]).await;
    scene.says("/readyz", "refuses the subscription to tm/v1/receipt/agent/").await;
    scene.says("/status", "\"connected\":false").await;
    drop(session);
    let mut session = Session::welcome(&scene.gateway, false).await;
    session.answer_subscription(&[1]).await;
    scene.says("/readyz", "uplink: ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv13_a_gateway_that_cuts_every_frame_is_told() {
    let scene = Scene::new().await;
    let mut input = Session::welcome(&scene.input, false).await;
    input.answer_subscription(&[1, 1]).await;
    let mut publish = Publish::new("dt/a/mon-1/readings", QoS::AtLeastOnce, "{}");
    publish.pkid = 7;
    input.write(Packet::Publish(publish)).await;
    for _ in 0..3 {
        let mut session = Session::welcome(&scene.gateway, false).await;
        session.answer_subscription(&[1]).await;
        // The birth comes first, then the frame. Only then is the birth acknowledged, so that the agent reads that together
        // with the end; it says nothing of the frame.
        let mut birth = None;
        loop {
            match session.next().await.unwrap() {
                Packet::Publish(publish) if publish.topic.starts_with("tm/v1/up/") => break,
                Packet::Publish(publish) => birth = Some(publish.pkid),
                _ => {}
            }
        }
        session.write(Packet::PubAck(PubAck::new(birth.unwrap()))).await;
    }
    scene.says("/readyz", "cut 3 times in a row while a packet of").await;
    scene.says("/metrics", &troubles("uplink", "cut", 1)).await;
}
