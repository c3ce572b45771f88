//! The spool's format on disk and the decisions about it: what a record is, when segments roll, what recovery keeps.
//!
//! A spool is a directory per epoch with segment files, appended to by one writer:
//!
//! ```text
//! {first_offset:020}.seg = segment header | record | record | …
//!
//! segment header, 52 bytes, little-endian:
//! magic "TMSPOOL" | version u8 | epoch u64 | first_offset u64 | chain u64 | key u64 | source u32 | reserved u32
//! | crc32c u32 of what precedes
//! ```
//!
//! `key` is the spool's secret: [`format`](mod@format) says what for. `source` is the crc32c of the source's name. Version 1, which is
//! still read, has neither (40 bytes).
//!
//! [`record`] has the layout of a record. Records are appended and never rewritten; a segment is deleted whole, when
//! everything in it is landed (or evicted, if the operator chose `drop_oldest`). Only the last segment can be torn by a
//! crash: [`recovery`] cuts the torn tail and never an intact record.

pub mod attributes;
pub mod format;
pub mod plan;
pub mod record;
pub mod recovery;
pub mod segment;
