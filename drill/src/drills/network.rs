//! Networks that are cut, slow, or flip bits, between devices, agent, gateway and ingest.

use anyhow::ensure;
use simulator::faults::tcp::{TcpFaults, Trouble};

use crate::scene::{LOAD_MAX, PATIENCE, Scene, until};

/// Bits that flip in one drill.
const FLIPS: u64 = 6;

/// Misbehaving networks from devices, agent and ingest to the gateway.
struct Networks {
    devices: TcpFaults,
    agent: TcpFaults,
    ingest: TcpFaults,
}

impl Networks {
    async fn before_gateway(scene: &mut Scene) -> anyhow::Result<Self> {
        let networks = Self {
            devices: scene.proxy(scene.mqtt).await?,
            agent: scene.proxy(scene.mqtt).await?,
            ingest: scene.proxy(scene.mqtt).await?,
        };
        let agent = toml::Table::from_iter([
            ("port".to_owned(), i64::from(networks.agent.address().port()).into()),
            ("keep_alive_s".to_owned(), 5.into()),
        ]);
        scene.agent.set("agent", "gateway", agent);
        let ingest = networks.ingest.address().to_string();
        scene.ingest[0].set("ingest", "broker", ingest);
        Ok(networks)
    }

    fn all(&self) -> [&TcpFaults; 3] {
        [&self.devices, &self.agent, &self.ingest]
    }

    fn set(&self, trouble: Trouble) {
        for network in self.all() {
            network.set(trouble);
        }
    }

    async fn play(&self, scene: &mut Scene) -> anyhow::Result<()> {
        let mut plan = scene.devices("ward", 800.0, LOAD_MAX.as_secs_f64());
        plan.gateway = self.devices.address().to_string();
        scene.play(&plan)?;
        let plan = scene.devices_behind_agent("clinic", 400.0, LOAD_MAX.as_secs_f64());
        scene.play(&plan)
    }
}

/// All networks are cut, go silent, and answer nothing, one after the other.
pub(crate) async fn cut(scene: &mut Scene) -> anyhow::Result<()> {
    let networks = Networks::before_gateway(scene).await?;
    scene.start().await?;
    networks.play(scene).await?;
    scene.under_way().await?;
    for trouble in [Trouble::Cut, Trouble::HalfOpen, Trouble::Mute] {
        networks.set(trouble);
        scene.pass(0.7, 1.5).await;
        networks.set(Trouble::None);
        scene.recovered().await?;
    }
    let cut: u64 = networks.all().iter().map(|network| network.counts().cut.get()).sum();
    ensure!(cut > 0, "no connection was cut");
    scene.note(format!("{cut} connections cut"));
    Ok(())
}

/// Bytes come late, then few at a time.
pub(crate) async fn slow(scene: &mut Scene) -> anyhow::Result<()> {
    let networks = Networks::before_gateway(scene).await?;
    scene.start().await?;
    networks.play(scene).await?;
    scene.under_way().await?;
    let delay = scene.seconds(0.05, 0.25);
    let rate = 60_000 + u32::try_from(scene.random.below(100_000))?;
    networks.set(Trouble::Delay(delay));
    scene.pass(1.5, 2.0).await;
    networks.set(Trouble::Throttle(rate));
    scene.pass(1.5, 2.0).await;
    let behind = scene.pending().await?;
    networks.set(Trouble::None);
    scene.recovered().await?;
    scene.note(format!(
        "{} ms late, then {} kB/s; {behind} messages behind",
        delay.as_millis(),
        rate / 1000
    ));
    Ok(())
}

/// Bits flip between agent, gateway and ingest, where frames and receipts have checksums. (What a device sends in plain
/// MQTT has none: there TLS is the remedy.)
pub(crate) async fn corrupt(scene: &mut Scene) -> anyhow::Result<()> {
    let networks = Networks::before_gateway(scene).await?;
    scene.start().await?;
    networks.play(scene).await?;
    scene.under_way().await?;
    let every = 4_000 + u32::try_from(scene.random.below(4_000))?;
    networks.agent.set(Trouble::Corrupt(every));
    networks.ingest.set(Trouble::Corrupt(every));
    let flipped =
        || networks.all().iter().map(|network| network.counts().flipped.get()).sum::<u64>();
    until("bits to flip", PATIENCE, async || Ok(flipped() >= FLIPS)).await?;
    // A length that was misread leaves a connection waiting for bytes that never come; keep-alives must find it.
    networks.set(Trouble::None);
    scene.recovered().await?;
    scene.note(format!("{} bits flipped", flipped()));
    Ok(())
}
