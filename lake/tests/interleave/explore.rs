//! The landing protocol on the real code, under every schedule with a bounded number of context switches.
//!
//! Two workers on one lane and a maintainer run over one store in memory. Each of their store operations waits until the
//! scheduler lets it through, so a schedule is a list of turns: who, how many operations, and what befalls the operation
//! after them. As in CHESS, all positions of the first switches are tried, then everybody runs to the end: nearly all
//! concurrency bugs need no more than two switches. Whatever a worker would send a receipt for is compared at that moment
//! with what a fresh reader sees.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::StreamExt;
use lake::maintain::{self, LOG_RETENTION_US};
use lake::tables::{device_status, readings};
use lake::{Catalog, FileInfo, Lake, LakeError, LandOutcome, Lander, OpenMode, Store};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use url::Url;

use super::gate::{Fault, Gate, Gated};
use super::upkeep::{self, Task};
use crate::kit::{LANE, NOW, key, offsets, offsets_in, stage_in};

pub(super) const URL: &str = "memory:///lake";
/// Offsets that each source has.
pub(super) const OFFSETS: u64 = 2;
/// More operations than any program has.
const ALL: usize = usize::MAX;
/// Schedules that run at once.
const AT_ONCE: usize = 6;

/// What an actor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Opened its lander before the others began; lands its source to the end.
    Worker(&'static str),
    /// The same, in landings of one offset each.
    Plodder(&'static str),
    /// Starts when it is first let: a process that takes the lane over.
    Successor(&'static str),
    /// Checkpoints every table that changed and removes every log entry below.
    Maintainer,
    /// Another part of upkeep.
    Upkeep(Task),
}

/// A small world: who is in it, and what they write to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case<'a> {
    pub(super) programs: &'a [Program],
    /// Who runs to the end as soon as actor 0 is stopped.
    pub(super) meanwhile: &'a [usize],
    /// Of actor 1 only the writes are counted.
    pub(super) writes_only: bool,
    pub(super) tables: &'static [&'static str],
    /// Only operations on these are counted; none: all.
    pub(super) within: &'static [&'static str],
    /// Rows may go, so no reader needs to see what was promised; at the end the books must add up.
    pub(super) rows_go: Option<Task>,
    /// At the end, before the judgement, everything is looked after once more.
    pub(super) upkeep: bool,
}

/// In one table, or in two.
pub(super) const SMALL: Case<'_> = Case {
    programs: &[],
    meanwhile: &[],
    writes_only: false,
    tables: &[readings::NAME],
    within: &[],
    rows_go: None,
    upkeep: false,
};
const WIDE: Case<'_> = Case { tables: &[readings::NAME, device_status::NAME], ..SMALL };

/// One turn: actor, operations, and what befalls the next one.
type Turn = (usize, usize, Fault);

/// What was found wrong, and up to where each source was found right.
#[derive(Default)]
struct Verdict {
    violations: Vec<String>,
    right: BTreeMap<String, u64>,
}

/// What is wrong, if anything, with what a fresh reader sees of `source` where `landed` was promised.
async fn wrong(
    root: &Arc<InMemory>,
    tables: &'static [&'static str],
    source: &str,
    landed: u64,
) -> Option<String> {
    let lake = open(root.clone()).await;
    for table in tables {
        let mut seen = offsets_of(&lake, root, table, source).await;
        seen.sort_unstable();
        let prefix: Vec<i64> = (0..seen.len()).map(|n| i64::try_from(n).unwrap()).collect();
        if seen != prefix || (seen.len() as u64) < landed {
            return Some(format!("{table} shows {seen:?} of {source}, {landed} were promised"));
        }
    }
    None
}

