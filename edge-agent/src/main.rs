//! The edge agent as a process of its own.

use std::path::PathBuf;
use std::process::ExitCode;

use edge_agent::{Agent, AgentConfig};
use service_runtime::config::ConfigFile;
use service_runtime::runtime::{self, Workers};
use service_runtime::signals::Signals;
use service_runtime::{Clock, Metrics, Stop, logging};

fn main() -> ExitCode {
    runtime::service("edge-agent", Workers::Just(2), run())
}

async fn run() -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let file = ConfigFile::load(path.as_deref())?;
    logging::start(&file.section("log")?)?;
    let config: AgentConfig = file.section("agent")?;
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        anyhow::bail!("a TLS provider is installed already");
    }
    let stop = Stop::new();
    let agent = Agent::bind(config, Metrics::default(), Clock::default()).await?;
    signals.until(stop.clone(), agent.run(stop)).await
}
