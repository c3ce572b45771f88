//! Who is connected and whose session waits: one session per client id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service_runtime::{Clock, Stop};
use tokio::sync::oneshot;

use super::Session;
use crate::access::owner::Owner;
use crate::shares::{NoRoom, Share, Shares};
use crate::testament::Testament;

/// All sessions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Registry {
    known: Arc<Known>,
    places: Shares,
}

/// The sessions. Each connection has a registry, so what all share is behind one pointer.
#[derive(Debug)]
struct Known {
    entries: Mutex<HashMap<Arc<str>, Entry>>,
    clock: Clock,
}

#[derive(Debug)]
struct Entry {
    serial: u64,
    /// When its state became what it is, as far as this process knows.
    since_us: i64,
    state: State,
    /// Its place among the sessions of its identity.
    _place: Share,
}

#[derive(Debug)]
enum State {
    Connected {
        owner: Arc<Owner>,
        /// Tells the connection that another one has taken its client id.
        taken_over: Stop,
        /// Tells it that an operator ends the session.
        ended: Stop,
        /// Brings the session when the connection has ended.
        session: oneshot::Receiver<Parked>,
    },
    Away(Box<Parked>),
    /// Only while an entry changes hands.
    Empty,
}

/// A session without a connection.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) session: Session,
    /// Uptime at which it ends; `None` for never.
    pub(crate) expires_at: Option<Duration>,
    /// A will that waits, and until when.
    pub(crate) will: Option<(Duration, Testament)>,
}

impl Parked {
    /// `will`: when it is due, unless the session ends before.
    pub(crate) fn new(
        session: Session,
        now: Duration,
        will: Option<(Duration, Testament)>,
    ) -> Self {
        let expiry_seconds = session.expiry_seconds();
        let expires =
            (expiry_seconds < u32::MAX).then(|| now + Duration::from_secs(expiry_seconds.into()));
        Self { session, expires_at: expires, will }
    }
}

/// What has become due.
#[derive(Debug)]
pub(crate) enum Due {
    Will(Testament),
    Ended(Box<Parked>),
}

/// A connection's place in the registry; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    registry: Registry,
    client_id: Arc<str>,
    serial: u64,
    pub(crate) taken_over: Stop,
    /// An operator ends the session.
    pub(crate) ended: Stop,
    successor: Option<oneshot::Sender<Parked>>,
}

/// What a newcomer finds.
#[derive(Debug)]
pub(crate) enum Before {
    Nobody,
    /// A session that waited.
    Parked(Box<Parked>),
    /// Somebody who was told to leave, and leaves a session or closes this.
    Leaving(oneshot::Receiver<Parked>),
}

/// The client id is another identity's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreign;

impl Registry {
    /// Takes the seat of a client id for an identity. Who has it is told to leave; their last messages come first (MQTT 3.1.1
    /// section 3.1.4-2). What is found may be another owner's, who gives way: then it is to be ended.
    pub(crate) fn enter(
        &self,
        client_id: &Arc<str>,
        owner: &Arc<Owner>,
        serial: u64,
    ) -> Result<(Seat, Before), Foreign> {
        let mut entries = self.lock();
        let before = entries.get(client_id).and_then(Entry::owner);
        if before.is_some_and(|before| !before.is(owner) && !before.gives_way_to(owner)) {
            return Err(Foreign);
        }
        let (sender, session) = oneshot::channel();
        let (taken_over, ended) = (Stop::new(), Stop::new());
        let state = State::Connected {
            owner: owner.clone(),
            taken_over: taken_over.clone(),
            ended: ended.clone(),
            session,
        };
        let before = entries.insert(client_id.clone(), self.entry(&owner.name, serial, state));
        drop(entries);
        let before = match before.map(|entry| entry.state) {
            None | Some(State::Empty) => Before::Nobody,
            Some(State::Away(parked)) => Before::Parked(parked),
            Some(State::Connected { taken_over, session, .. }) => {
                taken_over.cancel();
                Before::Leaving(session)
            }
        };
        let (registry, client_id) = (self.clone(), client_id.clone());
        let successor = Some(sender);
        Ok((Seat { registry, client_id, serial, taken_over, ended, successor }, before))
    }

