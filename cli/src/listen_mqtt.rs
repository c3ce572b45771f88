//! Listens to topics of a broker.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, Packet, Publish, QoS, TlsConfiguration, Transport,
};
use uuid::Uuid;

use crate::options::BrokerLogin;

/// A subscription; what is retained comes first.
pub(crate) struct Listener {
    client: AsyncClient,
    events: EventLoop,
    filter: String,
}

/// A message that came.
pub(crate) struct Heard {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

impl Listener {
    /// Prepares a subscription at a broker, `host:port`.
    pub(crate) fn new(broker: &str, login: &BrokerLogin, filter: String) -> anyhow::Result<Self> {
        let (host, port) =
            broker.rsplit_once(':').with_context(|| format!("{broker} is not host:port"))?;
        let port = port.parse().with_context(|| format!("{broker} is not host:port"))?;
        let name = login.username.as_deref().map(|name| format!("{name}@")).unwrap_or_default();
        let client_id = format!("{name}tidemark-cli-{}", Uuid::new_v4().simple());
        let mut options = MqttOptions::new(client_id, host, port);
        if let Some(username) = &login.username {
            let password =
                login.password_file.as_deref().map(read).transpose()?.unwrap_or_default();
            options.set_credentials(username, String::from_utf8(password)?.trim_end());
        }
        if let Some(ca_file) = &login.ca_file {
            let client_auth = match (&login.cert_file, &login.key_file) {
                (Some(cert), Some(key)) => Some((read(cert)?, read(key)?)),
                _ => None,
            };
            let tls = TlsConfiguration::Simple { ca: read(ca_file)?, alpn: None, client_auth };
            options.set_transport(Transport::tls_with_config(tls));
        }
        options.set_keep_alive(Duration::from_secs(15));
        let (client, events) = AsyncClient::new(options, 4);
        Ok(Self { client, events, filter })
    }

    /// Waits for the next message.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Heard> {
        loop {
            match self.events.poll().await.context("the broker is not reachable")? {
                Event::Incoming(Packet::ConnAck(_)) => {
                    self.client
                        .try_subscribe(&self.filter, QoS::AtLeastOnce)
                        .context("cannot subscribe")?;
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    let Publish { topic, payload, .. } = publish;
                    return Ok(Heard { topic, payload: payload.into() });
                }
                _ => {}
            }
        }
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
