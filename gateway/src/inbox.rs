//! What a client publishes: batches for the spool, messages held while it is full, acknowledgements owed.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::BytesMut;
use store_forward::{AppendError, Message as Stored, Place};
use telemetry_core::frame::{FRAME_MAX, FRAME_OVERHEAD};
use telemetry_core::spool::attributes::Attribute;
use telemetry_core::topic::{Control, validate_topic};

use crate::access::identity::ANONYMOUS;
use crate::bridge;
use crate::fanout::{Audiences, Reached};
use crate::limits::Limits;
use crate::message::Message;
use crate::mqtt::{Ack, Position as Told, Publish, Reason, Version};
use crate::notices::{Event, Who};
use crate::session::{Acks, Owed, Route, Safe, Session, route};
use crate::shared::Shared;
use crate::store::{Op, Position};
use crate::traced::Trace;

/// Messages that wait for the spool at once, while it is busy, before the client has to wait too.
const BATCH_MAX: usize = 4096;

/// The receiving side of a connection.
pub(crate) struct Inbox {
    version: Version,
    /// As it stands in the spool.
    publisher: String,
    client_id: Arc<str>,
    wants_receipts: bool,
    /// Largest packet that the client takes.
    packet_bytes_max: Option<u32>,
    /// Messages that are not in the spool or with subscribers yet, in order.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// How many of them will be acknowledged by a PUBACK.
    waiting_owed: usize,
    /// Why it is not.
    blocked: Option<AppendError>,
    acks: Acks,
    /// The client is gone: what still comes is its will.
    owes_nothing: bool,
    audiences: Audiences,
}

struct Waiting {
    publish: Publish,
    fate: Fate,
    /// What its record says beside topic and payload: mostly nothing.
    attributes: Vec<u8>,
    /// Its exchange outlives the process, and stands in its record.
    of_exchange: bool,
    trace: Option<Trace>,
}

/// What is to become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Go(Route),
    /// It came before: only the acknowledgement is repeated.
    Repeat,
    Refuse(Ack),
}

impl Inbox {
    pub(crate) fn new(
        version: Version,
        client_id: &Arc<str>,
        publisher: String,
        wants_receipts: bool,
        audiences: Audiences,
    ) -> Self {
        Self {
            version,
            publisher,
            client_id: client_id.clone(),
            wants_receipts,
            packet_bytes_max: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_owed: 0,
            blocked: None,
            acks: Acks::default(),
            owes_nothing: false,
            audiences,
        }
    }

    /// Keeps acknowledgements to what the client takes.
    pub(crate) fn with_packets_up_to(self, packet_bytes_max: Option<u32>) -> Self {
        Self { packet_bytes_max, ..self }
    }

    /// Makes an inbox for a will: nobody is owed an acknowledgement.
    pub(crate) fn of_the_gone(mut self) -> Self {
        self.owes_nothing = true;
        self
    }

    /// Tells whether nothing is owed and nothing waits.
    pub(crate) fn is_settled(&self) -> bool {
        self.acks.is_empty() && self.waiting.is_empty()
    }

    /// Gives back the memory of what waited: most clients are silent most of the time.
    pub(crate) fn rest(&mut self) {
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        self.acks.rest();
    }

