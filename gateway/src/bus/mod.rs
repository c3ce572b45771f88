//! The bus inside the gateway: frames, receipts and status between uplinks and ingest, by rumqttd's router, which no client
//! ever talks to.
//!
//! The router has known ways to panic, to grow and to drop silently. This module keeps them out of reach: every topic and
//! filter gets the prefix `t/` (so the router never sees a first character of a client's choice), link ids are our own,
//! the numbers of filters and topics are bounded, segment sizes are explicit, and a router that died is replaced: links
//! are made anew and their filters subscribed again. What is lost on the way is a live copy or a frame, never a message:
//! those are in the spool.

mod envelope;
mod publisher;
mod subscriber;

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rumqttd::local::{LinkBuilder, LinkRx, LinkTx};
use rumqttd::{Router, RouterConfig, SegmentConfig};
use telemetry_core::lane::LANES;
use telemetry_core::topic::ControlTopics;
use tokio::sync::{mpsc, watch};
use tracing::error;

use crate::limits::Limits;
use crate::metrics::GatewayMetrics;
use crate::mqtt::Properties;

pub(crate) use publisher::Publisher;
pub(crate) use subscriber::Subscriber;

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
    /// Counts subscriptions: somebody may be there now who was not.
    subscribed: watch::Sender<u64>,
    /// Every filter the router has seen: it never forgets one.
    seen_filters: Mutex<HashSet<u64>>,
    hasher: RandomState,
    limits: Limits,
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
            subscribed: watch::Sender::new(0),
            seen_filters: Mutex::default(),
            hasher: RandomState::new(),
            limits: limits.clone(),
            metrics,
        });
        let publisher = Publisher::new(shared.clone(), queue);
        (Self { shared, publish }, publisher)
    }

    /// Hands a message to the router; waits while its queue is full.
    pub(crate) async fn publish(&self, message: BusMessage) {
        // The queue closes only when the gateway ends: then nobody listens any more.
        drop(self.publish.send(message).await);
    }

    /// Watches for new subscriptions.
    pub(crate) fn subscribed(&self) -> watch::Receiver<u64> {
        self.shared.subscribed.subscribe()
    }

    /// Makes a subscriber without subscriptions.
    pub(crate) fn subscriber(&self) -> Subscriber {
        Subscriber::new(self.shared.clone())
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
    pub(super) fn replace(&self, generation: u64) {
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

    pub(super) fn admit_filter(&self, filter: &str) -> bool {
        let mut seen = locked(&self.seen_filters);
        let hash = self.hasher.hash_one(filter);
        seen.contains(&hash) || (seen.len() < self.limits.filters_max && seen.insert(hash))
    }
}

fn routed(topic: &str) -> String {
    format!("t/{topic}")
}
