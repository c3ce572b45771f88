//! Disks that lost something: what was accepted is never forgotten silently, and nothing on a disk passes for a message but messages.

use telemetry_core::spool::record::Record;
use telemetry_core::spool::segment::SegmentHeader;

use super::recovery::copy_folder;
use super::*;
use crate::disk;

fn segments(folder: &Path) -> std::path::PathBuf {
    folder.join("spool").join(Epoch::from_random(7).to_string())
}

/// A closed spool with this many messages, in several segments.
fn filled(count: u64) -> tempfile::TempDir {
    let folder = fast_folder();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    for n in 0..count {
        running.append(&[payload(n)]);
        running.sync();
    }
    running.close();
    folder
}

fn last_segment(folder: &Path) -> std::path::PathBuf {
    let (first, _) = *disk::list_segments(&segments(folder)).unwrap().last().unwrap();
    disk::segment_path(&segments(folder), first)
}

/// Opens it and checks that what is missing is a gap, and that the next message gets an offset that none had.
fn check_gap(folder: &Path, count: u64) -> usize {
    let running = Running::open(folder, small(WhenFull::Refuse));
    let found = read_all(&running, 0);
    assert_eq!(found.len() as u64, count);
    for (n, found) in (0..).zip(&found) {
        assert!(found.as_ref().is_none_or(|found| *found == payload(n)));
    }
    let appended = running.append(&[payload(count)]);
    assert_eq!(appended.offsets, count..count + 1);
    running.sync();
    running.close();
    let running = Running::open(folder, small(WhenFull::Refuse));
    let again = read_all(&running, 0);
    assert_eq!(again[..found.len()], found);
    assert_eq!(again.last(), Some(&Some(payload(count))));
    running.close();
    found.iter().filter(|found| found.is_none()).count()
}

fn record(offset: Offset, chain: u64, payload: &[u8]) -> Record<'_> {
    let (publisher, topic, attributes) = ("p", "t", &[][..]);
    Record { offset, chain, received_us: 1, flags: 0, publisher, topic, attributes, payload }
}

type Damage = fn(&Path);

#[test]
fn inv4_an_end_that_is_gone_is_a_gap_and_its_offsets_are_not_used_again() {
    let cut: Damage = |folder| {
        let file = std::fs::OpenOptions::new().write(true).open(last_segment(folder)).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    };
    let zeroed: Damage = |folder| {
        let path = last_segment(folder);
        let mut bytes = std::fs::read(&path).unwrap();
        let half = bytes.len() / 2;
        bytes[half..].fill(0);
        std::fs::write(path, bytes).unwrap();
    };
    let emptied: Damage = |folder| std::fs::write(last_segment(folder), "").unwrap();
    let lost: Damage = |folder| std::fs::remove_file(last_segment(folder)).unwrap();
    let all_lost: Damage = |folder| {
        for (first, _) in disk::list_segments(&segments(folder)).unwrap() {
            disk::delete_segment(&segments(folder), first).unwrap();
        }
    };
    let folder_lost: Damage = |folder| std::fs::remove_dir_all(segments(folder)).unwrap();
    for (name, damage, all) in [
        ("cut", cut, false),
        ("zeroed", zeroed, false),
        ("emptied", emptied, false),
        ("lost", lost, false),
        ("all lost", all_lost, true),
        ("the folder lost", folder_lost, true),
    ] {
        let folder = filled(100);
        damage(folder.path());
        let gone = check_gap(folder.path(), 100);
        assert!(gone > 0 && (gone == 100) == all, "{name}: {gone}");
    }
}

#[test]
fn inv3_segments_without_their_state_are_taken_up() {
    let folder = filled(100);
    std::fs::remove_file(folder.path().join("spool/spool.json")).unwrap();
    let running = Running::try_open(folder.path(), small(WhenFull::Refuse), 8).unwrap();
    assert_eq!(running.spool.epoch(), Epoch::from_random(7), "ingest knows what has landed of it");
    assert_eq!(read_all(&running, 0), (0..100).map(|n| Some(payload(n))).collect::<Vec<_>>());
    running.close();
}

