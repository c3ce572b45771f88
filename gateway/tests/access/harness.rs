//! A gateway with TLS, identities, rules and an audit log in a temporary folder, and clients of MQTT 5.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use gateway::access::config::{ClientCertificates, TlsConfig};
use gateway::access::{Entry, Identities, hash_password};
use gateway::listener::config::{ListenerConfig, Transport};
use gateway::{Gateway, GatewayConfig};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use service_runtime::{Clock, Metrics, Stop};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::authority::Authority;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What an operator waits at most until somebody who is revoked is gone.
pub(crate) const REVOKED_WITHIN: Duration = Duration::from_secs(5);
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct TestGateway {
    pub(crate) tcp: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) authority: Authority,
    pub(crate) admin: SocketAddr,
    metrics: Metrics,
    folder: tempfile::TempDir,
    stop: Stop,
    task: JoinHandle<anyhow::Result<()>>,
}

impl TestGateway {
    /// A gateway that knows `mon-1`, `mon-2` (devices of `icu`), `van-7` (agent), `ingest`, `operator` and `analyst`, all with
    /// the same password, and takes nobody anonymous.
    pub(crate) async fn start() -> Self {
        Self::with(|_, _| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GatewayConfig, &tempfile::TempDir)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new(folder.path());
        let identities = folder.path().join("identities.toml");
        let password = Some(hash_password(PASSWORD.as_bytes()).unwrap());
        for (name, role, site) in [
            ("mon-1", "device", Some("icu")),
            ("mon-2", "device", Some("icu")),
            ("van-7", "agent", None),
            ("ingest", "ingest", None),
            ("operator", "operator", None),
            ("analyst", "analyst", None),
        ] {
            let site = site.map(str::to_owned);
            let password = password.clone();
            let entry = Entry { roles: vec![role.into()], site, password, ..Entry::default() };
            Identities::add(&identities, name, entry).unwrap();
        }
        let free_port: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut config = GatewayConfig {
            listen: free_port,
            admin_listen: free_port,
            drain_seconds: 0,
            listeners: vec![ListenerConfig { listen: free_port, transport: Transport::Tls }],
            tls: TlsConfig {
                cert_file: Some(authority.path("localhost.pem")),
                key_file: Some(authority.path("localhost.key")),
                client_certificates: ClientCertificates::Optional,
                client_ca_file: Some(authority.path("ca.pem")),
                crl_files: vec![authority.path("crl.pem")],
            },
            ..GatewayConfig::default()
        };
        config.spool.dir = folder.path().join("spool");
        config.access.identities_file = Some(identities);
        config.access.audit.file = Some(folder.path().join("audit.jsonl"));
        change(&mut config, &folder);
        let metrics = Metrics::default();
        let gateway = Gateway::bind(config, metrics.clone(), Clock::default()).await.unwrap();
        let (addresses, admin) = (gateway.addresses().unwrap(), gateway.admin_address().unwrap());
        let stop = Stop::new();
        let task = tokio::spawn(gateway.run(stop.clone()));
        let (tcp, tls) = (addresses[0].1, addresses[1].1);
        Self { tcp, tls, admin, metrics, authority, folder, stop, task }
    }

    pub(crate) fn metrics(&self) -> String {
        self.metrics.render()
    }