/// As the lake's own reader; but while the whole log is there its entries are read here, which is ten times as fast.
async fn offsets_of(
    lake: &Lake,
    root: &Arc<InMemory>,
    table: &'static str,
    source: &str,
) -> Vec<i64> {
    #[derive(serde::Deserialize)]
    struct Line {
        add: Option<Added>,
        remove: Option<Removed>,
    }
    #[derive(serde::Deserialize)]
    struct Added {
        path: String,
        size: u64,
    }
    #[derive(serde::Deserialize)]
    struct Removed {
        path: String,
    }
    let store = Store::on(root.clone(), Url::parse(URL).unwrap()).unwrap().child(table);
    if store.get("_delta_log/_last_checkpoint").await.unwrap().is_some() {
        return offsets(lake, table, source).await;
    }
    let mut active = BTreeMap::new();
    for version in 1.. {
        let entry = store.get(&format!("_delta_log/{version:020}.json")).await.unwrap();
        let Some(entry) = entry else { break };
        for line in entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Line = serde_json::from_slice(line).unwrap();
            if let Some(Removed { path }) = line.remove {
                active.remove(&path);
            }
            active.extend(line.add.map(|Added { path, size }| (path, size)));
        }
    }
    let file = |(path, bytes)| FileInfo {
        address: String::new(),
        table: table.to_owned().into(),
        path,
        rows: 0,
        bytes,
        date: None,
        oldest_us: None,
        newest_us: None,
        modified_ms: 0,
        lanes: None,
    };
    let files = active.into_iter().map(file).collect();
    let rows = lake.scan_files(table, files, &["source_id", "source_offset"]).unwrap();
    offsets_in(rows, source).await
}

/// Where old rows of one of them go.
pub(super) const ARCHIVE: &str = "readings_archive";

/// The tables of the small world: others would only be read, as these are.
pub(super) fn small() -> Catalog {
    Catalog::builtin().only(&[readings::NAME, device_status::NAME, ARCHIVE])
}

pub(super) async fn open(root: Arc<dyn ObjectStore>) -> Lake {
    let store = Store::on(root, Url::parse(URL).unwrap()).unwrap();
    Lake::open_on_with(store, OpenMode::Read, &small()).await.unwrap()
}

/// The store as the actor behind `gate` sees it.
fn gated(case: Case<'_>, root: &Arc<InMemory>, gate: &Arc<Gate>) -> Arc<Gated> {
    Arc::new(Gated { inner: root.clone(), gate: gate.clone(), within: case.within })
}

async fn take_over(store: Arc<Gated>) -> Result<(Lake, Lander), LakeError> {
    let store = Store::on(store, Url::parse(URL).unwrap()).unwrap();
    let lake = Lake::open_on_with(store, OpenMode::Read, &small()).await?;
    let lander = Lander::open(&lake, "worker", [LANE], NOW).await?;
    Ok((lake, lander))
}

/// One worker's life until its source is landed.
struct Worker {
    case: Case<'static>,
    source: &'static str,
    step: u64,
    lake: Lake,
    lander: Lander,
    root: Arc<InMemory>,
    gate: Arc<Gate>,
    verdict: Arc<Mutex<Verdict>>,
}

impl Worker {
    /// Whether the process lived to the end.
    async fn run(mut self) -> bool {
        loop {
            // What ingest sends receipts for: every position that it knows.
            for (key, at) in self.lander.positions() {
                let right = self.verdict.lock().unwrap().right.get(&key.source_id).copied();
                // What could be read can be read for ever: nothing here removes a row.
                if right < Some(at.landed) && self.case.rows_go.is_none() {
                    let wrong =
                        wrong(&self.root, self.case.tables, &key.source_id, at.landed).await;
                    let mut verdict = self.verdict.lock().unwrap();
                    verdict.violations.extend(wrong);
                    verdict.right.insert(key.source_id, at.landed);
                }
            }
            let at = self.lander.positions().get(&key(self.source)).map_or(0, |at| at.landed);
            if at == OFFSETS {
                return true;
            }
            let landed = async {
                let (range, tables) = ([at, at + self.step], self.case.tables);
                let staged = stage_in(&self.lake, self.source, LANE, range, tables).await?;
                self.lander.land(&staged, NOW).await
            };
            if matches!(landed.await, Ok(LandOutcome::Landed { .. })) {
                continue;
            }
            while self.lander.recover(NOW).await.is_err() {
                if self.gate.is_dead() {
                    return false;
                }
            }
        }
    }
}

