//! What comes from the client, packet by packet.

use std::time::Duration;

use bytes::BytesMut;
use telemetry_core::topic::validate_filter;
use tokio::time::Instant;
use tracing::debug;

use super::deliver::Step;
use super::{Connection, End, TooMuch};
use crate::bridge;
use crate::fanout::shared_filter;
use crate::letter::{Letter, Options};
use crate::mqtt::{
    self, Ack, Incoming, Publish, Reason, SubReason, Subscription, UnsubReason, Version,
};
use crate::notices::{Event, Who};
use crate::store::Op;

impl Connection {
    /// Takes every packet that is complete, and hands what was published to the spool and to subscribers in one go.
    pub(super) async fn take_packets(&mut self) -> Result<(), End> {
        let packet_bytes_max = self.shared.limits.read_bytes_max();
        let (mut messages, mut bytes) = (0, 0);
        let takes_frames = self.takes_frames();
        loop {
            let before = self.socket.input.len();
            let packet = self.version.read(&mut self.socket.input, packet_bytes_max);
            let packet = packet.map_err(|reason| self.unreadable(reason))?;
            let Some(packet) = packet else { break };
            match packet {
                Incoming::Publish(publish) => {
                    (messages, bytes) =
                        (messages + 1, bytes + publish.topic.len() + publish.payload.len());
                    let size = before - self.socket.input.len();
                    self.take(publish, size, takes_frames)?;
                }
                Incoming::PubAck { pkid, .. } => self.on_puback(pkid)?,
                Incoming::PubRec { pkid, reason } => self.on_pubrec(pkid, reason >= 0x80)?,
                Incoming::PubComp { pkid, .. } => self.on_pubcomp(pkid)?,
                Incoming::PubRel { pkid, .. } => {
                    // What it releases may still wait before it.
                    self.accept_batch()?;
                    self.on_pubrel(pkid);
                }
                Incoming::Subscribe { pkid, id, subscriptions } => {
                    // Boxed: a connection that lives for a SUBSCRIBE now and then has no room for it all the time.
                    Box::pin(self.subscribe(pkid, id, subscriptions)).await?;
                }
                Incoming::Unsubscribe { pkid, filters } => {
                    self.unsubscribe(pkid, &filters)?;
                }
                Incoming::PingReq => {
                    // Who pings has been silent, and may well be for long.
                    self.socket.rest();
                    self.version.write_pingresp(&mut self.socket.output);
                }
                Incoming::Disconnect { publish_will, session_expiry_seconds } => {
                    self.accept_batch()?;
                    return Err(self.disconnect(publish_will, session_expiry_seconds));
                }
                Incoming::Unexpected(what) => {
                    debug!(packet = what, "unexpected packet");
                    return Err(End::Reason(Reason::Protocol));
                }
            }
        }
        self.pace(messages, bytes);
        self.keep_subscriptions();
        self.accept_batch()
    }

    /// Puts subscriptions on disk, however many packets have changed them, and answers when they are there.
    fn keep_subscriptions(&mut self) {
        if !self.deliveries.answers.is_empty() {
            self.session.save();
            let answers = self.deliveries.answers.split();
            self.then(Step::Answer(answers));
        }
    }

    /// Reads nothing for a while from who publishes faster than its identity may.
    fn pace(&mut self, messages: usize, bytes: usize) {
        if messages == 0 {
            return;
        }
        self.shared.metrics.received.inc_by(messages as u64);
        let wait = self.rate.spend(messages, bytes, self.shared.clock.uptime());
        if wait > Duration::ZERO {
            self.shared.metrics.slowed.inc();
            self.paused_until = Some(Instant::now() + wait);
        }
    }

