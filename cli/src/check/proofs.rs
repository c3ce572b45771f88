//! Certificates, identities and rules: what is read at a start, when it ends, and whether it is believed.

use gateway::GatewayConfig;
use gateway::rehearsal::{self, Ends, Stage};
use ingest::watching::{AlertsConfig, read_rules};
use mqtt_link::Broker;
use service_runtime::Clock;

use super::finding::Finding;
use super::mqtt;

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
    findings.push(match mqtt::log_in(broker).await {
        Ok(()) => Finding::ok(what, format!("{address} takes us")),
        Err(error) => Finding::bad(what, format!("{address}: {}", error.0), error.1),
    });
}
