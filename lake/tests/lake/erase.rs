//! A patient is taken out of a lake: rows, what they came as, views, files, and nobody else.

use lake::check;
use lake::erase::{Erase, Erasure, Subject};
use lake::maintain::{Pace, Settings, run};
use lake::{Lake, LakeError, Lander};

use super::kit::{LANE, NOW};
use super::place::{Place, on_memory_and_s3};
use super::script::{HOUR, Row, land, letter, reading, resource, rows, upkeep};

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
