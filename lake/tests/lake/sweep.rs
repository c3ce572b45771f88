//! What nothing needs goes by age; what somebody may need stays.

use std::collections::BTreeSet;

use lake::maintain::{Incomplete, Pace, Report, Settings, run};
use lake::{Lake, LandOutcome, Lander, OpenMode, check};

use super::kit::{Fragile, LANE, NOW, key, land, offsets, stage};
use super::place::{Place, on_memory_and_s3};

on_memory_and_s3! {
    superseded_files_stay_for_their_readers_and_go_after_the_retention
    inv5_what_was_decided_and_not_applied_is_never_swept
}

const DAY: i64 = 24 * 3600 * 1_000_000;

async fn upkeep(lake: &Lake, settings: &Settings, now_us: i64) -> Result<Report, Incomplete> {
    run(lake, settings, now_us, &mut Pace::unhurt(), &|_| {}).await
}

/// Objects have the age that the store gives them.
fn days_from_now(days: i64) -> i64 {
    chrono::Utc::now().timestamp_micros() + days * DAY
}

async fn objects(place: &Place, folder: &str) -> BTreeSet<String> {
    let objects = place.store().list(folder).await.unwrap();
    let data = objects.into_iter().filter(|object| !object.path.contains("_delta_log"));
    data.map(|object| object.path).collect()
}

async fn superseded_files_stay_for_their_readers_and_go_after_the_retention(place: Place) {
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..6 {
        land(&mut lander, &lake, "gw", from, from + 1).await;
    }
    // A landing that was never decided, and a reader that listed the files before they were merged.
    let orphans = stage(&lake, "never", LANE, 0, 1).await.unwrap();
    let reader = place.open().await;
    let listed = reader.files("readings").await.unwrap();
    let settings = Settings::default();
    let first = upkeep(&lake, &settings, days_from_now(0)).await.unwrap();
    assert!(first.tables.iter().all(|done| done.swept.files == 0) && first.plans.files == 0);
    assert_eq!(objects(&place, "readings").await.len(), 6 + 1 + 1);
    let rows = reader.scan_files("readings", listed, &["source_id", "source_offset"]).unwrap();
    assert_eq!(super::kit::offsets_in(rows, "gw").await.len(), 6, "it reads what it listed");

    let almost = upkeep(&lake, &settings, days_from_now(7) - DAY / 2).await.unwrap();
    assert!(almost.tables.iter().all(|done| done.swept.files == 0));
    let dry = Settings { dry_run: true, ..Settings::default() };
    let would = upkeep(&lake, &dry, days_from_now(8)).await.unwrap();
    let hold = Settings { legal_hold: vec!["readings".into()], ..Settings::default() };
    let held = upkeep(&lake, &hold, days_from_now(8)).await.unwrap();
    assert_eq!(held.tables[0].swept.files, 0);
    let done = upkeep(&lake, &settings, days_from_now(8)).await.unwrap();
    assert_eq!([would.tables[0].swept, done.tables[0].swept].map(|swept| swept.files), [7, 7]);
    assert_eq!(held.plans.files, 5, "all but the lane's last plan");
    assert_eq!(objects(&place, "readings").await.len(), 1);
    assert_eq!(objects(&place, "_tidemark/landings").await.len(), 1);

    let fresh = place.open().await;
    assert_eq!(check::run(&fresh).await.unwrap().findings, []);
    assert_eq!(offsets(&fresh, "readings", "gw").await, (0..6).collect::<Vec<_>>());
    // What slept for a week has lost; nobody is disturbed.
    let late = lander.land(&orphans, NOW + 8 * DAY).await.unwrap();
    assert!(matches!(late, LandOutcome::Lost(_)), "{late:?}");
    let mut next = Lander::open(&fresh, "w2", [LANE], NOW).await.unwrap();
    let staged = stage(&fresh, "gw", LANE, 6, 7).await.unwrap();
    assert!(matches!(next.land(&staged, NOW).await.unwrap(), LandOutcome::Landed { .. }));
}

