//! The lake from outside: what is landed can be read, by anybody, exactly once.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "lake/archive.rs"]
mod archive;
#[path = "lake/books.rs"]
mod books;
#[path = "lake/checkpoints.rs"]
mod checkpoints;
#[path = "lake/compaction.rs"]
mod compaction;
#[path = "lake/declared.rs"]
mod declared;
#[path = "lake/erase.rs"]
mod erase;
#[path = "lake/features.rs"]
mod features;
#[path = "lake/foreign.rs"]
mod foreign;
#[path = "lake/grow.rs"]
mod grow;
#[path = "interleave/mod.rs"]
mod interleave;
#[path = "lake/kit.rs"]
mod kit;
#[path = "lake/maintenance.rs"]
mod maintenance;
#[path = "lake/place.rs"]
mod place;
#[path = "lake/protocol.rs"]
mod protocol;
#[path = "lake/reading.rs"]
mod reading;
#[path = "lake/s3.rs"]
mod s3;
#[path = "lake/script.rs"]
mod script;
#[path = "lake/silence.rs"]
mod silence;
#[path = "lake/sweep.rs"]
mod sweep;
#[path = "lake/together.rs"]
mod together;
#[path = "lake/views.rs"]
mod views;
#[path = "lake/whole.rs"]
mod whole;
