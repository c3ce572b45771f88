//! Spools on disks that are full, torn, or rotten.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::scene::{PATIENCE, Scene, until};

/// Bytes of the small file system, and of the quota: two segments and a little.
const SMALL: u64 = 4 << 20;

/// Bytes of a segment with some dozen records in it.
const MUCH: u64 = 16 << 10;

/// Whether this machine lets us mount a small file system of our own.
fn can_mount() -> bool {
    let try_it = Command::new("unshare")
        .args(["-Urm", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs /mnt"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    try_it.is_ok_and(|status| status.success())
}

/// The gateway's disk and the agent's quota fill up while ingest is away; both refuse what they cannot keep, and go on
/// when there is room.
pub(crate) async fn full(scene: &mut Scene) -> anyhow::Result<()> {
    let spool = |dir: PathBuf, most: u64| {
        toml::Table::from_iter([
            ("dir".to_owned(), dir.display().to_string().into()),
            ("segment_bytes".to_owned(), (128 << 10).into()),
            ("bytes_max".to_owned(), i64::try_from(most).unwrap_or(i64::MAX).into()),
        ])
    };
    scene.agent.set("agent", "spool", spool(scene.folder.join("agent-spool"), SMALL / 2));
    let mounted = can_mount();
    if mounted {
        let disk = scene.folder.join("small-disk");
        std::fs::create_dir_all(&disk)?;
        let script = format!("mount -t tmpfs -o size={SMALL} tmpfs \"$0\" && exec \"$@\"");
        let words = ["unshare", "-Urm", "--", "sh", "-c", &script];
        let mut wrapper: Vec<String> = words.map(str::to_owned).to_vec();
        wrapper.push(disk.display().to_string());
        scene.gateway.wrapper = Some(wrapper);
        scene.gateway.set("gateway", "spool", spool(disk.join("spool"), 1 << 30));
    } else {
        let dir = scene.folder.join("gateway-spool");
        scene.gateway.set("gateway", "spool", spool(dir, SMALL / 2));
    }
    scene.start().await?;
    scene.ingest[0].stop().await?;
    for (name, version) in [("ward", "5"), ("theatre", "3.1.1")] {
        let mut plan = scene.devices(name, 3000.0, 6.0);
        plan.mqtt = version;
        scene.play(&plan)?;
    }
    let plan = scene.devices_behind_agent("clinic", 3000.0, 6.0);
    scene.play(&plan)?;
    for source in [&scene.gateway, &scene.agent] {
        let metric = format!("{}_messages_refused_total", source.name);
        until("the disk to be full", PATIENCE, async || Ok(source.metric(&metric).await? > 0))
            .await?;
    }
    scene.pass(0.3, 0.8).await;
    let held: u64 = scene.books().await?.iter().map(|books| books.accepted).sum();
    scene.ingest[0].start().await?;
    scene.recovered().await?;
    let deferred: u64 = scene.quiet().await?.iter().map(|summary| summary.deferred).sum();
    let disk = if mounted { "a file system of 4 MiB" } else { "a quota (no mounts here)" };
    scene.note(format!("{disk} full at {held} messages; {deferred} turned away and sent again"));
    Ok(())
}

/// The newest segment of a spool, and the epoch's folder it is in.
fn segments(spool: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(spool)? {
        let folder = folder?.path();
        if !folder.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(&folder)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "seg") {
                found.push(path);
            }
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "{} has no segment", spool.display());
    Ok(found)
}

/// The last record of both spools is torn, as after a power cut: half of it is there.
pub(crate) async fn torn(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    scene.ingest[0].kill()?;
    scene.pass(0.4, 0.9).await;
    scene.gateway.kill()?;
    scene.agent.kill()?;
    let mut torn = 0;
    for spool in ["gateway-spool", "agent-spool"] {
        let newest = segments(&scene.folder.join(spool))?.pop().context("a segment")?;
        let mut bytes = Vec::new();
        std::fs::File::open(&newest)?.read_to_end(&mut bytes)?;
        // A piece of a record that was there before: it looks right until its end is missing.
        let half = 20 + usize::try_from(scene.random.below(60))?;
        let from = bytes.len().saturating_sub(half + 7);
        let piece = bytes.get(from..from + half).unwrap_or_default().to_vec();
        OpenOptions::new().append(true).open(&newest)?.write_all(&piece)?;
        torn += piece.len();
    }
    for service in [&mut scene.gateway, &mut scene.agent] {
        service.start().await?;
    }
    scene.ingest[0].start().await?;
    scene.recovered().await?;
    scene.note(format!("{torn} bytes of torn records at the ends of two spools"));
    Ok(())
}

/// A bit flips in a record that has not landed: the record becomes a gap that the ledger knows, the rest lands.
pub(crate) async fn rot(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    let plan = scene.devices("ward", 1500.0, 8.0);
    scene.play(&plan)?;
    scene.landed(&scene.gateway, 200).await?;
    scene.ingest[0].kill()?;
    let accepted = scene.gateway.books().await?.accepted;
    until("more messages to be stored", PATIENCE, async || {
        Ok(scene.gateway.books().await?.accepted > accepted + 2000)
    })
    .await?;
    scene.gateway.kill()?;
    // Far behind what has landed, and before the end, which recovery may cut: not in a segment that was only just begun.
    let mut lengths = Vec::new();
    for path in segments(&scene.folder.join("gateway-spool"))? {
        let length = std::fs::metadata(&path)?.len();
        lengths.push((path, length));
    }
    let long = lengths.into_iter().rfind(|(_, length)| *length > MUCH);
    let (newest, length) = long.context("no segment has much in it")?;
    let at = length / 2 + scene.random.below(length / 8);
    let mut file = OpenOptions::new().read(true).write(true).open(&newest)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut byte)?;
    byte[0] ^= 1 << scene.random.below(8);
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&byte)?;
    scene.gateway.start().await?;
    scene.ingest[0].start().await?;
    scene.recovered().await?;
    scene.quiet().await?;
    scene.settled(PATIENCE).await?;
    let dropped = scene.gateway.books().await?.dropped;
    ensure!(dropped > 0, "the flipped bit was not noticed");
    ensure!(dropped <= 2, "one bit cost {dropped} messages");
    scene.expect_dropped(dropped);
    scene.note(format!(
        "bit flipped at byte {at} of {length}; {dropped} message is a gap in the ledger"
    ));
    Ok(())
}
