//! Checkpoints and log clean-up beside writers.

use lake::maintain::{CHECKPOINT_COMMITS, LOG_RETENTION_US, Pace, Settings, run, run_once};
use lake::{Gap, Lake, LandOutcome, Lander, OpenMode, SourceAdvance, SourcePosition};

use service_runtime::{Clock, Stop};
use tokio::task::JoinSet;

use super::kit::{LANE, NOW, key, land, offsets, stage};
use super::place::{Place, on_memory_and_s3};

on_memory_and_s3! {
    every_hundred_commits_a_checkpoint_is_written_and_positions_survive_it
    inv5_upkeep_that_is_always_stopped_at_its_first_merge_writes_checkpoints
    inv5_a_commit_into_the_cleaned_part_of_the_log_does_not_count
    inv5_workers_land_beside_upkeep_that_removes_everything_it_may
}

async fn every_hundred_commits_a_checkpoint_is_written_and_positions_survive_it(place: Place) {
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..CHECKPOINT_COMMITS - 1 {
        land(&mut lander, &lake, "gw", from, from + 1).await;
    }
    assert_eq!(run_once(&lake, CHECKPOINT_COMMITS, NOW).await.unwrap(), []);
    land(&mut lander, &lake, "gw", CHECKPOINT_COMMITS - 1, CHECKPOINT_COMMITS).await;
    let done = run_once(&lake, CHECKPOINT_COMMITS, NOW).await.unwrap();
    let tables: Vec<_> =
        done.iter().map(|done| (done.table.as_str(), done.checkpoint, done.removed)).collect();
    assert_eq!(tables, [("readings", 100, 0), ("device_status", 100, 0), ("landings", 100, 0)]);
    assert_eq!(run_once(&lake, CHECKPOINT_COMMITS, NOW).await.unwrap(), [], "and not again");

    // A worker that goes on, and one that starts from the checkpoint.
    land(&mut lander, &lake, "gw", CHECKPOINT_COMMITS, 102).await;
    let fresh = place.open().await;
    let next = Lander::open(&fresh, "w2", [LANE], NOW).await.unwrap();
    assert_eq!(next.positions()[&key("gw")], SourcePosition { landed: 102, chain: 102_000 });
    assert_eq!(offsets(&fresh, "readings", "gw").await.len(), 102);
}

/// Who is killed again and again before all that is due is merged would never come to what comes after it, and each start of a worker
/// would read a longer log.
async fn inv5_upkeep_that_is_always_stopped_at_its_first_merge_writes_checkpoints(place: Place) {
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..CHECKPOINT_COMMITS {
        land(&mut lander, &lake, "gw", from, from + 1).await;
    }
    let stop = Stop::new();
    stop.cancel();
    let mut pace = Pace::new(Clock::default(), 100, stop);
    let later = NOW + 24 * 3600 * 1_000_000;
    let stopped = run(&lake, &Settings::default(), later, &mut pace, &|_| {}).await.unwrap_err();
    assert!(stopped.is_stopped(), "{stopped}");
    for table in ["readings", "device_status", "landings"] {
        let pointer = place.store().get(&format!("{table}/_delta_log/_last_checkpoint")).await;
        assert!(pointer.unwrap().is_some(), "{table}");
    }
}

/// A worker slept so long that the log entries after its snapshot were cleaned up: its put-if-absent succeeds behind the
/// log's start. It must notice, and its landing must not count.
async fn inv5_a_commit_into_the_cleaned_part_of_the_log_does_not_count(place: Place) {
    let lake = place.create().await;
    let mut sleeper = Lander::open(&lake, "sleeper", [LANE], NOW).await.unwrap();
    let late = stage(&lake, "late", LANE, 0, 1).await.unwrap();
    let mut owner = Lander::open(&lake, "owner", [9], NOW).await.unwrap();
    for from in 0..CHECKPOINT_COMMITS {
        let staged = stage(&lake, "gw", 9, from, from + 1).await.unwrap();
        owner.land(&staged, NOW).await.unwrap();
    }
    // Everything below the checkpoint is older than the retention seen from far in the future.
    let future = chrono::Utc::now().timestamp_micros() + LOG_RETENTION_US + 60_000_000;
    let removed: usize = run_once(&lake, CHECKPOINT_COMMITS, future)
        .await
        .unwrap()
        .iter()
        .map(|done| done.removed)
        .sum();
    assert_eq!(removed, 300);
    assert_eq!(
        place.store().get("landings/_delta_log/00000000000000000001.json").await.unwrap(),
        None
    );

    let outcome = sleeper.land(&late, NOW).await.unwrap();
    assert!(matches!(outcome, LandOutcome::Lost(_)), "{outcome:?}");
    assert!(!lake.sources().await.unwrap().contains_key(&key("late")));
    assert!(offsets(&lake, "readings", "late").await.is_empty());
    // It knows the log again and lands at once.
    let again = stage(&lake, "late", LANE, 0, 1).await.unwrap();
    assert!(matches!(sleeper.land(&again, NOW).await.unwrap(), LandOutcome::Landed { .. }));
    assert_eq!(offsets(&lake, "readings", "late").await, [0]);
}

