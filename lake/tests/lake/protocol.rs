//! The landing protocol: crashes at every write, zombies, races, lost answers.

use std::sync::Arc;

use lake::{Lake, LandOutcome, Lander, Lost, OpenMode, SourceAdvance, SourcePosition, TableRows};

use super::kit::{Fragile, LANE, Mumbling, NOW, key, land, offsets, readings, stage};
use super::place::{Place, on_memory_and_s3};
use super::together::Together;

on_memory_and_s3! {
    inv2_a_landed_range_shows_in_every_table_and_the_source_moves_with_its_chain
    inv5_a_worker_killed_at_any_write_loses_and_doubles_nothing
    inv5_a_zombie_loses_and_can_go_on_after_reading_the_ledger_again
    inv5_of_two_workers_racing_for_a_lane_one_wins_each_round
    workers_on_other_lanes_do_not_disturb_each_other
    a_commit_whose_answer_is_lost_is_found_in_the_log
    inv7_two_workers_redoing_one_decided_plan_apply_it_once
    inv2_nobody_lands_over_what_another_worker_decided_on_the_lane_and_did_not_apply
    two_processes_may_create_the_same_lake_at_once
}

async fn all_there_once(place: &Place, to: u64) {
    let lake = place.open().await;
    let expected: Vec<i64> = (0..to.cast_signed()).collect();
    assert_eq!(offsets(&lake, "readings", "gw").await, expected);
    assert_eq!(offsets(&lake, "device_status", "gw").await, expected);
    assert_eq!(
        lake.sources().await.unwrap()[&key("gw")],
        SourcePosition { landed: to, chain: to * 1000 }
    );
}

async fn inv2_a_landed_range_shows_in_every_table_and_the_source_moves_with_its_chain(
    place: Place,
) {
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    assert!(lander.positions().is_empty());
    assert_eq!(land(&mut lander, &lake, "gw", 0, 3).await, LandOutcome::Landed { version: 1 });
    assert_eq!(land(&mut lander, &lake, "gw", 3, 5).await, LandOutcome::Landed { version: 2 });
    assert_eq!(lander.positions()[&key("gw")], SourcePosition { landed: 5, chain: 5000 });
    all_there_once(&place, 5).await;
}

/// Kills the worker at each of its writes in turn, once before and once after the write reached the store. Whatever was
/// decided is finished by the next worker, whatever was not is landed by it: each row is there exactly once.
async fn inv5_a_worker_killed_at_any_write_loses_and_doubles_nothing(place: Place) {
    let lake = place.create().await;
    let mut first = Lander::open(&lake, "w0", [LANE], NOW).await.unwrap();
    land(&mut first, &lake, "gw", 0, 2).await;
    for reaches in [false, true] {
        for writes in 0.. {
            let place = place.copied().await;
            let lake = place.open().await;
            let fragile = Fragile::over(&place, writes, reaches);
            let doomed = place.through(fragile.clone()).await.unwrap();
            let mut lander = Lander::open(&doomed, "w1", [LANE], NOW).await.unwrap();
            if let Ok(staged) = stage(&doomed, "gw", LANE, 2, 6).await {
                let _unknown = lander.land(&staged, NOW).await;
            }

            let mut next = Lander::open(&lake, "w2", [LANE], NOW).await.unwrap();
            let landed = next.positions()[&key("gw")].landed;
            assert!(landed == 2 || landed == 6, "all or nothing: {landed}");
            if landed == 2 {
                assert!(matches!(
                    land(&mut next, &lake, "gw", 2, 6).await,
                    LandOutcome::Landed { .. }
                ));
            }
            all_there_once(&place, 6).await;
            if !fragile.died() {
                assert!(
                    writes >= 6,
                    "two data files, plan, ledger file, ledger entry, two table entries"
                );
                break;
            }
        }
    }
}

async fn inv5_a_zombie_loses_and_can_go_on_after_reading_the_ledger_again(place: Place) {
    let lake = place.create().await;
    let mut zombie = Lander::open(&lake, "zombie", [LANE], NOW).await.unwrap();
    let late = stage(&lake, "gw", LANE, 0, 4).await.unwrap();
    let mut owner = Lander::open(&lake, "owner", [LANE], NOW).await.unwrap();
    land(&mut owner, &lake, "gw", 0, 3).await;
    let lost = zombie.land(&late, NOW).await.unwrap();
    assert_eq!(lost, LandOutcome::Lost(Lost::Source { key: key("gw"), from: 0, landed: 3 }));
    zombie.recover(NOW).await.unwrap();
    assert_eq!(zombie.positions()[&key("gw")].landed, 3);
    assert!(matches!(land(&mut zombie, &lake, "gw", 3, 4).await, LandOutcome::Landed { .. }));
    all_there_once(&place, 4).await;
}

