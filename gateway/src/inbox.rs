//! What a client publishes: batches for the spool, messages held while it is full, acknowledgements owed.

use std::collections::VecDeque;
use std::mem;

use bytes::BytesMut;
use store_forward::{AppendError, Message, Place, Progress};
use telemetry_core::frame::{FRAME_MAX, FRAME_OVERHEAD};
use telemetry_core::topic::{Control, validate_topic};
use tokio::sync::watch;

use crate::bus::{Bus, BusMessage, Interest};
use crate::config::Limits;
use crate::connection::Shared;
use crate::mqtt::{Ack, Connect, Position, Publish, Reason, Version};
use crate::session::{Acks, Owed, Route, route};

/// Messages that wait for the spool at once, while it is busy, before the client has to wait too.
const BATCH_MAX: usize = 4096;

/// The receiving side of a session.
pub(crate) struct Inbox {
    version: Version,
    publisher: String,
    wants_receipts: bool,
    /// Messages that are not in the spool or on the bus yet, in order.
    waiting: VecDeque<(Route, Publish)>,
    waiting_bytes: usize,
    /// How many of them will be acknowledged.
    waiting_owed: usize,
    /// Why it is not.
    blocked: Option<AppendError>,
    acks: Acks,
    /// The client is gone: what still comes is its will.
    owes_nothing: bool,
    interest: Interest,
}

impl Inbox {
    pub(crate) fn new(connect: &Connect, client_id: &str, bus: &Bus) -> Self {
        Self {
            version: connect.version,
            publisher: format!("anonymous:{client_id}"),
            wants_receipts: connect.wants_receipts,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_owed: 0,
            blocked: None,
            acks: Acks::default(),
            owes_nothing: false,
            interest: bus.interest(),
        }
    }

    /// Tells whether nothing is owed and nothing waits.
    pub(crate) fn is_settled(&self) -> bool {
        self.acks.is_empty() && self.waiting.is_empty()
    }

    /// Tells whether more may be read. A busy spool makes the client wait (TCP pushes back); a full one does not, so
    /// that pings are still answered (INV-3).
    pub(crate) fn may_read(&self, limits: &Limits) -> bool {
        match self.blocked {
            Some(AppendError::Full) => self.waiting_bytes <= limits.held_bytes_max,
            Some(_) => false,
            None => self.acks.len() < usize::from(u16::MAX),
        }
    }

    /// Nothing more is acknowledged to a client that is gone.
    pub(crate) fn owe_nothing(&mut self) {
        self.owes_nothing = true;
        (self.acks, self.waiting_bytes, self.waiting_owed) = (Acks::default(), 0, 0);
        self.waiting.clear();
    }

    /// Checks a message and puts it behind those that wait. Control messages wait with the telemetry before them, because
    /// acknowledgements keep the order of the messages.
    pub(crate) fn take(
        &mut self,
        shared: &Shared,
        publish: Publish,
        takes_frames: bool,
    ) -> Result<(), Reason> {
        if publish.qos > 1 {
            return Err(Reason::QosNotSupported);
        }
        if validate_topic(&publish.topic).is_err() {
            return Err(Reason::TopicInvalid);
        }
        let owed = self.acks.len() + self.waiting_owed;
        if self.version == Version::V5
            && publish.qos > 0
            && owed >= usize::from(shared.limits.receive_max)
        {
            return Err(Reason::ReceiveMaximum);
        }
        let route = route(&shared.topics, &publish.topic);
        let payload_bytes_max = match route {
            Route::Spool => shared.limits.payload_bytes_max,
            // Those who take frames and receipts take no larger packets, and 3.1.1 gives them no way to say so.
            Route::Bus => FRAME_MAX + FRAME_OVERHEAD,
        };
        if publish.payload.len() > payload_bytes_max {
            return Err(Reason::PacketTooLarge);
        }
        // Receipts come from ingest only, which takes frames; a device or an agent that publishes one could free or fork a
        // spool (INV-9).
        let receipt = route == Route::Bus
            && matches!(shared.topics.parse(&publish.topic), Some(Control::Receipt(..)));
        if receipt && !takes_frames {
            return Err(Reason::NotAuthorized);
        }
        self.waiting_bytes += publish.topic.len() + publish.payload.len();
        if self.blocked == Some(AppendError::Full)
            && self.waiting_bytes > shared.limits.held_bytes_max
        {
            return Err(Reason::QuotaExceeded);
        }
        self.waiting_owed += usize::from(publish.qos > 0);
        self.waiting.push_back((route, publish));
        Ok(())
    }