    /// Puts a session there that was found on disk.
    pub(crate) fn restore(&self, parked: Parked) {
        let client_id = parked.session.client_id().clone();
        let owner = parked.session.owner().clone();
        let entry = self.entry(&owner.name, 0, State::Away(Box::new(parked)));
        self.lock().insert(client_id, entry);
    }

    /// Makes an empty one with room for so many sessions.
    pub(crate) fn new(places: Shares, clock: Clock) -> Self {
        let known = Arc::new(Known { entries: Mutex::default(), clock });
        Self { known, places }
    }

    fn entry(&self, identity: &str, serial: u64, state: State) -> Entry {
        let since_us = self.known.clock.now_us();
        Entry { serial, since_us, state, _place: self.places.of(identity).with(1) }
    }

    /// Tells whether there is room for a session that stays. Who has one already takes nobody's place.
    pub(crate) fn has_room(&self, client_id: &str, owner: &Owner) -> Result<(), NoRoom> {
        if self.lock().contains_key(client_id) {
            return Ok(());
        }
        self.places.of(&owner.name).allows(1)
    }

    /// Returns the most sessions of one identity.
    pub(crate) fn each_max(&self) -> usize {
        self.places.each_max()
    }

    /// Returns how many sessions there are, connected or not.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns what `describe` makes of each session, from its client id, its owner, since when it is so, and itself if its client is
    /// away.
    pub(crate) fn describe<T>(
        &self,
        mut describe: impl FnMut(&Arc<str>, &Owner, i64, Option<&Parked>) -> Option<T>,
    ) -> Vec<T> {
        let entries = self.lock();
        let described = entries.iter().filter_map(|(client_id, entry)| {
            let parked = match &entry.state {
                State::Away(parked) => Some(&**parked),
                _ => None,
            };
            describe(client_id, entry.owner()?, entry.since_us, parked)
        });
        described.collect()
    }

    /// Ends a session: one that waits comes back, the connection of another is told. `None` when there is neither.
    pub(crate) fn end(&self, client_id: &str) -> Option<Option<Box<Parked>>> {
        let mut entries = self.lock();
        if let State::Connected { ended, .. } = &entries.get(client_id)?.state {
            ended.cancel();
            return Some(None);
        }
        match entries.remove(client_id)?.state {
            State::Away(parked) => Some(Some(parked)),
            _ => None,
        }
    }

    /// Returns the client ids whose client is away.
    pub(crate) fn away(&self) -> Vec<Arc<str>> {
        let entries = self.lock();
        let away = entries.iter().filter(|(_, entry)| matches!(entry.state, State::Away(_)));
        away.map(|(client_id, _)| client_id.clone()).collect()
    }

    /// Lets `stays` look at a session whose client is away, and change it; returns the session if it does not stay.
    pub(crate) fn review(
        &self,
        client_id: &str,
        stays: impl FnOnce(&mut Parked) -> bool,
    ) -> Option<Box<Parked>> {
        let mut entries = self.lock();
        let State::Away(parked) = &mut entries.get_mut(client_id)?.state else { return None };
        if stays(parked) {
            return None;
        }
        match entries.remove(client_id)?.state {
            State::Away(parked) => Some(parked),
            _ => None,
        }
    }

