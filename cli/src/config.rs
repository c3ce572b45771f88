//! The configuration of all services from one file.

use std::path::Path;

use anyhow::Context;
use api::ApiConfig;
use edge_agent::AgentConfig;
use gateway::GatewayConfig;
use ingest::batch::Layout;
use ingest::watching::AlertsConfig;
use lake::{Catalog, DeclaredTables, Lake, LakeConfig, MaintainConfig, OpenMode};
use serde::Serialize;
use service_runtime::config::{ConfigFile, expand_home};
use service_runtime::logging::{self, LogConfig};
use traces::TracesConfig;

use crate::options::LakeOption;

/// Everything that a file may set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Everything {
    pub(crate) log: LogConfig,
    pub(crate) lake: LakeConfig,
    pub(crate) gateway: GatewayConfig,
    pub(crate) ingest: ingest::Config,
    pub(crate) maintain: MaintainConfig,
    pub(crate) api: ApiConfig,
    pub(crate) alerts: AlertsConfig,
    pub(crate) agent: AgentConfig,
    pub(crate) simulator: simulator::Config,
    pub(crate) tables: DeclaredTables,
    pub(crate) traces: TracesConfig,
}

impl Everything {
    /// The tables that every lake has, and the declared ones.
    pub(crate) fn catalog(&self) -> anyhow::Result<Catalog> {
        Catalog::declared(&self.tables).context("[tables]")
    }
}

/// Reads every section, so that a mistake in any of them is found whoever reads it.
pub(crate) fn load(path: Option<&Path>) -> anyhow::Result<Everything> {
    let resolved = resolve(&ConfigFile::load(path)?);
    match (resolved, path) {
        (Err(error), Some(path)) => Err(located(error, path)),
        (resolved, _) => resolved,
    }
}

/// The same error with the line of the topic rule that it is in.
fn located(error: anyhow::Error, path: &Path) -> anyhow::Error {
    let rule = error.downcast_ref::<ingest::config::ConfigError>().and_then(|error| error.rule);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let header = |line: &str| line.trim_start().starts_with("[[ingest.topics]]");
    let mut headers = (1..).zip(text.lines()).filter(|(_, line)| header(line));
    match rule.and_then(|rule| headers.nth(rule.checked_sub(1)?)) {
        Some((line, _)) => error.context(format!("{}, line {line}", path.display())),
        None => error,
    }
}

fn resolve(file: &ConfigFile) -> anyhow::Result<Everything> {
    let mut everything = Everything {
        log: file.section("log")?,
        lake: file.section("lake")?,
        gateway: file.section("gateway")?,
        ingest: file.section("ingest")?,
        maintain: file.section("maintain")?,
        api: file.section("api")?,
        alerts: file.section("alerts")?,
        agent: file.section("agent")?,
        simulator: file.section("simulator")?,
        tables: file.section("tables")?,
        traces: file.section("traces")?,
    };
    everything.ingest.maintain = everything.maintain.clone();
    everything.ingest.alerts = everything.alerts.clone();
    everything.ingest.traces = everything.traces.clone();
    everything.gateway.traces = everything.traces.clone();
    everything.traces.check().context("[traces]")?;
    let catalog = everything.catalog()?;
    everything.gateway.check()?;
    everything.ingest.check_with(&Layout::of(&catalog))?;
    everything.agent.check()?;
    everything.api.check().map_err(anyhow::Error::msg)?;
    Ok(everything)
}

/// Reads the configuration and starts logging.
pub(crate) fn start(path: Option<&Path>) -> anyhow::Result<Everything> {
    let everything = load(path)?;
    logging::start(&everything.log)?;
    Ok(everything)
}

/// Opens a lake that exists already, named by `--lake` or by the configuration.
pub(crate) async fn open_lake(option: &LakeOption) -> anyhow::Result<Lake> {
    let lake = match &option.lake {
        Some(url) => LakeConfig::at(&expand_home(url)),
        None => load(option.config.as_deref())?.lake,
    };
    open(&lake, OpenMode::Read, &Catalog::builtin()).await
}

/// Opens a lake with these tables, and those that it has itself.
pub(crate) async fn open(
    lake: &LakeConfig,
    mode: OpenMode,
    catalog: &Catalog,
) -> anyhow::Result<Lake> {
    Lake::open_with(lake, &std::env::vars().collect(), mode, catalog)
        .await
        .with_context(|| format!("cannot open the lake {}", lake.url))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../config.example.toml");

    fn parse(text: &str) -> Everything {
        resolve(&ConfigFile::parse(text, Path::new("config.example.toml"), []).unwrap()).unwrap()
    }

    #[test]
    fn the_example_is_complete_and_says_the_defaults() {
        assert_eq!(parse(EXAMPLE), parse(""));
        // Complete: taking the comments off optional settings must leave every key of the defaults in the text.
        let defaults = toml::Table::try_from(parse("")).unwrap();
        let example: toml::Table = EXAMPLE.parse().unwrap();
        missing("", &defaults, &example);
    }

    fn missing(path: &str, defaults: &toml::Table, example: &toml::Table) {
        for (key, value) in defaults {
            let shown = example
                .get(key)
                .unwrap_or_else(|| panic!("{path}{key} is not in config.example.toml"));
            if let (toml::Value::Table(inner), toml::Value::Table(shown)) = (value, shown) {
                missing(&format!("{path}{key}."), inner, shown);
            }
        }
    }
}
