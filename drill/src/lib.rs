//! Breaks a running Tidemark on purpose and proves that nothing was lost, doubled or altered.
//!
//! A drill starts real processes (gateway, agent, ingest, simulator) on free loopback ports and in a temporary folder, does its
//! harm while devices play, waits until everything accepted is readable, checks the books (accepted = landed + pending +
//! dropped), and audits the lake against the simulator's journal. Everything that is drawn comes from the seed.
#![warn(missing_docs)]

mod catalog;
mod drills;
mod foreign_delta;
mod load;
mod ports;
mod process;
mod report;
mod rogue_mqtt;
mod scene;
mod service;

use std::path::{Path, PathBuf};
use std::pin::Pin;

use anyhow::Context as _;
use service_runtime::Clock;

pub use catalog::{DRILLS, Drill, named};
pub use drills::crash::{Death, Victim};
pub use ports::free_address;
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
pub fn play<'a>(
    drill: &'a Drill,
    options: &'a Options,
) -> Pin<Box<dyn Future<Output = Report> + 'a>> {
    let play = drill.play;
    Box::pin(staged(drill.name, drill.fault, options, async move |scene| play(scene).await))
}

/// Lets a debug build die at a crash point, as a drill. Release builds have no crash points.
pub async fn die(death: Death, options: &Options) -> Report {
    staged(death.point, "death at a crash point", options, async |scene| {
        drills::crash::play(scene, death).await
    })
    .await
}

async fn staged(
    name: &'static str,
    fault: &'static str,
    options: &Options,
    play: impl AsyncFnOnce(&mut Scene) -> anyhow::Result<()>,
) -> Report {
    let clock = Clock::default();
    let started = clock.uptime();
    let found = attempt(name, options, play).await;
    let seconds = (clock.uptime() - started).as_secs_f64();
    Report::of(name, fault, options.seed, seconds, found)
}

async fn attempt(
    name: &str,
    options: &Options,
    play: impl AsyncFnOnce(&mut Scene) -> anyhow::Result<()>,
) -> anyhow::Result<Findings> {
    let folder = tempfile::Builder::new().prefix(&format!("tidemark-{name}-")).tempdir();
    let mut folder = folder.context("no temporary folder")?;
    let path = folder.path().to_owned();
    let mut found = on_stage(name, options, &path, play).await;
    let kept = options.keep || found.as_ref().map_or(true, |findings| !findings.hold());
    folder.disable_cleanup(kept);
    if let (Ok(findings), true) = (&mut found, kept) {
        findings.notes.push(format!("kept in {}", path.display()));
    }
    found.with_context(|| format!("see {}", path.display()))
}

async fn on_stage(
    name: &str,
    options: &Options,
    folder: &Path,
    play: impl AsyncFnOnce(&mut Scene) -> anyhow::Result<()>,
) -> anyhow::Result<Findings> {
    let mut scene = Scene::new(&options.program, folder, name, options.seed, options.quick)?;
    if let Some(lake) = &options.lake {
        let own = folder.file_name().context("a folder has a name")?.to_string_lossy();
        scene.on_lake(&format!("{}/{own}", lake.trim_end_matches('/')));
    }
    play(&mut scene).await?;
    scene.judge().await
}
