//! What waits for one session: messages for its subscriptions, in order, within limits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::letter::Letter;
use crate::store::{Op, Store};

/// Bytes of control messages that wait for one session: what ingest may lag behind its sources before they send again.
const PASSING_BYTES_MAX: usize = 32 << 20;

/// Limits of one mailbox, and what all mailboxes share.
#[derive(Debug, Clone)]
pub(crate) struct MailboxLimits {
    messages_max: usize,
    bytes_max: usize,
    all: Arc<AllMailboxes>,
}

#[derive(Debug)]
struct AllMailboxes {
    bytes: AtomicUsize,
    bytes_max: usize,
}

impl MailboxLimits {
    /// Limits without one on all mailboxes together.
    #[cfg(test)]
    pub(crate) fn new(messages_max: usize, bytes_max: usize) -> Self {
        Self::with_total(messages_max, bytes_max, usize::MAX)
    }

    /// Limits of each mailbox and of the bytes in all that share these limits by cloning them.
    pub(crate) fn with_total(messages_max: usize, bytes_max: usize, total_max: usize) -> Self {
        let all = AllMailboxes { bytes: AtomicUsize::new(0), bytes_max: total_max };
        Self { messages_max, bytes_max, all: Arc::new(all) }
    }
}

/// What became of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It waits.
    Taken,
    /// The client is away and QoS 0 does not wait for it.
    Away,
    /// The limit is reached: it is dropped, and the ones before it stay.
    Full,
}

/// A session's mailbox.
#[derive(Debug)]
pub(crate) struct Mailbox {
    pub(crate) client_id: Arc<str>,
    inner: Mutex<Inner>,
    news: Notify,
    limits: MailboxLimits,
    store: Option<Store>,
}

#[derive(Debug)]
struct Inner {
    letters: VecDeque<Letter>,
    bytes: Bytes,
    /// Control messages: only for who is there, and never on disk.
    passing: VecDeque<Letter>,
    passing_bytes: Bytes,
    connected: bool,
    /// The session outlives its connection, and so do its letters.
    durable: bool,
    next: u64,
}

/// Bytes of letters, counted for the mailbox and for all.
#[derive(Debug)]
struct Bytes {
    own: usize,
    all: Arc<AllMailboxes>,
}

impl Bytes {
    fn add(&mut self, size: usize) {
        self.own += size;
        self.all.bytes.fetch_add(size, Ordering::Relaxed);
    }

    fn remove(&mut self, size: usize) {
        self.own -= size;
        self.all.bytes.fetch_sub(size, Ordering::Relaxed);
    }

    fn allow(&self, size: usize, bytes_max: usize) -> bool {
        let all = self.all.bytes.load(Ordering::Relaxed) + size;
        self.own + size <= bytes_max && all <= self.all.bytes_max
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        self.remove(self.own);
    }
}

impl Inner {
    fn drop_passing(&mut self) {
        self.passing = VecDeque::new();
        self.passing_bytes.remove(self.passing_bytes.own);
    }
}

