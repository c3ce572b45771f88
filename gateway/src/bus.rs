//! The bus inside the gateway: matching and fan-out by rumqttd's router, which no client ever talks to.
//!
//! The router has known ways to panic, to grow and to drop silently. This module keeps them out of reach: every topic and
//! filter gets the prefix `t/` (so the router never sees a first character of a client's choice), link ids are our own,
//! the numbers of filters and topics are bounded, segment sizes are explicit, and a router that died is replaced: links
//! are made anew and their filters subscribed again. What is lost on the way is a live copy or a frame, never a message:
//! those are in the spool.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::{Forward, Notification, Router, RouterConfig, SegmentConfig};
use telemetry_core::lane::LANES;
use telemetry_core::topic::{ControlTopics, filter_matches};
use tokio::sync::{mpsc, watch};
use tracing::{error, warn};
use uuid::Uuid;

use crate::config::Limits;
use crate::metrics::GatewayMetrics;
use crate::mqtt::Properties;

/// Messages that may wait for the router; publishers wait beyond it.
const QUEUE_MAX: usize = 256;
/// Memory of one filter's log: what a subscriber may lag behind.
const SEGMENT: SegmentConfig = SegmentConfig { max_segment_size: 512 << 10, max_segment_count: 4 };
/// Memory of the log of frames.
const FRAME_SEGMENT: SegmentConfig =
    SegmentConfig { max_segment_size: 4 << 20, max_segment_count: 4 };
/// The topic of the message that proves that the router lives; clients cannot publish to topics that start with `$`.
const CANARY: &str = "$tidemark/canary";
/// How long a link waits for the router before it takes it for dead.
const PATIENCE: Duration = Duration::from_secs(5);

/// A message on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BusMessage {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: u8,
    pub(crate) properties: Option<Box<Properties>>,
}

/// The router is gone and could not be replaced in time; try again.
#[derive(Debug, thiserror::Error)]
#[error("the bus is restarting")]
pub(crate) struct BusDown;

/// A subscription that would exceed `limits.filters_max`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubscribeError {
    #[error("too many distinct topic filters: raise limits.filters_max")]
    TooMany,
    #[error(transparent)]
    Down(#[from] BusDown),
}

/// Makes links to one router. The channel's type is not nameable outside rumqttd, hence the closure.
type Connect = Arc<dyn Fn(&str) -> Option<(LinkTx, LinkRx)> + Send + Sync>;

/// The bus. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bus {
    shared: Arc<Shared>,
    publish: mpsc::Sender<BusMessage>,
}

struct Shared {
    router: watch::Sender<(u64, Connect)>,
    config: RouterConfig,
    /// Subscribed filters and by how many links; what is not in here needs no publishing.
    wanted: Mutex<HashMap<String, usize>>,
    /// Every filter the router has seen: it never forgets one.
    seen_filters: Mutex<HashSet<u64>>,
    hasher: RandomState,
    limits: Limits,
    topics: ControlTopics,
    metrics: GatewayMetrics,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bus")
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn spawn_router(config: &RouterConfig) -> Connect {
    let sender = Router::new(0, config.clone()).spawn();
    Arc::new(move |id: &str| {
        // `build` panics inside rumqttd when the router dies while it answers.
        let build = || LinkBuilder::new(id, sender.clone()).build().ok();
        let built = std::panic::catch_unwind(std::panic::AssertUnwindSafe(build));
        built.ok()?.map(|(tx, rx, _)| (tx, rx))
    })
}

impl Bus {
    /// Starts the router. Run the returned publisher on a thread of its own.
    pub(crate) fn start(
        limits: &Limits,
        topics: &ControlTopics,
        metrics: GatewayMetrics,
    ) -> (Self, Publisher) {
        let every_lane: Vec<u8> = (0..LANES).collect();
        let frames = topics.up_filters(&every_lane).into_iter();
        let config = RouterConfig {
            max_connections: limits.connections_max + 64,
            max_outgoing_packet_count: 100,
            max_segment_size: SEGMENT.max_segment_size,
            max_segment_count: SEGMENT.max_segment_count,
            custom_segment: Some(frames.map(|filter| (routed(&filter), FRAME_SEGMENT)).collect()),
            ..RouterConfig::default()
        };
        let router = watch::Sender::new((0, spawn_router(&config)));
        let (publish, queue) = mpsc::channel(QUEUE_MAX);
        let shared = Arc::new(Shared {
            router,
            config,
            wanted: Mutex::default(),
            seen_filters: Mutex::default(),
            hasher: RandomState::new(),
            limits: limits.clone(),
            topics: topics.clone(),
            metrics,
        });
        let publisher = Publisher { shared: shared.clone(), queue, seen_topics: HashSet::new() };
        (Self { shared, publish }, publisher)
    }