    fn take(&mut self, mut publish: Publish, size: usize, takes_frames: bool) -> Result<(), End> {
        self.aliases.resolve(&mut publish).map_err(End::Reason)?;
        let limit = self.shared.limits.packet_bytes_max;
        // Frames have a limit of their own.
        if size > limit && !self.shared.topics.owns(&publish.topic) {
            self.too_much = Some(TooMuch { topic: Some(publish.topic), size, limit });
            return Err(End::Reason(Reason::PacketTooLarge));
        }
        // The server's own topics are no matter of rules.
        let allowed = if publish.topic.starts_with('$') {
            let client_id = self.session.client_id();
            if !bridge::is_state_of(client_id, &publish.topic, &publish.payload) {
                self.tell(Event::Reserved, &publish.topic);
            }
            true
        } else {
            self.rights.may_publish(&publish.topic)
        };
        if !allowed {
            self.tell(Event::PublishDenied, &publish.topic);
        }
        self.inbox
            .take(&self.shared, &mut self.session, publish, (allowed, takes_frames))
            .map_err(End::Reason)
    }

    /// Tells the operator of something that concerns a topic or a filter.
    fn tell(&self, event: Event, topic: &str) {
        let who = Who { topic: Some(topic.to_owned()), ..self.who() };
        self.shared.metrics.notices.tell(event, who);
    }

    /// A packet that cannot be read ends the connection; if it is too large, the operator is told which it was.
    fn unreadable(&mut self, reason: Reason) -> End {
        if reason == Reason::PacketTooLarge
            && let Some((size, topic)) = mqtt::beginning(&self.socket.input)
        {
            let limit = self.shared.limits.packet_bytes_max;
            self.too_much = Some(TooMuch { topic, size, limit });
        }
        End::Reason(reason)
    }

    /// Tells whether the session takes frames: such a one is needed until everything has landed.
    pub(super) fn takes_frames(&self) -> bool {
        self.session.subscriptions().keys().any(|filter| self.shared.topics.takes_frames(filter))
    }

    /// Hands what has gathered to the spool and to subscribers, all at once.
    pub(super) fn accept_batch(&mut self) -> Result<(), End> {
        self.inbox.accept(&self.shared, &mut self.session).map_err(End::Reason)?;
        let safe = self.safe();
        self.socket.acknowledging |=
            self.inbox.write_acks(&self.shared, &safe, &mut self.socket.output);
        Ok(())
    }

    fn on_pubrel(&mut self, pkid: u16) {
        if self.session.received.end(pkid) {
            self.session.note(|client_id| Op::Released { client_id, pkid });
            self.then(Step::Complete(pkid));
        } else {
            self.version.write_pubcomp(pkid, Ack::PacketIdNotFound, &mut self.socket.output);
        }
    }

    fn disconnect(&mut self, publish_will: bool, session_expiry_seconds: Option<u32>) -> End {
        if let Some(seconds) = session_expiry_seconds {
            // Who promised to leave nothing behind cannot change its mind (MQTT 5 section 3.14.2.2.2).
            if self.expiry_asked == 0 && seconds > 0 {
                return End::Reason(Reason::Protocol);
            }
            self.session.set_expiry(seconds.min(self.shared.limits.session_expiry_s_max));
        }
        End::Disconnected { publish_will }
    }

    async fn subscribe(
        &mut self,
        pkid: u16,
        id: Option<u32>,
        wanted: Vec<Subscription>,
    ) -> Result<(), End> {
        let mut reasons = Vec::with_capacity(wanted.len());
        for subscription in wanted {
            reasons.push(self.subscribe_to(id, subscription).await?);
        }
        self.answer(|version, out| version.write_suback(pkid, &reasons, out))
    }

    /// Answers a change of subscriptions. An answer that is larger than the client takes cannot be given [MQTT-3.1.2-24].
    fn answer(&mut self, write: impl FnOnce(Version, &mut BytesMut)) -> Result<(), End> {
        let durable = self.session.is_durable();
        let out = if durable { &mut self.deliveries.answers } else { &mut self.socket.output };
        let start = out.len();
        write(self.version, out);
        let size = out.len() - start;
        if self.deliveries.packet_bytes_max.is_none_or(|most| size <= most as usize) {
            return Ok(());
        }
        out.truncate(start);
        Err(End::Reason(Reason::PacketTooLarge))
    }

