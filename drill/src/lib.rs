//! Breaks a running Tidemark on purpose and proves that nothing was lost, doubled or altered.
//!
//! A drill starts real processes (gateway, agent, ingest, simulator) on free loopback ports and in a temporary folder, does its
//! harm while devices play, waits until everything accepted is readable, checks the books (accepted = landed + pending +
//! dropped), and audits the lake against the simulator's journal. Everything that is drawn comes from the seed.
#![warn(missing_docs)]

mod catalog;
mod drills;
mod load;
mod process;
mod report;
mod scene;
mod service;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use service_runtime::Clock;

pub use catalog::{DRILLS, Drill, named};
pub use report::Report;

use crate::scene::{Findings, Scene};

/// How drills are played.
#[derive(Debug, Clone)]
pub struct Options {
    /// The `tidemark` program to drill.
    pub program: PathBuf,
    /// Decides everything that is drawn.
    pub seed: u64,
    /// `s3://bucket/prefix` to play on, each drill in a folder of its own; none: local folders, and an S3 server of our own
    /// where a drill needs one.
    pub lake: Option<String>,
    /// A twentieth of the messages where there are millions.
    pub quick: bool,
    /// Keep the folder of a drill that passed, too.
    pub keep: bool,
}

/// Plays one drill. What goes wrong is in the report; a folder with logs, spools and lake is kept then.
pub async fn play(drill: &Drill, options: &Options) -> Report {
    let clock = Clock::default();
    let started = clock.uptime();
    let found = attempt(drill, options).await;
    let seconds = (clock.uptime() - started).as_secs_f64();
    Report::of(drill, options.seed, seconds, found)
}

async fn attempt(drill: &Drill, options: &Options) -> anyhow::Result<Findings> {
    let folder = tempfile::Builder::new().prefix(&format!("tidemark-{}-", drill.name)).tempdir();
    let mut folder = folder.context("no temporary folder")?;
    let path = folder.path().to_owned();
    let found = staged(drill, options, &path).await;
    if options.keep || found.is_err() {
        folder.disable_cleanup(true);
    }
    found.with_context(|| format!("see {}", path.display()))
}

async fn staged(drill: &Drill, options: &Options, folder: &Path) -> anyhow::Result<Findings> {
    let Options { program, seed, quick, .. } = options;
    let mut scene = Scene::new(program, folder, drill.name, *seed, *quick)?;
    if let Some(lake) = &options.lake {
        let own = folder.file_name().context("a folder has a name")?.to_string_lossy();
        scene.on_lake(&format!("{}/{own}", lake.trim_end_matches('/')));
    }
    (drill.play)(&mut scene).await?;
    scene.judge().await
}
