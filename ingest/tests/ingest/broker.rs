//! The way over MQTT: a broker of a hundred lines that takes one client at a time.

use std::time::Duration;

use bytes::BytesMut;
use ingest::{Config, Inbound};
use rumqttc::mqttbytes::QoS;
use rumqttc::mqttbytes::v4::{
    ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode,
};
use service_runtime::admin::Readiness;
use service_runtime::{Metrics, Stop};
use telemetry_core::receipt::Receipt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::kit::{Lakeside, Source};

const PACKET_MAX: usize = 4 << 20;

/// One client's connection, subscribed.
struct Session {
    stream: TcpStream,
    buffer: BytesMut,
    filters: Vec<String>,
}

impl Session {
    async fn answer(listener: &TcpListener, code: ConnectReturnCode) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let mut session = Self { stream, buffer: BytesMut::new(), filters: Vec::new() };
        assert!(matches!(session.next().await, Some(Packet::Connect(_))));
        session.write(Packet::ConnAck(ConnAck::new(code, false))).await;
        session
    }

    async fn accept(listener: &TcpListener, filters_wanted: usize) -> Self {
        let mut session = Self::answer(listener, ConnectReturnCode::Success).await;
        while session.filters.len() < filters_wanted {
            if let Some(Packet::Subscribe(subscribe)) = session.next().await {
                session.filters.extend(subscribe.filters.iter().map(|filter| filter.path.clone()));
                let codes =
                    vec![SubscribeReasonCode::Success(QoS::AtLeastOnce); subscribe.filters.len()];
                session.write(Packet::SubAck(SubAck::new(subscribe.pkid, codes))).await;
            }
        }
        session
    }

    async fn next(&mut self) -> Option<Packet> {
        loop {
            if let Ok(packet) = Packet::read(&mut self.buffer, PACKET_MAX) {
                return Some(packet);
            }
            if self.stream.read_buf(&mut self.buffer).await.unwrap() == 0 {
                return None;
            }
        }
    }

    async fn write(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, PACKET_MAX).unwrap();
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn send(&mut self, inbound: Inbound) {
        let Inbound::Frame { topic, payload } = inbound else { return };
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.pkid = 1;
        self.write(Packet::Publish(publish)).await;
    }

    /// The next receipt, acknowledged; `None` when the client has gone.
    async fn receipt(&mut self) -> Option<Receipt> {
        loop {
            match self.next().await? {
                Packet::Publish(publish) => {
                    assert!(
                        publish.retain && publish.qos == QoS::AtLeastOnce,
                        "receipts are retained"
                    );
                    self.write(Packet::PubAck(PubAck::new(publish.pkid))).await;
                    return Some(Receipt::from_json(&publish.payload).unwrap());
                }
                Packet::Disconnect => return None,
                _ => {}
            }
        }
    }

    async fn landed(&mut self, to: u64) {
        while self.receipt().await.unwrap().landed < to {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_and_receipts_travel_over_mqtt_and_a_lost_connection_is_made_again() {
    let lakeside = Lakeside::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let config = Config {
        broker: listener.local_addr().unwrap().to_string(),
        lanes: vec![25, 26],
        flush_rows: 1,
        ..Config::default()
    };
    let (stop, mut source) = (Stop::new(), Source::new("gateway"));
    let ingest = tokio::task::JoinSet::from_iter([ingest::run(
        config,
        lakeside.lake.clone(),
        Metrics::default(),
        Readiness::default(),
        ingest::watching::Watcher::new().1,
        stop.clone(),
    )]);

    let mut session = Session::accept(&listener, 2).await;
    assert_eq!(session.filters, ["tm/v1/up/25/+", "tm/v1/up/26/+"], "its lanes and no others");
    session.send(source.readings(10)).await;
    session.landed(10).await;
    drop(session);

    let mut session = Session::accept(&listener, 2).await;
    let receipt = session.receipt().await.unwrap();
    assert_eq!(
        (receipt.landed, receipt.resend_from),
        (10, Some(10)),
        "frames may have been lost with the connection"
    );
    session.send(source.readings(10_000)).await;
    session.landed(10_010).await;

    stop.cancel();
    while session.receipt().await.is_some() {}
    for result in ingest.join_all().await {
        result.unwrap();
    }
    assert_eq!(lakeside.offsets().await.len(), 10_010);
}

/// Waits until the metrics say so.
async fn counted(metrics: &Metrics, line: &str) {
    let counted = async {
        while !metrics.render().contains(line) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), counted).await;
    waited.unwrap_or_else(|_| panic!("never counted: {line} in {}", metrics.render()));
}

#[tokio::test(flavor = "multi_thread")]
async fn inv12_without_its_subscription_ingest_is_not_ready_and_counts_why() {
    let lakeside = Lakeside::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let broker = listener.local_addr().unwrap().to_string();
    let config = Config { broker, flush_rows: 1, ..Config::default() };
    let (stop, metrics, readiness) = (Stop::new(), Metrics::default(), Readiness::default());
    let ingest = tokio::task::JoinSet::from_iter([ingest::run(
        config,
        lakeside.lake.clone(),
        metrics.clone(),
        readiness.clone(),
        ingest::watching::Watcher::new().1,
        stop.clone(),
    )]);
    let troubles = |reason: &str| {
        format!("ingest_link_troubles_total{{link=\"broker\",reason=\"{reason}\"}} 1")
    };
    drop(Session::answer(&listener, ConnectReturnCode::NotAuthorized).await);
    counted(&metrics, &troubles("login_refused")).await;
    assert!(!readiness.is_ready());

    let mut session = Session::answer(&listener, ConnectReturnCode::Success).await;
    let Some(Packet::Subscribe(subscribe)) = session.next().await else { panic!("no SUBSCRIBE") };
    let refused = SubAck::new(subscribe.pkid, vec![SubscribeReasonCode::Failure]);
    session.write(Packet::SubAck(refused)).await;
    counted(&metrics, &troubles("subscription_refused")).await;
    assert!(!readiness.is_ready());
    drop(session);

    let session = Session::accept(&listener, 1).await;
    let ready = async {
        while !readiness.is_ready() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), ready).await.expect("granted: it is ready");
    stop.cancel();
    drop(session);
    for result in ingest.join_all().await {
        result.unwrap();
    }
}
