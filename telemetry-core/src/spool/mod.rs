//! The spool's format on disk and the decisions about it: what a record is, when segments roll, what recovery keeps.
//!
//! A spool is a directory per epoch with segment files, appended to by one writer:
//!
//! ```text
//! {first_offset:020}.seg = segment header | record | record | …
//!
//! segment header, 40 bytes, little-endian:
//! magic "TMSPOOL" | version u8 | epoch u64 | first_offset u64 | chain u64 | reserved u32 | crc32c u32 of what precedes
//! ```
//!
//! [`record`] has the layout of a record. Records are appended and never rewritten; a segment is deleted whole, when
//! everything in it is landed (or evicted, if the operator chose `drop_oldest`). Only the last segment can be torn by a
//! crash: [`recovery`] cuts the torn tail and never an intact record.

pub mod plan;
pub mod record;
pub mod recovery;
pub mod segment;
