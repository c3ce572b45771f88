//! A patient is taken out of a lake: rows, what they came as, views, files, and nobody else.

use lake::check;
use lake::erase::{Erase, Erasure, Subject};
use lake::maintain::{Pace, Settings, run};
use lake::{Lake, LakeError, Lander};

use super::kit::{Fragile, LANE, NOW};
use super::place::{Place, on_memory_and_s3};
use super::script::{
    DAY, HOUR, Row, alert, as_it_came, land, letter, reading, resource, rows, upkeep,
};

on_memory_and_s3! {
    inv14_a_patient_is_gone_from_rows_messages_views_and_files_and_nobody_else_is
}

/// Long enough that it can't be there by chance.
const PATIENT: &str = "pat-00417";

async fn erase(lake: &Lake, dry_run: bool, legal_hold: &[String]) -> Result<Erasure, LakeError> {
    let subject = Subject::new(PATIENT).unwrap();
    let erase = Erase { subject: &subject, reference: "request 7", dry_run, legal_hold };
    erase.run(lake, NOW + 4 * HOUR, &|_| {}).await
}

/// As [`erase`], when nothing that is there now may be of a landing under way.
async fn erase_later(lake: &Lake) -> Result<Erasure, LakeError> {
    let subject = Subject::new(PATIENT).unwrap();
    let erase =
        Erase { subject: &subject, reference: "request 7", dry_run: false, legal_hold: &[] };
    let now_us = NOW.max(chrono::Utc::now().timestamp_micros()) + DAY;
    erase.run(lake, now_us, &|_| {}).await
}

