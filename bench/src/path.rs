//! `bench path`: from the first publish to the last readable row, each part in a process of its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use lake::{Lake, OpenMode};
use service_runtime::Clock;
use service_runtime::http::{self, Method, StatusCode};

use crate::limits::{self, Messages};
use crate::load::{self, DEVICES, Load};
use crate::processes::{Part, usage_of};
use crate::report::PathReport;
use crate::{Format, PathOptions, mosquitto};

/// How often the gateway is asked whether everything has landed.
const POLL: Duration = Duration::from_millis(5);
/// How long the last rows may take to land.
const LANDING_TIME_MAX: Duration = Duration::from_secs(120);

fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Runs the measurement and prints it.
pub(crate) async fn run(options: PathOptions) -> anyhow::Result<()> {
    let (clock, folder) = (Clock::default(), tempfile::tempdir()?);
    let (mut report, load) = once(&options, DEVICES, "", folder.path(), clock).await?;
    measure_limits(&mut report, &load, folder.path(), clock, options.mosquitto).await?;
    report.print(options.format == Format::Json)
}

/// Runs the path once, with a part of the configuration; all that was sent must be rows.
pub(crate) async fn once(
    options: &PathOptions,
    devices: u64,
    more: &str,
    folder: &Path,
    clock: Clock,
) -> anyhow::Result<(PathReport, Load)> {
    let (mqtt, admin) = (free_port()?, free_port()?);
    let config = folder.join("config.toml");
    std::fs::write(&config, settings(folder, mqtt, admin, options) + more)?;
    let load = Load {
        address: mqtt,
        messages: options.messages,
        connections: options.connections,
        devices,
        in_flight: options.in_flight,
        rate: options.rate,
        payload_bytes: None,
        tls: None,
        name: "bench",
    };
    let mut gateway = Part::start_self("gateway", "gateway", folder, &config)?;
    gateway.until("ready", || async move { get(admin, "/readyz").await.is_ok() }).await?;
    let mut ingest = Part::start_self("ingest", "ingest", folder, &config)?;
    warm_up(&mut ingest, admin, &load, clock).await?;
    let before = [gateway.usage()?, ingest.usage()?, usage_of("self")?];

    let mut sent = load::run(&load, clock).await?;
    let last_readable = landed(admin, options.messages + 1, clock).await?;

    let after = [gateway.usage()?, ingest.usage()?, usage_of("self")?];
    ingest.stop().await?;
    gateway.stop().await?;
    let seconds = (last_readable - sent.started).as_secs_f64();
    let mut report = report(options, seconds, &mut sent);
    for (part, (before, mut after)) in
        ["gateway", "ingest", "load"].into_iter().zip(before.into_iter().zip(after))
    {
        after.cpu_seconds -= before.cpu_seconds;
        report.add(part, after);
    }
    read_lake(&mut report, &folder.join("lake")).await?;
    Ok((report, load))
}

fn settings(folder: &Path, mqtt: SocketAddr, admin: SocketAddr, options: &PathOptions) -> String {
    format!(
        "[log]\nlevel = \"warn\"\n[lake]\nurl = {lake:?}\n\
         [gateway]\nlisten = \"{mqtt}\"\nadmin_listen = \"{admin}\"\nspool = {{ dir = {spool:?} }}\n\
         [ingest]\nbroker = \"{mqtt}\"\nflush_age_ms = {age}\n",
        lake = folder.join("lake"),
        spool = folder.join("spool"),
        age = options.flush_age_ms,
    )
}

async fn get(admin: SocketAddr, path: &str) -> anyhow::Result<Bytes> {
    let (status, body) =
        http::call(admin, Method::GET, path, Bytes::new(), Duration::from_secs(5)).await?;
    ensure!(status == StatusCode::OK, "{path} answered {status}");
    Ok(body)
}

/// Sends one message and waits until it is readable: connections, tables and the source exist from then on.
async fn warm_up(
    ingest: &mut Part,
    admin: SocketAddr,
    load: &Load,
    clock: Clock,
) -> anyhow::Result<()> {
    load::run(&Load { messages: 1, connections: 1, ..load.clone() }, clock).await?;
    ingest
        .until("landing the first message", || async move {
            landed_at(admin).await.is_ok_and(|at| at >= 1)
        })
        .await
}

async fn landed_at(admin: SocketAddr) -> anyhow::Result<u64> {
    let sources: serde_json::Value = serde_json::from_slice(&get(admin, "/status").await?)?;
    sources
        .pointer("/0/landed")
        .and_then(serde_json::Value::as_u64)
        .context("/status has no landed")
}

