//! Moves into an archive as a model: every reachable state of two who move rows, one who merges, a worker, a reader of both tables, a sweep
//! and time.
//!
//! Everybody sleeps between any two steps and may be killed there. Three small worlds are looked at whole: one of commits, one with a
//! reader, one of objects and their age; with or without each guard that a move rests on. That the code is this is what `upkeep` is for.

use super::states::{self, Files, each, one};

/// What is checked before something counts. Each must be needed.
#[derive(Clone, Copy)]
struct Guards {
    /// Nobody decides on a move before the archive has the one before.
    finish: bool,
    /// … and nobody has decided on another since it was looked for.
    same: bool,
    /// A move that somebody decided since our snapshot is a conflict.
    moves: bool,
    /// So is a merge of what we move.
    inputs: bool,
    /// Of two who prepare the same move each has a plan of its own.
    own: bool,
    /// The archive takes a move once.
    fence: bool,
    /// A file that may be old enough for a sweep is not decided on.
    young: bool,
    /// A sweep leaves what is young.
    age: bool,
    /// It begins when the archive has all that was decided.
    settled: bool,
    /// A reader looks at the plan of a move that the archive did not have.
    plan: bool,
    /// It reads again if somebody decided meanwhile.
    again: bool,
    /// It asks what the archive has before it lists its files, not behind.
    order: bool,
}

const ALL: Guards = Guards {
    finish: true,
    same: true,
    moves: true,
    inputs: true,
    own: true,
    fence: true,
    young: true,
    age: true,
    settled: true,
    plan: true,
    again: true,
    order: true,
};

/// How much there is of everything.
#[derive(Clone, Copy)]
struct World {
    landings: u8,
    files: usize,
    merges: usize,
    movers: usize,
    reader: bool,
    /// Whether there is time and a sweep.
    objects: bool,
}

const COMMITS: World =
    World { landings: 2, files: 5, merges: 1, movers: 2, reader: false, objects: false };
const READS: World = World { files: 4, reader: true, ..COMMITS };
const OBJECTS: World = World { files: 4, merges: 0, objects: true, ..COMMITS };

