//! CONNECT: read it, judge it, find or make the session.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use telemetry_core::topic::validate_topic;
use tokio::time::timeout;
use uuid::Uuid;

use super::rights::Rights;
use super::socket::Socket;
use crate::access::Denied;
use crate::access::audit::{AuditEvent, AuditRecord};
use crate::access::login::Credentials;
use crate::access::owner::Owner;
use crate::bridge;
use crate::limits::Limits;
use crate::listener::addresses::Place;
use crate::listener::handshake::{Accepted, Arrived, CONNECT_BYTES_MAX, handshake};
use crate::mqtt::{Connect, Connecting, Offer, Reason, Version, Will, read_connect};
use crate::notices::{Event, Who};
use crate::session::{Before, Seat, Session};
use crate::shared::Shared;
use crate::shares::NoRoom;
use crate::testament::Testament;
use crate::will;

/// A session that was taken over has this long to leave.
const LEAVING_TIME: Duration = Duration::from_secs(5);
/// Longest client id: it stands in every record of the session.
const CLIENT_ID_BYTES_MAX: usize = 256;
/// The shortest CONNACK of MQTT 5: whoever takes none cannot be answered at all.
const REFUSAL_BYTES: u32 = 5;

/// A client that may come in.
pub(super) struct Arrival {
    pub(super) connect: Connect,
    /// As the client sent it, or chosen for it.
    client_id: Arc<str>,
    assigned: bool,
    pub(super) rights: Rights,
    pub(super) owner: Arc<Owner>,
    /// Who shares one publishing rate: the identity, or the client id of somebody anonymous.
    pub(super) pays: Arc<str>,
    /// As it stands in the spool: how the identity was proved and its name; for somebody anonymous its client id.
    pub(super) publisher: String,
    /// Counted for its address as long as this lives.
    pub(super) place: Place,
}

/// A client that is in.
pub(super) struct Newcomer {
    pub(super) seat: Seat,
    pub(super) session: Session,
    /// The session was there before.
    pub(super) present: bool,
}

/// What to answer a client that may not come in; nothing if it is gone, or did not speak MQTT.
pub(super) struct Refusal {
    answer: Option<(Option<Version>, Reason)>,
    client: Arc<str>,
    /// Who it is, or says that it is.
    identity: Option<String>,
    detail: Option<String>,
}

impl Refusal {
    fn of(answer: Option<(Option<Version>, Reason)>) -> Self {
        Self { answer, client: "".into(), identity: None, detail: None }
    }

    fn new(connect: &Connect, reason: Reason) -> Self {
        let (client, identity) = (connect.client_id.as_str().into(), connect.username.clone());
        Self { client, identity, ..Self::of(Some((Some(connect.version), reason))) }
    }

    /// Adds what the operator is told and the client is not.
    fn because(self, detail: String) -> Self {
        Self { detail: Some(detail), ..self }
    }

    fn of_identity(self, owner: Owner) -> Self {
        Self { identity: Some(owner.name), ..self }
    }

    pub(super) async fn answer(
        self,
        shared: &Shared,
        mut socket: Socket,
        place: (SocketAddr, Arc<str>),
    ) {
        let Some((version, reason)) = self.answer else { return };
        shared.metrics.refused(reason);
        let (peer, listener) = &place;
        let said = self.detail.as_deref().unwrap_or(reason.as_str());
        let client_id = Some(&*self.client).filter(|client| !client.is_empty());
        let who = (self.identity.as_deref(), client_id);
        audit_refusal(shared, (*peer, listener), who, said);
        let (client, detail, place) = (self.client, self.detail, Some(place));
        let who = Who { client, place, version, detail, ..Who::default() };
        if !shared.draining.is_cancelled() {
            shared.metrics.notices.tell(Event::Refused(reason), who);
        }
        if let Some(version) = version {
            version.write_refused(reason, None, &mut socket.output);
        }
        // Best effort: the connection is closed whether or not the client hears why.
        socket.close().await;
    }
}

