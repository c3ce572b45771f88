//! Reads all that the gateway's settings name, as a start does, and opens, binds and writes nothing.

use std::path::{Path, PathBuf};

use anyhow::Context;
use service_runtime::{Clock, Metrics};

use crate::access::config::{AccessConfig, AuditConfig, TlsConfig};
pub use crate::access::expiry::Stage;
use crate::access::expiry::{self, Ending};
use crate::access::{Access, Names};
use crate::config::GatewayConfig;
use crate::listener::tls::Tls;

/// Something that ends on a day of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ends {
    /// `server_certificate`, `client_authority`, `revocation_list`, `certificate`.
    pub what: &'static str,
    /// Where it is.
    pub file: PathBuf,
    /// How near that day is.
    pub stage: Stage,
    /// How long it is good for from now, or was until, in words: `11 days`.
    pub time: String,
}

impl Ends {
    fn of(ending: &Ending, now_us: i64) -> Self {
        let Ending { what, file, from_us, until_us } = ending;
        let stage = expiry::stage(*from_us, *until_us, now_us);
        let time = expiry::in_words(until_us.saturating_sub(now_us).saturating_abs());
        Self { what, file: file.clone(), stage, time }
    }
}

/// Reads certificates, keys, authorities, revocation lists, identities, rules and keys of tokens. Returns what of them ends.
///
/// # Errors
/// The first file that cannot be used, and why.
pub fn rehearse(config: &GatewayConfig, clock: Clock) -> anyhow::Result<Vec<Ends>> {
    let topics = config.check()?;
    let config = config.clone().in_force();
    let names = Names::new(&topics, config.source_id.as_str());
    let access = AccessConfig { audit: AuditConfig::default(), ..config.access.clone() };
    let opened = Access::open(&access, names, clock, &Metrics::default());
    let (access, _) = opened.context("cannot set up [gateway.access]")?;
    if config.tls.cert_file.is_some() {
        Tls::load(&config.tls, &access).context("cannot set up [gateway.tls]")?;
    }
    Ok(access.endings().iter().map(|ending| Ends::of(ending, clock.now_us())).collect())
}

/// Says when the certificates of a file end, the first of them.
///
/// # Errors
/// When the file has no certificate.
pub fn certificate(file: &Path, clock: Clock) -> anyhow::Result<Option<Ends>> {
    let config = TlsConfig { cert_file: Some(file.to_owned()), ..TlsConfig::default() };
    let ends = expiry::endings(&config)?;
    Ok(ends.first().map(|ending| Ends { what: "certificate", ..Ends::of(ending, clock.now_us()) }))
}