    /// Tells whether anybody would get a message of this topic.
    pub(crate) fn wants(&self, topic: &str) -> bool {
        locked(&self.shared.wanted).keys().any(|filter| filter_matches(filter, topic))
    }

    /// Hands a message to the router; waits while its queue is full.
    pub(crate) async fn publish(&self, message: BusMessage) {
        // The queue closes only when the gateway ends: then nobody listens any more.
        drop(self.publish.send(message).await);
    }

    /// Makes a subscriber without subscriptions.
    pub(crate) fn subscriber(&self) -> Subscriber {
        Subscriber {
            shared: self.shared.clone(),
            link: None,
            filters: HashSet::new(),
            next_cursor: None,
        }
    }

    /// Proves that the router works: a message goes through it and comes back. A router that does not answer is replaced.
    pub(crate) async fn check(&self, canary: &mut Subscriber) {
        let round_trip = async {
            canary.subscribe(CANARY).await.map_err(|_| BusDown)?;
            let message = BusMessage {
                topic: CANARY.into(),
                payload: Bytes::from_static(b"1"),
                qos: 0,
                properties: None,
            };
            self.publish(message).await;
            canary.recv().await;
            Ok::<(), BusDown>(())
        };
        let generation = self.shared.router.borrow().0;
        if !matches!(tokio::time::timeout(PATIENCE, round_trip).await, Ok(Ok(()))) {
            self.shared.replace(generation);
        }
    }
}

impl Shared {
    /// Starts a new router unless somebody did already.
    fn replace(&self, generation: u64) {
        self.router.send_if_modified(|router| {
            if router.0 != generation {
                return false;
            }
            error!("the bus died: restarting it; accepted messages are in the spool");
            self.metrics.bus_restarts.inc();
            locked(&self.seen_filters).clear();
            *router = (generation + 1, spawn_router(&self.config));
            true
        });
    }

    fn admit_filter(&self, filter: &str) -> bool {
        let mut seen = locked(&self.seen_filters);
        let hash = self.hasher.hash_one(filter);
        seen.contains(&hash) || (seen.len() < self.limits.filters_max && seen.insert(hash))
    }
}

fn routed(topic: &str) -> String {
    format!("t/{topic}")
}

/// Feeds the router from the queue.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    queue: mpsc::Receiver<BusMessage>,
    seen_topics: HashSet<u64>,
}

impl Publisher {
    /// Runs until every [`Bus`] is gone. Blocks: the router's channel has no other way to push back.
    pub(crate) fn run(mut self) {
        let mut link: Option<(u64, LinkTx)> = None;
        while let Some(message) = self.queue.blocking_recv() {
            if !self.admit_topic(&message.topic) {
                self.shared.metrics.bus_topics_refused.inc();
                continue;
            }
            self.shared.metrics.bus_published.inc();
            let topic = Bytes::from(routed(&message.topic));
            let envelope = wrap(&message);
            // Twice: the first failure may only tell that the router died since the last message.
            for _ in 0..2 {
                let (generation, connect) = self.shared.router.borrow().clone();
                if link.as_ref().is_none_or(|(of, _)| *of != generation) {
                    link = connect(&format!("publisher-{}", Uuid::new_v4()))
                        .map(|(tx, _)| (generation, tx));
                }
                if link
                    .as_mut()
                    .is_some_and(|(_, tx)| tx.publish(topic.clone(), envelope.clone()).is_ok())
                {
                    break;
                }
                link = None;
                self.shared.replace(generation);
            }
        }
    }

