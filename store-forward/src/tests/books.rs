//! The books balance whatever happens: accepted = landed + pending + dropped, against a list of every single offset.

use std::collections::BTreeSet;

use proptest::prelude::*;
use service_runtime::{Clock, Metrics};
use tokio::sync::watch;

use super::*;
use crate::status::{self, SourceStatus, source_status};
use crate::uplink::UplinkStatus;

fn books(running: &Running) -> SourceStatus {
    source_status(&running.spool, &UplinkStatus::default(), Clock::default())
}

/// The same books, kept by hand.
#[derive(Debug, Default)]
struct Truth {
    accepted: u64,
    landed: u64,
    /// Offsets that were sent as gaps.
    announced: BTreeSet<u64>,
}

impl Truth {
    fn check(&self, running: &Running) {
        let books = books(running);
        let oldest = running.spool.oldest(self.landed);
        let is_dropped = |offset: &u64| {
            self.announced.contains(offset) || (self.landed..oldest).contains(offset)
        };
        let dropped = (0..self.accepted).filter(is_dropped).count() as u64;
        let landed = (0..self.landed).filter(|at| !self.announced.contains(at)).count() as u64;
        assert_eq!(
            (books.accepted, books.landed_messages, books.dropped),
            (self.accepted, landed, dropped),
            "{books:?}"
        );
        assert_eq!(books.accepted, books.landed_messages + books.pending + books.dropped);
        assert_eq!(books.oldest_pending_us.is_some(), self.landed < self.accepted);
    }

    /// Sends everything up to `end`, as the uplink does.
    fn send(&mut self, running: &Running, end: u64) {
        let (mut reader, mut at) = (running.spool.reader(), self.landed);
        while at < end {
            let batch = reader.read(at, end, FRAME_MAX).unwrap();
            if batch.gap.is_some() {
                running.spool.announced(at, batch.end);
                self.announced.extend(at..batch.end);
            }
            at = batch.end;
        }
    }

    fn land(&mut self, running: &Running, end: u64) {
        // An end within a hole has no chain value of its own: ingest lands whole gaps.
        if let Some(chain) = running.spool.reader().chain_at(end).unwrap() {
            running.spool.landed(end, chain, "lake");
            self.landed = end;
        }
    }
}

#[derive(Debug, Clone)]
enum Op {
    Append(u64),
    Send(f64),
    Land(f64),
    Reopen,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u64..200).prop_map(Op::Append),
        2 => (0.0..=1.0).prop_map(Op::Send),
        2 => (0.0..=1.0).prop_map(Op::Land),
        1 => Just(Op::Reopen),
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a fraction of a small number"
)]
pub(super) fn part(from: u64, to: u64, fraction: f64) -> u64 {
    from + ((to - from) as f64 * fraction) as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn inv4_accepted_is_landed_and_pending_and_dropped_at_any_time(ops in prop::collection::vec(op(), 1..40)) {
        let folder = fast_folder();
        // Small enough for a few hundred messages to push the oldest out.
        let config = SpoolConfig { bytes_max: 1280 << 10, ..small(WhenFull::DropOldest) };
        let mut running = Running::open(folder.path(), config.clone());
        let (mut truth, mut sent) = (Truth::default(), 0);
        for op in ops {
            match op {
                Op::Append(count) => {
                    for _ in 0..count {
                        prop_assert_eq!(running.append(&[vec![7; 4000]]).refused, None);
                        running.sync();
                        truth.accepted += 1;
                    }
                }
                Op::Send(fraction) => {
                    sent = part(truth.landed, truth.accepted, fraction);
                    truth.send(&running, sent);
                }
                Op::Land(fraction) => {
                    let to = part(truth.landed, sent.max(truth.landed), fraction);
                    truth.land(&running, to);
                }
                Op::Reopen => {
                    running.close();
                    running = Running::open(folder.path(), config.clone());
                }
            }
            truth.check(&running);
        }
        running.close();
    }
}

#[test]
fn inv4_damage_is_dropped_once_it_is_known_and_stays_so_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    for n in 0..100 {
        running.append(&[payload(n)]);
        running.sync();
    }
    running.close();
    recovery::flip_a_bit(folder.path(), 0, 5000);
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    let mut truth = Truth { accepted: 100, ..Truth::default() };
    assert_eq!(books(&running).dropped, 0, "nobody has looked yet");
    truth.send(&running, 100);
    assert_eq!(truth.announced.len(), 1);
    truth.check(&running);
    // Twice: the first sync may come before the state is saved, the second comes after it.
    for n in 100..102 {
        running.append(&[payload(n)]);
        running.sync();
    }
    truth.accepted = 102;
    let killed = tempfile::tempdir().unwrap();
    recovery::copy_folder(&folder.path().join("spool"), &killed.path().join("spool"));
    let after = Running::open(killed.path(), small(WhenFull::Refuse));
    truth.check(&after);
    truth.land(&after, 90);
    truth.check(&after);
    after.close();
    let again = Running::open(killed.path(), small(WhenFull::Refuse));
    truth.check(&again);
    again.close();
    running.close();
}

#[test]
fn lag_is_the_age_of_the_oldest_pending_message_also_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    for n in 0..50_u64 {
        let message = Message { publisher: "p", topic: "t", attributes: &[], payload: &payload(n) };
        running.spool.append(1_000_000 * i64::try_from(n).unwrap(), [message]);
    }
    running.sync();
    assert_eq!(books(&running).oldest_pending_us, Some(0));
    let chain = running.spool.reader().chain_at(30).unwrap().unwrap();
    running.spool.landed(30, chain, "lake");
    assert_eq!(books(&running).oldest_pending_us, Some(30_000_000));
    running.close();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    assert_eq!(books(&running).oldest_pending_us, Some(30_000_000));
    assert!(books(&running).lag_seconds > 1e6, "these messages are from 1970");
    let chain = running.spool.reader().chain_at(50).unwrap().unwrap();
    running.spool.landed(50, chain, "lake");
    let books = books(&running);
    assert_eq!((books.oldest_pending_us, books.lag, books.lag_seconds.to_bits()), (None, 0, 0));
    running.close();
}

#[test]
fn the_books_are_metrics_too() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    let (metrics, uplink) = (Metrics::default(), watch::Sender::new(UplinkStatus::default()));
    let (spool, clock) = (running.spool.clone(), Clock::default());
    status::register(&metrics, "agent", spool, uplink.subscribe(), clock);
    running.append(&(0..10).map(payload).collect::<Vec<_>>());
    running.sync();
    let chain = running.spool.reader().chain_at(4).unwrap().unwrap();
    running.spool.landed(4, chain, "lake");
    let text = metrics.render();
    let labels = "{source=\"s\",epoch=\"0000000000000007\"}";
    for (name, value) in [("accepted", 10), ("landed", 4), ("pending", 6), ("dropped", 0)] {
        let line = format!("agent_source_messages_{name}{labels} {value}\n");
        assert!(text.contains(&line), "{line} in {text}");
    }
    assert!(text.contains(&format!("agent_source_lag_seconds{labels} ")), "{text}");
    running.close();
}
