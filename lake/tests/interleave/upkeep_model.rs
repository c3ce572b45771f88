//! Upkeep as a model: every reachable state of a lander, two maintainers that merge files and take old ones out, a sweep of objects,
//! a reader, and time, over one table.
//!
//! Maintainers sleep between any two steps, so that others commit, clean the log and sweep meanwhile. Two small worlds are looked at
//! whole: one of commits, one of objects and their age; with or without each guard that upkeep rests on. That the code is this is what
//! `upkeep` is for.

use super::states::{self, Files, each, one};

/// What is checked before something counts or goes. Each must be needed, but for `compact`.
#[derive(Clone, Copy)]
struct Guards {
    /// A commit that took out a file of ours since our snapshot is a conflict.
    inputs: bool,
    /// So is a merge of the same date, whatever it took: a second fence, for what the first one keeps out already.
    compact: bool,
    /// So is a commit that counted rows that went, to one that counts some.
    count: bool,
    /// A commit at or below the last checkpoint does not count.
    checkpoint: bool,
    /// Nor is it known that it does not: what it wrote is left alone.
    keep: bool,
    /// After a commit that others came before the files are read again.
    reload: bool,
    /// A landing does not decide on an old file, and a merge does not commit one.
    young: [bool; 2],
    /// A sweep leaves what is young.
    age: bool,
    /// It leaves what was taken out of the table not long ago.
    late: bool,
    /// It leaves what was decided and is not applied.
    planned: bool,
    /// It reads plans before the table.
    order: bool,
}

const ALL: Guards = Guards {
    inputs: true,
    compact: true,
    count: true,
    checkpoint: true,
    keep: true,
    reload: true,
    young: [true; 2],
    age: true,
    late: true,
    planned: true,
    order: true,
};

/// How much there is of everything.
#[derive(Clone, Copy)]
struct World {
    landings: usize,
    files: usize,
    takes: usize,
    maintainers: usize,
    /// Whether there is time, a sweep and a reader; else others clean the log.
    objects: bool,
}

const COMMITS: World = World { landings: 3, files: 5, takes: 1, maintainers: 2, objects: false };
const OBJECTS: World = World { landings: 2, files: 4, takes: 1, maintainers: 1, objects: true };

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Entry {
    /// A landing is applied.
    Add(usize),
    /// One file in the place of others.
    Merge(Files, usize),
    /// A file's rows go; the second is how many went by then.
    Take(usize, u8),
}

