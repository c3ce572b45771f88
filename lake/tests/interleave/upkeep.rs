//! Merges, sweeps and retention on the real code, under every schedule with two context switches: beside landings, beside each other,
//! killed, and with requests that fail or whose answer is lost.
//!
//! As in `explore`; in the end the lake must be one whole: every file that the logs name is there, every row once, and the books add up.

use std::sync::Arc;

use lake::date::date_of;
use lake::maintain::{self, Incomplete, Pace, Settings};
use lake::tables::readings;
use lake::{Lake, LandOutcome, Lander, OpenMode, Store, check};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use url::Url;

use super::explore::{
    Case, GW, HEIR, OFFSETS, Program, SMALL, URL, open, small, two_switches_from,
};
use super::gate::Fault;
use crate::kit::{LANE, NOW, stage_in, stage_on};

const DAY: i64 = 24 * 3600 * 1_000_000;
/// The dates that rows land on are over.
const LATER: i64 = NOW + 4 * DAY;
/// They are older than the retention.
const MUCH_LATER: i64 = NOW + 40 * DAY;
const RETENTION: u32 = 30;
const TABLES: &[&str] = &[readings::NAME];
/// Where a lake with something to sweep says from when on objects are young, Unix milliseconds, and one that is not.
const EDGE: &str = "edge";

/// A part of upkeep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// Merges the files of every date.
    Merge,
    /// Removes what was written before the actors began and nobody needs.
    Sweep,
    /// Takes out the rows of every date.
    Retire,
    /// Moves them into the archive.
    Archive,
}

/// The edge, if there is one, and what must be gone after a sweep.
async fn edge(root: &InMemory) -> Option<(i64, String)> {
    let text = root.get(&Path::from(EDGE)).await.ok()?.bytes().await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    let (edge_ms, path) = text.split_once(' ').unwrap();
    Some((edge_ms.parse().unwrap(), path.to_owned()))
}

/// Does one part of it, and nothing else.
pub(super) async fn run(task: Task, lake: &Lake, root: &InMemory) -> Result<(), Incomplete> {
    let edge_us = edge(root).await.map_or(0, |(edge_ms, _)| edge_ms * 1000);
    let idle = Settings {
        sweep: false,
        views: vec![],
        commits: 1000,
        // Nothing is merged.
        quiet_us: i64::MAX,
        ..Settings::default()
    };
    let (settings, now_us) = match task {
        // What it takes out was taken out after the edge.
        Task::Merge => (Settings { quiet_us: 0, ..idle }, LATER.max(edge_us + DAY)),
        Task::Sweep => (Settings { sweep: true, keep_us: 0, ..idle }, edge_us),
        Task::Retire => {
            let retention_days = [(readings::NAME.to_owned(), RETENTION)].into();
            (Settings { retention_days, ..idle }, MUCH_LATER)
        }
        Task::Archive => {
            let archive_days = [(readings::NAME.to_owned(), RETENTION)].into();
            (Settings { archive_days, ..idle }, MUCH_LATER)
        }
    };
    maintain::run(lake, &settings, now_us, &mut Pace::unhurt(), &|_| {}).await.map(|_| ())
}

async fn create(root: &Arc<InMemory>) -> Lake {
    let store = Store::on(root.clone(), Url::parse(URL).unwrap()).unwrap();
    Lake::open_on_with(store, OpenMode::Create, &small()).await.unwrap()
}

async fn land(lake: &Lake, lander: &mut Lander, source: &str, range: [u64; 2]) {
    let staged = stage_in(lake, source, LANE, range, TABLES).await.unwrap();
    let outcome = lander.land(&staged, NOW).await.unwrap();
    assert!(matches!(outcome, LandOutcome::Landed { .. }), "{outcome:?}");
}

/// A lake with a date of two files.
async fn begun() -> Arc<InMemory> {
    let root = Arc::new(InMemory::new());
    let lake = create(&root).await;
    let mut lander = Lander::open(&lake, "worker", [LANE], NOW).await.unwrap();
    for offset in 0..OFFSETS {
        land(&lake, &mut lander, "before", [offset, offset + 1]).await;
    }
    root
}

