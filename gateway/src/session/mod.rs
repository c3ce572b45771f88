//! The state of one client's session, without its socket: what it subscribed to, what it is owed, what it is being sent.

mod acks;
mod outgoing;
mod received;
mod registry;
mod route;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use acks::{Acks, Owed, Safe};
pub(crate) use outgoing::{AckKind, AfterReceived, Again, Outgoing};
pub(crate) use received::Received;
pub(crate) use registry::{Before, Due, Parked, Registry, Seat};
pub(crate) use route::{Route, route};

use store_forward::Place;

use crate::fanout::{Fanout, Mailbox, MailboxLimits};
use crate::letter::{Letter, Options};
use crate::store::{Flight, Op, Position, Record, Store, Stored};

/// What outlives a connection (MQTT 3.1.1 section 3.1.2.4, MQTT 5 section 4.1).
#[derive(Debug)]
pub(crate) struct Session {
    identity: Arc<str>,
    pub(crate) subscriptions: BTreeMap<String, Options>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) outgoing: Outgoing,
    pub(crate) received: Received,
    expiry_seconds: u32,
    store: Option<Store>,
    on_disk: bool,
}

impl Session {
    /// Starts an empty session.
    pub(crate) fn new(
        client_id: Arc<str>,
        identity: Arc<str>,
        expiry_seconds: u32,
        limits: MailboxLimits,
        in_flight_max: u16,
        store: Option<Store>,
    ) -> Self {
        Self {
            identity,
            subscriptions: BTreeMap::new(),
            mailbox: Arc::new(Mailbox::new(client_id, limits, store.clone())),
            outgoing: Outgoing::new(in_flight_max),
            received: Received::default(),
            expiry_seconds,
            store,
            on_disk: false,
        }
    }

    /// Takes up a session that was found on disk, with its subscriptions.
    pub(crate) fn restore(
        stored: Stored,
        limits: MailboxLimits,
        in_flight_max: u16,
        store: Option<Store>,
        fanout: &Fanout,
    ) -> Self {
        let Stored { client_id, record, letters, received } = stored;
        let identity = record.identity.into();
        let mut session =
            Self::new(client_id, identity, record.expiry_seconds, limits, in_flight_max, store);
        let next = letters.last().and_then(|(letter, _)| letter.stored).map_or(0, |last| last + 1);
        let mut waiting = Vec::new();
        for (letter, flight) in letters {
            match flight {
                Some(flight) => session.outgoing.restore(letter, flight),
                None => waiting.push(letter),
            }
        }
        session.mailbox.restore(waiting, next);
        session.on_disk = true;
        for (pkid, at) in received {
            // What was found in the spool is on stable storage.
            let place = at.map(|Position { epoch, offset }| Place { epoch, generation: 0, offset });
            session.received.placed(pkid, place);
        }
        for (filter, options) in record.subscriptions {
            fanout.subscribe(&filter, &session.mailbox, options);
            session.subscriptions.insert(filter, options);
        }
        session
    }

    pub(crate) fn client_id(&self) -> &Arc<str> {
        &self.mailbox.client_id
    }

    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    pub(crate) fn expiry_seconds(&self) -> u32 {
        self.expiry_seconds
    }

    /// Tells whether it outlives its connection.
    pub(crate) fn is_durable(&self) -> bool {
        self.expiry_seconds > 0
    }

    /// A connection begins, or its client changes its mind when it leaves.
    pub(crate) fn set_expiry(&mut self, expiry_seconds: u32) {
        self.expiry_seconds = expiry_seconds;
    }

    /// The client is there: letters wait for it in the mailbox, and what must survive goes to disk.
    pub(crate) fn connected(&mut self) {
        self.mailbox.set_present(true, self.is_durable());
        self.save(None);
        // It ends with this connection, even if that is the end of the process.
        if !self.is_durable() && std::mem::take(&mut self.on_disk) {
            self.push_end();
        }
    }

    /// The client is gone for now.
    pub(crate) fn disconnected(&mut self, now_us: i64) {
        self.mailbox.set_present(false, self.is_durable());
        self.save(Some(now_us));
    }

    /// Writes what is not in the letters to disk.
    pub(crate) fn save(&mut self, disconnected_us: Option<i64>) {
        if !self.is_durable() {
            return;
        }
        let subscriptions =
            self.subscriptions.iter().map(|(filter, options)| (filter.clone(), *options));
        let record = Record {
            identity: self.identity.to_string(),
            expiry_seconds: self.expiry_seconds,
            disconnected_us,
            subscriptions: subscriptions.collect(),
        };
        self.note(|client_id| Op::Session { client_id, record });
        self.on_disk = true;
    }

    /// Writes a change to disk, if this session is there at all.
    pub(crate) fn note(&self, op: impl FnOnce(Arc<str>) -> Op) {
        if let Some(store) = self.store.as_ref().filter(|_| self.is_durable()) {
            store.push(op(self.client_id().clone()));
        }
    }

    /// A letter has reached the client, or never will.
    pub(crate) fn done(&self, letter: &Letter) {
        if let Some(number) = letter.stored {
            self.note(|client_id| Op::Unqueue { client_id, number });
        }
    }

    /// A letter is under way. It has the same packet id after a restart, so that the client knows it again.
    pub(crate) fn flies(&self, number: Option<u64>, pkid: u16, released: bool) {
        if let Some(number) = number {
            let flight = Flight { pkid, released };
            self.note(|client_id| Op::Flight { client_id, number, flight });
        }
    }

    /// How many changes must be on disk before what was just noted may be acted on.
    pub(crate) fn noted(&self) -> u64 {
        self.store.as_ref().filter(|_| self.is_durable()).map_or(0, Store::pushed)
    }

    /// Ends the session: nobody sends to it any more, and what it shared goes to others.
    pub(crate) fn end(mut self, fanout: &Fanout) {
        for filter in self.subscriptions.keys() {
            fanout.unsubscribe(filter, &self.mailbox);
        }
        fanout.pass_on(self.outgoing.empty().chain(self.mailbox.empty()));
        if self.on_disk {
            self.push_end();
        }
    }

    fn push_end(&self) {
        if let Some(store) = &self.store {
            store.push(Op::End { client_id: self.client_id().clone() });
        }
    }
}