impl Arrival {
    /// Returns the keep-alive that counts: the client's, unless it is an MQTT 5 one and we allow less.
    fn keep_alive_seconds(&self, limits: &Limits) -> u16 {
        let (asked, most) = (self.connect.keep_alive_seconds, limits.keep_alive_s_max);
        let too_long = most > 0 && (asked == 0 || asked > most);
        if too_long && self.connect.version == Version::V5 { most } else { asked }
    }

    /// Returns how long a client may be silent (MQTT-3.1.2-22).
    pub(super) fn keep_alive(&self, limits: &Limits) -> Option<Duration> {
        match self.keep_alive_seconds(limits) {
            0 => None,
            seconds => Some(Duration::from_millis(u64::from(seconds) * 1500)),
        }
    }

    /// Writes the CONNACK.
    pub(super) fn accepted(&self, shared: &Shared, present: bool) -> BytesMut {
        let limits = &shared.limits;
        let (expiry_seconds, keep_alive) =
            (self.expiry_seconds(limits), self.keep_alive_seconds(limits));
        let asked = &self.connect;
        let offer = Offer {
            session_present: present,
            session_expiry_seconds: (expiry_seconds != asked.session_expiry_seconds)
                .then_some(expiry_seconds),
            server_keep_alive: (keep_alive != asked.keep_alive_seconds).then_some(keep_alive),
            receive_max: limits.receive_max,
            packet_bytes_max: u32::try_from(limits.packet_bytes_max).unwrap_or(u32::MAX),
            topic_alias_max: limits.topic_alias_max,
            assigned_client_id: self.assigned.then_some(&*self.client_id),
        };
        let mut output = BytesMut::new();
        asked.version.write_accepted(&offer, &mut output);
        output
    }

    fn expiry_seconds(&self, limits: &Limits) -> u32 {
        self.connect.session_expiry_seconds.min(limits.session_expiry_s_max)
    }

    /// Tells whether the client takes a packet as large as the CONNACK [MQTT-3.1.2-24].
    fn can_be_answered(&self, shared: &Shared) -> bool {
        let size = self.accepted(shared, false).len();
        self.connect.packet_bytes_max.is_none_or(|most| size <= most as usize)
    }

    pub(super) fn testament(&self, client_id: &Arc<str>) -> Option<Testament> {
        let will = self.connect.will.clone()?;
        let publisher = self.publisher.clone();
        let id = Uuid::new_v4().as_u64_pair().0;
        let owner = self.owner.clone();
        Some(Testament { id, client_id: client_id.clone(), publisher, owner, will })
    }
}

