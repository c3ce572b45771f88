//! Sessions and retained messages that outlive the process: changes are queued here and written together by one thread.

mod change;
mod redb;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use self::redb::{Disk, DiskError};
pub(crate) use change::{Flight, Found, Op, Position, Record, Stored};

/// Messages in the spool after which it is written how far exchanges are known.
const FAR: u64 = 100_000;
/// Changes that may wait for the disk, and their bytes; whoever publishes waits beyond it.
const PENDING_MAX: usize = 16 << 10;
const PENDING_BYTES_MAX: usize = 32 << 20;

/// The queue before the disk. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pending: Mutex<Pending>,
    /// Up to where the exchanges of the spool's messages are among the changes. Locked while a message goes to the spool and its exchange
    /// to the queue, so that no batch ends between them; before `pending`, never after it.
    known: Mutex<Option<Position>>,
    news: Condvar,
    /// Changes that are on stable storage, counted from the start.
    committed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Pending {
    ops: Vec<Op>,
    bytes: usize,
    pushed: u64,
    closed: bool,
}

/// The thread that writes. Ends when the store is closed, or when the disk fails.
#[derive(Debug)]
pub(crate) struct StoreThread {
    store: Store,
    disk: Disk,
}

impl Store {
    /// Opens or creates the file and reads all that is in it.
    pub(crate) fn open(path: &Path) -> Result<(Self, StoreThread, Found), DiskError> {
        let disk = Disk::open(path)?;
        let found = disk.read()?;
        let (pending, known) = (Mutex::default(), Mutex::new(found.known));
        let (news, committed) = (Condvar::new(), watch::Sender::new(0));
        let store = Self { shared: Arc::new(Shared { pending, known, news, committed }) };
        Ok((store.clone(), StoreThread { store, disk }, found))
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a change. Never waits; ask [`Self::has_room`] before taking in more.
    pub(crate) fn push(&self, op: Op) {
        let bytes = op.bytes();
        let mut pending = self.pending();
        pending.bytes += bytes;
        pending.ops.push(op);
        pending.pushed += 1;
        drop(pending);
        self.shared.news.notify_one();
    }

    /// Holds back the end of the batch while messages of exchanges go to the spool: what [`Exchanges::note`] is told of goes to disk
    /// together with how far that is known.
    pub(crate) fn exchanges(&self) -> Exchanges<'_> {
        let known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        Exchanges { store: self, known }
    }

    /// Returns the number of the last change: what waits for it waits for all before it as well.
    pub(crate) fn pushed(&self) -> u64 {
        self.pending().pushed
    }

    /// Tells whether publishers may go on.
    pub(crate) fn has_room(&self) -> bool {
        let pending = self.pending();
        pending.ops.len() < PENDING_MAX && pending.bytes < PENDING_BYTES_MAX
    }

    /// Watches how many changes are on stable storage.
    pub(crate) fn committed(&self) -> watch::Receiver<u64> {
        self.shared.committed.subscribe()
    }

    /// Lets the thread end, when everything is written, as soon as the guard is dropped.
    pub(crate) fn close_on_drop(&self) -> CloseOnDrop {
        CloseOnDrop(self.clone())
    }
}

/// See [`Store::exchanges`].
pub(crate) struct Exchanges<'a> {
    store: &'a Store,
    known: MutexGuard<'a, Option<Position>>,
}

impl Exchanges<'_> {
    /// Queues the start of an exchange whose message is in the spool.
    pub(crate) fn note(&self, client_id: &Arc<str>, pkid: u16, place: Position) {
        let client_id = client_id.clone();
        self.store.push(Op::Received { client_id, pkid, place: Some(place) });
    }

    /// The exchanges of all messages before this one are noted.
    pub(crate) fn reached(mut self, end: Position) {
        *self.known = Some(end);
    }

    /// The end of the spool, so that little is to be looked through after a restart: far enough from what is known, it is written.
    pub(crate) fn pass(mut self, end: Position) {
        let far = |known: &Position| known.epoch != end.epoch || end.offset - known.offset >= FAR;
        if self.known.as_ref().is_none_or(far) && end.offset > 0 {
            *self.known = Some(end);
            self.store.push(Op::Known(end));
        }
    }
}

