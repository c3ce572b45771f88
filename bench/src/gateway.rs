//! `bench gateway`: the gateway alone against Debian's mosquitto, with the same load generator in the same run. Ours syncs every message
//! to disk before its PUBACK; mosquitto stores nothing.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;
use service_runtime::Clock;
use tokio::task::JoinSet;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::load::{self, DEVICES, Load, Tls};
use crate::processes::Part;
use crate::{Format, GatewayOptions, mosquitto};

/// How long a broker has to give back what it needed for many.
const AFTER_THE_CROWD: Duration = Duration::from_secs(15);

/// One line of the table.
#[derive(Debug, Serialize)]
struct Line {
    what: String,
    unit: &'static str,
    ours: f64,
    mosquitto: f64,
}

/// The lines so far.
#[derive(Default)]
struct Lines(Vec<Line>);

impl Lines {
    /// Adds a line and says so: a run takes minutes.
    fn push(&mut self, line: Line) {
        // Standard error may be closed: there is nobody left to tell.
        drop(writeln!(std::io::stderr(), "measured: {}", line.what));
        self.0.push(line);
    }
}

/// A broker under test.
struct Broker {
    part: Part,
    address: SocketAddr,
}

/// A certificate for both brokers, and how the load trusts it.
struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    tls: Tls,
}

impl Certificate {
    fn make(folder: &Path) -> anyhow::Result<Self> {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        std::fs::write(&cert, made.cert.pem())?;
        std::fs::write(&key, made.signing_key.serialize_pem())?;
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config =
            ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let config = config.with_root_certificates(roots).with_no_client_auth();
        let tls = Tls { connector: Arc::new(config).into(), server_name: "localhost".try_into()? };
        Ok(Self { cert, key, tls })
    }
}

impl Broker {
    async fn ours(folder: &Path, tls: Option<&Certificate>) -> anyhow::Result<Self> {
        Self::ours_with(folder, tls, "").await
    }

    /// `settings`: further lines of `[gateway.limits]`.
    async fn ours_with(
        folder: &Path,
        tls: Option<&Certificate>,
        settings: &str,
    ) -> anyhow::Result<Self> {
        let free = || -> anyhow::Result<SocketAddr> {
            Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
        };
        let (mut address, admin) = (free()?, free()?);
        let spool = tempfile::tempdir_in(folder)?.keep();
        let config = folder.join(format!("gateway-{}.toml", address.port()));
        let mut text = format!(
            "[log]\nlevel = \"warn\"\n[gateway]\nlisten = \"{address}\"\nadmin_listen = \"{admin}\"\ndrain_seconds = 0\nspool = {{ dir = {spool:?} }}\n"
        );
        // As mosquitto: nothing is dropped for a subscriber that is slower than the publishers.
        text += &format!(
            "[gateway.limits]\nqueue_messages_max = 10000000\nqueue_bytes_max = 4000000000\nqueues_bytes_max = 8000000000\n{settings}\n"
        );
        if let Some(Certificate { cert, key, .. }) = tls {
            address = free()?;
            text += &format!(
                "[gateway.tls]\ncert_file = {cert:?}\nkey_file = {key:?}\n[[gateway.listeners]]\nlisten = \"{address}\"\ntransport = \"tls\"\n"
            );
        }
        std::fs::write(&config, text)?;
        let mut part = Part::start_self("gateway", "gateway", folder, &config)?;
        part.until(
            "listening",
            || async move { tokio::net::TcpStream::connect(address).await.is_ok() },
        )
        .await?;
        Ok(Self { part, address })
    }

    async fn mosquitto(folder: &Path, tls: Option<&Certificate>) -> anyhow::Result<Self> {
        let tls = tls.map(|made| (made.cert.as_path(), made.key.as_path()));
        let (part, address) = mosquitto::start(folder, tls).await?;
        Ok(Self { part, address })
    }

    /// A fresh broker of each kind, one after the other, so that they do not take each other's cores.
    async fn each<F: Future<Output = anyhow::Result<f64>>>(
        folder: &Path,
        tls: Option<&Certificate>,
        measure: impl Fn(SocketAddr) -> F,
    ) -> anyhow::Result<[f64; 2]> {
        let ours = Self::ours(folder, tls).await?;
        let first = measure(ours.address).await?;
        ours.part.stop().await?;
        let peer = Self::mosquitto(folder, tls).await?;
        let second = measure(peer.address).await?;
        peer.part.stop().await?;
        Ok([first, second])
    }
}

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// Messages a second from 1, 50 and 1,000 connections.
    FanIn,
    /// The same from 50, by TLS.
    Tls,
    /// How long a PUBACK takes.
    Latency,
    /// Deliveries a second from one to many and from many to one.
    FanOut,
    /// How long a PUBACK takes beside a client that floods.
    Flood,
    /// Memory of idle connections.
    Idle,
    /// Memory of connections that have published, and what stays of it.
    Crowd,
}