/// Does the handshakes, reads and judges the CONNECT, and finds out who it is.
pub(super) async fn arrive(
    shared: &Arc<Shared>,
    accepted: Accepted,
) -> Result<(Socket, Arrival), Turned> {
    let (peer, endpoint) = (accepted.peer, accepted.endpoint.name.clone());
    let generation = shared.access.generation();
    let arrived = handshake(accepted).await.map_err(|error| {
        tell_handshake(shared, error.as_str(), (peer, endpoint.clone()));
        audit_refusal(shared, (peer, &endpoint), (None, None), error.as_str());
        Turned::Away
    })?;
    let Arrived { stream, peer, listener, is_local, certificate, place } = arrived;
    let mut socket = Socket::new(stream, shared);
    let connect = match read(shared, &mut socket).await {
        Ok(connect) => connect,
        Err(refusal) => return Err(Turned::refused(socket, refusal)),
    };
    let offer = Credentials {
        peer,
        is_local,
        client_id: &connect.client_id,
        username: connect.username.as_deref(),
        password: connect.password.as_deref(),
        certificate: certificate.as_ref(),
    };
    let identity = match shared.access.authenticate(&offer).await {
        Ok(identity) => identity,
        Err(denied) => {
            let refusal = Refusal::new(&connect, reason(&denied)).because(denied.to_string());
            return Err(Turned::refused(socket, refusal));
        }
    };
    socket.trust();
    let client_id: Arc<str> = match connect.client_id.as_str() {
        "" => identity.assigned_client_id(&Uuid::new_v4().simple().to_string()).into(),
        own => own.into(),
    };
    let publisher = match identity.is_anonymous() {
        true => format!("anonymous:{client_id}"),
        false => format!("{}:{}", identity.kind(), identity.name),
    };
    let pays = if identity.is_anonymous() { client_id.clone() } else { identity.name.clone() };
    let mut rights = Rights::new(
        shared.access.clone(),
        generation,
        identity,
        &client_id,
        shared.clock,
        (peer, listener),
    );
    let mut forbidden =
        |will: &Will| !will.topic.starts_with('$') && !rights.may_publish(&will.topic);
    if connect.will.as_ref().is_some_and(&mut forbidden) {
        let refusal = Refusal::new(&connect, Reason::NotAuthorized);
        let refusal = refusal.because("its will's topic".into()).of_identity(rights.owner());
        return Err(Turned::refused(socket, refusal));
    }
    let assigned = connect.client_id.is_empty();
    let owner = Arc::new(rights.owner());
    let arrival = Arrival { connect, client_id, assigned, rights, owner, pays, publisher, place };
    if !arrival.can_be_answered(shared) {
        let unanswered = Refusal::of(Some((None, Reason::PacketTooLarge)));
        return Err(Turned::refused(socket, unanswered));
    }
    Ok((socket, arrival))
}

/// Why a client did not come in.
pub(super) enum Turned {
    /// There is no MQTT to answer in.
    Away,
    Refused(Box<(Socket, Refusal)>),
}

impl Turned {
    fn refused(socket: Socket, refusal: Refusal) -> Self {
        Self::Refused(Box::new((socket, refusal)))
    }

    pub(super) async fn answer(self, shared: &Shared, place: (SocketAddr, Arc<str>)) {
        if let Self::Refused(turned) = self {
            let (socket, refusal) = *turned;
            refusal.answer(shared, socket, place).await;
        }
    }
}

fn tell_handshake(shared: &Shared, what: &'static str, place: (SocketAddr, Arc<str>)) {
    shared.metrics.disconnected(what);
    let who = Who { place: Some(place), ..Who::default() };
    shared.metrics.notices.tell(Event::Handshake(what), who);
}

fn audit_refusal(
    shared: &Shared,
    (peer, listener): (SocketAddr, &str),
    (identity, client_id): (Option<&str>, Option<&str>),
    detail: &str,
) {
    shared.access.audit().record(AuditRecord {
        identity,
        client_id,
        peer: Some(peer),
        listener: Some(listener),
        detail: Some(detail),
        ..AuditRecord::of(AuditEvent::Refused)
    });
}

fn reason(denied: &Denied) -> Reason {
    match denied {
        Denied::BadLogin(_) => Reason::BadLogin,
        Denied::ClientId => Reason::BadClientId,
        Denied::Revoked => Reason::Revoked,
        Denied::Throttled { .. } => Reason::FailedLogins,
        Denied::Crowded => Reason::ServerBusy,
        Denied::NotAuthorized(_) | Denied::Expired => Reason::NotAuthorized,
    }
}

async fn read(shared: &Shared, socket: &mut Socket) -> Result<Connect, Refusal> {
    let connect = loop {
        match read_connect(&mut socket.input, CONNECT_BYTES_MAX) {
            Connecting::Incomplete => {}
            Connecting::Refused(version, reason) => {
                return Err(Refusal::of(Some((version, reason))));
            }
            Connecting::Connect(connect) => break *connect,
        }
        socket.read().await.map_err(|_| Refusal::of(None))?;
    };
    if connect.packet_bytes_max.is_some_and(|most| most < REFUSAL_BYTES) {
        return Err(Refusal::of(Some((None, Reason::PacketTooLarge))));
    }
    match judge(shared, &connect) {
        None => Ok(connect),
        Some(reason) => Err(Refusal::new(&connect, reason)),
    }
}

