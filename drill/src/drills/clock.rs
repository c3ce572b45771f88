//! Clocks that jump.

use crate::scene::Scene;

/// The clocks of gateway, agent and ingest jump by a day, forwards and backwards, each at its own time.
pub(crate) async fn jump(scene: &mut Scene) -> anyhow::Result<()> {
    const DAY: i64 = 86_400;
    let mut jumps = Vec::new();
    for _ in 0..3 {
        let first = 2 + scene.random.below(2);
        let second = first + 1 + scene.random.below(2);
        let sign = scene.random.pick(&[1, -1]);
        jumps.push(format!("{first}:{},{second}:{}", sign * DAY, -2 * sign * DAY));
    }
    let services = [&mut scene.gateway, &mut scene.agent, &mut scene.ingest[0]];
    for (service, jumps) in services.into_iter().zip(&jumps) {
        service.environment.push(("TIDEMARK_CLOCK__JUMPS".to_owned(), jumps.clone()));
    }
    scene.start().await?;
    scene.play_both()?;
    scene.under_way().await?;
    scene.pass(3.5, 4.5).await;
    scene.recovered().await?;
    let [gateway, agent, ingest] = &jumps[..] else { return Ok(()) };
    scene.note(format!("seconds:jump of gateway {gateway}, agent {agent}, ingest {ingest}"));
    Ok(())
}