/// A worker dies right after a decision and comes back after a month of sweeps.
async fn inv5_what_was_decided_and_not_applied_is_never_swept(place: Place) {
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 0, 1).await;
    // Two data files, the plan and the ledger's file, the ledger's commit: then it dies.
    let fragile = Fragile::over(&place, 4, true);
    let dying = place.through(fragile.clone()).await.unwrap();
    let mut dead = Lander::open(&dying, "w2", [LANE], NOW).await.unwrap();
    let staged = stage(&dying, "gw", LANE, 1, 3).await.unwrap();
    dead.land(&staged, NOW).await.unwrap_err();
    assert_eq!(lake.sources().await.unwrap()[&key("gw")].landed, 3, "it was decided");
    assert_eq!(offsets(&lake, "readings", "gw").await, [0], "and not applied");
    let findings = check::run(&lake).await.unwrap().findings;
    let said = |found: &check::Finding| {
        found.problem.contains("was decided and is not in it")
            && found.remedy.contains("start ingest")
    };
    assert!(findings.iter().any(said), "{findings:?}");

    for days in [8, 31] {
        upkeep(&lake, &Settings::default(), days_from_now(days)).await.unwrap();
    }
    let back = place.open().await;
    Lander::open(&back, "w3", [LANE], NOW).await.unwrap();
    for table in ["readings", "device_status"] {
        assert_eq!(offsets(&back, table, "gw").await, [0, 1, 2], "{table}");
    }
    assert_eq!(check::run(&back).await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_by_the_retention_of_their_table_and_the_books_still_add_up() {
    let lake = Place::memory().create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..3 {
        land(&mut lander, &lake, "gw", from, from + 1).await;
    }
    let days = |days| [("readings".to_owned(), days)].into();
    let settings = Settings { retention_days: days(30), ..Settings::default() };
    let young = upkeep(&lake, &settings, NOW + 30 * DAY).await.unwrap();
    assert_eq!(young.tables[0].retired.files, 0, "the thirtieth day is not over");
    let hold = Settings { legal_hold: vec!["*".into()], ..settings.clone() };
    let held = upkeep(&lake, &hold, NOW + 31 * DAY).await.unwrap();
    assert_eq!(held.tables[0].retired.files, 0);
    let dry = Settings { dry_run: true, ..settings.clone() };
    let would = upkeep(&lake, &dry, NOW + 31 * DAY).await.unwrap();
    assert_eq!(offsets(&lake, "readings", "gw").await.len(), 3);
    let done = upkeep(&lake, &settings, NOW + 31 * DAY).await.unwrap();
    assert_eq!([would.tables[0].retired.rows, done.tables[0].retired.rows], [3, 3]);
    assert!(offsets(&lake, "readings", "gw").await.is_empty());
    assert_eq!(offsets(&lake, "device_status", "gw").await, [0, 1, 2], "it says nothing of itself");
    assert_eq!(check::run(&lake).await.unwrap().findings, []);

    // Late rows of a date that went land all the same, and go with the next run.
    land(&mut lander, &lake, "gw", 3, 5).await;
    assert_eq!(check::run(&lake).await.unwrap().findings, []);
    let again = upkeep(&lake, &settings, NOW + 31 * DAY).await.unwrap();
    assert_eq!(again.tables[0].retired.rows, 2);
    assert_eq!(check::run(&lake).await.unwrap().findings, []);
    assert_eq!(lake.books().await.unwrap()[0].landed, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_process_left_half_written_on_disk_goes_too() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await.unwrap();
    let date = folder.path().join("readings/event_date=2026-08-01");
    std::fs::create_dir_all(&date).unwrap();
    let half = date.join("merged-x.parquet#77");
    std::fs::write(&half, "half").unwrap();
    upkeep(&lake, &Settings::default(), days_from_now(0)).await.unwrap();
    assert!(half.exists(), "somebody may be writing it");
    upkeep(&lake, &Settings::default(), days_from_now(8)).await.unwrap();
    assert!(!half.exists());
}

/// One file that cannot be read keeps what needs it from being done, by name, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn inv13_a_damaged_file_is_named_and_keeps_nothing_else_from_being_done() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..4 {
        land(&mut lander, &lake, "gw", from, from + 1).await;
    }
    stage(&lake, "never", LANE, 0, 1).await.unwrap();
    let hurt = format!("readings/{}", lake.files("readings").await.unwrap()[1].path);
    let whole = place.store().get(&hurt).await.unwrap().unwrap();
    place.store().put(&hurt, whole.slice(..whole.len() / 2)).await.unwrap();

    let settings = Settings { quiet_us: 0, ..Settings::default() };
    let later = days_from_now(8);
    let incomplete = upkeep(&lake, &settings, later).await.unwrap_err();
    let failed: Vec<&str> = incomplete.failed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, ["completeness", "vitals_1m", "device_latest"]);
    for (view, error) in &incomplete.failed {
        assert!(error.to_string().contains(&hurt), "{view}: {error}");
    }
    let of = |name| incomplete.report.tables.iter().find(|done| done.table == name).unwrap();
    assert_eq!((of("readings").merged.files, of("device_status").merged.files), (3, 4));
    assert_eq!(of("readings").left.len(), 1);
    assert!(hurt.ends_with(&of("readings").left[0].path));
    assert_eq!(of("readings").swept.files, 1, "the file that never landed");

    place.store().put(&hurt, whole).await.unwrap();
    let mended = upkeep(&lake, &settings, later).await.unwrap();
    assert_eq!(mended.views.len(), settings.views.len() + 1, "{:?}", mended.views);
    assert_eq!(offsets(&lake, "readings", "gw").await, [0, 1, 2, 3]);
}
