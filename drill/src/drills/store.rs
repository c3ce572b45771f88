//! Object stores that are away, lie, or are slow, behind a real S3 server.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use s3_server::{Creation, S3Server};
use simulator::faults::s3::{S3Faults, S3Proxy, StoreTrouble};

use crate::scene::{Scene, until};

/// Bucket of the server that a drill starts itself.
const BUCKET: &str = "drill";
const ENDPOINT: &str = "AWS_ENDPOINT_URL";

/// Puts the lake on an S3 server of the drill's own, unless `--lake` names one.
pub(crate) async fn on_server(scene: &mut Scene) -> anyhow::Result<()> {
    if scene.lake.starts_with("s3://") {
        return Ok(());
    }
    let root = scene.folder.join("s3");
    let server = S3Server::bind(([127, 0, 0, 1], 0).into(), &root, BUCKET, Creation::Atomic);
    let server = server.await?;
    scene.environment = server.environment().map(|(name, value)| (name.to_owned(), value)).to_vec();
    for worker in &mut scene.ingest {
        worker.environment.extend(scene.environment.iter().cloned());
    }
    scene.on_lake(&format!("s3://{BUCKET}/lake"));
    let stop = scene.stop_signal();
    scene.beside("s3 server", async move { Ok(server.run(stop).await?) });
    Ok(())
}

/// Puts a misbehaving proxy between ingest and the store.
pub(super) async fn before_store(scene: &mut Scene) -> anyhow::Result<S3Faults> {
    on_server(scene).await?;
    let upstream = endpoint(scene).await?;
    let proxy = S3Proxy::bind(upstream, scene.random.bits()).await?;
    let (faults, stop) = (proxy.faults(), scene.stop_signal());
    scene.beside("s3 proxy", async move { Ok(proxy.run(stop).await?) });
    let proxied = [
        (ENDPOINT.to_owned(), format!("http://{}", faults.address())),
        ("AWS_ALLOW_HTTP".to_owned(), "true".to_owned()),
    ];
    for worker in &mut scene.ingest {
        worker.environment.retain(|(name, _)| name != ENDPOINT);
        worker.environment.extend(proxied.clone());
    }
    Ok(faults)
}

/// The address of the store, which the proxy stands before.
async fn endpoint(scene: &Scene) -> anyhow::Result<SocketAddr> {
    let own = scene.environment.iter().find(|(name, _)| name == ENDPOINT);
    let url = match own {
        Some((_, url)) => url.clone(),
        None => {
            std::env::vars().find(|(name, _)| name == ENDPOINT).map_or_else(String::new, |v| v.1)
        }
    };
    let parsed: url::Url = url.parse().with_context(|| {
        format!("{ENDPOINT} must be the http:// address of the store, for a proxy to stand before it: it is `{url}`")
    })?;
    ensure!(parsed.scheme() == "http", "{ENDPOINT} is {url}: store drills need plain http");
    let host = parsed.host_str().with_context(|| format!("{url} names no host"))?.to_owned();
    let port = parsed.port_or_known_default().unwrap_or(80);
    let mut found = tokio::net::lookup_host((host, port)).await?;
    found.next().with_context(|| format!("{url} has no address"))
}

/// The store goes away, is too busy, takes no writes, is full, and comes back each time.
pub(crate) async fn down(scene: &mut Scene) -> anyhow::Result<()> {
    let store = before_store(scene).await?;
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    let troubles =
        [StoreTrouble::Down, StoreTrouble::Busy, StoreTrouble::ReadOnly, StoreTrouble::Full];
    for trouble in troubles {
        let before = store.counts().troubled.get();
        store.set(trouble);
        until("the store to be needed", Duration::from_secs(10), async || {
            Ok(store.counts().troubled.get() > before)
        })
        .await?;
        scene.pass(0.8, 1.6).await;
        store.set(StoreTrouble::None);
        scene.recovered().await?;
    }
    scene.note(format!("{} requests failed", store.counts().troubled.get()));
    Ok(())
}

/// The store says that a write failed which it did, says nothing, fails before it writes, and lists late.
pub(crate) async fn lies(scene: &mut Scene) -> anyhow::Result<()> {
    let store = before_store(scene).await?;
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    let share = 20 + u8::try_from(scene.random.below(30))?;
    let troubles = [
        StoreTrouble::FailAfter(share),
        StoreTrouble::LoseAnswer(share),
        StoreTrouble::FailBefore(share),
        StoreTrouble::ListLate(Duration::from_secs(3)),
    ];
    for trouble in troubles {
        store.set(trouble);
        scene.pass(1.2, 2.0).await;
        if matches!(trouble, StoreTrouble::ListLate(_)) {
            // Listings matter when a worker begins: it must not begin on what it is shown.
            scene.ingest[0].kill()?;
            scene.ingest[0].spawn()?;
            scene.pass(0.5, 1.0).await;
        }
    }
    store.set(StoreTrouble::None);
    scene.recovered().await?;
    let lies = store.counts().troubled.get();
    ensure!(lies > 0, "the store never had to lie");
    scene.note(format!("{lies} answers were wrong, at {share} % of the writes"));
    Ok(())
}

/// A landing is under way so long, by the clock, that it is too old to be decided: it starts over.
pub(crate) async fn slow_landing(scene: &mut Scene) -> anyhow::Result<()> {
    let store = before_store(scene).await?;
    // Two hours pass every second: one of them while the files of a landing are being written.
    let jumps: Vec<String> = (3..12).map(|second| format!("{second}:7200")).collect();
    let jumps = ("TIDEMARK_CLOCK__JUMPS".to_owned(), jumps.join(","));
    scene.ingest[0].environment.push(jumps);
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    store.set(StoreTrouble::Slow(Duration::from_millis(700)));
    until("the deadline to pass a landing", Duration::from_secs(30), async || {
        Ok(scene.ingest[0].said("a landing was lost") > 0)
    })
    .await?;
    store.set(StoreTrouble::None);
    scene.recovered().await?;
    let lost = scene.ingest[0].said("a landing was lost");
    scene.note(format!("{lost} landings were too old to be decided and started over"));
    Ok(())
}
