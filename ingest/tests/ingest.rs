//! Ingest from outside, without a broker: frames go in, rows are in the lake, receipts come back.
#![expect(clippy::unwrap_used, reason = "a test that can't go on fails")]

#[path = "ingest/any.rs"]
mod any;
#[path = "ingest/bad_input.rs"]
mod bad_input;
#[path = "ingest/broker.rs"]
mod broker;
#[path = "ingest/dates.rs"]
mod dates;
#[path = "ingest/declared.rs"]
mod declared;
#[path = "ingest/extra.rs"]
mod extra;
#[path = "ingest/fhir.rs"]
mod fhir;
#[path = "ingest/fhir_bundles.rs"]
mod fhir_bundles;
#[path = "ingest/fhir_readings.rs"]
mod fhir_readings;
#[path = "ingest/flow.rs"]
mod flow;
#[path = "ingest/heard.rs"]
mod heard;
#[path = "ingest/kit.rs"]
mod kit;
#[path = "ingest/memory.rs"]
mod memory;
#[path = "ingest/open.rs"]
mod open;
#[path = "ingest/recovery.rs"]
mod recovery;
#[path = "ingest/repeats.rs"]
mod repeats;
#[path = "ingest/replay.rs"]
mod replay;
#[path = "ingest/rows.rs"]
mod rows;
#[path = "ingest/truth.rs"]
mod truth;
#[path = "ingest/watching.rs"]
mod watching;