    /// Tells whether everything is in the spool or with subscribers.
    pub(crate) fn is_accepted(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Tells whether more may be read. A busy spool makes the client wait (TCP pushes back); a full one does not, so
    /// that pings are still answered (INV-3).
    pub(crate) fn may_read(&self, limits: &Limits) -> bool {
        match self.blocked {
            // One message may be larger than that: its publisher is heard all the same.
            Some(AppendError::Full) => {
                self.waiting.len() <= 1 || self.waiting_bytes <= limits.held_bytes_max
            }
            Some(_) => false,
            None => self.acks.len() < usize::from(u16::MAX),
        }
    }

    /// Forgets messages that were never accepted: their packet ids are free again, and the client will send them again.
    pub(crate) fn abandon(&mut self, session: &mut Session) {
        for waiting in self.waiting.drain(..) {
            if waiting.publish.qos == 2 && waiting.fate != Fate::Repeat {
                session.received.end(waiting.publish.pkid);
            }
        }
    }

    /// Checks a message and puts it behind those that wait: acknowledgements keep the order of the messages. `allowed`: the
    /// policy lets it through. `takes_frames`: the client is ingest.
    pub(crate) fn take(
        &mut self,
        shared: &Shared,
        session: &mut Session,
        publish: Publish,
        (allowed, takes_frames): (bool, bool),
    ) -> Result<(), Reason> {
        // The server's own topics are well-formed; that they are nobody's to publish is said below.
        if !publish.topic.starts_with('$') && validate_topic(&publish.topic).is_err() {
            return Err(Reason::TopicInvalid);
        }
        let fate = self.judge(shared, &publish, allowed, takes_frames)?;
        let owed = self.acks.pubacks() + self.waiting_owed + session.received.len();
        let exactly_once = publish.qos == 2 && !self.owes_nothing;
        let again = exactly_once && session.received.contains(publish.pkid);
        let full = publish.qos > 0 && !again && owed >= usize::from(shared.limits.receive_max);
        if full && self.version == Version::V5 {
            return Err(Reason::ReceiveMaximum);
        }
        self.waiting_bytes += publish.topic.len() + publish.payload.len();
        let held = self.waiting_bytes > shared.limits.held_bytes_max;
        if self.blocked == Some(AppendError::Full) && held {
            return Err(Reason::QuotaExceeded);
        }
        if exactly_once {
            session.received.begin(publish.pkid);
        }
        self.waiting_owed += usize::from(publish.qos == 1);
        let fate = if again { Fate::Repeat } else { fate };
        let stored = fate == Fate::Go(Route::Spool);
        let of_exchange = exactly_once && stored && session.is_durable();
        let mut attributes = Vec::new();
        if of_exchange {
            let (pkid, client_id) = (publish.pkid, &*self.client_id);
            Attribute::Exchange { pkid, client_id }.write(&mut attributes);
        }
        let mut trace = None;
        if stored {
            publish.describe(&mut attributes);
            if let Some(traced) = &shared.traced {
                trace = traced.of(&publish, shared.clock.now_us(), &mut attributes);
            }
        }
        self.waiting.push_back(Waiting { publish, fate, attributes, of_exchange, trace });
        Ok(())
    }

    fn judge(
        &self,
        shared: &Shared,
        publish: &Publish,
        allowed: bool,
        takes_frames: bool,
    ) -> Result<Fate, Reason> {
        let route = route(&shared.topics, &publish.topic);
        // Those who take frames and receipts take no larger packets, and 3.1.1 gives them no way to say so.
        if route == Route::Control && publish.payload.len() > FRAME_MAX + FRAME_OVERHEAD {
            return Err(Reason::PacketTooLarge);
        }
        if shared.limits.too_deep(&publish.topic) {
            return self.refuse(Ack::TopicInvalid, Reason::TopicInvalid);
        }
        // Receipts come from ingest only, which takes frames; a device or an agent that publishes one could free or fork a
        // spool (INV-9).
        let control = match route {
            Route::Control => shared.topics.parse(&publish.topic),
            _ => None,
        };
        let forged = matches!(control, Some(Control::Receipt(..))) && !takes_frames;
        // What a source said of itself stays until it says something else.
        let erased = control.is_some() && publish.retain && publish.payload.is_empty();
        if publish.topic.starts_with('$') {
            return Ok(self.judge_reserved(shared, publish));
        }
        if !allowed || forged || erased {
            shared.metrics.publishes_denied.inc();
            return self.refuse(Ack::NotAuthorized, Reason::NotAuthorized);
        }
        Ok(Fate::Go(route))
    }

    /// What starts with `$` is the server's own. A client that does not know that is not cut off: MQTT 3.1.1 leaves such topics to
    /// the server without saying what becomes of a PUBLISH to one, and a client that is cut comes back with the same message for ever.
    fn judge_reserved(&self, shared: &Shared, publish: &Publish) -> Fate {
        if bridge::is_state_of(&self.client_id, &publish.topic, &publish.payload) {
            return Fate::Go(Route::Live);
        }
        shared.metrics.publishes_reserved.inc();
        Fate::Refuse(Ack::NotAuthorized)
    }

    /// MQTT 5 clients hear of it in the acknowledgement; 3.1.1 knows no other way than to close (MQTT-3.3.5-2).
    fn refuse(&self, ack: Ack, reason: Reason) -> Result<Fate, Reason> {
        if self.version == Version::V5 { Ok(Fate::Refuse(ack)) } else { Err(reason) }
    }

    /// Appends the telemetry that waits to the spool, as far as it goes, and delivers the rest.
    pub(crate) fn accept(&mut self, shared: &Shared, session: &mut Session) -> Result<(), Reason> {
        while let Some(first) = self.waiting.front() {
            match first.fate {
                Fate::Go(Route::Spool) => {
                    if !self.append(shared, session)? {
                        break;
                    }
                }
                fate => {
                    let Some(publish) = self.pop() else { break };
                    match fate {
                        Fate::Go(Route::Control) => self.control(shared, session, publish),
                        Fate::Go(_) => self.live(shared, session, publish),
                        Fate::Refuse(ack) => self.owe(session, &publish, ack, None),
                        Fate::Repeat => {
                            let place = session.received.place(publish.pkid);
                            self.owe(session, &publish, Ack::Success, place);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Appends the telemetry at the front; tells whether it is settled.
    fn append(&mut self, shared: &Shared, session: &mut Session) -> Result<bool, Reason> {
        let publisher = self.publisher.as_str();
        let telemetry =
            self.waiting.iter().take_while(|waiting| waiting.fate == Fate::Go(Route::Spool));
        let telemetry = telemetry.take(BATCH_MAX);
        let of_exchange = |waiting: &Waiting| waiting.of_exchange;
        let exchanges = telemetry.clone().any(of_exchange).then(|| shared.store.exchanges());
        let messages = telemetry.map(|Waiting { publish, attributes, .. }| Stored {
            publisher,
            topic: &publish.topic,
            attributes,
            payload: &publish.payload,
        });
        let appended = shared.spool.append(shared.clock.now_us(), messages);
        if let Some(exchanges) = exchanges {
            let position = |offset| Position { epoch: appended.epoch, offset };
            for (place, waiting) in appended.places().zip(&self.waiting) {
                if of_exchange(waiting) {
                    exchanges.note(&self.client_id, waiting.publish.pkid, position(place.offset));
                }
            }
            exchanges.reached(position(appended.offsets.end));
        }
        for place in appended.places() {
            let trace = self.waiting.front().and_then(|waiting| waiting.trace);
            let Some(publish) = self.pop() else { break };
            if let Some((traced, trace)) = shared.traced.as_ref().zip(trace) {
                traced.accepted(trace, place);
            }
            let (pkid, qos) = (publish.pkid, publish.qos);
            self.copy(shared, publish);
            self.owe_for(session, (pkid, qos), Ack::Success, Some(place));
        }
        self.blocked = appended.refused;
        match appended.refused {
            None => Ok(true),
            Some(AppendError::Full) => Ok(self.refuse_when_full(shared, session)),
            Some(AppendError::Busy) => Ok(false),
            Some(AppendError::TooLarge) => Err(Reason::PacketTooLarge),
            Some(AppendError::Failed) => Err(Reason::Unavailable),
        }
    }

    /// Gives subscribers their copy of a stored message.
    fn copy(&mut self, shared: &Shared, publish: Publish) {
        if publish.retain || self.audiences.wants(&publish.topic) {
            // It is in the spool, and that is what its acknowledgement says; a queue that is full is counted and told.
            let _: Ack = self.publish(shared, publish);
        }
    }

    /// Tells what became of the copies for subscribers, now and later.
    fn publish(&mut self, shared: &Shared, publish: Publish) -> Ack {
        let message = Arc::new(Message::published(publish, &self.client_id, shared.clock.now_us()));
        let kept = !message.retain || shared.retained.set_on_disk(&message, self.identity());
        match self.audiences.publish(&message) {
            Reached::Full => Ack::QuotaExceeded,
            _ if !kept => Ack::QuotaExceeded,
            Reached::Nobody if !message.retain => Ack::NoSubscribers,
            _ => Ack::Success,
        }
    }

    fn live(&mut self, shared: &Shared, session: &mut Session, publish: Publish) {
        let (pkid, qos) = (publish.pkid, publish.qos);
        let ack = self.publish(shared, publish);
        self.owe_for(session, (pkid, qos), ack, None);
    }

    /// Gives a control message to whoever takes such, and owes its acknowledgement.
    fn control(&mut self, shared: &Shared, session: &mut Session, mut publish: Publish) {
        let (pkid, qos) = (publish.pkid, publish.qos);
        // A retained frame would only ever be a repeat.
        let control = shared.topics.parse(&publish.topic);
        publish.retain &= !matches!(control, Some(Control::Up(_)));
        // Ingest speaks for all sources: what it retains counts for the one that it is about.
        let identity = match &control {
            Some(Control::Receipt(source, _)) => source.as_str(),
            _ => self.identity(),
        };
        let message = Message::published(publish, &self.client_id, shared.clock.now_us());
        let message = Arc::new(message);
        let kept = !message.retain || shared.retained.set(&message, identity);
        let ack = match self.audiences.publish(&message) {
            _ if !kept => Ack::QuotaExceeded,
            Reached::Nobody if !message.retain => Ack::NoSubscribers,
            _ => Ack::Success,
        };
        self.owe_for(session, (pkid, qos), ack, None);
    }

    /// Returns the name of the identity whose messages these are, for its part of what all share.
    fn identity(&self) -> &str {
        let (proof, name) = self.publisher.split_once(':').unwrap_or_default();
        if proof == ANONYMOUS { ANONYMOUS } else { name }
    }

    /// The spool is full: QoS 0 is dropped, MQTT 5 hears of it, 3.1.1 waits. Tells whether the first message is settled.
    fn refuse_when_full(&mut self, shared: &Shared, session: &mut Session) -> bool {
        let Some(Waiting { publish: first, .. }) = self.waiting.front() else { return false };
        if first.qos == 0 {
            shared.metrics.best_effort_dropped.inc();
            let client = self.client_id.clone();
            shared.metrics.notices.tell(Event::BestEffort, Who { client, ..Who::default() });
        } else if self.version == Version::V311 && !self.owes_nothing {
            return false;
        }
        if let Some(publish) = self.pop() {
            self.owe(session, &publish, Ack::QuotaExceeded, None);
        }
        self.blocked = None;
        true
    }

    fn pop(&mut self) -> Option<Publish> {
        let Waiting { publish, .. } = self.waiting.pop_front()?;
        self.waiting_bytes -= publish.topic.len() + publish.payload.len();
        self.waiting_owed -= usize::from(publish.qos == 1);
        Some(publish)
    }

    fn owe(&mut self, session: &mut Session, publish: &Publish, ack: Ack, place: Option<Place>) {
        self.owe_for(session, (publish.pkid, publish.qos), ack, place);
    }

    fn owe_for(
        &mut self,
        session: &mut Session,
        (pkid, qos): (u16, u8),
        ack: Ack,
        place: Option<Place>,
    ) {
        if qos == 0 || self.owes_nothing {
            return;
        }
        if qos == 2 && ack.is_refusal() {
            session.received.end(pkid);
        } else if qos == 2 {
            session.received.placed(pkid, place);
            // Of a message in the spool it was noted when it went there.
            if place.is_none() {
                session.note(|client_id| Op::Received { client_id, pkid, place: None });
            }
        }
        let noted = if qos == 2 { session.noted() } else { 0 };
        let stored = self.audiences.stored().max(noted);
        self.acks.push(Owed { pkid, qos, ack, place, stored });
    }

    /// Writes the acknowledgements that may leave with what is on stable storage; tells whether there were any.
    pub(crate) fn write_acks(
        &mut self,
        shared: &Shared,
        safe: &Safe,
        output: &mut BytesMut,
    ) -> bool {
        let before = output.len();
        while let Some(owed) = self.acks.pop(safe) {
            let place = owed.place.filter(|_| self.wants_receipts);
            let epoch = place.map(|place| place.epoch.to_string()).unwrap_or_default();
            let position = place.map(|place| Told {
                source: shared.spool.source_id().as_str(),
                epoch: &epoch,
                offset: place.offset,
            });
            let start = output.len();
            self.write_ack(&owed, position, output);
            let size = output.len() - start;
            if self.packet_bytes_max.is_some_and(|most| size > most as usize) {
                // The receipt is what makes it large [MQTT-3.4.2-3, MQTT-3.5.2-3].
                output.truncate(start);
                self.write_ack(&owed, None, output);
            }
        }
        output.len() > before
    }

    fn write_ack(&self, owed: &Owed, position: Option<Told<'_>>, output: &mut BytesMut) {
        match owed.qos {
            1 => self.version.write_puback(owed.pkid, owed.ack, position, output),
            _ => self.version.write_pubrec(owed.pkid, owed.ack, position, output),
        }
    }
}

#[cfg(test)]
mod tests;
