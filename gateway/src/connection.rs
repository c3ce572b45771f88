//! One client's connection: the socket around its session.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use crash_point::Point;
use service_runtime::{Clock, Stop};
use store_forward::{Progress, Spool};
use telemetry_core::topic::{ControlTopics, validate_topic};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::debug;
use uuid::Uuid;

use crate::bus::{Bus, BusMessage, Subscriber};
use crate::config::Limits;
use crate::inbox::Inbox;
use crate::metrics::GatewayMetrics;
use crate::mqtt::{
    Connect, Connecting, Delivery, Incoming, Offer, Publish, Reason, UnsubReason, Version, Will,
    read_connect,
};
use crate::retained::Retained;
use crate::session::{Outbox, Registry, Seat};
use crate::subscriptions::Subscriptions;

/// Room that is made in the receive buffer before a read; grows with what arrives, up to the second.
const READ_BYTES: usize = 2 << 10;
const READ_BYTES_MAX: usize = 128 << 10;
/// Bytes that are gathered for one write.
const OUTPUT_BYTES: usize = 1 << 20;
/// A session that was taken over has this long to leave.
const LEAVING_TIME: Duration = Duration::from_secs(5);

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) topics: ControlTopics,
    pub(crate) spool: Spool,
    pub(crate) bus: Bus,
    pub(crate) retained: Retained,
    pub(crate) registry: Registry,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) clock: Clock,
    /// No new telemetry: devices are disconnected, who takes frames stays.
    pub(crate) draining: Stop,
    /// Sessions that stay while draining.
    pub(crate) staying: watch::Sender<usize>,
    /// Everybody is disconnected.
    pub(crate) closing: Stop,
}

/// Why a connection ended.
enum End {
    /// The client said goodbye.
    Disconnected { publish_will: bool },
    /// The socket broke or closed.
    Lost,
    /// We ended it.
    Reason(Reason),
}

struct Connection {
    shared: Arc<Shared>,
    stream: TcpStream,
    version: Version,
    input: BytesMut,
    output: BytesMut,
    read_bytes: usize,
    /// Acknowledgements are in `output`.
    acknowledging: bool,
    inbox: Inbox,
    subscriptions: Subscriptions,
    outbox: Outbox,
    /// Retained messages that a subscription asked for and that are still to be sent.
    backlog: VecDeque<BusMessage>,
    subscriber: Subscriber,
    packet_bytes_max: Option<u32>,
    progress: watch::Receiver<Progress>,
    keep_alive: Option<Duration>,
    heard: Instant,
    /// Counted among those that stay while the gateway drains.
    staying: bool,
}

/// Serves one client until it leaves.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    mut stream: TcpStream,
    peer: SocketAddr,
    serial: u64,
) {
    let mut input = BytesMut::new();
    let patience = Duration::from_millis(shared.limits.connect_time_ms);
    let connect =
        match timeout(patience, await_connect(&shared, &mut stream, &mut input, peer)).await {
            Ok(Ok(connect)) => connect,
            Ok(Err(refusal)) => {
                if let Some((version, reason)) = refusal {
                    shared.metrics.refused(reason);
                    refuse(&shared, &mut stream, version, reason).await;
                }
                return;
            }
            Err(_) => return shared.metrics.disconnected("connect_timeout"),
        };
    let assigned =
        connect.client_id.is_empty().then(|| format!("auto-{}", Uuid::new_v4().simple()));
    let client_id = assigned.as_deref().unwrap_or(&connect.client_id).to_owned();
    let (seat, leaving) = shared.registry.enter(&client_id, serial);
    if let Some(mut leaving) = leaving {
        shared.metrics.takeovers.inc();
        // Ends with an error when the other session is gone: that is what we wait for.
        drop(timeout(LEAVING_TIME, leaving.changed()).await);
    }
    shared.metrics.connects.inc();
    debug!(%peer, client = client_id, version = ?connect.version, "connected");
    let will = connect.will.clone();
    let mut connection = Connection::new(shared.clone(), stream, input, &connect, &client_id);
    connection.accept(assigned.as_deref());
    let end = connection.run(&seat).await;
    if let End::Reason(reason) = end {
        // Before the client hears of it: who asks then is told.
        shared.metrics.disconnected(reason.as_str());
        debug!(%peer, client = client_id, reason = reason.as_str(), "disconnected");
    }
    connection.finish(&end).await;
    let publish_will = match end {
        End::Disconnected { publish_will } => publish_will,
        End::Lost | End::Reason(_) => true,
    };
    if let (true, Some(will)) = (publish_will, will) {
        connection.publish_will(will).await;
    }
    drop(seat);
}

