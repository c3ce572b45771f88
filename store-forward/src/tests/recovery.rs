//! Full spools, damaged files, forks, locks.

use std::os::unix::fs::{FileExt, PermissionsExt};

use telemetry_core::spool::record::{GapReason, MAYBE_REPEAT};

use super::*;
use crate::AppendError;
use crate::disk;

fn segment_files(folder: &Path) -> Vec<std::path::PathBuf> {
    let segments = folder.join("spool").join(Epoch::from_random(7).to_string());
    let found = disk::list_segments(&segments).unwrap();
    found.into_iter().map(|(first, _)| disk::segment_path(&segments, first)).collect()
}

/// Damages the nth segment.
pub(super) fn flip_a_bit(folder: &Path, segment: usize, at: u64) {
    let path = &segment_files(folder)[segment];
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

/// Copies what a killed process would leave, or what a restored backup brings back.
pub(super) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

fn fill(running: &Running, count: u64) {
    for n in 0..count {
        assert_eq!(running.append(&[payload(n)]).refused, None);
        running.sync();
    }
}

#[test]
fn inv3_a_full_spool_refuses_and_goes_on_when_a_receipt_made_room() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    let mut accepted = 0;
    while running.append(&[payload(81)]).refused.is_none() {
        running.sync();
        accepted += 1;
        assert!(accepted < 1000, "it is full long before");
    }
    assert_eq!(running.append(&[payload(81)]).refused, Some(AppendError::Full));
    assert_eq!(read_all(&running, 0).len(), accepted);
    let landed = accepted as u64 / 2;
    let chain = running.spool.reader().chain_at(landed).unwrap().unwrap();
    running.spool.landed(landed, chain, "lake");
    assert_eq!(running.append(&[payload(81)]).refused, None);
    running.close();
}

#[test]
fn inv4_what_drop_oldest_drops_is_counted_and_travels_as_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), small(WhenFull::DropOldest));
    fill(&running, 1500);
    let oldest = running.spool.oldest(0);
    assert!(oldest > 0);
    assert_eq!(running.spool.shared.metrics.dropped.get(), oldest);
    let batch = running.spool.reader().read(0, 1500, FRAME_MAX).unwrap();
    let Parsed::Item { item: Item::Gap { first, count, reason, chain_end }, .. } =
        batch.format.parse(&batch.records)
    else {
        panic!("a gap comes first")
    };
    assert_eq!((first, count, reason), (0, oldest, GapReason::Dropped));
    assert_eq!(Some(chain_end), running.spool.reader().chain_at(oldest).unwrap());
    let all = read_all(&running, 0);
    assert_eq!(all.iter().filter(|found| found.is_none()).count() as u64, oldest);
    assert_eq!(all.last(), Some(&Some(payload(1499))));
    running.close();
}

#[test]
fn inv4_a_flipped_bit_costs_its_record_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    fill(&running, 100);
    running.close();
    assert!(segment_files(folder.path()).len() > 1, "the damage is in a closed segment");
    flip_a_bit(folder.path(), 0, 5000);
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    let found = read_all(&running, 0);
    let missing: Vec<_> = found.iter().enumerate().filter(|(_, found)| found.is_none()).collect();
    assert_eq!((found.len(), missing.len()), (100, 1));
    for (n, found) in found.iter().enumerate().filter(|(_, found)| found.is_some()) {
        assert_eq!(found.as_deref(), Some(&payload(n as u64)[..]));
    }
    running.close();
}

#[test]
fn a_lost_segment_is_a_gap_between_its_neighbours() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    fill(&running, 130);
    running.close();
    let files = segment_files(folder.path());
    assert!(files.len() >= 3);
    std::fs::remove_file(&files[1]).unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    let found = read_all(&running, 0);
    assert_eq!(found.len(), 130);
    assert!(found.first().unwrap().is_some() && found.last().unwrap().is_some());
    assert!(found.iter().any(Option::is_none));
    running.close();
}

#[test]
fn two_processes_cannot_share_a_spool_and_neither_can_two_sources() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    let error = Running::try_open(folder.path(), small(WhenFull::Refuse), 8).err().unwrap();
    assert!(error.to_string().contains("in use by another process"), "{error}");
    running.close();
    let config = SpoolConfig { dir: folder.path().join("spool"), ..small(WhenFull::Refuse) };
    let options = SpoolOptions { source_id: "other".parse().unwrap(), config };
    let error = Spool::open(&options, fresh(8), SpoolMetrics::default()).err().unwrap();
    assert!(error.to_string().contains("is the spool of s, not of other"), "{error}");
}

