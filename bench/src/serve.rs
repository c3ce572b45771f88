//! The parts of a measurement that run in processes of their own.

use std::path::Path;

use gateway::Gateway;
use lake::{Lake, LakeConfig, OpenMode};
use service_runtime::admin::Readiness;
use service_runtime::config::ConfigFile;
use service_runtime::{Clock, Metrics, Stop, logging, signals};

use crate::Role;

/// Runs a service until SIGTERM.
pub(crate) async fn run(role: Role, config: &Path) -> anyhow::Result<()> {
    let file = ConfigFile::load(Some(config))?;
    logging::start(&file.section("log")?)?;
    let stop = Stop::new();
    let signalled = signals::stop_on_signal(stop.clone());
    match role {
        Role::Gateway => {
            let gateway =
                Gateway::bind(file.section("gateway")?, Metrics::default(), Clock::default())
                    .await?;
            tokio::try_join!(gateway.run(stop), signalled)?;
        }
        Role::Ingest => {
            let lake: LakeConfig = file.section("lake")?;
            let lake = Lake::open_as(&lake, &std::env::vars().collect(), OpenMode::Create).await?;
            tokio::try_join!(
                ingest::run(
                    file.section("ingest")?,
                    lake,
                    Metrics::default(),
                    Readiness::default(),
                    stop,
                ),
                signalled
            )?;
        }
    }
    Ok(())
}
