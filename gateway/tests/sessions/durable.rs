//! Sessions and retained messages survive `kill -9` of the gateway's process.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::free_address::free_address;
use crate::harness::PATIENCE;

/// A gateway in a process of its own.
pub(crate) struct Gateway {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Gateway {
    /// Its log is in `gateway.log`.
    pub(crate) async fn start(folder: &Path, address: SocketAddr) -> Self {
        let config = folder.join("gateway.toml");
        let spool = folder.join("spool");
        let text = format!(
            "[gateway]\nlisten = \"{address}\"\nadmin_listen = \"127.0.0.1:0\"\n[gateway.spool]\ndir = \"{}\"\n",
            spool.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        let log = std::fs::File::create(folder.join("gateway.log")).unwrap();
        command.arg(&config).stdout(Stdio::null()).stderr(log);
        let gateway = Self { process: command.spawn().unwrap(), address };
        let listening = async {
            while TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, listening).await.expect("the gateway listens");
        gateway
    }

    /// No destructor runs, nothing is flushed.
    pub(crate) fn kill(mut self) -> SocketAddr {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.address
    }
}

/// A client that keeps its session and acknowledges nothing unless told to.
struct Client {
    mqtt: AsyncClient,
    events: EventLoop,
    /// PUBRELs that have come.
    released: usize,
}

impl Client {
    async fn connect(address: SocketAddr, id: &str) -> (Self, bool) {
        let mut options = MqttOptions::new(id, "127.0.0.1", address.port());
        options.set_clean_session(false).set_manual_acks(true).set_inflight(1000);
        let (mqtt, events) = AsyncClient::new(options, 5000);
        let mut client = Self { mqtt, events, released: 0 };
        let present = client
            .wait(|packet| match packet {
                Packet::ConnAck(ack) => Some(ack.session_present),
                _ => None,
            })
            .await;
        (client, present)
    }