#[test]
fn a_forked_spool_moves_what_has_not_landed_to_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    fill(&running, 100);
    let chain = running.spool.reader().chain_at(60).unwrap().unwrap();
    running.spool.landed(60, chain, "lake");
    running.spool.forked();
    running.close();
    let running = Running::try_open(folder.path(), small(WhenFull::Refuse), 9).unwrap();
    assert_eq!(running.spool.epoch(), Epoch::from_random(9));
    let expected: Vec<_> = (60..100).map(|n| Some(payload(n))).collect();
    assert_eq!(read_all(&running, 0), expected);
    let batch = running.spool.reader().read(0, 1, FRAME_MAX).unwrap();
    let Parsed::Item { item: Item::Record(record), .. } = batch.format.parse(&batch.records) else {
        panic!("a record")
    };
    assert_eq!(record.flags & MAYBE_REPEAT, MAYBE_REPEAT);
    running.close();
}

#[test]
fn inv4_what_was_dropped_stays_so_in_the_new_epoch_of_a_fork() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    fill(&running, 100);
    running.close();
    flip_a_bit(folder.path(), 0, 5000);
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    let before = read_all(&running, 0);
    running.spool.forked();
    running.close();
    let running = Running::try_open(folder.path(), small(WhenFull::Refuse), 9).unwrap();
    assert_eq!(read_all(&running, 0), before);
    let status = running.spool.status();
    assert_eq!((status.epoch, status.appended, status.dropped), (Epoch::from_random(9), 100, 1));
    running.close();
}

#[test]
fn messages_that_no_frame_could_carry_are_refused_before_acceptance() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::open(folder.path(), SpoolConfig::default());
    let appended = running.append(&[vec![0; 100], vec![0; 8 << 20], vec![0; 100]]);
    assert_eq!(appended.offsets, 0..1);
    assert_eq!(appended.refused, Some(AppendError::TooLarge));
    running.close();
}

#[test]
fn inv8_what_waits_for_the_disk_is_limited() {
    let folder = tempfile::tempdir().unwrap();
    let config = SpoolConfig {
        dir: folder.path().join("spool"),
        pending_bytes_max: 1 << 20,
        ..SpoolConfig::default()
    };
    let options = SpoolOptions { source_id: "s".parse().unwrap(), config };
    // Its writer never runs.
    let (spool, _writer) = Spool::open(&options, fresh(7), SpoolMetrics::default()).unwrap();
    let payload = vec![0; 100_000];
    let messages =
        (0..50).map(|_| Message { publisher: "p", topic: "t", attributes: &[], payload: &payload });
    let appended = spool.append(1, messages);
    assert_eq!(appended.refused, Some(AppendError::Busy));
    assert_eq!(appended.offsets, 0..10, "a megabyte");
}

#[test]
fn a_move_that_no_writer_took_does_not_keep_the_folder() {
    let folder = fast_folder();
    let config = SpoolConfig { dir: folder.path().join("spool"), ..small(WhenFull::Refuse) };
    let options = SpoolOptions { source_id: "s".parse().unwrap(), config };
    let open = || Spool::open(&options, fresh(7), SpoolMetrics::default());
    let (spool, writer) = open().unwrap();
    spool.move_to(Epoch::from_random(8)).unwrap();
    drop((spool, writer));
    open().unwrap();
}

/// Whatever below a folder others than its owner may use.
fn open_to_others(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            found.push(format!("{} {mode:o}", path.display()));
        }
        if path.is_dir() {
            found.extend(open_to_others(&path));
        }
    }
    found
}

#[test]
fn whatever_a_spool_writes_is_its_owners_alone() {
    let folder = fast_folder();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    for n in 0..200 {
        running.append(&[payload(n)]);
        running.sync();
    }
    running.close();
    let files = std::fs::read_dir(folder.path().join("spool")).unwrap().count();
    assert!(files >= 5, "state, mark, lock, reserve and an epoch: {files}");
    assert_eq!(open_to_others(folder.path()), [""; 0]);
}

#[test]
fn inv3_the_chain_where_the_disk_ends_is_known_while_more_is_waiting() {
    let folder = fast_folder();
    let config = SpoolConfig { dir: folder.path().join("spool"), ..small(WhenFull::Refuse) };
    let options = SpoolOptions { source_id: "s".parse().unwrap(), config };
    let opened = Spool::open(&options, fresh(7), SpoolMetrics::default());
    let (spool, mut writer) = opened.unwrap();
    let message = || Message { publisher: "p", topic: "t", attributes: &[], payload: b"x" };
    spool.append(1, [message(), message()]);
    writer.round().unwrap();
    let chain = spool.reader().chain_at(2).unwrap();
    assert!(chain.is_some());
    spool.append(1, [message()]);
    assert_eq!(spool.reader().chain_at(2).unwrap(), chain, "a receipt for it can be judged");
    assert_eq!(spool.reader().chain_at(4).unwrap(), None);
}
