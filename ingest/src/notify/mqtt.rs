//! Notifications by MQTT: retained on `{prefix}/alert/{site}/{device}/{rule}/{metric}` while the alert is there.
//!
//! A step is told when the broker has acknowledged it. An alert that is over is said so once, and its retained message is removed.
//! After a new connection all that are there are published again: the broker may be a new one.

use std::collections::{HashMap, VecDeque};

use service_runtime::{Stop, Tasks};
use telemetry_core::topic::ControlTopics;
use tokio::sync::{mpsc, oneshot, watch};

use super::http::NotTold;
use super::notice::{Notice, level};

/// Messages that wait for the connection.
const MESSAGES_MAX: usize = 16;
/// States of devices that wait for it.
const STATES_MAX: usize = 1_024;

/// A message for the broker.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) retain: bool,
    /// Told when the broker has it; dropped when the connection is lost before.
    pub(crate) done: oneshot::Sender<()>,
}

/// The way to the broker.
#[derive(Debug)]
pub(crate) struct Link {
    topics: ControlTopics,
    messages: mpsc::Sender<Message>,
    connections: watch::Receiver<u64>,
}

/// The way for states of devices: what does not fit now is asked for again, newer.
#[derive(Debug)]
pub(crate) struct StateLink {
    topics: ControlTopics,
    states: mpsc::Sender<Message>,
    connections: watch::Receiver<u64>,
}

impl StateLink {
    /// Retains a device's state, or takes it away if there is none; false: there is no room now.
    pub(crate) fn retain(&self, (site, device): (&str, &str), payload: Vec<u8>) -> bool {
        let topic = self.topics.below(&format!("state/{}/{}", level(site), level(device)));
        // Nobody waits for it: a newer one will come.
        let (done, _) = oneshot::channel();
        self.states.try_send(Message { topic, payload, retain: true, done }).is_ok()
    }

    /// Whether the connection is a new one since this was asked last: the broker may have forgotten.
    pub(crate) fn is_new(&mut self) -> bool {
        let is_new = self.connections.has_changed().unwrap_or(false);
        self.connections.mark_unchanged();
        is_new
    }
}

/// Takes states to the connection, behind what alerts have to say.
async fn forward(
    mut states: mpsc::Receiver<Message>,
    messages: mpsc::Sender<Message>,
    stop: Stop,
) -> anyhow::Result<()> {
    let all = async {
        while let Some(message) = states.recv().await {
            if messages.send(message).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = all => {}
    }
    Ok(())
}

/// The connection's end.
#[derive(Debug)]
pub(crate) struct LinkEnd {
    pub(crate) messages: mpsc::Receiver<Message>,
    connections: watch::Sender<u64>,
}

/// A way to the broker, and its other end.
pub(crate) fn link(topics: ControlTopics) -> (Link, LinkEnd) {
    let (messages, receiver) = mpsc::channel(MESSAGES_MAX);
    let (sender, connections) = watch::channel(0);
    let end = LinkEnd { messages: receiver, connections: sender };
    (Link { topics, messages, connections }, end)
}

impl LinkEnd {
    /// There is a new connection.
    pub(crate) fn connected(&self) {
        self.connections.send_modify(|connections| *connections += 1);
    }
}

impl Link {
    /// The way for states of devices.
    pub(crate) fn states(&self, tasks: &mut Tasks) -> StateLink {
        let (states, waiting) = mpsc::channel(STATES_MAX);
        tasks.spawn("states", forward(waiting, self.messages.clone(), tasks.stop()));
        StateLink { topics: self.topics.clone(), states, connections: self.connections.clone() }
    }

    /// Waits for a new connection.
    pub(super) async fn connected(&mut self) {
        if self.connections.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Tells a step.
    ///
    /// # Errors
    /// [`NotTold::Later`]: the connection is lost.
    pub(super) async fn tell(&self, notice: &Notice) -> Result<(), NotTold> {
        if notice.is_open() {
            return self.retain(notice).await;
        }
        self.publish(notice, notice.to_json(), false).await?;
        self.publish(notice, Vec::new(), true).await
    }

    /// Publishes an alert that is there.
    ///
    /// # Errors
    /// As [`Link::tell`].
    pub(super) async fn retain(&self, notice: &Notice) -> Result<(), NotTold> {
        self.publish(notice, notice.to_json(), true).await
    }

    async fn publish(
        &self,
        notice: &Notice,
        payload: Vec<u8>,
        retain: bool,
    ) -> Result<(), NotTold> {
        let lost = || NotTold::Later("the connection to the broker is lost".to_owned());
        let (done, is_done) = oneshot::channel();
        let topic = self.topics.below(&notice.topic());
        let message = Message { topic, payload, retain, done };
        self.messages.send(message).await.map_err(|_| lost())?;
        is_done.await.map_err(|_| lost())
    }
}

/// Which publishes wait for which acknowledgement: the client tells the packet id of a message only when it sends it, in the order in
/// which it was asked to.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    asked: VecDeque<Option<oneshot::Sender<()>>>,
    sent: HashMap<u16, oneshot::Sender<()>>,
}

impl Flights {
    /// The client was asked to publish; `done`: who waits for it.
    pub(crate) fn asked(&mut self, done: Option<oneshot::Sender<()>>) {
        self.asked.push_back(done);
    }

    /// It was sent with a packet id.
    pub(crate) fn sent(&mut self, id: u16) {
        if let Some(Some(done)) = self.asked.pop_front() {
            self.sent.insert(id, done);
        }
    }

    /// The broker has it.
    pub(crate) fn acknowledged(&mut self, id: u16) {
        if let Some(done) = self.sent.remove(&id) {
            // Who does not wait any more has ended.
            let _ended = done.send(());
        }
    }

    /// The connection is lost: whoever waits asks again.
    pub(crate) fn lost(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::notice::tests::notice;
    use super::*;

    #[tokio::test]
    async fn who_waits_hears_of_its_own_message_or_that_it_is_lost() {
        let mut flights = Flights::default();
        let (one, mut first) = oneshot::channel();
        let (two, mut second) = oneshot::channel();
        flights.asked(Some(one));
        flights.asked(None);
        flights.asked(Some(two));
        (5..8).for_each(|id| flights.sent(id));
        flights.acknowledged(6);
        flights.acknowledged(7);
        assert!(first.try_recv().is_err());
        assert_eq!(second.try_recv(), Ok(()));
        flights.lost();
        assert!(first.await.is_err());
    }

    #[tokio::test]
    async fn an_alert_is_retained_while_it_is_there_and_said_to_be_over_once() {
        let (mut link, mut end) = link(ControlTopics::default());
        end.connected();
        link.connected().await;
        let broker = async {
            let mut seen = Vec::new();
            while let Some(message) = end.messages.recv().await {
                let empty = message.payload.is_empty();
                assert_eq!(message.topic, "tm/v1/alert/icu/mon-1/fast/heart_rate");
                message.done.send(()).unwrap();
                seen.push((message.retain, empty));
            }
            seen
        };
        let teller = async {
            for state in ["firing", "resolved"] {
                link.tell(&notice("a", state)).await.unwrap();
            }
            drop(link);
        };
        let (seen, ()) = tokio::join!(broker, teller);
        assert_eq!(seen, [(true, false), (false, false), (true, true)]);
    }
}
