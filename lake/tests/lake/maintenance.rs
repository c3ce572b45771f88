//! Checkpoints and log clean-up beside writers.

use std::sync::Arc;

use lake::maintain::{CHECKPOINT_COMMITS, LOG_RETENTION_US, run_once};
use lake::{Gap, Lake, LandOutcome, Lander, OpenMode, SourceAdvance, SourcePosition};
use object_store::memory::InMemory;

use super::kit::{LANE, NOW, created, key, land, offsets, opened, stage, store};

#[tokio::test(flavor = "multi_thread")]
async fn every_hundred_commits_a_checkpoint_is_written_and_positions_survive_it() {
    let root = Arc::new(InMemory::new());
    let lake = created(&root).await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..CHECKPOINT_COMMITS - 1 {
        land(&mut lander, &lake, "gw", from, from + 1).await;
    }
    assert_eq!(run_once(&lake, CHECKPOINT_COMMITS, NOW).await.unwrap(), []);
    land(&mut lander, &lake, "gw", CHECKPOINT_COMMITS - 1, CHECKPOINT_COMMITS).await;
    let done = run_once(&lake, CHECKPOINT_COMMITS, NOW).await.unwrap();
    let tables: Vec<_> =
        done.iter().map(|done| (done.table, done.checkpoint, done.removed)).collect();
    assert_eq!(tables, [("readings", 100, 0), ("device_status", 100, 0), ("landings", 100, 0)]);
    assert_eq!(run_once(&lake, CHECKPOINT_COMMITS, NOW).await.unwrap(), [], "and not again");

    // A worker that goes on, and one that starts from the checkpoint.
    land(&mut lander, &lake, "gw", CHECKPOINT_COMMITS, 102).await;
    let fresh = opened(root).await.unwrap();
    let next = Lander::open(&fresh, "w2", [LANE], NOW).await.unwrap();
    assert_eq!(next.positions()[&key("gw")], SourcePosition { landed: 102, chain: 102_000 });
    assert_eq!(offsets(&fresh, "readings", "gw").await.len(), 102);
}

/// A worker slept so long that the log entries after its snapshot were cleaned up: its put-if-absent succeeds behind the
/// log's start. It must notice, and its landing must not count.
#[tokio::test(flavor = "multi_thread")]
async fn inv5_a_commit_into_the_cleaned_part_of_the_log_does_not_count() {
    let root = Arc::new(InMemory::new());
    let lake = created(&root).await;
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
        store(root.clone()).get("landings/_delta_log/00000000000000000001.json").await.unwrap(),
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
            gaps,
            tables,
        };
        let staged = lake.stage(NOW).finish(vec![], vec![advance]);
        assert!(matches!(lander.land(&staged, NOW).await.unwrap(), LandOutcome::Landed { .. }));
    }
    let done = run_once(&lake, CHECKPOINT_COMMITS, NOW).await.unwrap();
    assert_eq!(done.iter().map(|done| done.table).collect::<Vec<_>>(), ["landings"]);
    assert!(folder.path().join("landings/_delta_log/_last_checkpoint").is_file());
    let again = Lake::open(&url, &[].into(), OpenMode::Read).await.unwrap();
    let at = SourcePosition { landed: 100, chain: 100_000 };
    assert_eq!(again.sources().await.unwrap(), [(key("gw"), at)].into());
    assert_eq!(again.files("landings").await.unwrap().len(), 100);
}