/// A commit to the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Entry {
    Add(usize),
    /// One file in the place of others.
    Merge(Files, usize),
    /// Files went, and the plan of that number counts.
    Move(Files, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct File {
    /// A bit for each.
    rows: u8,
    there: bool,
    old: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Mover {
    #[default]
    Idle,
    /// Knows what was decided last.
    Found(Option<usize>),
    /// The archive has it not, and had so many moves.
    Applying { plan: usize, at: usize },
    /// The archive has it.
    Ready(Option<usize>),
    /// Has written a file and its plan.
    Planned { version: usize, inputs: Files, plan: usize, file: usize },
}

/// Who lists the files of both tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Reader {
    #[default]
    Off,
    /// What was decided last, and the rows that had landed.
    Decided(Option<usize>, u8),
    /// … whether the archive has that.
    Has(Option<usize>, u8, bool),
    /// … and the table's files.
    Table(Option<usize>, u8, bool, Files),
    /// … and the archive's.
    Both(Option<usize>, u8, bool, Files),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Sweep {
    #[default]
    Off,
    /// What was old when it began.
    Begun(Files),
    /// What of that nobody has.
    Deleting(Files),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    log: Vec<Entry>,
    /// The plans that the archive was given.
    archive: Vec<usize>,
    /// The file of each plan.
    plans: Vec<usize>,
    files: Vec<File>,
    movers: [Mover; 2],
    reader: Reader,
    sweep: Sweep,
    /// What somebody saw that must not be.
    seen: Option<&'static str>,
}

impl State {
    fn active(&self) -> Files {
        self.log.iter().fold(0, |active, entry| match entry {
            Entry::Add(file) => active | one(*file),
            Entry::Merge(inputs, output) => active & !inputs | one(*output),
            Entry::Move(inputs, _) => active & !inputs,
        })
    }

    /// The plan that was decided on last.
    fn decided(&self) -> Option<usize> {
        let plan =
            |entry: &Entry| if let Entry::Move(_, plan) = entry { Some(*plan) } else { None };
        self.log.iter().rev().find_map(plan)
    }

    /// Whether the archive has it; of what nobody decided, it has all.
    fn has(&self, plan: Option<usize>) -> bool {
        plan.is_none_or(|plan| self.archive.last().is_some_and(|last| *last >= plan))
    }

    fn archived(&self) -> Files {
        self.archive.iter().fold(0, |files, plan| files | one(self.plans[*plan]))
    }

    fn landed(&self) -> u8 {
        let adds = self.log.iter().filter_map(|entry| match entry {
            Entry::Add(file) => Some(self.files[*file].rows),
            _ => None,
        });
        adds.fold(0, |rows, of| rows | of)
    }

    fn write(&mut self, rows: u8) -> usize {
        self.files.push(File { rows, there: true, old: false });
        self.files.len() - 1
    }

    fn rows(&self, files: Files) -> u8 {
        each(files).fold(0, |rows, file| rows | self.files[file].rows)
    }

    /// What is wrong with these files as all that there is, of which at least `least` had landed.
    fn wrong(&self, files: &[usize], least: u8) -> Option<&'static str> {
        let mut seen = 0;
        for file in files {
            if seen & self.files[*file].rows != 0 {
                return Some("a row is there twice");
            }
            seen |= self.files[*file].rows;
        }
        (least & !seen != 0).then_some("a row is nowhere")
    }

    /// A worker lands, or somebody merges: these are looked at bit by bit in other models.
    fn others(&self, world: World) -> Vec<Self> {
        let mut all = Vec::new();
        if self.files.len() >= world.files {
            return all;
        }
        if self.landed().count_ones() < u32::from(world.landings) {
            let mut next = self.clone();
            let file = next.write(self.landed() + 1);
            next.log.push(Entry::Add(file));
            all.push(next);
        }
        let merges = self.log.iter().filter(|entry| matches!(entry, Entry::Merge(..))).count();
        if merges < world.merges && self.active() != 0 {
            // Of all that there is, be it one file: what counts is that they are others then.
            let (mut next, inputs) = (self.clone(), self.active());
            let output = next.write(self.rows(inputs));
            next.log.push(Entry::Merge(inputs, output));
            all.push(next);
        }
        all
    }

    fn moved(&self, who: usize, world: World, guards: Guards) -> Vec<Self> {
        let with = |mover: Mover| {
            let mut next = self.clone();
            next.movers[who] = mover;
            next
        };
        let mut all = match self.movers[who] {
            Mover::Idle => return vec![with(Mover::Found(self.decided()))],
            Mover::Found(decided) => {
                match decided.filter(|_| guards.finish && !self.has(decided)) {
                    None => vec![with(Mover::Ready(decided))],
                    Some(plan) => vec![with(Mover::Applying { plan, at: self.archive.len() })],
                }
            }
            Mover::Applying { plan, at } => {
                let mut next = with(Mover::Found(Some(plan)));
                if !guards.fence || at == self.archive.len() {
                    next.archive.push(plan);
                }
                vec![next]
            }
            Mover::Ready(decided) => match guards.same && self.decided() != decided {
                true => vec![],
                false => self.planned(who, world, guards),
            },
            Mover::Planned { version, inputs, plan, file } => {
                let mut next = with(Mover::Idle);
                let old = guards.young && self.files[file].old;
                if old || self.conflict(version, inputs, guards) {
                    next.files[file].there = false;
                } else {
                    next.log.push(Entry::Move(inputs, plan));
                }
                vec![next]
            }
        };
        // It is killed, or begins anew.
        all.push(with(Mover::Idle));
        all
    }

    /// The moves that may be prepared: of each file, and of all.
    fn planned(&self, who: usize, world: World, guards: Guards) -> Vec<Self> {
        let (version, active, mut all) = (self.log.len(), self.active(), Vec::new());
        if self.files.len() >= world.files {
            return all;
        }
        let mut sets: Vec<Files> = each(active).map(one).collect();
        sets.extend((active.count_ones() > 1).then_some(active));
        for inputs in sets {
            let mut next = self.clone();
            let file = next.write(self.rows(inputs));
            let decided = self.log.iter().filter(|entry| matches!(entry, Entry::Move(..))).count();
            // One that somebody else prepared is overwritten, if they share their plans.
            let shared = Some(decided).filter(|plan| !guards.own && *plan < next.plans.len());
            let plan = shared.unwrap_or(next.plans.len());
            match shared {
                Some(plan) => next.plans[plan] = file,
                None => next.plans.push(file),
            }
            next.movers[who] = Mover::Planned { version, inputs, plan, file };
            all.push(next);
        }
        all
    }

    fn conflict(&self, version: usize, ours: Files, guards: Guards) -> bool {
        self.log.iter().skip(version).any(|entry| match entry {
            Entry::Add(_) => false,
            Entry::Merge(inputs, _) => guards.inputs && inputs & ours != 0,
            Entry::Move(inputs, _) => guards.moves || (guards.inputs && inputs & ours != 0),
        })
    }

    fn read(&self, guards: Guards) -> Self {
        let mut next = self.clone();
        next.reader = match self.reader {
            Reader::Off => Reader::Decided(self.decided(), self.landed()),
            Reader::Decided(decided, least) => Reader::Has(decided, least, self.has(decided)),
            Reader::Has(decided, least, has) => Reader::Table(decided, least, has, self.active()),
            Reader::Table(decided, least, has, table) => {
                // What the archive is given later is no matter to who knows of no move.
                let archive = if decided.is_some() { self.archived() } else { 0 };
                Reader::Both(decided, least, has, table | archive)
            }
            Reader::Both(decided, least, has, files) => {
                let has = if guards.order { has } else { self.has(decided) };
                if !guards.again || self.decided() == decided {
                    let mut files: Vec<usize> = each(files).collect();
                    if let Some(plan) = decided.filter(|_| guards.plan && !has)
                        && !files.contains(&self.plans[plan])
                    {
                        files.push(self.plans[plan]);
                    }
                    next.seen = self.wrong(&files, least);
                }
                Reader::Off
            }
        };
        next
    }

    fn swept(&self, guards: Guards) -> Option<Self> {
        let mut next = self.clone();
        next.sweep = match self.sweep {
            Sweep::Off if guards.settled && !self.has(self.decided()) => return None,
            Sweep::Off => {
                let ripe =
                    (0..self.files.len()).filter(|file| self.files[*file].old || !guards.age);
                Sweep::Begun(ripe.fold(0, |ripe, file| ripe | one(file)))
            }
            Sweep::Begun(ripe) => Sweep::Deleting(ripe & !self.active() & !self.archived()),
            Sweep::Deleting(free) => {
                each(free).for_each(|file| next.files[file].there = false);
                Sweep::Off
            }
        };
        Some(next)
    }

    fn successors(&self, world: World, guards: Guards) -> Vec<Self> {
        let mut all = self.others(world);
        all.extend((0..world.movers).flat_map(|who| self.moved(who, world, guards)));
        if world.objects {
            all.extend(self.swept(guards));
            let mut later = self.clone();
            later.files.iter_mut().for_each(|file| file.old = true);
            all.push(later);
        }
        all.extend(world.reader.then(|| self.read(guards)));
        all
    }

    /// A row is in the table, in its archive, or in the file of the one plan that was decided on and is not in the archive yet.
    fn violation(&self) -> Option<&'static str> {
        let mut files: Vec<usize> = each(self.active()).collect();
        files.extend(self.archive.iter().map(|plan| self.plans[*plan]));
        let waits = self.decided().filter(|_| !self.has(self.decided()));
        files.extend(waits.map(|plan| self.plans[plan]));
        let gone = files.iter().any(|file| !self.files[*file].there);
        let gone = gone.then_some("a file that counts is gone");
        self.seen.or(self.wrong(&files, self.landed())).or(gone)
    }
}

