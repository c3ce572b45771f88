//! The load: many connections that publish one-reading JSON messages with QoS 1 and measure each PUBACK.
//!
//! One hand-written 3.1.1 client, so that gateway and mosquitto see the same bytes and the generator takes as little as
//! possible of the two cores that everybody shares.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use service_runtime::Clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

/// Devices that publish unless it is said; connections share them.
pub(crate) const DEVICES: u64 = 100;
/// Metrics that each device reports, in turn, with their unit and centre.
const METRICS: [(&str, &str, u64); 8] = [
    ("heart_rate", "/min", 72),
    ("spo2", "%", 97),
    ("resp_rate", "/min", 16),
    ("nibp_sys", "mm[Hg]", 121),
    ("nibp_dia", "mm[Hg]", 74),
    ("temp_body", "Cel", 36),
    ("pulse_rate", "/min", 71),
    ("etco2", "mm[Hg]", 38),
];
/// 2026-09-21, in milliseconds since the Unix epoch: the first reading's time.
const START_MS: u64 = 1_790_000_000_000;

/// What to send.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) messages: u64,
    pub(crate) connections: u64,
    /// Devices that the messages are of, in turn.
    pub(crate) devices: u64,
    /// Unacknowledged messages of one connection.
    pub(crate) in_flight: u64,
    /// Messages a second over all connections; `None` for as fast as acknowledged.
    pub(crate) rate: Option<u64>,
    /// Payloads of this many bytes in place of readings.
    pub(crate) payload_bytes: Option<usize>,
    /// Connect by TLS.
    pub(crate) tls: Option<Tls>,
    /// Begins the client ids.
    pub(crate) name: &'static str,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Sent {
    /// When the first message left, on the load's clock.
    pub(crate) started: Duration,
    /// When the last PUBACK came.
    pub(crate) acknowledged: Duration,
    /// Time from publish to PUBACK of each message, in microseconds, unsorted.
    pub(crate) latencies_us: Vec<u32>,
}

impl Sent {
    /// Returns a percentile of the PUBACK latency in milliseconds.
    pub(crate) fn percentile_ms(&mut self, percent: usize) -> f64 {
        if self.latencies_us.is_empty() {
            return 0.0;
        }
        self.latencies_us.sort_unstable();
        let at = (self.latencies_us.len() - 1) * percent / 100;
        f64::from(self.latencies_us.get(at).copied().unwrap_or_default()) / 1000.0
    }
}

/// Writes the payload of a message: about 120 bytes, one reading.
pub(crate) fn payload(n: u64, devices: u64, out: &mut Vec<u8>) {
    use std::io::Write;
    let device = n % devices;
    let sample = n / devices;
    let (metric, unit, centre) = METRICS.get((sample % 8) as usize).copied().unwrap_or(METRICS[0]);
    let wobble = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
    let ts = START_MS + sample * 250 + device;
    let tenths = wobble % 10;
    let value = centre + wobble / 64;
    let written = write!(
        out,
        "{{\"ts\":{ts},\"metric\":\"{metric}\",\"value\":{value}.{tenths},\"unit\":\"{unit}\",\"boot\":1,\"seq\":{sample},\"patient_id\":\"p-{device:04}\"}}"
    );
    written.expect("writing to memory cannot fail");
}

