//! The power fails at every single change of the disk: what was reported as synced is there, with the right bytes, and what
//! had landed does not come back as a gap.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::test_disk::{Adversary, Disk, watched};
use super::*;
use crate::writer::WriterThread;

/// What the spool has promised, as numbers of messages since the script began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Promised {
    synced: u64,
    landed: u64,
}

/// One moment: the disk before a change, and what was promised by then.
struct Moment {
    disk: Disk,
    promised: Promised,
    change: String,
}

#[derive(Default)]
struct Recording {
    disk: Disk,
    moments: Vec<Moment>,
    promised: Promised,
    spool: Option<Spool>,
    /// Messages before the current epoch's first.
    base: u64,
    /// How many bytes fit on the disk, if that matters.
    capacity: Option<u64>,
}

impl Recording {
    fn admit(&self, change: crate::disk::Change<'_>) -> std::io::Result<()> {
        match (change, self.capacity) {
            (crate::disk::Change::Write(_, _, bytes), Some(capacity))
                if self.disk.used() + bytes.len() as u64 > capacity =>
            {
                Err(std::io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn look(&mut self) {
        if let Some(spool) = &self.spool {
            let synced = self.base + spool.progress().borrow().synced;
            self.promised.synced = self.promised.synced.max(synced);
        }
    }

    fn moment(&mut self, change: String) {
        self.look();
        let (disk, promised) = (self.disk.clone(), self.promised);
        self.moments.push(Moment { disk, promised, change });
    }
}

/// A spool whose writer runs when the script says so, on this thread.
struct Scripted {
    recording: Rc<RefCell<Recording>>,
    options: SpoolOptions,
    spool: Spool,
    writer: WriterThread,
    appended: u64,
}

impl Scripted {
    fn open(
        recording: &Rc<RefCell<Recording>>,
        options: SpoolOptions,
        epoch: u64,
        appended: u64,
    ) -> Self {
        let (spool, writer) = Spool::open(&options, fresh(epoch), SpoolMetrics::default()).unwrap();
        let held = spool.status();
        let mut shared = recording.borrow_mut();
        shared.base = appended - held.appended;
        shared.spool = Some(spool.clone());
        drop(shared);
        Self { recording: recording.clone(), options, spool, writer, appended }
    }

    /// Without the writer.
    fn append_one(&mut self) {
        let (attributes, payload) = (&[][..], &payload(self.appended));
        let message = Message { publisher: "p", topic: "t", attributes, payload };
        assert_eq!(self.spool.append(1, [message]).refused, None);
        self.appended += 1;
    }

    fn append(&mut self, count: u64) {
        for _ in 0..count {
            self.append_one();
        }
        self.write();
    }

    /// Lets the writer do what there is to do.
    fn write(&mut self) {
        let idle = self.spool.shared.tail().is_idle();
        if !idle {
            self.writer.round().unwrap();
        }
    }

    fn land(&mut self, offset: Offset) {
        self.take_receipt(offset);
        self.write();
    }

    fn take_receipt(&self, offset: Offset) {
        let chain = self.spool.reader().chain_at(offset).unwrap().unwrap();
        self.spool.landed(offset, chain, "lake");
        let mut recording = self.recording.borrow_mut();
        recording.promised.landed = recording.base + offset;
    }

    /// Goes on in a new epoch without a restart.
    fn fork(&mut self, epoch: u64) {
        self.spool.forked();
        self.spool.move_to(Epoch::from_random(epoch)).unwrap();
        self.append_one();
        self.write();
        let mut recording = self.recording.borrow_mut();
        recording.base = self.appended - self.spool.status().appended;
        assert_eq!(self.spool.epoch(), Epoch::from_random(epoch));
    }

    /// Not a byte more fits on the disk.
    fn fill_disk(&self) {
        let mut recording = self.recording.borrow_mut();
        recording.capacity = Some(recording.disk.used());
    }

    fn reopen(mut self, epoch: u64) -> Self {
        self.spool.close();
        self.write();
        self.recording.borrow_mut().look();
        self.recording.borrow_mut().spool = None;
        let Self { recording, options, appended, spool, writer } = self;
        drop((spool, writer));
        Self::open(&recording, options, epoch, appended)
    }
}

fn options(folder: &Path) -> SpoolOptions {
    let dir = folder.join("var/lib/spool");
    let config = SpoolConfig { dir, bytes_max: 64 << 20, ..small(WhenFull::Refuse) };
    SpoolOptions { source_id: "s".parse().unwrap(), config }
}

/// New spool, rolls, landings that delete segments, a clean restart, a fork, and again.
fn script(recording: &Rc<RefCell<Recording>>, options: SpoolOptions) {
    let mut spool = Scripted::open(recording, options, 7, 0);
    spool.append(1);
    for _ in 0..6 {
        spool.append(20);
    }
    spool.land(50);
    spool.append(30);
    spool.land(140);
    let mut spool = spool.reopen(8);
    spool.append(10);
    spool.land(155);
    spool.append(25);
    for _ in 0..4 {
        spool.append(30);
    }
    spool.spool.forked();
    let mut spool = spool.reopen(9);
    spool.append(20);
    spool.land(30);
    spool.append(40);
    spool.fork(10);
    spool.append(20);
    // Messages wait for room, and only what has just landed can make some.
    spool.fill_disk();
    spool.take_receipt(150);
    spool.append(20);
    recording.borrow_mut().capacity = None;
    spool.append(20);
    spool.reopen(11);
}

/// Opens what is left and checks it against what was promised.
fn check(root: &Path, promised: Promised, accepted: u64) -> Result<(), String> {
    let opened = Spool::open(&options(root), fresh(99), SpoolMetrics::default());
    let (spool, writer) = opened.map_err(|error| format!("does not open: {error}"))?;
    let status = spool.status();
    let running = Running { spool, writer: Some(std::thread::spawn(move || writer.run())) };
    let found = running.read(status.landed, FRAME_MAX);
    running.close();
    let segments = root.join("var/lib/spool").join(status.epoch.to_string());
    let files = crate::disk::list_segments(&segments).unwrap();
    if files.get(1).is_some_and(|(second, _)| *second <= status.landed) {
        return Err(format!("keeps what has landed: {files:?}, {}", status.landed));
    }
    let number = |payload: &[u8]| u64::from_le_bytes(payload[..8].try_into().unwrap());
    let known = found.iter().enumerate().find_map(|(at, found)| Some((at as u64, found.as_ref()?)));
    let Some((at, payload_there)) = known else {
        return match promised.landed >= promised.synced {
            true => Ok(()),
            false => Err(format!("is empty, but {promised:?}")),
        };
    };
    let first = number(payload_there) - at;
    let end = first + found.len() as u64;
    if first > promised.landed || end < promised.synced || end > accepted {
        return Err(format!("has {first}..{end} of {accepted}, but {promised:?}"));
    }
    for (n, found) in (first..).zip(found) {
        match found {
            Some(found) if found == payload(n) => {}
            // The end of a write survived without its start: nobody had been told that it is there.
            None if n >= promised.synced => {}
            None => return Err(format!("message {n} has become a gap")),
            Some(_) => return Err(format!("message {n} is not as it was accepted")),
        }
    }
    Ok(())
}

#[test]
fn inv1_inv3_the_power_may_fail_at_any_change_of_the_disk() {
    let folder = fast_folder();
    let recording = Rc::new(RefCell::new(Recording {
        disk: Disk::with_folder(folder.path()),
        ..Recording::default()
    }));
    let watcher = {
        let recording = recording.clone();
        move |change: crate::disk::Change<'_>| {
            let mut recording = recording.borrow_mut();
            recording.admit(change)?;
            recording.moment(format!("{change:.60?}"));
            recording.disk.change(change);
            Ok(())
        }
    };
    watched(watcher, || script(&recording, options(folder.path())));
    recording.borrow_mut().moment("the end".into());
    let recording = Rc::try_unwrap(recording).ok().unwrap().into_inner();
    let accepted = recording.promised.synced;
    let (mut failures, mut checked) = (BTreeMap::new(), 0);
    for (at, moment) in recording.moments.iter().enumerate() {
        for adversary in Adversary::all() {
            let left = fast_folder();
            moment.disk.survive(adversary, folder.path(), left.path());
            checked += 1;
            if let Err(problem) = check(left.path(), moment.promised, accepted) {
                let before = &moment.change;
                failures.entry(at).or_insert(format!("before {before}, {adversary:?}: {problem}"));
            }
        }
    }
    println!("{} moments, {checked} power cuts", recording.moments.len());
    assert!(recording.moments.len() > 100, "the script does what it should");
    assert!(failures.is_empty(), "{failures:#?}");
}