#[test]
fn inv3_what_cannot_be_taken_up_is_refused_by_name_and_left_alone() {
    // Of another source, or of two epochs: nobody can tell.
    let foreign = filled(10);
    std::fs::remove_file(foreign.path().join("spool/spool.json")).unwrap();
    let config = SpoolConfig { dir: foreign.path().join("spool"), ..small(WhenFull::Refuse) };
    let options = SpoolOptions { source_id: "other".parse().unwrap(), config };
    let error = Spool::open(&options, fresh(8), SpoolMetrics::default()).err().unwrap();
    assert!(error.to_string().contains("spool.json is missing"), "{error}");

    let two = filled(10);
    copy_folder(&segments(two.path()), &two.path().join("spool/0000000000000009"));
    let open = || Running::try_open(two.path(), small(WhenFull::Refuse), 8).err().unwrap();
    let error = open().to_string();
    assert!(error.contains("epoch 0000000000000009"), "{error}");
    std::fs::remove_file(two.path().join("spool/spool.json")).unwrap();
    assert!(open().to_string().contains("spool.json is missing"));
    for (folder, epoch) in [(&foreign, 7), (&two, 7), (&two, 9)] {
        let path = folder.path().join("spool").join(Epoch::from_random(epoch).to_string());
        assert_eq!(disk::list_segments(&path).unwrap().len(), 1, "nothing was deleted");
    }
}

#[test]
fn inv4_a_device_that_sends_records_adds_none() {
    // What a kill leaves of a large message: any part of it. The forger knows everything but the secret.
    let mut forged = Vec::new();
    let mut chain = 0;
    for offset in 1..4000 {
        let payload = &b"forged"[..];
        let record = record(offset, chain, payload);
        let format =
            if offset % 2 == 0 { Format::V1 } else { Format::V2(Key::from_random(offset)) };
        chain = format.encode(&record, &mut forged);
    }
    let whole = fast_folder();
    let running = Running::open(whole.path(), small(WhenFull::Refuse));
    running.append(&[payload(0)]);
    let kept = running.sync();
    let first_len = std::fs::metadata(last_segment(whole.path())).unwrap().len();
    let mark = std::fs::read(whole.path().join("spool/spool.mark")).unwrap();
    running.append(&[forged]);
    running.sync();
    running.close();
    std::fs::write(whole.path().join("spool/spool.mark"), mark).unwrap();
    let len = std::fs::metadata(last_segment(whole.path())).unwrap().len();
    for cut in (first_len..len).step_by(4999) {
        let killed = fast_folder();
        copy_folder(&whole.path().join("spool"), &killed.path().join("spool"));
        let file =
            std::fs::OpenOptions::new().write(true).open(last_segment(killed.path())).unwrap();
        file.set_len(cut).unwrap();
        let running = Running::open(killed.path(), small(WhenFull::Refuse));
        assert_eq!(running.spool.status().appended, kept, "cut at {cut}");
        assert_eq!(read_all(&running, 0), [Some(payload(0))]);
        running.close();
    }
}

#[test]
fn a_spool_of_the_first_format_is_read_and_goes_on_in_the_new_one() {
    let folder = fast_folder();
    let path = segments(folder.path());
    std::fs::create_dir_all(&path).unwrap();
    let state = r#"{"v":2,"source_id":"s","epoch":"0000000000000007","landed":3,"chain":"0000000000000000","evicted":0,"forked":false,"dropped":0,"gaps":[]}"#;
    std::fs::write(folder.path().join("spool/spool.json"), state).unwrap();
    let (epoch, format) = (Epoch::from_random(7), Format::V1);
    let mut bytes = SegmentHeader { epoch, first: 0, chain: 0, format, source: 0 }.encode();
    let mut chain = 0;
    for offset in 0..5 {
        let payload = &payload(offset);
        let record = record(offset, chain, payload);
        chain = Format::V1.encode(&record, &mut bytes);
    }
    // And a torn tail.
    bytes.extend_from_slice(&[200, 0, 0, 0, 1, 2, 3]);
    std::fs::write(disk::segment_path(&path, 0), bytes).unwrap();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    assert_eq!(running.spool.reader().chain_at(5).unwrap(), Some(chain));
    running.append(&[payload(5)]);
    running.sync();
    let expected: Vec<_> = (0..6).map(|n| Some(payload(n))).collect();
    assert_eq!(read_all(&running, 0), expected);
    running.close();
    let running = Running::open(folder.path(), small(WhenFull::Refuse));
    assert_eq!(read_all(&running, 0), expected);
    assert_eq!(disk::list_segments(&path).unwrap().len(), 2, "each in a segment of its own");
    running.close();
}
