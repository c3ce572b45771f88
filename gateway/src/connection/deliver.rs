//! What goes to the client: deliveries, what is sent again, releases of QoS 2.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::aliases::OutgoingAliases;
use super::{Connection, End};
use crate::letter::Letter;
use crate::mqtt::{Ack, Alias, Delivery, Reason, Version};
use crate::session::{AckKind, AfterReceived, Again, Safe};

/// Bytes that are gathered for one write.
const OUTPUT_BYTES: usize = 256 << 10;

/// The sending side of a connection.
pub(super) struct Deliveries {
    /// Unacknowledged messages that the client takes at once.
    pub(super) window: usize,
    pub(super) packet_bytes_max: Option<u32>,
    pub(super) aliases: OutgoingAliases,
    /// Messages above QoS 0 that were sent on this connection and are not done.
    pub(super) unacknowledged: usize,
    /// Packet ids of what a former connection sent, to be sent again first.
    pub(super) again: VecDeque<u16>,
    /// Retained messages that a subscription asked for.
    pub(super) retained: VecDeque<Letter>,
    /// What waits until something is on disk.
    pub(super) following: VecDeque<Following>,
    /// SUBACKs and UNSUBACKs of subscriptions that are not on their way to disk yet.
    pub(super) answers: BytesMut,
}

impl Deliveries {
    /// Tells whether a SUBACK waits: not every client expects retained messages before it.
    fn owe_answers(&self) -> bool {
        self.following.iter().any(|next| matches!(next.step, Step::Answer(_)))
    }
}

/// Most of what follows before no more is read.
const FOLLOWING_MAX: usize = 1024;

/// A step that must not be taken before something is on disk.
pub(super) struct Following {
    stored: u64,
    step: Step,
}

pub(super) enum Step {
    /// A PUBREL: the message is known to be received.
    Release(u16),
    /// A PUBCOMP: the packet id is free.
    Complete(u16),
    /// SUBACKs and UNSUBACKs: the subscriptions are as they say.
    Answer(BytesMut),
}

impl Connection {
    /// Tells whether another message above QoS 0 may be sent.
    pub(super) fn has_room(&self) -> bool {
        self.deliveries.again.is_empty()
            && self.deliveries.retained.is_empty()
            && self.deliveries.unacknowledged < self.deliveries.window
            && self.session.outgoing.has_room()
    }

    /// Tells whether a new letter may be sent: QoS 0 needs no room, if nothing waits before it.
    pub(super) fn hears_news(&self) -> bool {
        self.has_room() || self.session.mailbox.is_empty()
    }

    /// Fills the output with what the client may have now; tells whether there may be more when it is written.
    pub(super) fn deliver(&mut self) -> bool {
        self.follow();
        while self.socket.output.len() < OUTPUT_BYTES {
            let room = self.deliveries.unacknowledged < self.deliveries.window;
            if let Some(pkid) = self.deliveries.again.front().copied() {
                if !room {
                    return false;
                }
                self.deliveries.again.pop_front();
                self.send_again(pkid);
                continue;
            }
            if !self.deliveries.retained.is_empty() && self.deliveries.owe_answers() {
                return false;
            }
            let outgoing = &self.session.outgoing;
            let fits =
                |letter: &Letter| letter.qos == 0 || (room && outgoing.may_send(letter.stored));
            let letter = match self.deliveries.retained.front() {
                Some(_) => self.deliveries.retained.pop_front_if(|letter| fits(letter)),
                None => self.session.mailbox.take_if(fits),
            };
            let Some(letter) = letter else { return false };
            self.send(letter);
        }
        true
    }

    /// Takes the steps that need wait no longer.
    fn follow(&mut self) {
        let committed = *self.committed.borrow();
        while let Some(next) =
            self.deliveries.following.pop_front_if(|next| next.stored <= committed)
        {
            let output = &mut self.socket.output;
            match next.step {
                Step::Release(pkid) => self.version.write_pubrel(pkid, Ack::Success, output),
                Step::Complete(pkid) => self.version.write_pubcomp(pkid, Ack::Success, output),
                Step::Answer(answers) => output.extend_from_slice(&answers),
            }
        }
    }

    fn send(&mut self, letter: Letter) {
        if letter.message.remaining(|| self.shared.clock.now_us()).is_none() {
            self.shared.metrics.expired.inc();
            return self.session.done(&letter);
        }
        if letter.qos == 0 {
            self.write(&letter, 0, false);
            return;
        }
        let pkid = self.session.outgoing.send(letter.clone());
        if self.write(&letter, pkid, false) {
            self.deliveries.unacknowledged += 1;
            self.session.flies(letter.stored, pkid, false);
        } else {
            self.session.outgoing.forget(pkid);
            self.session.done(&letter);
        }
    }

