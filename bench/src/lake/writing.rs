//! How fast rows are written on one core: decoding, ordering and encoding, beside a bare writer of the same rows.

use std::time::Duration;

use arrow::array::RecordBatch;
use service_runtime::Clock;

use super::plain_parquet::{self, Squeeze};
use super::ward::Decoded;
use super::{Lines, ROWS};

/// How often each is measured: the quickest counts.
const ROUNDS: usize = 3;

/// See the module. Everything happens on the calling thread, in memory.
pub(super) fn measure(decoded: &[Decoded], clock: Clock, lines: &mut Lines) -> anyhow::Result<()> {
    let readings = || decoded.iter().flat_map(Decoded::readings);
    let rows =
        readings().flat_map(|(.., batches)| batches).map(RecordBatch::num_rows).sum::<usize>();
    let rate = |time: Duration| rows as f64 / time.as_secs_f64();
    let quickest = |write: &dyn Fn() -> anyhow::Result<u64>| -> anyhow::Result<Duration> {
        let mut best = Duration::MAX;
        for _ in 0..ROUNDS {
            let began = clock.uptime();
            anyhow::ensure!(write()? > 0, "nothing was written");
            best = best.min(clock.uptime() - began);
        }
        Ok(best)
    };
    let ours = quickest(&|| {
        let mut bytes = 0;
        for (table, _, batches) in readings() {
            let encoded = lake::parquet::encode(table, batches.iter().cloned())?;
            bytes += encoded.map_or(0, |encoded| encoded.bytes.len() as u64);
        }
        Ok(bytes)
    })?;
    let bare = |squeeze| {
        quickest(&move || {
            let write = |batches: &[_]| plain_parquet::write(batches, squeeze);
            readings().map(|(.., batches)| anyhow::Ok(write(batches)?.len() as u64)).sum()
        })
    };
    let (snappy, zstd) = (bare(Squeeze::Snappy)?, bare(Squeeze::Zstd)?);
    let (decoding, ordering): (Duration, Duration) = (
        decoded.iter().map(|hour| hour.decoding).sum(),
        decoded.iter().map(|hour| hour.ordering).sum(),
    );
    let encoded = "readings of the ward encoded, one core";
    lines.push(encoded, (rate(ours), ROWS), Some(("a bare writer, Snappy", rate(snappy))));
    lines.push(encoded, (rate(ours), ROWS), Some(("a bare writer, zstd 1", rate(zstd))));
    lines.push("the ward's JSON decoded, one core", (rate(decoding), ROWS), None);
    lines.push("its rows put in order, one core", (rate(ordering), ROWS), None);
    let all = rate(decoding + ordering + ours);
    lines.push("the ward's JSON decoded, ordered and encoded, one core", (all, ROWS), None);
    Ok(())
}
