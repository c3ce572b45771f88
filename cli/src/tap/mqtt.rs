//! A subscription at a gateway over MQTT 5 that leaves no session behind, and is made anew when its connection is lost.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::Context;
use mqtt_link::Broker;
use rumqttc::Outgoing;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{
    ConnectReturnCode, Filter, Packet, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, StateError};
use service_runtime::Clock;
use uuid::Uuid;

use super::shown::Came;
use crate::options::BrokerLogin;

/// Larger packets are not sent to us: a gateway takes none that are larger.
const PACKET_BYTES_MAX: u32 = 16 << 20;
/// Pauses before a lost connection is made again.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
];
/// The gateway is told that we leave; for so long we wait until that is sent.
const FAREWELL: Duration = Duration::from_millis(500);

/// What happens at a subscription.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It is granted: what is published from now on is heard.
    Listening,
    /// A message.
    Came(Came),
    /// The connection is lost; the next call makes it again.
    Lost {
        /// Why, as far as that is known.
        cause: String,
    },
}

/// See the module.
pub(crate) struct Subscription {
    client: AsyncClient,
    events: EventLoop,
    filters: Vec<Filter>,
    address: String,
    clock: Clock,
    /// It has been granted once.
    heard: bool,
    /// Attempts since then that failed.
    failed: usize,
    /// Messages that were read together with the end of their connection.
    rest: VecDeque<Came>,
    lost: Option<String>,
    pause: Option<Duration>,
}

impl Subscription {
    /// Prepares one at a gateway, `host:port`.
    pub(crate) fn new(
        address: &str,
        login: &BrokerLogin,
        filters: &[String],
        qos: u8,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let name = login.username.as_deref().map(|name| format!("{name}@")).unwrap_or_default();
        let client_id = format!("{name}tidemark-tap-{}", Uuid::new_v4().simple());
        let options = options(&broker(address, login)?, &client_id)?;
        let (client, events) = AsyncClient::new(options, 4);
        let qos = match qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        let filters = filters.iter().map(|filter| Filter::new(filter, qos)).collect();
        let address = address.to_owned();
        let (heard, failed, rest, lost, pause) = (false, 0, VecDeque::new(), None, None);
        Ok(Self { client, events, filters, address, clock, heard, failed, rest, lost, pause })
    }

    /// Waits for what happens next. A gateway that was never reached, and one that refuses us, are errors.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Heard> {
        loop {
            if let Some(came) = self.rest.pop_front() {
                return Ok(Heard::Came(came));
            }
            if let Some(cause) = self.lost.take() {
                return Ok(Heard::Lost { cause });
            }
            if let Some(pause) = self.pause.take() {
                tokio::time::sleep(pause).await;
            }
            match self.events.poll().await {
                Ok(Event::Incoming(packet)) => {
                    if let Some(heard) = self.packet(packet)? {
                        return Ok(heard);
                    }
                }
                Ok(Event::Outgoing(_)) => {}
                Err(error) => self.ended(error)?,
            }
        }
    }

    fn packet(&mut self, packet: Packet) -> anyhow::Result<Option<Heard>> {
        match packet {
            Packet::ConnAck(_) => {
                let filters = self.filters.iter().cloned();
                self.client.try_subscribe_many(filters).context("cannot subscribe")?;
                Ok(None)
            }
            Packet::SubAck(answer) => {
                granted(&self.filters, &answer)?;
                (self.heard, self.failed) = (true, 0);
                Ok(Some(Heard::Listening))
            }
            Packet::Publish(publish) => Ok(Some(Heard::Came(self.came(publish)))),
            _ => Ok(None),
        }
    }

    fn came(&self, publish: Publish) -> Came {
        let Publish { qos, retain, topic, payload, .. } = publish;
        let topic = String::from_utf8_lossy(&topic).into_owned();
        Came { at_us: self.clock.now_us(), topic, qos: qos as u8, retain, payload }
    }

    /// Forgets the connection, keeps what was heard on it, and rests before the next one.
    fn ended(&mut self, error: ConnectionError) -> anyhow::Result<()> {
        if let ConnectionError::ConnectionRefused(code) = &error
            && (!self.heard || is_for_good(*code))
        {
            anyhow::bail!("{}: {}", self.address, refused(*code));
        }
        if !self.heard {
            let address = &self.address;
            return Err(error).with_context(|| {
                format!("cannot listen at {address}: does a gateway run there? --gateway names another address, --ca-file speaks TLS")
            });
        }
        self.events.clean();
        self.events.pending.clear();
        for event in std::mem::take(&mut self.events.state.events) {
            if let Event::Incoming(Packet::Publish(publish)) = event {
                self.rest.push_back(self.came(publish));
            }
        }
        if self.failed == 0 {
            self.lost = Some(cause(&error));
        }
        self.pause = PAUSES.get(self.failed).or(PAUSES.last()).copied();
        self.failed += 1;
        Ok(())
    }

    /// Leaves, so that the gateway need not take us for lost.
    pub(crate) async fn leave(mut self) {
        if self.client.try_disconnect().is_err() || self.failed > 0 {
            return;
        }
        let sent = async {
            while let Ok(event) = self.events.poll().await {
                if event == Event::Outgoing(Outgoing::Disconnect) {
                    break;
                }
            }
        };
        // Too late is as good: the connection ends with us.
        drop(tokio::time::timeout(FAREWELL, sent).await);
    }
}