fn judge(shared: &Shared, connect: &Connect) -> Option<Reason> {
    let limits = &shared.limits;
    let will_problem = connect.will.as_ref().and_then(|will| {
        if will.topic.starts_with('$') {
            let own = bridge::is_state_of(&connect.client_id, &will.topic, &will.payload);
            (!own).then_some(Reason::NotAuthorized)
        } else if validate_topic(&will.topic).is_err() || limits.too_deep(&will.topic) {
            Some(Reason::TopicInvalid)
        } else {
            (will.payload.len() > limits.packet_bytes_max).then_some(Reason::PacketTooLarge)
        }
    });
    if shared.draining.is_cancelled() {
        Some(Reason::Unavailable)
    } else if connect.auth_method.is_some() {
        Some(Reason::BadAuthMethod)
    } else if (connect.client_id.is_empty() && connect.version == Version::V311 && !connect.clean)
        || connect.client_id.len() > CLIENT_ID_BYTES_MAX
        || connect.client_id.chars().any(char::is_control)
    {
        Some(Reason::BadClientId)
    } else {
        will_problem
    }
}

/// Takes the seat of the client id, waits for whoever has it to leave, and takes up the session or starts one.
pub(super) async fn enter(
    shared: &Shared,
    arrival: &Arrival,
    serial: u64,
) -> Result<Newcomer, Refusal> {
    let (connect, limits) = (&arrival.connect, &shared.limits);
    let refuse = |reason| Refusal::new(connect, reason).of_identity(Owner::clone(&arrival.owner));
    let expiry_seconds = arrival.expiry_seconds(limits);
    if expiry_seconds > 0
        && let Err(no_room) = shared.registry.has_room(&arrival.client_id, &arrival.owner)
    {
        let limit = match no_room {
            NoRoom::Total => format!("limits.sessions_max = {}", limits.sessions_max),
            NoRoom::Identity => format!(
                "an identity may have {} sessions: limits.identity_share_percent",
                shared.registry.each_max()
            ),
        };
        return Err(refuse(Reason::QuotaExceeded).because(limit));
    }
    let entered = shared.registry.enter(&arrival.client_id, &arrival.owner, serial);
    let (seat, before) = entered.map_err(|_| {
        let refusal = refuse(Reason::NotAuthorized);
        refusal.because("its client id has a session of another identity".into())
    })?;
    let parked = match before {
        Before::Nobody => None,
        Before::Parked(parked) => Some(*parked),
        Before::Leaving(leaving) => {
            shared.metrics.takeovers.inc();
            match timeout(LEAVING_TIME, leaving).await {
                // Nothing is left behind by a session that ends with its connection.
                Ok(parked) => parked.ok(),
                Err(_) => return Err(refuse(Reason::ServerBusy)),
            }
        }
    };
    let mut session = None;
    if let Some(mut parked) = parked {
        let will = parked.will.take().map(|(_, will)| will);
        // What another owner has left is nobody's to take up.
        if arrival.connect.clean || !parked.session.owner().is(&arrival.owner) {
            parked.session.end(&shared.fanout);
            // The session has ended, and with it the will's delay (MQTT 5 section 3.1.3.2.2).
            if let Some(will) = will {
                will::publish(will, shared).await;
            }
        } else {
            session = Some(parked.session);
            if let Some(will) = will {
                will::forget(&will, shared);
            }
        }
    }
    let present = session.is_some();
    let mut session = session.unwrap_or_else(|| {
        let (client_id, owner) = (arrival.client_id.clone(), arrival.owner.clone());
        let (mailboxes, store) = (shared.session_limits.clone(), Some(shared.store.clone()));
        Session::new(client_id, owner, expiry_seconds, mailboxes, limits.inflight_max, store)
    });
    session.set_expiry(expiry_seconds);
    session.connected(&arrival.owner);
    Ok(Newcomer { seat, session, present })
}
