//! Several ingest workers: zombies, lanes that move, and a worker that slept through a clean-up.

use anyhow::ensure;

use crate::scene::Scene;

/// A worker is paused in the middle of its work, another one takes its lanes, then the first wakes up and goes on.
pub(crate) async fn zombie(scene: &mut Scene) -> anyhow::Result<()> {
    let other = scene.add_ingest("ingest-b")?;
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    for _ in 0..2 {
        scene.pass(0.2, 0.6).await;
        scene.ingest[0].pause()?;
        if !scene.ingest[other].runs() {
            scene.ingest[other].start().await?;
        }
        scene.recovered().await?;
        scene.pass(0.2, 0.5).await;
        scene.ingest[0].resume()?;
        // Now both believe that the lanes are theirs.
        scene.pass(0.5, 1.0).await;
    }
    let lost =
        scene.ingest[0].said("a landing was lost") + scene.ingest[other].said("a landing was lost");
    scene.ingest[0].stop().await?;
    scene.recovered().await?;
    scene.note(format!("two workers on all lanes; {lost} landings lost to the other one"));
    Ok(())
}

/// Two workers share the lanes and swap them under load, one restart after the other.
pub(crate) async fn lane_handover(scene: &mut Scene) -> anyhow::Result<()> {
    let other = scene.add_ingest("ingest-b")?;
    let parts = scene.split_lanes();
    for (worker, part) in scene.ingest.iter_mut().zip(&parts) {
        worker.set("ingest", "lanes", part.clone());
    }
    scene.start().await?;
    scene.ingest[other].start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    for round in 0..2 {
        for worker in [0, other] {
            let part = parts[(worker + round + 1) % 2].clone();
            scene.ingest[worker].set("ingest", "lanes", part);
            // The new owner of its lanes may start before or after it ends.
            scene.ingest[worker].stop().await?;
            scene.ingest[worker].start().await?;
            scene.pass(0.1, 0.4).await;
        }
        scene.recovered().await?;
    }
    scene.note("two workers swapped their lanes twice");
    Ok(())
}

/// While a worker has nothing to do, another one fills the tables, and maintenance removes the log entries that the first
/// one knew. Then the first one must go on.
pub(crate) async fn idle_cleanup(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start_with_two_workers().await?;
    let first = scene.devices("ward", 800.0, 1.0);
    scene.play(&first)?;
    scene.quiet().await?;
    scene.settled(crate::scene::PATIENCE).await?;
    // Now the first worker idles, and the other one commits.
    let busy = scene.devices_behind_agent("clinic", 400.0, 4.0);
    scene.play(&busy)?;
    scene.quiet().await?;
    scene.settled(crate::scene::PATIENCE).await?;
    let removed = maintain(scene).await?;
    ensure!(removed > 0, "there was nothing to clean up");
    let again = scene.devices("ward-again", 800.0, 1.5);
    scene.play(&again)?;
    scene.quiet().await?;
    scene.recovered().await?;
    scene.note(format!("{removed} log entries removed behind the back of an idle worker"));
    Ok(())
}

/// Merges and checkpoints every table and removes the log entries below, as if eight days had passed. Returns how many.
pub(crate) async fn maintain(scene: &mut Scene) -> anyhow::Result<u64> {
    // A worker that lives today must not lose what it has just written.
    maintain_later(scene, 8, "30").await
}

/// As [`maintain`], eight days later still, when nobody writes: what was merged then is swept.
pub(crate) async fn sweep(scene: &mut Scene) -> anyhow::Result<u64> {
    maintain_later(scene, 16, "7").await
}

async fn maintain_later(scene: &mut Scene, days: u64, keep: &str) -> anyhow::Result<u64> {
    let lake = scene.lake.clone();
    let before = scene.environment.clone();
    let jump = format!("0:{}", days * 24 * 3600);
    scene.environment.push(("TIDEMARK_CLOCK__JUMPS".to_owned(), jump));
    let arguments = ["--commits", "3", "--keep-days", keep, "--format", "json"];
    let said = scene.tidemark(&[&["maintain", "--lake", &lake][..], &arguments].concat()).await;
    scene.environment = before;
    let report: serde_json::Value = serde_json::from_str(&said?)?;
    let tables = report["tables"].as_array().into_iter().flatten();
    Ok(tables.filter_map(|table| table["log_entries"].as_u64()).sum())
}
