//! The simulator as a program of its own: `simulator [CONFIG.toml]`, section `[simulator]`.

use std::path::PathBuf;
use std::process::ExitCode;

use service_runtime::config::ConfigFile;
use service_runtime::runtime::{self, Workers};
use service_runtime::signals::Signals;
use service_runtime::{Stop, logging};
use simulator::Simulation;
use tracing::info;

fn main() -> ExitCode {
    runtime::service("simulator", Workers::PerCpu, run())
}

async fn run() -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let file = ConfigFile::load(path.as_deref())?;
    logging::start(&file.section("log")?)?;
    let simulation = Simulation::secured(file.section("simulator")?)?;
    let stop = Stop::new();
    let summary = signals.until(stop.clone(), simulation.run(stop)).await?;
    info!(summary = serde_json::to_string(&summary)?, "simulation ended");
    summary.check()?;
    Ok(())
}
