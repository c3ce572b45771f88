//! Scenarios and random schedules for [`Delivery`].

use proptest::prelude::*;

use super::*;

const EPOCH: u64 = 9;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn chain(offset: Offset) -> u64 {
    offset * 31
}

fn delivery(synced: Offset) -> Delivery {
    let mut delivery =
        Delivery::new(at(0), Epoch::from_random(EPOCH), None, 0, 0, Patience::default());
    delivery.on_synced(at(0), synced, synced);
    delivery
}

fn receipt(landed: Offset, window: u64) -> Receipt {
    Receipt {
        v: 1,
        lake_id: "lake".into(),
        source_id: "s".parse().unwrap(),
        epoch: Epoch::from_random(EPOCH),
        landed,
        chain: chain(landed),
        resend_from: None,
        window,
        word_ms: None,
        worker: "w".into(),
        at: 0,
    }
}

fn send(delivery: &mut Delivery, count: u64) {
    let Next::Frame { from, limit, .. } = delivery.next(at(0)) else { panic!("nothing to send") };
    let end = (from + count).min(limit);
    delivery.on_sent(end, count * 100, chain(end));
}

fn accept(delivery: &mut Delivery, receipt: &Receipt) -> Verdict {
    delivery.on_receipt(at(0), receipt, Some(chain(receipt.landed)))
}

#[test]
fn one_frame_is_in_flight_before_the_first_receipt() {
    let mut delivery = delivery(100);
    send(&mut delivery, 10);
    assert!(matches!(delivery.next(at(0)), Next::Wait { .. }));
    assert_eq!(accept(&mut delivery, &receipt(10, 1 << 20)), Verdict::Landed { landed: 10 });
    send(&mut delivery, 10);
    send(&mut delivery, 10);
    assert_eq!(delivery.positions().sent, 30);
}

#[test]
fn inv1_nothing_is_sent_before_its_sync() {
    let mut delivery = delivery(10);
    delivery.on_synced(at(0), 25, 10);
    assert!(matches!(delivery.next(at(0)), Next::Frame { from: 0, limit: 10, .. }));
}

#[test]
fn inv8_bytes_and_frames_in_flight_are_limited() {
    let mut wide = delivery(10_000);
    accept(&mut wide, &receipt(0, 300_000));
    for _ in 0..3 {
        send(&mut wide, 1000);
    }
    assert!(matches!(wide.next(at(0)), Next::Wait { .. }), "the window is used up");
    let mut many = delivery(10_000);
    accept(&mut many, &receipt(0, 1 << 30));
    for _ in 0..IN_FLIGHT_MAX {
        send(&mut many, 1);
    }
    assert!(matches!(many.next(at(0)), Next::Wait { .. }));
}

#[test]
fn a_closed_window_is_probed_and_opens_again() {
    let mut delivery = delivery(100);
    assert_eq!(accept(&mut delivery, &receipt(0, 0)), Verdict::Unchanged);
    let Next::Wait { until: Some(until) } = delivery.next(at(0)) else { panic!("must wait") };
    assert_eq!(delivery.next(until), Next::Probe { from: 0 });
    delivery.on_probed(until, 0);
    assert!(matches!(delivery.next(until), Next::Wait { .. }));
    accept(&mut delivery, &receipt(0, 1 << 20));
    assert!(matches!(delivery.next(at(0)), Next::Frame { from: 0, .. }));
}

#[test]
fn a_gap_seen_by_ingest_rewinds_once() {
    let mut delivery = delivery(100);
    accept(&mut delivery, &receipt(0, 1 << 30));
    (0..5).for_each(|_| send(&mut delivery, 10));
    let lost = Receipt { resend_from: Some(20), ..receipt(0, 1 << 30) };
    accept(&mut delivery, &lost);
    assert_eq!(delivery.positions().sent, 20);
    send(&mut delivery, 10);
    accept(&mut delivery, &lost);
    assert_eq!(delivery.positions().sent, 30, "the second answer to the same loss changes nothing");
}

#[test]
fn silence_leads_to_a_probe_and_later_to_a_rewind() {
    let mut delivery = delivery(10);
    send(&mut delivery, 10);
    assert!(matches!(delivery.next(at(4)), Next::Wait { .. }));
    assert_eq!(delivery.next(at(6)), Next::Probe { from: 10 });
    assert!(!delivery.on_time(at(59), 0));
    assert!(delivery.on_time(at(61), 0));
    assert_eq!(delivery.positions().sent, 0);
}