/// The same with a row of the day after: what moves into the archive moves in two steps.
async fn of_two_dates() -> Arc<InMemory> {
    let root = begun().await;
    let lake = open(root.clone()).await;
    let mut lander = Lander::open(&lake, "worker", [LANE], NOW).await.unwrap();
    let date = date_of(NOW + DAY);
    let staged = stage_on(date, &lake, "after", LANE, [0, OFFSETS], TABLES).await.unwrap();
    let outcome = lander.land(&staged, NOW).await.unwrap();
    assert!(matches!(outcome, LandOutcome::Landed { .. }), "{outcome:?}");
    root
}

/// The same, merged; with a file that never landed, and a landing that was decided and that nobody has applied. All of it is old.
async fn with_leftovers() -> Arc<InMemory> {
    let root = begun().await;
    let lake = open(root.clone()).await;
    run(Task::Merge, &lake, &root).await.unwrap();
    stage_in(&lake, "orphan", LANE, [0, 1], TABLES).await.unwrap();
    let data = |paths: Vec<String>| {
        let data = paths.into_iter().filter(|path| path.ends_with("parquet"));
        data.filter(|path| !path.contains("merged-")).collect::<Vec<_>>()
    };
    let store = Store::on(root.clone(), Url::parse(URL).unwrap()).unwrap();
    let objects = store.list(readings::NAME).await.unwrap();
    let free = data(objects.into_iter().map(|object| object.path).collect());
    assert_eq!(free.len(), 3, "{free:?}");
    let mut lander = Lander::open(&lake, "dead", [LANE], NOW).await.unwrap();
    land(&lake, &mut lander, "dead", [0, OFFSETS]).await;
    // As if it had not come to that.
    store.delete(&format!("{}/_delta_log/{:020}.json", readings::NAME, 4)).await.unwrap();
    let now_ms = || chrono::Utc::now().timestamp_millis();
    let edge_ms = now_ms() + 1;
    while now_ms() < edge_ms {
        tokio::task::yield_now().await;
    }
    let edge = format!("{edge_ms} {}", free.join(" "));
    root.put(&Path::from(EDGE), edge.into_bytes().into()).await.unwrap();
    root
}

/// What is wrong with the lake once everybody is done, and a worker has applied what nobody had.
/// `rows_go`: what takes the rows out of their table.
pub(super) async fn finished(root: &Arc<InMemory>, rows_go: Option<Task>) -> Vec<String> {
    let lake = open(root.clone()).await;
    if let Err(error) = Lander::open(&lake, "last", [LANE], NOW).await {
        return vec![error.to_string()];
    }
    if let Some(task) = rows_go {
        run(task, &lake, root).await.unwrap();
    }
    let mut wrong: Vec<String> = Vec::new();
    if let Some((_, free)) = edge(root).await {
        // One that was killed left some.
        run(Task::Sweep, &lake, root).await.unwrap();
        let store = Store::on(root.clone(), Url::parse(URL).unwrap()).unwrap();
        for path in free.split(' ') {
            let kept = store.get(path).await.unwrap().map(|_| format!("{path} was not swept"));
            wrong.extend(kept);
        }
    }
    let checked = check::run(&lake).await.unwrap();
    wrong
        .extend(checked.findings.iter().map(|found| format!("{}: {}", found.table, found.problem)));
    if rows_go == Some(Task::Archive) {
        let landed: u64 = lake.books().await.unwrap().iter().map(|book| book.landed).sum();
        let rows = lake.scan(readings::NAME, &["source_id", "source_offset"]).await.unwrap();
        let rows = lake::count(rows).await.unwrap();
        // That none is there twice was checked.
        wrong.extend((rows != landed).then(|| format!("{rows} of {landed} rows in the archive")));
    }
    let left = lake.files(readings::NAME).await.unwrap();
    if rows_go.is_some() && left.iter().any(|file| *file.table == *readings::NAME) {
        wrong.push("rows are left".to_owned());
    }
    wrong
}

/// Plays all schedules, of which there are at least so many: else the programs have changed, or do nothing.
async fn explored(begun: Arc<InMemory>, case: Case<'static>, fault: Fault, least: usize) {
    let schedules = two_switches_from(begun, case, fault, [1, 0]).await;
    assert!(schedules >= least, "{schedules} schedules of {:?}, {fault:?}", case.programs);
}