    fn send_again(&mut self, pkid: u16) {
        match self.session.outgoing.find(pkid) {
            // The client has acknowledged it in the meantime, whatever made it do that.
            None => return,
            Some(Again::Release) => {
                self.version.write_pubrel(pkid, Ack::Success, &mut self.socket.output);
            }
            Some(Again::Publish(letter)) => {
                let letter = letter.clone();
                if !self.write(&letter, pkid, true) {
                    self.session.outgoing.forget(pkid);
                    return self.session.done(&letter);
                }
            }
        }
        self.deliveries.unacknowledged += 1;
    }

    /// Writes a PUBLISH; `false` when the client takes no packet of its size: then it counts as delivered (MQTT 5 section
    /// 3.1.2.11.4).
    fn write(&mut self, letter: &Letter, pkid: u16, dup: bool) -> bool {
        let topic = &letter.message.topic;
        let v5 = self.version == Version::V5;
        let alias = if v5 { self.deliveries.aliases.of(topic) } else { None };
        let mut fits = self.write_with(alias, letter, pkid, dup);
        if !fits && alias.is_some() {
            self.deliveries.aliases.forget(topic, alias);
            fits = self.write_with(None, letter, pkid, dup);
        }
        let metrics = &self.shared.metrics;
        if fits {
            metrics.delivered.inc()
        } else {
            metrics.too_large.inc()
        };
        fits
    }

    fn write_with(&mut self, alias: Option<Alias>, letter: &Letter, pkid: u16, dup: bool) -> bool {
        let message = &*letter.message;
        // Who sends again sends what was sent before, even if it has expired meanwhile.
        let expiry_seconds = message.remaining(|| self.shared.clock.now_us()).unwrap_or(Some(1));
        let start = self.socket.output.len();
        let delivery = Delivery {
            topic: &message.topic,
            payload: &message.payload,
            qos: letter.qos,
            retain: letter.retain,
            dup,
            pkid,
            alias,
            properties: message.properties.as_deref(),
            expiry_seconds,
            subscription_ids: &letter.ids,
        };
        let size = self.version.write_publish(&delivery, &mut self.socket.output);
        if self.deliveries.packet_bytes_max.is_some_and(|most| size > most as usize) {
            self.socket.output.truncate(start);
            return false;
        }
        true
    }

    fn check(&self, pkid: u16, kind: AckKind) -> Result<(), End> {
        match self.session.outgoing.contradicts(pkid, kind) {
            true => Err(End::Reason(Reason::Protocol)),
            false => Ok(()),
        }
    }

    /// Takes a PUBACK.
    pub(super) fn on_puback(&mut self, pkid: u16) -> Result<(), End> {
        self.check(pkid, AckKind::Done)?;
        if let Some(letter) = self.session.outgoing.acknowledged(pkid) {
            self.finished(pkid, &letter);
        }
        Ok(())
    }

    /// Takes a PUBREC.
    pub(super) fn on_pubrec(&mut self, pkid: u16, refused: bool) -> Result<(), End> {
        self.check(pkid, AckKind::Received)?;
        match self.session.outgoing.received(pkid, refused) {
            AfterReceived::Release(number) => {
                self.session.flies(number, pkid, true);
                self.then(Step::Release(pkid));
            }
            AfterReceived::Refused(letter) => self.finished(pkid, &letter),
            // Who refuses a message waits for no release.
            AfterReceived::Unknown if refused => {}
            AfterReceived::Unknown => {
                self.version.write_pubrel(pkid, Ack::PacketIdNotFound, &mut self.socket.output);
            }
        }
        Ok(())
    }

    /// Takes a PUBCOMP.
    pub(super) fn on_pubcomp(&mut self, pkid: u16) -> Result<(), End> {
        self.check(pkid, AckKind::Complete)?;
        if let Some(letter) = self.session.outgoing.completed(pkid) {
            self.finished(pkid, &letter);
        }
        Ok(())
    }

    fn finished(&mut self, pkid: u16, letter: &Letter) {
        match self.deliveries.again.iter().position(|again| *again == pkid) {
            // It was acknowledged before it was sent again.
            Some(at) => drop(self.deliveries.again.remove(at)),
            None => {
                self.deliveries.unacknowledged = self.deliveries.unacknowledged.saturating_sub(1);
            }
        }
        self.session.done(letter);
    }

    /// Takes a step when everything noted so far is on disk.
    pub(super) fn then(&mut self, step: Step) {
        let stored = self.session.noted();
        self.deliveries.following.push_back(Following { stored, step });
    }

    /// Tells whether more may be read: what follows has room.
    pub(super) fn follows(&self) -> bool {
        self.deliveries.following.len() < FOLLOWING_MAX
    }

    /// Returns what is on stable storage.
    pub(super) fn safe(&mut self) -> Safe {
        Safe { spool: *self.progress.borrow(), stored: *self.committed.borrow_and_update() }
    }
}
