//! An agent whose disk was cloned: it moves on to a new epoch over a real connection, and goes on accepting.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "test code: runs the agent as a task"
)]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use edge_agent::{Agent, AgentConfig};
use rumqttc::mqttbytes::v4::{
    ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::mqttbytes::{self, QoS};
use service_runtime::http::{self, Method, StatusCode};
use service_runtime::{Clock, Metrics, Stop};
use telemetry_core::frame::Frame;
use telemetry_core::id::Epoch;
use telemetry_core::receipt::{self, Receipt};
use telemetry_core::spool::record::{Item, MAYBE_REPEAT};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway that knows one client.
struct Gateway {
    listener: TcpListener,
    stream: TcpStream,
    input: BytesMut,
    /// Epochs that the client subscribed to receipts of, one a connection.
    subscribed: Vec<String>,
}

impl Gateway {
    /// Waits for the agent's next frame, answering everything as MQTT wants it; a lost connection is followed by the next.
    async fn frame(&mut self) -> Frame {
        loop {
            let mut output = BytesMut::new();
            match Packet::read(&mut self.input, 4 << 20) {
                Ok(Packet::Connect(_)) => {
                    ConnAck::new(ConnectReturnCode::Success, false).write(&mut output).unwrap();
                }
                Ok(Packet::Subscribe(subscribe)) => {
                    let granted = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
                    SubAck::new(subscribe.pkid, granted).write(&mut output).unwrap();
                    let filter = &subscribe.filters[0].path;
                    self.subscribed.push(filter.rsplit('/').next().unwrap().to_owned());
                }
                Ok(Packet::Publish(publish)) => {
                    PubAck::new(publish.pkid).write(&mut output).unwrap();
                    self.stream.write_all(&output).await.unwrap();
                    match Frame::decode(&publish.payload) {
                        Ok(frame) => return frame,
                        // Its birth.
                        Err(_) => continue,
                    }
                }
                Ok(_) => {}
                Err(mqttbytes::Error::InsufficientBytes(_)) => {
                    if self.stream.read_buf(&mut self.input).await.unwrap_or(0) == 0 {
                        self.input.clear();
                        self.stream = self.listener.accept().await.unwrap().0;
                    }
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            self.stream.write_all(&output).await.unwrap();
        }
    }

    async fn receipt(&mut self, epoch: Epoch, landed: u64, chain: u64) {
        let receipt = Receipt {
            v: receipt::VERSION,
            lake_id: "lake".into(),
            source_id: "agent".parse().unwrap(),
            epoch,
            landed,
            chain,
            resend_from: None,
            window: 1 << 20,
            word_ms: None,
            worker: "w".into(),
            at: 0,
        };
        let topic = format!("tm/v1/receipt/agent/{epoch}");
        let mut output = BytesMut::new();
        let publish = Publish::new(topic, QoS::AtMostOnce, receipt.to_json());
        publish.write(&mut output).unwrap();
        self.stream.write_all(&output).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv3_a_cloned_agent_goes_on_in_a_new_epoch_and_delivers_what_had_not_landed() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free_port = ([127, 0, 0, 1], 0).into();
    let mut config =
        AgentConfig { admin_listen: free_port, drain_seconds: 0, ..AgentConfig::default() };
    config.spool.dir = folder.path().join("spool");
    config.inputs.http_listen = Some(free_port);
    config.gateway.port = listener.local_addr().unwrap().port();
    let agent = Agent::bind(config, Metrics::default(), Clock::default()).await.unwrap();
    let (spool, stop, input) = (agent.spool(), Stop::new(), agent.http_address().unwrap().unwrap());
    let running = tokio::spawn(agent.run(stop.clone()));
    let send = |n: usize| async move {
        let body = Bytes::from(format!("{{\"topic\":\"dt/w/a/readings\",\"payload\":\"{n}\"}}"));
        let answer = http::call(input, Method::POST, "/v1/messages", body, PATIENCE).await.unwrap();
        assert_eq!(answer.0, StatusCode::OK);
    };
    for n in 0..3 {
        send(n).await;
    }
    let stream = listener.accept().await.unwrap().0;
    let (input, subscribed) = (BytesMut::new(), Vec::new());
    let mut gateway = Gateway { listener, stream, input, subscribed };
    let old = spool.epoch();
    let first = timeout(PATIENCE, gateway.frame()).await.unwrap();
    assert_eq!(first.header.epoch, old);
    // The other agent of this name has landed a message that this one does not have.
    gateway.receipt(old, 1, 12345).await;
    let mut payloads: Vec<(String, bool)> = Vec::new();
    let mut sent = 3;
    while payloads.len() < 5 {
        while payloads.len() >= 3 && sent < 5 {
            send(sent).await;
            sent += 1;
        }
        let frame = timeout(PATIENCE, gateway.frame()).await.unwrap();
        if frame.header.epoch == old {
            continue;
        }
        let mut at = (0, 0);
        for (item, chain) in frame.items() {
            let Item::Record(record) = item else { panic!("nothing was lost") };
            if record.offset == payloads.len() as u64 {
                let payload = String::from_utf8(record.payload.to_vec()).unwrap();
                payloads.push((payload, record.flags & MAYBE_REPEAT != 0));
            }
            at = (item.end(), chain);
        }
        gateway.receipt(frame.header.epoch, at.0, at.1).await;
    }
    let expected: Vec<_> = (0..5).map(|n| (n.to_string(), n < 3)).collect();
    assert_eq!(payloads, expected, "what was accepted before may be repeated, the rest is not");
    assert_eq!(gateway.subscribed, [old.to_string(), spool.epoch().to_string()]);
    stop.cancel();
    running.await.unwrap().unwrap();
}