fn script() -> Vec<Row> {
    let at = |second: i64| NOW + second * 1_000_000;
    let json = format!(r#"{{"subject":{{"reference":"Patient/{PATIENT}"}}}}"#);
    vec![
        reading("a", "hr", at(0), 1.0).with("patient_id", PATIENT),
        reading("a", "hr", at(1), 2.0).with("patient_id", "pat-00418"),
        reading("b", "hr", at(2), 3.0),
        reading("b", "hr", at(3), 4.0).with("extra", &format!(r#"{{"patient":"{PATIENT}"}}"#)),
        resource("o-1", "final", at(4)).with("patient_id", PATIENT).with("resource", &json),
        resource("o-2", "final", at(5)),
        resource(PATIENT, "active", at(6)).with("resource_type", "Patient"),
        letter(at(7)).with("payload", &json),
        letter(at(8)).with("payload", "what nobody understands"),
        // Stands there, and says nothing of a patient.
        reading("b", "hr", at(9), 5.0).with("bed", PATIENT),
    ]
}

/// Objects below the lake that have the id somewhere: nothing is compressed so well that text of a page could hide it, so pages are
/// read, not bytes.
async fn said(lake: &Lake) -> Vec<String> {
    let mut said = Vec::new();
    for table in ["readings", "ehr_events", "dead_letters", "ehr_current", "ehr_retracted"] {
        let found = rows(lake, table, &[]).await;
        said.extend(found.into_iter().filter(|row| row.contains(PATIENT)));
    }
    said
}

async fn inv14_a_patient_is_gone_from_rows_messages_views_and_files_and_nobody_else_is(
    place: Place,
) {
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let mut from = 0;
    for _ in 0..3 {
        from = land(&lake, &mut lander, "gw", from, &script()).await.unwrap();
        upkeep(&lake, NOW + HOUR).await.unwrap();
    }
    // Merged: what was merged is still there, superseded.
    upkeep(&lake, NOW + 4 * 24 * HOUR).await.unwrap();
    let before = rows(&lake, "readings", &["device_id", "value"]).await;
    let would = erase(&lake, true, &[]).await.unwrap();
    assert_eq!((would.tables["readings"].rows, would.complete), (6, false));
    assert_eq!(rows(&lake, "readings", &["device_id", "value"]).await, before, "a dry run");

    let held = erase(&lake, false, &["ehr_events".to_owned()]).await.unwrap_err().to_string();
    assert!(held.contains("ehr_events") && held.contains("legal hold"), "{held}");
    assert_eq!(rows(&lake, "readings", &["device_id", "value"]).await, before, "nothing at all");

    let done = erase(&lake, false, &[]).await.unwrap();
    assert!(done.complete, "{done:?}");
    let gone = |table: &str| (done.tables[table].rows, done.tables[table].left);
    assert_eq!(
        [gone("readings"), gone("ehr_events"), gone("dead_letters")],
        [(6, 0), (6, 0), (3, 0)]
    );
    assert_eq!(done.tables["readings"].elsewhere, 3, "a bed of that name is told of, and stays");
    let left = rows(&lake, "readings", &["device_id", "value"]).await;
    assert_eq!(
        left,
        ["a 2.0", "a 2.0", "a 2.0", "b 3.0", "b 3.0", "b 3.0", "b 5.0", "b 5.0", "b 5.0"]
    );
    assert_eq!(said(&lake).await.len(), 3, "the beds");
    assert_eq!(rows(&lake, "vitals_1m", &["device_id", "n"]).await, ["a 3", "b 6"]);
    assert_eq!(rows(&lake, "ehr_current", &["resource_id"]).await, ["o-2"]);
    assert_eq!(rows(&lake, "dead_letters", &["row_no"]).await.len(), 3);
    // No object of an older version is there any more, and the books still add up.
    for table in ["readings", "ehr_events", "dead_letters", "ehr_current", "vitals_1m"] {
        let objects = place.store().list(table).await.unwrap();
        let data = objects.iter().filter(|object| object.path.ends_with(".parquet"));
        let data = data.filter(|object| !object.path.contains("_delta_log")).count();
        assert_eq!(data, lake.files(table).await.unwrap().len(), "{table}");
    }
    assert_eq!(check::run(&lake).await.unwrap().findings, []);
    let record = place.store().list("_tidemark/erasures").await.unwrap();
    let record = place.store().get(&record[0].path).await.unwrap().unwrap();
    let record = String::from_utf8(record.to_vec()).unwrap();
    assert!(record.contains("request 7") && !record.contains(PATIENT), "{record}");

    let again = erase(&lake, false, &[]).await.unwrap();
    assert!(again.complete && again.tables.values().all(|table| table.rows == 0), "{again:?}");
    // Life goes on.
    land(&lake, &mut lander, "gw", from, &[reading("c", "hr", NOW, 1.0)]).await.unwrap();
    run(&lake, &Settings::default(), NOW + 5 * HOUR, &mut Pace::unhurt(), &|_| {}).await.unwrap();
    assert!(rows(&lake, "vitals_1m", &["device_id", "n"]).await.contains(&"c 1".to_owned()));
}

/// The message itself does not say whom it is about: what it became does.
fn told_apart_by_rows() -> Vec<Row> {
    let at = |second: i64| NOW + second * 1_000_000;
    vec![
        reading("a", "hr", at(0), 1.0).with("patient_id", PATIENT),
        as_it_came(at(0), "a frame that names nobody"),
        alert("a", at(0), "1 bpm"),
        reading("b", "hr", at(1), 2.0).with("patient_id", "pat-00418"),
        as_it_came(at(1), "another one"),
        alert("b", at(1), "2 bpm"),
        letter(at(2)).with("payload", &format!("patient={PATIENT}")),
        letter(at(3)).with("payload", "what nobody understands"),
    ]
}

/// All that a lake has, but for what is new with each run.
async fn contents(lake: &Lake) -> Vec<Vec<String>> {
    let columns = ["source_offset", "row_no"];
    let mut all = Vec::new();
    for table in ["readings", "messages", "dead_letters"] {
        all.push(rows(lake, table, &columns).await);
    }
    all.push(rows(lake, "alerts", &["device_id", "measured"]).await);
    all.push(rows(lake, "vitals_1m", &["device_id", "n", "mean_value"]).await);
    all
}

async fn objects(place: &Place, table: &str) -> usize {
    let objects = place.store().list(table).await.unwrap();
    let data = objects.iter().filter(|object| object.path.ends_with(".parquet"));
    data.filter(|object| !object.path.contains("_delta_log")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_goes_by_what_it_became_is_on_hold_as_well() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    land(&lake, &mut lander, "gw", 0, &told_apart_by_rows()).await.unwrap();
    let held = erase(&lake, false, &["messages".to_owned()]).await.unwrap_err().to_string();
    assert!(held.contains("messages") && held.contains("legal hold"), "{held}");
    assert_eq!(rows(&lake, "readings", &["row_no"]).await.len(), 2, "nothing at all");
    assert_eq!(rows(&lake, "messages", &["row_no"]).await.len(), 2);
}

/// The process dies at its n-th write or deletion, for every n, before it or after it in turn: the next run leaves what one run does,
/// and there is one record that says so.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_wherever_an_erasure_dies_the_next_one_leaves_what_one_leaves() {
    let mut expected = None;
    // The first is not killed.
    for n in std::iter::once(i64::MAX).chain(0..) {
        let place = Place::memory();
        let lake = place.create().await;
        let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
        let from = land(&lake, &mut lander, "gw", 0, &told_apart_by_rows()).await.unwrap();
        land(&lake, &mut lander, "gw", from, &told_apart_by_rows()).await.unwrap();
        // The view of this is enough.
        let settings = Settings { views: vec!["vitals_1m".to_owned()], ..Settings::default() };
        run(&lake, &settings, NOW + HOUR, &mut Pace::unhurt(), &|_| {}).await.unwrap();
        let fragile = Fragile::over(&place, n, n % 2 == 0);
        let dying = place.through(fragile.clone()).await.unwrap();
        let first = erase_later(&dying).await;
        assert_eq!(first.is_err(), fragile.died(), "{first:?}");
        let done = if fragile.died() { erase_later(&lake).await.unwrap() } else { first.unwrap() };
        assert!(done.complete, "write {n}: {done:?}");
        let contents = contents(&lake).await;
        assert_eq!(&contents, expected.get_or_insert_with(|| contents.clone()), "write {n}");
        for table in ["readings", "messages", "dead_letters", "alerts", "vitals_1m"] {
            let files = lake.files(table).await.unwrap().len();
            assert_eq!(objects(&place, table).await, files, "write {n}, {table}");
        }
        assert_eq!(check::run(&lake).await.unwrap().findings, [], "write {n}");
        records(&place, n).await;
        if n < i64::MAX && !fragile.died() {
            assert!(n > 10, "it writes and deletes more than that");
            break;
        }
    }
    let expected = expected.unwrap();
    assert_eq!(expected[..3].iter().map(Vec::len).collect::<Vec<_>>(), [2, 2, 2]);
    assert_eq!(expected[3], ["b 2 bpm", "b 2 bpm"], "a step of an alert goes with what raised it");
}

/// One record says that it is done; who was killed has left one that says that it was not, and how far it had come.
async fn records(place: &Place, n: i64) {
    let mut complete = 0;
    for object in place.store().list("_tidemark/erasures").await.unwrap() {
        let record = place.store().get(&object.path).await.unwrap().unwrap();
        assert!(!String::from_utf8_lossy(&record).contains(PATIENT));
        let record: Erasure = serde_json::from_slice(&record).unwrap();
        complete += usize::from(record.complete);
        assert_eq!(record.reference, "request 7");
    }
    // The last write is the record's: who dies right behind it has done everything, and the next run says so, too.
    assert!(
        complete == 1 || (complete == 2 && n > 10),
        "write {n}: {complete} say that they are done"
    );
}