async fn act(
    case: Case<'static>,
    program: Program,
    root: Arc<InMemory>,
    gate: Arc<Gate>,
    verdict: Arc<Mutex<Verdict>>,
    ready: oneshot::Sender<()>,
) {
    if matches!(program, Program::Successor(_) | Program::Maintainer | Program::Upkeep(_)) {
        gate.close();
    }
    match program {
        Program::Maintainer => {
            ready.send(()).unwrap();
            let store = Store::on(gated(case, &root, &gate), Url::parse(URL).unwrap()).unwrap();
            let lake = Lake::open_on_with(store, OpenMode::Read, &small()).await;
            let future = chrono::Utc::now().timestamp_micros() + 2 * LOG_RETENTION_US;
            if let Ok(lake) = lake {
                // One that fails is tried again in a minute.
                drop(maintain::run_once(&lake, 1, future).await);
            }
        }
        Program::Upkeep(task) => {
            ready.send(()).unwrap();
            let store = Store::on(gated(case, &root, &gate), Url::parse(URL).unwrap()).unwrap();
            if let Ok(lake) = Lake::open_on_with(store, OpenMode::Read, &small()).await {
                // As above.
                drop(upkeep::run(task, &lake, &root).await);
            }
        }
        Program::Worker(source) | Program::Plodder(source) | Program::Successor(source) => {
            let step = if let Program::Plodder(_) = program { 1 } else { OFFSETS };
            let mut ready = Some(ready);
            if let Program::Successor(_) = program {
                ready.take().unwrap().send(()).unwrap();
            }
            // A process that can't start is started again.
            let (lake, lander) = loop {
                match take_over(gated(case, &root, &gate)).await {
                    Ok(opened) => break opened,
                    Err(_) if gate.is_dead() => return gate.finish(),
                    Err(_) => {}
                }
            };
            if let Some(ready) = ready {
                gate.close();
                ready.send(()).unwrap();
            }
            let gate = gate.clone();
            Worker { case, source, step, lake, lander, root, gate, verdict }.run().await;
        }
    }
    gate.finish();
}

/// What became of one schedule.
struct Outcome {
    violations: Vec<String>,
    /// Operations of each actor.
    passed: Vec<usize>,
}

async fn run(empty: &InMemory, case: Case<'static>, turns: &[Turn]) -> Outcome {
    let root = Arc::new(empty.fork());
    let (mut gates, mut actors) = (Vec::new(), JoinSet::new());
    let verdict = Arc::new(Mutex::new(Verdict::default()));
    for program in case.programs {
        let (gate, (ready, opened)) = (Gate::open(), oneshot::channel());
        actors.spawn(act(case, *program, root.clone(), gate.clone(), verdict.clone(), ready));
        opened.await.unwrap();
        gates.push(gate);
    }
    if case.writes_only {
        gates[1].count_writes();
    }
    for (actor, operations, fault) in turns {
        gates[*actor].turn(*operations, *fault).await;
    }
    for gate in &gates {
        gate.turn(ALL, Fault::None).await;
    }
    while let Some(ended) = actors.join_next().await {
        ended.unwrap();
    }
    let mut violations = std::mem::take(&mut verdict.lock().unwrap().violations);
    if case.upkeep {
        violations.extend(upkeep::finished(&root, case.rows_go).await);
    }
    for (source, at) in open(root.clone()).await.sources().await.unwrap() {
        if at.landed != OFFSETS {
            violations.push(format!("{} ends at {}", source.source_id, at.landed));
        }
        if case.rows_go.is_none() {
            violations.extend(wrong(&root, case.tables, &source.source_id, at.landed).await);
        }
    }
    Outcome { violations, passed: gates.iter().map(|gate| gate.passed()).collect() }
}

/// A lake in which one source has landed everything, so that a maintainer finds something to do.
async fn begun(tables: &'static [&'static str]) -> Arc<InMemory> {
    let root = Arc::new(InMemory::new());
    let store = Store::on(root.clone(), Url::parse(URL).unwrap()).unwrap();
    let lake = Lake::open_on_with(store, OpenMode::Create, &small()).await.unwrap();
    let mut lander = Lander::open(&lake, "worker", [LANE], NOW).await.unwrap();
    let staged = stage_in(&lake, "before", LANE, [0, OFFSETS], tables).await.unwrap();
    let outcome = lander.land(&staged, NOW).await.unwrap();
    assert!(matches!(outcome, LandOutcome::Landed { .. }));
    root
}

async fn two_switches(case: Case<'static>, fault: Fault, order: [usize; 2]) -> usize {
    two_switches_from(begun(case.tables).await, case, fault, order).await
}

/// Of the schedules one in so many is played, and of neighbours another: what goes wrong at one operation mostly does at the next.
/// With `TIDEMARK_EVERY_SCHEDULE` set, each is (docs/testing.md).
const ONE_IN: usize = 3;

