//! The `[traces]` section.

use std::path::PathBuf;

use anyhow::Context as _;
use reqwest::Url;
use serde::{Deserialize, Serialize};

/// Whether messages are followed, and who is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TracesConfig {
    /// Where a collector takes OTLP by HTTP as JSON, such as `http://127.0.0.1:4318`; `/v1/traces` is added. Without it nothing is
    /// followed.
    pub endpoint: Option<String>,
    /// The gateway follows one message in so many without being asked, where 1 is each; 0: only those whose publisher asks.
    pub sample_every: u64,
    /// A file whose text is sent as `Authorization`, such as `Bearer …`.
    pub authorization_file: Option<PathBuf>,
}

impl TracesConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Which key does not fit, and what it must be.
    pub fn check(&self) -> anyhow::Result<()> {
        self.endpoint.as_deref().map_or(Ok(()), |endpoint| url(endpoint).map(drop))
    }
}

/// Where requests go.
///
/// # Errors
/// If it is no address.
pub(crate) fn url(endpoint: &str) -> anyhow::Result<Url> {
    let mut url = Url::parse(endpoint).ok();
    if let Some(Ok(mut path)) = url.as_mut().map(Url::path_segments_mut) {
        path.pop_if_empty().extend(["v1", "traces"]);
    }
    let fits = |url: &Url| {
        let is_plain = url.username().is_empty() && url.password().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && is_plain
    };
    url.filter(fits).with_context(|| {
        let shown = endpoint.rsplit('@').next().unwrap_or_default();
        format!(
            "endpoint: {shown:?} is not what is wanted: say http://HOST:PORT, and what proves who you are in authorization_file"
        )
    })
}