    /// The router remembers every topic that it has seen, so that their number must be bounded here.
    fn admit_topic(&mut self, topic: &str) -> bool {
        let hash = self.shared.hasher.hash_one(topic);
        self.seen_topics.contains(&hash)
            || self.shared.topics.owns(topic)
            || (self.seen_topics.len() < self.shared.limits.live_topics_max
                && self.seen_topics.insert(hash))
    }
}

/// `version u8 | qos u8 | properties_len u32 | properties as JSON | payload`: the router has no place for the first three.
fn wrap(message: &BusMessage) -> Bytes {
    let properties = message
        .properties
        .as_ref()
        .and_then(|own| serde_json::to_vec(own).ok())
        .unwrap_or_default();
    let mut out = BytesMut::with_capacity(6 + properties.len() + message.payload.len());
    out.put_u8(1);
    out.put_u8(message.qos);
    out.put_u32(u32::try_from(properties.len()).unwrap_or(0));
    out.extend_from_slice(&properties);
    out.extend_from_slice(&message.payload);
    out.freeze()
}

fn unwrap(topic: &[u8], envelope: &Bytes) -> Option<BusMessage> {
    let topic = std::str::from_utf8(topic).ok()?.strip_prefix("t/")?.to_owned();
    let (head, _) = envelope.split_first_chunk::<6>()?;
    let [1, qos, length @ ..] = *head else { return None };
    let end = 6 + u32::from_be_bytes(length) as usize;
    let properties = match envelope.get(6..end)? {
        [] => None,
        json => serde_json::from_slice(json).ok(),
    };
    Some(BusMessage { topic, payload: envelope.slice(end..), qos, properties })
}

struct Link {
    generation: u64,
    tx: LinkTx,
    rx: LinkRx,
    router: watch::Receiver<(u64, Connect)>,
    /// The router sent all it wanted and waits to be asked for more.
    asleep: bool,
}

/// One receiver of messages with its filters.
pub(crate) struct Subscriber {
    shared: Arc<Shared>,
    link: Option<Link>,
    filters: HashSet<String>,
    /// Where the log of the only filter went on, to notice what the router skipped.
    next_cursor: Option<u64>,
}

impl Subscriber {
    /// Adds a filter; messages that are published after this returns are received. Tells whether the filter is new.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> Result<bool, SubscribeError> {
        if self.filters.contains(filter) {
            return Ok(false);
        }
        if !self.shared.admit_filter(filter) {
            return Err(SubscribeError::TooMany);
        }
        self.filters.insert(filter.to_owned());
        *locked(&self.shared.wanted).entry(filter.to_owned()).or_default() += 1;
        match &mut self.link {
            Some(link) => link.subscribe(filter).await?,
            None => self.connect().await?,
        }
        Ok(true)
    }

    /// Removes a filter; tells whether there was one.
    pub(crate) async fn unsubscribe(&mut self, filter: &str) -> bool {
        if !self.filters.remove(filter) {
            return false;
        }
        release(&self.shared, filter);
        if let Some(link) = &mut self.link {
            let sent = link.tx.try_unsubscribe(routed(filter)).is_ok();
            // A router that is gone has forgotten the filter anyway.
            drop(link.settle(sent).await);
        }
        true
    }

    /// Waits for the next message. Pending for ever without subscriptions. Cancel-safe.
    pub(crate) async fn recv(&mut self) -> BusMessage {
        loop {
            if self.filters.is_empty() {
                return std::future::pending().await;
            }
            if self.link.is_none() && self.connect().await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let Some(link) = &mut self.link else { continue };
            match link.next().await {
                Heard::Message(forward) => {
                    self.count_lost(forward.cursor);
                    match unwrap(&forward.publish.topic, &forward.publish.payload) {
                        Some(message) if self.selects(&message.topic) => return message,
                        _ => {}
                    }
                }
                Heard::Nothing => {}
                Heard::Replaced => self.link = None,
                Heard::Dead => {
                    self.shared.replace(link.generation);
                    self.link = None;
                }
            }
        }
    }

    /// The prefix hides from the router that wildcards do not reach topics that start with `$`.
    fn selects(&self, topic: &str) -> bool {
        !topic.starts_with('$') || self.filters.iter().any(|filter| filter_matches(filter, topic))
    }

    /// A subscriber that falls too far behind is moved on silently by the router; its cursor tells. With several filters
    /// the cursors of several logs mix, so then nothing can be told.
    fn count_lost(&mut self, cursor: Option<(u64, u64)>) {
        let Some((_, position)) = cursor.filter(|_| self.filters.len() == 1) else {
            self.next_cursor = None;
            return;
        };
        if let Some(lost) = self.next_cursor.and_then(|next| position.checked_sub(next)) {
            self.shared.metrics.bus_lost.inc_by(lost);
        }
        self.next_cursor = Some(position + 1);
    }

    async fn connect(&mut self) -> Result<(), BusDown> {
        let mut router = self.shared.router.subscribe();
        let (generation, connect) = router.borrow_and_update().clone();
        let id = format!("subscriber-{}", Uuid::new_v4());
        let built = tokio::task::spawn_blocking(move || connect(&id));
        let Ok(Some((tx, rx))) = built.await else {
            self.shared.replace(generation);
            return Err(BusDown);
        };
        let mut link = Link { generation, tx, rx, router, asleep: false };
        for filter in &self.filters {
            link.subscribe(filter).await?;
        }
        self.next_cursor = None;
        self.link = Some(link);
        Ok(())
    }
}

