//! The state of one client's session, without its socket: what it subscribed to, what it is owed, what it is being sent.

mod acks;
mod outgoing;
mod received;
mod registry;
mod route;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

pub(crate) use acks::{Acks, Owed, Safe};
pub(crate) use outgoing::{AckKind, AfterReceived, Again, Outgoing};
pub(crate) use received::Received;
pub(crate) use registry::{Before, Due, Parked, Registry, Seat};
pub use route::is_telemetry;
pub(crate) use route::{Route, route};

use store_forward::Place;

use crate::access::grants::Grants;
use crate::access::owner::Owner;
use crate::fanout::{Fanout, Mailbox, MailboxLimits, cost};
use crate::letter::{Letter, Options};
use crate::shares::{Share, Shares};
use crate::store::{Flight, Op, Position, Record, Store, Stored};

/// What sessions may have: of their mailboxes, and of the memory for subscriptions.
#[derive(Debug, Clone)]
pub(crate) struct SessionLimits {
    pub(crate) mailbox: MailboxLimits,
    pub(crate) subscriptions: Shares,
}

/// What outlives a connection (MQTT 3.1.1 section 3.1.2.4, MQTT 5 section 4.1).
#[derive(Debug)]
pub(crate) struct Session {
    owner: Arc<Owner>,
    subscriptions: BTreeMap<String, Options>,
    subscriptions_bytes: Share,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) outgoing: Outgoing,
    pub(crate) received: Received,
    expiry_seconds: u32,
    /// Microseconds since 1970 when its connection ended; `None` while it is connected.
    disconnected_us: Option<i64>,
    store: Option<Store>,
    on_disk: bool,
}

impl Session {
    /// Starts an empty session.
    pub(crate) fn new(
        client_id: Arc<str>,
        owner: Arc<Owner>,
        expiry_seconds: u32,
        limits: SessionLimits,
        in_flight_max: u16,
        store: Option<Store>,
    ) -> Self {
        let mailbox = limits.mailbox.of(&owner.name);
        let mailbox = Arc::new(Mailbox::new(client_id, mailbox, store.clone()));
        Self {
            subscriptions: BTreeMap::new(),
            subscriptions_bytes: limits.subscriptions.of(&owner.name),
            owner,
            outgoing: Outgoing::new(in_flight_max).counted(mailbox.share()),
            mailbox,
            received: Received::default(),
            expiry_seconds,
            disconnected_us: None,
            store,
            on_disk: false,
        }
    }

    /// Takes up a session that was found on disk, with its subscriptions.
    pub(crate) fn restore(
        stored: Stored,
        limits: SessionLimits,
        in_flight_max: u16,
        store: Option<Store>,
        fanout: &Fanout,
    ) -> Self {
        let Stored { client_id, record, letters, received } = stored;
        let owner = Arc::new(record.owner);
        let mut session =
            Self::new(client_id, owner, record.expiry_seconds, limits, in_flight_max, store);
        let next = letters.last().and_then(|(letter, _)| letter.stored).map_or(0, |last| last + 1);
        let mut waiting = Vec::new();
        for (letter, flight) in letters {
            match flight {
                Some(flight) => session.outgoing.restore(letter, flight),
                None => waiting.push(letter),
            }
        }
        session.mailbox.restore(waiting, next);
        (session.on_disk, session.disconnected_us) = (true, record.disconnected_us);
        for (pkid, at) in received {
            // What was found in the spool is on stable storage.
            let place = at.map(|Position { epoch, offset }| Place { epoch, generation: 0, offset });
            session.received.placed(pkid, place);
        }
        for (filter, options) in record.subscriptions {
            session.subscribe(fanout, filter, options);
        }
        session
    }

    /// Returns its subscriptions by filter.
    pub(crate) fn subscriptions(&self) -> &BTreeMap<String, Options> {
        &self.subscriptions
    }

    /// Tells whether there is memory for another subscription.
    pub(crate) fn has_room_for(&self, filter: &str) -> bool {
        self.subscriptions_bytes.allows(cost(filter)).is_ok()
    }

    /// Adds a subscription, or changes its options.
    pub(crate) fn subscribe(&mut self, fanout: &Fanout, filter: String, options: Options) {
        fanout.subscribe(&filter, &self.mailbox, options);
        let bytes = cost(&filter);
        if self.subscriptions.insert(filter, options).is_none() {
            self.subscriptions_bytes.add(bytes);
        }
    }

    /// Ends a subscription; tells whether there was one.
    pub(crate) fn unsubscribe(&mut self, fanout: &Fanout, filter: &str) -> bool {
        if self.subscriptions.remove(filter).is_none() {
            return false;
        }
        self.subscriptions_bytes.remove(cost(filter));
        fanout.unsubscribe(filter, &self.mailbox);
        true
    }

    pub(crate) fn client_id(&self) -> &Arc<str> {
        &self.mailbox.client_id
    }

    pub(crate) fn owner(&self) -> &Arc<Owner> {
        &self.owner
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

    /// The client is there, and has proved itself as this owner: letters wait for it in the mailbox, and what must survive goes to disk.
    pub(crate) fn connected(&mut self, owner: &Arc<Owner>) {
        // The same identity, maybe by another certificate or with other roles.
        self.owner = owner.clone();
        self.mailbox.set_present(true, self.is_durable());
        self.disconnected_us = None;
        self.save();
        // It ends with this connection, even if that is the end of the process.
        if !self.is_durable() && std::mem::take(&mut self.on_disk) {
            self.push_end();
        }
    }

    /// The client is gone for now.
    pub(crate) fn disconnected(&mut self, now_us: i64) {
        self.mailbox.set_present(false, self.is_durable());
        self.disconnected_us = Some(now_us);
        self.save();
    }

    /// Writes what is not in the letters to disk.
    pub(crate) fn save(&mut self) {
        if !self.is_durable() {
            return;
        }
        let subscriptions =
            self.subscriptions.iter().map(|(filter, options)| (filter.clone(), *options));
        let record = Record {
            owner: Owner::clone(&self.owner),
            expiry_seconds: self.expiry_seconds,
            disconnected_us: self.disconnected_us,
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

    /// Ends what its owner has no right to any more: subscriptions, letters that wait, and of those under way the ones that `again`
    /// says are to be sent another time. Tells whether there was anything.
    pub(crate) fn restrict(
        &mut self,
        fanout: &Fanout,
        grants: &Grants,
        again: impl Fn(u16) -> bool,
    ) -> bool {
        let forbidden = |filter: &&String| !grants.may_subscribe(filter);
        let forbidden: Vec<_> = self.subscriptions.keys().filter(forbidden).cloned().collect();
        for filter in &forbidden {
            self.unsubscribe(fanout, filter);
        }
        // A topic is a filter that selects itself. Queues have many letters of few topics.
        let mut known: HashMap<String, bool> = HashMap::new();
        let mut unwanted = |letter: &Letter| {
            let topic = letter.message.topic.as_str();
            if let Some(unwanted) = known.get(topic) {
                return *unwanted;
            }
            *known.entry(topic.to_owned()).or_insert_with_key(|topic| !grants.may_subscribe(topic))
        };
        let mut dropped = self.mailbox.remove(&mut unwanted);
        dropped.extend(self.outgoing.remove(|pkid, letter| again(pkid) && unwanted(letter)));
        for letter in &dropped {
            self.done(letter);
        }
        !(forbidden.is_empty() && dropped.is_empty())
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