    /// Waits until a line of the metrics is there.
    pub(crate) async fn counted(&self, line: &str) {
        let seen = async {
            while !self.metrics.render().lines().any(|have| have == line) {
                tokio::task::yield_now().await;
            }
        };
        if timeout(PATIENCE, seen).await.is_err() {
            panic!("{line} is not counted:\n{}", self.metrics.render());
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn identities(&self) -> PathBuf {
        self.path("identities.toml")
    }

    /// Stops and returns the lines of the audit log.
    pub(crate) async fn stop(self) -> Vec<serde_json::Value> {
        self.stop.cancel();
        timeout(PATIENCE * 3, self.task).await.expect("stops in time").unwrap().unwrap();
        let text = fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn options(&self, client_id: &str, port: u16) -> MqttOptions {
        let mut options = MqttOptions::new(client_id, "localhost", port);
        options.set_keep_alive(Duration::from_secs(30));
        options
    }

    /// Connects by TCP with a password.
    pub(crate) async fn log_in(&self, name: &str) -> Client {
        self.try_with(name, |options| {
            options.set_credentials(name, PASSWORD);
        })
        .await
        .unwrap()
    }

    /// Connects by TCP with options of its own.
    pub(crate) async fn try_with(
        &self,
        client_id: &str,
        change: impl FnOnce(&mut MqttOptions),
    ) -> Result<Client, ConnectionError> {
        let mut options = self.options(client_id, self.tcp.port());
        change(&mut options);
        Client::connect(options).await
    }

    /// Connects by TLS with the certificate of a name.
    pub(crate) async fn try_certificate(&self, name: &str) -> Result<Client, ConnectionError> {
        self.try_certificate_with(name, name, |_| {}).await
    }

    /// The same, with options of its own.
    pub(crate) async fn try_certificate_with(
        &self,
        name: &str,
        client_id: &str,
        change: impl FnOnce(&mut MqttOptions),
    ) -> Result<Client, ConnectionError> {
        let mut options = self.options(client_id, self.tls.port());
        options.set_transport(self.authority.client(Some(name)));
        change(&mut options);
        Client::connect(options).await
    }
}

/// A connected client of MQTT 5.
pub(crate) struct Client {
    mqtt: AsyncClient,
    events: EventLoop,
    /// It has found its session.
    pub(crate) present: bool,
}

impl Client {
    pub(crate) async fn connect(options: MqttOptions) -> Result<Self, ConnectionError> {
        let (mqtt, mut events) = AsyncClient::new(options, 100);
        let connecting = async {
            loop {
                if let Event::Incoming(Packet::ConnAck(ack)) = events.poll().await? {
                    return Ok::<bool, ConnectionError>(ack.session_present);
                }
            }
        };
        let present = timeout(PATIENCE, connecting).await.expect("an answer in time")?;
        Ok(Self { mqtt, events, present })
    }

    /// Waits for a packet that `pick` wants.
    pub(crate) async fn wait<T>(&mut self, mut pick: impl FnMut(Packet) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Event::Incoming(packet) = self.events.poll().await.expect("is connected")
                    && let Some(found) = pick(packet)
                {
                    return found;
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the packet comes in time")
    }

    pub(crate) async fn publish(&mut self, topic: &str) -> PubAckReason {
        self.send(topic, false).await
    }

    /// Publishes a payload, and waits for its acknowledgement.
    pub(crate) async fn say(&mut self, topic: &str, payload: &[u8]) -> PubAckReason {
        self.mqtt.publish(topic, QoS::AtLeastOnce, false, payload.to_vec()).await.unwrap();
        self.acknowledged().await
    }

    pub(crate) async fn send(&mut self, topic: &str, retain: bool) -> PubAckReason {
        self.mqtt.publish(topic, QoS::AtLeastOnce, retain, "{}").await.unwrap();
        self.acknowledged().await
    }

    async fn acknowledged(&mut self) -> PubAckReason {
        self.wait(|packet| match packet {
            Packet::PubAck(ack) => Some(ack.reason),
            _ => None,
        })
        .await
    }

    pub(crate) async fn subscribe(&mut self, filter: &str) -> SubscribeReasonCode {
        self.mqtt.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        self.wait(|packet| match packet {
            Packet::SubAck(ack) => ack.return_codes.first().copied(),
            _ => None,
        })
        .await
    }

    pub(crate) async fn unsubscribe(&mut self, filter: &str) {
        self.mqtt.unsubscribe(filter).await.unwrap();
        self.wait(|packet| matches!(packet, Packet::UnsubAck(_)).then_some(())).await;
    }

    /// The topic of the next message.
    pub(crate) async fn message(&mut self) -> String {
        self.wait(|packet| match packet {
            Packet::Publish(publish) => Some(String::from_utf8(publish.topic.to_vec()).unwrap()),
            _ => None,
        })
        .await
    }

    /// Waits until the gateway ends the connection.
    pub(crate) async fn ended(&mut self, patience: Duration) {
        let ending = async {
            loop {
                match self.events.poll().await {
                    Ok(Event::Incoming(Packet::Disconnect(_))) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        timeout(patience, ending).await.expect("the connection ends in time");
    }
}
