//! What ingest takes on the heap while it is flooded, counted by the allocator: `memory_bytes` is what it says.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::time::Duration;

use ingest::{Config, Inbound};
use lake::{Lake, OpenMode};
use peak_alloc::PeakAlloc;
use service_runtime::admin::Readiness;
use service_runtime::{Metrics, Stop, Tasks};
use telemetry_core::frame::{self, Codec, FrameHeader};
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::receipt::Receipt;
use telemetry_core::spool::format::{Format, Key};
use telemetry_core::spool::record::Record;
use telemetry_core::topic::ControlTopics;
use tokio::sync::mpsc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const MIB: u64 = 1 << 20;
const MEMORY: u64 = 48 * MIB;
/// What ingest takes beside its batches: frames on their way, one decoded message, pages of the files being encoded, the tables'
/// logs.
const BESIDE: u64 = 16 * MIB;
const PATIENCE: Duration = Duration::from_secs(60);

fn frame(
    source: &SourceId,
    offset: u64,
    chain: u64,
    topic: &str,
    payload: &[u8],
) -> (Vec<u8>, u64) {
    let (format, mut records) = (Format::V2(Key::from_random(1)), Vec::new());
    let (received_us, flags, publisher) = (1_785_542_400_000_000, 0, "mon-1");
    let record =
        Record { offset, chain, received_us, flags, publisher, topic, attributes: &[], payload };
    let chain = format.encode(&record, &mut records);
    let (source_id, epoch) = (source.clone(), Epoch::from_random(42));
    let (oldest, appended) = (0, offset + 1);
    let header =
        FrameHeader { source_id, epoch, oldest, first_offset: offset, count: 1, appended, format };
    (frame::encode(&header, &records, Codec::Lz4), chain)
}

/// Lands messages, a frame each, going back to where it is told. Returns the most that the heap grew by.
async fn flood(topic: &str, payload: impl Fn(u64) -> Vec<u8>, messages: u64) -> u64 {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await.unwrap();
    let mut config = Config { memory_bytes: MEMORY, flush_bytes: MEMORY / 3, ..Config::default() };
    config.beside_gateway("gw");
    let ((inbox, inbound), (outbound, mut receipts)) = (mpsc::channel(8), mpsc::channel(64));
    let (mut tasks, metrics) = (Tasks::new(Stop::new()), Metrics::default());
    let ready = Readiness::default();
    ingest::start(&mut tasks, config, &lake, &metrics, ready, inbound, outbound).await.unwrap();

    let source: SourceId = "gw".parse().unwrap();
    let up = ControlTopics::default().up(&source);
    let (mut chains, mut sent, mut landed) = (vec![0], 0, 0);
    let before = HEAP.current_usage() as u64;
    HEAP.reset_peak_usage();
    while landed < messages {
        tokio::select! {
            biased;
            outbound = receipts.recv() => {
                let receipt = Receipt::from_json(&outbound.unwrap().payload).unwrap();
                landed = receipt.landed;
                sent = receipt.resend_from.unwrap_or(sent).max(landed);
            }
            permit = inbox.reserve(), if sent < messages => {
                let at = usize::try_from(sent).unwrap();
                let (bytes, chain) = frame(&source, sent, chains[at], topic, &payload(sent));
                chains.truncate(at + 1);
                chains.push(chain);
                permit.unwrap().send(Inbound::Frame { topic: up.clone(), payload: bytes.into() });
                sent += 1;
            }
        }
    }
    let peak = HEAP.peak_usage() as u64 - before;
    tasks.stop().cancel();
    tasks.join(PATIENCE).await.unwrap();
    peak
}

fn readings(offset: u64) -> Vec<u8> {
    let one = |n: u64| {
        let value = (offset * 31 + n) % 4096;
        format!(r#"{{"metric":"steps","value":{value},"seq":{}}}"#, offset * 20_000 + n)
    };
    format!("[{}]", (0..20_000).map(one).collect::<Vec<_>>().join(",")).into_bytes()
}

/// One patient with a very long name, and many readings.
fn long_names(offset: u64) -> Vec<u8> {
    let values: Vec<String> = (0..2000).map(|n| format!(r#""m{n}":{n}"#)).collect();
    let patient = format!("{offset:08}").repeat(7500);
    format!(r#"{{"patient_id":"{patient}","values":{{{}}}}}"#, values.join(",")).into_bytes()
}

/// Places that are as long as they may be, all different, and readings of each.
fn many_places(offset: u64) -> Vec<u8> {
    let one = |n: u64| {
        let text = |part: u64| {
            let digits = noise_of(offset * 4000 + n * 4 + part, 500);
            digits.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let values: Vec<String> = (0..40).map(|n| format!(r#""m{n}":{n}"#)).collect();
        let [patient, encounter, ward, bed] = [0, 1, 2, 3].map(text);
        format!(
            r#"{{"patient_id":"{patient}","encounter_id":"{encounter}","ward":"{ward}","bed":"{bed}","values":{{{}}}}}"#,
            values.join(",")
        )
    };
    format!("[{}]", (0..20).map(one).collect::<Vec<_>>().join(",")).into_bytes()
}

/// Noise, so that neither the frame nor the file gets any smaller.
fn noise(offset: u64) -> Vec<u8> {
    noise_of(offset, 900 << 10)
}

fn noise_of(offset: u64, bytes: usize) -> Vec<u8> {
    let mut state = offset + 1;
    let mut byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56).to_le_bytes()[0]
    };
    (0..bytes).map(|_| byte()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_what_a_flood_takes_is_what_memory_bytes_says() {
    // Few bytes that become many rows: 50 messages of 20,000 readings are a million rows.
    let peak = flood("dt/icu/mon-1/readings", readings, 50).await;
    assert!(peak <= MEMORY + BESIDE, "readings: {} MiB", peak / MIB);
    // Texts that are in many rows although their message has them once: too long for their column, and as long as they may be.
    let peak = flood("dt/icu/mon-1/readings", long_names, 40).await;
    assert!(peak <= MEMORY + BESIDE, "long names: {} MiB", peak / MIB);
    let peak = flood("dt/icu/mon-1/readings", many_places, 300).await;
    assert!(peak <= MEMORY + BESIDE, "many places: {} MiB", peak / MIB);
    // Dead letters, whose bytes are kept as they are.
    let peak = flood("dt/icu/mon-1/waveforms", noise, 70).await;
    assert!(peak <= MEMORY + BESIDE, "dead letters: {} MiB", peak / MIB);
}