/// See [`Store::close_on_drop`].
#[derive(Debug)]
pub(crate) struct CloseOnDrop(Store);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.pending().closed = true;
        self.0.shared.news.notify_one();
    }
}

impl StoreThread {
    /// Writes what is known before anybody connects. Blocks.
    pub(crate) fn write_first(&mut self, ops: &[Op]) -> Result<(), DiskError> {
        if let Some(Op::Known(position)) = ops.iter().rfind(|op| matches!(op, Op::Known(_))) {
            self.store.exchanges().reached(*position);
        }
        self.disk.write(ops)
    }

    /// Writes until the store is closed. Blocks.
    pub(crate) fn run(mut self) -> Result<(), DiskError> {
        loop {
            let (ops, pushed) = self.next_batch();
            if ops.is_empty() {
                return Ok(());
            }
            self.disk.write(&without_detours(ops))?;
            self.store.shared.committed.send_replace(pushed);
        }
    }

    /// Waits for changes and takes all there are, none when the store is closed; with them goes how far exchanges are known.
    fn next_batch(&self) -> (Vec<Op>, u64) {
        let waiting = |pending: &mut Pending| pending.ops.is_empty() && !pending.closed;
        let waited = self.store.shared.news.wait_while(self.store.pending(), waiting);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
        let exchanges = self.store.exchanges();
        let mut pending = self.store.pending();
        pending.bytes = 0;
        let mut ops = std::mem::take(&mut pending.ops);
        let with_exchanges = |op: &Op| matches!(op, Op::Received { place: Some(_), .. });
        if let Some(known) = exchanges.known.filter(|_| ops.iter().any(with_exchanges)) {
            ops.push(Op::Known(known));
        }
        (ops, pending.pushed)
    }
}

/// Leaves out letters that were delivered before they were ever written, and records that are followed by newer ones.
fn without_detours(ops: Vec<Op>) -> Vec<Op> {
    let mut gone: HashSet<(Arc<str>, u64)> = HashSet::new();
    let mut last: HashMap<Arc<str>, usize> = HashMap::new();
    for (at, op) in ops.iter().enumerate() {
        match op {
            Op::Unqueue { client_id, number } => {
                gone.insert((client_id.clone(), *number));
            }
            Op::Session { client_id, .. } => {
                last.insert(client_id.clone(), at);
            }
            _ => {}
        }
    }
    let needed = |(at, op): &(usize, Op)| match op {
        Op::Queue { client_id, number, .. } | Op::Flight { client_id, number, .. } => {
            !gone.contains(&(client_id.clone(), *number))
        }
        Op::Session { client_id, .. } => last.get(client_id) == Some(at),
        _ => true,
    };
    ops.into_iter().enumerate().filter(needed).map(|(_, op)| op).collect()
}

#[cfg(test)]
mod tests {
    use telemetry_core::id::Epoch;

    use super::*;
    use crate::access::owner::Owner;
    use crate::letter::{Letter, Options};
    use crate::message::Message;

    fn letter(payload: &'static str) -> Letter {
        let message = Arc::new(Message::own("cmd/icu/pump-1".into(), payload, 1, false));
        Letter { message, qos: 1, retain: false, ids: vec![7], shared: None, stored: None }
    }

    fn record() -> Record {
        let subscriptions = vec![("cmd/#".to_owned(), Options { qos: 1, ..Options::default() })];
        let owner = Owner::of_publisher("password:pump-1");
        Record { owner, expiry_seconds: 60, disconnected_us: Some(5), subscriptions }
    }

