//! Old dates move into a table of their own: each row is in one of the two, whoever is killed, and everybody who asks for rows finds it.

use std::collections::BTreeSet;

use lake::check;
use lake::erase::{Erase, Subject};
use lake::maintain::{Done, Incomplete, Pace, Report, Settings, run};
use lake::views::Viewed;
use lake::{Lake, Lander, Store};

use super::kit::{Fragile, LANE, NOW, land, offsets};
use super::place::Place;
use super::script::{self, DAY, HOUR, reading, resource, rows, status};

const ARCHIVE: &str = "readings_archive";

fn settings() -> Settings {
    let archive_days = [("readings".to_owned(), 30)].into();
    Settings { archive_days, sweep: false, ..Settings::default() }
}

/// Nothing but moves.
fn moves() -> Settings {
    Settings { views: vec![], quiet_us: i64::MAX, ..settings() }
}

async fn upkeep(lake: &Lake, settings: &Settings, now_us: i64) -> Result<Report, Incomplete> {
    run(lake, settings, now_us, &mut Pace::unhurt(), &|_| {}).await
}

async fn filled(place: &Place) -> (Lake, Lander) {
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..3 {
        land(&mut lander, &lake, "gw", from, from + 1).await;
    }
    (lake, lander)
}

async fn findings(lake: &Lake) -> Vec<String> {
    let checked = check::run(lake).await.unwrap();
    checked.findings.iter().map(|found| format!("{}: {}", found.table, found.problem)).collect()
}

/// Rows that a table has itself.
async fn own(lake: &Lake, table: &str) -> u64 {
    let files = lake.files(table).await.unwrap();
    files.iter().filter(|file| *file.table == *table).map(|file| file.rows).sum()
}