#[test]
fn a_source_whose_window_is_closed_for_long_sleeps_between_its_probes() {
    let mut delivery = delivery(100);
    accept(&mut delivery, &receipt(0, 0));
    for second in 1..300 {
        let now = at(second);
        delivery.on_time(now, 1);
        match delivery.next(now) {
            Next::Probe { .. } => delivery.on_probed(now, 1),
            Next::Wait { until } => {
                assert!(until.unwrap() > now, "waits until the past at {now:?}");
            }
            Next::Frame { .. } => panic!("the window is closed"),
        }
    }
}

#[test]
fn inv3_a_fork_frees_nothing_and_sends_nothing() {
    let mut forked = delivery(10);
    send(&mut forked, 10);
    let foreign = Receipt { chain: 1, ..receipt(10, 1) };
    let expected = Verdict::Fork(Fork { claimed: 10, common: 0 });
    assert_eq!(forked.on_receipt(at(0), &foreign, Some(chain(10))), expected);
    assert_eq!(forked.positions().landed, 0);
    assert_eq!(forked.next(at(1000)), Next::Wait { until: None });

    let mut behind = delivery(10);
    assert!(matches!(behind.on_receipt(at(0), &receipt(11, 1), None), Verdict::Fork(_)));
}

#[test]
fn a_second_lake_is_refused_and_a_stale_receipt_ignored() {
    let mut delivery = delivery(10);
    send(&mut delivery, 10);
    accept(&mut delivery, &receipt(5, 1));
    let other = Receipt { lake_id: "other".into(), ..receipt(10, 1) };
    assert!(matches!(accept(&mut delivery, &other), Verdict::Refused(Refusal::WrongLake { .. })));
    assert_eq!(accept(&mut delivery, &receipt(4, 1)), Verdict::Refused(Refusal::Stale));
    assert_eq!((delivery.positions().landed, delivery.positions().sent), (5, 10));
}

#[test]
fn a_worker_that_is_behind_gets_all_that_there_is_from_landed_on() {
    let mut delivery = delivery(10);
    send(&mut delivery, 10);
    accept(&mut delivery, &receipt(5, 1));
    let behind = Receipt { resend_from: Some(3), ..receipt(3, 1) };
    assert_eq!(accept(&mut delivery, &behind), Verdict::Refused(Refusal::Stale));
    assert_eq!((delivery.positions().landed, delivery.positions().sent), (5, 5));
}

#[derive(Debug, Clone)]
enum Event {
    Sync(u64),
    Send(u64),
    Lose,
    Arrive,
    Receipt,
    RepeatReceipt,
    Reconnect,
    Time(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (1u64..50).prop_map(Event::Sync),
        (1u64..30).prop_map(Event::Send),
        Just(Event::Lose),
        Just(Event::Arrive),
        Just(Event::Receipt),
        Just(Event::RepeatReceipt),
        Just(Event::Reconnect),
        (1u64..40).prop_map(Event::Time),
    ]
}

/// A model of ingest: takes frames in order, answers gaps, lands what it has.
#[derive(Default)]
struct Lake {
    next: Offset,
    landed: Offset,
    resend: Option<Offset>,
}

impl Lake {
    fn frame(&mut self, from: Offset, end: Offset) {
        if from > self.next {
            self.resend = Some(self.next);
        } else {
            self.next = self.next.max(end);
        }
    }

    fn receipt(&mut self) -> Receipt {
        self.landed = self.next;
        Receipt { resend_from: self.resend.take(), ..receipt(self.landed, 1 << 20) }
    }
}

