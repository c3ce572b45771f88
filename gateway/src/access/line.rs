//! The line before the password checks: whoever was let in before comes first, then each address in its turn. So those who guess
//! wait for each other, and for nobody else.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Logins that wait of those who were let in before.
const KNOWN_MAX: usize = 4096;
/// Logins that wait of all others, and of one address of these. Where there is no more room for all, an address that has none waiting
/// takes the place of the last one of the address that has most.
const STRANGERS_MAX: usize = 1024;
const EACH_MAX: usize = 64;

/// Who waits: from which address, and whether that name was let in from there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) address: u64,
    pub(super) known: bool,
}

/// There is no room in the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crowded;

/// Those who wait, in the order in which they have their turn. Pure. `T` can tell that its owner has gone.
#[derive(Debug)]
struct Line<T> {
    known: VecDeque<T>,
    strangers: HashMap<u64, VecDeque<T>>,
    /// Addresses of strangers, in turn.
    turns: VecDeque<u64>,
    waiting: usize,
}

impl<T> Line<T> {
    fn new() -> Self {
        let (known, turns) = (VecDeque::new(), VecDeque::new());
        Self { known, strangers: HashMap::new(), turns, waiting: 0 }
    }

    /// Puts somebody in line. Who must leave it for that is dropped.
    fn enter(&mut self, who: Waiting, ticket: T, gone: impl Fn(&T) -> bool) -> Result<(), Crowded> {
        if who.known {
            if self.known.len() >= KNOWN_MAX {
                self.known.retain(|ticket| !gone(ticket));
            }
            if self.known.len() >= KNOWN_MAX {
                return Err(Crowded);
            }
            self.known.push_back(ticket);
            return Ok(());
        }
        let own = |line: &Self| line.strangers.get(&who.address).map_or(0, VecDeque::len);
        if own(self) >= EACH_MAX || self.waiting >= STRANGERS_MAX {
            self.forget(gone);
        }
        let before = own(self);
        if before >= EACH_MAX || (self.waiting >= STRANGERS_MAX && !self.make_room(before)) {
            return Err(Crowded);
        }
        if before == 0 {
            self.turns.push_back(who.address);
        }
        self.strangers.entry(who.address).or_default().push_back(ticket);
        self.waiting += 1;
        Ok(())
    }

    /// Leaves out those who have gone.
    fn forget(&mut self, gone: impl Fn(&T) -> bool) {
        self.strangers.retain(|_, waiting| {
            waiting.retain(|ticket| !gone(ticket));
            !waiting.is_empty()
        });
        let strangers = &self.strangers;
        self.turns.retain(|address| strangers.contains_key(address));
        self.waiting = strangers.values().map(VecDeque::len).sum();
    }

    /// Takes the last one out of the longest line, if it is longer than that of an address with `before` will be.
    fn make_room(&mut self, before: usize) -> bool {
        let longest = self.strangers.values_mut().max_by_key(|waiting| waiting.len());
        let Some(longest) = longest.filter(|waiting| waiting.len() > before + 1) else {
            return false;
        };
        longest.pop_back();
        self.waiting -= 1;
        true
    }

    /// Takes out whose turn it is.
    fn next(&mut self) -> Option<T> {
        if let Some(known) = self.known.pop_front() {
            return Some(known);
        }
        let address = self.turns.pop_front()?;
        let waiting = self.strangers.get_mut(&address)?;
        let next = waiting.pop_front();
        self.waiting -= usize::from(next.is_some());
        if waiting.is_empty() {
            self.strangers.remove(&address);
        } else {
            self.turns.push_back(address);
        }
        next
    }
}

#[derive(Debug)]
struct State {
    /// Turns that nobody has; none as long as somebody waits.
    free: usize,
    line: Line<oneshot::Sender<Turn>>,
}

/// Gives turns, so many at a time. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    state: Arc<Mutex<State>>,
}

