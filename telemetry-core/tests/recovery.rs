//! Recovery of a segment that was cut, flipped and written over, with payloads that are made to mislead it.

use proptest::prelude::*;

#[path = "recovery/kit.rs"]
mod kit;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn inv4_no_message_is_forged_altered_or_lost_that_nothing_has_touched(script in prop::collection::vec(any::<u8>(), 0..600)) {
        kit::play(&script);
    }
}