    async fn subscribe_to(
        &mut self,
        id: Option<u32>,
        wanted: Subscription,
    ) -> Result<SubReason, End> {
        let Subscription { filter, qos, mut no_local, mut retain_as_published, retain_handling } =
            wanted;
        let shared = shared_filter(&filter);
        if shared.is_some() && no_local {
            // MQTT-3.8.3-4.
            return Err(End::Reason(Reason::Protocol));
        }
        // Another broker must not get back what it forwarded, and passes on what is retained as such.
        no_local |= self.bridge && shared.is_none();
        retain_as_published |= self.bridge;
        let known = self.session.subscriptions().contains_key(&filter);
        if let Some(refused) = self.refusal(&filter, known) {
            return Ok(refused);
        }
        let options = Options { qos, no_local, retain_as_published, id };
        let is_shared = shared.is_some();
        self.session.subscribe(&self.shared.fanout, filter.clone(), options);
        if !is_shared && (retain_handling == 0 || (retain_handling == 1 && !known)) {
            self.send_retained(&filter, options)?;
            // Looking through all of them takes a while: others have their turn.
            tokio::task::yield_now().await;
        }
        Ok(SubReason::Granted(qos))
    }

    fn refusal(&self, filter: &str, known: bool) -> Option<SubReason> {
        let path = match shared_filter(filter) {
            // A group's name is a level of its own, without wildcards (MQTT-4.8.2-1, -2).
            Some((name, _)) if name.is_empty() || name.contains(['+', '#']) => {
                return Some(SubReason::FilterInvalid);
            }
            // A source's frames come in order to one who takes them all.
            Some((_, path)) if self.shared.topics.owns(path) => {
                return Some(SubReason::FilterInvalid);
            }
            Some((_, path)) => path,
            None if filter.starts_with("$share") => return Some(SubReason::FilterInvalid),
            None => filter,
        };
        let limits = &self.shared.limits;
        if validate_filter(path).is_err() || limits.too_deep(path) {
            return Some(SubReason::FilterInvalid);
        }
        if !self.rights.may_subscribe(filter) {
            self.tell(Event::SubscribeDenied, filter);
            return Some(SubReason::NotAuthorized);
        }
        let full = !known
            && (self.session.subscriptions().len() >= limits.subscriptions_max
                || !self.session.has_room_for(filter));
        full.then_some(SubReason::QuotaExceeded)
    }

    fn send_retained(&mut self, filter: &str, options: Options) -> Result<(), End> {
        let now_us = self.shared.clock.now_us();
        let own = self.session.client_id().clone();
        for message in self.shared.retained.matching(filter, now_us) {
            if options.no_local && message.publisher == own {
                continue;
            }
            let (qos, ids) = (options.qos.min(message.qos), options.id.into_iter().collect());
            let letter = Letter { message, qos, retain: true, ids, shared: None, stored: None };
            self.deliveries.retained.push_back(letter);
        }
        // As often as a client may ask, it does not get them faster than it takes them.
        if self.deliveries.retained.len() > self.shared.limits.retained_max {
            return Err(End::Reason(Reason::QuotaExceeded));
        }
        Ok(())
    }

    /// Ends subscriptions that the client may not have any more, and takes back what waits for it.
    pub(super) fn restrict(&mut self) {
        let (grants, again) = (self.rights.grants(), &self.deliveries.again);
        // What was sent on this connection cannot be taken back.
        let restricted =
            self.session.restrict(&self.shared.fanout, grants, |pkid| again.contains(&pkid));
        self.deliveries.retained.retain(|letter| grants.may_subscribe(&letter.message.topic));
        if restricted {
            self.session.save();
        }
    }

    fn unsubscribe(&mut self, pkid: u16, filters: &[String]) -> Result<(), End> {
        let mut reasons = Vec::with_capacity(filters.len());
        for filter in filters {
            let existed = self.session.unsubscribe(&self.shared.fanout, filter);
            reasons.push(if existed { UnsubReason::Success } else { UnsubReason::NoSubscription });
        }
        self.answer(|version, out| version.write_unsuback(pkid, &reasons, out))
    }
}
