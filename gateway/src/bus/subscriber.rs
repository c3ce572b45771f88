//! A receiver of messages: its link to the router and its filters, made anew when the router was replaced.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rumqttd::local::{LinkRx, LinkTx};
use rumqttd::{Forward, Notification};
use telemetry_core::topic::filter_matches;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::warn;
use uuid::Uuid;

use super::{BusDown, BusMessage, Connect, Shared, SubscribeError, envelope, routed};

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
    connecting: Option<Attempt>,
}

impl Subscriber {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, link: None, filters: HashSet::new(), next_cursor: None, connecting: None }
    }

    /// Adds a filter; messages that are published after this returns are received. Tells whether the filter is new.
    pub(crate) async fn subscribe(&mut self, filter: &str) -> Result<bool, SubscribeError> {
        if self.filters.contains(filter) {
            return Ok(false);
        }
        if !self.shared.admit_filter(filter) {
            return Err(SubscribeError::TooMany);
        }
        self.filters.insert(filter.to_owned());
        // A link that is being made may have been begun without this filter.
        self.connecting = None;
        match &mut self.link {
            Some(link) => link.subscribe(filter).await?,
            None => self.connect().await?,
        }
        self.shared.subscribed.send_modify(|count| *count += 1);
        Ok(true)
    }

    /// Removes a filter; tells whether there was one.
    pub(crate) async fn unsubscribe(&mut self, filter: &str) -> bool {
        if !self.filters.remove(filter) {
            return false;
        }
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
                    match envelope::unwrap(&forward.publish.topic, &forward.publish.payload) {
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

    /// Makes a link and subscribes all filters. Cancel-safe: what was begun is kept and goes on with the next call.
    async fn connect(&mut self) -> Result<(), BusDown> {
        let shared = &self.shared;
        let attempt = self.connecting.get_or_insert_with(|| {
            let mut router = shared.router.subscribe();
            let (generation, connect) = router.borrow_and_update().clone();
            let id = format!("subscriber-{}", Uuid::new_v4());
            let filters: Vec<String> = self.filters.iter().cloned().collect();
            Attempt {
                generation,
                link: tokio::task::spawn_blocking(move || {
                    link(connect, &id, generation, router, &filters)
                }),
            }
        });
        let (generation, made) = (attempt.generation, (&mut attempt.link).await);
        self.connecting = None;
        match made {
            Ok(Some(link)) => {
                self.next_cursor = None;
                self.link = Some(link);
                Ok(())
            }
            _ => {
                self.shared.replace(generation);
                Err(BusDown)
            }
        }
    }
}

/// A link in the making.
struct Attempt {
    generation: u64,
    link: JoinHandle<Option<Link>>,
}

/// Connects and subscribes. Blocks: the router's channel has no other way to push back.
fn link(
    connect: Connect,
    id: &str,
    generation: u64,
    router: watch::Receiver<(u64, Connect)>,
    filters: &[String],
) -> Option<Link> {
    let (mut tx, rx) = connect(id)?;
    for filter in filters {
        tx.subscribe(routed(filter)).ok()?;
    }
    Some(Link { generation, tx, rx, router, asleep: false })
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
