//! A gateway on free ports with a temporary spool, and clients that record what they see.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::{Gateway, GatewayConfig};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, Publish, QoS};
use service_runtime::{Clock, Metrics, Stop};
use store_forward::Spool;
use store_forward::uplink::UplinkStatus;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct TestGateway {
    pub(crate) address: SocketAddr,
    pub(crate) spool: Spool,
    pub(crate) uplink: watch::Receiver<UplinkStatus>,
    pub(crate) metrics: Metrics,
    stop: Stop,
    task: JoinHandle<anyhow::Result<()>>,
    _folder: tempfile::TempDir,
}

impl TestGateway {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free_port = ([127, 0, 0, 1], 0).into();
        let mut config = GatewayConfig {
            listen: free_port,
            admin_listen: free_port,
            drain_seconds: 0,
            ..GatewayConfig::default()
        };
        config.spool.dir = folder.path().join("spool");
        change(&mut config);
        let metrics = Metrics::default();
        let gateway = Gateway::bind(config, metrics.clone(), Clock::default()).await.unwrap();
        let (address, spool, stop) = (gateway.address().unwrap(), gateway.spool(), Stop::new());
        let uplink = gateway.uplink_status();
        let task = tokio::spawn(gateway.run(stop.clone()));
        Self { address, spool, uplink, metrics, stop, task, _folder: folder }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE * 3, self.task).await.expect("stops in time").unwrap().unwrap();
    }
}

/// A 3.1.1 client whose packets arrive on a channel.
pub(crate) struct Client {
    pub(crate) mqtt: AsyncClient,
    packets: mpsc::Receiver<Result<Packet, String>>,
    task: JoinHandle<()>,
}

impl Client {
    pub(crate) async fn connect(gateway: &TestGateway, id: &str) -> Self {
        Self::with(gateway, id, |_| {}).await
    }

    pub(crate) async fn with(
        gateway: &TestGateway,
        id: &str,
        change: impl FnOnce(&mut MqttOptions),
    ) -> Self {
        let mut options = MqttOptions::new(id, "127.0.0.1", gateway.address.port());
        options.set_max_packet_size(4 << 20, 4 << 20).set_keep_alive(Duration::from_secs(30));
        change(&mut options);
        let (mqtt, mut events) = AsyncClient::new(options, 10_000);
        let (sender, packets) = mpsc::channel(100_000);
        let task = tokio::spawn(async move {
            loop {
                let packet = match events.poll().await {
                    Ok(Event::Incoming(packet)) => Ok(packet),
                    Ok(Event::Outgoing(_)) => continue,
                    Err(error) => Err(error.to_string()),
                };
                let ended = packet.is_err();
                if sender.send(packet).await.is_err() || ended {
                    return;
                }
            }
        });
        let mut client = Self { mqtt, packets, task };
        client.wait(|packet| matches!(packet, Packet::ConnAck(_)).then_some(())).await;
        client
    }

    /// Waits for a packet that `pick` wants; others are passed over.
    pub(crate) async fn wait<T>(&mut self, mut pick: impl FnMut(&Packet) -> Option<T>) -> T {
        let search = async {
            loop {
                match self.packets.recv().await.expect("connection is open") {
                    Ok(packet) => {
                        if let Some(found) = pick(&packet) {
                            return found;
                        }
                    }
                    Err(error) => panic!("connection ended: {error}"),
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the packet comes in time")
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(&mut self) -> String {
        let search = async {
            loop {
                match self.packets.recv().await {
                    Some(Err(error)) => return error,
                    Some(Ok(_)) => {}
                    None => return "closed".into(),
                }
            }
        };
        timeout(PATIENCE, search).await.expect("the connection ends in time")
    }

    pub(crate) async fn subscribe(&mut self, filter: &str) {
        self.mqtt.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        self.wait(|packet| matches!(packet, Packet::SubAck(_)).then_some(())).await;
    }

    pub(crate) async fn publish(&mut self, topic: &str, payload: &str) {
        self.mqtt.publish(topic, QoS::AtLeastOnce, false, payload).await.unwrap();
        self.wait(|packet| matches!(packet, Packet::PubAck(_)).then_some(())).await;
    }

    pub(crate) async fn message(&mut self) -> Publish {
        self.wait(|packet| match packet {
            Packet::Publish(publish) => Some(publish.clone()),
            _ => None,
        })
        .await
    }

    /// Breaks the connection without a DISCONNECT.
    pub(crate) fn vanish(self) {
        self.task.abort();
    }
}
