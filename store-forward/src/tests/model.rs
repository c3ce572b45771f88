//! Random append, sync, crash, reopen, trim and rot: the spool must agree with a `Vec`.

use std::fs::OpenOptions;

use proptest::prelude::*;
use telemetry_core::spool::recovery::{From, scan};
use telemetry_core::spool::segment::HEADER_LEN;

use super::books::part;
use super::*;
use crate::disk;

#[derive(Debug, Clone)]
enum Op {
    Append(u64),
    Sync,
    /// Everything from this fraction of the unsynced bytes on is gone, and nobody was told that it was there.
    Crash(f64),
    /// The same of what was told to be there.
    Lose(f64),
    Reopen,
    Trim(f64),
    /// While nobody looks, a bit flips in the nth segment, this far into its records.
    Rot(usize, f64, u8),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u64..40).prop_map(Op::Append),
        3 => Just(Op::Sync),
        1 => (0.0..1.0).prop_map(Op::Crash),
        1 => (0.0..1.0).prop_map(Op::Lose),
        1 => Just(Op::Reopen),
        1 => (0.0..1.0).prop_map(Op::Trim),
        1 => (0usize..8, 0.0..1.0, 0u8..8).prop_map(|(segment, at, bit)| Op::Rot(segment, at, bit)),
    ]
}

/// Cuts the last segment somewhere after what was promised to be there.
fn cut(folder: &Path, kept_bytes: u64, fraction: f64) {
    let segments = folder.join("spool").join(Epoch::from_random(7).to_string());
    let mut before = 0;
    for (first, len) in disk::list_segments(&segments).unwrap() {
        let keep = if before + len <= kept_bytes {
            len
        } else {
            let open = len - kept_bytes.saturating_sub(before);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                clippy::cast_precision_loss,
                reason = "a fraction of a small number"
            )]
            let lost = (open as f64 * fraction) as u64;
            len - lost
        };
        before += len;
        let path = disk::segment_path(&segments, first);
        OpenOptions::new().write(true).open(path).unwrap().set_len(keep).unwrap();
        if keep < len {
            // What came after a torn segment cannot have been made yet.
            for (later, _) in
                disk::list_segments(&segments).unwrap().into_iter().filter(|(f, _)| *f > first)
            {
                disk::delete_segment(&segments, later).unwrap();
            }
            return;
        }
    }
}

/// What is on disk: the bytes of the segments, and the mark.
struct Seen {
    bytes: u64,
    mark: Vec<u8>,
}

fn look(folder: &Path) -> Seen {
    let segments = folder.join("spool").join(Epoch::from_random(7).to_string());
    let bytes = disk::list_segments(&segments).unwrap().iter().map(|(_, len)| len).sum();
    Seen { bytes, mark: std::fs::read(folder.join("spool/spool.mark")).unwrap() }
}

/// Flips a bit of a record; returns the record's offset.
fn rot(folder: &Path, segment: usize, at: f64, bit: u8) -> Option<Offset> {
    let segments = folder.join("spool").join(Epoch::from_random(7).to_string());
    let files = disk::list_segments(&segments).unwrap();
    let (first, _) = *files.get(segment % files.len().max(1))?;
    let path = disk::segment_path(&segments, first);
    let mut bytes = std::fs::read(&path).unwrap();
    let from = From { format: V2, offset: first, chain: 0 };
    let whole = scan(&bytes[HEADER_LEN..], from, usize::MAX, Offset::MAX);
    if whole.len == 0 || whole.len < bytes.len() - HEADER_LEN {
        // Nothing in it, or it has its share already: two flips of one bit would make it whole again.
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a fraction of a small number"
    )]
    let position = (whole.len as f64 * at) as usize;
    let mut end = 0;
    let mut offset = first;
    while let Parsed::Item { item, len, .. } = V2.parse(&bytes[HEADER_LEN + end..]) {
        (offset, end) = (item.first(), end + len);
        if end > position {
            break;
        }
    }
    bytes[HEADER_LEN + position] ^= 1 << bit;
    std::fs::write(&path, bytes).unwrap();
    Some(offset)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn inv1_whatever_happens_what_was_synced_is_read_back(ops in prop::collection::vec(op(), 1..30)) {
        let folder = fast_folder();
        let config = SpoolConfig { bytes_max: 64 << 20, ..small(WhenFull::Refuse) };
        let mut running = Running::open(folder.path(), config.clone());
        // `None` is what rotted: it becomes a gap, and nothing else may.
        let mut model: Vec<Option<Vec<u8>>> = Vec::new();
        let (mut synced, mut landed, mut seen) = (0, 0, look(folder.path()));
        for op in ops {
            match op {
                Op::Append(count) => {
                    let payloads: Vec<_> = (0..count).map(|n| payload(model.len() as u64 + n)).collect();
                    let appended = running.append(&payloads);
                    prop_assert_eq!(appended.offsets, model.len() as u64..model.len() as u64 + count);
                    model.extend(payloads.into_iter().map(Some));
                }
                Op::Sync => {
                    synced = running.sync();
                    seen = look(folder.path());
                }
                Op::Crash(fraction) => {
                    running.close();
                    cut(folder.path(), seen.bytes, fraction);
                    std::fs::write(folder.path().join("spool/spool.mark"), &seen.mark).unwrap();
                    running = Running::open(folder.path(), config.clone());
                    let found = running.spool.status().appended;
                    prop_assert!(found >= synced && found <= model.len() as u64, "{found} of {synced}..{}", model.len());
                    model.truncate(usize::try_from(found).unwrap());
                    (synced, seen) = (found, look(folder.path()));
                }
                Op::Lose(fraction) => {
                    running.close();
                    cut(folder.path(), seen.bytes, fraction);
                    running = Running::open(folder.path(), config.clone());
                    prop_assert_eq!(running.spool.status().appended, model.len() as u64, "no offset is used again");
                    let found = running.read(landed, FRAME_MAX);
                    for (offset, found) in (landed..).zip(found).filter(|(_, found)| found.is_none()) {
                        prop_assert!(offset >= synced || model[usize::try_from(offset).unwrap()].is_none());
                        model[usize::try_from(offset).unwrap()] = found;
                    }
                    (synced, seen) = (model.len() as u64, look(folder.path()));
                }
                Op::Reopen => {
                    running.close();
                    running = Running::open(folder.path(), config.clone());
                    synced = model.len() as u64;
                    seen = look(folder.path());
                }
                Op::Rot(segment, at, bit) => {
                    running.close();
                    if let Some(offset) = rot(folder.path(), segment, at, bit) {
                        model[usize::try_from(offset).unwrap()] = None;
                    }
                    running = Running::open(folder.path(), config.clone());
                    prop_assert_eq!(running.spool.status().appended, model.len() as u64);
                    (synced, seen) = (model.len() as u64, look(folder.path()));
                }
                Op::Trim(fraction) => {
                    synced = running.sync();
                    seen = look(folder.path());
                    let to = part(landed, synced, fraction);
                    let chain = running.spool.reader().chain_at(to).unwrap();
                    if let Some(chain) = chain {
                        landed = to;
                        running.spool.landed(to, chain, "lake");
                        running.close();
                        running = Running::open(folder.path(), config.clone());
                        seen = look(folder.path());
                        prop_assert_eq!(running.spool.resume_from(), (landed, Some("lake".to_owned())));
                    }
                }
            }
        }
        running.sync();
        let expected = &model[usize::try_from(landed).unwrap()..];
        prop_assert_eq!(&running.read(landed, FRAME_MAX), expected);
        prop_assert_eq!(&running.read(landed, 5000), expected, "in small runs too");
        running.close();
    }
}
