//! What waits to be told, by channel: bounded, and kept with the landings until it is told.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tracing::warn;

use super::notice::Notice;
use crate::metrics::IngestMetrics;

/// Notices that wait for one channel; beyond them the oldest goes, counted and told.
const WAITING_MAX: usize = 10_000;
/// Alerts that are there, which channels that lost them are told again.
const OPEN_MAX: usize = 10_000;
/// Steps that are known to be told, so that what is decoded again is not told again.
const KNOWN_MAX: usize = 20_000;
/// Notices that are kept with a landing, of one channel.
const KEPT_MAX: usize = 2_000;

/// What waits for one channel.
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) name: String,
    waiting: Mutex<VecDeque<Arc<Notice>>>,
    wake: Notify,
    metrics: IngestMetrics,
}

/// A notice that was not told when it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    pub(crate) channel: String,
    pub(crate) notice: Notice,
}

/// See the module. Told by the pipeline, emptied by the channels.
#[derive(Debug)]
pub(crate) struct Desk {
    queues: Vec<Arc<Queue>>,
    open: Arc<Open>,
    known: HashSet<String>,
    order: VecDeque<String>,
}

/// Alerts that are there.
#[derive(Debug, Default)]
pub(crate) struct Open(Mutex<BTreeMap<String, Arc<Notice>>>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Queue {
    fn new(name: String, metrics: IngestMetrics) -> Arc<Self> {
        let (waiting, wake) = (Mutex::default(), Notify::new());
        Arc::new(Self { name, waiting, wake, metrics })
    }

    fn put(&self, notice: Arc<Notice>) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
            self.metrics.notified(&self.name, "dropped");
            if self.metrics.is_first_drop() {
                warn!(
                    channel = self.name,
                    "{WAITING_MAX} notifications wait: the oldest go untold; is the receiver there?"
                );
            }
        }
        waiting.push_back(notice);
        self.metrics.waiting(&self.name, waiting.len());
        drop(waiting);
        self.wake.notify_one();
    }

    /// The notice that is to be told next; it stays until [`Queue::told`].
    pub(crate) async fn next(&self) -> Arc<Notice> {
        loop {
            let woken = self.wake.notified();
            if let Some(next) = lock(&self.waiting).front() {
                return next.clone();
            }
            woken.await;
        }
    }

    /// It is told, or never will be.
    pub(crate) fn told(&self, notice: &Notice, outcome: &'static str) {
        let mut waiting = lock(&self.waiting);
        // It may have gone meanwhile, to make room.
        if waiting.front().is_some_and(|front| front.id == notice.id) {
            waiting.pop_front();
        }
        self.metrics.notified(&self.name, outcome);
        self.metrics.waiting(&self.name, waiting.len());
    }
}

impl Open {
    fn note(&self, notice: &Arc<Notice>) {
        let mut open = lock(&self.0);
        if !notice.is_open() {
            open.remove(&notice.alert);
        } else if open.len() < OPEN_MAX || open.contains_key(&notice.alert) {
            open.insert(notice.alert.clone(), notice.clone());
        }
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Notice>> {
        lock(&self.0).values().cloned().collect()
    }
}

impl Desk {
    /// A desk with a queue for each channel.
    pub(crate) fn new(channels: &[String], metrics: &IngestMetrics) -> Self {
        let queues = channels.iter().map(|name| Queue::new(name.clone(), metrics.clone()));
        let (open, known, order) = (Arc::default(), HashSet::new(), VecDeque::new());
        Self { queues: queues.collect(), open, known, order }
    }

    pub(crate) fn queues(&self) -> &[Arc<Queue>] {
        &self.queues
    }

    pub(crate) fn open(&self) -> Arc<Open> {
        self.open.clone()
    }

    /// An alert that is there since before.
    pub(crate) fn begin(&self, notice: Notice) {
        self.open.note(&Arc::new(notice));
    }

    /// Tells all channels, unless that was done.
    pub(crate) fn tell(&mut self, notice: Notice) {
        if self.queues.is_empty() || !self.is_new(&notice.id) {
            return;
        }
        let notice = Arc::new(notice);
        self.open.note(&notice);
        self.queues.iter().for_each(|queue| queue.put(notice.clone()));
    }

    fn is_new(&mut self, id: &str) -> bool {
        if self.known.contains(id) {
            return false;
        }
        if self.order.len() >= KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(id.to_owned());
        self.known.insert(id.to_owned())
    }

    /// What is not told yet, the oldest first.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let of = |queue: &Arc<Queue>| -> Vec<Waiting> {
            let waiting = lock(&queue.waiting);
            let kept = waiting.iter().take(KEPT_MAX);
            kept.map(|notice| Waiting {
                channel: queue.name.clone(),
                notice: notice.as_ref().clone(),
            })
            .collect()
        };
        self.queues.iter().flat_map(of).collect()
    }

    /// Goes on with what an earlier life had not told.
    pub(crate) fn resume(&mut self, waiting: &[Waiting]) {
        for Waiting { channel, notice } in waiting {
            self.is_new(&notice.id);
            let queue = self.queues.iter().find(|queue| queue.name == *channel);
            if let Some(queue) = queue {
                queue.put(Arc::new(notice.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use service_runtime::Metrics;

    use super::super::notice::tests::notice;
    use super::*;

    fn desk() -> Desk {
        let metrics = IngestMetrics::register(&Metrics::default());
        Desk::new(&["mqtt".into(), "webhook".into()], &metrics)
    }

    #[tokio::test]
    async fn each_channel_is_told_each_step_once_in_order() {
        let mut desk = desk();
        for state in ["firing", "acknowledged", "firing"] {
            desk.tell(notice("a", state));
        }
        for queue in desk.queues() {
            for state in ["firing", "acknowledged"] {
                let next = queue.next().await;
                assert_eq!(next.state, state);
                assert_eq!(queue.next().await, next, "until it is told");
                queue.told(&next, "told");
            }
        }
        assert_eq!(desk.waiting(), []);
    }

    #[test]
    fn what_was_not_told_is_told_by_the_next_life_by_its_channel() {
        let mut desk = desk();
        desk.tell(notice("a", "firing"));
        let waiting = desk.waiting();
        assert_eq!(waiting.len(), 2);
        let mut next = self::desk();
        next.resume(&waiting[1..]);
        assert_eq!(next.waiting(), waiting[1..]);
        next.tell(notice("a", "firing"));
        assert_eq!(next.waiting().len(), 1, "decoded again");
        assert_eq!(next.open().all().len(), 0);
    }

    #[test]
    fn alerts_are_open_until_they_are_resolved() {
        let mut desk = desk();
        desk.begin(notice("old", "firing"));
        desk.tell(notice("a", "firing"));
        desk.tell(notice("a", "acknowledged"));
        let states = |desk: &Desk| -> Vec<String> {
            desk.open().all().iter().map(|notice| notice.state.clone()).collect()
        };
        assert_eq!(states(&desk), ["acknowledged", "firing"]);
        desk.tell(notice("a", "resolved"));
        assert_eq!(states(&desk), ["firing"]);
    }

    #[test]
    fn there_wait_no_more_than_may() {
        let mut desk = desk();
        for n in 0..=WAITING_MAX {
            desk.tell(notice(&n.to_string(), "firing"));
        }
        let waiting = desk.waiting();
        assert_eq!(waiting.len(), 2 * KEPT_MAX);
        assert_eq!(waiting[0].notice.alert, "1", "the oldest went");
    }
}