async fn plans(store: &Store) -> BTreeSet<String> {
    let objects = store.list("_tidemark/archives").await.unwrap();
    objects.into_iter().map(|object| object.path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_move_after_their_days_and_the_books_still_add_up() {
    let place = Place::memory();
    let (lake, mut lander) = filled(&place).await;
    let young = upkeep(&lake, &settings(), NOW + 30 * DAY).await.unwrap();
    assert_eq!(young.tables[0].archived.files, 0, "the thirtieth day is not over");
    assert!(lake.archives().await.unwrap().is_empty(), "nothing moved: there is none");
    let before = rows(&lake, "readings", &[]).await;
    let held = Settings { legal_hold: vec!["readings".into()], ..settings() };
    let held = upkeep(&lake, &held, NOW + 31 * DAY).await.unwrap();
    assert_eq!(held.tables[0].archived.rows, 0);
    let dry = Settings { dry_run: true, ..settings() };
    let would = upkeep(&lake, &dry, NOW + 31 * DAY).await.unwrap();
    assert_eq!(own(&lake, "readings").await, 3);
    let done = upkeep(&lake, &settings(), NOW + 31 * DAY).await.unwrap();
    assert_eq!([would.tables[0].archived.rows, done.tables[0].archived.rows], [3, 3]);
    assert_eq!(own(&lake, "readings").await, 0);
    assert_eq!(rows(&lake, ARCHIVE, &[]).await, before, "every column of every row");
    assert_eq!(
        rows(&lake, "readings", &[]).await,
        before,
        "a reader of the table has them all the same"
    );
    assert_eq!(lake.archives().await.unwrap()[0].rows, 3);
    assert_eq!(findings(&lake).await, [] as [&str; 0]);

    // Late rows of a date that moved land where rows land, and follow; the archive is merged as every table is.
    land(&mut lander, &lake, "gw", 3, 5).await;
    assert_eq!(findings(&lake).await, [] as [&str; 0]);
    upkeep(&lake, &settings(), NOW + 31 * DAY).await.unwrap();
    let again = upkeep(&lake, &settings(), NOW + 31 * DAY).await.unwrap();
    assert!(again.tables.iter().all(Done::is_nothing), "{again:?}");
    assert_eq!(offsets(&lake, ARCHIVE, "gw").await, [0, 1, 2, 3, 4]);
    assert_eq!(lake.files(ARCHIVE).await.unwrap().len(), 1);
    assert_eq!(findings(&lake).await, [] as [&str; 0]);
    assert_eq!(lake.books().await.unwrap()[0].landed, 5);

    // They go from there when they would have gone from their table.
    let retention_days = [("readings".to_owned(), 300)].into();
    let settings = Settings { retention_days, ..settings() };
    let gone = upkeep(&lake, &settings, NOW + 301 * DAY).await.unwrap();
    let of_archive = gone.tables.iter().find(|done| done.table == ARCHIVE).unwrap();
    assert_eq!(of_archive.retired.rows, 5);
    assert!(offsets(&lake, ARCHIVE, "gw").await.is_empty());
    assert!(!rows(&lake, "vitals_1m", &[]).await.is_empty());
    upkeep(&lake, &settings, NOW + 301 * DAY).await.unwrap();
    assert!(rows(&lake, "vitals_1m", &[]).await.is_empty(), "views follow");
    assert_eq!(findings(&lake).await, [] as [&str; 0]);
}

/// Killed before or after every write there is; then the setting is gone, and somebody else looks after the lake.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_a_row_is_in_its_table_or_in_the_archive_whoever_is_killed() {
    let place = Place::memory();
    let (lake, _) = filled(&place).await;
    let expected = rows(&lake, "readings", &[]).await;
    for reaches in [false, true] {
        for write in 0.. {
            let place = place.copied().await;
            let fragile = Fragile::over(&place, write, reaches);
            let dying = place.through(fragile.clone()).await.unwrap();
            drop(upkeep(&dying, &moves(), NOW + 31 * DAY).await);
            if !fragile.died() {
                assert!(write > 4, "{write} writes");
                break;
            }
            let next = place.open().await;
            assert_eq!(rows(&next, "readings", &[]).await, expected, "{write} {reaches}: as it is");
            let forgotten = Settings { archive_days: [].into(), ..moves() };
            upkeep(&next, &forgotten, NOW + 31 * DAY).await.unwrap();
            assert_eq!(rows(&next, "readings", &[]).await, expected, "{write} {reaches}");
            assert_eq!(findings(&next).await, [] as [&str; 0], "{write} {reaches}");
            upkeep(&next, &moves(), NOW + 31 * DAY).await.unwrap();
            assert_eq!(rows(&next, ARCHIVE, &[]).await, expected, "{write} {reaches}");
            assert_eq!(findings(&next).await, [] as [&str; 0], "{write} {reaches}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_move_needed_is_swept_but_not_what_it_still_needs() {
    let place = Place::memory();
    let (lake, mut lander) = filled(&place).await;
    upkeep(&lake, &settings(), NOW + 31 * DAY).await.unwrap();
    land(&mut lander, &lake, "gw", 3, 4).await;
    upkeep(&lake, &settings(), NOW + 31 * DAY).await.unwrap();
    let store = place.store();
    assert_eq!(plans(&store).await.len(), 2);
    // Decided, and nobody got to give it to the archive, which is of the version before.
    let log = |version| format!("{ARCHIVE}/_delta_log/{version:020}.json");
    let versions = store.list(&format!("{ARCHIVE}/_delta_log")).await.unwrap().len();
    for version in 2..versions {
        store.delete(&log(version)).await.unwrap();
    }
    let found = findings(&place.open().await).await;
    assert_eq!(found, [format!("{ARCHIVE}: rows that left its table for it are not in it")]);
    let later = NOW.max(chrono::Utc::now().timestamp_micros()) + 60 * DAY;
    let sweep = Settings { sweep: true, ..Settings::default() };
    upkeep(&place.open().await, &sweep, later).await.unwrap();
    assert_eq!(plans(&store).await.len(), 1);
    let lake = place.open().await;
    assert_eq!(offsets(&lake, ARCHIVE, "gw").await, [0, 1, 2, 3]);
    assert_eq!(findings(&lake).await, [] as [&str; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv14_a_patient_is_taken_out_of_an_archive_too() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let patient = "pat-00417";
    let said = [
        reading("a", "hr", NOW, 1.0).with("patient_id", patient),
        reading("b", "hr", NOW, 2.0).with("patient_id", "pat-00418"),
    ];
    script::land(&lake, &mut lander, "gw", 0, &said).await.unwrap();
    upkeep(&lake, &settings(), NOW + 31 * DAY).await.unwrap();
    let subject = Subject::new(patient).unwrap();
    let hold = ["readings".to_owned()];
    let erase = Erase { subject: &subject, reference: "7", dry_run: false, legal_hold: &hold };
    let now_us = NOW.max(chrono::Utc::now().timestamp_micros()) + DAY;
    let held = erase.run(&lake, now_us, &|_| {}).await.unwrap_err().to_string();
    assert!(held.contains(ARCHIVE) && held.contains("legal hold"), "{held}");
    let erase = Erase { legal_hold: &[], ..erase };
    let erased = erase.run(&lake, now_us + 4 * HOUR, &|_| {}).await.unwrap();
    assert!(erased.complete, "{erased:?}");
    assert_eq!(erased.tables[ARCHIVE].rows, 1);
    let left = rows(&lake, ARCHIVE, &["patient_id"]).await;
    assert_eq!(left, ["pat-00418"]);
    assert_eq!(findings(&lake).await, [] as [&str; 0]);
}

/// Each view before anything moved, after it did, when late rows touch a date that moved, and made anew: the same as if nothing had.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_a_view_says_the_same_of_rows_that_moved() {
    let minute = |minute: i64| NOW + minute * 60_000_000;
    let first = [
        reading("a", "hr", minute(0), 1.0),
        reading("a", "hr", minute(0) + 1, 3.0),
        reading("b", "hr", minute(1), 2.0),
        resource("o-1", "final", minute(2)),
        status("c", minute(3), "online"),
    ];
    let late = [reading("a", "hr", minute(0) + 2, 5.0), resource("o-1", "amended", minute(4))];
    let views = ["vitals_1m", "device_latest", "completeness", "ehr_current", "ehr_retracted"];
    let all_days =
        ["readings", "ehr_events", "device_status"].map(|table| (table.to_owned(), 30)).into();
    let moving = Settings { archive_days: all_days, ..settings() };
    let mut said = Vec::new();
    for moving in [Settings { archive_days: [].into(), ..settings() }, moving] {
        let place = Place::memory();
        let lake = place.create().await;
        let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
        let mut all = Vec::new();
        let mut look = async |lake: &Lake| {
            for view in views {
                // Which position of the ledger it is true for is the same too; when it was made is not.
                all.push(rows(lake, view, &[]).await);
            }
        };
        script::land(&lake, &mut lander, "gw", 0, &first).await.unwrap();
        upkeep(&lake, &moving, NOW + 31 * DAY).await.unwrap();
        let second = upkeep(&lake, &moving, NOW + 31 * DAY).await.unwrap();
        assert!(second.views.iter().all(Viewed::is_nothing), "{:?}", second.views);
        look(&lake).await;
        script::land(&lake, &mut lander, "gw", first.len() as u64, &late).await.unwrap();
        let third = upkeep(&lake, &moving, NOW + 31 * DAY).await.unwrap();
        assert!(third.views.iter().all(|view| !view.anew), "{:?}", third.views);
        look(&lake).await;
        assert_eq!(lake.archives().await.unwrap().len(), moving.archive_days.len());
        for view in views {
            for object in place.store().list(view).await.unwrap() {
                place.store().delete(&object.path).await.unwrap();
            }
        }
        let anew = upkeep(&lake, &moving, NOW + 31 * DAY).await.unwrap();
        assert!(anew.views.iter().any(|view| view.rows_read > 0), "{:?}", anew.views);
        look(&lake).await;
        said.push(all);
    }
    assert_eq!(said[0], said[1]);
}
