//! `bench landings`: what ingest takes, in memory and threads, while it lands again and again on a folder.
//!
//! Ingest runs in this process, with the transport in our hands; what the frames take here is a few megabytes.

use std::io::Write;

use anyhow::{Context, ensure};
use bytes::Bytes;
use ingest::{Config, Inbound, Outbound};
use lake::{Lake, OpenMode};
use service_runtime::admin::Readiness;
use service_runtime::{Clock, Metrics, Stop, Tasks};
use telemetry_core::frame::{self, Codec, FrameHeader};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::receipt::Receipt;
use telemetry_core::spool::format::{Format, Key};
use telemetry_core::spool::record::Record;
use telemetry_core::topic::ControlTopics;
use tokio::sync::mpsc;

use crate::LandingsOptions;
use crate::processes::{threads, usage_of};

/// Frames and receipts on their way.
const QUEUE: usize = 8;
/// How long the last landing may take.
const GRACE: std::time::Duration = std::time::Duration::from_secs(60);

/// A source whose frames are made when they are asked for, also a second time.
struct Source {
    id: SourceId,
    epoch: Epoch,
    messages: u64,
    readings: u64,
    now_us: i64,
    /// The chain value before each frame that was made.
    chains: Vec<u64>,
}

/// How sources write.
const FORMAT: Format = Format::V2(Key::from_random(1));

impl Source {
    fn frame(&mut self, number: usize) -> Bytes {
        let first = number as u64 * self.messages;
        let (mut chain, mut records) = (self.chains[number], Vec::new());
        for offset in first..first + self.messages {
            let payload = payload(offset, self.readings);
            let record = Record {
                offset,
                chain,
                received_us: self.now_us,
                flags: 0,
                publisher: "bench",
                topic: "dt/bench/mon-1/readings",
                attributes: &[],
                payload: payload.as_bytes(),
            };
            chain = FORMAT.encode(&record, &mut records);
        }
        if self.chains.len() == number + 1 {
            self.chains.push(chain);
        }
        let header = FrameHeader {
            source_id: self.id.clone(),
            epoch: self.epoch,
            oldest: 0,
            first_offset: first,
            count: self.messages,
            appended: first + self.messages,
            format: FORMAT,
        };
        frame::encode(&header, &records, Codec::Lz4).into()
    }
}

/// Distinct values, as sensors have them.
fn payload(offset: u64, readings: u64) -> String {
    let one = |n: u64| {
        let value = (offset * 31 + n) % 4096;
        format!(r#"{{"metric":"steps","value":{value},"seq":{}}}"#, offset * readings + n)
    };
    let all: Vec<String> = (0..readings).map(one).collect();
    format!("[{}]", all.join(","))
}

/// Runs the measurement and prints it.
pub(crate) async fn run(options: LandingsOptions) -> anyhow::Result<()> {
    let (folder, clock) = (tempfile::tempdir()?, Clock::default());
    let path = options.lake.as_deref().unwrap_or(folder.path());
    let url = path.display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await?;
    let mut config = Config {
        flush_rows: options.flush_rows.unwrap_or(1),
        memory_bytes: options.memory_mib << 20,
        flush_bytes: (options.memory_mib << 20) / 3,
        ..Config::default()
    };
    config.maintain.every_seconds = options.maintain_every;
    config.beside_gateway("bench");
    let (inbox, inbound) = mpsc::channel(QUEUE);
    let (outbound, receipts) = mpsc::channel(QUEUE);
    let mut tasks = Tasks::new(Stop::new());
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    ingest::start(&mut tasks, config, &lake, &metrics, readiness, inbound, outbound).await?;
    let source = Source {
        id: "bench".parse()?,
        epoch: Epoch::from_random(7),
        messages: options.messages,
        readings: options.readings,
        now_us: clock.now_us(),
        chains: vec![0],
    };
    let started = clock.uptime();
    play(source, &options, inbox, receipts).await?;
    say(&format!("{:.0} s", (clock.uptime() - started).as_secs_f64()))?;
    tasks.stop().cancel();
    tasks.join(GRACE).await
}

/// Sends the frames, as many at once as is asked for, and looks at the process now and then.
async fn play(
    mut source: Source,
    options: &LandingsOptions,
    inbox: mpsc::Sender<Inbound>,
    mut receipts: mpsc::Receiver<Outbound>,
) -> anyhow::Result<()> {
    let topic = ControlTopics::default().up(&source.id);
    let (mut sent, mut landed, mut told) = (0, 0, 0);
    say(&format!("{:>8}  {:>8}  {:>8}  {:>7}", "frames", "RSS MB", "peak MB", "threads"))?;
    tell(0)?;
    while landed < options.frames {
        let more = sent < options.frames && sent - landed < options.in_flight;
        tokio::select! {
            biased;
            outbound = receipts.recv() => {
                let receipt = Receipt::from_json(&outbound.context("ingest has ended")?.payload)?;
                landed = usize::try_from(receipt.landed / source.messages)?;
                if let Some(from) = receipt.resend_from {
                    sent = usize::try_from(from / source.messages)?;
                }
                sent = sent.max(landed);
            }
            permit = inbox.reserve(), if more => {
                let payload = source.frame(sent);
                permit.context("ingest has ended")?.send(Inbound::Frame { topic: topic.clone(), payload });
                sent += 1;
            }
        }
        if landed >= told + options.every {
            told = landed;
            tell(landed)?;
        }
    }
    ensure!(landed == options.frames, "{landed} frames landed");
    tell(landed)
}

fn tell(frames: usize) -> anyhow::Result<()> {
    let usage = usage_of("self")?;
    let (now, peak) = (usage.now_kib / 1024.0, usage.rss_mb);
    say(&format!("{frames:>8}  {now:>8.1}  {peak:>8.1}  {:>7}", threads("self")?))
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}