    /// Turns a control message into one for the bus and owes its acknowledgement.
    fn control(&mut self, shared: &Shared, publish: Publish) -> BusMessage {
        self.owe(&publish, Ack::Success, None);
        // A retained frame would only ever be a repeat.
        let retain =
            publish.retain && !matches!(shared.topics.parse(&publish.topic), Some(Control::Up(_)));
        let message = into_message(publish);
        if retain {
            shared.retained.set(&message);
        }
        message
    }

    /// Appends the telemetry that waits to the spool, as far as it goes; returns what goes over the bus: control messages, and
    /// live copies that somebody subscribed to.
    pub(crate) fn accept(&mut self, shared: &Shared) -> Result<Vec<BusMessage>, Reason> {
        let mut live = Vec::new();
        while let Some((route, _)) = self.waiting.front() {
            if *route == Route::Bus {
                let Some(publish) = self.pop() else { break };
                live.push(self.control(shared, publish));
                continue;
            }
            let publisher = self.publisher.as_str();
            let telemetry = self.waiting.iter().take_while(|(route, _)| *route == Route::Spool);
            let messages = telemetry.take(BATCH_MAX).map(|(_, publish)| Message {
                publisher,
                topic: &publish.topic,
                payload: &publish.payload,
            });
            let appended = shared.spool.append(shared.clock.now_us(), messages);
            for place in appended.places() {
                let Some(publish) = self.pop() else { break };
                self.owe(&publish, Ack::Success, Some(place));
                self.copy(shared, publish, &mut live);
            }
            self.blocked = appended.refused;
            match appended.refused {
                None => {}
                Some(AppendError::Full) if self.refuse_when_full(shared) => {}
                Some(AppendError::Full | AppendError::Busy) => break,
                Some(AppendError::TooLarge) => return Err(Reason::PacketTooLarge),
                Some(AppendError::Failed) => return Err(Reason::Unavailable),
            }
        }
        Ok(live)
    }

    /// Waits until nothing waits any more: a busy spool takes it a moment later.
    pub(crate) async fn settle(
        &mut self,
        shared: &Shared,
        progress: &mut watch::Receiver<Progress>,
    ) -> Result<(), Reason> {
        loop {
            progress.mark_unchanged();
            for message in self.accept(shared)? {
                shared.bus.publish(message).await;
            }
            if self.waiting.is_empty() {
                return Ok(());
            }
            progress.changed().await.map_err(|_| Reason::Unavailable)?;
        }
    }

    /// The spool is full: QoS 0 is dropped, MQTT 5 hears of it, 3.1.1 waits. Tells whether the first message is settled.
    fn refuse_when_full(&mut self, shared: &Shared) -> bool {
        let Some((_, first)) = self.waiting.front() else { return false };
        if first.qos == 0 {
            shared.metrics.best_effort_dropped.inc();
        } else if self.version == Version::V311 && !self.owes_nothing {
            return false;
        }
        if let Some(publish) = self.pop() {
            self.owe(&publish, Ack::QuotaExceeded, None);
        }
        self.blocked = None;
        true
    }

    fn pop(&mut self) -> Option<Publish> {
        let (_, publish) = self.waiting.pop_front()?;
        self.waiting_bytes -= publish.topic.len() + publish.payload.len();
        self.waiting_owed -= usize::from(publish.qos > 0);
        Some(publish)
    }

