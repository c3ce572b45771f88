//! Any bytes as messages, and messages of all kinds and sizes: no panic, and a batch is charged for what it holds.
#![no_main]

#[path = "../../tests/charged/kit.rs"]
mod kit;

use kit::Recipe;
use peak_alloc::PeakAlloc;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

const TOPICS: [&str; 5] =
    ["dt/icu/mon-1/readings", "dt/icu/ehr/fhir", "dt/icu/mon-1/status", "dt/icu/mon-1/x", ""];
const MESSAGES_MAX: usize = 32;

/// The first byte of each message says whether bytes follow as they are, and on which topic, or a recipe.
fn messages(mut data: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut messages = Vec::new();
    while let Some((first, rest)) = data.split_first()
        && messages.len() < MESSAGES_MAX
    {
        if let (true, Some((recipe, rest))) = (*first < 128, rest.split_first_chunk::<8>()) {
            let [kind, many, more, long, longer, seed @ ..] = *recipe;
            let many = u16::from_le_bytes([many, more]);
            let long = u16::from_le_bytes([long, longer]);
            let seed = seed.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            messages.push(Recipe { kind, many, long, seed }.message());
            data = rest;
        } else {
            let topic = TOPICS[usize::from(*first) % TOPICS.len()];
            // A zero ends a payload: JSON has none.
            let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
            messages.push((topic, rest[..end].to_vec()));
            data = rest.get(end + 1..).unwrap_or_default();
        }
    }
    messages
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    kit::check(
        &messages(data),
        || HEAP.current_usage(),
        || HEAP.peak_usage(),
        || HEAP.reset_peak_usage(),
    );
});
