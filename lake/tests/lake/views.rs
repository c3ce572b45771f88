//! Views: what they say, that they follow their tables row by row, and that made anew they say the same.

use std::collections::BTreeMap;

use lake::maintain::{Pace, Settings, run};
use lake::views::Viewed;
use lake::{Gap, Heard, Lake, Lander, SourceAdvance, check};

use super::kit::{Fragile, LANE, NOW, key};
use super::place::{Place, on_memory_and_s3};
use super::script::{
    DAY, HOUR, Row, SECOND, land, letter, reading, resource, rows, status, upkeep,
};

on_memory_and_s3! {
    inv14_views_follow_their_tables_and_made_anew_they_are_the_same
}

const VIEWS: [&str; 5] =
    ["completeness", "vitals_1m", "device_latest", "ehr_retracted", "ehr_current"];

async fn all(lake: &Lake) -> BTreeMap<&'static str, Vec<String>> {
    let mut views = BTreeMap::new();
    for view in VIEWS {
        views.insert(view, rows(lake, view, &[]).await);
    }
    views
}

/// Removes the views with all that they have.
async fn throw_away(place: &Place) {
    for view in VIEWS {
        for object in place.store().list(view).await.unwrap() {
            place.store().delete(&object.path).await.unwrap();
        }
    }
}

/// Devices that send on time and late, in and out of order; resources in versions.
fn script() -> Vec<Vec<Row>> {
    let at = |minute: i64, second: i64| NOW + minute * 60 * SECOND + second * SECOND;
    let mut script = Vec::new();
    for round in 0..6 {
        let mut rows = Vec::new();
        for device in ["a", "b", "c"] {
            for second in [1, 20, 40] {
                let value = f64::from(u8::try_from(round * 10 + second).unwrap());
                rows.push(reading(device, "heart_rate", at(round, second), value));
                rows.push(reading(device, "spo2", at(round, second), 90.0 + value / 10.0));
            }
        }
        rows.push(status("d", at(round, 5), if round % 2 == 0 { "online" } else { "offline" }));
        // Of the minute before, and of the day before.
        rows.push(reading("a", "heart_rate", at(round - 1, 59), 1.0).received(at(round, 7)));
        rows.push(reading("b", "spo2", at(round - 24 * 60, 3), 2.0).received(at(round, 8)));
        rows.push(reading("b", "spo2", at(round, 50), 9999.0).with("quality", "bad"));
        rows.push(reading("c", "spo2", at(round, 50), 0.97).with("unit", "1"));
        rows.push(letter(at(round, 9)));
        rows.push(resource("o-1", "final", at(round, 0)));
        rows.push(resource(&format!("o-{round}"), "preliminary", at(round, 1)));
        script.push(rows);
    }
    script[3].push(resource("o-1", "entered-in-error", at(100, 0)));
    // Comes after the retraction, is older.
    script[5].push(resource("o-1", "amended", at(50, 0)));
    script
}

