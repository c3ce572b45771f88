//! What is told of messages that are followed.

use telemetry_core::id::Epoch;

use super::*;

fn place(generation: u32, offset: u64) -> Place {
    Place { epoch: Epoch::from_random(7), generation, offset }
}

fn followed(of: &[(Place, bool)]) -> Followed {
    let mut messages = HashMap::new();
    for (place, is_own) in of {
        let trace = Trace { context: Context::new(), is_own: *is_own, came_us: 1_000 };
        let accepted = Accepted { trace, place: *place };
        messages.insert(accepted.key(), (accepted, None));
    }
    Followed { source: "gw".parse().unwrap(), messages }
}

fn spool(generation: u32, synced: u64) -> Progress {
    Progress { generation, synced, appended: 100, ..Progress::default() }
}

/// The names of spans, sorted.
fn names(spans: &[Span]) -> Vec<&'static str> {
    let mut names: Vec<_> = spans.iter().map(Span::name).collect();
    names.sort();
    names
}

#[test]
fn a_message_is_told_of_when_it_is_stored_and_when_it_is_readable() {
    let mut followed = followed(&[(place(1, 5), true), (place(1, 9), false)]);
    assert!(followed.look(&spool(1, 5), 0, 2_000).is_empty(), "neither is stored");
    assert_eq!(names(&followed.look(&spool(1, 6), 5, 3_000)), ["store"]);
    assert_eq!((followed.any(true), followed.any(false)), (true, true));
    assert_eq!(names(&followed.look(&spool(1, 6), 6, 4_000)), ["message", "receipt"]);
    assert_eq!(names(&followed.look(&spool(1, 10), 10, 5_000)), ["receipt", "store"]);
    assert!(followed.messages.is_empty());
}

#[test]
fn a_spool_that_has_gone_on_in_a_new_epoch_or_failed_ends_the_waiting() {
    let mut left = followed(&[(place(1, 5), true)]);
    // Offsets of another epoch say nothing of it; all of an earlier one is stored.
    assert_eq!(names(&left.look(&spool(2, 0), 100, 2_000)), ["store"]);
    assert!(left.messages.is_empty());
    let mut lost = followed(&[(place(1, 5), true)]);
    let failed = Progress { failed: true, ..spool(1, 0) };
    assert!(lost.look(&failed, 0, 2_000).is_empty() && lost.messages.is_empty());
}
