//! Many small files become few, by whomever, beside whomever, killed wherever: the rows stay the same.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use lake::maintain::{Done, Incomplete, Pace, Settings, run, run_once};
use lake::{Lake, LandOutcome, Lander, check};
use tokio::task::JoinSet;

use super::kit::{Fragile, LANE, NOW, key, land, offsets, stage};
use super::place::{Place, on_memory_and_s3};

on_memory_and_s3! {
    inv14_a_date_that_is_over_becomes_one_file_with_the_same_rows
    inv14_two_maintainers_beside_a_lander_neither_lose_nor_double_a_row
}

const DAY: i64 = 24 * 3600 * 1_000_000;
/// The dates that the kit lands on are over.
const LATER: i64 = NOW + 4 * DAY;

async fn upkeep(lake: &Lake, now_us: i64) -> Result<Vec<Done>, Incomplete> {
    let settings = Settings { sweep: false, views: vec![], ..Settings::default() };
    let report = run(lake, &settings, now_us, &mut Pace::unhurt(), &|_| {}).await;
    report.map(|report| report.tables)
}

async fn files(lake: &Lake, table: &str) -> usize {
    lake.files(table).await.unwrap().len()
}

async fn inv14_a_date_that_is_over_becomes_one_file_with_the_same_rows(place: Place) {
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let mut other = Lander::open(&lake, "w2", [9], NOW).await.unwrap();
    for from in 0..40 {
        land(&mut lander, &lake, "gw", from, from + 1).await;
        let staged = stage(&lake, "other", 9, 3 * from, 3 * (from + 1)).await.unwrap();
        other.land(&staged, NOW).await.unwrap();
    }
    let before = lake.books().await.unwrap();
    assert_eq!(files(&lake, "readings").await, 80);

    let dry = Settings { dry_run: true, sweep: false, ..Settings::default() };
    let would = run(&lake, &dry, LATER, &mut Pace::unhurt(), &|_| {}).await.unwrap().tables;
    assert_eq!(files(&lake, "readings").await, 80, "a dry run does nothing");
    let done = upkeep(&lake, LATER).await.unwrap();
    let numbers = |done: &[Done]| -> Vec<(String, u64, u64)> {
        let touched = done.iter().filter(|done| done.merged.files > 0);
        touched.map(|d| (d.table.clone(), d.merged.files, d.merged.made_files)).collect()
    };
    let expected = ["readings", "device_status", "landings"].map(|name| (name.to_owned(), 80, 1));
    assert_eq!((numbers(&would), numbers(&done)), (expected.to_vec(), expected.to_vec()));
    assert!(done.iter().all(|done| done.left.is_empty()));

    let fresh = place.open().await;
    for table in ["readings", "device_status", "landings"] {
        assert_eq!(files(&fresh, table).await, 1, "{table}");
    }
    let merged: BTreeMap<_, _> = expected.iter().map(|(name, ..)| (name.clone(), LATER)).collect();
    assert_eq!(fresh.compacted().await.unwrap(), merged);
    for table in ["readings", "device_status"] {
        assert_eq!(offsets(&fresh, table, "gw").await, (0..40).collect::<Vec<_>>());
        assert_eq!(offsets(&fresh, table, "other").await, (0..120).collect::<Vec<_>>());
    }
    assert_eq!(fresh.books().await.unwrap(), before);
    let checked = check::run(&fresh).await.unwrap();
    assert_eq!(checked.findings, []);
    let again = upkeep(&lake, LATER).await.unwrap();
    assert!(again.iter().all(Done::is_nothing), "{again:?}");
    run_once(&lake, 1, LATER).await.unwrap();
    assert_eq!(fresh.compacted().await.unwrap(), merged, "also by a checkpoint");

    // Landers that were there before go on, and so does one that starts now.
    land(&mut lander, &lake, "gw", 40, 41).await;
    let mut next = Lander::open(&fresh, "w3", [9], NOW).await.unwrap();
    assert_eq!(next.positions()[&key("other")].landed, 120);
    let staged = stage(&fresh, "other", 9, 120, 121).await.unwrap();
    assert!(matches!(next.land(&staged, NOW).await.unwrap(), LandOutcome::Landed { .. }));
    assert_eq!(offsets(&fresh, "readings", "other").await.len(), 121);
}

const MESSAGES: u64 = 30;

async fn work(lake: Lake, source: &'static str, lane: u8) {
    let mut lander = Lander::open(&lake, source, [lane], NOW).await.unwrap();
    for from in 0..MESSAGES {
        let staged = stage(&lake, source, lane, from, from + 1).await.unwrap();
        let outcome = lander.land(&staged, NOW).await.unwrap();
        assert!(matches!(outcome, LandOutcome::Landed { .. }), "never fails: {outcome:?}");
    }
}

