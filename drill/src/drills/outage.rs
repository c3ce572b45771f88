//! A backlog of millions behind an agent, and live data beside it.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::load::Plan;
use crate::scene::{Scene, until};

/// Messages of the backlog.
const BACKLOG: u64 = 2_000_000;
/// Most memory of the agent's own while it drains.
const MEMORY_MAX_KB: u64 = 40 << 10;
/// Live data must be readable this soon, backlog or not.
const LIVE_MAX_MS: f64 = 10_000.0;
/// How long backlog and drain may take.
const LONG: Duration = Duration::from_secs(600);

/// The gateway is away until the agent holds the backlog; then it drains beside live devices at the gateway.
pub(crate) async fn long(scene: &mut Scene) -> anyhow::Result<()> {
    let messages = if scene.quick { BACKLOG / 20 } else { BACKLOG };
    scene.agent.set("agent", "drain_seconds", 1);
    let mut spool = toml::Table::new();
    spool.insert("dir".to_owned(), scene.folder.join("agent-spool").display().to_string().into());
    scene.agent.set("agent", "spool", spool);
    scene.agent.start().await?;
    let mut plan = scene.devices_behind_agent("clinic", 0.0, 0.0);
    plan = Plan { rate: None, seconds: None, messages: Some(messages), inflight: 1024, ..plan };
    plan.connections = 2;
    scene.play(&plan)?;
    let backlog = &mut scene.loads[0];
    let fill = backlog.finished(LONG).await?;
    let held = scene.agent.books().await?;
    ensure!(held.pending >= messages, "only {} messages are held", held.pending);
    let idle = scene.agent.memory_kb();
    scene.gateway.start().await?;
    scene.ingest[0].start().await?;
    let mut live = scene.devices("ward", 500.0, if scene.quick { 3.0 } else { 8.0 });
    (live.receipts, live.mqtt) = (true, "5");
    scene.play(&live)?;
    let started = scene.clock.uptime();
    let mut most = idle.unwrap_or(0);
    until("the backlog to land", LONG, async || {
        most = most.max(scene.agent.memory_kb().unwrap_or(0));
        Ok(scene.agent.books().await?.pending == 0)
    })
    .await?;
    let seconds = (scene.clock.uptime() - started).as_secs_f64();
    scene.recovered_within(LONG).await?;
    let live = scene.loads.last_mut().context("the live load")?.finished(LONG).await?;
    let late = live.publish_to_receipt.p99_ms;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = messages as f64 / seconds;
    scene.note(format!(
        "{messages} messages stored at {:.0}/s, drained at {rate:.0}/s in {seconds:.1} s; agent {most} kB at \
         most; live data readable after {late:.0} ms (p99)",
        fill.published as f64 / fill.seconds
    ));
    ensure!(most == 0 || most < MEMORY_MAX_KB, "the agent grew to {most} kB");
    ensure!(late < LIVE_MAX_MS, "live data waited {late:.0} ms behind the backlog");
    Ok(())
}
