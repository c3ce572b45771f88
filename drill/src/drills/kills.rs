//! Processes that die, or are restarted in turn, under load.

use anyhow::ensure;

use crate::scene::Scene;

/// Who is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Gateway,
    Ingest,
    Agent,
}

async fn kill(scene: &mut Scene, victims: &[Victim]) -> anyhow::Result<()> {
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    let mut in_flight = 0;
    for _ in 0..2 {
        scene.pass(0.3, 1.0).await;
        in_flight += scene.pending().await?;
        for victim in victims {
            match victim {
                Victim::Gateway => scene.gateway.kill()?,
                Victim::Ingest => scene.ingest[0].kill()?,
                Victim::Agent => scene.agent.kill()?,
            }
        }
        scene.pass(0.2, 0.8).await;
        for victim in victims {
            match victim {
                Victim::Gateway => scene.gateway.start().await?,
                Victim::Ingest => scene.ingest[0].start().await?,
                Victim::Agent => scene.agent.start().await?,
            }
        }
        scene.recovered().await?;
    }
    ensure!(in_flight > 0, "nothing was on its way when the processes died");
    scene.note(format!("killed twice with {in_flight} messages on their way"));
    Ok(())
}

pub(crate) async fn gateway(scene: &mut Scene) -> anyhow::Result<()> {
    kill(scene, &[Victim::Gateway]).await
}

pub(crate) async fn ingest(scene: &mut Scene) -> anyhow::Result<()> {
    kill(scene, &[Victim::Ingest]).await
}

pub(crate) async fn agent(scene: &mut Scene) -> anyhow::Result<()> {
    kill(scene, &[Victim::Agent]).await
}

pub(crate) async fn all(scene: &mut Scene) -> anyhow::Result<()> {
    kill(scene, &[Victim::Gateway, Victim::Ingest, Victim::Agent]).await
}

/// Every service is stopped and started as in an update, one after the other, while devices play.
pub(crate) async fn rolling_restart(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    // One that cannot drain while the others are away says so and keeps its messages.
    for service in [&mut scene.gateway, &mut scene.agent] {
        let section = if service.name == "agent" { "agent" } else { "gateway" };
        service.set(section, "drain_seconds", 1);
    }
    scene.ingest[0].stop().await?;
    scene.ingest[0].start().await?;
    scene.gateway.stop().await?;
    scene.gateway.start().await?;
    scene.recovered().await?;
    scene.agent.stop().await?;
    scene.agent.start().await?;
    scene.recovered().await?;
    let playing = scene.loads.iter_mut().map(|load| usize::from(load.plays())).sum::<usize>();
    scene.note(format!("three services restarted, {playing} of 2 loads still playing"));
    Ok(())
}

/// Devices lose their connections all the time, never see many of their acknowledgements, and send again.
pub(crate) async fn resend_storm(scene: &mut Scene) -> anyhow::Result<()> {
    scene.start().await?;
    let mut plan = scene.devices("ward", 1500.0, 5.0);
    (plan.disconnect_every, plan.duplicates, plan.connections) = (60, 0.2, 40);
    scene.play(&plan)?;
    let summaries = scene.quiet().await?;
    scene.recovered().await?;
    let (resent, cuts) = summaries.iter().fold((0, 0), |(r, c), s| (r + s.resent, c + s.cuts));
    ensure!(resent > 0 && cuts > 0, "no device had to send anything again");
    scene.note(format!("{cuts} connections cut, {resent} messages sent again"));
    Ok(())
}
