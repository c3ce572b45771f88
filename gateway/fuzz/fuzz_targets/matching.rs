//! Subscriptions and fan-out, step by step, beside a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::matching(data));
