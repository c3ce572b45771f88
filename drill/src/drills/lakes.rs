//! The wrong lake, a new lake, a lake that is restored from a backup, and a spool that comes back from an older copy.

use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::scene::{PATIENCE, Scene, until};

/// A second ingest with an empty lake joins the broker: no source may believe it.
pub(crate) async fn wrong(scene: &mut Scene) -> anyhow::Result<()> {
    let intruder = scene.add_ingest("ingest-wrong")?;
    let elsewhere = scene.folder.join("wrong-lake").display().to_string();
    scene.ingest[intruder].set("lake", "url", elsewhere);
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    scene.ingest[intruder].start().await?;
    for source in [&scene.gateway, &scene.agent] {
        until("the wrong lake to be noticed", PATIENCE, async || {
            Ok(source.books().await?.wrong_lake.is_some())
        })
        .await?;
    }
    scene.pass(0.5, 1.0).await;
    scene.recovered().await?;
    scene.ingest[intruder].stop().await?;
    scene.note("both sources report the other lake and keep to theirs");
    Ok(())
}

/// The lake is gone and an empty one takes its place: after `source rebind` what had not landed lands there, and its ledger says
/// which offsets it will never have.
pub(crate) async fn replaced(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    let plan = scene.devices("ward", 800.0, 2.0);
    scene.play(&plan)?;
    scene.quiet().await?;
    scene.settled(PATIENCE).await?;
    let landed = scene.gateway.books().await?.landed;
    let old = scene.lake.clone();
    scene.loads[0].lake = Some(old);
    // The first lake's ingest is gone; devices go on.
    scene.ingest[0].stop().await?;
    let plan = scene.devices("ward-after", 800.0, 3.0);
    scene.play(&plan)?;
    scene.lake = scene.folder.join("new-lake").display().to_string();
    let lake = scene.lake.clone();
    scene.ingest[0].set("lake", "url", lake);
    scene.ingest[0].start().await?;
    until("the new lake to be noticed", PATIENCE, async || {
        Ok(scene.gateway.books().await?.wrong_lake.is_some())
    })
    .await?;
    // What an operator does.
    scene.gateway.kill()?;
    scene.agent.kill()?;
    for spool in ["gateway-spool", "agent-spool"] {
        let spool = scene.folder.join(spool).display().to_string();
        scene.tidemark(&["source", "rebind", &spool]).await?;
    }
    scene.gateway.start().await?;
    scene.agent.start().await?;
    scene.quiet().await?;
    scene.recovered().await?;
    let gap = gap_of_gateway(scene).await?;
    // A source that was killed may have forgotten the last receipt: then the newest messages are in both lakes.
    ensure!(
        (1..=landed).contains(&gap),
        "the new ledger misses {gap} messages, the old lake has {landed}"
    );
    scene.note(format!("the new ledger says that {gap} of {landed} landed messages are elsewhere"));
    Ok(())
}

/// How many messages of the gateway the ledger says it will never have.
async fn gap_of_gateway(scene: &Scene) -> anyhow::Result<u64> {
    let books = scene.tidemark(&["status", "--format", "json", "--lake", &scene.lake]).await?;
    let sources: Vec<serde_json::Value> = serde_json::from_str(&books)?;
    let gateway = sources.iter().find(|source| source["source_id"] == "gateway");
    gateway.and_then(|source| source["dropped"].as_u64()).context("no books")
}

/// A lake is lost and comes back from its backup: first in part, which nobody may land on, then as a whole. What landed in between
/// is a gap in the ledger, and everything else is there.
pub(crate) async fn restored(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    let plan = scene.devices("ward", 800.0, 2.0);
    scene.play(&plan)?;
    scene.quiet().await?;
    scene.settled(PATIENCE).await?;
    let (lake, backup) = (scene.folder.join("lake"), scene.folder.join("backup"));
    scene.ingest[0].stop().await?;
    copy(&lake, &backup)?;
    scene.ingest[0].start().await?;
    let before = scene.gateway.books().await?.landed;
    let plan = scene.devices("ward-after-backup", 800.0, 2.0);
    scene.play(&plan)?;
    scene.quiet().await?;
    scene.settled(PATIENCE).await?;
    let lost = scene.gateway.books().await?.landed - before;
    scene.ingest[0].stop().await?;
    let url = scene.lake.clone();
    scene.tidemark(&["check", "--lake", &url]).await?;

    std::fs::remove_dir_all(lake.join("landings"))?;
    copy(&backup.join("landings"), &lake.join("landings"))?;
    ensure!(scene.tidemark(&["check", "--lake", &url]).await.is_err(), "a torn lake is no whole");
    scene.ingest[0].spawn()?;
    until("ingest to refuse a torn lake", PATIENCE, async || Ok(!scene.ingest[0].runs())).await?;
    ensure!(scene.ingest[0].said("not one whole") > 0, "it ended for another reason");
    scene.ingest[0].kill()?;

    std::fs::remove_dir_all(&lake)?;
    copy(&backup, &lake)?;
    scene.ingest[0].start().await?;
    let plan = scene.devices("ward-restored", 800.0, 2.0);
    scene.play(&plan)?;
    scene.quiet().await?;
    scene.recovered().await?;
    scene.tidemark(&["check", "--lake", &url]).await?;
    let gap = gap_of_gateway(scene).await?;
    ensure!(gap == lost, "the ledger misses {gap} messages, {lost} had landed after the backup");
    scene.expect_dropped(gap);
    scene.note(format!("a torn lake was refused; {gap} messages had landed after the backup"));
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The agent's disk is restored from a copy that is older than what has landed: it writes other messages under offsets that
/// the lake has. It must notice, free nothing, and go on in a new epoch.
pub(crate) async fn cloned_spool(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    let quiet_load = |plan| crate::load::Plan { ehr: false, malformed: 0.0, ..plan };
    let plan = quiet_load(scene.devices_behind_agent("clinic", 800.0, 2.0));
    scene.play(&plan)?;
    scene.landed(&scene.agent, 200).await?;
    scene.pass(0.2, 0.6).await;
    // A snapshot of the disk, as of one moment.
    scene.agent.kill()?;
    let (spool, snapshot) = (scene.folder.join("agent-spool"), scene.folder.join("snapshot"));
    copy(&spool, &snapshot)?;
    scene.agent.start().await?;
    scene.quiet().await?;
    let plan = quiet_load(scene.devices_behind_agent("clinic-more", 800.0, 1.5));
    scene.play(&plan)?;
    scene.quiet().await?;
    scene.settled(PATIENCE).await?;
    let before = scene.agent.books().await?;
    scene.agent.kill()?;
    std::fs::remove_dir_all(&spool)?;
    copy(&snapshot, &spool)?;
    // Offline, so that it writes before it learns from the retained receipt.
    let plan = quiet_load(scene.devices_behind_agent("clinic-restored", 800.0, 2.0));
    scene.agent.start().await?;
    scene.play(&plan)?;
    scene.quiet().await?;
    until("the restored spool to take a new epoch", PATIENCE, async || {
        Ok(scene.agent.books().await?.epoch != before.epoch)
    })
    .await?;
    scene.recovered().await?;
    scene.note(format!("new epoch after a restored disk; {} messages had landed", before.landed));
    Ok(())
}