fn publish(n: u64, pkid: u16, load: &Load, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    use std::io::Write;
    scratch.clear();
    let device = n % load.devices;
    write!(scratch, "dt/bench/dev-{device:03}/readings").expect("writing to memory cannot fail");
    let topic_len = u16::try_from(scratch.len()).expect("short");
    scratch.extend_from_slice(&pkid.to_be_bytes());
    match load.payload_bytes {
        None => payload(n, load.devices, scratch),
        Some(bytes) => scratch.resize(scratch.len() + bytes, b'x'),
    }
    let mut rest = scratch.len() + 2;
    out.push(0x32);
    while rest >= 0x80 {
        out.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    out.push(u8::try_from(rest).expect("seven bits"));
    out.extend_from_slice(&topic_len.to_be_bytes());
    out.extend_from_slice(scratch);
}

/// Connects everybody, then sends the load and waits for every PUBACK.
pub(crate) async fn run(load: &Load, clock: Clock) -> anyhow::Result<Sent> {
    Ok(run_and_stay(load, clock).await?.0)
}

/// As [`run`]; the connections stay open until they are dropped.
pub(crate) async fn run_and_stay(
    load: &Load,
    clock: Clock,
) -> anyhow::Result<(Sent, Vec<Box<dyn Wire>>)> {
    let mut streams = Vec::new();
    for id in 0..load.connections {
        streams
            .push(connect(load.address, &format!("{}-{id}", load.name), load.tls.as_ref()).await?);
    }
    let next = Arc::new(AtomicU64::new(0));
    let started = clock.uptime();
    let mut tasks = JoinSet::new();
    for stream in streams {
        tasks.spawn(one_connection(stream, load.clone(), next.clone(), clock, started));
    }
    let mut sent = Sent { started, acknowledged: started, latencies_us: Vec::new() };
    let mut streams = Vec::new();
    while let Some(done) = tasks.join_next().await {
        let (latencies_us, stream) = done??;
        sent.latencies_us.extend(latencies_us);
        streams.push(stream);
    }
    sent.acknowledged = clock.uptime();
    ensure!(sent.latencies_us.len() as u64 == load.messages, "every message is acknowledged once");
    Ok((sent, streams))
}

/// What is between us and the broker.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// How to connect by TLS.
#[derive(Clone)]
pub(crate) struct Tls {
    pub(crate) connector: TlsConnector,
    pub(crate) server_name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Tls").field(&self.server_name).finish()
    }
}

pub(crate) async fn connect(
    address: SocketAddr,
    id: &str,
    tls: Option<&Tls>,
) -> anyhow::Result<Box<dyn Wire>> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    let mut stream: Box<dyn Wire> = match tls {
        None => Box::new(stream),
        Some(tls) => Box::new(tls.connector.connect(tls.server_name.clone(), stream).await?),
    };
    let len = u8::try_from(12 + id.len()).context("client id is short")?;
    let id_len = u8::try_from(id.len()).context("client id is short")?;
    let mut connect = vec![0x10, len, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0, 0, id_len];
    connect.extend_from_slice(id.as_bytes());
    stream.write_all(&connect).await?;
    stream.flush().await?;
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).await?;
    ensure!(answer == [0x20, 2, 0, 0], "the broker refused the connection: {answer:?}");
    Ok(stream)
}

async fn one_connection(
    mut stream: Box<dyn Wire>,
    load: Load,
    next: Arc<AtomicU64>,
    clock: Clock,
    started: Duration,
) -> anyhow::Result<(Vec<u32>, Box<dyn Wire>)> {
    let (mut latencies, mut sent_at) = (Vec::new(), std::collections::VecDeque::new());
    let (mut scratch, mut out, mut answers) = (Vec::new(), Vec::new(), vec![0; 16 << 10]);
    let (mut kept, mut pkid) = (0, 0_u16);
    loop {
        out.clear();
        let now = clock.uptime();
        while (sent_at.len() as u64) < load.in_flight {
            let due = load.rate.map(|rate| (now - started).as_micros() as u64 * rate / 1_000_000);
            let claimed = next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                (n < load.messages && due.is_none_or(|due| n < due)).then_some(n + 1)
            });
            let Ok(n) = claimed else { break };
            pkid = pkid.checked_add(1).unwrap_or(1);
            publish(n, pkid, &load, &mut scratch, &mut out);
            sent_at.push_back(now);
        }
        if !out.is_empty() {
            stream.write_all(&out).await?;
            stream.flush().await?;
        }
        if sent_at.is_empty() {
            if next.load(Ordering::Relaxed) >= load.messages {
                return Ok((latencies, stream));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        }
        let read = stream.read(answers.get_mut(kept..).unwrap_or_default()).await?;
        if read == 0 {
            bail!("the broker closed the connection");
        }
        let now = clock.uptime();
        let have = kept + read;
        for ack in answers.get(..have - have % 4).unwrap_or_default().chunks_exact(4) {
            ensure!(ack.starts_with(&[0x40, 2]), "unexpected packet {ack:?}");
            let at = sent_at.pop_front().context("more acknowledgements than messages")?;
            latencies.push(u32::try_from((now - at).as_micros()).unwrap_or(u32::MAX));
        }
        kept = have % 4;
        answers.copy_within(have - kept..have, 0);
    }
}
