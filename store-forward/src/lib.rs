//! Store and forward: the spool on disk and the uplink that empties it.
//!
//! `append` puts messages behind each other in memory, one writer thread writes and syncs whatever has gathered (group
//! commit), and whoever has to acknowledge waits for [`Spool::progress`] to pass its offset (INV-1). The uplink reads
//! what is synced, sends it in frames and lets the spool forget it when a receipt covers it (INV-3).
#![warn(missing_docs)]

mod books;
pub mod config;
mod disk;
mod fork;
mod ingest_clock;
mod mark;
pub mod metrics;
mod opening;
mod reader;
mod spool;
mod standing;
mod state;
pub mod status;
mod tail;
pub mod uplink;
mod writer;

#[cfg(test)]
mod tests;

pub use config::{SpoolConfig, UplinkConfig};
pub use disk::DiskError;
pub use ingest_clock::IngestClock;
pub use opening::Fresh;
pub use spool::{CloseOnDrop, Spool, SpoolError, SpoolStatus};
pub use state::{Found, StateError, look, rebind};
pub use tail::{AppendError, Message, Place, Progress};
pub use writer::WriterThread;
