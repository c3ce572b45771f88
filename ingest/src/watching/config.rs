//! The section `[alerts]` of the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Devices that may be known at most: 1.7 kB each, about.
const DEVICES_MAX: usize = 1_000_000;

/// Webhooks at most.
const WEBHOOKS_MAX: usize = 16;

/// A webhook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Where notices are posted.
    pub url: String,
    /// File with the secret that they are signed with; none: they are not.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
}

/// What is watched, by which rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertsConfig {
    /// Whether ingest keeps the state of devices and looks for alerts.
    pub watch: bool,
    /// File with the rules, read again when it changes; none: no alerts.
    pub rules: Option<PathBuf>,
    /// Devices that are known at most.
    pub devices_max: usize,
    /// Whether alerts are told by MQTT.
    pub mqtt: bool,
    /// Base URL of a Prometheus Alertmanager that is told.
    pub alertmanager: Option<String>,
    /// Webhooks that are told.
    pub webhooks: Vec<Webhook>,
}

impl Default for AlertsConfig {
    fn default() -> Self {
        Self {
            watch: true,
            rules: None,
            devices_max: 100_000,
            mqtt: true,
            alertmanager: None,
            webhooks: Vec::new(),
        }
    }
}

impl AlertsConfig {
    /// Checks what can be without reading a file.
    ///
    /// # Errors
    /// Which setting makes no sense, and what would.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=DEVICES_MAX).contains(&self.devices_max) {
            return Err(format!("devices_max must be 1 to {DEVICES_MAX}"));
        }
        if self.webhooks.len() > WEBHOOKS_MAX {
            return Err(format!("webhooks: {WEBHOOKS_MAX} at most"));
        }
        let urls = self.webhooks.iter().map(|hook| &hook.url).chain(&self.alertmanager);
        if urls.into_iter().any(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            // Not the URL: it may have a secret in it.
            return Err(
                "a URL of webhooks or alertmanager begins with http:// or https://".to_owned()
            );
        }
        if self.rules.is_some() && !self.watch {
            return Err("rules: nothing is watched with watch = false".to_owned());
        }
        Ok(())
    }
}