/// Waits for the receipt that covers everything: from then on a fresh reader of the lake sees every row (INV-7).
async fn landed(admin: SocketAddr, messages: u64, clock: Clock) -> anyhow::Result<Duration> {
    let deadline = clock.uptime() + LANDING_TIME_MAX;
    loop {
        let at = landed_at(admin).await?;
        let now = clock.uptime();
        if at >= messages {
            return Ok(now);
        }
        ensure!(now < deadline, "only {at} of {messages} messages have landed");
        tokio::time::sleep(POLL).await;
    }
}

fn report(options: &PathOptions, seconds: f64, sent: &mut load::Sent) -> PathReport {
    let messages = options.messages as f64;
    PathReport {
        messages: options.messages,
        connections: options.connections,
        seconds,
        messages_per_second: messages / seconds,
        acknowledged_per_second: messages / (sent.acknowledged - sent.started).as_secs_f64(),
        puback_p50_ms: sent.percentile_ms(50),
        puback_p99_ms: sent.percentile_ms(99),
        rows: 0,
        files: 0,
        bytes_per_row: 0.0,
        bytes_per_row_by_column: BTreeMap::new(),
        cpu_seconds: BTreeMap::new(),
        rss_mb: BTreeMap::new(),
        limit_decode_encode_rows_per_second: 0.0,
        limit_spool_messages_per_second: 0.0,
        ratio_to_limit: 0.0,
        ratio_to_spool: 0.0,
        mosquitto_messages_per_second: None,
        ratio_to_mosquitto: None,
    }
}

/// Counts what a fresh reader sees: every message must be a row.
async fn read_lake(report: &mut PathReport, folder: &Path) -> anyhow::Result<()> {
    let url = folder.to_str().context("the temporary folder is not UTF-8")?;
    let lake = Lake::open(url, &std::env::vars().collect(), OpenMode::Read).await?;
    let files = lake.files("readings").await?;
    let (rows, bytes) =
        files.iter().fold((0, 0), |(rows, bytes), file| (rows + file.rows, bytes + file.bytes));
    ensure!(rows == report.messages + 1, "{rows} rows for {} messages", report.messages + 1);
    let mut columns: BTreeMap<String, u64> = BTreeMap::new();
    for file in &files {
        let content = std::fs::read(&file.address)
            .with_context(|| format!("cannot read {}", file.address))?;
        for (column, bytes) in lake::parquet::column_bytes(&content.into())? {
            *columns.entry(column).or_default() += bytes;
        }
    }
    report.rows = rows;
    report.files = files.len() as u64;
    report.bytes_per_row = bytes as f64 / rows as f64;
    report.bytes_per_row_by_column =
        columns.into_iter().map(|(name, bytes)| (name, bytes as f64 / rows as f64)).collect();
    Ok(())
}

async fn measure_limits(
    report: &mut PathReport,
    load: &Load,
    folder: &Path,
    clock: Clock,
    with_mosquitto: bool,
) -> anyhow::Result<()> {
    if with_mosquitto {
        let rate = mosquitto::run(load, folder, clock).await?;
        report.mosquitto_messages_per_second = Some(rate);
        report.ratio_to_mosquitto = Some(report.messages_per_second / rate);
    }
    let messages = Messages::new(load.messages);
    report.limit_decode_encode_rows_per_second = limits::decode_and_encode(&messages, clock)?;
    report.limit_spool_messages_per_second = limits::spool(&messages, folder, clock).await?;
    report.ratio_to_limit = report.messages_per_second / report.limit_decode_encode_rows_per_second;
    report.ratio_to_spool = report.messages_per_second / report.limit_spool_messages_per_second;
    Ok(())
}

/// `bench agent`: size and idle memory of the agent.
pub(crate) async fn agent(binary: &Path) -> anyhow::Result<()> {
    use std::io::Write;
    let size = std::fs::metadata(binary)
        .with_context(|| format!("{} is missing: build it first", binary.display()))?
        .len();
    let folder = tempfile::tempdir()?;
    let (admin, config) = (free_port()?, folder.path().join("agent.toml"));
    let text = format!(
        "[agent]\nadmin_listen = \"{admin}\"\nspool = {{ dir = {:?} }}\n",
        folder.path().join("spool")
    );
    std::fs::write(&config, text)?;
    let mut command = tokio::process::Command::new(binary);
    command.arg(&config);
    let mut agent = Part::start("agent", command, folder.path())?;
    agent.until("ready", || async move { get(admin, "/readyz").await.is_ok() }).await?;
    let usage = agent.usage()?;
    agent.stop().await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "agent: binary {:.2} MB, idle RSS {:.1} MB", size as f64 / 1e6, usage.rss_mb)?;
    Ok(())
}
