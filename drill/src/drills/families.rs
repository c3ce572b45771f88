//! Devices of other makers, whose firmware grows, through kills.

use anyhow::ensure;

use super::grow;
use crate::scene::{LOAD_MAX, Scene};

/// Topic rules with one profile each.
fn profiles() -> Vec<toml::Value> {
    let rule = |(profile, filter): &(&str, Option<&str>)| {
        let mut rule = toml::Table::from_iter([("profile".to_owned(), (*profile).into())]);
        rule.extend(filter.map(|filter| ("filter".to_owned(), filter.into())));
        rule.into()
    };
    simulator::families::RULES.iter().map(rule).collect()
}

/// Every family at the gateway and behind the agent, every third message with members that nobody knows; gateway, agent and ingest
/// are killed, and tables grow while they are away.
pub(crate) async fn open_payloads(scene: &mut Scene) -> anyhow::Result<()> {
    grow::declared_first(scene);
    scene.ingest[0].set("ingest", "topics", [grow::rules(), profiles()].concat());
    scene.start().await?;
    let seconds = LOAD_MAX.as_secs_f64();
    for plan in [
        scene.devices("ward", 600.0, seconds),
        scene.devices_behind_agent("clinic", 300.0, seconds),
    ] {
        scene.play(&crate::load::Plan { families: 3, unknown_members: 0.3, ..plan })?;
    }
    scene.under_way().await?;
    grow::publish(scene, 0).await?;
    let mut in_flight = 0;
    for _ in 0..2 {
        scene.pass(0.3, 1.0).await;
        in_flight += scene.pending().await?;
        scene.gateway.kill()?;
        scene.agent.kill()?;
        scene.ingest[0].kill()?;
        scene.pass(0.2, 0.8).await;
        grow::declare(scene);
        scene.gateway.start().await?;
        scene.agent.start().await?;
        // It adds the columns, and is killed somewhere on its way there.
        scene.ingest[0].spawn()?;
        scene.pass(0.0, 0.3).await;
        scene.ingest[0].kill()?;
        scene.ingest[0].start().await?;
        scene.recovered().await?;
    }
    ensure!(in_flight > 0, "nothing was on its way when the processes died");
    let letters = scene.ingest[0].metric("ingest_dead_letters_total").await?;
    grow::after(scene).await?;
    scene.note(format!(
        "12 families, killed twice with {in_flight} messages on their way; {letters} dead letters since the last start"
    ));
    Ok(())
}