async fn inv5_of_two_workers_racing_for_a_lane_one_wins_each_round(place: Place) {
    let lake = place.create().await;
    let mut a = Lander::open(&lake, "a", [LANE], NOW).await.unwrap();
    let mut b = Lander::open(&lake, "b", [LANE], NOW).await.unwrap();
    for round in 0..8 {
        let (from, to) = (round * 2, round * 2 + 2);
        let left = stage(&lake, "gw", LANE, from, to).await.unwrap();
        let right = stage(&lake, "gw", LANE, from, to).await.unwrap();
        let (left, right) = tokio::join!(a.land(&left, NOW), b.land(&right, NOW));
        let won = [left.unwrap(), right.unwrap()]
            .iter()
            .filter(|o| matches!(o, LandOutcome::Landed { .. }))
            .count();
        assert_eq!(won, 1, "round {round}");
        a.recover(NOW).await.unwrap();
        b.recover(NOW).await.unwrap();
    }
    all_there_once(&place, 16).await;
}

async fn workers_on_other_lanes_do_not_disturb_each_other(place: Place) {
    let lake = place.create().await;
    let work = |source: &'static str, lane: u8| {
        let lake = lake.clone();
        async move {
            let mut lander = Lander::open(&lake, source, [lane], NOW).await.unwrap();
            for from in 0..10 {
                let staged = stage(&lake, source, lane, from, from + 1).await.unwrap();
                let outcome = lander.land(&staged, NOW).await.unwrap();
                assert!(matches!(outcome, LandOutcome::Landed { .. }), "{source}: {outcome:?}");
            }
        }
    };
    tokio::join!(work("a", 1), work("b", 2), work("c", 3));
    for source in ["a", "b", "c"] {
        assert_eq!(offsets(&lake, "readings", source).await, (0..10).collect::<Vec<_>>());
    }
}

async fn a_commit_whose_answer_is_lost_is_found_in_the_log(place: Place) {
    place.create().await;
    let lake = place.through(Arc::new(Mumbling(place.store().root()))).await.unwrap();
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    assert_eq!(land(&mut lander, &lake, "gw", 0, 3).await, LandOutcome::Landed { version: 1 });
    all_there_once(&place, 3).await;
}

async fn inv7_two_workers_redoing_one_decided_plan_apply_it_once(place: Place) {
    let lake = place.create().await;
    // Data files, plan, ledger file and ledger entry are written; the first table's entry is not.
    let fragile = Fragile::over(&place, 5, false);
    let doomed = place.through(fragile.clone()).await.unwrap();
    let mut lander = Lander::open(&doomed, "w1", [LANE], NOW).await.unwrap();
    let staged = stage(&doomed, "gw", LANE, 0, 4).await.unwrap();
    lander.land(&staged, NOW).await.unwrap_err();
    assert_eq!(lake.sources().await.unwrap()[&key("gw")].landed, 4, "decided");
    assert!(
        offsets(&lake, "readings", "gw").await.is_empty(),
        "and not applied, so no receipt may be sent"
    );

    let open = |worker| Lander::open(&lake, worker, [LANE], NOW);
    let (a, b) = tokio::join!(open("a"), open("b"));
    assert_eq!(a.unwrap().positions(), b.unwrap().positions());
    all_there_once(&place, 4).await;
}