type Refusal = Option<(Option<Version>, Reason)>;

/// Reads and judges the CONNECT. The error is what to answer, `None` when the client is gone.
async fn await_connect(
    shared: &Shared,
    stream: &mut TcpStream,
    input: &mut BytesMut,
    peer: SocketAddr,
) -> Result<Connect, Refusal> {
    loop {
        match read_connect(input, shared.limits.packet_bytes_max()) {
            Connecting::Incomplete => {}
            Connecting::Refused(version, reason) => return Err(Some((version, reason))),
            Connecting::Connect(connect) => {
                return match judge(shared, &connect, peer) {
                    None => Ok(*connect),
                    Some(reason) => Err(Some((Some(connect.version), reason))),
                };
            }
        }
        input.reserve(READ_BYTES);
        match stream.read_buf(input).await {
            Ok(0) | Err(_) => return Err(None),
            Ok(_) => {}
        }
    }
}

fn judge(shared: &Shared, connect: &Connect, peer: SocketAddr) -> Option<Reason> {
    let will_problem = connect.will.as_ref().and_then(|will| {
        if validate_topic(&will.topic).is_err() {
            Some(Reason::TopicInvalid)
        } else if will.payload.len() > shared.limits.payload_bytes_max {
            Some(Reason::PacketTooLarge)
        } else {
            (will.qos > 1).then_some(Reason::QosNotSupported)
        }
    });
    if shared.draining.is_cancelled() {
        Some(Reason::Unavailable)
    } else if connect.auth_method.is_some() {
        Some(Reason::BadAuthMethod)
    } else if connect.username.is_some() || connect.password.is_some() {
        // Nobody has a password yet: taking one without looking at it would feign safety.
        Some(Reason::BadLogin)
    } else if !peer.ip().to_canonical().is_loopback() {
        Some(Reason::NotAuthorized)
    } else if (connect.client_id.is_empty() && connect.version == Version::V311 && !connect.clean)
        || connect.client_id.len() > 256
        || connect.client_id.chars().any(char::is_control)
    {
        Some(Reason::BadClientId)
    } else {
        will_problem
    }
}

async fn refuse(shared: &Shared, stream: &mut TcpStream, version: Option<Version>, reason: Reason) {
    let Some(version) = version else { return };
    let mut output = BytesMut::new();
    version.write_refused(reason, None, &mut output);
    let patience = Duration::from_millis(shared.limits.write_time_ms);
    // Best effort: the connection is closed whether or not the client hears why.
    drop(timeout(patience, stream.write_all(&output)).await);
}

impl Connection {
    fn new(
        shared: Arc<Shared>,
        stream: TcpStream,
        input: BytesMut,
        connect: &Connect,
        client_id: &str,
    ) -> Self {
        let limits = &shared.limits;
        Self {
            version: connect.version,
            input,
            output: BytesMut::new(),
            read_bytes: READ_BYTES,
            acknowledging: false,
            inbox: Inbox::new(connect, client_id, &shared.bus),
            subscriptions: Subscriptions::default(),
            outbox: Outbox::new(limits.inflight_max.min(connect.receive_max)),
            backlog: VecDeque::new(),
            subscriber: shared.bus.subscriber(),
            packet_bytes_max: connect.packet_bytes_max,
            progress: shared.spool.progress(),
            keep_alive: (connect.keep_alive_seconds > 0)
                .then(|| Duration::from_millis(u64::from(connect.keep_alive_seconds) * 1500)),
            heard: Instant::now(),
            staying: false,
            stream,
            shared,
        }
    }

    fn accept(&mut self, assigned_client_id: Option<&str>) {
        let limits = &self.shared.limits;
        let packet_bytes_max = u32::try_from(limits.packet_bytes_max()).unwrap_or(u32::MAX);
        let offer = Offer {
            session_present: false,
            session_expiry_seconds: Some(0),
            server_keep_alive: None,
            receive_max: limits.receive_max,
            packet_bytes_max,
            topic_alias_max: 0,
            assigned_client_id,
        };
        self.version.write_accepted(&offer, &mut self.output);
    }