const MESSAGES: u64 = 20;

/// Lands all messages of `source`, one by one, with whoever else does.
async fn work(lake: Lake, source: &'static str, lane: u8) {
    let mut lander = Lander::open(&lake, "worker", [lane], NOW).await.unwrap();
    loop {
        let from = lander.positions().get(&key(source)).map_or(0, |at| at.landed);
        if from == MESSAGES {
            return;
        }
        let staged = stage(&lake, source, lane, from, from + 1).await.unwrap();
        let outcome = lander.land(&staged, NOW).await;
        if !matches!(outcome, Ok(LandOutcome::Landed { .. })) {
            // A log that is cleaned while it is read gives an error; the next look finds it whole.
            while lander.recover(NOW).await.is_err() {}
        }
    }
}

/// Two workers on lanes of their own and two that race on a third, beside upkeep without pause that checkpoints every few
/// commits and takes every log entry below for old.
async fn inv5_workers_land_beside_upkeep_that_removes_everything_it_may(place: Place) {
    let lake = place.create().await;
    let workers = [("left", 1), ("right", 2), ("both", 3), ("both", 3)];
    let workers = workers.map(|(source, lane)| work(lake.clone(), source, lane));
    let mut workers = JoinSet::from_iter(workers);
    let future = chrono::Utc::now().timestamp_micros() + 2 * LOG_RETENTION_US;
    let (mut checkpoints, mut removed) = (0, 0);
    while !workers.is_empty() {
        let done = run_once(&lake, 3, future).await.unwrap();
        checkpoints += done.len();
        removed += done.iter().map(|done| done.removed).sum::<usize>();
        while let Some(ended) = workers.try_join_next() {
            ended.unwrap();
        }
        tokio::task::yield_now().await;
    }
    assert!(checkpoints > 0 && removed > 0, "{checkpoints} checkpoints, {removed} removed");

    let reader = place.open().await;
    let expected: Vec<i64> = (0..MESSAGES.cast_signed()).collect();
    for source in ["left", "right", "both"] {
        assert_eq!(offsets(&reader, "readings", source).await, expected, "{source}");
        assert_eq!(offsets(&reader, "device_status", source).await, expected, "{source}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_on_disk_is_checkpointed_and_opened_from_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await.unwrap();
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..CHECKPOINT_COMMITS {
        // A landing of a gap alone commits to the ledger only.
        let gaps = vec![Gap { first: from, count: 1, reason: "dropped".into() }];
        let (to, tables) = (from + 1, [].into());
        let advance = SourceAdvance {
            key: key("gw"),
            lane: LANE,
            from,
            to,
            chain: to * 1000,
            appended: to,
            received_us: None,
            gaps,
            tables,
        };
        let staged = lake.stage(NOW).finish(vec![], vec![advance]);
        assert!(matches!(lander.land(&staged, NOW).await.unwrap(), LandOutcome::Landed { .. }));
    }
    let done = run_once(&lake, CHECKPOINT_COMMITS, NOW).await.unwrap();
    assert_eq!(done.iter().map(|done| done.table.as_str()).collect::<Vec<_>>(), ["landings"]);
    assert!(folder.path().join("landings/_delta_log/_last_checkpoint").is_file());
    let again = Lake::open(&url, &[].into(), OpenMode::Read).await.unwrap();
    let at = SourcePosition { landed: 100, chain: 100_000 };
    assert_eq!(again.sources().await.unwrap(), [(key("gw"), at)].into());
    assert_eq!(again.files("landings").await.unwrap().len(), 100);
}