/// Somebody's turn, until dropped: then it is the next one's.
#[derive(Debug)]
pub(super) struct Turn {
    /// `None` when it was given away.
    turns: Option<Turns>,
}

impl Turns {
    pub(super) fn new(at_once: usize) -> Self {
        let state = State { free: at_once.max(1), line: Line::new() };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits in line. Whoever stops waiting leaves it.
    pub(super) async fn take(&self, who: Waiting) -> Result<Turn, Crowded> {
        let ticket = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Ok(Turn { turns: Some(self.clone()) });
            }
            let (sender, ticket) = oneshot::channel();
            state.line.enter(who, sender, oneshot::Sender::is_closed)?;
            ticket
        };
        ticket.await.map_err(|_| Crowded)
    }

    fn pass_on(&self) {
        loop {
            let next = {
                let mut state = self.state();
                let next = state.line.next();
                state.free += usize::from(next.is_none());
                next
            };
            // Not under the lock: whoever has gone gives the turn back at once.
            let Some(next) = next else { return };
            match next.send(Turn { turns: Some(self.clone()) }) {
                Ok(()) => return,
                Err(mut back) => back.turns = None,
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.turns.take() {
            turns.pass_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(address: u64) -> Waiting {
        Waiting { address, known: false }
    }

    fn all(line: &mut Line<u64>) -> Vec<u64> {
        std::iter::from_fn(|| line.next()).collect()
    }

    #[test]
    fn who_is_known_comes_first_and_addresses_take_turns() {
        let mut line = Line::new();
        for n in [10, 11, 12] {
            line.enter(stranger(1), n, |_| false).unwrap();
        }
        line.enter(stranger(2), 20, |_| false).unwrap();
        line.enter(Waiting { address: 1, known: true }, 1, |_| false).unwrap();
        assert_eq!(all(&mut line), [1, 10, 20, 11, 12]);
        assert_eq!((line.waiting, line.turns.len(), line.strangers.len()), (0, 0, 0));
    }

    #[test]
    fn inv8_the_line_is_limited_and_an_address_with_none_in_it_finds_room() {
        let mut line = Line::new();
        let enter =
            |line: &mut Line<u64>, address| line.enter(stranger(address), address, |_| false);
        for _ in 0..EACH_MAX {
            enter(&mut line, 0).unwrap();
        }
        assert_eq!(enter(&mut line, 0), Err(Crowded));
        for address in 1..=16 {
            for _ in 0..EACH_MAX {
                let _full = enter(&mut line, address);
            }
        }
        assert_eq!(line.waiting, STRANGERS_MAX);
        enter(&mut line, 99).unwrap();
        assert_eq!((line.waiting, line.strangers[&99].len()), (STRANGERS_MAX, 1));
        // Those who have gone make room.
        line.enter(stranger(0), 0, |ticket| *ticket == 1).unwrap();
        assert!(!line.strangers.contains_key(&1) && !line.turns.contains(&1));
        let waiting = line.waiting;
        assert_eq!(all(&mut line).len(), waiting);
        let known = Waiting { address: 1, known: true };
        for n in 0..KNOWN_MAX as u64 {
            line.enter(known, n, |_| false).unwrap();
        }
        assert_eq!(line.enter(known, 0, |_| false), Err(Crowded));
    }

    #[tokio::test]
    async fn a_turn_passes_over_those_who_have_gone() {
        let turns = Turns::new(1);
        let first = turns.take(stranger(1)).await.unwrap();
        let (gone, stays) = (Box::pin(turns.take(stranger(1))), Box::pin(turns.take(stranger(2))));
        let gone = tokio::time::timeout(std::time::Duration::ZERO, gone);
        assert!(gone.await.is_err());
        let (turn, ()) = tokio::join!(stays, async { drop(first) });
        drop(turn.unwrap());
        assert_eq!(turns.state().free, 1);
    }
}
