//! `tidemark maintain`: one run of the upkeep that ingest does every minute.

use clap::Args;
use lake::maintain::{self, Maintained};
use serde::Serialize;
use service_runtime::Clock;

use crate::options::{Format, LakeOption};
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Maintain {
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// Checkpoint a table that has so many commits since its last checkpoint.
    #[arg(long, default_value_t = lake::maintain::CHECKPOINT_COMMITS, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) commits: u64,
    /// How the list is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

#[derive(Serialize)]
struct Shown {
    table: String,
    checkpoint: u64,
    removed: usize,
}

impl From<Maintained> for Shown {
    fn from(done: Maintained) -> Self {
        let Maintained { table, checkpoint, removed } = done;
        Self { table, checkpoint, removed }
    }
}

/// Checkpoints the tables that need it and removes log entries beyond the retention.
pub(crate) async fn run(options: &Maintain) -> anyhow::Result<()> {
    let lake = config::open_lake(&options.lake).await?;
    let done = maintain::run_once(&lake, options.commits, Clock::default().now_us()).await?;
    let done: Vec<Shown> = done.into_iter().map(Shown::from).collect();
    if options.format == Format::Json {
        return Ok(print::json(&done)?);
    }
    let rows: Vec<Vec<String>> = done
        .into_iter()
        .map(|done| vec![done.table, print::grouped(done.checkpoint), done.removed.to_string()])
        .collect();
    Ok(print::columns(&["table", "checkpoint at version", "log entries removed"], &rows)?)
}
