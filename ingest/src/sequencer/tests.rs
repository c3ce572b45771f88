//! What a source can be told, and by whom it is crowded out.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn key() -> Key {
    ("gw".parse().unwrap(), Epoch::from_random(1))
}

fn frame(first_offset: u64, count: u64) -> FrameHeader {
    let (source_id, epoch) = key();
    FrameHeader {
        source_id,
        epoch,
        oldest: 0,
        first_offset,
        count,
        appended: first_offset + count,
        format: telemetry_core::spool::format::Format::V1,
    }
}

fn started() -> Sequencer {
    let mut sequencer = Sequencer::new(2, [(key(), 10, 77)]);
    assert_eq!(
        sequencer.answers(SECOND).len(),
        1,
        "a new process tells every known source where it is"
    );
    sequencer
}

#[test]
fn a_frame_that_continues_is_taken_with_the_chain_it_must_carry() {
    let mut sequencer = started();
    assert_eq!(
        sequencer.offer(SECOND, &frame(10, 5), true),
        Verdict::Take { next: 10, chain: Some(77) }
    );
    sequencer.took(&key(), 15, 88);
    assert_eq!(
        sequencer.offer(SECOND, &frame(15, 5), true),
        Verdict::Take { next: 15, chain: Some(88) }
    );
    assert_eq!(sequencer.position(&key()), Some((10, 15)));
    assert!(
        sequencer.answers(SECOND * 9).is_empty(),
        "nothing landed, nothing is wrong, nothing to say"
    );
}

#[test]
fn an_overlapping_frame_gives_its_tail_and_a_repeat_is_answered() {
    let mut sequencer = started();
    assert_eq!(
        sequencer.offer(SECOND, &frame(8, 5), true),
        Verdict::Take { next: 10, chain: Some(77) }
    );
    assert_eq!(sequencer.offer(SECOND, &frame(5, 5), true), Verdict::Repeat);
    let answers = sequencer.answers(SECOND * 2);
    assert_eq!(answers[0].resend_from, None);
    assert_eq!((answers[0].landed, answers[0].chain), (10, 77));
}

#[test]
fn a_gap_is_answered_with_where_to_resend_from_and_not_too_often() {
    let mut sequencer = started();
    for n in 0..10 {
        assert_eq!(sequencer.offer(SECOND * 2, &frame(20 + n, 1), true), Verdict::Gap);
    }
    assert_eq!(sequencer.answers(SECOND * 2)[0].resend_from, Some(10));
    assert_eq!(sequencer.offer(SECOND * 2, &frame(30, 1), true), Verdict::Gap);
    assert!(sequencer.answers(SECOND * 2).is_empty(), "held back");
    assert_eq!(sequencer.answers(SECOND * 3).len(), 1, "but owed");
}

#[test]
fn a_probe_of_a_new_source_opens_its_window() {
    let mut sequencer = Sequencer::new(2, []);
    assert_eq!(sequencer.offer(SECOND, &frame(0, 0), true), Verdict::Repeat);
    let answer = sequencer.answers(SECOND).remove(0);
    assert_eq!((answer.landed, answer.chain, answer.closed), (0, CHAIN_START, false));
}

fn of(name: &str, epoch: u64) -> FrameHeader {
    let (source_id, epoch) = (name.parse().unwrap(), Epoch::from_random(epoch));
    FrameHeader { source_id, epoch, ..frame(0, 1) }
}

/// Takes what the header announces, if it may.
fn takes(sequencer: &mut Sequencer, now: Duration, header: &FrameHeader) -> bool {
    let taken = matches!(sequencer.offer(now, header, true), Verdict::Take { .. });
    if taken {
        sequencer.took(&(header.source_id.clone(), header.epoch), header.end(), 5);
    }
    taken
}

#[test]
fn inv8_sources_beyond_the_limit_are_refused() {
    let mut sequencer = started();
    assert!(takes(&mut sequencer, SECOND, &frame(10, 1)));
    assert!(takes(&mut sequencer, SECOND, &of("a", 1)));
    assert_eq!(sequencer.offer(SECOND, &of("b", 1), true), Verdict::TooMany);
    assert!(takes(&mut sequencer, SECOND, &frame(11, 1)), "known ones are served");
    // What is received is on its way to the lake, however long that takes.
    assert_eq!(sequencer.offer(SECOND * 3600, &of("b", 1), true), Verdict::TooMany);
    for key in [key(), (of("a", 1).source_id, of("a", 1).epoch)] {
        let (_, next) = sequencer.position(&key).unwrap();
        sequencer.landed([(key, next, 5)]);
    }
    assert!(takes(&mut sequencer, SECOND * 3600, &of("b", 1)), "the others are not alive any more");
    assert!(takes(&mut sequencer, SECOND * 3600, &frame(12, 1)), "and are not forgotten");
}

