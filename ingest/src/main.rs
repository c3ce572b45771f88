//! `ingest [config.toml]`: runs ingest alone until Ctrl-C.

use std::path::PathBuf;

use lake::{Lake, LakeConfig, OpenMode};
use service_runtime::{Stop, config::ConfigFile, logging, signals};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let path = std::env::args_os().nth(1).map(PathBuf::from);
    let file = ConfigFile::load(path.as_deref())?;
    logging::start(&file.section("log")?)?;
    let lake: LakeConfig = file.section("lake")?;
    let lake = Lake::open_as(&lake, &std::env::vars().collect(), OpenMode::Create).await?;
    let stop = Stop::new();
    let signals = signals::stop_on_signal(stop.clone());
    let ingest = ingest::run_alone(file.section("ingest")?, lake, stop);
    tokio::try_join!(ingest, signals)?;
    Ok(())
}