/// How many rows went, by a log.
fn total(log: &[Entry]) -> u8 {
    let taken = |entry: &Entry| if let Entry::Take(_, total) = entry { Some(*total) } else { None };
    log.iter().rev().find_map(taken).unwrap_or(0)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct File {
    /// A bit for each.
    rows: u8,
    there: bool,
    old: bool,
    /// It was taken out of the table since time passed.
    late: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Lander {
    #[default]
    Idle,
    Staged(usize),
    /// The last decided landing may not be applied.
    Applying,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Maintainer {
    #[default]
    Idle,
    /// Has committed, and goes on with what it knows of the table.
    Read { version: usize, active: Files },
    /// Has written a file that is to be in the place of others.
    Written { version: usize, active: Files, inputs: Files, output: usize },
    /// Is about to take a file out.
    Taking { version: usize, active: Files, file: usize, total: u8 },
    /// Its entry was stored at this version; does it count?
    Stored { at: usize, active: Files, output: Option<usize>, alone: bool },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Sweep {
    #[default]
    Off,
    /// Has read the last plan: the file, and the landing's number; what was old enough then, and what had ever been in the table.
    Plans(Option<usize>, usize, Files, Files),
    /// Has read the table first, which is wrong: what seems free, and how many landings were applied.
    Table(Files, usize),
    Deleting(Files),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct State {
    /// The file of each decided landing.
    plans: Vec<usize>,
    log: Vec<Entry>,
    /// Entries that the last checkpoint covers; all of them but the last are gone.
    checkpoint: usize,
    files: Vec<File>,
    lander: Lander,
    maintainers: [Maintainer; 2],
    sweep: Sweep,
    reader: Files,
}

impl State {
    fn active(&self) -> Files {
        self.log.iter().fold(0, |active, entry| match entry {
            Entry::Add(file) => active | one(*file),
            Entry::Merge(inputs, output) => active & !inputs | one(*output),
            Entry::Take(file, _) => active & !one(*file),
        })
    }

    /// All that ever was in the table.
    fn known(&self) -> Files {
        self.log.iter().fold(0, |known, entry| match entry {
            Entry::Add(file) | Entry::Merge(_, file) => known | one(*file),
            Entry::Take(..) => known,
        })
    }

    fn applied(&self) -> usize {
        self.log.iter().filter(|entry| matches!(entry, Entry::Add(_))).count()
    }

    fn write(&mut self, rows: u8) -> usize {
        self.files.push(File { rows, there: true, old: false, late: false });
        self.files.len() - 1
    }

    fn landed(&self, world: World, guards: Guards) -> Vec<Self> {
        let mut next = self.clone();
        match self.lander {
            Lander::Idle if self.plans.len() < world.landings && self.files.len() < world.files => {
                next.lander = Lander::Staged(next.write(one(self.plans.len())));
            }
            Lander::Idle => return vec![],
            Lander::Staged(file) => {
                // It may die instead, or find the file too old: then nobody knows it.
                let mut dead = self.clone();
                dead.lander = Lander::Idle;
                if guards.young[0] && self.files[file].old {
                    return vec![dead];
                }
                next.plans.push(file);
                next.lander = Lander::Applying;
                return vec![dead, next];
            }
            Lander::Applying => {
                next.log.push(Entry::Add(self.plans[self.plans.len() - 1]));
                next.lander = Lander::Idle;
            }
        }
        vec![next]
    }

    fn maintained(&self, who: usize, world: World, guards: Guards) -> Vec<Self> {
        let with = |maintainer: Maintainer| {
            let mut next = self.clone();
            next.maintainers[who] = maintainer;
            next
        };
        match self.maintainers[who] {
            // It reads the table when it begins: how long it sleeps in between is seen behind.
            Maintainer::Idle => self.begun(who, world, self.log.len(), self.active()),
            Maintainer::Read { version, active } => {
                let mut all = self.begun(who, world, version, active);
                all.push(with(Maintainer::Idle));
                all
            }
            Maintainer::Written { version, active, inputs, output } => {
                let mut next = with(Maintainer::Idle);
                let lost = self.conflict(version, inputs, true, guards);
                if lost || (guards.young[1] && self.files[output].old) {
                    next.files[output].there = false;
                    return vec![next];
                }
                let active = active & !inputs | one(output);
                next.store(who, version, active, Entry::Merge(inputs, output));
                vec![next]
            }
            Maintainer::Taking { version, active, file, total } => {
                let mut next = with(Maintainer::Idle);
                if !self.conflict(version, one(file), false, guards) {
                    let rows = u8::try_from(self.files[file].rows.count_ones()).unwrap();
                    let entry = Entry::Take(file, total + rows);
                    next.store(who, version, active & !one(file), entry);
                }
                vec![next]
            }
            Maintainer::Stored { at, active, output, alone } => {
                let unclear = guards.checkpoint && at < self.checkpoint;
                let mut next = with(match unclear || (guards.reload && !alone) {
                    true => Maintainer::Idle,
                    false => Maintainer::Read { version: at + 1, active },
                });
                if let Some(output) = output.filter(|_| unclear && !guards.keep) {
                    next.files[output].there = false;
                }
                vec![next]
            }
        }
    }

    /// What a maintainer may begin that knows the table at a version: to take out a file, or to merge two.
    fn begun(&self, who: usize, world: World, version: usize, active: Files) -> Vec<Self> {
        let mut all = Vec::new();
        let takes = self.log.iter().filter(|entry| matches!(entry, Entry::Take(..))).count();
        let total = total(&self.log[..version.min(self.log.len())]);
        for first in each(active) {
            if takes < world.takes {
                let mut next = self.clone();
                next.maintainers[who] = Maintainer::Taking { version, active, file: first, total };
                all.push(next);
            }
            for second in each(active).filter(|second| *second > first) {
                if self.files.len() < world.files {
                    let mut next = self.clone();
                    let output = next.write(self.files[first].rows | self.files[second].rows);
                    let inputs = one(first) | one(second);
                    next.maintainers[who] = Maintainer::Written { version, active, inputs, output };
                    all.push(next);
                }
            }
        }
        all
    }

    /// Whether somebody committed since `version` what ours can't stand beside.
    fn conflict(&self, version: usize, ours: Files, merge: bool, guards: Guards) -> bool {
        if version + 1 < self.checkpoint {
            return false;
        }
        self.log.iter().skip(version).any(|entry| match entry {
            Entry::Add(_) => false,
            Entry::Merge(inputs, _) => {
                (guards.inputs && inputs & ours != 0) || (guards.compact && merge)
            }
            Entry::Take(file, _) => {
                (guards.inputs && one(*file) & ours != 0) || (guards.count && !merge)
            }
        })
    }

    /// Puts an entry at the first free version, or where clean-up has been and nobody reads.
    fn store(&mut self, who: usize, version: usize, active: Files, entry: Entry) {
        let (behind, end) = (version + 1 < self.checkpoint, self.log.len());
        let output = if let Entry::Merge(_, output) = entry { Some(output) } else { None };
        let at = if behind { version } else { end };
        self.maintainers[who] = Maintainer::Stored { at, active, output, alone: at == version };
        if behind {
            return;
        }
        let gone = match entry {
            Entry::Merge(inputs, _) => inputs,
            Entry::Take(file, _) => one(file),
            Entry::Add(_) => 0,
        };
        each(gone).for_each(|file| self.files[file].late = true);
        self.log.push(entry);
    }

    fn swept(&self, guards: Guards) -> Self {
        let mut next = self.clone();
        let last = self.plans.last().copied();
        // By its age when the sweep began, and out of the table for as long.
        let active = self.active();
        let ripe = (0..self.files.len()).filter(|file| {
            let File { old, late, .. } = self.files[*file];
            let late = late || active & one(*file) != 0;
            (old || !guards.age) && !(late && guards.late)
        });
        let ripe = ripe.fold(0, |ripe, file| ripe | one(file));
        let known = self.known();
        let free = |ripe: Files, before: Files| {
            // What came and went since the sweep began was taken out not long ago.
            let since = if guards.late { known & !before } else { 0 };
            ripe & !active & !since
        };
        let without = |free: Files, plan: Option<usize>, landing: usize, applied: usize| {
            let open = plan.filter(|_| guards.planned && applied < landing);
            Sweep::Deleting(free & !open.map_or(0, one))
        };
        next.sweep = match self.sweep {
            Sweep::Off if guards.order => Sweep::Plans(last, self.plans.len(), ripe, known),
            Sweep::Off => Sweep::Table(free(ripe, known), self.applied()),
            Sweep::Plans(plan, landing, ripe, before) => {
                without(free(ripe, before), plan, landing, self.applied())
            }
            Sweep::Table(free, applied) => without(free, last, self.plans.len(), applied),
            Sweep::Deleting(free) => {
                each(free).for_each(|file| next.files[file].there = false);
                Sweep::Off
            }
        };
        next
    }

    fn successors(&self, world: World, guards: Guards) -> Vec<Self> {
        let mut all = self.landed(world, guards);
        let maintainers = 0..world.maintainers;
        all.extend(maintainers.flat_map(|who| self.maintained(who, world, guards)));
        if !world.objects {
            all.push(Self { checkpoint: self.log.len(), ..self.clone() });
            return all;
        }
        all.push(self.swept(guards));
        // A reader lists what there is, and is done before a retention is over.
        all.push(Self { reader: self.active(), ..self.clone() });
        let mut later = Self { reader: 0, ..self.clone() };
        later.files.iter_mut().for_each(|file| (file.old, file.late) = (true, false));
        all.push(later);
        all
    }

    fn violation(&self) -> Option<&'static str> {
        let (active, mut seen, mut rows, mut took) = (self.active(), 0, 0, 0);
        for file in each(active) {
            if seen & self.files[file].rows != 0 {
                return Some("a row is doubled");
            }
            seen |= self.files[file].rows;
        }
        for entry in &self.log {
            match entry {
                Entry::Add(file) => rows |= self.files[*file].rows,
                Entry::Take(file, _) => took |= self.files[*file].rows,
                Entry::Merge(..) => {}
            }
        }
        if took & seen != 0 {
            return Some("a row that went is back");
        }
        if rows != took | seen {
            return Some("a row is lost");
        }
        if u32::from(total(&self.log)) != took.count_ones() {
            return Some("the books do not add up");
        }
        if each(active).any(|file| !self.files[file].there) {
            return Some("a file of the table is gone");
        }
        if each(self.reader).any(|file| !self.files[file].there) {
            return Some("a file that is being read is gone");
        }
        None
    }
}

/// Looks at every state of a world. Returns how many there are, or the first violation.
fn check(world: World, guards: Guards) -> Result<usize, &'static str> {
    states::explore(
        State::violation,
        |state: &State| state.applied() == world.landings && state.active().count_ones() == 1,
        |state| {
            let mut next = state.successors(world, guards);
            // Which of the two is which is no matter.
            next.iter_mut().for_each(|next| next.maintainers[..world.maintainers].sort_unstable());
            next
        },
    )
}

#[test]
fn inv14_no_state_of_upkeep_doubles_loses_or_brings_back_a_row() {
    for world in [COMMITS, OBJECTS] {
        let states = check(world, ALL).unwrap();
        println!("{states} states");
        assert!(states > 10_000, "{states}");
    }
}

#[test]
fn no_guard_of_upkeep_can_be_left_out() {
    let commits = |guards| check(COMMITS, guards);
    let back = Err("a row that went is back");
    assert_eq!(commits(Guards { inputs: false, ..ALL }), back);
    assert_eq!(commits(Guards { count: false, ..ALL }), Err("the books do not add up"));
    assert_eq!(commits(Guards { checkpoint: false, ..ALL }), back);
    assert_eq!(commits(Guards { keep: false, ..ALL }), Err("a file of the table is gone"));
    assert_eq!(commits(Guards { reload: false, ..ALL }), Err("a row is doubled"));
    let objects = |guards| check(OBJECTS, guards);
    let gone = Err("a file of the table is gone");
    assert_eq!(objects(Guards { young: [false, true], ..ALL }), gone);
    assert_eq!(objects(Guards { young: [true, false], ..ALL }), gone);
    assert_eq!(objects(Guards { age: false, ..ALL }), gone);
    assert_eq!(objects(Guards { planned: false, ..ALL }), gone);
    assert_eq!(objects(Guards { order: false, ..ALL }), gone);
    assert_eq!(objects(Guards { late: false, ..ALL }), Err("a file that is being read is gone"));
}

/// Where nothing but merges takes files out, either fence alone keeps them apart.
#[test]
fn one_of_two_fences_keeps_merges_apart() {
    let merges = |guards| check(World { takes: 0, ..COMMITS }, guards);
    merges(Guards { compact: false, ..ALL }).unwrap();
    merges(Guards { inputs: false, ..ALL }).unwrap();
    let neither = Guards { inputs: false, compact: false, ..ALL };
    assert_eq!(merges(neither), Err("a row is doubled"));
}
