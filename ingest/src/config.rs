//! The `[ingest]` section of the configuration.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use lake::MaintainConfig;
use mqtt_link::Broker;
use serde::{Deserialize, Serialize};
use service_runtime::admin::AdminAccess;
use telemetry_core::frame::FRAME_MAX;
use telemetry_core::lane::LANES;
use traces::TracesConfig;

use crate::batch::Layout;
use crate::decode::DECODERS;
use crate::rules::Rules;
pub use crate::topic_rule::TopicRule;
pub use crate::watching::AlertsConfig;

/// Most that `memory_bytes` may be. Arrow addresses the text of a column with 32 bits; the rest is for the last frame, whose
/// rows may be wider than its bytes.
pub const MEMORY_MAX: u64 = (2 << 30) - (64 << 20);

/// What ingest needs to know; every key has a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Broker, `host:port`.
    pub broker: String,
    /// Where a process that runs ingest alone serves `/healthz`, `/readyz` and `/metrics`.
    pub admin_listen: SocketAddr,
    /// File with the token that everything but health needs; without one `admin_listen` must be on loopback.
    pub admin_token_file: Option<PathBuf>,
    /// Names that the admin endpoint answers to, beside `localhost`, loopback addresses and the address that it is reached by.
    pub admin_hosts: Vec<String>,
    /// MQTT client id; two workers need two.
    pub client_id: String,
    /// Seconds of silence after which the broker is asked whether it is still there, at least 5.
    pub keep_alive_s: u16,
    /// Name of this worker in receipts, plans and the ledger.
    pub worker: String,
    /// User name at the broker; none: anonymous.
    pub username: Option<String>,
    /// File with the password.
    pub password_file: Option<PathBuf>,
    /// CA certificates (PEM); setting it turns TLS on.
    pub tls_ca_file: Option<PathBuf>,
    /// Client certificate chain and key (PEM), for mutual TLS.
    pub tls_cert_file: Option<PathBuf>,
    /// Key of `tls_cert_file`.
    pub tls_key_file: Option<PathBuf>,
    /// Prefix of the control topics.
    pub prefix: String,
    /// Lanes of this worker, 0 to 63; empty: all.
    pub lanes: Vec<u8>,
    /// Land at the latest when this many rows are decoded.
    pub flush_rows: usize,
    /// … or this many raw bytes of messages; at most half of `memory_bytes`.
    pub flush_bytes: u64,
    /// … or when the oldest message has waited this long, in milliseconds.
    pub flush_age_ms: u64,
    /// Memory for what is received and not landed, over all sources: rows, names, and the files while they are made. Becomes the
    /// windows in the receipts. At most [`MEMORY_MAX`].
    pub memory_bytes: u64,
    /// Sources that are served at most, of those that are alive; frames of further ones are refused.
    pub sources_max: usize,
    /// How long a shutdown may take to land what was received, in milliseconds.
    pub shutdown_grace_ms: u64,
    /// Source id → topic filters that its messages must match; `*` stands for every source that is not named, and `{source_id}` in a
    /// filter for the id of the source.
    pub sources: BTreeMap<String, Vec<String>>,
    /// Which decoder a topic goes to, before the built-in rules; the first that matches wins.
    pub topics: Vec<TopicRule>,
    /// The section `[alerts]`: what it watches.
    #[serde(skip)]
    pub alerts: AlertsConfig,
    /// The section `[maintain]`: how it looks after the lake.
    #[serde(skip)]
    pub maintain: MaintainConfig,
    /// The section `[traces]`: who is told of messages that are followed.
    #[serde(skip)]
    pub traces: TracesConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            broker: "127.0.0.1:1883".into(),
            admin_listen: ([127, 0, 0, 1], 8083).into(),
            admin_token_file: None,
            admin_hosts: Vec::new(),
            client_id: "tidemark-ingest".into(),
            keep_alive_s: 20,
            worker: "ingest-1".into(),
            username: None,
            password_file: None,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            prefix: "tm/v1".into(),
            lanes: Vec::new(),
            flush_rows: 500_000,
            flush_bytes: 64 << 20,
            flush_age_ms: 10_000,
            memory_bytes: 192 << 20,
            sources_max: 10_000,
            shutdown_grace_ms: 30_000,
            sources: default_sources("gateway"),
            topics: Vec::new(),
            alerts: AlertsConfig::default(),
            maintain: MaintainConfig::default(),
            traces: TracesConfig::default(),
        }
    }
}

/// A gateway answers for whom it lets in, and sends everything. An agent sends its own site, or itself.
fn default_sources(gateway: &str) -> BTreeMap<String, Vec<String>> {
    let filters = |filters: &[&str]| filters.iter().map(|filter| (*filter).to_owned()).collect();
    let agent = filters(&["dt/{source_id}/#", "dt/+/{source_id}/#"]);
    [(gateway.to_owned(), filters(&["#"])), ("*".to_owned(), agent)].into()
}

/// A value that is well-formed and makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("[ingest] {key}: {problem}")]
pub struct ConfigError {
    /// Which key.
    pub key: &'static str,
    /// What is wrong, and what would be right.
    pub problem: String,
    /// Which of the topic rules it is in, from 1.
    pub rule: Option<usize>,
}

impl Config {
    /// The lanes of this worker, in order.
    #[must_use]
    pub fn own_lanes(&self) -> Vec<u8> {
        if self.lanes.is_empty() { (0..LANES).collect() } else { self.lanes.clone() }
    }

