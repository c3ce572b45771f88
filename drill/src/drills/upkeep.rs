//! Upkeep without pause beside landings: killed, in two processes, on small files by the hundred.

use anyhow::ensure;

use crate::foreign_delta::ForeignTable;
use crate::process::Process;
use crate::scene::{PATIENCE, Scene, until};

/// As if all dates were over: four days later. No sweep may meet what lands today.
const LATER: (&str, &str) = ("TIDEMARK_CLOCK__JUMPS", "0:345600");
const KEEP: [&str; 2] = ["--keep-days", "30"];

/// `tidemark maintain` that begins again every second.
pub(super) fn start(scene: &Scene, name: &str) -> anyhow::Result<Process> {
    let arguments =
        [&["maintain", "--every", "1", "--format", "json", "--lake", &scene.lake], &KEEP[..]];
    let mut command = scene.command(&arguments.concat());
    command.env(LATER.0, LATER.1).env("TIDEMARK_MAINTAIN__QUIET_MINUTES", "0");
    Process::start(name, command, &scene.folder.join(format!("{name}.log")))
}

/// Tables that a foreign program works on, and how often it comes.
const FOREIGN_TABLES: [&str; 4] = ["readings", "device_status", "ehr_events", "landings"];
const FOREIGN_ROUNDS: usize = 12;
const FOREIGN_ROUNDS_QUICK: usize = 4;

/// How many merges the log of a maintainer tells of.
pub(super) fn merges(scene: &Scene, name: &str) -> anyhow::Result<u64> {
    let log = std::fs::read_to_string(scene.folder.join(format!("{name}.log")))?;
    let counts = log.lines().filter_map(|line| {
        line.trim().strip_prefix("\"made_files\": ")?.trim_end_matches(',').parse::<u64>().ok()
    });
    Ok(counts.sum())
}

/// Everything is merged once more, and the lake is one whole: each row once, each file as its log says.
pub(super) async fn whole(scene: &mut Scene) -> anyhow::Result<()> {
    scene.loads_end().await?;
    scene.settled(PATIENCE).await?;
    let before = scene.environment.clone();
    scene.environment.push((LATER.0.to_owned(), LATER.1.to_owned()));
    let lake = scene.lake.clone();
    let merged = scene.tidemark(&[&["maintain", "--lake", &lake], &KEEP[..]].concat()).await;
    scene.environment = before;
    merged?;
    scene.tidemark(&["check", "--lake", &lake]).await?;
    let tables = scene.tidemark(&["tables", "--lake", &lake, "--format", "json"]).await?;
    let tables: Vec<serde_json::Value> = serde_json::from_str(&tables)?;
    let files = |name: &str| {
        let table = tables.iter().find(|table| table["table"] == name);
        table.and_then(|table| table["files"].as_u64()).unwrap_or(0)
    };
    let (readings, landings) = (files("readings"), files("landings"));
    // The ward's clocks may be off by a day.
    ensure!(readings <= 3 && landings <= 2, "{readings} and {landings} files are left");
    Ok(())
}

/// The maintainer is killed in the middle of its work, again and again, while devices play.
pub(crate) async fn killed(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    for _ in 0..6 {
        let maintainer = start(scene, "maintain-a")?;
        scene.pass(0.2, 2.0).await;
        maintainer.kill()?;
    }
    // With a log of its own: those that were killed may have told of runs, too.
    let maintainer = start(scene, "maintain-b")?;
    until("a run to end well", PATIENCE, async || Ok(merges(scene, "maintain-b")? > 0)).await?;
    maintainer.stop().await?;
    scene.recovered().await?;
    let merges = merges(scene, "maintain-a")? + merges(scene, "maintain-b")?;
    whole(scene).await?;
    scene.note(format!("the maintainer was killed 6 times and told of {merges} merges"));
    Ok(())
}

/// Two maintainers merge the same files, while two workers land.
pub(crate) async fn two(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start_with_two_workers().await?;
    scene.play_both()?;
    scene.under_way().await?;
    let maintainers = [start(scene, "maintain-a")?, start(scene, "maintain-b")?];
    scene.pass(1.0, 3.0).await;
    let all = |scene: &Scene| {
        let [first, second] = ["maintain-a", "maintain-b"].map(|name| merges(scene, name));
        anyhow::Ok([first?, second?])
    };
    until("a run to end well", PATIENCE, async || Ok(all(scene)? != [0, 0])).await?;
    for maintainer in maintainers {
        maintainer.stop().await?;
    }
    scene.recovered().await?;
    let [first, second] = all(scene)?;
    whole(scene).await?;
    scene.note(format!("two maintainers, {first} and {second} merges, beside two workers"));
    Ok(())
}

/// Another program compacts, writes checkpoints and vacuums without any retention at random moments, beside landings and a maintainer.
pub(crate) async fn foreign(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    let maintainer = start(scene, "maintain-a")?;
    let open = |name| ForeignTable::open(&scene.lake, &scene.environment, name);
    let mut tables = FOREIGN_TABLES.map(open).into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let [mut rewrites, mut files, mut gave_way, mut checkpoints, mut vacuumed] = [0_u64; 5];
    let rounds = if scene.quick { FOREIGN_ROUNDS_QUICK } else { FOREIGN_ROUNDS };
    for round in 0..rounds {
        scene.pass(0.1, 0.7).await;
        for table in &mut tables {
            match table.optimize(&mut scene.random, scene.clock.now_ms()).await? {
                Some(taken) => (rewrites, files) = (rewrites + 1, files + taken as u64),
                None => gave_way += 1,
            }
            if round == 0 || scene.random.chance(0.3) {
                table.checkpoint().await?;
                checkpoints += 1;
            }
            if round == 0 || scene.random.chance(0.5) {
                vacuumed += table.vacuum().await?;
            }
        }
    }
    ensure!(rewrites > 0 && checkpoints > 0 && vacuumed > 0, "the other program did nothing");
    until("a run to end well", PATIENCE, async || Ok(merges(scene, "maintain-a")? > 0)).await?;
    maintainer.stop().await?;
    scene.recovered().await?;
    let merges = merges(scene, "maintain-a")?;
    whole(scene).await?;
    scene.note(format!(
        "another program rewrote {rewrites} times, {files} files in all, gave way or had nothing {gave_way} times, wrote {checkpoints} checkpoints and vacuumed {vacuumed} objects, beside {merges} merges of ours"
    ));
    Ok(())
}