fn is_played(stop: usize, more: usize) -> bool {
    (stop + more).is_multiple_of(ONE_IN) || std::env::var_os("TIDEMARK_EVERY_SCHEDULE").is_some()
}

/// Schedules in which actor 0 is stopped at any of its operations by `fault`, then `second` goes on for any number of
/// its own, then `third`, then everybody else, to the end; from a lake that is `begun`. Returns how many there are.
#[expect(clippy::print_stderr, reason = "how many schedules there were is worth knowing")]
pub(super) async fn two_switches_from(
    begun: Arc<InMemory>,
    case: Case<'static>,
    fault: Fault,
    [second, third]: [usize; 2],
) -> usize {
    let alone = run(&begun, case, &[(0, ALL, Fault::None)]).await;
    assert_eq!(alone.violations, [""; 0]);
    let stops = (0..=alone.passed[0]).map(|stop| {
        let begun = begun.clone();
        async move {
            for more in (1..).filter(|more| is_played(stop, *more)) {
                let mut turns = vec![(0, stop, fault)];
                turns.extend(case.meanwhile.iter().map(|actor| (*actor, ALL, Fault::None)));
                turns.extend([(second, more, Fault::None), (third, ALL, Fault::None)]);
                let outcome = run(&begun, case, &turns).await;
                assert_eq!(outcome.violations, [""; 0], "{:?} {turns:?}", case.programs);
                if outcome.passed[second] <= more {
                    return more;
                }
            }
            unreachable!("a program ends")
        }
    });
    let counts = futures::stream::iter(stops).buffer_unordered(AT_ONCE);
    let schedules = counts.fold(0, |sum, count| std::future::ready(sum + count)).await;
    eprintln!("about {schedules} schedules of {:?}, {fault:?}", case.programs);
    schedules
}

pub(super) const GW: Program = Program::Worker("gw");
const OTHER: Program = Program::Worker("other");
pub(super) const HEIR: Program = Program::Successor("gw");

#[tokio::test(flavor = "multi_thread")]
async fn inv5_two_workers_on_one_source() {
    let case = Case { programs: &[GW, GW], ..WIDE };
    assert!(two_switches(case, Fault::None, [1, 0]).await > 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv2_two_workers_on_two_sources_of_one_lane() {
    let case = Case { programs: &[GW, OTHER], ..WIDE };
    assert!(two_switches(case, Fault::None, [1, 0]).await > 200);
}

/// One dies; what it decided is finished by the other, which was there before, or by the one that takes over.
#[tokio::test(flavor = "multi_thread")]
async fn inv2_a_worker_dies_beside_another_one_on_the_lane() {
    let case = Case { programs: &[GW, OTHER, HEIR], ..WIDE };
    assert!(two_switches(case, Fault::Crash, [1, 2]).await > 200);
}

/// The answer to any one operation is an error, whether it took effect or not, while another worker goes on.
#[tokio::test(flavor = "multi_thread")]
async fn inv5_an_operation_fails_or_only_its_answer_is_lost() {
    let case = Case { programs: &[GW, GW], ..SMALL };
    for fault in [Fault::Refused, Fault::AnswerLost] {
        assert!(two_switches(case, fault, [1, 0]).await > 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv7_a_worker_is_stopped_while_the_log_is_checkpointed_and_cleaned() {
    let case = Case { programs: &[GW, Program::Maintainer], ..SMALL };
    assert!(two_switches(case, Fault::None, [1, 0]).await > 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv7_upkeep_is_stopped_while_a_worker_lands() {
    let case = Case { programs: &[Program::Maintainer, GW], ..SMALL };
    assert!(two_switches(case, Fault::None, [1, 0]).await > 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv7_a_worker_takes_over_while_the_log_is_checkpointed_and_cleaned() {
    let case = Case { programs: &[HEIR, Program::Maintainer], writes_only: true, ..SMALL };
    assert!(two_switches(case, Fault::None, [1, 0]).await > 200);
}

/// While a worker sleeps, others land so much that upkeep removes the log's entries that come after its snapshot.
#[tokio::test(flavor = "multi_thread")]
async fn inv7_the_log_is_cleaned_beyond_what_a_sleeping_worker_knows() {
    let programs = &[GW, Program::Maintainer, Program::Plodder("other")];
    let case = Case { programs, meanwhile: &[2], writes_only: true, ..SMALL };
    assert!(two_switches(case, Fault::None, [1, 0]).await > 100);
}
