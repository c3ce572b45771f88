//! Arbitrary payloads, cuts and flips of a spool's segment: see the kit.
#![no_main]

#[path = "../../tests/recovery/kit.rs"]
mod kit;

libfuzzer_sys::fuzz_target!(|data: &[u8]| kit::play(data));
