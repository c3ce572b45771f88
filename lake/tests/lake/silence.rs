//! The view `device_latest` on who is silent: it says the same however it was made, and does so in lakes of an earlier version.

use lake::maintain::{Pace, Settings, run};
use lake::tables::device_latest;
use lake::{Lake, Lander};
use serde_json::Value;

use super::kit::{LANE, NOW};
use super::place::Place;
use super::script::{HOUR, Row, SECOND, land, reading, rows, status, upkeep};

const MINUTE: i64 = 60 * SECOND;
const SILENCE: [&str; 4] = ["device_id", "heard_through", "interval_ms", "silent_since_ts"];

/// What a device says each minute, from one to the other.
fn each_minute(device: &str, from: i64, to: i64) -> Vec<Row> {
    (from..to).map(|minute| reading(device, "hr", NOW + minute * MINUTE, 1.0)).collect()
}

async fn thrown_away(place: &Place, view: &str) {
    for object in place.store().list(view).await.unwrap() {
        place.store().delete(&object.path).await.unwrap();
    }
}

/// The view as it followed its tables; made anew it is the same.
async fn made_twice(place: &Place, lake: &Lake) -> Vec<String> {
    upkeep(lake, NOW + HOUR).await.unwrap();
    let followed = rows(lake, device_latest::NAME, &[]).await;
    let silence = rows(lake, device_latest::NAME, &SILENCE).await;
    thrown_away(place, device_latest::NAME).await;
    upkeep(lake, NOW + HOUR).await.unwrap();
    assert_eq!(followed, rows(lake, device_latest::NAME, &[]).await);
    silence
}

#[tokio::test(flavor = "multi_thread")]
async fn inv14_who_is_silent_goes_by_the_time_of_its_source_however_the_view_was_made() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let begun: Vec<Row> = [each_minute("a", 0, 3), each_minute("b", 0, 3)].concat();
    let on = land(&lake, &mut lander, "gw", 0, &begun).await.unwrap();
    let others = [each_minute("c", 0, 2), vec![status("d", NOW, "online")]].concat();
    let far = land(&lake, &mut lander, "other", 0, &others).await.unwrap();
    let none = made_twice(&place, &lake).await;
    assert_eq!(none, ["a gw 60000 -", "b gw 60000 -", "c other 60000 -", "d other - -"]);
    // `a` goes on, `b` does not; their source is ahead of the other, which makes nobody there silent.
    let on = land(&lake, &mut lander, "gw", on, &each_minute("a", 3, 9)).await.unwrap();
    let silent = made_twice(&place, &lake).await;
    let b = "b gw 60000 2026-08-01T00:02:00Z";
    assert_eq!(silent, ["a gw 60000 -", b, "c other 60000 -", "d other - -"]);
    // What `b` kept comes late, through the other source, and says that it was there: that source is ahead now, and `c` is silent.
    let kept = each_minute("b", 3, 9).into_iter().map(|row| row.received(NOW + 9 * MINUTE));
    land(&lake, &mut lander, "other", far, &kept.collect::<Vec<_>>()).await.unwrap();
    let back = made_twice(&place, &lake).await;
    let c = "c other 60000 2026-08-01T00:01:00Z";
    assert_eq!(back, ["a gw 60000 -", "b other 60000 -", c, "d other - -"]);
    // Old rows say nothing of who is there.
    let late = each_minute("a", 0, 1);
    land(&lake, &mut lander, "gw", on, &late).await.unwrap();
    assert_eq!(made_twice(&place, &lake).await[1..], back[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv14_a_view_is_written_again_only_where_devices_spoke_or_fell_silent() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let begun = [each_minute("a", 0, 3), each_minute("b", 0, 3), each_minute("c", 0, 3)].concat();
    let on = land(&lake, &mut lander, "gw", 0, &begun).await.unwrap();
    upkeep(&lake, NOW + HOUR).await.unwrap();
    let on = land(&lake, &mut lander, "gw", on, &each_minute("a", 3, 4)).await.unwrap();
    upkeep(&lake, NOW + HOUR).await.unwrap();
    land(&lake, &mut lander, "gw", on, &each_minute("a", 4, 5)).await.unwrap();
    let before = lake.files(device_latest::NAME).await.unwrap();
    let report = upkeep(&lake, NOW + HOUR).await.unwrap();
    let viewed = report.views.iter().find(|view| view.view == device_latest::NAME).unwrap();
    assert_eq!((viewed.anew, viewed.rows_written), (false, 1), "the file of `a` alone");
    let after = lake.files(device_latest::NAME).await.unwrap();
    let stayed = after.iter().filter(|file| before.contains(file)).count();
    assert_eq!((before.len(), after.len(), stayed), (2, 2, 1));
}

/// The metadata with which a view was made, without a column; its rows are of the format before.
async fn made_before(place: &Place, columns: &[&str]) {
    let path = format!("{}/_delta_log/{:020}.json", device_latest::NAME, 0);
    let entry = place.store().get(&path).await.unwrap().unwrap();
    let lines = std::str::from_utf8(&entry).unwrap().lines().map(|line| {
        let mut action: Value = serde_json::from_str(line).unwrap();
        if let Some(metadata) = action.get_mut("metaData") {
            let schema = metadata["schemaString"].as_str().unwrap();
            let mut schema: Value = serde_json::from_str(schema).unwrap();
            let fields = schema["fields"].as_array_mut().unwrap();
            fields.retain(|field| !columns.contains(&field["name"].as_str().unwrap()));
            metadata["schemaString"] = schema.to_string().into();
        }
        action.to_string() + "\n"
    });
    place.store().put(&path, lines.collect::<String>().into()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_view_of_an_earlier_version_gets_its_columns_and_is_made_anew() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let begun = [each_minute("a", 0, 9), each_minute("b", 0, 3)].concat();
    land(&lake, &mut lander, "gw", 0, &begun).await.unwrap();
    // Of the view that is there only the beginning is left, and that as an earlier version wrote it.
    upkeep(&lake, NOW + HOUR).await.unwrap();
    let wanted = rows(&lake, device_latest::NAME, &[]).await;
    let first = format!("{}/_delta_log/{:020}.json", device_latest::NAME, 0);
    for object in place.store().list(device_latest::NAME).await.unwrap() {
        if object.path != first {
            place.store().delete(&object.path).await.unwrap();
        }
    }
    made_before(&place, &["silent_since_ts", "heard_through", "interval_ms", "first_event_ts"])
        .await;
    // A start of ingest knows nothing of views; two that maintain do, at once.
    let (one, two) = (place.open().await, place.open().await);
    let settings = Settings { sweep: false, ..Settings::default() };
    let (mut a, mut b) = (Pace::unhurt(), Pace::unhurt());
    let (a, b) = tokio::join!(
        run(&one, &settings, NOW + HOUR, &mut a, &|_| {}),
        run(&two, &settings, NOW + HOUR, &mut b, &|_| {}),
    );
    a.and(b).unwrap();
    assert_eq!(rows(&lake, device_latest::NAME, &[]).await, wanted);
    assert!(wanted.iter().any(|row| row.contains("2026-08-01T00:02:00Z")), "{wanted:?}");
}