/// Looks at every state of a world. Returns how many there are, or the first violation.
fn check(world: World, guards: Guards) -> Result<usize, &'static str> {
    states::explore(
        State::violation,
        |state: &State| {
            let landed = state.landed().count_ones() == u32::from(world.landings);
            landed && state.active() == 0 && state.has(state.decided())
        },
        |state| {
            let mut next = state.successors(world, guards);
            // Which of the two is which is no matter.
            next.iter_mut().for_each(|next| next.movers[..world.movers].sort_unstable());
            next
        },
    )
}

#[test]
fn inv14_no_state_of_an_archive_doubles_or_loses_a_row_or_shows_it_so() {
    for world in [COMMITS, READS, OBJECTS] {
        let states = check(world, ALL).unwrap();
        println!("{states} states");
        assert!(states > 10_000, "{states}");
    }
}

#[test]
fn no_guard_of_an_archive_can_be_left_out() {
    let commits = |guards| check(COMMITS, guards);
    let (twice, nowhere) = (Err("a row is there twice"), Err("a row is nowhere"));
    assert_eq!(commits(Guards { finish: false, ..ALL }), nowhere);
    assert_eq!(commits(Guards { same: false, ..ALL }), nowhere);
    assert_eq!(commits(Guards { moves: false, ..ALL }), nowhere);
    assert_eq!(commits(Guards { inputs: false, ..ALL }), twice);
    assert_eq!(commits(Guards { own: false, ..ALL }), twice);
    assert_eq!(commits(Guards { fence: false, ..ALL }), twice);
    let reads = |guards| check(READS, guards);
    assert_eq!(reads(Guards { plan: false, ..ALL }), nowhere);
    assert_eq!(reads(Guards { again: false, ..ALL }), nowhere);
    assert_eq!(reads(Guards { order: false, ..ALL }), nowhere);
    let objects = |guards| check(OBJECTS, guards);
    let gone = Err("a file that counts is gone");
    assert_eq!(objects(Guards { young: false, ..ALL }), gone);
    assert_eq!(objects(Guards { age: false, ..ALL }), gone);
    assert_eq!(objects(Guards { settled: false, ..ALL }), gone);
}
