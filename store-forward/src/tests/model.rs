//! Random append, sync, crash, reopen and trim: the spool must agree with a `Vec`.

use std::fs::OpenOptions;

use proptest::prelude::*;

use super::*;
use crate::disk;

#[derive(Debug, Clone)]
enum Op {
    Append(u64),
    Sync,
    /// Everything from this fraction of the unsynced bytes on is gone.
    Crash(f64),
    Reopen,
    Trim(f64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1u64..40).prop_map(Op::Append),
        3 => Just(Op::Sync),
        1 => (0.0..1.0).prop_map(Op::Crash),
        1 => Just(Op::Reopen),
        1 => (0.0..1.0).prop_map(Op::Trim),
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

fn disk_bytes(folder: &Path) -> u64 {
    let segments = folder.join("spool").join(Epoch::from_random(7).to_string());
    disk::list_segments(&segments).unwrap().iter().map(|(_, len)| len).sum()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn inv1_whatever_happens_what_was_synced_is_read_back(ops in prop::collection::vec(op(), 1..30)) {
        let folder = tempfile::tempdir().unwrap();
        let config = SpoolConfig { bytes_max: 64 << 20, ..small(WhenFull::Refuse) };
        let mut running = Running::open(folder.path(), config.clone());
        let (mut model, mut synced, mut landed, mut synced_bytes): (Vec<Vec<u8>>, u64, u64, u64) = (Vec::new(), 0, 0, 0);
        for op in ops {
            match op {
                Op::Append(count) => {
                    let payloads: Vec<_> = (0..count).map(|n| payload(model.len() as u64 + n)).collect();
                    let appended = running.append(&payloads);
                    prop_assert_eq!(appended.offsets, model.len() as u64..model.len() as u64 + count);
                    model.extend(payloads);
                }
                Op::Sync => {
                    synced = running.sync();
                    synced_bytes = disk_bytes(folder.path());
                }
                Op::Crash(fraction) => {
                    running.close();
                    cut(folder.path(), synced_bytes, fraction);
                    running = Running::open(folder.path(), config.clone());
                    let found = running.spool.status().appended;
                    prop_assert!(found >= synced && found <= model.len() as u64, "{found} of {synced}..{}", model.len());
                    model.truncate(usize::try_from(found).unwrap());
                    (synced, synced_bytes) = (found, disk_bytes(folder.path()));
                }
                Op::Reopen => {
                    running.close();
                    running = Running::open(folder.path(), config.clone());
                    synced = model.len() as u64;
                    synced_bytes = disk_bytes(folder.path());
                }
                Op::Trim(fraction) => {
                    synced = running.sync();
                    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a fraction of a small number")]
                    let to = landed + ((synced - landed) as f64 * fraction) as u64;
                    let chain = running.spool.reader().chain_at(to).unwrap().unwrap();
                    landed = to;
                    running.spool.landed(to, chain, "lake");
                    running.close();
                    running = Running::open(folder.path(), config.clone());
                    synced_bytes = disk_bytes(folder.path());
                    prop_assert_eq!(running.spool.resume_from(), (landed, Some("lake".to_owned())));
                }
            }
        }
        running.sync();
        let expected: Vec<_> = model[usize::try_from(landed).unwrap()..].iter().cloned().map(Some).collect();
        prop_assert_eq!(&running.read(landed, FRAME_MAX), &expected);
        prop_assert_eq!(&running.read(landed, 5000), &expected, "in small runs too");
        running.close();
    }
}
