//! The audit on small lakes made by hand: each kind of damage is found, and named for what it is.

use std::io::Write;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::fingerprint::{DeadLetterRow, EventTime, Fingerprint, ReadingRow, Value};
use crate::journal::{Hole, Journal};
use crate::message::{Expectation, StreamKind};

const TOPIC: &str = "dt/s/d/readings";

fn reading(seq: i64, value: f64) -> ReadingRow<'static> {
    ReadingRow {
        site: "s",
        device_id: "d",
        metric: "oven",
        event: EventTime::At(seq),
        value: Value::Number(value),
        unit: None,
        quality: "good",
        patient_id: None,
        boot_id: Some(1),
        seq: Some(seq),
        extra: None,
        time_text: None,
    }
}

fn at(offset: i64, row_no: i32) -> Position<'static> {
    Position { source_id: "gw", epoch: 7, source_offset: offset, row_no }
}

/// The payload that message `seq` is imagined to have.
fn payload(seq: i64) -> Vec<u8> {
    seq.to_string().into_bytes()
}

/// A message of two rows.
fn intent(seq: i64) -> Intent {
    let mut expect = Expectation::default();
    expect.reading(&reading(seq, 1.0));
    expect.reading(&reading(seq, 2.0));
    let key = reading(seq, 0.0).key().unwrap();
    let dead_key = DeadLetterRow { topic: TOPIC, payload: &payload(seq) }.key();
    Intent { device: 0, stream: StreamKind::Readings, expect, boot: 1, seq, key, dead_key }
}

fn key(seq: i64) -> MessageKey {
    intent(seq).key
}

/// A journal and a lake.
struct Case {
    journal: tempfile::TempDir,
    rows: Vec<LakeRow>,
    next_offset: i64,
}

impl Case {
    fn new(entries: &[Entry]) -> Self {
        let journal = tempfile::tempdir().unwrap();
        let devices = vec![DeviceName::new("s", "d")];
        Journal::create(journal.path(), 1, devices).unwrap().write(entries).unwrap();
        Self { journal, rows: Vec::new(), next_offset: 0 }
    }

    fn land(mut self, seq: i64) -> Self {
        for (row_no, value) in [(0, 1.0), (1, 2.0)] {
            self.rows.push(LakeRow::reading(at(self.next_offset, row_no), &reading(seq, value)));
        }
        self.next_offset += 1;
        self
    }

    fn row(mut self, row: LakeRow) -> Self {
        self.rows.push(row);
        self
    }

    fn report(self) -> AuditReport {
        audit(&self.rows, self.journal.path())
    }
}

fn audit(rows: &[LakeRow], journal: &Path) -> AuditReport {
    let mut audit = Audit::new(None).unwrap();
    for row in rows {
        audit.add(row).unwrap();
    }
    audit.finish(journal).unwrap()
}

fn sent_and_acknowledged(seqs: impl IntoIterator<Item = i64>) -> Vec<Entry> {
    seqs.into_iter()
        .flat_map(|seq| [Entry::Send(intent(seq)), Entry::Acknowledged(key(seq))])
        .collect()
}

#[test]
fn inv5_everything_once_passes() {
    let case = (1..=100).fold(Case::new(&sent_and_acknowledged(1..=100)), Case::land);
    let report = case.report();
    assert!(report.passed, "{report}");
    assert_eq!((report.messages, report.acknowledged, report.landed), (100, 100, 100));
    assert_eq!((report.rows, report.messages_in_lake, report.devices), (200, 100, 1));
}