    fn write(path: &Path, ops: Vec<Op>) -> Found {
        let (store, thread, found) = Store::open(path).unwrap();
        ops.into_iter().for_each(|op| store.push(op));
        drop(store.close_on_drop());
        thread.run().unwrap();
        found
    }

    #[test]
    fn what_is_written_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.redb");
        let client_id: Arc<str> = "pump-1".into();
        let flight = Flight { pkid: 9, released: true };
        let retained = Message::own("a/b".into(), "kept", 1, true);
        let at = Position { epoch: Epoch::from_random(7), offset: 41 };
        let ops = vec![
            Op::Session { client_id: client_id.clone(), record: record() },
            Op::Queue { client_id: client_id.clone(), number: 1, letter: letter("two") },
            Op::Queue { client_id: client_id.clone(), number: 0, letter: letter("one") },
            Op::Flight { client_id: client_id.clone(), number: 0, flight },
            Op::Received { client_id: client_id.clone(), pkid: 3, place: None },
            Op::Received { client_id: client_id.clone(), pkid: 4, place: Some(at) },
            Op::Received { client_id: client_id.clone(), pkid: 5, place: None },
            Op::Released { client_id: client_id.clone(), pkid: 3 },
            Op::Retain { message: retained.clone().into() },
        ];
        assert_eq!(write(&path, ops), Found::default());
        let numbered = |number, payload| Letter { stored: Some(number), ..letter(payload) };
        let letters = vec![(numbered(0, "one"), Some(flight)), (numbered(1, "two"), None)];
        let session = Stored {
            client_id: client_id.clone(),
            record: record(),
            letters,
            received: vec![(4, Some(at)), (5, None)],
        };
        let found = write(&path, vec![Op::End { client_id }, Op::Forget { topic: "a/b".into() }]);
        assert_eq!(
            found,
            Found { sessions: vec![session], retained: vec![retained], ..Found::default() }
        );
        assert_eq!(write(&path, Vec::new()), Found::default());
    }

    #[test]
    fn a_letter_that_is_delivered_at_once_is_never_written() {
        let client_id: Arc<str> = "pump-1".into();
        let queue =
            |number| Op::Queue { client_id: client_id.clone(), number, letter: letter("x") };
        let unqueue = Op::Unqueue { client_id: client_id.clone(), number: 0 };
        assert_eq!(without_detours(vec![queue(0), queue(1), unqueue.clone()]), [queue(1), unqueue]);
    }

    #[test]
    fn of_many_records_of_a_session_the_last_one_is_written() {
        let session = |client_id: &str, expiry_seconds| Op::Session {
            client_id: client_id.into(),
            record: Record { expiry_seconds, ..record() },
        };
        let end = Op::End { client_id: "a".into() };
        let ops = vec![session("a", 1), session("b", 1), end.clone(), session("a", 2)];
        assert_eq!(without_detours(ops), [session("b", 1), end, session("a", 2)]);
    }

    #[test]
    fn inv8_what_waits_for_the_disk_is_limited_in_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let (store, thread, _) = Store::open(&folder.path().join("sessions.redb")).unwrap();
        let message = Arc::new(Message::own("a".into(), vec![0; 1 << 20], 1, false));
        for _ in 0..32 {
            assert!(store.has_room());
            store.push(Op::Retain { message: message.clone() });
        }
        assert!(!store.has_room());
        drop(store.close_on_drop());
        thread.run().unwrap();
        assert!(store.has_room());
    }

    #[test]
    fn whoever_waits_hears_of_the_commit_of_everything_before() {
        let folder = tempfile::tempdir().unwrap();
        let (store, thread, _) = Store::open(&folder.path().join("sessions.redb")).unwrap();
        for number in 0..5 {
            store.push(Op::Queue { client_id: "a".into(), number, letter: letter("x") });
        }
        assert_eq!((store.pushed(), *store.committed().borrow()), (5, 0));
        drop(store.close_on_drop());
        thread.run().unwrap();
        assert_eq!(*store.committed().borrow(), 5);
    }
}
