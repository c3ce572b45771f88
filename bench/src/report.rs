//! What a run prints: a table for people, or one JSON object.

use std::collections::BTreeMap;
use std::io::Write;

use serde::Serialize;

use crate::processes::Usage;

/// The figures of `bench path`.
#[derive(Debug, Serialize)]
pub(crate) struct PathReport {
    pub(crate) messages: u64,
    pub(crate) connections: u64,
    /// From the first publish to the last row readable.
    pub(crate) seconds: f64,
    pub(crate) messages_per_second: f64,
    /// From the first publish to the last PUBACK.
    pub(crate) acknowledged_per_second: f64,
    pub(crate) puback_p50_ms: f64,
    pub(crate) puback_p99_ms: f64,
    pub(crate) rows: u64,
    pub(crate) files: u64,
    pub(crate) bytes_per_row: f64,
    pub(crate) bytes_per_row_by_column: BTreeMap<String, f64>,
    pub(crate) cpu_seconds: BTreeMap<&'static str, f64>,
    pub(crate) rss_mb: BTreeMap<&'static str, f64>,
    /// JSON decode and Parquet encode from memory, on one core.
    pub(crate) limit_decode_encode_rows_per_second: f64,
    /// Append to the spool alone, everything synced at the end.
    pub(crate) limit_spool_messages_per_second: f64,
    /// `messages_per_second` over the first limit.
    pub(crate) ratio_to_limit: f64,
    pub(crate) ratio_to_spool: f64,
    /// The same load through mosquitto to a subscriber that counts: a broker alone, storing nothing.
    pub(crate) mosquitto_messages_per_second: Option<f64>,
    pub(crate) ratio_to_mosquitto: Option<f64>,
}

impl PathReport {
    pub(crate) fn add(&mut self, part: &'static str, usage: Usage) {
        self.cpu_seconds.insert(part, usage.cpu_seconds);
        self.rss_mb.insert(part, usage.rss_mb);
    }

    pub(crate) fn print(&self, json: bool) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            writeln!(out)?;
            return Ok(());
        }
        writeln!(
            out,
            "{:>12.0} messages/s from first publish to last row readable ({} in {:.2} s, {} connections)",
            self.messages_per_second, self.messages, self.seconds, self.connections
        )?;
        writeln!(
            out,
            "{:>12.0} messages/s from first publish to last PUBACK; PUBACK p50 {:.1} ms, p99 {:.1} ms",
            self.acknowledged_per_second, self.puback_p50_ms, self.puback_p99_ms
        )?;
        if let (Some(rate), Some(ratio)) =
            (self.mosquitto_messages_per_second, self.ratio_to_mosquitto)
        {
            writeln!(
                out,
                "{rate:>12.0} messages/s through mosquitto to a counting subscriber, storing nothing: ours is {ratio:.2} x"
            )?;
        }
        writeln!(
            out,
            "{:>12.0} rows/s JSON decode and Parquet encode from memory, one core: ours is {:.2} x",
            self.limit_decode_encode_rows_per_second, self.ratio_to_limit
        )?;
        writeln!(
            out,
            "{:>12.0} messages/s spool append alone: ours is {:.2} x",
            self.limit_spool_messages_per_second, self.ratio_to_spool
        )?;
        writeln!(
            out,
            "{:>12.2} bytes a row over {} rows in {} files",
            self.bytes_per_row, self.rows, self.files
        )?;
        for (column, bytes) in
            self.bytes_per_row_by_column.iter().filter(|(_, bytes)| **bytes >= 0.01)
        {
            writeln!(out, "{bytes:>16.2} {column}")?;
        }
        for (part, cpu) in &self.cpu_seconds {
            let rss = self.rss_mb.get(part).copied().unwrap_or_default();
            writeln!(out, "{part:>12}: {cpu:.2} CPU s, peak RSS {rss:.1} MB")?;
        }
        Ok(())
    }
}
