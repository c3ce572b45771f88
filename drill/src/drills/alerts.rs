//! Alerts while everything dies: each step is in the lake once, none is missed, and neither is a device that fell silent.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use simulator::faults::s3::StoreTrouble;

use super::store;
use crate::rogue_mqtt;
use crate::scene::{PATIENCE, Scene, until};

/// Values that come and go in any ward, and a device that is heard once.
const RULES: &str = r#"
[[rule]]
name = "fast"
metric = "heart_rate"
above = 95
clear = 92

[[rule]]
name = "low"
metric = "spo2"
below = 95

[[rule]]
name = "warm"
metric = "temp_body"
above = 37.2
for = "30s"

[[rule]]
name = "quiet"
severity = "critical"
device = "dead-*"
silent_for = "3s"
"#;
const SILENT: &str = "quiet";

/// A step as `tidemark alerts list --steps` and `backtest --transitions` print it.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    alert_id: String,
    rule: String,
    #[serde(alias = "from")]
    state_before: String,
    #[serde(alias = "to")]
    state: String,
    at_us: i64,
}

/// Kills whoever brings and keeps rows, twice each, and takes the store away.
pub(crate) async fn through_kill(scene: &mut Scene) -> anyhow::Result<()> {
    let rules = scene.folder.join("rules.toml");
    std::fs::write(&rules, RULES)?;
    let rules = rules.display().to_string();
    for worker in &mut scene.ingest {
        worker.set("alerts", "rules", rules.as_str());
    }
    let faults = store::before_store(scene).await?;
    scene.start().await?;
    let payload = br#"{"metric":"heart_rate","value":80}"#;
    rogue_mqtt::say(scene.mqtt, "dt/ward/dead-1/readings", payload).await?;
    scene.play_both()?;
    scene.under_way().await?;
    for _ in 0..2 {
        scene.pass(0.5, 1.5).await;
        scene.ingest[0].kill()?;
        scene.pass(0.1, 0.5).await;
        scene.gateway.kill()?;
        scene.agent.kill()?;
        scene.gateway.start().await?;
        scene.agent.start().await?;
        scene.ingest[0].start().await?;
        scene.recovered().await?;
        faults.set(StoreTrouble::Down);
        scene.pass(0.5, 1.5).await;
        scene.ingest[0].kill()?;
        faults.set(StoreTrouble::None);
        scene.ingest[0].start().await?;
        scene.recovered().await?;
    }
    scene.loads_end().await?;
    scene.settled(PATIENCE * 4).await?;
    // Its source says every second that it has nothing more.
    until("the silence of a device is told", PATIENCE, async || {
        Ok(landed(scene).await?.iter().any(|step| step.rule == SILENT))
    })
    .await?;
    compare(scene, &rules).await
}

async fn landed(scene: &Scene) -> anyhow::Result<Vec<Step>> {
    let steps =
        ["alerts", "list", "--steps", "--all", "--format", "json", "--lake", scene.lake.as_str()];
    steps_of(&scene.tidemark(&steps).await?)
}

fn steps_of(text: &str) -> anyhow::Result<Vec<Step>> {
    let lines = text.lines().filter(|line| line.contains("\"alert_id\""));
    lines.map(|line| serde_json::from_str(line).context("a step")).collect()
}

/// What landed must be what the rows of the lake say.
async fn compare(scene: &mut Scene, rules: &str) -> anyhow::Result<()> {
    let mut landed = landed(scene).await?;
    let silent = landed.iter().filter(|step| step.rule == SILENT).count();
    ensure!(silent == 1, "the silent device was told of {silent} times");
    landed.retain(|step| step.rule != SILENT);
    let since = ["--since", "2000-01-01", "--transitions", "--format", "json"];
    let lake = ["--lake", scene.lake.as_str()];
    let arguments = [&["alerts", "backtest", rules][..], &lake, &since].concat();
    let mut wanted = steps_of(&scene.tidemark(&arguments).await?)?;
    wanted.retain(|step| step.rule != SILENT);
    ensure!(wanted.len() > 20, "only {} steps: nothing came and went", wanted.len());
    let mut counts: BTreeMap<&Step, i64> = BTreeMap::new();
    wanted.iter().for_each(|step| *counts.entry(step).or_default() += 1);
    landed.iter().for_each(|step| *counts.entry(step).or_default() -= 1);
    let missed = counts.values().filter(|count| **count > 0).count();
    let doubled = counts.values().filter(|count| **count < 0).count();
    let first = counts.iter().find(|(_, count)| **count != 0);
    ensure!(
        missed + doubled == 0,
        "of {} steps {missed} are missing, {doubled} are too many; the first: {first:?}",
        wanted.len()
    );
    scene.note(format!(
        "{} steps of alerts, each there once; one silent device told once",
        landed.len()
    ));
    Ok(())
}