fn broker(address: &str, login: &BrokerLogin) -> anyhow::Result<Broker> {
    let wrong = || format!("{address} is not host:port");
    let (host, port) = address.rsplit_once(':').with_context(wrong)?;
    let broker = Broker {
        host: host.to_owned(),
        port: port.parse().with_context(wrong)?,
        keep_alive_s: 15,
        tls: login.ca_file.is_some(),
        ca_file: login.ca_file.clone(),
        cert_file: login.cert_file.clone(),
        key_file: login.key_file.clone(),
        username: login.username.clone(),
        password_file: login.password_file.clone(),
    };
    broker.check().map_err(anyhow::Error::msg)?;
    Ok(broker)
}

/// The same options for MQTT 5, which says why it refuses.
fn options(broker: &Broker, client_id: &str) -> anyhow::Result<MqttOptions> {
    let plain = broker.options(client_id)?;
    let mut options = MqttOptions::new(client_id, &broker.host, broker.port);
    options.set_transport(plain.transport()).set_keep_alive(plain.keep_alive());
    if let Some(login) = plain.credentials() {
        options.set_credentials(login.username, login.password);
    }
    // It ends with the connection: nothing waits for a tap that is gone.
    options.set_clean_start(true).set_session_expiry_interval(Some(0));
    options.set_max_packet_size(Some(PACKET_BYTES_MAX)).set_outgoing_inflight_upper_limit(1);
    Ok(options)
}

/// An error that says what to do, if not all filters are granted.
fn granted(filters: &[Filter], answer: &SubAck) -> anyhow::Result<()> {
    for (at, filter) in filters.iter().enumerate() {
        let why = match answer.return_codes.get(at) {
            Some(SubscribeReasonCode::Success(_)) => continue,
            Some(SubscribeReasonCode::NotAuthorized) => {
                "not allowed: give this identity the right to subscribe there (`tidemark policy test subscribe` says which rule decides)"
            }
            Some(SubscribeReasonCode::QuotaExceeded) => {
                "a limit is reached: /api/v1/limits of the gateway says which, and its setting"
            }
            Some(SubscribeReasonCode::TopicFilterInvalid) => "it is not a topic filter",
            Some(SubscribeReasonCode::SharedSubscriptionsNotSupported) => {
                "it takes no shared subscriptions"
            }
            Some(SubscribeReasonCode::WildcardSubscriptionsNotSupported) => {
                "it takes no wildcards: name whole topics"
            }
            _ => "it says no reason: its log has more",
        };
        anyhow::bail!("the gateway refuses the subscription to {}: {why}", filter.path);
    }
    Ok(())
}

/// Another attempt would be answered alike.
fn is_for_good(code: ConnectReturnCode) -> bool {
    matches!(
        code,
        ConnectReturnCode::BadUserNamePassword
            | ConnectReturnCode::NotAuthorized
            | ConnectReturnCode::Banned
            | ConnectReturnCode::BadAuthenticationMethod
    )
}

fn refused(code: ConnectReturnCode) -> String {
    match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            "refused, not authorized: check --username, --password-file, certificates and the rights of this identity".into()
        }
        ConnectReturnCode::BadClientId | ConnectReturnCode::ClientIdentifierNotValid => {
            "refused, client id: with a client certificate, --username is the name in it".into()
        }
        ConnectReturnCode::UnsupportedProtocolVersion
        | ConnectReturnCode::RefusedProtocolVersion => {
            "refused: it does not speak MQTT 5, and `tidemark tap` speaks nothing else".into()
        }
        ConnectReturnCode::QuotaExceeded
        | ConnectReturnCode::ServerBusy
        | ConnectReturnCode::ServerUnavailable
        | ConnectReturnCode::ServiceUnavailable
        | ConnectReturnCode::ConnectionRateExceeded => {
            format!("refused for now, {code:?}: a limit may be reached, its log has more")
        }
        _ => format!("refused, {code:?}"),
    }
}

fn cause(error: &ConnectionError) -> String {
    match error {
        ConnectionError::MqttState(StateError::ServerDisconnect { reason_code, reason_string }) => {
            let said = reason_string.as_deref().map(|said| format!(", {said}"));
            format!("the gateway ended it: {reason_code:?}{}", said.unwrap_or_default())
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => "it was cut".into(),
        ConnectionError::MqttState(StateError::AwaitPingResp) => "nothing came back".into(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_filter_is_named_with_what_to_do() {
        let filters: Vec<_> =
            ["dt/#", "x/#"].iter().map(|path| Filter::new(*path, QoS::AtMostOnce)).collect();
        let answer = |codes: &[SubscribeReasonCode]| SubAck {
            pkid: 1,
            return_codes: codes.to_vec(),
            properties: None,
        };
        let yes = SubscribeReasonCode::Success(QoS::AtMostOnce);
        granted(&filters, &answer(&[yes, yes])).unwrap();
        let said = |codes: &[SubscribeReasonCode]| {
            granted(&filters, &answer(codes)).unwrap_err().to_string()
        };
        let no = said(&[yes, SubscribeReasonCode::NotAuthorized]);
        assert!(no.contains("x/#") && no.contains("policy test"), "{no}");
        assert!(said(&[yes]).contains("x/#"), "an answer that is too short grants nothing");
    }

    #[test]
    fn an_address_is_host_and_port() {
        let login = BrokerLogin {
            ca_file: None,
            cert_file: None,
            key_file: None,
            username: None,
            password_file: None,
        };
        let read = |address| broker(address, &login).map(|it| (it.host, it.port));
        assert_eq!(read("[::1]:1883").unwrap(), ("[::1]".to_owned(), 1883));
        assert!(read("localhost").is_err() && read("localhost:x").is_err());
    }
}
