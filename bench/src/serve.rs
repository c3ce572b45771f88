//! The parts of a measurement that run in processes of their own.

use std::path::Path;

use gateway::Gateway;
use lake::{Lake, LakeConfig, OpenMode};
use service_runtime::admin::Readiness;
use service_runtime::config::ConfigFile;
use service_runtime::signals::Signals;
use service_runtime::{Clock, Metrics, Stop, logging};

use crate::Role;

/// Runs a service until SIGTERM.
pub(crate) async fn run(role: Role, config: &Path) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let file = ConfigFile::load(Some(config))?;
    logging::start(&file.section("log")?)?;
    let stop = Stop::new();
    let asked = stop.clone();
    let service = async move {
        match role {
            Role::Gateway => {
                let config = file.section("gateway")?;
                let gateway = Gateway::bind(config, Metrics::default(), Clock::default()).await?;
                gateway.run(stop).await
            }
            Role::Ingest => {
                let lake: LakeConfig = file.section("lake")?;
                let environment = std::env::vars().collect();
                let lake = Lake::open_as(&lake, &environment, OpenMode::Create).await?;
                let (mut config, metrics): (ingest::Config, _) =
                    (file.section("ingest")?, Metrics::default());
                config.alerts = file.section("alerts")?;
                let watched = ingest::watching::Watcher::new().1;
                ingest::run(config, lake, metrics, Readiness::default(), watched, stop).await
            }
        }
    };
    signals.until(asked, service).await
}
