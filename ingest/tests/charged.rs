//! Whatever messages hold: no panic, and a batch is charged for what it holds. `ingest/fuzz` looks for what this has not thought of.
//! One test, because the allocator counts for the whole process.

#[path = "charged/kit.rs"]
mod kit;

use kit::Recipe;
use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

fn recipe() -> impl Strategy<Value = Recipe> {
    let many = prop_oneof![0_u16..20, 0_u16..3000, Just(30_000)];
    let long = prop_oneof![1_u16..9, 0_u16..1100];
    (any::<u8>(), many, long, any::<u64>()).prop_map(|(kind, many, long, seed)| Recipe {
        kind,
        many,
        long,
        seed,
    })
}

fn message() -> impl Strategy<Value = (&'static str, Vec<u8>)> {
    let topics = ["dt/icu/mon-1/readings", "dt/icu/ehr/fhir", "dt/icu/mon-1/status", "x", ""];
    let anything =
        (prop::sample::select(topics.to_vec()), prop::collection::vec(any::<u8>(), 0..300));
    prop_oneof![8 => recipe().prop_map(Recipe::message), 1 => anything]
}

fn check(messages: &[(&str, Vec<u8>)]) {
    kit::check(messages, || HEAP.current_usage(), || HEAP.peak_usage(), || HEAP.reset_peak_usage());
}

fn status(detail: &str) -> (&'static str, Vec<u8>) {
    ("dt/icu/mon-1/status", format!(r#"{{"status":"on","detail":["{detail}"]}}"#).into_bytes())
}

#[test]
fn inv8_a_batch_is_charged_for_what_it_holds() {
    // A short text after a long one: where there was room for just the first, there is room for two of them.
    check(&[status(&"a".repeat(440_000)), status("b")]);
    let config =
        ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
    let messages = prop::collection::vec(message(), 1..16);
    let tried = TestRunner::new(config).run(&messages, |messages| {
        check(&messages);
        Ok(())
    });
    if let Err(problem) = tried {
        panic!("{problem}");
    }
}