    /// Takes out what has become due.
    pub(crate) fn due(&self, now: Duration) -> Vec<Due> {
        let mut due = Vec::new();
        self.lock().retain(|_, entry| {
            let State::Away(parked) = &mut entry.state else { return true };
            let expired = parked.expires_at.is_some_and(|at| at <= now);
            if let Some((_, will)) = parked.will.take_if(|(at, _)| expired || *at <= now) {
                due.push(Due::Will(will));
            }
            if expired
                && let State::Away(parked) = std::mem::replace(&mut entry.state, State::Empty)
            {
                due.push(Due::Ended(parked));
            }
            !expired
        });
        due
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        self.known.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn owner(&self) -> Option<&Arc<Owner>> {
        match &self.state {
            State::Connected { owner, .. } => Some(owner),
            State::Away(parked) => Some(parked.session.owner()),
            State::Empty => None,
        }
    }
}

impl Seat {
    /// Leaves a session behind: for the next connection, or for the one that has the seat already. It comes back when neither
    /// can have it; then it ends.
    pub(crate) fn park(mut self, parked: Parked) -> Option<Parked> {
        let mut entries = self.registry.lock();
        let taken_over =
            entries.get(&self.client_id).is_some_and(|entry| entry.serial != self.serial);
        let parked = match self.successor.take() {
            Some(successor) if taken_over => match successor.send(parked) {
                Ok(()) => return None,
                Err(parked) => return Some(parked),
            },
            _ => parked,
        };
        let owner = parked.session.owner().clone();
        let state = State::Away(Box::new(parked));
        let entry = self.registry.entry(&owner.name, self.serial, state);
        entries.insert(self.client_id.clone(), entry);
        None
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut entries = self.registry.lock();
        let own = |entry: &Entry| {
            entry.serial == self.serial && matches!(entry.state, State::Connected { .. })
        };
        if entries.get(&self.client_id).is_some_and(own) {
            entries.remove(&self.client_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::SessionLimits;
    use super::*;
    use crate::fanout::MailboxLimits;

    fn id(text: &str) -> Arc<str> {
        text.into()
    }

    fn owner(name: &str) -> Arc<Owner> {
        Owner::of_publisher(&format!("password:{name}")).into()
    }

    fn parked(expires_at: Option<Duration>) -> Parked {
        let mailbox = MailboxLimits::new(10, 1 << 20);
        let limits = SessionLimits { mailbox, subscriptions: Shares::unlimited() };
        let session = Session::new(id("mon-1"), owner("ward"), 60, limits, 10, None);
        Parked { session, expires_at, will: None }
    }

    fn enter(registry: &Registry, serial: u64) -> (Seat, Before) {
        registry.enter(&id("mon-1"), &owner("ward"), serial).unwrap()
    }

    #[tokio::test]
    async fn a_second_connection_takes_over_and_gets_the_session_when_the_first_has_left() {
        let registry = Registry::default();
        let (first, nobody) = enter(&registry, 1);
        assert!(matches!(nobody, Before::Nobody));
        let (second, Before::Leaving(leaving)) = enter(&registry, 2) else { panic!("it is there") };
        assert!(first.taken_over.is_cancelled() && !second.taken_over.is_cancelled());
        assert!(first.park(parked(None)).is_none());
        assert_eq!(&**leaving.await.unwrap().session.client_id(), "mon-1");
        drop(second);
        assert_eq!(registry.len(), 0);
    }

    #[tokio::test]
    async fn who_leaves_nothing_behind_is_not_waited_for() {
        let registry = Registry::default();
        let (first, _) = enter(&registry, 1);
        let (_second, Before::Leaving(leaving)) = enter(&registry, 2) else {
            panic!("it is there")
        };
        drop(first);
        assert!(leaving.await.is_err());
        assert_eq!(registry.len(), 1, "the second one's seat is its own");
    }

    #[test]
    fn a_session_waits_for_its_client_until_it_expires() {
        let registry = Registry::default();
        let (seat, _) = enter(&registry, 1);
        assert!(seat.park(parked(Some(Duration::from_secs(9)))).is_none());
        assert!(registry.due(Duration::from_secs(8)).is_empty());
        let (seat, Before::Parked(session)) = enter(&registry, 2) else { panic!("it waits") };
        assert!(seat.park(*session).is_none());
        assert!(matches!(registry.due(Duration::from_secs(9)).as_slice(), [Due::Ended(_)]));
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn inv9_a_client_id_belongs_to_the_identity_that_has_its_session() {
        let registry = Registry::default();
        let (seat, _) = enter(&registry, 1);
        let foreign =
            |registry: &Registry| registry.enter(&id("mon-1"), &owner("thief"), 2).map(drop);
        assert_eq!(foreign(&registry), Err(Foreign));
        seat.park(parked(None));
        assert_eq!(foreign(&registry), Err(Foreign));
    }
}