/// What a link heard from the router.
enum Heard {
    Message(Box<Forward>),
    Nothing,
    /// There is a newer router.
    Replaced,
    /// The router is gone.
    Dead,
}

impl Link {
    /// Waits for the router. Cancel-safe: a wake-up that was not sent is sent the next time.
    async fn next(&mut self) -> Heard {
        if self.asleep {
            match self.rx.wake().await {
                Ok(()) => self.asleep = false,
                Err(_) => return Heard::Dead,
            }
        }
        let generation = self.generation;
        tokio::select! {
            _ = self.router.wait_for(|(current, _)| *current != generation) => Heard::Replaced,
            received = self.rx.next() => match received {
                Ok(Some(Notification::Forward(forward))) => Heard::Message(Box::new(forward)),
                Ok(Some(Notification::Unschedule)) => {
                    self.asleep = true;
                    Heard::Nothing
                }
                Ok(_) => Heard::Nothing,
                Err(_) => Heard::Dead,
            },
        }
    }

    /// Subscribes. The router takes events in order, so nothing that is published after this returns is missed.
    async fn subscribe(&mut self, filter: &str) -> Result<(), BusDown> {
        let sent = self.tx.try_subscribe(routed(filter)).is_ok();
        self.settle(sent).await
    }

    /// The link has put a packet into its buffer; the router must hear of it, also when its queue was full at first.
    async fn settle(&mut self, mut sent: bool) -> Result<(), BusDown> {
        for _ in 0..1000 {
            if sent {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
            sent = self.tx.try_publish("t/poke", "").is_ok();
        }
        Err(BusDown)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for filter in &self.filters {
            release(&self.shared, filter);
        }
        if let Some(link) = &mut self.link {
            // The router keeps a link until it is told that the client left.
            let leave = rumqttd::protocol::Packet::Disconnect(
                rumqttd::protocol::Disconnect {
                    reason_code: rumqttd::protocol::DisconnectReasonCode::NormalDisconnection,
                },
                None,
            );
            link.tx.buffer().push_back(leave);
            if link.tx.try_publish("t/left", "").is_err() {
                warn!("the bus is too busy to take note of a subscriber that left");
            }
        }
    }
}

fn release(shared: &Shared, filter: &str) {
    let mut wanted = locked(&shared.wanted);
    if let Some(count) = wanted.get_mut(filter) {
        *count -= 1;
        if *count == 0 {
            wanted.remove(filter);
        }
    }
}