/// Every snapshot has as many rows as the one before, or more, and none twice.
async fn inv14_two_maintainers_beside_a_lander_neither_lose_nor_double_a_row(place: Place) {
    let lake = place.create().await;
    let workers =
        [("left", 1), ("right", 2)].map(|(source, lane)| work(lake.clone(), source, lane));
    let mut workers = JoinSet::from_iter(workers);
    let mut maintainers = JoinSet::new();
    let (mut seen, mut merged) = ([0, 0], 0);
    while !workers.is_empty() || !maintainers.is_empty() {
        while !workers.is_empty() && maintainers.len() < 2 {
            let lake = lake.clone();
            maintainers.spawn(async move { upkeep(&lake, LATER).await });
        }
        for (seen, source) in seen.iter_mut().zip(["left", "right"]) {
            let now = offsets(&lake, "readings", source).await;
            assert_eq!(now.iter().collect::<BTreeSet<_>>().len(), now.len(), "a row twice");
            assert!(now.len() >= *seen, "{} rows after {seen}", now.len());
            *seen = now.len();
        }
        while let Some(ended) = maintainers.try_join_next() {
            let done = ended.unwrap().unwrap();
            merged += done.iter().map(|done| done.merged.made_files).sum::<u64>();
        }
        while let Some(ended) = workers.try_join_next() {
            ended.unwrap();
        }
        tokio::task::yield_now().await;
    }
    assert!(merged > 0);
    upkeep(&lake, LATER).await.unwrap();
    let reader = place.open().await;
    let expected: Vec<i64> = (0..MESSAGES.cast_signed()).collect();
    for table in ["readings", "device_status"] {
        for source in ["left", "right"] {
            assert_eq!(offsets(&reader, table, source).await, expected, "{table} {source}");
        }
        assert_eq!(files(&reader, table).await, 1);
    }
    assert_eq!(check::run(&reader).await.unwrap().findings, []);
}

/// Upkeep dies at its n-th write, for every n, before or after the write: the next run finishes, and nothing is lost or doubled.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_wherever_upkeep_dies_the_rows_are_the_same_and_the_next_run_finishes() {
    for reaches in [false, true] {
        for n in 0.. {
            let place = Place::memory();
            let lake = place.create().await;
            let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
            for from in 0..5 {
                land(&mut lander, &lake, "gw", from, from + 1).await;
            }
            let fragile = Fragile::over(&place, n, reaches);
            let dying = place.through(fragile.clone()).await.unwrap();
            let settings = Settings { commits: 2, views: vec![], ..Settings::default() };
            let result = run(&dying, &settings, LATER, &mut Pace::unhurt(), &|_| {}).await;
            let died = fragile.died();
            assert_eq!(died, result.is_err(), "{result:?}");
            let expected: Vec<i64> = (0..5).collect();
            for table in ["readings", "device_status"] {
                assert_eq!(offsets(&lake, table, "gw").await, expected, "write {n}, {table}");
            }
            land(&mut lander, &lake, "gw", 5, 6).await;
            upkeep(&lake, LATER).await.unwrap();
            for table in ["readings", "device_status", "landings"] {
                assert_eq!(files(&lake, table).await, 1, "write {n}, {table}");
            }
            assert_eq!(offsets(&lake, "readings", "gw").await.len(), 6);
            assert_eq!(check::run(&lake).await.unwrap().findings, [], "write {n}");
            if !died {
                assert!(n > 6, "it writes at least two objects for each of three tables");
                break;
            }
        }
    }
}

/// A process that slept for a week between its file and the commit must not commit it: a sweep may be after it.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_a_merge_that_took_too_long_gives_way_and_leaves_nothing() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..3 {
        land(&mut lander, &lake, "gw", from, from + 1).await;
    }
    let settings = Settings { sweep: false, views: vec![], ..Settings::default() };
    let mut late = Pace::unhurt().commit_within(0);
    let done = run(&lake, &settings, LATER, &mut late, &|_| {}).await.unwrap().tables;
    assert!(done.iter().all(|done| done.merged.made_files == 0), "{done:?}");
    assert_eq!(done.iter().map(|done| done.merged.gave_way).sum::<u64>(), 3);
    assert_eq!(files(&lake, "readings").await, 3);
    let objects = place.store().list("readings").await.unwrap();
    assert!(objects.iter().all(|object| !object.path.contains("merged-")), "nothing is left");
    upkeep(&lake, LATER).await.unwrap();
    assert_eq!(files(&lake, "readings").await, 1, "the next run has the time");
}

/// The rows of a merged file are in the table's order, whoever they are from.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_merged_is_in_the_order_of_the_table() {
    let lake = Place::memory().create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for (source, from, to) in [("b", 0, 3000), ("a", 0, 20), ("b", 3000, 3001), ("a", 20, 5000)] {
        land(&mut lander, &lake, source, from, to).await;
    }
    upkeep(&lake, LATER).await.unwrap();
    let rows = lake.scan("readings", &["device_id", "metric", "event_ts"]).await.unwrap();
    let batches: Vec<_> = rows.try_collect().await.unwrap();
    let batch = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(batch.num_rows(), 8001);
    assert_eq!(
        lake::sort::sorted(&lake.catalog().get("readings").unwrap().clone(), &batch).unwrap(),
        batch
    );
}
