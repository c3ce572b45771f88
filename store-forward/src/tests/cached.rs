//! What of a backlog stays in memory.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;

use super::test_disk::watched;
use super::*;
use crate::disk::Change;

/// What happened to segment files, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Created(PathBuf),
    Written(PathBuf),
    Synced(PathBuf),
    Uncached(PathBuf),
}

fn seen(change: Change<'_>) -> Option<Seen> {
    let is_segment = |path: &Path| path.extension().is_some_and(|it| it == "seg");
    match change {
        Change::CreateFile(path) if is_segment(path) => Some(Seen::Created(path.to_owned())),
        Change::Write(path, ..) if is_segment(path) => Some(Seen::Written(path.to_owned())),
        Change::SyncFile(path) if is_segment(path) => Some(Seen::Synced(path.to_owned())),
        Change::Uncache(path) => Some(Seen::Uncached(path.to_owned())),
        _ => None,
    }
}

#[test]
fn the_last_segments_of_a_backlog_stay_in_memory_and_only_what_is_synced_goes() {
    let folder = fast_folder();
    let config = SpoolConfig { dir: folder.path().join("spool"), ..small(WhenFull::Refuse) };
    let options = SpoolOptions { source_id: "s".parse().unwrap(), config };
    let seen_so_far: Rc<RefCell<Vec<Seen>>> = Rc::default();
    let recorder = seen_so_far.clone();
    let watcher = move |change: Change<'_>| {
        recorder.borrow_mut().extend(seen(change));
        Ok(())
    };
    let spool = watched(watcher, || {
        let (spool, mut writer) = Spool::open(&options, fresh(7), SpoolMetrics::default()).unwrap();
        for n in 0..400 {
            let (attributes, payload) = (&[][..], &payload(n));
            let message = Message { publisher: "p", topic: "t", attributes, payload };
            assert_eq!(spool.append(1, [message]).refused, None);
            assert!(!writer.round().unwrap());
        }
        spool
    });
    let seen = seen_so_far.take();
    let paths_of = |which: fn(&Seen) -> Option<&PathBuf>| -> Vec<&PathBuf> {
        seen.iter().filter_map(which).collect()
    };
    let created = paths_of(|it| if let Seen::Created(path) = it { Some(path) } else { None });
    let uncached = paths_of(|it| if let Seen::Uncached(path) = it { Some(path) } else { None });
    assert!(created.len() > 8, "the backlog has many segments: {}", created.len());
    assert_eq!(uncached, created[..created.len() - 4], "all but the last, oldest first");
    for path in uncached {
        let of_it = |it: &&Seen| matches!(it, Seen::Written(p) | Seen::Synced(p) if p == path);
        let last = seen.iter().rfind(of_it);
        assert_eq!(last, Some(&Seen::Synced(path.clone())), "nothing was written after its sync");
    }
    let found = Running { spool, writer: None }.read(0, FRAME_MAX);
    assert!(found == (0..400).map(|n| Some(payload(n))).collect::<Vec<_>>(), "all can be read");
}
