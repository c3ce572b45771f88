//! The journal: what was sent, what it must become, and what was acknowledged.
//!
//! A folder of append-only files `run-{run:06}-{part:06}.journal`; every process start takes the next run number. Each
//! file stands alone:
//!
//! ```text
//! file    = "TMJN" | version u8 | record…
//! record  = len u16 | crc32c u32 | body             len: of the body; crc32c: of the body
//! body    = 1 | device u32 | site | device_id       a device that later records of this file name by its number
//!         | 2 | device u32 | stream u8 | outcome u8 | rows u32 | boot i64 | seq i64
//!             | key u128 | dead_key u128 | fingerprint u128          a message, sent for the first time
//!         | 3 | key u128                            the same message, sent once more
//!         | 4 | key u128                            an acknowledgement
//!         | 5 | key u128 | reason u8                a refusal; the send did not count
//! text    = len u8 | UTF-8
//! stream  = 0 readings, 1 status, 2 fhir, 3 values  outcome = 0 rows, 1 dead letter, 2 any
//! ```
//!
//! Little endian. Records 2 and 3 are written before the first byte of the message leaves, 4 and 5 after the answer came,
//! so at any instant the journal knows at least as many sends and at most as many acknowledgements as there were. Records are
//! handed to the operating system at once but not synced: they survive the death of the process, not of the machine.
//! A torn record ends a file; what is before it counts. A process that is killed tears the last record of its run; one that is torn
//! elsewhere, or a part that is missing, makes a journal that proves nothing.

mod format;
mod reader;
mod writer;

pub use format::{Entry, FORMAT_VERSION, Intent};
pub use reader::{Hole, JournalReader, Read, ReadError};
pub use writer::{Journal, JournalError};