    fn owe(&mut self, publish: &Publish, reason: Ack, place: Option<Place>) {
        if publish.qos > 0 && !self.owes_nothing {
            self.acks.push(Owed { pkid: publish.pkid, reason, place });
        }
    }

    fn copy(&mut self, shared: &Shared, publish: Publish, live: &mut Vec<BusMessage>) {
        let wanted = self.interest.in_topic(&publish.topic);
        if publish.retain || wanted {
            let retain = publish.retain;
            let message = into_message(publish);
            if retain {
                shared.retained.set(&message);
            }
            if wanted {
                live.push(message);
            }
        }
    }

    /// Writes the acknowledgements that may leave with what is on stable storage; tells whether there were any.
    pub(crate) fn write_acks(
        &mut self,
        shared: &Shared,
        progress: &Progress,
        output: &mut BytesMut,
    ) -> bool {
        let before = output.len();
        while let Some(owed) = self.acks.pop(progress) {
            let place = owed.place.filter(|_| self.wants_receipts);
            let epoch = place.map(|place| place.epoch.to_string()).unwrap_or_default();
            let position = place.map(|place| Position {
                source: shared.spool.source_id().as_str(),
                epoch: &epoch,
                offset: place.offset,
            });
            self.version.write_puback(owed.pkid, owed.reason, position, output);
        }
        output.len() > before
    }
}

fn into_message(mut publish: Publish) -> BusMessage {
    BusMessage {
        topic: mem::take(&mut publish.topic),
        payload: publish.payload,
        qos: publish.qos,
        properties: publish.properties,
    }
}

#[cfg(test)]
mod tests {
    use service_runtime::{Clock, Stop};
    use store_forward::config::SpoolOptions;
    use store_forward::metrics::SpoolMetrics;
    use store_forward::{Spool, SpoolConfig, WriterThread};
    use telemetry_core::id::Epoch;
    use telemetry_core::topic::ControlTopics;

    use super::*;
    use crate::metrics::GatewayMetrics;
    use crate::retained::Retained;
    use crate::session::Registry;

    /// A gateway without sockets, whose spool writes when its writer is run.
    fn shared(folder: &std::path::Path) -> (Shared, WriterThread) {
        let config = SpoolConfig {
            dir: folder.join("spool"),
            pending_bytes_max: 1 << 20,
            ..SpoolConfig::default()
        };
        let options = SpoolOptions { source_id: "gateway".parse().unwrap(), config };
        let epoch = Epoch::from_random(7);
        let (spool, writer) = Spool::open(&options, epoch, SpoolMetrics::default()).unwrap();
        let (limits, topics) = (Limits::default(), ControlTopics::default());
        let metrics = GatewayMetrics::default();
        let (bus, _publisher) = Bus::start(&limits, &topics, metrics.clone());
        let shared = Shared {
            retained: Retained::new(&limits, metrics.clone()),
            limits,
            topics,
            spool,
            bus,
            registry: Registry::default(),
            metrics,
            clock: Clock::default(),
            draining: Stop::new(),
            staying: watch::Sender::default(),
            closing: Stop::new(),
        };
        (shared, writer)
    }

    fn inbox(shared: &Shared, version: Version) -> Inbox {
        let connect = Connect {
            version,
            client_id: "mon-1".into(),
            clean: true,
            keep_alive_seconds: 0,
            will: None,
            username: None,
            password: None,
            auth_method: None,
            topic_alias_max: 0,
            session_expiry_seconds: 0,
            problem_info: true,
            receive_max: 10,
            packet_bytes_max: None,
            wants_receipts: false,
        };
        Inbox::new(&connect, "mon-1", &shared.bus)
    }

