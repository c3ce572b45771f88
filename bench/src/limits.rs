//! What the machine could do at best: decoding and encoding from memory, and the spool alone.

use std::path::Path;

use anyhow::Context;
use service_runtime::Clock;
use store_forward::config::SpoolOptions;
use store_forward::metrics::SpoolMetrics;
use store_forward::{AppendError, Fresh, Message, Spool, SpoolConfig};

use crate::decoder::Decoder;
use crate::load::{DEVICES, payload};

/// Messages that a connection would hand over at once.
const BATCH: usize = 100;

/// The messages of the load, made beforehand.
pub(crate) struct Messages {
    topics: Vec<String>,
    payloads: Vec<Vec<u8>>,
}

impl Messages {
    pub(crate) fn new(count: u64) -> Self {
        let topics =
            (0..DEVICES).map(|device| format!("dt/bench/dev-{device:03}/readings")).collect();
        let payloads = (0..count)
            .map(|n| {
                let mut bytes = Vec::with_capacity(128);
                payload(n, DEVICES, &mut bytes);
                bytes
            })
            .collect();
        Self { topics, payloads }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let topics = self.topics.iter().map(String::as_str).cycle();
        topics.zip(self.payloads.iter().map(Vec::as_slice))
    }
}

/// Decodes JSON and encodes Parquet from memory on the calling thread; returns rows per second.
pub(crate) fn decode_and_encode(messages: &Messages, clock: Clock) -> anyhow::Result<f64> {
    const RECEIVED_US: i64 = 1_790_000_000_000_000;
    let decoder = Decoder::new()?;
    let started = clock.uptime();
    let mut filling = decoder.batch(0);
    for message in messages.iter() {
        decoder.take(&mut filling, message, RECEIVED_US)?;
    }
    let rows = filling.messages();
    let batch = filling.finish(RECEIVED_US);
    let (files, _) = batch.into_files(0)?;
    let mut encoded = 0;
    for file in files {
        encoded += lake::parquet::encode(&file.table, file.batches)?.map_or(0, |file| file.rows);
    }
    anyhow::ensure!(encoded == rows, "every message is a row");
    Ok(rows as f64 / (clock.uptime() - started).as_secs_f64())
}

/// Appends to a spool in batches, waits for the last sync; returns messages per second.
pub(crate) async fn spool(messages: &Messages, folder: &Path, clock: Clock) -> anyhow::Result<f64> {
    let config = SpoolConfig { dir: folder.join("spool-alone"), ..SpoolConfig::default() };
    let options = SpoolOptions { source_id: "bench".parse()?, config };
    let (spool, writer) = Spool::open(&options, Fresh::new(|| 2), SpoolMetrics::default())?;
    let writer = tokio::task::spawn_blocking(move || writer.run());
    let mut progress = spool.progress();
    let started = clock.uptime();
    let all: Vec<_> = messages.iter().collect();
    for batch in all.chunks(BATCH) {
        let mut rest = batch;
        while !rest.is_empty() {
            let appended = spool.append(
                clock.now_us(),
                rest.iter().map(|(topic, payload)| Message {
                    publisher: "",
                    topic,
                    attributes: &[],
                    payload,
                }),
            );
            let done = usize::try_from(appended.offsets.end - appended.offsets.start)?;
            rest = rest.get(done..).unwrap_or_default();
            match appended.refused {
                None => {}
                Some(AppendError::Busy) => progress.changed().await?,
                Some(error) => return Err(error).context("the spool refused"),
            }
        }
    }
    progress.wait_for(|now| now.synced >= all.len() as u64).await?;
    let seconds = (clock.uptime() - started).as_secs_f64();
    spool.close();
    writer.await??;
    Ok(all.len() as f64 / seconds)
}
