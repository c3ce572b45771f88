//! Devices that mean harm or are owed more than others: payloads that look like records, exchanges over kills, messages nobody can take.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::ensure;
use service_runtime::Stop;
use simulator::seeded::Stream;
use telemetry_core::spool::format::{Format, Key};
use telemetry_core::spool::record::Record;

use crate::rogue_mqtt::{self, Done};
use crate::scene::{PATIENCE, Scene, until};

/// Clients that publish by QoS 2.
const CLIENTS: usize = 4;
/// Bytes of a forger's message.
const FORGED_BYTES: usize = 900_000;

/// The gateway is killed again and again while devices publish by QoS 2 and repeat what was not answered: each message is stored once.
pub(crate) async fn exactly_once(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    let plan = scene.devices_behind_agent("clinic", 200.0, crate::scene::LOAD_MAX.as_secs_f64());
    scene.play(&plan)?;
    let (done, enough, gateway) = (Arc::new(Done::default()), Stop::new(), scene.mqtt);
    for n in 0..CLIENTS {
        let (done, ends) = (done.clone(), (enough.clone(), scene.stop_signal()));
        let name = format!("exact-{n}");
        scene.beside("exact", rogue_mqtt::exactly_once(gateway, name, done, ends));
    }
    let kills = if scene.quick { 4 } else { 10 };
    for _ in 0..kills {
        let before = done.completed.load(Ordering::Relaxed);
        until("exchanges to complete", PATIENCE, async || {
            Ok(done.completed.load(Ordering::Relaxed) > before + 100)
        })
        .await?;
        scene.pass(0.1, 0.4).await;
        scene.gateway.kill()?;
        scene.gateway.start().await?;
    }
    enough.cancel();
    let counts =
        || (done.published.load(Ordering::Relaxed), done.completed.load(Ordering::Relaxed));
    until("every exchange to complete", PATIENCE, async || Ok(counts().0 == counts().1)).await?;
    scene.recovered().await?;
    let books = scene.gateway.books().await?;
    let (published, _) = counts();
    ensure!(
        books.accepted == published && books.dropped == 0,
        "{published} messages were published by QoS 2, {} were stored and {} dropped",
        books.accepted,
        books.dropped
    );
    scene.note(format!("{published} exchanges over {kills} kills, each stored once"));
    Ok(())
}

/// A payload full of well-formed records, of every format there is, under secrets of their own.
fn forged_records() -> Vec<u8> {
    let (mut payload, mut chain, mut offset) = (Vec::new(), 0, 1);
    while payload.len() < FORGED_BYTES {
        let record = Record {
            offset,
            chain,
            received_us: 1_790_000_000_000_000,
            flags: 0,
            publisher: "victim",
            topic: "dt/w/victim/readings",
            attributes: &[],
            payload: br#"{"metric":"steps","value":1}"#,
        };
        let format =
            if offset % 2 == 0 { Format::V1 } else { Format::V2(Key::from_random(offset)) };
        chain = format.encode(&record, &mut payload);
        offset += 1;
    }
    payload
}

/// A device floods the gateway with payloads that are full of records, and the gateway is killed in the middle: not one of them becomes
/// a message.
pub(crate) async fn forged_records_flood(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    let plan = scene.devices_behind_agent("clinic", 200.0, crate::scene::LOAD_MAX.as_secs_f64());
    scene.play(&plan)?;
    let (done, enough) = (Arc::new(Done::default()), Stop::new());
    let flood = rogue_mqtt::flood(
        scene.mqtt,
        "forger".to_owned(),
        forged_records(),
        done.clone(),
        enough.clone(),
    );
    scene.beside("flood", flood);
    let kills = if scene.quick { 3 } else { 8 };
    let mut torn = 0;
    for _ in 0..kills {
        let before = done.published.load(Ordering::Relaxed);
        until("the flood to come in", PATIENCE, async || {
            Ok(done.published.load(Ordering::Relaxed) > before + 40)
        })
        .await?;
        scene.pass(0.02, 0.1).await;
        scene.gateway.kill()?;
        scene.gateway.start().await?;
        torn = scene.gateway.said("cut a torn tail");
    }
    enough.cancel();
    scene.recovered().await?;
    let (books, published) = (scene.gateway.books().await?, done.published.load(Ordering::Relaxed));
    ensure!(
        books.accepted <= published && books.dropped == 0,
        "{published} messages were published, {} are in the books, {} of them dropped",
        books.accepted,
        books.dropped
    );
    scene.note(format!(
        "{} of {published} messages of {FORGED_BYTES} bytes taken, {kills} kills, {torn} torn tails",
        books.accepted
    ));
    Ok(())
}