/// Runs all measurements, or those that are asked for, and prints them.
pub(crate) async fn run(options: GatewayOptions) -> anyhow::Result<()> {
    let (clock, folder) = (Clock::default(), tempfile::tempdir()?);
    let (path, scale) = (folder.path(), if options.quick { 10 } else { 1 });
    let mut lines = Lines::default();
    for what in What::value_variants() {
        if !options.only.is_empty() && !options.only.contains(what) {
            continue;
        }
        match what {
            What::FanIn => fan_ins(path, scale, clock, &mut lines).await?,
            What::Tls => lines.push(by_tls(path, scale, clock).await?),
            What::Latency => latency(path, scale, clock, &mut lines).await?,
            What::FanOut => fan_outs(path, scale, clock, &mut lines).await?,
            What::Flood => lines.push(beside_a_flood(path, clock).await?),
            What::Idle => lines.push(idle(path, 5000 / usize::try_from(scale)?).await?),
            What::Crowd => {
                crowd(path, 9000 / scale, clock)
                    .await?
                    .into_iter()
                    .for_each(|line| lines.push(line));
            }
        }
    }
    print(&lines.0, options.format)
}

async fn fan_ins(folder: &Path, scale: u64, clock: Clock, lines: &mut Lines) -> anyhow::Result<()> {
    for (connections, bytes, messages) in [
        (1, 100, 200_000),
        (50, 100, 600_000),
        (1000, 100, 600_000),
        (1, 16 << 10, 10_000),
        (50, 16 << 10, 30_000),
        (1000, 16 << 10, 30_000),
    ] {
        let load = fan_in(connections, bytes, messages / scale);
        let [ours, peer] =
            Broker::each(folder, None, |address| rate(&load, address, clock)).await?;
        let what = format!("fan-in QoS 1, {connections} connections, {bytes} bytes");
        lines.push(Line { what, unit: "messages/s", ours, mosquitto: peer });
    }
    Ok(())
}

async fn by_tls(folder: &Path, scale: u64, clock: Clock) -> anyhow::Result<Line> {
    let certificate = Certificate::make(folder)?;
    let load = Load { tls: Some(certificate.tls.clone()), ..fan_in(50, 100, 600_000 / scale) };
    let measure = |address| rate(&load, address, clock);
    let [ours, peer] = Broker::each(folder, Some(&certificate), measure).await?;
    let what = "fan-in QoS 1, 50 connections, 100 bytes, by TLS".to_owned();
    Ok(Line { what, unit: "messages/s", ours, mosquitto: peer })
}

async fn fan_outs(
    folder: &Path,
    scale: u64,
    clock: Clock,
    lines: &mut Lines,
) -> anyhow::Result<()> {
    for (publishers, subscribers, messages) in [(1, 100, 20_000), (100, 1, 300_000)] {
        let load = fan_in(publishers, 100, messages / scale);
        let measure = |address| fan_out(&load, subscribers, address, clock);
        let [ours, peer] = Broker::each(folder, None, measure).await?;
        let what = format!("fan-out {publishers} to {subscribers}, 100 bytes");
        lines.push(Line { what, unit: "deliveries/s", ours, mosquitto: peer });
    }
    Ok(())
}

fn fan_in(connections: u64, bytes: usize, messages: u64) -> Load {
    Load {
        address: ([127, 0, 0, 1], 0).into(),
        messages,
        connections,
        devices: DEVICES,
        in_flight: if connections > 100 { 10 } else { 100 },
        rate: None,
        payload_bytes: Some(bytes),
        tls: None,
        name: "bench",
    }
}

/// Messages a second from the first publish to the last PUBACK.
async fn rate(load: &Load, address: SocketAddr, clock: Clock) -> anyhow::Result<f64> {
    let sent = load::run(&Load { address, ..load.clone() }, clock).await?;
    Ok(load.messages as f64 / (sent.acknowledged - sent.started).as_secs_f64())
}

/// PUBACK latency at half of what each broker takes with 50 connections, and at the same rate for both.
async fn latency(folder: &Path, scale: u64, clock: Clock, lines: &mut Lines) -> anyhow::Result<()> {
    let load = fan_in(50, 100, 300_000 / scale);
    let [ours, peer] = Broker::each(folder, None, |address| rate(&load, address, clock)).await?;
    for (what, [our_rate, peer_rate]) in [
        ("at half of its own full load", [ours / 2.0, peer / 2.0]),
        ("at half of mosquitto's full load", [peer / 2.0; 2]),
    ] {
        let mut percentiles = Vec::new();
        for (is_ours, rate) in [(true, our_rate), (false, peer_rate)] {
            let broker = if is_ours {
                Broker::ours(folder, None).await?
            } else {
                Broker::mosquitto(folder, None).await?
            };
            let paced = Load { address: broker.address, rate: Some(rate as u64), ..load.clone() };
            let mut sent = load::run(&paced, clock).await?;
            percentiles.push([sent.percentile_ms(50), sent.percentile_ms(99)]);
            broker.part.stop().await?;
        }
        for (at, name) in ["p50", "p99"].into_iter().enumerate() {
            let [ours, mosquitto] = [0, 1].map(|broker: usize| percentiles[broker][at]);
            let what = format!("PUBACK {name} {what}");
            lines.push(Line { what, unit: "ms", ours, mosquitto });
        }
    }
    Ok(())
}

