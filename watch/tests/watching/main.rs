//! Rows in, transitions out: the promises of watching, by the crate's own interface.
#![expect(clippy::unwrap_used, reason = "test code")]

mod conditions;
mod harness;
mod invariance;
mod late;
mod limits;
mod people;
mod silence;
mod state;
mod view;
