//! The gateway as a process of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use gateway::{Gateway, GatewayConfig};
use service_runtime::config::ConfigFile;
use service_runtime::runtime::{self, Workers};
use service_runtime::signals::Signals;
use service_runtime::{Clock, Metrics, Stop, logging};

fn main() -> ExitCode {
    runtime::service("gateway", Workers::PerCpu, run())
}

async fn run() -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let file = ConfigFile::load(path.as_deref())?;
    logging::start(&file.section("log")?)?;
    let mut config: GatewayConfig = file.section("gateway")?;
    config.traces = file.section("traces")?;
    let stop = Stop::new();
    let gateway = Gateway::bind(config, Metrics::default(), Clock::default()).await?;
    signals.until(stop.clone(), gateway.run(stop)).await
}
