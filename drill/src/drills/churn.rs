//! Two workers and two maintainers are killed at random, again and again, while a reader looks at every row.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{bail, ensure};
use serde::Deserialize;

use super::upkeep;
use crate::process::Process;
use crate::scene::{PATIENCE, Scene};

/// How long it goes on: long, and where it has to be quick.
const LONG: Duration = Duration::from_secs(600);
const QUICK: Duration = Duration::from_secs(15);
/// Messages a second at the gateway and behind the agent: as many as two cores take beside everything else.
const RATES: [f64; 2] = [300.0, 150.0];
const MAINTAINERS: [&str; 2] = ["maintain-a", "maintain-b"];

/// What `tidemark check` says.
#[derive(Debug, Deserialize)]
struct Checked {
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    table: String,
    problem: String,
}

impl Finding {
    /// What a worker that was killed a moment ago leaves for the next one, or what a look at several logs, one after the other, sees
    /// while they grow.
    fn passes(&self) -> bool {
        self.problem.contains("was decided and is not in it")
            || self.problem.contains("the ledger counts")
    }
}

/// What `tidemark tables` says of a table.
#[derive(Debug, Deserialize)]
struct Table {
    table: String,
    rows: u64,
}

/// Reads every row's identity as often as it can, and how many rows there are.
#[derive(Default)]
struct Reader {
    looking: Option<Process>,
    looks: u32,
    rows: BTreeMap<String, u64>,
}

impl Reader {
    /// Judges the last look, if it is over, and begins the next.
    async fn look(&mut self, scene: &Scene) -> anyhow::Result<()> {
        let (output, log) = (scene.folder.join("reader.out"), scene.folder.join("reader.log"));
        if self.looking.as_mut().is_some_and(Process::runs) {
            return Ok(());
        }
        if self.looking.take().is_some() {
            self.looks += 1;
            let text = std::fs::read_to_string(&output)?;
            let Ok(checked) = serde_json::from_str::<Checked>(&text) else {
                bail!("a reader failed: see {}", log.display());
            };
            if let Some(Finding { table, problem }) =
                checked.findings.into_iter().find(|found| !found.passes())
            {
                bail!("a reader saw of {table}: {problem}");
            }
            self.count(scene).await?;
        }
        let check = ["check", "--format", "json", "--lake", &scene.lake];
        self.looking = Some(Process::start_into("reader", scene.command(&check), &output, &log)?);
        Ok(())
    }

    /// No table may have fewer rows than before.
    async fn count(&mut self, scene: &Scene) -> anyhow::Result<()> {
        let text = scene.tidemark(&["tables", "--format", "json", "--lake", &scene.lake]).await?;
        for Table { table, rows } in serde_json::from_str::<Vec<Table>>(&text)? {
            let before = self.rows.insert(table.clone(), rows).unwrap_or(0);
            // Views have what is newest.
            let grows = ["readings", "ehr_events", "device_status", "dead_letters", "landings"];
            ensure!(
                rows >= before || !grows.contains(&table.as_str()),
                "{table} had {before} rows and has {rows}"
            );
        }
        Ok(())
    }
}

pub(crate) async fn all(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start_with_two_workers().await?;
    let length = if scene.quick { QUICK } else { LONG };
    let seconds = (length + PATIENCE * 3).as_secs_f64();
    let ward = scene.devices("ward", RATES[0], seconds);
    let clinic = scene.devices_behind_agent("clinic", RATES[1], seconds);
    for plan in [ward, clinic] {
        scene.play(&plan)?;
    }
    scene.under_way().await?;
    let mut maintainers = Vec::new();
    for name in MAINTAINERS {
        maintainers.push(upkeep::start(scene, name)?);
    }
    let (mut reader, mut kills) = (Reader::default(), [0_u32; 2]);
    let end = scene.clock.uptime() + length;
    // Where the machine is busy it takes longer until the reader has looked once beside it all, and each was killed.
    while scene.clock.uptime() < end || reader.looks == 0 || kills.contains(&0) {
        ensure!(
            scene.clock.uptime() < end + PATIENCE * 2,
            "the reader saw nothing, or somebody was never killed"
        );
        scene.pass(0.2, 2.5).await;
        reader.look(scene).await?;
        let which = usize::from(scene.random.chance(0.5));
        if scene.random.chance(0.5) {
            scene.ingest[which].kill()?;
            kills[0] += 1;
            scene.pass(0.0, 1.0).await;
            scene.ingest[which].start().await?;
        } else {
            maintainers.remove(which).kill()?;
            kills[1] += 1;
            maintainers.insert(which, upkeep::start(scene, MAINTAINERS[which])?);
        }
    }
    // One that was begun a moment ago could not be asked to stop yet.
    maintainers.into_iter().try_for_each(Process::kill)?;
    scene.recovered().await?;
    let merges = upkeep::merges(scene, MAINTAINERS[0])? + upkeep::merges(scene, MAINTAINERS[1])?;
    upkeep::whole(scene).await?;
    scene.note(format!(
        "workers were killed {} times, maintainers {} times, beside {} looks of a reader at every row and {merges} merges",
        kills[0], kills[1], reader.looks
    ));
    Ok(())
}