/// Deliveries a second from the first publish to the last delivery to the last subscriber.
async fn fan_out(
    load: &Load,
    subscribers: u64,
    address: SocketAddr,
    clock: Clock,
) -> anyhow::Result<f64> {
    let mut counting = JoinSet::new();
    for id in 0..subscribers {
        let subscriber = mosquitto::subscribe(address, &format!("counter-{id}")).await?;
        counting.spawn(mosquitto::count(subscriber, load.messages, clock));
    }
    let sent = load::run(&Load { address, ..load.clone() }, clock).await?;
    let mut last = sent.started;
    while let Some(counted) = counting.join_next().await {
        last = last.max(counted??);
    }
    Ok((load.messages * subscribers) as f64 / (last - sent.started).as_secs_f64())
}

/// PUBACK latency of a quiet client beside one that floods; ours may publish a thousand messages a second each.
async fn beside_a_flood(folder: &Path, clock: Clock) -> anyhow::Result<Line> {
    let mut percentiles = Vec::new();
    let limited = Broker::ours_with(folder, None, "publish_rate_max = 1000").await?;
    for broker in [limited, Broker::mosquitto(folder, None).await?] {
        let quiet =
            Load { name: "quiet", rate: Some(100), address: broker.address, ..fan_in(1, 100, 500) };
        let flood = Load { name: "flood", address: broker.address, ..fan_in(1, 1000, u64::MAX) };
        let mut flooding = JoinSet::new();
        flooding.spawn(async move { load::run(&flood, clock).await.map(drop) });
        let mut sent = load::run(&quiet, clock).await?;
        percentiles.push(sent.percentile_ms(99));
        // Before the broker goes: the flood never ends by itself.
        flooding.shutdown().await;
        broker.part.stop().await?;
    }
    let what = "PUBACK p99 of a quiet client beside a flood (ours: limited to 1,000/s)".to_owned();
    Ok(Line { what, unit: "ms", ours: percentiles[0], mosquitto: percentiles[1] })
}

/// Memory of a connection that does nothing.
async fn idle(folder: &Path, connections: usize) -> anyhow::Result<Line> {
    let mut kib = Vec::new();
    for broker in [Broker::ours(folder, None).await?, Broker::mosquitto(folder, None).await?] {
        let before = broker.part.usage()?.now_kib;
        let mut streams = Vec::with_capacity(connections);
        for id in 0..connections {
            streams.push(load::connect(broker.address, &format!("idle-{id}"), None).await?);
        }
        kib.push((broker.part.usage()?.now_kib - before) / connections as f64);
        drop(streams);
        broker.part.stop().await?;
    }
    let what = format!("memory of an idle connection, {connections} of them");
    Ok(Line { what, unit: "KiB", ours: kib[0], mosquitto: kib[1] })
}

/// Memory of connections that have published three messages each and wait, and what is still held of it when they are gone.
async fn crowd(folder: &Path, connections: u64, clock: Clock) -> anyhow::Result<[Line; 2]> {
    let (mut each, mut left) = (Vec::new(), Vec::new());
    for mut broker in [Broker::ours(folder, None).await?, Broker::mosquitto(folder, None).await?] {
        let load = fan_in(connections, 100, connections * 3);
        let load = Load { address: broker.address, in_flight: 1, name: "crowd", ..load };
        let before = broker.part.usage()?.now_kib;
        let (_, streams) = load::run_and_stay(&load, clock).await?;
        let with = broker.part.usage()?.now_kib;
        drop(streams);
        let least = broker.part.least_kib_within(AFTER_THE_CROWD, clock).await?;
        each.push((with - before) / connections as f64);
        left.push((least - before) / 1024.0);
        broker.part.stop().await?;
    }
    let line = |what, unit, of: &[f64]| Line { what, unit, ours: of[0], mosquitto: of[1] };
    let waiting = format!("memory of a connection that has published, {connections} of them");
    let gone = format!("memory above that of the start when {connections} are gone");
    Ok([line(waiting, "KiB", &each), line(gone, "MiB", &left)])
}

fn print(lines: &[Line], format: Format) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if format == Format::Json {
        serde_json::to_writer(&mut out, lines)?;
        return Ok(writeln!(out)?);
    }
    writeln!(out, "| measurement | Tidemark | mosquitto | ratio |\n|---|---|---|---|")?;
    for Line { what, unit, ours, mosquitto } in lines {
        let digits = if *ours >= 1000.0 { 0 } else { 2 };
        writeln!(
            out,
            "| {what} | {ours:.digits$} {unit} | {mosquitto:.digits$} {unit} | {:.2} |",
            ours / mosquitto
        )?;
    }
    Ok(())
}