    async fn run(&mut self, seat: &Seat) -> End {
        // What came in one piece with the CONNECT.
        if let Err(end) = self.take_packets().await {
            return end;
        }
        let shared = self.shared.clone();
        loop {
            self.deliver_backlog();
            if let Err(end) = self.flush().await {
                return end;
            }
            if self.outbox.has_room() && !self.backlog.is_empty() {
                continue;
            }
            let stays = self.subscriptions.take_frames(&shared.topics);
            let draining = shared.draining.is_cancelled() && !stays;
            if shared.draining.is_cancelled()
                && stays
                && !std::mem::replace(&mut self.staying, true)
            {
                shared.staying.send_modify(|count| *count += 1);
            }
            if draining && self.inbox.is_settled() {
                return End::Reason(Reason::ShuttingDown);
            }
            let may_read = !draining && self.inbox.may_read(&shared.limits);
            let deadline = self.keep_alive.map(|patience| self.heard + patience);
            self.input.reserve(if may_read { self.read_bytes } else { 0 });
            let result = tokio::select! {
                biased;
                () = seat.taken_over.cancelled() => Err(End::Reason(Reason::TakenOver)),
                () = shared.closing.cancelled() => Err(End::Reason(Reason::ShuttingDown)),
                () = shared.draining.cancelled(), if !shared.draining.is_cancelled() => Ok(()),
                changed = self.progress.changed(), if !self.inbox.is_settled() => match changed {
                    Ok(()) => self.on_progress().await,
                    Err(_) => Err(End::Reason(Reason::ShuttingDown)),
                },
                read = self.stream.read_buf(&mut self.input), if may_read => match read {
                    Ok(0) | Err(_) => Err(End::Lost),
                    Ok(count) => {
                        self.adapt(count);
                        self.take_packets().await
                    }
                },
                // After the read: who is behind must still be heard.
                message = self.subscriber.recv(), if self.outbox.has_room() && self.backlog.is_empty() => {
                    self.deliver(&message, false);
                    Ok(())
                }
                () = until(deadline) => Err(End::Reason(Reason::KeepAlive)),
            };
            if let Err(end) = result {
                return end;
            }
        }
    }

    /// Reads more at once from who sends much, less from who sends little.
    fn adapt(&mut self, count: usize) {
        self.heard = Instant::now();
        if count >= self.read_bytes {
            self.read_bytes = (self.read_bytes * 4).min(READ_BYTES_MAX);
        } else if count < self.read_bytes / 16 {
            self.read_bytes = (self.read_bytes / 2).max(READ_BYTES);
        }
    }

    async fn take_packets(&mut self) -> Result<(), End> {
        let packet_bytes_max = self.shared.limits.packet_bytes_max();
        while let Some(packet) =
            self.version.read(&mut self.input, packet_bytes_max).map_err(End::Reason)?
        {
            match packet {
                Incoming::Publish(publish) => self.take(publish)?,
                Incoming::PubRec { .. } | Incoming::PubRel { .. } | Incoming::PubComp { .. } => {
                    return Err(End::Reason(Reason::QosNotSupported));
                }
                Incoming::PubAck { pkid, .. } => {
                    self.outbox.acknowledged(pkid);
                }
                Incoming::Subscribe { pkid, subscriptions, .. } => {
                    self.subscribe(pkid, subscriptions).await?;
                }
                Incoming::Unsubscribe { pkid, filters } => self.unsubscribe(pkid, &filters).await,
                Incoming::PingReq => self.version.write_pingresp(&mut self.output),
                Incoming::Disconnect { publish_will, .. } => {
                    self.accept_batch().await?;
                    return Err(End::Disconnected { publish_will });
                }
                Incoming::Unexpected(what) => {
                    debug!(packet = what, "unexpected packet");
                    return Err(End::Reason(Reason::Protocol));
                }
            }
        }
        self.accept_batch().await
    }

    fn take(&mut self, publish: Publish) -> Result<(), End> {
        let takes_frames = self.subscriptions.take_frames(&self.shared.topics);
        self.inbox.take(&self.shared, publish, takes_frames).map_err(End::Reason)
    }

    /// Hands what has gathered to the spool and the bus, all at once.
    async fn accept_batch(&mut self) -> Result<(), End> {
        let live = self.inbox.accept(&self.shared).map_err(End::Reason)?;
        for message in live {
            self.shared.bus.publish(message).await;
        }
        self.write_acks();
        Ok(())
    }

