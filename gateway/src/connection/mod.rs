//! One client's connection, from its CONNECT to what it leaves behind.

mod aliases;
mod connect;
mod deliver;
mod packets;
mod rights;
mod socket;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::debug;

use crate::access::Denied;
use crate::access::audit::AuditEvent;
use crate::inbox::Inbox;
use crate::listener::addresses::Place;
use crate::listener::handshake::Accepted;
use crate::mqtt::{Reason, Version};
use crate::notices::{Event, Who};
use crate::parked;
use crate::rate::Rate;
use crate::session::{Parked, Seat, Session};
use crate::shared::Shared;
use crate::testament::Testament;
use crate::will;
use aliases::{IncomingAliases, OutgoingAliases};
use connect::{Arrival, Newcomer};
use deliver::Deliveries;
use rights::Rights;
use socket::Socket;

/// Why a connection ended.
enum End {
    /// The client said goodbye.
    Disconnected { publish_will: bool },
    /// The socket broke or closed.
    Lost,
    /// We ended it.
    Reason(Reason),
}

/// A packet that is too large: its topic, if that has come, its bytes, and the most that is allowed.
struct TooMuch {
    topic: Option<String>,
    size: usize,
    limit: usize,
}

struct Connection {
    shared: Arc<Shared>,
    version: Version,
    /// The client is another broker.
    bridge: bool,
    socket: Socket,
    session: Session,
    rights: Rights,
    inbox: Inbox,
    deliveries: Deliveries,
    aliases: IncomingAliases,
    progress: watch::Receiver<store_forward::Progress>,
    committed: watch::Receiver<u64>,
    rate: Rate,
    /// Nothing is read until then.
    paused_until: Option<Instant>,
    keep_alive: Option<Duration>,
    /// Whether the client may change its mind about leaving a session behind (MQTT 5 section 3.14.2.2.2).
    expiry_asked: u32,
    /// What ends the connection, if it is that.
    too_much: Option<TooMuch>,
    /// Its proof was withdrawn: its will counts for nothing.
    withdrawn: bool,
    /// Counted among those that stay while the gateway drains.
    staying: bool,
    /// Counted for the client's address.
    _place: Place,
}

/// A client that is in, and what ends with it.
struct Entered {
    connection: Box<Connection>,
    seat: Seat,
    will: Option<Testament>,
}

/// Serves one client until it leaves.
pub(crate) async fn serve(shared: Arc<Shared>, accepted: Accepted, serial: u64) {
    // What is boxed is given back when it is done: most connections live long and do little.
    let entered = Box::pin(enter(&shared, accepted, serial)).await;
    drop(shared);
    let Some(Entered { mut connection, seat, will }) = entered else { return };
    let end = connection.run(&seat).await;
    connection.told(&end);
    Box::pin(connection.leave(end, seat, will)).await;
}

/// Sees a client in, or off.
async fn enter(shared: &Arc<Shared>, accepted: Accepted, serial: u64) -> Option<Entered> {
    let peer = accepted.peer;
    let place = (peer, accepted.endpoint.name.clone());
    let patience = Duration::from_millis(shared.limits.connect_time_ms);
    let (socket, arrival) = match timeout(patience, connect::arrive(shared, accepted)).await {
        Ok(Ok(arrived)) => arrived,
        Ok(Err(turned)) => {
            turned.answer(shared, place).await;
            return None;
        }
        Err(_) => {
            shared.metrics.disconnected("connect_timeout");
            let place = Some(place);
            shared.metrics.notices.tell(Event::Silent, Who { place, ..Who::default() });
            return None;
        }
    };
    let newcomer = match connect::enter(shared, &arrival, serial).await {
        Ok(newcomer) => newcomer,
        Err(refusal) => {
            refusal.answer(shared, socket, place).await;
            return None;
        }
    };
    shared.metrics.connects.inc();
    arrival.rights.record(AuditEvent::Connected, None, None);
    let client_id = newcomer.session.client_id().clone();
    debug!(%peer, client = %client_id, version = ?arrival.connect.version, "connected");
    let will = arrival.testament(&client_id);
    let Newcomer { seat, session, present } = newcomer;
    if let Some(will) = &will {
        will::keep(will, None, shared);
    }
    let connection = Connection::begin(shared, socket, session, arrival, present).await;
    Some(Entered { connection, seat, will })
}