impl Mailbox {
    pub(crate) fn new(client_id: Arc<str>, limits: MailboxLimits, store: Option<Store>) -> Self {
        let bytes = || Bytes { own: 0, all: limits.all.clone() };
        let inner = Inner {
            letters: VecDeque::new(),
            bytes: bytes(),
            passing: VecDeque::new(),
            passing_bytes: bytes(),
            connected: false,
            durable: false,
            next: 0,
        };
        Self { client_id, inner: Mutex::new(inner), news: Notify::new(), limits, store }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody is there, and whether letters are written to disk from now on.
    pub(crate) fn set_present(&self, connected: bool, durable: bool) {
        let mut inner = self.inner();
        (inner.connected, inner.durable) = (connected, durable);
        if !connected {
            inner.drop_passing();
            let before = std::mem::take(&mut inner.letters);
            for letter in before {
                if letter.qos > 0 {
                    inner.letters.push_back(letter);
                } else {
                    inner.bytes.remove(letter.message.size());
                }
            }
        }
    }

    /// Puts back what the disk had, in order.
    pub(crate) fn restore(&self, letters: impl IntoIterator<Item = Letter>, next: u64) {
        let mut inner = self.inner();
        for letter in letters {
            inner.bytes.add(letter.message.size());
            inner.letters.push_back(letter);
        }
        (inner.durable, inner.next) = (true, next);
    }

    /// Tells whether a shared subscription may choose this session.
    pub(crate) fn would_take(&self, qos: u8) -> bool {
        let inner = self.inner();
        inner.letters.len() < self.limits.messages_max
            && (inner.connected || (inner.durable && qos > 0))
    }

    /// Tells whether the client is connected.
    pub(crate) fn is_connected(&self) -> bool {
        self.inner().connected
    }

    /// Adds a letter at the end.
    pub(crate) fn put(&self, mut letter: Letter) -> Put {
        let (qos, size) = (letter.qos, letter.message.size());
        let mut inner = self.inner();
        if !inner.connected && (qos == 0 || !inner.durable) {
            return Put::Away;
        }
        let room = inner.letters.len() < self.limits.messages_max;
        if !room || !inner.bytes.allow(size, self.limits.bytes_max) {
            return Put::Full;
        }
        if let (true, Some(store)) = (inner.durable && qos > 0, &self.store) {
            letter.stored = Some(inner.next);
            let client_id = self.client_id.clone();
            // Under the lock: on disk the letters have the order that they have here.
            store.push(Op::Queue { client_id, number: inner.next, letter: letter.clone() });
            inner.next += 1;
        }
        inner.bytes.add(size);
        inner.letters.push_back(letter);
        drop(inner);
        self.news.notify_one();
        Put::Taken
    }

    /// Adds a control message at the end, if the client is there. The oldest ones make room for it: their senders say it again.
    /// Returns how many were dropped.
    pub(crate) fn pass(&self, letter: Letter) -> u64 {
        let size = letter.message.size();
        let mut inner = self.inner();
        if !inner.connected {
            return 0;
        }
        let mut dropped = 0;
        while !inner.passing_bytes.allow(size, PASSING_BYTES_MAX) {
            dropped += 1;
            let Some(oldest) = inner.passing.pop_front() else { return dropped };
            inner.passing_bytes.remove(oldest.message.size());
        }
        inner.passing_bytes.add(size);
        inner.passing.push_back(letter);
        drop(inner);
        self.news.notify_one();
        dropped
    }

    /// Takes the first letter if `wanted` agrees; control messages come before the others.
    pub(crate) fn take_if(&self, wanted: impl FnOnce(&Letter) -> bool) -> Option<Letter> {
        let mut inner = self.inner();
        if !inner.passing.is_empty() {
            let letter = inner.passing.pop_front_if(|letter| wanted(letter))?;
            inner.passing_bytes.remove(letter.message.size());
            return Some(letter);
        }
        let letter = inner.letters.pop_front_if(|letter| wanted(letter))?;
        inner.bytes.remove(letter.message.size());
        Some(letter)
    }

    /// Takes out letters that are not to be delivered.
    pub(crate) fn remove(&self, mut unwanted: impl FnMut(&Letter) -> bool) -> Vec<Letter> {
        let mut inner = self.inner();
        let Inner { letters, bytes, passing, passing_bytes, .. } = &mut *inner;
        let mut gone = Vec::new();
        for (queue, bytes) in [(letters, bytes), (passing, passing_bytes)] {
            let mut stay = VecDeque::with_capacity(queue.len());
            for letter in std::mem::take(queue) {
                if unwanted(&letter) {
                    bytes.remove(letter.message.size());
                    gone.push(letter);
                } else {
                    stay.push_back(letter);
                }
            }
            *queue = stay;
        }
        gone
    }

    /// Takes everything, for a session that ends.
    pub(crate) fn empty(&self) -> Vec<Letter> {
        let mut inner = self.inner();
        let bytes = inner.bytes.own;
        inner.bytes.remove(bytes);
        inner.drop_passing();
        (inner.connected, inner.durable) = (false, false);
        std::mem::take(&mut inner.letters).into()
    }

    /// Returns how many letters wait, and their bytes.
    pub(crate) fn size(&self) -> (usize, usize) {
        let inner = self.inner();
        (inner.letters.len(), inner.bytes.own)
    }

    /// Tells whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        let inner = self.inner();
        inner.letters.is_empty() && inner.passing.is_empty()
    }

