//! Sets up logging to standard error.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

/// The `[log]` section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,gateway=debug`.
    pub level: String,
    /// `text` or `json` (one object a line).
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".into(), format: LogFormat::Text }
    }
}

/// Colours are for terminals, and for those who want them (<https://no-color.org>).
fn colours() -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    !unwanted && std::io::stderr().is_terminal()
}

/// Starts logging; a second call changes nothing, so that tests may call it.
///
/// # Errors
/// When the level is not a filter.
pub fn start(config: &LogConfig) -> anyhow::Result<()> {
    // It reports every step of its as if it were an event of ours; a level of the user's own comes later and wins.
    let filter = EnvFilter::try_new(format!("rumqttd=error,{}", config.level))
        .map_err(|error| anyhow::anyhow!("log.level {:?} is not a level: {error}", config.level))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours())
        .with_target(true);
    // Somebody else's subscriber (a test's) stays.
    drop(match config.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    });
    Ok(())
}