#[test]
fn inv8_every_life_of_a_spool_is_one_source() {
    let lives = (1..100).map(|epoch| (("gw".parse().unwrap(), Epoch::from_random(epoch)), 10, 77));
    let mut sequencer =
        Sequencer::new(2, lives.chain([(("old".parse().unwrap(), Epoch::from_random(1)), 10, 77)]));
    for epoch in 100_u32..110 {
        assert!(takes(&mut sequencer, SECOND * epoch, &of("gw", epoch.into())), "{epoch}");
    }
    assert!(
        takes(&mut sequencer, SECOND * 120, &of("new", 1)),
        "who landed long ago takes no place"
    );
    assert_eq!(sequencer.offer(SECOND * 120, &of("another", 1), true), Verdict::TooMany);
}

#[test]
fn inv8_probes_of_made_up_sources_and_epochs_crowd_nobody_out() {
    let mut sequencer = started();
    let probe = |name: &str, epoch| FrameHeader { count: 0, ..of(name, epoch) };
    for n in 0..1000 {
        // Of its own id only epochs can be made up, by who has the source's rights; ids by who may send as anybody.
        assert_eq!(sequencer.offer(SECOND, &probe("gw", 100 + n), true), Verdict::Repeat);
        assert_eq!(
            sequencer.offer(SECOND, &probe(&format!("made-up-{n}"), 1), true),
            Verdict::Repeat
        );
    }
    assert!(sequencer.sources.len() <= 2 * 16 + 1, "{}", sequencer.sources.len());
    assert!(takes(&mut sequencer, SECOND, &frame(10, 1)), "the source itself is served");
    assert!(takes(&mut sequencer, SECOND, &of("gw", 7)), "in a new life too");
    assert!(takes(&mut sequencer, SECOND, &of("new", 1)), "and who comes and sends");
}

#[test]
fn inv8_without_memory_the_window_closes_and_opens_again_after_a_landing() {
    let mut sequencer = started();
    assert_eq!(sequencer.offer(SECOND * 2, &frame(10, 5), false), Verdict::Full);
    let answer = sequencer.answers(SECOND * 2).remove(0);
    assert_eq!((answer.closed, answer.resend_from), (true, Some(10)));
    sequencer.landed([]);
    let answer = sequencer.answers(SECOND * 3).remove(0);
    assert_eq!((answer.closed, answer.resend_from), (false, Some(10)));
}

#[test]
fn inv7_only_a_landing_moves_what_receipts_say() {
    let mut sequencer = started();
    sequencer.took(&key(), 500, 5);
    sequencer.connected();
    assert_eq!(sequencer.answers(SECOND * 2)[0].landed, 10);
    sequencer.landed([(key(), 500, 5)]);
    assert_eq!(
        sequencer.answers(SECOND * 2)[0].landed,
        500,
        "at once, however recent the last answer"
    );
}

#[test]
fn after_a_lost_landing_everything_since_is_asked_for_again() {
    let mut sequencer = started();
    sequencer.took(&key(), 500, 5);
    sequencer.reset([(key(), 30, 6)]);
    let answer = sequencer.answers(SECOND * 2).remove(0);
    assert_eq!((answer.landed, answer.resend_from), (30, Some(30)));
    assert_eq!(
        sequencer.offer(SECOND * 2, &frame(30, 1), true),
        Verdict::Take { next: 30, chain: Some(6) }
    );
}

#[test]
fn what_a_source_no_longer_has_is_skipped_only_after_asking_the_ledger() {
    let mut sequencer = started();
    let header = FrameHeader { oldest: 100, ..frame(100, 5) };
    assert_eq!(sequencer.offer(SECOND, &header, true), Verdict::Gone { from: 10, oldest: 100 });
    sequencer.skip(&key(), 100);
    assert_eq!(sequencer.offer(SECOND, &header, true), Verdict::Take { next: 100, chain: None });
}

#[test]
fn who_asks_for_less_than_a_source_still_has_looks_at_the_ledger_but_not_all_the_time() {
    let mut sequencer = started();
    let ahead = FrameHeader { oldest: 100, ..frame(150, 5) };
    assert_eq!(sequencer.offer(SECOND, &ahead, true), Verdict::Behind);
    assert_eq!(sequencer.offer(SECOND, &ahead, true), Verdict::Gap, "the ledger knew no better");
    sequencer.reset([(key(), 100, 8)]);
    assert_eq!(sequencer.answers(SECOND)[0].resend_from, Some(100));
    let ahead = FrameHeader { oldest: 120, ..ahead };
    assert_eq!(sequencer.offer(SECOND * 5, &ahead, true), Verdict::Gap);
    assert_eq!(sequencer.offer(SECOND * 6, &ahead, true), Verdict::Behind);
}

#[test]
fn the_memory_is_shared_by_the_sources_that_send() {
    assert_eq!(window(192 << 20, 0), 192 << 20);
    assert_eq!(window(192 << 20, 3), 64 << 20);
    assert_eq!(window(1 << 20, 10_000), 128 << 10);
    let mut sequencer = started();
    assert_eq!(sequencer.active(SECOND), 0);
    let _taken = sequencer.offer(SECOND, &frame(10, 1), true);
    assert_eq!((sequencer.active(SECOND), sequencer.active(SECOND * 60)), (1, 0));
}