    async fn wait<T>(&mut self, mut pick: impl FnMut(Packet) -> Option<T>) -> T {
        let search = async {
            loop {
                let event = self.events.poll().await.expect("connection is open");
                let Event::Incoming(packet) = event else { continue };
                self.released += usize::from(matches!(packet, Packet::PubRel(_)));
                if let Some(found) = pick(packet) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the packet comes in time")
    }

    async fn message(&mut self) -> Publish {
        self.wait(|packet| match packet {
            Packet::Publish(publish) => Some(publish),
            _ => None,
        })
        .await
    }

    async fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.mqtt.subscribe(filter, qos).await.unwrap();
        self.wait(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
    }

    async fn publish(
        &mut self,
        topic: &str,
        qos: QoS,
        retain: bool,
        payloads: impl Iterator<Item = String>,
    ) {
        for payload in payloads {
            self.mqtt.publish(topic, qos, retain, payload).await.unwrap();
            let done = |packet: Packet| {
                matches!(packet, Packet::PubAck(_) | Packet::PubComp(_)).then_some(())
            };
            self.wait(done).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_gateway_has_lost_no_queue_no_retained_message_and_no_message_in_flight() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), free_address()).await;
    let (mut pump, present) = Client::connect(gateway.address, "pump-1").await;
    assert!(!present);
    pump.subscribe("cmd/icu/pump-1/#", QoS::ExactlyOnce).await;
    let (mut nurse, _) = Client::connect(gateway.address, "nurse").await;
    let rates = |range: std::ops::Range<u32>| range.map(|n| n.to_string());
    nurse.publish("cmd/icu/pump-1/rate", QoS::AtLeastOnce, false, rates(0..3)).await;
    nurse.publish("cmd/icu/pump-1/rate", QoS::ExactlyOnce, false, rates(3..6)).await;
    // The first four are under way and not acknowledged.
    let mut under_way = Vec::new();
    for _ in 0..4 {
        under_way.push(pump.message().await);
    }
    drop(pump);
    nurse.publish("cmd/icu/pump-1/rate", QoS::AtLeastOnce, false, rates(6..1006)).await;
    nurse.publish("cmd/icu/pump-1/limit", QoS::AtLeastOnce, true, rates(7..8)).await;
    let address = gateway.kill();

    let gateway = Gateway::start(folder.path(), address).await;
    let (mut pump, present) = Client::connect(address, "pump-1").await;
    assert!(present);
    let mut payloads = Vec::new();
    for n in 0..1007 {
        let message = pump.message().await;
        if let Some(before) = under_way.get(n) {
            assert_eq!(
                (message.pkid, &message.payload),
                (before.pkid, &before.payload),
                "the client knows it again"
            );
        }
        payloads.push(String::from_utf8(message.payload.to_vec()).unwrap());
        pump.mqtt.ack(&message).await.unwrap();
    }
    // Three of them are QoS 2: they are done when their release has come and is answered.
    while pump.released < 3 {
        pump.wait(|packet| matches!(packet, Packet::PubRel(_)).then_some(())).await;
    }
    // Its answer comes when all acknowledgements before it have arrived.
    pump.publish("cmd/icu/pump-1-done", QoS::AtLeastOnce, false, rates(0..1)).await;
    let expected: Vec<String> = rates(0..1006).chain(rates(7..8)).collect();
    assert_eq!(payloads, expected, "each once, in order");
    let (mut other, _) = Client::connect(address, "other").await;
    other.subscribe("cmd/icu/pump-1/limit", QoS::AtLeastOnce).await;
    let retained = other.message().await;
    assert_eq!((retained.retain, &retained.payload[..]), (true, &b"7"[..]));

    // What was acknowledged does not come again after another kill.
    nurse_round(address).await;
    let address = gateway.kill();
    let gateway = Gateway::start(folder.path(), address).await;
    let (mut pump, present) = Client::connect(address, "pump-1").await;
    assert!(present);
    let last = pump.message().await;
    let payload: BTreeSet<&[u8]> = [&last.payload[..]].into();
    assert_eq!(payload, [&b"last"[..]].into());
    gateway.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_that_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let mut gateway = Gateway::start(folder.path(), free_address()).await;
    for round in 0..4 {
        let (mut pump, _) = Client::connect(gateway.address, "pump-1").await;
        pump.subscribe(&format!("cmd/icu/pump-1/{round}"), QoS::AtLeastOnce).await;
        gateway = Gateway::start(folder.path(), gateway.kill()).await;
        let (mut nurse, _) = Client::connect(gateway.address, "nurse").await;
        let topic = format!("cmd/icu/pump-1/{round}");
        nurse.publish(&topic, QoS::AtLeastOnce, false, ["rate".to_owned()].into_iter()).await;
        let (mut pump, present) = Client::connect(gateway.address, "pump-1").await;
        assert!(present, "round {round}");
        let message = pump.message().await;
        assert_eq!(message.topic, topic);
        pump.mqtt.ack(&message).await.unwrap();
        pump.publish("cmd/done", QoS::AtLeastOnce, false, ["x".to_owned()].into_iter()).await;
    }
    gateway.kill();
}

/// Connects a client of MQTT 5 without Clean Start; tells whether there was a session.
async fn resume(address: SocketAddr, expiry_seconds: u32) -> (TcpStream, bool) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    let [a, b, c, d] = expiry_seconds.to_be_bytes();
    let head = *b"\x10\x13\0\x04MQTT\x05\0\0\x3c\x05\x11";
    socket.write_all(&[&head[..], &[a, b, c, d], b"\0\x01p"].concat()).await.unwrap();
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).await.unwrap();
    assert_eq!((answer[0], answer[3]), (0x20, 0));
    (socket, answer[2] == 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_was_to_end_with_its_connection_does_not_come_back_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), free_address()).await;
    drop(resume(gateway.address, 600).await);
    let (connected, present) = resume(gateway.address, 0).await;
    assert!(present);
    // Somebody's command is acknowledged when it is on disk, with everything before it.
    let (mut pump, _) = Client::connect(gateway.address, "pump-1").await;
    pump.subscribe("cmd/icu/pump-1/#", QoS::AtLeastOnce).await;
    nurse_round(gateway.address).await;
    let gateway = Gateway::start(folder.path(), gateway.kill()).await;
    assert!(!resume(gateway.address, 600).await.1);
    drop(connected);
    gateway.kill();
}

/// Something that comes after everything that was acknowledged.
async fn nurse_round(address: SocketAddr) {
    let (mut nurse, _) = Client::connect(address, "nurse").await;
    nurse
        .publish("cmd/icu/pump-1/rate", QoS::AtLeastOnce, false, ["last".to_owned()].into_iter())
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_will_survives_a_kill_and_a_goodbye_is_not_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path(), free_address()).await;
    // Who says goodbye comes first: when the others are let in, everything before is on disk.
    for (id, clean) in [("polite", false), ("passing", true), ("durable", false)] {
        let mut options = MqttOptions::new(id, "127.0.0.1", gateway.address.port());
        let will = rumqttc::LastWill::new(format!("cmd/will/{id}"), "gone", QoS::AtLeastOnce, true);
        options.set_clean_session(clean).set_last_will(will);
        let (mqtt, events) = AsyncClient::new(options, 10);
        let mut client = Client { mqtt, events, released: 0 };
        client.wait(|packet| matches!(packet, Packet::ConnAck(_)).then_some(())).await;
        if id == "polite" {
            client.mqtt.disconnect().await.unwrap();
            while client.events.poll().await.is_ok() {}
        }
        // Its socket stays open until the gateway dies.
        std::mem::forget(client);
    }
    let gateway = Gateway::start(folder.path(), gateway.kill()).await;
    let (mut watcher, _) = Client::connect(gateway.address, "watcher").await;
    watcher.subscribe("cmd/will/#", QoS::AtLeastOnce).await;
    let mut gone = BTreeSet::new();
    while gone.len() < 2 {
        gone.insert(watcher.message().await.topic);
    }
    assert_eq!(gone, ["cmd/will/durable", "cmd/will/passing"].map(str::to_owned).into());
    gateway.kill();
}