    /// Says what the gateway beside this ingest is called. Where `sources` says what sources may send, that holds.
    pub fn beside_gateway(&mut self, source_id: &str) {
        if self.sources == Self::default().sources {
            self.sources = default_sources(source_id);
        }
    }

    /// Host and port of the broker.
    ///
    /// # Errors
    /// When `broker` is not `host:port`.
    pub fn address(&self) -> Result<(String, u16), ConfigError> {
        let problem = || ConfigError {
            key: "broker",
            problem: format!("`{}` is not host:port", self.broker),
            rule: None,
        };
        let (host, port) = self.broker.rsplit_once(':').ok_or_else(problem)?;
        Ok((host.trim_matches(['[', ']']).to_owned(), port.parse().map_err(|_| problem())?))
    }

    /// The broker, with the names that its settings have here.
    ///
    /// # Errors
    /// When `broker` is not `host:port`.
    pub fn link(&self) -> Result<Broker, ConfigError> {
        let (host, port) = self.address()?;
        Ok(Broker {
            host,
            port,
            keep_alive_s: self.keep_alive_s,
            tls: self.tls_ca_file.is_some(),
            ca_file: self.tls_ca_file.clone(),
            cert_file: self.tls_cert_file.clone(),
            key_file: self.tls_key_file.clone(),
            username: self.username.clone(),
            password_file: self.password_file.clone(),
        })
    }

    /// Checks what types can't, for the tables that every lake has.
    ///
    /// # Errors
    /// The first key that makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.check_with(&Layout::default())
    }

    /// The same, for these tables.
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn check_with(&self, layout: &Layout) -> Result<(), ConfigError> {
        let refuse = |key, problem: String| Err(ConfigError { key, problem, rule: None });
        let token = self.admin_token_file.as_ref();
        if let Err(problem) = AdminAccess::check(self.admin_listen, token, &self.admin_hosts) {
            return refuse("admin", problem);
        }
        if let Err(problem) = self.alerts.check() {
            return refuse("alerts", problem);
        }
        if let Some(lane) = self.lanes.iter().find(|lane| **lane >= LANES) {
            return refuse("lanes", format!("{lane} is not below {LANES}"));
        }
        let above_zero = [
            ("flush_rows", self.flush_rows as u64),
            ("flush_bytes", self.flush_bytes),
            ("flush_age_ms", self.flush_age_ms),
            ("sources_max", self.sources_max as u64),
        ];
        if let Some((key, _)) = above_zero.into_iter().find(|(_, value)| *value == 0) {
            return refuse(key, "must be at least 1".into());
        }
        let least = self.flush_bytes.max(FRAME_MAX as u64).saturating_mul(2);
        if self.memory_bytes < least {
            let problem = format!(
                "must be at least twice flush_bytes and twice a frame, {least}: one batch lands while the next one fills"
            );
            return refuse("memory_bytes", problem);
        }
        if self.memory_bytes > MEMORY_MAX {
            let problem = format!(
                "is {}, at most {MEMORY_MAX} ({} MiB) is possible: a batch may grow to it, and a column of a batch is addressed with 32 bits",
                self.memory_bytes,
                MEMORY_MAX >> 20
            );
            return refuse("memory_bytes", problem);
        }
        if let Err(problem) = self.link()?.check() {
            return refuse("broker", format!("with login and TLS: {problem}"));
        }
        if self.worker.is_empty() || self.client_id.is_empty() {
            return refuse("worker", "and client_id must not be empty".into());
        }
        for filter in self.sources.values().flatten() {
            if let Err(error) = telemetry_core::topic::validate_filter(filter) {
                return refuse("sources", format!("`{filter}` is not a topic filter: {error}"));
            }
        }
        if let Err(mistake) = Rules::new(&self.topics, &self.prefix, layout, DECODERS) {
            let (problem, rule) = (mistake.to_string(), Some(mistake.number));
            return Err(ConfigError { key: "topics", problem, rule });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_make_sense() {
        Config::default().check().unwrap();
        assert_eq!(Config::default().own_lanes().len(), 64);
    }

    #[test]
    fn the_gateway_beside_it_sends_everything_unless_sources_says_otherwise() {
        let mut config = Config::default();
        config.beside_gateway("icu");
        assert_eq!(config.sources["icu"], ["#"]);
        assert!(!config.sources.contains_key("gateway"), "that would be an agent's name here");
        let said = Config { sources: [("*".into(), vec!["dt/x/#".into()])].into(), ..config };
        let mut config = said.clone();
        config.beside_gateway("hall");
        assert_eq!(config, said);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_key() {
        let refused = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert!(refused(|c| c.broker = "localhost".into()).contains("broker"));
        let everywhere = |c: &mut Config| c.admin_listen = ([0, 0, 0, 0], 8083).into();
        assert!(refused(everywhere).contains("admin_token_file"));
        assert!(refused(|c| c.admin_hosts = vec!["http://x".into()]).contains("admin_hosts"));
        assert!(refused(|c| c.lanes = vec![64]).contains("lanes"));
        assert!(refused(|c| c.memory_bytes = c.flush_bytes).contains("memory_bytes"));
        let too_much = refused(|c| c.memory_bytes = 16 << 30);
        assert!(too_much.contains("memory_bytes") && too_much.contains("1984 MiB"), "{too_much}");
        let too_much = refused(|c| (c.flush_bytes, c.memory_bytes) = (u64::MAX / 2, u64::MAX));
        assert!(too_much.contains("memory_bytes"), "{too_much}");
        assert!(refused(|c| c.topics.push(TopicRule::new("a/#/b", "values"))).contains("a/#/b"));
    }
}
