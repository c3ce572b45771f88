//! The settings of the gateway.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use service_runtime::admin::AdminAccess;
use store_forward::{SpoolConfig, UplinkConfig};
use telemetry_core::id::SourceId;
use telemetry_core::spool::format::PREFIX_LEN;
use telemetry_core::spool::record::{FIXED_LEN, MESSAGE_MAX};
use telemetry_core::topic::ControlTopics;
use traces::TracesConfig;

use crate::access::config::{AccessConfig, ClientCertificates, TlsConfig};
use crate::limits::Limits;
use crate::listener::config::{ListenerConfig, Transport};

/// What a record has beside what stands in the packet: a topic that an alias stands for, its publisher and its client's id above all.
const RECORD_OVERHEAD: usize = PREFIX_LEN + FIXED_LEN + 2048;

/// The `[gateway]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatewayConfig {
    /// The name of this gateway's spool in the lake. Unique among all gateways and agents of a lake.
    pub source_id: SourceId,
    /// Where MQTT clients connect by TCP, 3.1.1 and 5 on the same port.
    pub listen: SocketAddr,
    /// Further ports for MQTT clients: TLS, WebSocket, other addresses.
    pub listeners: Vec<ListenerConfig>,
    /// The certificate of listeners with TLS, and whom they ask for one.
    pub tls: TlsConfig,
    /// Who may connect and what they may do.
    pub access: AccessConfig,
    /// Where `/healthz`, `/readyz`, `/metrics` and `/status` are served.
    pub admin_listen: SocketAddr,
    /// File with the token that `/metrics` and `/status` need; without one `admin_listen` must be on loopback.
    pub admin_token_file: Option<PathBuf>,
    /// Names that the admin endpoint answers to, beside `localhost`, loopback addresses and the address that it is reached by.
    pub admin_hosts: Vec<String>,
    /// Prefix of the topics for frames, receipts and status.
    pub control_prefix: String,
    /// Seconds that a stop waits for what was accepted to land.
    pub drain_seconds: u64,
    /// The spool on disk.
    pub spool: SpoolConfig,
    /// How the spool is emptied.
    pub uplink: UplinkConfig,
    /// Limits on clients.
    pub limits: Limits,
    /// The section `[traces]`: who is told of messages that are followed.
    #[serde(skip)]
    pub traces: TracesConfig,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            source_id: "gateway".parse().expect("a valid name"),
            listen: ([127, 0, 0, 1], 1883).into(),
            listeners: Vec::new(),
            tls: TlsConfig::default(),
            access: AccessConfig::default(),
            admin_listen: ([127, 0, 0, 1], 8080).into(),
            admin_token_file: None,
            admin_hosts: Vec::new(),
            control_prefix: "tm/v1".into(),
            drain_seconds: 15,
            spool: SpoolConfig::default(),
            uplink: UplinkConfig::default(),
            limits: Limits::default(),
            traces: TracesConfig::default(),
        }
    }
}

/// A setting that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[gateway] {0}")]
pub struct ConfigError(String);

impl GatewayConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Which setting does not fit, and what it must be.
    pub fn check(&self) -> Result<ControlTopics, ConfigError> {
        self.spool.check().map_err(ConfigError)?;
        self.uplink.check().map_err(ConfigError)?;
        self.access.check().map_err(ConfigError)?;
        self.tls.check().map_err(ConfigError)?;
        let most = MESSAGE_MAX - RECORD_OVERHEAD;
        if self.limits.packet_bytes_max > most {
            return Err(ConfigError(format!(
                "limits.packet_bytes_max must be at most {most}: a record of the spool holds no more"
            )));
        }
        if self.limits.receiving_bytes_max < 2 * self.limits.read_bytes_max() {
            return Err(ConfigError(format!(
                "limits.receiving_bytes_max must be at least {}: two of the largest packets",
                2 * self.limits.read_bytes_max()
            )));
        }
        self.limits.check().map_err(ConfigError)?;
        AdminAccess::check(self.admin_listen, self.admin_token_file.as_ref(), &self.admin_hosts)
            .map_err(ConfigError)?;
        let secured = |listener: &ListenerConfig| listener.transport.has_tls();
        if self.listeners.iter().any(secured) && self.tls.cert_file.is_none() {
            return Err(ConfigError(
                "a listener with TLS needs tls.cert_file and tls.key_file: `tidemark certs dev` makes them".into(),
            ));
        }
        ControlTopics::new(&self.control_prefix)
            .map_err(|error| ConfigError(format!("control_prefix: {error}")))
    }

    /// Fills in what depends on other settings: limits on who can connect and on what a small spool has room for, and whether
    /// somebody anonymous may come in.
    #[must_use]
    pub fn in_force(mut self) -> Self {
        let room = self.spool.record_bytes_max().saturating_sub(RECORD_OVERHEAD).max(1);
        self.limits.packet_bytes_max = self.limits.packet_bytes_max.min(room);
        let is_here = |listener: &ListenerConfig| listener.listen.ip().to_canonical().is_loopback();
        let others_can_connect = !self.all_listeners().iter().all(is_here);
        self.limits = self.limits.in_force(others_can_connect);
        let certificates = self.tls.client_certificates != ClientCertificates::None;
        let anonymous = self.access.takes_anonymous() && !certificates;
        self.access.anonymous_on_loopback.get_or_insert(anonymous);
        self
    }

    /// Returns all ports in order, `listen` first.
    #[must_use]
    pub fn all_listeners(&self) -> Vec<ListenerConfig> {
        let first = ListenerConfig { listen: self.listen, transport: Transport::Tcp };
        std::iter::once(first).chain(self.listeners.iter().cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_anonymous_where_it_is_known_who_may_come_in() {
        let anonymous = |change: fn(&mut GatewayConfig)| {
            let mut config = GatewayConfig::default();
            change(&mut config);
            config.in_force().access.anonymous_on_loopback
        };
        assert_eq!(anonymous(|_| ()), Some(true));
        let known: [fn(&mut GatewayConfig); 5] = [
            |it| it.access.identities_file = Some("identities.toml".into()),
            |it| it.access.jwt.key_file = Some("key.pem".into()),
            |it| it.access.jwt.jwks_file = Some("keys.json".into()),
            |it| it.access.certificate_roles = vec!["device".into()],
            |it| it.tls.client_certificates = ClientCertificates::Optional,
        ];
        for change in known {
            assert_eq!(anonymous(change), Some(false));
        }
        let said = anonymous(|it| {
            it.access.identities_file = Some("identities.toml".into());
            it.access.anonymous_on_loopback = Some(true);
        });
        assert_eq!(said, Some(true), "unless the settings say so");
    }
}
