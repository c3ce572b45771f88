//! Logs in at an MQTT broker and leaves again.

use std::time::Duration;

use mqtt_link::Broker;
use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, Packet};
use uuid::Uuid;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What went wrong, and the remedy.
pub(super) struct Refused(pub(super) String, pub(super) &'static str);

/// Logs in under a name of our own, so that nobody is put out.
pub(super) async fn log_in(broker: &Broker) -> Result<(), Refused> {
    let name = broker.username.as_deref().map(|name| format!("{name}@")).unwrap_or_default();
    let client_id = format!("{name}tidemark-check-{}", Uuid::new_v4().simple());
    let files = "mend the setting or the file that it names";
    let options = broker.options(&client_id).map_err(|error| Refused(chain(&error), files))?;
    let (_client, mut events) = AsyncClient::new(options, 1);
    let answered = async {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(refused(&error)),
            }
        }
    };
    let late = |_| Refused("no answer".into(), "look whether that is an MQTT broker");
    tokio::time::timeout(PATIENCE, answered).await.map_err(late)?
}

fn refused(error: &ConnectionError) -> Refused {
    let remedy = match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => {
            "the gateway's log says why; `tidemark identity test` at the gateway tries a proof (docs/security.md)"
        }
        ConnectionError::Tls(_) => {
            "look at ca_file, and whether the gateway's certificate names this host"
        }
        ConnectionError::Io(_) | ConnectionError::NetworkTimeout => {
            "look whether it runs, and at the address and the network; what is accepted meanwhile is kept"
        }
        _ => "the gateway's log says why",
    };
    Refused(chain(error), remedy)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = inner.source();
    }
    said
}