const MERGE: Program = Program::Upkeep(Task::Merge);
const SWEEP: Program = Program::Upkeep(Task::Sweep);
const RETIRE: Program = Program::Upkeep(Task::Retire);
const ARCHIVES: Program = Program::Upkeep(Task::Archive);
const IN_ONE: Case<'_> = Case { upkeep: true, within: &["readings"], ..SMALL };
const WRITES: Case<'_> = Case { writes_only: true, ..IN_ONE };

#[tokio::test(flavor = "multi_thread")]
async fn inv14_a_merge_is_stopped_while_a_worker_lands_and_the_other_way_round() {
    let begun = begun().await;
    let case = Case { programs: &[MERGE, GW], ..IN_ONE };
    explored(begun.clone(), case, Fault::None, 60).await;
    let case = Case { programs: &[GW, MERGE], ..WRITES };
    explored(begun, case, Fault::None, 10).await;
}

/// Of the ledger's files as well, which whoever takes a lane over reads the last plan from.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_a_worker_takes_over_while_the_ledger_is_merged() {
    let case = Case { programs: &[HEIR, MERGE], within: &["landings"], ..WRITES };
    explored(begun().await, case, Fault::None, 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv14_two_merges_of_one_date_one_of_which_sleeps_dies_or_is_not_answered() {
    let begun = begun().await;
    let case = Case { programs: &[MERGE, MERGE], ..WRITES };
    for fault in [Fault::None, Fault::Crash, Fault::AnswerLost] {
        explored(begun.clone(), case, fault, 25).await;
    }
}

/// What is swept is old: superseded, never landed; but not what a dead worker decided and its heir applies.
#[tokio::test(flavor = "multi_thread")]
async fn inv5_a_sweep_beside_whoever_applies_what_a_dead_worker_decided() {
    let begun = with_leftovers().await;
    let case = Case { programs: &[SWEEP, HEIR], ..WRITES };
    explored(begun.clone(), case, Fault::None, 45).await;
    let case = Case { programs: &[HEIR, SWEEP], ..WRITES };
    explored(begun, case, Fault::None, 45).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv14_a_sweep_beside_a_merge_takes_no_file_of_its() {
    let begun = with_leftovers().await;
    for programs in [&[SWEEP, MERGE], &[MERGE, SWEEP]] {
        let case = Case { programs, ..WRITES };
        for fault in [Fault::None, Fault::Crash] {
            explored(begun.clone(), case, fault, 18).await;
        }
    }
}

/// No row that went comes back, and each is counted once.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_retention_beside_a_worker_a_merge_and_itself() {
    let begun = begun().await;
    for programs in
        [&[RETIRE, GW], &[GW, RETIRE], &[RETIRE, MERGE], &[MERGE, RETIRE], &[RETIRE, RETIRE]]
    {
        let case = Case { programs, rows_go: Some(Task::Retire), ..WRITES };
        explored(begun.clone(), case, Fault::None, 5).await;
    }
    let case = Case { programs: &[RETIRE, RETIRE], rows_go: Some(Task::Retire), ..WRITES };
    for fault in [Fault::Crash, Fault::AnswerLost] {
        explored(begun.clone(), case, fault, 20).await;
    }
}

/// No row is in both tables or in neither in the end, and none is behind.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_two_who_move_rows_into_an_archive_beside_a_worker_a_merge_and_each_other() {
    let (begun, of_two_dates) = (begun().await, of_two_dates().await);
    // Nobody else knows the name of a file before a log or a plan says it.
    let within = &["readings/_delta_log", "readings_archive/_delta_log", "_tidemark/archives"];
    let case = Case { within, rows_go: Some(Task::Archive), ..WRITES };
    for programs in [&[ARCHIVES, GW], &[MERGE, ARCHIVES]] {
        explored(begun.clone(), Case { programs, ..case }, Fault::None, 40).await;
    }
    let case = Case { programs: &[ARCHIVES, ARCHIVES], ..case };
    explored(of_two_dates, case, Fault::None, 200).await;
    for fault in [Fault::Crash, Fault::AnswerLost] {
        explored(begun.clone(), case, fault, 80).await;
    }
}
