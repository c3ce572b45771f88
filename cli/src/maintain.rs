//! `tidemark maintain`: one run of the upkeep that ingest does every minute.

use lake::maintain::{self, Maintained};
use serde::Serialize;
use service_runtime::Clock;

use crate::args::{self, Format};
use crate::{config, print};

#[derive(Serialize)]
struct Shown {
    table: &'static str,
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
pub(crate) async fn run(options: &args::Maintain) -> anyhow::Result<()> {
    let lake = config::open_lake(&options.lake).await?;
    let done = maintain::run_once(&lake, options.commits, Clock::default().now_us()).await?;
    let done: Vec<Shown> = done.into_iter().map(Shown::from).collect();
    if options.format == Format::Json {
        return Ok(print::json(&done)?);
    }
    let rows: Vec<Vec<String>> = done
        .into_iter()
        .map(|done| {
            vec![done.table.to_owned(), print::grouped(done.checkpoint), done.removed.to_string()]
        })
        .collect();
    Ok(print::columns(&["table", "checkpoint at version", "log entries removed"], &rows)?)
}