proptest! {
    #[test]
    fn inv5_whatever_is_lost_or_repeated_positions_stay_ordered_and_all_arrives(events in prop::collection::vec(event(), 1..200)) {
        let mut delivery = delivery(1);
        let (mut lake, mut wire, mut now, mut synced) = (Lake::default(), VecDeque::new(), at(0), 1);
        let mut last = receipt(0, 1 << 20);
        let step = |delivery: &mut Delivery, wire: &mut VecDeque<_>, now, count: u64| match delivery.next(now) {
            Next::Frame { from, limit, .. } => {
                let end = (from + count).min(limit);
                delivery.on_sent(end, count * 100, chain(end));
                wire.push_back((from, end));
            }
            Next::Probe { from } => {
                delivery.on_probed(now, 7);
                wire.push_back((from, from));
            }
            Next::Wait { .. } => {}
        };
        for event in events {
            match event {
                Event::Sync(count) => {
                    synced += count;
                    delivery.on_synced(now, synced, synced);
                }
                Event::Send(count) => step(&mut delivery, &mut wire, now, count),
                Event::Lose => { wire.pop_front(); }
                Event::Arrive => if let Some((from, end)) = wire.pop_front() { lake.frame(from, end) },
                Event::Receipt => {
                    last = lake.receipt();
                    prop_assert!(!matches!(delivery.on_receipt(now, &last, Some(chain(last.landed))), Verdict::Fork(_)));
                }
                Event::RepeatReceipt => { delivery.on_receipt(now, &last, Some(chain(last.landed))); }
                Event::Reconnect => { wire.clear(); delivery.on_connected(now); }
                Event::Time(seconds) => { now += at(seconds); delivery.on_time(now, 3); }
            }
            let p = delivery.positions();
            prop_assert!(p.landed <= p.sent && p.sent <= p.synced && p.synced <= p.appended, "{p:?}");
            prop_assert!(p.landed <= lake.landed, "nothing is forgotten before it landed");
        }
        // The network heals: everything arrives in bounded time.
        for _ in 0..2000 {
            if delivery.positions().landed == synced { break }
            step(&mut delivery, &mut wire, now, 30);
            while let Some((from, end)) = wire.pop_front() { lake.frame(from, end) }
            let receipt = lake.receipt();
            delivery.on_receipt(now, &receipt, Some(chain(receipt.landed)));
            now += at(1);
            delivery.on_time(now, 3);
        }
        prop_assert_eq!(delivery.positions().landed, synced);
    }
}

#[test]
fn who_has_nothing_to_send_says_so_now_and_then_and_at_each_connection() {
    let mut idle = delivery(0);
    assert_eq!(idle.next(at(0)), Next::Probe { from: 0 });
    idle.on_probed(at(0), 0);
    assert_eq!(idle.next(at(1)), Next::Wait { until: Some(at(30)) });
    idle.on_connected(at(2));
    assert_eq!(idle.next(at(2)), Next::Probe { from: 0 });
    idle.on_probed(at(2), 0);
    // What is sent is what it says.
    idle.on_synced(at(3), 5, 5);
    send(&mut idle, 5);
    accept(&mut idle, &receipt(5, 1 << 20));
    assert_eq!(idle.positions().landed, 5);
    assert_eq!(idle.next(at(4)), Next::Wait { until: Some(at(32)) });
    assert_eq!(idle.next(at(32)), Next::Probe { from: 5 });
}

#[test]
fn inv14_who_is_asked_says_often_that_it_has_sent_all_also_before_that_has_landed() {
    let asking = |landed, word_ms| Receipt { word_ms: Some(word_ms), ..receipt(landed, 1 << 20) };
    let mut delivery = delivery(5);
    accept(&mut delivery, &asking(0, 10));
    send(&mut delivery, 3);
    assert!(matches!(delivery.next(at(0)), Next::Frame { .. }), "there is more");
    send(&mut delivery, 2);
    assert_eq!(delivery.next(at(0)), Next::Probe { from: 5 });
    delivery.on_probed(at(0), 0);
    assert_eq!(delivery.next(at(0)), Next::Wait { until: Some(at(1)) }, "not more often");
    assert_eq!(delivery.next(at(1)), Next::Probe { from: 5 });
    delivery.on_probed(at(1), 0);
    assert_eq!(delivery.next(at(1)), Next::Wait { until: Some(at(2)) });
    // Never less often than by itself, and as ever when nobody asks any more.
    accept(&mut delivery, &asking(5, u32::MAX));
    delivery.on_probed(at(2), 0);
    assert_eq!(delivery.next(at(2)), Next::Wait { until: Some(at(32)) });
    accept(&mut delivery, &receipt(5, 1 << 20));
    delivery.on_probed(at(3), 0);
    assert_eq!(delivery.next(at(3)), Next::Wait { until: Some(at(33)) });
}