/// Two workers hold the same lane; one decides a landing of its source and dies. The other one's landing, of another source,
/// would be applied as the lane's next: then nobody would ever apply the first.
async fn inv2_nobody_lands_over_what_another_worker_decided_on_the_lane_and_did_not_apply(
    place: Place,
) {
    let lake = place.create().await;
    let mut second = Lander::open(&lake, "w2", [LANE], NOW).await.unwrap();
    let doomed = place.through(Fragile::over(&place, 5, false)).await.unwrap();
    let mut first = Lander::open(&doomed, "w1", [LANE], NOW).await.unwrap();
    let staged = stage(&doomed, "gw", LANE, 0, 4).await.unwrap();
    first.land(&staged, NOW).await.unwrap_err();
    assert_eq!(lake.sources().await.unwrap()[&key("gw")].landed, 4, "decided");

    let other = stage(&lake, "other", LANE, 0, 2).await.unwrap();
    assert_eq!(second.land(&other, NOW).await.unwrap(), LandOutcome::Lost(Lost::Lane));
    second.recover(NOW).await.unwrap();
    all_there_once(&place, 4).await;
    assert!(matches!(land(&mut second, &lake, "other", 0, 2).await, LandOutcome::Landed { .. }));
    assert_eq!(offsets(&lake, "readings", "other").await, [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_landing_whose_files_are_older_than_an_hour_starts_over() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let staged = stage(&lake, "gw", LANE, 0, 4).await.unwrap();
    let late = lander.land(&staged, NOW + 3_600_000_001).await.unwrap();
    assert_eq!(late, LandOutcome::Lost(Lost::TooOld));
    assert!(lake.sources().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_lands_only_on_its_own_lanes() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [1, 2], NOW).await.unwrap();
    let staged = stage(&lake, "gw", LANE, 0, 1).await.unwrap();
    let error = lander.land(&staged, NOW).await.unwrap_err().to_string();
    assert!(error.contains("lane 7"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv4_a_landing_that_counts_rows_which_are_in_no_file_is_not_decided() {
    let lake = Place::memory().create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let mut counts = TableRows::default();
    counts.add(NOW);
    let advance = SourceAdvance {
        key: key("gw"),
        lane: LANE,
        from: 0,
        to: 1,
        chain: 1000,
        appended: 1,
        received_us: None,
        gaps: vec![],
        tables: [("readings".into(), counts)].into(),
    };
    let staged = lake.stage(NOW).finish(vec![], vec![advance]);
    let error = lander.land(&staged, NOW).await.unwrap_err().to_string();
    assert!(error.contains("readings: 1 rows counted, 0 written"), "{error}");
    assert!(lake.sources().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_the_table_are_refused_before_anything_is_decided() {
    let place = Place::memory();
    let lake = place.create().await;
    let error = lake
        .stage(NOW)
        .write(lake::tables::device_status::table().into(), 0, [readings("gw", 0, 1)])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("device_status"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_on_disk_keeps_the_protocol_too() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().join("a lake").display().to_string();
    let env = [].into();
    let lake = Lake::open(&url, &env, OpenMode::Create).await.unwrap();
    let mut a = Lander::open(&lake, "a", [LANE], NOW).await.unwrap();
    let mut b = Lander::open(&lake, "b", [LANE], NOW).await.unwrap();
    let (left, right) = (
        stage(&lake, "gw", LANE, 0, 4).await.unwrap(),
        stage(&lake, "gw", LANE, 0, 4).await.unwrap(),
    );
    let (left, right) = tokio::join!(a.land(&left, NOW), b.land(&right, NOW));
    assert_ne!(
        matches!(left.unwrap(), LandOutcome::Landed { .. }),
        matches!(right.unwrap(), LandOutcome::Landed { .. })
    );
    let again = Lake::open(&url, &env, OpenMode::Create).await.unwrap();
    assert_eq!(again.id(), lake.id());
    assert_eq!(offsets(&again, "readings", "gw").await, [0, 1, 2, 3]);
}

async fn two_processes_may_create_the_same_lake_at_once(place: Place) {
    let (a, b) = tokio::join!(place.create(), place.create());
    assert_eq!(a.id(), b.id());
    // However close: each puts its first entries when the other stands before that too.
    let together = Together::over(&place.beside().store());
    let create = || Lake::open_on(together.clone(), OpenMode::Create);
    let (a, b) = tokio::join!(create(), create());
    let (a, b) = (a.unwrap(), b.unwrap());
    assert_eq!(a.id(), b.id());
    for table in a.tables().await.unwrap() {
        assert_eq!(table.version, 0, "{}: nothing is committed over a creation", table.name);
    }
    let empty = place.beside().store();
    let url = empty.url().clone();
    let missing = Lake::open_on(empty, OpenMode::Read).await.unwrap_err();
    assert!(missing.to_string().contains(url.as_str()), "{missing}");
}
