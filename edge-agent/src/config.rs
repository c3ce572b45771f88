//! The settings of the agent.

use std::net::SocketAddr;
use std::path::PathBuf;

use mqtt_link::Broker;
use serde::{Deserialize, Serialize};
use service_runtime::admin::AdminAccess;
use store_forward::{SpoolConfig, UplinkConfig};
use telemetry_core::frame::Codec;
use telemetry_core::id::SourceId;
use telemetry_core::topic::{ControlTopics, validate_filter};

/// The `[agent]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentConfig {
    /// The name of this agent's spool in the lake. Unique among all gateways and agents of a lake.
    pub source_id: SourceId,
    /// Where `/healthz`, `/readyz`, `/metrics` and `/status` are served.
    pub admin_listen: SocketAddr,
    /// File with the token that everything but health needs; without one `admin_listen` must be on loopback.
    pub admin_token_file: Option<PathBuf>,
    /// Names that the admin endpoint and the HTTP input answer to, beside `localhost`, loopback addresses and the address that they
    /// are reached by.
    pub admin_hosts: Vec<String>,
    /// Prefix of the topics for frames, receipts and status; the gateway's.
    pub control_prefix: String,
    /// Seconds that a stop waits for what was accepted to land. What does not land in time is sent at the next start.
    pub drain_seconds: u64,
    /// The gateway.
    pub gateway: Broker,
    /// Where messages come from.
    pub inputs: Inputs,
    /// The spool on disk.
    pub spool: SpoolConfig,
    /// How the spool is emptied.
    pub uplink: UplinkConfig,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            source_id: "agent".parse().expect("a valid name"),
            admin_listen: ([127, 0, 0, 1], 8081).into(),
            admin_token_file: None,
            admin_hosts: Vec::new(),
            control_prefix: "tm/v1".into(),
            drain_seconds: 5,
            gateway: Broker::default(),
            inputs: Inputs::default(),
            spool: SpoolConfig {
                dir: "tidemark-data/agent-spool".into(),
                bytes_max: 1 << 30,
                ..SpoolConfig::default()
            },
            uplink: UplinkConfig {
                codec: Codec::Zstd,
                frame_bytes: 256 << 10,
                ..UplinkConfig::default()
            },
        }
    }
}

/// The `[agent.inputs]` table. Inputs that are not set are off.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inputs {
    /// Take messages by `POST /v1/messages` on this loopback address.
    pub http_listen: Option<SocketAddr>,
    /// Read lines `{"topic": …, "payload": …}` from a file, or from standard input with `-`.
    pub ndjson: Option<PathBuf>,
    /// Subscribe to a broker nearby.
    pub mqtt: Option<MqttInput>,
}

/// The `[agent.inputs.mqtt]` table: the keys of `[agent.gateway]`, and what to subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttInput {
    /// Where the broker is, and how to log in there.
    #[serde(flatten)]
    pub broker: Broker,
    /// What to subscribe to.
    #[serde(default = "default_filters")]
    pub filters: Vec<String>,
}

fn default_filters() -> Vec<String> {
    vec!["dt/#".into()]
}

/// A setting that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[agent] {0}")]
pub struct ConfigError(String);

impl AgentConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Which setting does not fit, and what it must be.
    pub fn check(&self) -> Result<ControlTopics, ConfigError> {
        self.spool.check().map_err(ConfigError)?;
        self.uplink.check().map_err(ConfigError)?;
        let named =
            |table: &'static str| move |problem: String| ConfigError(format!("{table}: {problem}"));
        self.gateway.check().map_err(named("gateway"))?;
        AdminAccess::check(self.admin_listen, self.admin_token_file.as_ref(), &self.admin_hosts)
            .map_err(ConfigError)?;
        if self.inputs.http_listen.is_some_and(|address| !address.ip().is_loopback()) {
            return Err(ConfigError(
                "inputs.http_listen must be a loopback address: it has no authentication".into(),
            ));
        }
        if let Some(input) = &self.inputs.mqtt {
            input.broker.check().map_err(named("inputs.mqtt"))?;
            if input.filters.is_empty() {
                return Err(ConfigError(
                    "inputs.mqtt.filters must not be empty: what should be taken?".into(),
                ));
            }
            for filter in &input.filters {
                validate_filter(filter).map_err(|error| {
                    ConfigError(format!("inputs.mqtt.filters: {filter:?}: {error}"))
                })?;
            }
        }
        ControlTopics::new(&self.control_prefix)
            .map_err(|error| ConfigError(format!("control_prefix: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: &str) -> Result<MqttInput, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn the_input_has_the_keys_of_the_uplink_and_no_others() {
        let read = input(
            "host = \"b\"\nport = 8883\ntls = true\nca_file = \"ca.pem\"\nusername = \"ward\"",
        )
        .unwrap();
        assert_eq!((read.broker.host.as_str(), read.broker.port), ("b", 8883));
        assert_eq!((read.broker.tls, read.broker.username.as_deref()), (true, Some("ward")));
        assert_eq!(read.filters, ["dt/#"]);
        let error = input("host = \"b\"\npasword_file = \"x\"").unwrap_err();
        assert!(error.contains("pasword_file"), "{error}");
    }

    #[test]
    fn an_input_that_could_not_take_anything_is_refused() {
        let mut config = AgentConfig::default();
        let broker = Broker { tls: true, ..Broker::default() };
        config.inputs.mqtt = Some(MqttInput { broker, filters: vec!["dt/#".into()] });
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("inputs.mqtt: tls needs ca_file"), "{error}");
        config.inputs.mqtt = Some(MqttInput { broker: Broker::default(), filters: Vec::new() });
        let error = config.check().unwrap_err().to_string();
        assert!(error.contains("inputs.mqtt.filters"), "{error}");
    }
}