/// Resources above what the gateway takes, of each sender.
const TOO_LARGE: usize = 2;

/// Writes a folder of resources: good ones, and between them such as nobody can take, read or store.
fn poisoned_files(folder: &Path, random: &mut Stream) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let binary = |id: &str, bytes: usize| {
        let data = "A".repeat(bytes);
        format!(
            r#"{{"resourceType":"Binary","id":"{id}","contentType":"text/plain","data":"{data}"}}"#
        )
    };
    let patient = |id: &str| format!(r#"{{"resourceType":"Patient","id":"{id}","active":true}}"#);
    let mut poison: Vec<Vec<u8>> = vec![
        binary("above", 8_100_000).into_bytes(),
        binary("far-above", 12_000_000).into_bytes(),
        // A large one that fits goes through whole.
        binary("large", 5_000_000).into_bytes(),
        br#"{"resourceType":"Patient","id":"cut"#.to_vec(),
        b"{\"resourceType\":\"Patient\",\"id\":\"\xff\xfe\"}".to_vec(),
        [vec![b'['; 100_000], vec![b']'; 100_000]].concat(),
        br#"{"resourceType":"Observation","id":"huge","valueQuantity":{"value":1e999}}"#.to_vec(),
        patient(&"x".repeat(3_000_000)).into_bytes(),
        patient("\\u0000").into_bytes(),
        br#""just a text""#.to_vec(),
        b" ".to_vec(),
    ];
    let mut number = 0;
    while !poison.is_empty() {
        let bytes = if random.chance(0.3) {
            let at = usize::try_from(random.below(poison.len() as u64))?;
            poison.swap_remove(at)
        } else {
            patient(&format!("p-{number}")).into_bytes()
        };
        std::fs::write(folder.join(format!("{number:04}.json")), bytes)?;
        number += 1;
    }
    Ok(())
}

/// Senders of both MQTT versions meet messages that the gateway cannot take, ingest cannot read and a table cannot hold: each is set
/// aside by name, and everything behind it lands.
pub(crate) async fn poison(scene: &mut Scene) -> anyhow::Result<()> {
    let files = scene.folder.join("poisoned");
    poisoned_files(&files, &mut scene.random)?;
    scene.start().await?;
    for (name, mqtt) in [("ward", "5"), ("theatre", "3.1.1")] {
        let mut plan = scene.devices(name, 200.0, 5.0);
        (plan.mqtt, plan.fhir) = (mqtt, Some(files.clone()));
        scene.play(&plan)?;
    }
    let plan = scene.devices_behind_agent("clinic", 200.0, 5.0);
    scene.play(&plan)?;
    let summaries = scene.quiet().await?;
    // The agent refuses what is malformed on purpose, too.
    let aside: Vec<usize> = summaries.iter().map(|summary| summary.set_aside.len()).collect();
    ensure!(
        aside == [TOO_LARGE, TOO_LARGE, 0],
        "{aside:?} messages were set aside, not {TOO_LARGE} of each sender of the poisoned files"
    );
    scene.recovered().await?;
    let told = scene.gateway.said("8000000");
    ensure!(told > 0, "the gateway's log does not say what was too large, and what is allowed");
    let dead = scene.ingest[0].metric("ingest_dead_letters_total").await?;
    ensure!(dead > 0, "not one of the unreadable messages became a dead letter");
    scene.note(format!("{} set aside by their senders, {dead} dead letters", 2 * TOO_LARGE));
    Ok(())
}
