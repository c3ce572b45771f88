//! QoS 1 and 2 with one subscriber, step by step, beside a model.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| gateway::fuzzing::exchange(data));