async fn inv14_views_follow_their_tables_and_made_anew_they_are_the_same(place: Place) {
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let mut from = 0;
    for (round, rows) in script().iter().enumerate() {
        from = land(&lake, &mut lander, "gw", from, rows).await.unwrap();
        if round == 4 {
            // Everything is merged under the views.
            upkeep(&lake, NOW + 10 * DAY).await.unwrap();
        } else {
            upkeep(&lake, NOW + HOUR).await.unwrap();
        }
        let followed = all(&lake).await;
        if round % 2 == 1 {
            throw_away(&place).await;
            let report = upkeep(&lake, NOW + HOUR).await.unwrap();
            assert!(report.views.iter().all(|view| view.anew), "{:?}", report.views);
            let anew = all(&lake).await;
            for view in VIEWS {
                assert_eq!(followed[view], anew[view], "{view} after round {round}");
            }
        }
    }
    let report = upkeep(&lake, NOW + HOUR).await.unwrap();
    assert!(report.views.iter().all(Viewed::is_nothing), "nothing came: {:?}", report.views);
    let ledger = lake.tables().await.unwrap();
    let ledger = ledger.iter().find(|table| table.name == "landings").unwrap().version;
    for view in &report.views {
        assert!(view.ledger_version.unwrap() <= ledger, "{view:?}");
    }
    assert!(check::run(&lake).await.unwrap().findings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn vitals_are_of_minutes_by_event_time_and_late_rows_change_theirs_only() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let first: Vec<Row> = (0..120)
        .map(|second| {
            reading("a", "hr", NOW + second * SECOND, f64::from(u8::try_from(second).unwrap()))
        })
        .collect();
    let from = land(&lake, &mut lander, "gw", 0, &first).await.unwrap();
    upkeep(&lake, NOW + HOUR).await.unwrap();
    let columns = ["minute_ts", "n", "min_value", "mean_value", "median_value", "last_value"];
    let before = rows(&lake, "vitals_1m", &columns).await;
    assert_eq!(
        before,
        [
            "2026-08-01T00:00:00Z 60 0.0 29.5 29.5 59.0",
            "2026-08-01T00:01:00Z 60 60.0 89.5 89.5 119.0"
        ]
    );
    let files = lake.files("vitals_1m").await.unwrap().len();
    let late = reading("a", "hr", NOW + 59 * SECOND + 1, 500.0).received(NOW + 2 * HOUR);
    land(&lake, &mut lander, "gw", from, &[late]).await.unwrap();
    let report = upkeep(&lake, NOW + HOUR).await.unwrap();
    let after = rows(&lake, "vitals_1m", &columns).await;
    assert_eq!(after[0], "2026-08-01T00:00:00Z 61 0.0 37.21311475409836 30.0 500.0");
    assert_eq!(after[1], before[1]);
    let viewed = report.views.iter().find(|view| view.view == "vitals_1m").unwrap();
    assert!(
        viewed.rows_written == 2 && !viewed.anew,
        "the minute, and what stood beside it: {viewed:?}"
    );
    assert_eq!(lake.files("vitals_1m").await.unwrap().len(), files + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_never_hides_a_newer_value_and_says_that_the_device_is_there() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let newest = reading("a", "hr", NOW + HOUR, 80.0);
    let from =
        land(&lake, &mut lander, "gw", 0, &[newest, status("s", NOW, "online")]).await.unwrap();
    upkeep(&lake, NOW + HOUR).await.unwrap();
    let backlog = reading("a", "hr", NOW, 60.0).received(NOW + 3 * HOUR);
    let gone = status("s", NOW + 1, "offline").received(NOW + 2 * HOUR);
    let other = status("t", NOW, "online");
    land(&lake, &mut lander, "gw", from, &[backlog, gone, other]).await.unwrap();
    upkeep(&lake, NOW + HOUR).await.unwrap();
    let columns = ["device_id", "metric", "value", "event_ts", "last_seen_ts", "n", "status"];
    assert_eq!(
        rows(&lake, "device_latest", &columns).await,
        [
            "a hr 80.0 2026-08-01T01:00:00Z 2026-08-01T03:00:00Z 2 -",
            "s - - - 2026-08-01T02:00:00Z - offline",
            "t - - - 2026-08-01T00:00:00Z - online"
        ]
    );
    // Devices without a reading are told apart all the same.
    assert!(check::run(&lake).await.unwrap().findings.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_resource_the_latest_version_is_current_whatever_comes_last() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let at = |hour: i64| NOW + hour * HOUR;
    let mut from = 0;
    let columns = ["resource_id", "status", "last_updated"];
    for (row, current, retracted) in [
        (resource("x", "preliminary", at(1)), vec!["x preliminary 2026-08-01T01:00:00Z"], vec![]),
        (resource("x", "final", at(3)), vec!["x final 2026-08-01T03:00:00Z"], vec![]),
        (resource("x", "amended", at(2)), vec!["x final 2026-08-01T03:00:00Z"], vec![]),
        (
            resource("x", "entered-in-error", at(5)),
            vec![],
            vec!["x entered-in-error 2026-08-01T05:00:00Z"],
        ),
        (resource("x", "final", at(4)), vec![], vec!["x entered-in-error 2026-08-01T05:00:00Z"]),
        (resource("x", "corrected", at(6)), vec!["x corrected 2026-08-01T06:00:00Z"], vec![]),
        (
            resource("x", "final", at(7)).with("request_method", "DELETE"),
            vec![],
            vec!["x final 2026-08-01T07:00:00Z"],
        ),
    ] {
        from = land(&lake, &mut lander, "gw", from, &[row]).await.unwrap();
        upkeep(&lake, NOW + HOUR).await.unwrap();
        assert_eq!(rows(&lake, "ehr_current", &columns).await, current);
        assert_eq!(rows(&lake, "ehr_retracted", &columns).await, retracted);
    }
    // Without an id nothing can be a version of something.
    let nameless = || {
        let mut row = resource("x", "final", at(1));
        row.texts.remove("resource_id");
        row
    };
    land(&lake, &mut lander, "gw", from, &[nameless(), nameless()]).await.unwrap();
    upkeep(&lake, NOW + HOUR).await.unwrap();
    assert_eq!(rows(&lake, "ehr_current", &columns).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn completeness_counts_by_hour_and_an_hour_is_sealed_when_its_sources_passed_it() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let rows_of = [
        reading("a", "hr", NOW, 1.0),
        letter(NOW + SECOND),
        reading("a", "hr", NOW + 2 * SECOND, 2.0),
        reading("a", "hr", NOW + 3 * SECOND, 3.0).received(NOW + HOUR + SECOND),
    ];
    let from = land(&lake, &mut lander, "gw", 0, &rows_of).await.unwrap();
    upkeep(&lake, NOW + 3 * HOUR).await.unwrap();
    let of_site = ["hour_ts", "site", "sealed", "landed", "late"];
    let of_source = ["hour_ts", "sealed", "expected", "dead_lettered", "gaps", "passed_ts"];
    let sites = |rows: Vec<String>| -> Vec<String> {
        rows.into_iter().filter(|row| row.contains(" icu ")).collect()
    };
    let found = sites(rows(&lake, "completeness", &of_site).await);
    assert_eq!(found, ["2026-08-01T00:00:00Z icu false 3 1"]);
    let sources = rows(&lake, "completeness", &of_source).await;
    assert!(sources.contains(&"2026-08-01T00:00:00Z false 3 1 0 -".to_owned()), "{sources:?}");
    assert!(
        sources.contains(&"2026-08-01T01:00:00Z false 1 0 0 2026-08-01T01:00:01Z".to_owned()),
        "{sources:?}"
    );
    // It goes on in the next hour, and says at its end that there is nothing more.
    let on = [reading("a", "hr", NOW + HOUR + 11 * SECOND, 4.0)];
    land(&lake, &mut lander, "gw", from, &on).await.unwrap();
    upkeep(&lake, NOW + 3 * HOUR).await.unwrap();
    let found = sites(rows(&lake, "completeness", &of_site).await);
    assert_eq!(found, ["2026-08-01T00:00:00Z icu true 3 1", "2026-08-01T01:00:00Z icu false 1 0"]);
    let heard = Heard::new([("gw".to_owned(), NOW + 3 * HOUR + 10 * SECOND)].into());
    lake.keep_heard("w1", &heard).await.unwrap();
    upkeep(&lake, NOW + 4 * HOUR).await.unwrap();
    let found = sites(rows(&lake, "completeness", &of_site).await);
    assert_eq!(
        found,
        [
            "2026-08-01T00:00:00Z icu true 3 1",
            "2026-08-01T01:00:00Z icu true 1 0",
            "2026-08-01T02:00:00Z icu true 0 0"
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn gaps_are_counted_where_they_landed() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let staging = lake.stage(NOW);
    let advance = SourceAdvance {
        key: key("gw"),
        lane: LANE,
        from: 0,
        to: 7,
        chain: 1,
        appended: 7,
        received_us: None,
        gaps: vec![Gap { first: 0, count: 7, reason: "replaced".into() }],
        tables: BTreeMap::new(),
    };
    lander.land(&staging.finish(vec![], vec![advance]), NOW + HOUR).await.unwrap();
    upkeep(&lake, NOW + HOUR).await.unwrap();
    let columns = ["hour_ts", "site", "gaps", "passed_ts"];
    assert_eq!(rows(&lake, "completeness", &columns).await, ["2026-08-01T01:00:00Z - 7 -"]);
}

/// Rows go with their dates; a view forgets them too.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_what_is_taken_out_of_a_table_is_gone_from_its_views() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let rows_of = [
        reading("old", "hr", NOW - 10 * DAY, 1.0).received(NOW - 10 * DAY),
        reading("a", "hr", NOW - 10 * DAY, 1.0).received(NOW - 10 * DAY),
        reading("a", "hr", NOW, 2.0),
    ];
    land(&lake, &mut lander, "gw", 0, &rows_of).await.unwrap();
    upkeep(&lake, NOW).await.unwrap();
    assert_eq!(rows(&lake, "vitals_1m", &["device_id"]).await, ["a", "a", "old"]);
    let settings = Settings {
        sweep: false,
        retention_days: [("readings".to_owned(), 5)].into(),
        ..Settings::default()
    };
    // Dates go after the views were looked at: the next run sees it.
    for _ in 0..2 {
        run(&lake, &settings, NOW, &mut Pace::unhurt(), &|_| {}).await.unwrap();
    }
    assert_eq!(rows(&lake, "vitals_1m", &["device_id"]).await, ["a"]);
    assert_eq!(rows(&lake, "device_latest", &["device_id", "n"]).await, ["a 1"]);
    let followed = all(&lake).await;
    throw_away(&place).await;
    upkeep(&lake, NOW).await.unwrap();
    assert_eq!(followed, all(&lake).await);
}

/// Killed at any write a view is never wrong for what it says it has seen, and the next run brings it up to date.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_a_maintainer_killed_at_any_write_of_a_view_leaves_it_whole() {
    let (script, made) = (script(), Place::memory());
    let lake = made.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let from = land(&lake, &mut lander, "gw", 0, &script[0]).await.unwrap();
    upkeep(&lake, NOW + HOUR).await.unwrap();
    land(&lake, &mut lander, "gw", from, &script[1]).await.unwrap();
    let mut unhurt = None;
    for write in -1.. {
        let place = made.copied().await;
        let lake = place.open().await;
        let Some(unhurt) = &unhurt else {
            upkeep(&lake, NOW + HOUR).await.unwrap();
            unhurt = Some(all(&lake).await);
            continue;
        };
        let fragile = Fragile::over(&place, write, write % 2 == 0);
        let theirs = place.through(fragile.clone()).await.unwrap();
        assert_eq!(upkeep(&theirs, NOW + HOUR).await.is_err(), fragile.died());
        upkeep(&lake, NOW + HOUR).await.unwrap();
        assert_eq!(unhurt, &all(&lake).await, "killed at write {write}");
        if !fragile.died() {
            assert!(write > 10, "it never wrote");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv14_several_maintainers_at_once_bring_a_view_up_to_date_once() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    let mut from = 0;
    for rows in script() {
        from = land(&lake, &mut lander, "gw", from, &rows).await.unwrap();
        let (a, b, c) = (place.open().await, place.open().await, place.open().await);
        let at = NOW + HOUR;
        let (a, b, c) = tokio::join!(upkeep(&a, at), upkeep(&b, at), upkeep(&c, at));
        a.and(b).and(c).unwrap();
        upkeep(&lake, NOW + HOUR).await.unwrap();
    }
    let followed = all(&lake).await;
    throw_away(&place).await;
    upkeep(&lake, NOW + HOUR).await.unwrap();
    assert_eq!(followed, all(&lake).await);
}
