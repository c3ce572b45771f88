//! The spool against a plain `Vec`, and the uplink against a model of ingest.

mod books;
mod cached;
mod loss;
mod model;
mod power_loss;
mod recovery;
pub(crate) mod test_disk;
mod uplink;

use std::path::Path;

use telemetry_core::frame::FRAME_MAX;
use telemetry_core::id::{Epoch, Offset};
use telemetry_core::spool::format::{Format, Key, Parsed};
use telemetry_core::spool::plan::WhenFull;
use telemetry_core::spool::record::Item;

use crate::Fresh;
use crate::config::SpoolOptions;
use crate::metrics::SpoolMetrics;
use crate::spool::{Appended, Spool, SpoolError};
use crate::tail::Message;
use crate::{SpoolConfig, reader::Batch};

/// A folder in memory where there is one: thousands of spools are opened, each with its syncs.
fn fast_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

const KEY: Key = Key::from_random(0x5eed);
const V2: Format = Format::V2(KEY);

fn fresh(epoch: u64) -> Fresh {
    Fresh { epoch: Epoch::from_random(epoch), key: KEY }
}

/// A spool with its writer on a thread.
struct Running {
    spool: Spool,
    writer: Option<std::thread::JoinHandle<Result<(), SpoolError>>>,
}

impl Running {
    fn open(folder: &Path, config: SpoolConfig) -> Self {
        Self::try_open(folder, config, 7).unwrap()
    }

    fn try_open(folder: &Path, config: SpoolConfig, epoch: u64) -> Result<Self, SpoolError> {
        let config = SpoolConfig { dir: folder.join("spool"), ..config };
        let options = SpoolOptions { source_id: "s".parse().unwrap(), config };
        let (spool, writer) = Spool::open(&options, fresh(epoch), SpoolMetrics::default())?;
        let writer = Some(std::thread::spawn(move || writer.run()));
        Ok(Self { spool, writer })
    }

    fn append(&self, payloads: &[Vec<u8>]) -> Appended {
        let messages = payloads.iter().map(|payload| Message {
            publisher: "p",
            topic: "t",
            attributes: &[],
            payload,
        });
        self.spool.append(1, messages)
    }

    /// Waits until everything appended is on disk; returns its end.
    fn sync(&self) -> Offset {
        let end = self.spool.status().appended;
        let mut progress = self.spool.progress();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(progress.wait_for(|now| now.synced >= end || now.failed)).unwrap();
        end
    }

    fn close(mut self) {
        self.spool.close();
        self.writer.take().unwrap().join().unwrap().unwrap();
    }

    /// Reads everything from `from` on, as payloads, with `None` for each offset in a gap.
    fn read(&self, from: Offset, raw_max: usize) -> Vec<Option<Vec<u8>>> {
        let limit = self.spool.progress().borrow().synced;
        let (mut reader, mut at, mut found) = (self.spool.reader(), from, Vec::new());
        while at < limit {
            let Batch { format, records, end, .. } = reader.read(at, limit, raw_max).unwrap();
            assert!(end > at, "reading makes progress");
            let mut rest = records.as_slice();
            while let Parsed::Item { item, len, .. } = format.parse(rest) {
                match item {
                    Item::Record(record) => found.push(Some(record.payload.to_vec())),
                    Item::Gap { count, .. } => found.extend((0..count).map(|_| None)),
                    Item::Unparsable { .. } => panic!("our own records parse"),
                }
                rest = &rest[len..];
            }
            at = end;
            assert_eq!(found.len() as u64, at - from, "offsets are dense");
        }
        found
    }
}

fn small(when_full: WhenFull) -> SpoolConfig {
    SpoolConfig {
        segment_bytes: 64 << 10,
        bytes_max: 1280 << 10,
        when_full,
        ..SpoolConfig::default()
    }
}

fn payload(n: u64) -> Vec<u8> {
    let len = usize::try_from(n * 37 % 3000).unwrap();
    let mut bytes = n.to_le_bytes().to_vec();
    bytes.resize(len.max(8), 0x5a);
    bytes
}

fn read_all(running: &Running, from: Offset) -> Vec<Option<Vec<u8>>> {
    running.read(from, FRAME_MAX)
}
