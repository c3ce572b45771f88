//! A day of the simulator's ward as its gateway would have it, and as ingest decodes it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use arrow::array::RecordBatch;
use bytes::Bytes;
use lake::{SourceAdvance, Table};
use service_runtime::Clock;
use simulator::message::{Run, StreamKind};
use simulator::world::World;

use crate::decoder::Decoder;

/// Microseconds of an hour.
pub(crate) const HOUR_US: i64 = 3600 * 1_000_000;

/// A message as the gateway has it.
pub(crate) struct Sent {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    pub(crate) received_us: i64,
}

/// Rows of one landing, as ingest makes them.
pub(crate) struct Decoded {
    /// Rows of each table and date, in order.
    pub(crate) files: Vec<(Arc<Table>, i32, Vec<RecordBatch>)>,
    pub(crate) sources: Vec<SourceAdvance>,
    /// What decoding took.
    pub(crate) decoding: Duration,
    /// What putting the rows in order took.
    pub(crate) ordering: Duration,
}

impl Decoded {
    /// The readings.
    pub(crate) fn readings(&self) -> impl Iterator<Item = &(Arc<Table>, i32, Vec<RecordBatch>)> {
        self.files.iter().filter(|(table, ..)| table.name == "readings")
    }
}

/// What the readings' messages say, in the order in which they are received: 20 to 220 ms after they were sent, at random. Without the
/// EHR system, and without what devices say of themselves.
pub(crate) fn messages(length_us: i64) -> Vec<Sent> {
    let mut config = simulator::Config::default();
    config.ward.ehr = false;
    let start_us = config.start.timestamp_micros();
    let ward = World::ward(&config, Run::of_boot(1), 0);
    let planned = ward.take_while(|planned| planned.due_us < length_us);
    let readings = planned.filter(|planned| planned.message.stream == StreamKind::Readings);
    let mut all: Vec<Sent> = (0_u64..)
        .zip(readings)
        .map(|(n, planned)| {
            let on_its_way = 20_000 + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % 200_000;
            let received_us = start_us + planned.due_us + on_its_way.cast_signed();
            let (topic, payload) = (planned.message.topic, planned.message.payload);
            Sent { topic, payload, received_us }
        })
        .collect();
    all.sort_by_key(|sent| sent.received_us);
    all
}

/// Decodes them, a batch for each span of time.
pub(crate) fn decode(
    messages: &[Sent],
    span_us: i64,
    clock: Clock,
) -> anyhow::Result<Vec<Decoded>> {
    let decoder = Decoder::new()?;
    let same = |a: &Sent, b: &Sent| a.received_us / span_us == b.received_us / span_us;
    let (mut from, mut all) = (0, Vec::new());
    for messages in messages.chunk_by(same) {
        let began = clock.uptime();
        let mut filling = decoder.batch(from);
        for sent in messages {
            decoder.take(&mut filling, (&sent.topic, &sent.payload), sent.received_us)?;
        }
        from = filling.next;
        let last = messages.last().context("a span has messages")?;
        let batch = filling.finish(last.received_us);
        let decoded = clock.uptime();
        let (files, sources) = batch.into_files(lake::date::date_of(last.received_us))?;
        let files = files.into_iter().map(|file| (file.table, file.date, file.batches.collect()));
        let files = files.collect();
        let (decoding, ordering) = (decoded - began, clock.uptime() - decoded);
        all.push(Decoded { files, sources, decoding, ordering });
    }
    Ok(all)
}
