//! `ingest [config.toml]`: runs ingest alone until Ctrl-C.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use ingest::{Alone, Config};
use lake::{Catalog, DeclaredTables, Lake, LakeConfig, OpenMode};
use service_runtime::config::ConfigFile;
use service_runtime::runtime::{self, Workers};
use service_runtime::signals::Signals;
use service_runtime::{Stop, logging};

fn main() -> ExitCode {
    runtime::service("ingest", Workers::PerCpu, run())
}

async fn run() -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let file = ConfigFile::load(path.as_deref())?;
    logging::start(&file.section("log")?)?;
    let lake: LakeConfig = file.section("lake")?;
    let mut config: Config = file.section("ingest")?;
    config.maintain = file.section("maintain")?;
    config.alerts = file.section("alerts")?;
    config.traces = file.section("traces")?;
    let catalog =
        Catalog::declared(&file.section::<DeclaredTables>("tables")?).context("[tables]")?;
    let environment = std::env::vars().collect();
    let lake = Lake::open_with(&lake, &environment, OpenMode::Create, &catalog).await?;
    let stop = Stop::new();
    signals.until(stop.clone(), ingest::run_alone(config, lake, Alone::default(), stop)).await
}
