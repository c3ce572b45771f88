//! The settings of the agent.

use std::net::SocketAddr;
use std::path::PathBuf;

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
    pub gateway: GatewayAddress,
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
            gateway: GatewayAddress::default(),
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

/// The `[agent.gateway]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayAddress {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Seconds of silence after which the gateway is asked whether it is still there, at least 5.
    pub keep_alive_s: u16,
    /// Connect by TLS. The server's certificate is checked against `ca_file`.
    pub tls: bool,
    /// PEM file with the certificates that the server's is checked against; needed with `tls`.
    pub ca_file: Option<PathBuf>,
    /// Client certificate and those above it (PEM).
    pub cert_file: Option<PathBuf>,
    /// Key of the client certificate (PEM).
    pub key_file: Option<PathBuf>,
    /// User name at the gateway; none: no login.
    pub username: Option<String>,
    /// File with the password, or with a token.
    pub password_file: Option<PathBuf>,
}

impl Default for GatewayAddress {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 1883,
            keep_alive_s: 60,
            tls: false,
            ca_file: None,
            cert_file: None,
            key_file: None,
            username: None,
            password_file: None,
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

/// The `[agent.inputs.mqtt]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttInput {
    /// Host name or address of the broker.
    pub host: String,
    /// Port.
    #[serde(default = "default_port")]
    pub port: u16,
    /// What to subscribe to.
    #[serde(default = "default_filters")]
    pub filters: Vec<String>,
}

fn default_port() -> u16 {
    1883
}

fn default_filters() -> Vec<String> {
    vec!["dt/#".into()]
}

/// A setting that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[agent] {0}")]
pub struct ConfigError(String);

impl GatewayAddress {
    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |problem: &str| Err(ConfigError(problem.to_owned()));
        if self.keep_alive_s < 5 {
            return refuse("gateway.keep_alive_s must be at least 5");
        }
        if self.tls && self.ca_file.is_none() {
            return refuse("gateway.tls needs gateway.ca_file: the certificates to trust");
        }
        if self.cert_file.is_some() != self.key_file.is_some() {
            return refuse("gateway.cert_file and gateway.key_file belong together");
        }
        if self.cert_file.is_some() && !self.tls {
            return refuse("gateway.cert_file needs gateway.tls");
        }
        if self.password_file.is_some() && self.username.is_none() {
            return refuse("gateway.password_file needs gateway.username");
        }
        Ok(())
    }
}

impl AgentConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Which setting does not fit, and what it must be.
    pub fn check(&self) -> Result<ControlTopics, ConfigError> {
        self.spool.check().map_err(ConfigError)?;
        self.gateway.check()?;
        AdminAccess::check(self.admin_listen, self.admin_token_file.as_ref(), &self.admin_hosts)
            .map_err(ConfigError)?;
        if self.inputs.http_listen.is_some_and(|address| !address.ip().is_loopback()) {
            return Err(ConfigError(
                "inputs.http_listen must be a loopback address: it has no authentication".into(),
            ));
        }
        for filter in self.inputs.mqtt.iter().flat_map(|mqtt| &mqtt.filters) {
            validate_filter(filter).map_err(|error| {
                ConfigError(format!("inputs.mqtt.filters: {filter:?}: {error}"))
            })?;
        }
        ControlTopics::new(&self.control_prefix)
            .map_err(|error| ConfigError(format!("control_prefix: {error}")))
    }
}
