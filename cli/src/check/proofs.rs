//! Certificates, identities and rules: what is read at a start, when it ends, and whether it is believed.

use std::time::Duration;

use gateway::GatewayConfig;
use gateway::rehearsal::{self, Ends, Stage};
use ingest::watching::{AlertsConfig, read_rules};
use mqtt_link::Broker;
use rumqttc::{AsyncClient, ConnectReturnCode, ConnectionError, Event, Packet};
use service_runtime::Clock;
use uuid::Uuid;

use super::finding::Finding;

/// How long a broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Looks at all that a gateway's settings name.
pub(super) fn gateway(config: &GatewayConfig, clock: Clock, findings: &mut Vec<Finding>) {
    match rehearsal::rehearse(config, clock) {
        Err(error) => findings.push(Finding::bad(
            "access",
            format!("{error:#}"),
            "mend that file or the setting that names it: the gateway does not start like this",
        )),
        Ok(endings) => {
            findings
                .push(Finding::ok("access", "identities, rules and certificates are read".into()));
            findings.extend(endings.iter().map(ends));
        }
    }
}

fn ends(ends: &Ends) -> Finding {
    let (what, time) = (ends.what.replace('_', " "), &ends.time);
    let file = ends.file.display();
    match ends.stage {
        Stage::Good => Finding::ok(&what, format!("{file} is good for {time}")),
        Stage::Near => Finding::warning(
            &what,
            format!("{file} ends in {time}"),
            "put a new one in its place: a running service reads it again by itself",
        ),
        Stage::Over => Finding::bad(
            &what,
            format!("{file} ended {time} ago"),
            "put a new one in its place: clients are refused until then",
        ),
    }
}

/// Reads the alert rules as ingest does.
pub(super) fn rules(config: &AlertsConfig, findings: &mut Vec<Finding>) {
    let Some(path) = &config.rules else {
        return findings
            .push(Finding::ok("alert rules", "none: [alerts] rules names a file".into()));
    };
    findings.push(match read_rules(path) {
        Ok(rules) => {
            Finding::ok("alert rules", format!("{} in {}", rules.names().count(), path.display()))
        }
        Err(error) => {
            Finding::bad("alert rules", error.to_string(), "`tidemark alerts test` explains it")
        }
    });
}

/// Logs in at a broker under a name of our own, so that nobody is put out, and leaves again.
pub(super) async fn broker(what: &str, broker: &Broker, clock: Clock, findings: &mut Vec<Finding>) {
    if let Some(file) = &broker.cert_file {
        findings.extend(match rehearsal::certificate(file, clock) {
            Ok(found) => found.as_ref().map(ends),
            Err(error) => {
                Some(Finding::bad("certificate", format!("{error:#}"), "name a PEM file"))
            }
        });
    }
    let address = broker.address();
    findings.push(match log_in(broker).await {
        Ok(()) => Finding::ok(what, format!("{address} takes us")),
        Err(error) => Finding::bad(what, format!("{address}: {}", error.0), error.1),
    });
}

/// What went wrong, and the remedy.
struct Refused(String, &'static str);

async fn log_in(broker: &Broker) -> Result<(), Refused> {
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
