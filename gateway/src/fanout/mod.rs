//! Matching and fan-out: what devices and dashboards publish to each other, and frames, receipts and status between sources and
//! ingest. Pushes straight into mailboxes: there is no task and no queue in between, so that whoever publishes knows when every
//! copy stands where it must.

mod mailbox;
mod tree;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use telemetry_core::topic::ControlTopics;
use tokio::sync::watch;

use crate::letter::{Letter, Options};
use crate::message::Message;
use crate::metrics::GatewayMetrics;
use crate::notices::{Event, Who};
use crate::store::Store;

pub(crate) use mailbox::{Mailbox, MailboxLimits, Put};
use tree::{Audience, Reach, Subscriber, Tree};
pub(crate) use tree::{cost, shared_filter};

/// Topics whose audience a publisher remembers, and their bytes.
const AUDIENCES_MAX: usize = 1024;
const AUDIENCE_TOPICS_BYTES_MAX: usize = 64 << 10;

/// All subscriptions of all sessions. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Fanout {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    tree: RwLock<Tree>,
    /// Counts the changes of the tree.
    generation: AtomicU64,
    /// Counts subscriptions to frames: ingest may be there now and have missed what was sent before.
    takers: watch::Sender<u64>,
    topics: ControlTopics,
    store: Option<Store>,
    metrics: GatewayMetrics,
}

/// The audiences of the topics that one publisher uses: most messages need no look at the tree.
#[derive(Debug)]
pub(crate) struct Audiences {
    fanout: Fanout,
    generation: u64,
    reach: Reach,
    nobody: Arc<Audience>,
    known: HashMap<String, Arc<Audience>>,
    topics_bytes: usize,
    stored: u64,
}

impl Fanout {
    pub(crate) fn new(
        topics: ControlTopics,
        store: Option<Store>,
        metrics: GatewayMetrics,
    ) -> Self {
        let (tree, generation) = (RwLock::default(), AtomicU64::new(1));
        let takers = watch::Sender::new(0);
        Self { shared: Arc::new(Shared { tree, generation, takers, topics, store, metrics }) }
    }

    /// Watches for new subscriptions to frames.
    pub(crate) fn takers(&self) -> watch::Receiver<u64> {
        self.shared.takers.subscribe()
    }

    /// Makes a memory for one publisher.
    pub(crate) fn audiences(&self) -> Audiences {
        Audiences {
            fanout: self.clone(),
            generation: 0,
            reach: Reach::default(),
            nobody: Arc::default(),
            known: HashMap::new(),
            topics_bytes: 0,
            stored: 0,
        }
    }

    /// Adds a subscription or changes its options; everything that is published after this returns is delivered.
    pub(crate) fn subscribe(&self, filter: &str, mailbox: &Arc<Mailbox>, options: Options) {
        let subscriber = Subscriber { mailbox: mailbox.clone(), options };
        if self.change(|tree| tree.subscribe(filter, subscriber)) {
            self.shared.metrics.subscriptions.inc();
        }
        if self.shared.topics.takes_frames(filter) {
            self.shared.takers.send_modify(|count| *count += 1);
        }
    }

    /// Removes a subscription.
    pub(crate) fn unsubscribe(&self, filter: &str, mailbox: &Arc<Mailbox>) {
        if self.change(|tree| tree.unsubscribe(filter, mailbox)) {
            self.shared.metrics.subscriptions.dec();
        }
    }

    fn change(&self, change: impl FnOnce(&mut Tree) -> bool) -> bool {
        let changed = change(&mut self.shared.tree.write().unwrap_or_else(PoisonError::into_inner));
        self.shared.generation.fetch_add(1, Ordering::Release);
        changed
    }

    /// Gives letters of a session that has ended to the other members of their shared subscriptions (MQTT 5 section 4.8.2).
    pub(crate) fn pass_on(&self, letters: impl IntoIterator<Item = Letter>) {
        for letter in letters {
            // QoS 2 must not reach a second member; QoS 0 is not worth it.
            let Some(name) = letter.shared.as_ref().filter(|_| letter.qos == 1) else { continue };
            let audience = self.audience(&letter.message.topic);
            if let Some(group) = audience.groups.iter().find(|group| group.name == *name)
                && let Some(member) = group.choose(letter.qos)
            {
                self.put(member, &letter.message, Some(name.clone()), false);
            }
        }
    }

    fn reach(&self) -> Reach {
        self.shared.tree.read().unwrap_or_else(PoisonError::into_inner).reach()
    }

    fn audience(&self, topic: &str) -> Audience {
        let topics = &self.shared.topics;
        let tree = self.shared.tree.read().unwrap_or_else(PoisonError::into_inner);
        let passing = topics.owns(topic);
        Audience { passing, ..tree.audience(topic, topics.literal_levels(topic)) }
    }

    fn put(
        &self,
        to: &Subscriber,
        message: &Arc<Message>,
        shared: Option<Arc<str>>,
        passing: bool,
    ) -> Reached {
        let options = to.options;
        let letter = Letter {
            message: message.clone(),
            qos: options.qos.min(message.qos),
            retain: options.retain_as_published && message.retain,
            ids: options.id.into_iter().collect(),
            shared,
            stored: None,
        };
        self.hand(&to.mailbox, letter, passing)
    }

