//! The landing protocol as a model: every reachable state of two workers that hold the same lane, crash at any step and
//! sleep for any time, and of upkeep that checkpoints each log and removes everything below.
//!
//! One lane, two sources, two tables; each message has a row in both. It is small enough to be looked at whole, with or
//! without each of the guards that the protocol rests on; that the code is this protocol is what `explore` is for.

use std::collections::HashSet;

use super::states;

/// Messages of each source.
const MESSAGES: [u8; 2] = [2, 1];

/// What a worker checks. Each must be needed.
#[derive(Clone, Copy)]
struct Guards {
    /// Whoever takes the lane over applies its last decided landing.
    redo: bool,
    /// Nothing is decided on top of a landing that this worker has not seen applied.
    lane: bool,
    /// A table that has the landing already is skipped.
    applied: bool,
    /// A commit at or below the last checkpoint does not count.
    checkpoint: bool,
}

const ALL: Guards = Guards { redo: true, lane: true, applied: true, checkpoint: true };

/// One landing: the next message of a source. Its place in the ledger is its counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
struct Landing {
    source: u8,
    offset: u8,
}

/// A log: its entries, of which the first `cleaned` are gone; there is a checkpoint at the last one then.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Log<T> {
    entries: Vec<T>,
    cleaned: usize,
}

/// What a put-if-absent at a version finds.
enum Put {
    Ours,
    Theirs,
    /// Clean-up had been there: the entry is written where nobody reads.
    Behind,
}

impl<T> Log<T> {
    fn put(&mut self, version: usize, entry: T) -> Put {
        if version < self.cleaned {
            return Put::Behind;
        }
        if version < self.entries.len() {
            return Put::Theirs;
        }
        self.entries.push(entry);
        Put::Ours
    }

    /// Checkpoints the head, and removes what is below.
    fn clean(&mut self) {
        self.cleaned = self.entries.len().saturating_sub(1);
    }
}

/// A table's entry: the landing, and the lane's counter after it.
type Applied = (Landing, usize);

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Worker {
    #[default]
    Off,
    /// Knows the ledger to this version, and everything to there as applied.
    Idle { version: usize, landed: [u8; 2] },
    /// Has written the files of a landing.
    Staged { version: usize, landed: [u8; 2], landing: Landing },
    /// Has read the ledger's news, if it could, and made its plan on top of this version.
    Planned { version: usize, landed: [u8; 2], landing: Landing },
    /// Applies the landing with this counter, table by table.
    Applying { counter: usize, landed: [u8; 2], landing: Landing, table: usize },
    /// Has read the table's log to this version and not found the landing.
    Committing { counter: usize, landed: [u8; 2], landing: Landing, table: usize, version: usize },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    ledger: Log<Landing>,
    tables: [Log<Applied>; 2],
    workers: [Worker; 2],
    /// What receipts promised, by source.
    promised: [u8; 2],
}

impl State {
    fn with(&self, number: usize, worker: Worker) -> Self {
        let mut next = self.clone();
        next.workers[number] = worker;
        if let Worker::Idle { landed, .. } = worker {
            for (promised, landed) in next.promised.iter_mut().zip(landed) {
                *promised = landed.max(*promised);
            }
        }
        next
    }

    fn landed(&self) -> [u8; 2] {
        let count = |source| self.ledger.entries.iter().filter(|l| l.source == source).count();
        [0, 1].map(|source| u8::try_from(count(source)).unwrap())
    }

    fn start(&self, number: usize, guards: Guards) -> Self {
        let (version, landed) = (self.ledger.entries.len(), self.landed());
        match self.ledger.entries.last() {
            Some(last) if guards.redo => {
                let landing = *last;
                self.with(number, Worker::Applying { counter: version, landed, landing, table: 0 })
            }
            _ => self.with(number, Worker::Idle { version, landed }),
        }
    }

    /// The ledger's news, as far as they are still there.
    fn plan(&self, number: usize, guards: Guards) -> Self {
        let Worker::Staged { version, landed, landing } = self.workers[number] else {
            return self.clone();
        };
        if version < self.ledger.cleaned || version == self.ledger.entries.len() {
            return self.with(number, Worker::Planned { version, landed, landing });
        }
        let (version, now) = (self.ledger.entries.len(), self.landed());
        if guards.lane || now[usize::from(landing.source)] != landing.offset {
            return self.with(number, Worker::Off);
        }
        self.with(number, Worker::Planned { version, landed: now, landing })
    }