    fn publish(bytes: usize) -> Publish {
        Publish {
            topic: "dt/w/mon-1/readings".into(),
            payload: vec![1; bytes].into(),
            qos: 1,
            retain: false,
            alias: None,
            dup: false,
            pkid: 0,
            properties: None,
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_will_that_finds_the_spool_busy_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let (shared, writer) = shared(folder.path());
        let mut device = inbox(&shared, Version::V311);
        for _ in 0..3 {
            device.take(&shared, publish(500_000), false).unwrap();
        }
        device.accept(&shared).unwrap();
        assert_eq!(device.blocked, Some(AppendError::Busy));
        let before = shared.spool.status().appended;
        let mut will = inbox(&shared, Version::V311);
        will.owe_nothing();
        will.take(&shared, publish(500_000), false).unwrap();
        let mut progress = shared.spool.progress();
        let settled = will.settle(&shared, &mut progress);
        let written = async {
            // Only now: the will has found the spool busy.
            tokio::task::yield_now().await;
            std::thread::spawn(move || writer.run())
        };
        let (settled, writer) = tokio::join!(settled, written);
        settled.unwrap();
        assert_eq!(shared.spool.status().appended, before + 1);
        shared.spool.close();
        writer.join().unwrap().unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn inv1_an_acknowledgement_waits_for_the_sync_of_its_message() {
        let folder = tempfile::tempdir().unwrap();
        let (shared, writer) = shared(folder.path());
        let mut device = inbox(&shared, Version::V311);
        device.take(&shared, publish(100), false).unwrap();
        device.accept(&shared).unwrap();
        let (mut progress, mut output) = (shared.spool.progress(), BytesMut::new());
        let accepted = *progress.borrow_and_update();
        assert!(!device.write_acks(&shared, &accepted, &mut output), "nothing is written yet");
        let writer = std::thread::spawn(move || writer.run());
        let synced = *progress.wait_for(|now| now.synced == 1).await.unwrap();
        assert!(device.write_acks(&shared, &synced, &mut output) && device.is_settled());
        shared.spool.close();
        writer.join().unwrap().unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn inv3_a_full_spool_refuses_by_name_or_withholds_and_never_feigns_success() {
        let folder = tempfile::tempdir().unwrap();
        let (shared, _writer) = shared(folder.path());
        let mut old = inbox(&shared, Version::V311);
        old.take(&shared, publish(100), false).unwrap();
        assert!(!old.refuse_when_full(&shared), "3.1.1 has no word for it: it waits");
        assert_eq!((old.acks.len(), old.waiting.len()), (0, 1));
        let mut new = inbox(&shared, Version::V5);
        new.take(&shared, publish(100), false).unwrap();
        assert!(new.refuse_when_full(&shared));
        let told = new.acks.pop(&Progress::default()).map(|owed| owed.reason);
        assert_eq!(told, Some(Ack::QuotaExceeded));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn inv8_more_than_the_receive_maximum_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (mut shared, _writer) = shared(folder.path());
        shared.limits.receive_max = 2;
        let mut device = inbox(&shared, Version::V5);
        device.take(&shared, publish(100), false).unwrap();
        device.accept(&shared).unwrap();
        device.take(&shared, publish(100), false).unwrap();
        let third = device.take(&shared, publish(100), false);
        assert_eq!(third, Err(Reason::ReceiveMaximum), "one is stored, one waits, none is synced");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn inv8_what_is_held_while_the_spool_takes_nothing_is_limited() {
        let folder = tempfile::tempdir().unwrap();
        let (mut shared, _writer) = shared(folder.path());
        shared.limits.held_bytes_max = 1000;
        let mut device = inbox(&shared, Version::V311);
        device.blocked = Some(AppendError::Full);
        device.take(&shared, publish(900), false).unwrap();
        assert!(device.may_read(&shared.limits), "pings are answered");
        assert_eq!(device.take(&shared, publish(900), false), Err(Reason::QuotaExceeded));
        assert!(!device.may_read(&shared.limits));

        let mut device = inbox(&shared, Version::V311);
        assert!(device.may_read(&shared.limits));
        device.blocked = Some(AppendError::Busy);
        assert!(!device.may_read(&shared.limits), "TCP pushes back");
        device.blocked = None;
        for pkid in 1..=u16::MAX {
            device.acks.push(Owed { pkid, reason: Ack::Success, place: None });
        }
        assert!(!device.may_read(&shared.limits), "every packet id is owed");
    }
}