impl Connection {
    async fn begin(
        shared: &Arc<Shared>,
        socket: Socket,
        session: Session,
        arrival: Arrival,
        present: bool,
    ) -> Box<Self> {
        let (connect, limits) = (&arrival.connect, &shared.limits);
        let has_will = connect.will.is_some();
        let now = shared.clock.uptime();
        let audiences = shared.fanout.audiences();
        // User properties in acknowledgements are problem information (MQTT-3.1.2-29).
        let receipts = connect.wants_receipts && connect.problem_info;
        let publisher = arrival.publisher.clone();
        let inbox =
            Inbox::new(connect.version, session.client_id(), publisher, receipts, audiences)
                .with_packets_up_to(connect.packet_bytes_max);
        let (accepted, keep_alive) =
            (arrival.accepted(shared, present), arrival.keep_alive(limits));
        let mut connection = Box::new(Self {
            version: connect.version,
            bridge: connect.bridge,
            inbox,
            deliveries: Deliveries {
                window: limits.inflight_max.min(connect.receive_max).into(),
                packet_bytes_max: connect.packet_bytes_max,
                aliases: OutgoingAliases::new(connect.topic_alias_max.min(limits.topic_alias_max)),
                unacknowledged: 0,
                again: session.outgoing.again().map(|(pkid, _)| pkid).collect(),
                retained: VecDeque::new(),
                following: VecDeque::new(),
                answers: BytesMut::new(),
            },
            aliases: IncomingAliases::new(limits.topic_alias_max),
            progress: shared.spool.progress(),
            committed: shared.store.committed(),
            rate: shared.rates.of(&arrival.pays, now),
            paused_until: None,
            keep_alive,
            expiry_asked: connect.session_expiry_seconds,
            too_much: None,
            withdrawn: false,
            staying: false,
            socket,
            session,
            shared: shared.clone(),
            rights: arrival.rights,
            _place: arrival.place,
        });
        if connection.session.is_durable() || has_will {
            // What the client relies on from here on is on disk: that it has a session, and its will.
            let pushed = shared.store.pushed();
            // A store that has failed ends the gateway.
            drop(connection.committed.wait_for(|committed| *committed >= pushed).await);
        }
        connection.socket.output.extend_from_slice(&accepted);
        // A session that waited may have been given rights that its client has no more.
        connection.restrict();
        connection
    }

    /// Tells why it ended, before the client hears of it: who asks then is told.
    fn told(&mut self, end: &End) {
        let End::Reason(reason) = end else { return };
        self.shared.metrics.disconnected(reason.as_str());
        self.rights.record(AuditEvent::Disconnected, None, Some(reason.as_str()));
        if *reason != Reason::ShuttingDown {
            let (topic, size) =
                self.too_much.take().map(|it| (it.topic, (it.size, it.limit))).unzip();
            let who = Who { topic: topic.flatten(), size, ..self.who() };
            self.shared.metrics.notices.tell(Event::Disconnected(*reason), who);
        }
    }

    /// Says whom a notice concerns.
    fn who(&self) -> Who {
        Who {
            client: self.session.client_id().clone(),
            place: Some(self.rights.place()),
            version: Some(self.version),
            ..Who::default()
        }
    }

    async fn run(&mut self, seat: &Seat) -> End {
        // What came in one piece with the CONNECT.
        if let Err(end) = self.take_packets().await {
            return end;
        }
        let shared = self.shared.clone();
        // One wait each for the whole connection: a wait that begins anew with every packet takes a lock that all connections share.
        let (over, drained) = (over(seat, &shared), shared.draining.cancelled());
        tokio::pin!(over, drained);
        loop {
            let more = self.deliver();
            let flushed = tokio::select! {
                biased;
                flushed = self.socket.flush() => flushed,
                // A client that takes nothing keeps neither its successor waiting nor a gateway that stops.
                reason = over.as_mut() => return End::Reason(reason),
            };
            if let Err(end) = flushed {
                return end;
            }
            if more {
                continue;
            }
            let stays = self.takes_frames();
            let is_draining = shared.draining.is_cancelled();
            let draining = is_draining && !stays;
            if is_draining && stays && !std::mem::replace(&mut self.staying, true) {
                shared.staying.send_modify(|count| *count += 1);
            }
            if draining && self.inbox.is_settled() {
                return End::Reason(Reason::ShuttingDown);
            }
            let news = Some(drained.as_mut()).filter(|_| !is_draining);
            if let Err(end) = self.next(over.as_mut(), news, &shared, draining).await {
                return end;
            }
        }
    }