    async fn on_progress(&mut self) -> Result<(), End> {
        if self.progress.borrow_and_update().failed {
            return Err(End::Reason(Reason::Unavailable));
        }
        self.accept_batch().await
    }

    fn write_acks(&mut self) {
        let progress = *self.progress.borrow();
        self.acknowledging |= self.inbox.write_acks(&self.shared, &progress, &mut self.output);
    }

    async fn subscribe(
        &mut self,
        pkid: u16,
        subscriptions: Vec<crate::mqtt::Subscription>,
    ) -> Result<(), End> {
        let (granted, retained) = self
            .subscriptions
            .add(&self.shared, &mut self.subscriber, subscriptions)
            .await
            .map_err(End::Reason)?;
        self.version.write_suback(pkid, &granted, &mut self.output);
        self.backlog.extend(retained);
        if self.backlog.len() > self.shared.limits.retained_max {
            return Err(End::Reason(Reason::QuotaExceeded));
        }
        Ok(())
    }

    async fn unsubscribe(&mut self, pkid: u16, filters: &[String]) {
        let mut existed = Vec::with_capacity(filters.len());
        for filter in filters {
            let existed_one = self.subscriptions.remove(&mut self.subscriber, filter).await;
            existed.push(if existed_one {
                UnsubReason::Success
            } else {
                UnsubReason::NoSubscription
            });
        }
        self.version.write_unsuback(pkid, &existed, &mut self.output);
    }

    /// Sends retained messages that a subscription asked for, as far as the client's window goes.
    fn deliver_backlog(&mut self) {
        while self.outbox.has_room() && self.output.len() < OUTPUT_BYTES {
            let Some(message) = self.backlog.pop_front() else { return };
            self.deliver(&message, true);
        }
    }

    fn deliver(&mut self, message: &BusMessage, retain: bool) {
        let Some(granted) = self.subscriptions.qos_for(&message.topic) else { return };
        let qos = granted.min(message.qos);
        let start = self.output.len();
        let pkid = if qos == 0 { 0 } else { self.outbox.take() };
        let properties = message.properties.as_deref();
        let delivery = Delivery {
            topic: &message.topic,
            payload: &message.payload,
            qos,
            retain,
            dup: false,
            pkid,
            alias: None,
            properties,
            expiry_seconds: properties.and_then(|own| own.expiry_seconds),
            subscription_ids: &[],
        };
        let size = self.version.write_publish(&delivery, &mut self.output);
        if self.packet_bytes_max.is_some_and(|most| size > most as usize) {
            // MQTT 5 section 3.1.2.11.4: a packet that the client cannot take is dropped as if it had been delivered.
            self.output.truncate(start);
            self.outbox.acknowledged(pkid);
            return;
        }
        self.shared.metrics.delivered.inc();
    }

    async fn flush(&mut self) -> Result<(), End> {
        if self.output.is_empty() {
            return Ok(());
        }
        let patience = Duration::from_millis(self.shared.limits.write_time_ms);
        while !self.output.is_empty() {
            match timeout(patience, self.stream.write_buf(&mut self.output)).await {
                Ok(Ok(count)) if count > 0 => {}
                Ok(_) => return Err(End::Lost),
                Err(_) => {
                    self.shared.metrics.disconnected("write_timeout");
                    return Err(End::Lost);
                }
            }
        }
        if std::mem::take(&mut self.acknowledging) {
            crash_point::reach(Point::PubackSent);
        }
        Ok(())
    }

    async fn finish(&mut self, end: &End) {
        if let End::Reason(reason) = end {
            self.version.write_disconnect(*reason, None, &mut self.output);
        }
        if !matches!(end, End::Lost) && self.flush().await.is_ok() {
            // The client may be gone already: closing is all that is left to do.
            drop(timeout(Duration::from_secs(1), self.stream.shutdown()).await);
        }
    }

    async fn publish_will(&mut self, will: Will) {
        let Will { topic, payload, qos, retain, .. } = will;
        // A will has no packet id: nobody is owed an acknowledgement.
        let publish = Publish {
            topic,
            alias: None,
            payload,
            qos: qos.min(1),
            retain,
            dup: false,
            pkid: 0,
            properties: None,
        };
        self.inbox.owe_nothing();
        let shared = self.shared.clone();
        let taken = self.take(publish).is_ok()
            && self.inbox.settle(&shared, &mut self.progress).await.is_ok();
        if !taken {
            self.shared.metrics.disconnected("will_refused");
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