#[test]
fn inv10_a_member_that_is_neither_in_a_column_nor_in_extra_is_an_alteration() {
    let said = |extra| ReadingRow { extra, ..reading(1, 1.0) };
    for (extra, altered) in [(Some(r#"{"x":1.0}"#), 0), (Some(r#"{"x":1}"#), 1), (None, 1)] {
        let mut expect = Expectation::default();
        expect.reading(&said(Some(r#"{"x":1.0}"#)));
        let sent = Intent { expect, ..intent(1) };
        let case = Case::new(&[Entry::Send(sent), Entry::Acknowledged(key(1))]);
        let report = case.row(LakeRow::reading(at(0, 0), &said(extra))).report();
        assert_eq!((report.altered, report.passed), (altered, altered == 0), "{extra:?}");
    }
}

#[test]
fn inv12_a_journal_without_messages_or_promises_proves_nothing() {
    let report = Case::new(&[]).report();
    assert_eq!((report.unproven, report.passed), (vec![Unproven::Empty], false));
    let unheard: Vec<_> = (0..3).map(|seq| Entry::Send(intent(seq))).collect();
    let report = Case::new(&unheard).report();
    assert_eq!((report.unproven, report.passed), (vec![Unproven::NothingAcknowledged], false));
}

#[test]
fn inv12_a_journal_with_holes_proves_nothing_and_one_that_a_kill_cut_off_does() {
    let torn = |journal: &Path, more: &[u8]| {
        let mut file = std::fs::OpenOptions::new().append(true).open(journal.join(RUN)).unwrap();
        file.write_all(more).unwrap();
    };
    const RUN: &str = "run-000001-000000.journal";
    for (bytes, damaged) in [(&[17, 0, 1][..], false), (&[2, 0, 9, 9, 9, 9, 4, 4, 0], true)] {
        let case = Case::new(&sent_and_acknowledged([0])).land(0);
        torn(case.journal.path(), bytes);
        let report = case.report();
        let damage = Unproven::Hole(Hole::Damaged { file: RUN.into() });
        assert_eq!(report.unproven, if damaged { vec![damage] } else { Vec::new() });
        assert_eq!((report.torn_journals, report.passed), (1, !damaged));
    }
    let case = Case::new(&sent_and_acknowledged([0])).land(0);
    let (first, third) = (case.journal.path().join(RUN), "run-000001-000002.journal");
    std::fs::copy(first, case.journal.path().join(third)).unwrap();
    let missing = Unproven::Hole(Hole::Missing { file: "run-000001-000001.journal".into() });
    assert_eq!(case.report().unproven, [missing]);
}

#[test]
fn inv12_a_journal_of_another_lake_or_another_run_is_named() {
    let report = Case::new(&sent_and_acknowledged(0..30)).report();
    let elsewhere = Unproven::AnotherLake { acknowledged: 30 };
    assert_eq!((report.unproven, report.lost), (vec![elsewhere], 30));
    let mut case = Case::new(&sent_and_acknowledged(0..30));
    for seq in (0..30).chain(0..30) {
        case = case.land(seq);
    }
    let report = case.report();
    let twice = Unproven::AnotherRun { messages: 30, landed: 30 };
    assert_eq!((report.unproven, report.passed), (vec![twice], false));
    assert_eq!((report.doubled, report.other_run), (0, 30));
    let mut case = Case::new(&sent_and_acknowledged(0..30));
    for seq in (0..30).chain(0..20) {
        case = case.land(seq);
    }
    let report = case.report();
    assert_eq!((report.doubled, report.other_run), (20, 0), "some of them are doubled indeed");
}

#[test]
fn what_was_acknowledged_a_moment_ago_is_pending_and_no_pass() {
    let mut report = Case::new(&sent_and_acknowledged(0..3)).land(0).report();
    assert_eq!((report.lost, report.pending), (2, 0));
    report.not_yet_lost();
    assert_eq!((report.lost, report.pending, report.passed), (0, 2, false));
    let mut report = Case::new(&sent_and_acknowledged(0..3)).report();
    report.not_yet_lost();
    assert_eq!((report.unproven, report.pending), (Vec::new(), 3));
}

#[test]
fn inv4_a_lost_message_is_named_by_device_and_range() {
    let case = [1, 2, 6, 9].into_iter().fold(Case::new(&sent_and_acknowledged(1..=9)), Case::land);
    let report = case.report();
    assert!(!report.passed);
    assert_eq!((report.lost, report.landed), (5, 4));
    let ranges: Vec<_> =
        report.missing.iter().map(|r| (&*r.device_id, r.boot, r.first_seq, r.last_seq)).collect();
    assert_eq!(ranges, [("d", 1, 3, 5), ("d", 1, 7, 8)]);
    assert!(report.to_string().contains("missing: s/d boot 1 seq 3..=5"));
}

#[test]
fn inv5_the_same_row_twice_is_doubled() {
    let case = Case::new(&sent_and_acknowledged([1]))
        .land(1)
        .row(LakeRow::reading(at(0, 1), &reading(1, 2.0)));
    let report = case.report();
    assert_eq!((report.doubled, report.altered, report.passed), (1, 0, false));
}

#[test]
fn inv5_more_copies_than_sends_are_doubled() {
    let report = Case::new(&sent_and_acknowledged([1])).land(1).land(1).report();
    assert_eq!((report.doubled, report.resent, report.passed), (1, 0, false));
}

#[test]
fn inv5_a_copy_that_a_restored_spool_flags_is_told_apart() {
    let flagged = |offset, row_no, value| {
        LakeRow::reading(at(offset, row_no), &reading(1, value)).with_flags(Some("maybe_repeat"))
    };
    let case = Case::new(&sent_and_acknowledged([1])).land(1);
    let report = case.row(flagged(9, 0, 1.0)).row(flagged(9, 1, 2.0)).report();
    assert_eq!((report.maybe_repeat, report.doubled, report.passed), (1, 0, true));
}

#[test]
fn a_copy_for_each_send_is_only_resent() {
    let entries = [Entry::Send(intent(1)), Entry::SendAgain(key(1)), Entry::Acknowledged(key(1))];
    let twice = Case::new(&entries).land(1).land(1).report();
    assert_eq!((twice.resent, twice.doubled, twice.passed), (1, 0, true));
    let once = Case::new(&entries).land(1).report();
    assert_eq!((once.resent, once.lost, once.passed), (0, 0, true));
}

#[test]
fn two_acknowledgements_need_two_copies() {
    let entries = [
        Entry::Send(intent(1)),
        Entry::SendAgain(key(1)),
        Entry::Acknowledged(key(1)),
        Entry::Acknowledged(key(1)),
    ];
    let report = Case::new(&entries).land(1).report();
    assert_eq!((report.lost, report.passed), (1, false));
}

#[test]
fn what_was_not_acknowledged_may_land_as_often_as_it_was_sent() {
    let mut entries = sent_and_acknowledged([9]);
    entries.extend([
        Entry::Send(intent(1)),
        Entry::Send(intent(2)),
        Entry::SendAgain(key(2)),
        Entry::Send(intent(3)),
    ]);
    let report = Case::new(&entries).land(9).land(2).land(2).land(3).report();
    assert!(report.passed, "{report}");
    assert_eq!((report.unacknowledged, report.unacknowledged_landed), (1, 2));
    let report = Case::new(&entries).land(9).land(3).land(3).report();
    assert_eq!((report.doubled, report.passed), (1, false));
}

#[test]
fn a_refused_send_explains_no_copy() {
    let mut entries = sent_and_acknowledged([9]);
    entries.extend([Entry::Send(intent(1)), Entry::Refused(key(1), 0x97)]);
    assert!(Case::new(&entries).land(9).report().passed);
    let report = Case::new(&entries).land(9).land(1).report();
    assert_eq!((report.refused, report.doubled), (1, 1));
}

#[test]
fn altered_rows_are_found_and_shown() {
    let case = Case::new(&sent_and_acknowledged([1, 2]))
        .row(LakeRow::reading(at(0, 0), &reading(1, 1.0)))
        .row(LakeRow::reading(at(0, 1), &reading(1, 2.000_001)))
        .row(LakeRow::reading(at(1, 0), &reading(2, 1.0)));
    let report = case.report();
    assert_eq!((report.altered, report.lost, report.passed), (2, 0, false));
    let reasons: Vec<_> = report.altered_examples.iter().map(|e| (e.seq, e.reason)).collect();
    assert_eq!(reasons, [(1, "says something else"), (2, "has another number of rows")]);
}

#[test]
fn a_malformed_message_belongs_in_the_dead_letters() {
    let expect = Expectation::dead_letter(TOPIC, b"{oops");
    let row = DeadLetterRow { topic: TOPIC, payload: b"{oops" };
    let bad = Intent { expect, key: row.key(), dead_key: row.key(), ..intent(1) };
    let entries = [Entry::Send(bad), Entry::Acknowledged(bad.key)];
    let report = Case::new(&entries).row(LakeRow::dead_letter(at(0, 0), &row)).report();
    assert!(report.passed, "{report}");
    assert_eq!((report.dead_lettered, report.landed), (1, 1));
    assert_eq!(Case::new(&entries).report().lost, 1);
}

#[test]
fn a_good_message_in_the_dead_letters_is_altered_and_not_lost() {
    let bytes = payload(1);
    let row = LakeRow::dead_letter(at(0, 0), &DeadLetterRow { topic: TOPIC, payload: &bytes });
    let report = Case::new(&sent_and_acknowledged([1])).row(row).report();
    assert_eq!((report.altered, report.lost, report.dead_lettered), (1, 0, 1));
    assert_eq!(report.altered_examples[0].reason, "became a dead letter");
}

#[test]
fn what_nobody_sent_is_unexplained_if_the_device_is_ours_and_foreign_if_not() {
    let case = Case::new(&sent_and_acknowledged([1])).land(1).land(2);
    let case =
        case.row(LakeRow::reading(at(9, 0), &ReadingRow { device_id: "other", ..reading(1, 1.0) }));
    let report = case.report();
    assert_eq!((report.unexplained, report.foreign, report.passed), (1, 1, false));
}

#[test]
fn open_outcomes_accept_rows_and_dead_letters() {
    let expect = Expectation { outcome: Outcome::Any, rows: 1, fingerprint: Fingerprint(0) };
    let any = |seq| Intent { expect, ..intent(seq) };
    let entries: Vec<_> = [1, 2]
        .into_iter()
        .flat_map(|seq| [Entry::Send(any(seq)), Entry::Acknowledged(key(seq))])
        .collect();
    let bytes = payload(2);
    let dead = LakeRow::dead_letter(at(5, 0), &DeadLetterRow { topic: TOPIC, payload: &bytes });
    let report = Case::new(&entries).land(1).row(dead).report();
    assert!(report.passed, "{report}");
    assert_eq!(report.dead_lettered, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The audit agrees with a naive count, whatever was sent, acknowledged and landed.
    #[test]
    fn the_verdict_is_that_of_a_naive_count(fates in proptest::collection::vec((1u64..4, 0u64..4, 0u64..5), 1..60)) {
        let mut entries = Vec::new();
        let (mut lost, mut doubled, mut resent) = (0, 0, 0);
        for (seq, (sends, acks, copies)) in (1..).zip(&fates) {
            let acks = acks.min(sends);
            entries.push(Entry::Send(intent(seq)));
            entries.extend((1..*sends).map(|_| Entry::SendAgain(key(seq))));
            entries.extend((0..*acks).map(|_| Entry::Acknowledged(key(seq))));
            lost += acks.saturating_sub(*copies);
            doubled += copies.saturating_sub(*sends);
            resent += copies.min(sends).saturating_sub(1);
        }
        let mut case = Case::new(&entries);
        for (seq, (_, _, copies)) in (1..).zip(&fates) {
            for _ in 0..*copies {
                case = case.land(seq);
            }
        }
        let report = case.report();
        prop_assert_eq!((report.lost, report.doubled, report.resent), (lost, doubled, resent));
        prop_assert_eq!((report.altered, report.unexplained, report.foreign), (0, 0, 0));
    }
}

#[test]
fn inv5_a_row_of_any_table_is_there_once() {
    let case = || Case::new(&sent_and_acknowledged(1..=1)).land(1);
    let report = case().row(LakeRow::other(at(0, 0), 0)).row(LakeRow::other(at(0, 0), 1)).report();
    assert!(report.passed, "{report}");
    let doubled = case().row(LakeRow::other(at(0, 0), 1)).row(LakeRow::other(at(0, 0), 1)).report();
    assert_eq!((doubled.doubled, doubled.passed), (1, false), "{doubled}");
}