    fn hand(&self, mailbox: &Mailbox, letter: Letter, passing: bool) -> Reached {
        if passing {
            let (taken, dropped) = mailbox.pass(letter);
            self.shared.metrics.control_dropped.inc_by(dropped);
            for _ in 0..dropped {
                self.tell(Event::ControlFull, &mailbox.client_id);
            }
            return if taken { Reached::Somebody } else { Reached::Nobody };
        }
        self.post(mailbox, letter)
    }

    /// Puts a letter into a mailbox; what does not fit is counted and told.
    pub(crate) fn post(&self, mailbox: &Mailbox, letter: Letter) -> Reached {
        match mailbox.put(letter) {
            Put::Taken => Reached::Somebody,
            Put::Away => Reached::Nobody,
            Put::Full => {
                self.shared.metrics.queue_dropped.inc();
                self.tell(Event::QueueFull, &mailbox.client_id);
                Reached::Full
            }
        }
    }

    fn tell(&self, event: Event, client: &Arc<str>) {
        let who = Who { client: client.clone(), ..Who::default() };
        self.shared.metrics.notices.tell(event, who);
    }

    fn deliver(&self, audience: &Audience, message: &Arc<Message>) -> Reached {
        let passing = audience.passing;
        let reached = self.deliver_once_each(&audience.subscribers, message, passing);
        audience.groups.iter().fold(reached, |reached, group| {
            reached.or(match group.choose(message.qos) {
                Some(member) => self.put(member, message, Some(group.name.clone()), passing),
                None => {
                    self.shared.metrics.queue_dropped.inc();
                    self.tell(Event::QueueFull, &group.name);
                    Reached::Full
                }
            })
        })
    }

    /// Overlapping subscriptions of a session, which stand side by side, give one delivery with the highest QoS and all identifiers
    /// (MQTT 5 section 3.3.4).
    fn deliver_once_each(
        &self,
        subscribers: &[Subscriber],
        message: &Arc<Message>,
        passing: bool,
    ) -> Reached {
        let of_one = |one: &Subscriber, next: &Subscriber| Arc::ptr_eq(&one.mailbox, &next.mailbox);
        subscribers.chunk_by(of_one).fold(Reached::Nobody, |reached, of_one| {
            let mut letter: Option<Letter> = None;
            for Subscriber { mailbox, options } in of_one {
                if options.no_local && mailbox.client_id == message.publisher {
                    continue;
                }
                let letter = letter.get_or_insert_with(|| Letter {
                    message: message.clone(),
                    qos: 0,
                    retain: false,
                    ids: Vec::new(),
                    shared: None,
                    stored: None,
                });
                letter.qos = letter.qos.max(options.qos.min(message.qos));
                letter.retain |= options.retain_as_published && message.retain;
                letter.ids.extend(options.id);
            }
            match (letter, of_one.first()) {
                (Some(letter), Some(one)) => reached.or(self.hand(&one.mailbox, letter, passing)),
                _ => reached,
            }
        })
    }
}

/// What became of a published message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Nobody subscribed to it, but its publisher.
    Nobody,
    /// It waits for somebody.
    Somebody,
    /// Somebody wants it, and has no room: it is lost.
    Full,
}

impl Reached {
    /// What one has is not lost, although another has no room for it.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Somebody, _) | (_, Self::Somebody) => Self::Somebody,
            (Self::Full, _) | (_, Self::Full) => Self::Full,
            _ => Self::Nobody,
        }
    }
}

impl Audiences {
    /// Tells whether anybody subscribed to a topic.
    pub(crate) fn wants(&mut self, topic: &str) -> bool {
        !self.of(topic).is_empty()
    }

    /// Delivers a message to everybody who wants it.
    pub(crate) fn publish(&mut self, message: &Arc<Message>) -> Reached {
        let audience = self.of(&message.topic);
        let reached = self.fanout.deliver(&audience, message);
        if !audience.is_empty() || message.retain {
            self.stored = self.fanout.shared.store.as_ref().map_or(0, Store::pushed);
        }
        reached
    }

    /// Returns how many changes must be on disk for everything that was published to be safe with those who are away.
    pub(crate) fn stored(&self) -> u64 {
        self.stored
    }

    fn of(&mut self, topic: &str) -> Arc<Audience> {
        let generation = self.fanout.shared.generation.load(Ordering::Acquire);
        if generation != self.generation {
            (self.generation, self.reach) = (generation, self.fanout.reach());
            self.forget();
        }
        if !self.reach.has(topic) {
            return self.nobody.clone();
        }
        if let Some(known) = self.known.get(topic) {
            return known.clone();
        }
        if self.known.len() >= AUDIENCES_MAX || self.topics_bytes >= AUDIENCE_TOPICS_BYTES_MAX {
            self.forget();
        }
        let audience = Arc::new(self.fanout.audience(topic));
        self.topics_bytes += topic.len();
        self.known.insert(topic.to_owned(), audience.clone());
        audience
    }

    fn forget(&mut self) {
        self.known.clear();
        self.topics_bytes = 0;
    }
}

#[cfg(test)]
mod tests;