    fn decide(&self, number: usize, guards: Guards) -> Self {
        let Worker::Planned { version, mut landed, landing } = self.workers[number] else {
            return self.clone();
        };
        let mut next = self.clone();
        match next.ledger.put(version, landing) {
            Put::Theirs => return self.with(number, Worker::Off),
            Put::Behind if guards.checkpoint => return self.with(number, Worker::Off),
            Put::Ours | Put::Behind => {}
        }
        landed[usize::from(landing.source)] += 1;
        next.with(number, Worker::Applying { counter: version + 1, landed, landing, table: 0 })
    }

    fn apply(&self, number: usize, guards: Guards) -> Self {
        let Worker::Applying { counter, landed, landing, table } = self.workers[number] else {
            return self.clone();
        };
        let Some(log) = self.tables.get(table) else {
            return self.with(number, Worker::Idle { version: counter, landed });
        };
        let done = log.entries.iter().any(|(_, known)| *known >= counter);
        if done && guards.applied {
            let table = table + 1;
            return self.with(number, Worker::Applying { counter, landed, landing, table });
        }
        let version = log.entries.len();
        self.with(number, Worker::Committing { counter, landed, landing, table, version })
    }

    fn commit(&self, number: usize, guards: Guards) -> Self {
        let Worker::Committing { counter, landed, landing, table, version } = self.workers[number]
        else {
            return self.clone();
        };
        let mut next = self.clone();
        let table = match next.tables[table].put(version, (landing, counter)) {
            Put::Ours => table + 1,
            // It looks again.
            Put::Theirs => table,
            Put::Behind if guards.checkpoint => table,
            Put::Behind => table + 1,
        };
        next.with(number, Worker::Applying { counter, landed, landing, table })
    }

    fn successors(&self, guards: Guards) -> Vec<Self> {
        let mut all = Vec::new();
        for number in 0..self.workers.len() {
            match self.workers[number] {
                Worker::Off => all.push(self.start(number, guards)),
                Worker::Idle { version, landed } => {
                    for source in [0, 1] {
                        let offset = landed[usize::from(source)];
                        if offset < MESSAGES[usize::from(source)] {
                            let landing = Landing { source, offset };
                            all.push(
                                self.with(number, Worker::Staged { version, landed, landing }),
                            );
                        }
                    }
                }
                Worker::Staged { .. } => all.push(self.plan(number, guards)),
                Worker::Planned { .. } => all.push(self.decide(number, guards)),
                Worker::Applying { .. } => all.push(self.apply(number, guards)),
                Worker::Committing { .. } => all.push(self.commit(number, guards)),
            }
            all.push(self.with(number, Worker::Off));
        }
        for log in 0..=self.tables.len() {
            let mut next = self.clone();
            match next.tables.get_mut(log) {
                Some(table) => table.clean(),
                None => next.ledger.clean(),
            }
            all.push(next);
        }
        all
    }

    fn violation(&self) -> Option<&'static str> {
        for (n, landing) in self.ledger.entries.iter().enumerate() {
            let before = self.ledger.entries[..n].iter().filter(|l| l.source == landing.source);
            if before.count() != usize::from(landing.offset) {
                return Some("a source is landed out of order");
            }
        }
        for table in &self.tables {
            let seen: HashSet<Landing> =
                table.entries.iter().map(|(landing, _)| *landing).collect();
            if seen.len() != table.entries.len() {
                return Some("a row is doubled");
            }
            for source in [0, 1] {
                let promised = 0..self.promised[usize::from(source)];
                if promised.into_iter().any(|offset| !seen.contains(&Landing { source, offset })) {
                    return Some("a receipt is ahead of what a reader sees");
                }
            }
        }
        None
    }
}

/// Looks at every state. Returns how many there are, or the first violation.
fn check(guards: Guards) -> Result<usize, &'static str> {
    states::explore(
        State::violation,
        |state: &State| state.promised == MESSAGES,
        |state| state.successors(guards),
    )
}

#[test]
fn inv5_inv7_no_state_of_the_protocol_doubles_a_row_or_promises_one_that_nobody_sees() {
    let states = check(ALL).unwrap();
    println!("{states} states");
    assert!(states > 10_000, "{states}");
}

#[test]
fn no_guard_of_the_protocol_can_be_left_out() {
    let ahead = Err("a receipt is ahead of what a reader sees");
    assert_eq!(check(Guards { redo: false, ..ALL }), ahead);
    assert_eq!(check(Guards { lane: false, ..ALL }), ahead);
    assert_eq!(check(Guards { applied: false, ..ALL }), Err("a row is doubled"));
    assert_eq!(check(Guards { checkpoint: false, ..ALL }), ahead);
}