    /// Waits for whatever happens next, and does what it asks for. `over`: why the connection ends. `drained`: the gateway begins to drain,
    /// if it has not.
    async fn next(
        &mut self,
        over: Pin<&mut impl Future<Output = Reason>>,
        drained: Option<Pin<&mut impl Future<Output = ()>>>,
        shared: &Shared,
        draining: bool,
    ) -> Result<(), End> {
        let paused = self.paused_until.take_if(|until| *until <= Instant::now());
        let paused = if paused.is_some() { None } else { self.paused_until };
        let may_read = !draining
            && paused.is_none()
            && self.follows()
            && self.inbox.may_read(&shared.limits)
            && shared.store.has_room();
        // Who is not read cannot be heard.
        let keep_alive = self.keep_alive.filter(|_| may_read);
        let deadline = keep_alive.map(|patience| self.socket.heard() + patience);
        let owing = !self.inbox.is_settled();
        if !owing {
            self.inbox.rest();
        }
        let waiting = owing || !self.deliveries.following.is_empty() || !shared.store.has_room();
        tokio::select! {
            biased;
            reason = over => Err(End::Reason(reason)),
            () = self.rights.changed() => self.on_rights().await,
            () = begun(drained) => Ok(()),
            changed = self.progress.changed(), if owing => match changed {
                Ok(()) => self.on_progress().await,
                Err(_) => Err(End::Reason(Reason::ShuttingDown)),
            },
            changed = self.committed.changed(), if waiting => match changed {
                Ok(()) => self.on_progress().await,
                Err(_) => Err(End::Reason(Reason::ShuttingDown)),
            },
            read = self.socket.read(), if may_read => {
                read?;
                self.take_packets().await?;
                if self.inbox.is_settled() {
                    self.socket.acknowledge_now();
                }
                Ok(())
            }
            // After the read: who is behind must still be heard.
            () = self.session.mailbox.news(), if self.hears_news() => Ok(()),
            () = until(paused) => Ok(()),
            () = until(deadline) => Err(End::Reason(Reason::KeepAlive)),
        }
    }

    /// The tables have changed: the client may have lost some rights, or all.
    async fn on_rights(&mut self) -> Result<(), End> {
        match self.rights.refresh() {
            Ok(()) => {
                self.restrict();
                Ok(())
            }
            // Its proof has come to its end as everybody knew it would.
            Err(Denied::Expired) => Err(End::Reason(Reason::Revoked)),
            Err(_) => {
                self.withdrawn = true;
                Err(End::Reason(Reason::Revoked))
            }
        }
    }

    async fn on_progress(&mut self) -> Result<(), End> {
        if self.progress.borrow_and_update().failed {
            return Err(End::Reason(Reason::Unavailable));
        }
        self.accept_batch()
    }

    /// Says goodbye, leaves the session behind or ends it, and sees to the will.
    async fn leave(mut self: Box<Self>, end: End, seat: Seat, will: Option<Testament>) {
        let shared = self.shared.clone();
        let unwanted = matches!(end, End::Disconnected { publish_will: false });
        if let Some(will) = will.as_ref().filter(|_| unwanted) {
            will::forget(will, &shared);
        }
        if let End::Reason(reason) = end {
            self.version.write_disconnect(reason, None, &mut self.socket.output);
        }
        if !matches!(end, End::Lost) {
            self.socket.close().await;
        }
        if let Some(will) = will.as_ref().filter(|_| self.withdrawn) {
            will::discard(will, &shared);
        }
        let will = will.filter(|_| !unwanted && !self.withdrawn);
        self.inbox.abandon(&mut self.session);
        if seat.ended.is_cancelled() {
            self.session.set_expiry(0);
        }
        let now = shared.clock.uptime();
        if !self.session.is_durable() {
            self.session.end(&shared.fanout);
            if let Some(will) = will {
                will::publish(will, &shared).await;
            }
            return drop(seat);
        }
        let delay = will.as_ref().map_or(0, |testament| testament.will.delay_seconds);
        let will = match will {
            Some(will) if delay == 0 => {
                will::publish(will, &shared).await;
                None
            }
            will => will.map(|will| {
                let due_us = shared.clock.now_us().saturating_add(i64::from(delay) * 1_000_000);
                will::keep(&will, Some(due_us), &shared);
                (now + Duration::from_secs(delay.into()), will)
            }),
        };
        // Retained messages that were asked for are the session's, like any other.
        for letter in self.deliveries.retained.drain(..).filter(|letter| letter.qos > 0) {
            shared.fanout.post(&self.session.mailbox, letter);
        }
        self.session.disconnected(shared.clock.now_us());
        let parked = Parked::new(self.session, now, will);
        let client_id = parked.session.client_id().clone();
        if let Some(left) = seat.park(parked) {
            left.session.end(&shared.fanout);
        }
        parked::review_one(&shared, &client_id);
    }
}

/// Waits until the connection is to end, whatever its client does.
async fn over(seat: &Seat, shared: &Shared) -> Reason {
    tokio::select! {
        biased;
        () = seat.taken_over.cancelled() => Reason::TakenOver,
        () = seat.ended.cancelled() => Reason::Administrative,
        () = shared.closing.cancelled() => Reason::ShuttingDown,
    }
}

/// Waits for what may still come; for ever, if nothing may.
async fn begun(event: Option<impl Future<Output = ()>>) {
    match event {
        Some(event) => event.await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returned<A, B, C, R>(_: impl Fn(A, B, C) -> R) -> usize {
        size_of::<R>()
    }

    #[test]
    fn inv8_a_connection_that_waits_is_small() {
        // Ten thousand of them wait most of the time.
        assert!(returned(serve) <= 2048, "the task: {}", returned(serve));
        let connection = size_of::<Connection>();
        assert!(connection <= 1536, "the connection: {connection}");
    }
}
