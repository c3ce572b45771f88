//! A debug build dies at a named crash point, under load, and is started again.

use anyhow::{Context as _, ensure};

use super::{grow, store, workers};
use crate::scene::{PATIENCE, Scene, until};

/// The variable that arms a point.
const VARIABLE: &str = "TIDEMARK_CRASH_POINT";

/// Which process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Victim {
    /// The gateway.
    Gateway,
    /// The edge agent.
    Agent,
    /// The ingest worker.
    Ingest,
    /// `tidemark maintain`.
    Maintain,
}

/// Where and when to die.
#[derive(Debug, Clone, Copy)]
pub struct Death {
    /// Who.
    pub victim: Victim,
    /// The name of the crash point.
    pub point: &'static str,
    /// The n-th time that it gets there.
    pub time: u32,
    /// Whether the lake is in S3 instead of a folder.
    pub s3: bool,
}

impl Death {
    fn armed(self) -> (String, String) {
        (VARIABLE.to_owned(), format!("{}:{}", self.point, self.time))
    }
}

pub(crate) async fn play(scene: &mut Scene, death: Death) -> anyhow::Result<()> {
    if death.s3 {
        store::on_server(scene).await?;
    }
    if death.point.starts_with("columns-") {
        return columns_die(scene, death).await;
    }
    match death.victim {
        Victim::Maintain => maintenance_dies(scene, death).await,
        _ => service_dies(scene, death).await,
    }
}

async fn service_dies(scene: &mut Scene, death: Death) -> anyhow::Result<()> {
    victim(scene, death.victim)?.environment.push(death.armed());
    // It may die at its start.
    scene.ingest[0].spawn()?;
    scene.gateway.start().await?;
    scene.agent.start().await?;
    scene.play_both()?;
    until(&format!("{} to die at {}", death.point, death.time), PATIENCE, async || {
        Ok(!victim(scene, death.victim)?.runs())
    })
    .await?;
    let dead = victim(scene, death.victim)?;
    ensure!(dead.said("crash point") == 1, "{} died of something else", dead.name);
    dead.environment.retain(|(name, _)| name != VARIABLE);
    dead.kill()?;
    dead.start().await?;
    scene.recovered().await
}

/// Ingest dies while tables of it grow, at a start with a configuration that declares more columns.
async fn columns_die(scene: &mut Scene, death: Death) -> anyhow::Result<()> {
    grow::before(scene).await?;
    scene.ingest[0].kill()?;
    grow::declare(scene);
    scene.ingest[0].environment.push(death.armed());
    scene.ingest[0].spawn()?;
    until(&format!("{} to die at {}", death.point, death.time), PATIENCE, async || {
        Ok(!scene.ingest[0].runs())
    })
    .await?;
    let dead = &mut scene.ingest[0];
    ensure!(dead.said("crash point") == 1, "{} died of something else", dead.name);
    dead.environment.retain(|(name, _)| name != VARIABLE);
    dead.kill()?;
    dead.start().await?;
    scene.recovered().await?;
    grow::after(scene).await
}

fn victim(scene: &mut Scene, victim: Victim) -> anyhow::Result<&mut crate::service::Service> {
    match victim {
        Victim::Gateway => Ok(&mut scene.gateway),
        Victim::Agent => Ok(&mut scene.agent),
        Victim::Ingest => Ok(&mut scene.ingest[0]),
        Victim::Maintain => None.context("maintenance is no service"),
    }
}

async fn maintenance_dies(scene: &mut Scene, death: Death) -> anyhow::Result<()> {
    scene.start().await?;
    let plan = scene.devices("ward", 500.0, 3.0);
    scene.play(&plan)?;
    scene.landed(&scene.gateway, 500).await?;
    // Nothing is swept that somebody may be writing: the devices must have said everything.
    let sweeps = death.point == "object-swept";
    if sweeps {
        scene.loads_end().await?;
        scene.settled(PATIENCE).await?;
        workers::maintain(scene).await?;
    }
    scene.environment.push(death.armed());
    let died = match sweeps {
        true => workers::sweep(scene).await,
        false => workers::maintain(scene).await,
    };
    scene.environment.retain(|(name, _)| name != VARIABLE);
    ensure!(died.is_err(), "maintenance never got to {}", death.point);
    let log = std::fs::read_to_string(scene.folder.join("command.log"))?;
    ensure!(log.contains("crash point"), "maintenance died of something else: {log}");
    scene.recovered().await?;
    // What was left half done is finished by the next run, beside a worker that goes on.
    match sweeps {
        true => workers::sweep(scene).await?,
        false => workers::maintain(scene).await?,
    };
    scene.quiet().await?;
    scene.recovered().await
}