    /// Waits until a letter came since the last call.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn letter(qos: u8, payload: &'static str) -> Letter {
        let message = Arc::new(Message::own("a/b".into(), payload, qos, false));
        Letter { message, qos, retain: false, ids: Vec::new(), shared: None, stored: None }
    }

    fn mailbox(messages_max: usize, bytes_max: usize) -> Mailbox {
        Mailbox::new("mon-1".into(), MailboxLimits::new(messages_max, bytes_max), None)
    }

    #[test]
    fn inv8_a_mailbox_takes_no_more_than_its_limits() {
        let mailbox_of_two = mailbox(2, 1 << 20);
        mailbox_of_two.set_present(true, false);
        let put: Vec<Put> = (0..3).map(|_| mailbox_of_two.put(letter(1, "x"))).collect();
        assert_eq!(put, [Put::Taken, Put::Taken, Put::Full]);
        assert!(mailbox_of_two.take_if(|_| true).is_some());
        assert_eq!(mailbox_of_two.put(letter(1, "x")), Put::Taken);
        let size = letter(1, "x").message.size();
        let narrow = mailbox(100, size);
        narrow.set_present(true, false);
        assert_eq!(
            [narrow.put(letter(1, "x")), narrow.put(letter(1, ""))],
            [Put::Taken, Put::Full]
        );
    }

    #[test]
    fn inv8_all_mailboxes_together_have_a_limit_as_well() {
        let size = letter(1, "x").message.size();
        let limits = MailboxLimits::with_total(10, 1 << 20, 2 * size);
        let [one, two] = ["one", "two"].map(|id| Mailbox::new(id.into(), limits.clone(), None));
        one.set_present(true, false);
        two.set_present(true, false);
        assert_eq!([one.put(letter(1, "x")), one.put(letter(1, "x"))], [Put::Taken; 2]);
        assert_eq!(two.put(letter(1, "x")), Put::Full);
        drop(one);
        assert_eq!(two.put(letter(1, "x")), Put::Taken);
    }

    #[test]
    fn inv8_the_oldest_control_messages_make_room_and_none_waits_for_who_is_away() {
        let frame = |n: u8| {
            let message = Arc::new(Message::own("tm/v1/up/3/a".into(), vec![n; 8 << 20], 1, false));
            Letter { message, ..letter(1, "") }
        };
        let mailbox = mailbox(1, 1 << 20);
        assert_eq!(mailbox.pass(frame(0)), 0, "nobody is there");
        mailbox.set_present(true, true);
        let dropped: u64 = (1..=5).map(|n| mailbox.pass(frame(n))).sum();
        mailbox.put(letter(1, "a command"));
        let first =
            |mailbox: &Mailbox| mailbox.take_if(|_| true).map(|letter| letter.message.payload[0]);
        assert_eq!((dropped, first(&mailbox), first(&mailbox)), (2, Some(3), Some(4)));
        mailbox.set_present(false, true);
        assert_eq!((first(&mailbox), first(&mailbox)), (Some(b'a'), None));
        let too_large =
            Message::own("tm/v1/up/3/a".into(), vec![0; PASSING_BYTES_MAX + 1], 1, false);
        mailbox.set_present(true, true);
        assert_eq!(mailbox.pass(Letter { message: Arc::new(too_large), ..letter(1, "") }), 1);
    }

    #[test]
    fn only_what_must_not_be_lost_waits_for_who_is_away() {
        let mailbox = mailbox(10, 1 << 20);
        mailbox.set_present(true, true);
        mailbox.put(letter(0, "while here"));
        mailbox.put(letter(1, "kept"));
        mailbox.set_present(false, true);
        assert_eq!(mailbox.put(letter(0, "while away")), Put::Away);
        assert_eq!(mailbox.put(letter(2, "kept as well")), Put::Taken);
        let kept: Vec<_> =
            mailbox.empty().iter().map(|letter| letter.message.payload.clone()).collect();
        assert_eq!(kept, ["kept", "kept as well"]);
        mailbox.set_present(false, false);
        assert_eq!(mailbox.put(letter(1, "nobody will come")), Put::Away);
    }
}
