//! Tables that were made by another version: what they lack is added, what does not fit is refused (INV-10).

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use lake::Table;
use lake::date::date_of;
use lake::maintain::{Pace, Settings, run};
use lake::tables::{device_status, ehr_events, readings as readings_table};
use lake::{Lake, LakeError, LandOutcome, Lander, OpenMode, SourceAdvance, TableRows, check};
use serde_json::Value;

use super::kit::{Fragile, LANE, NOW, key, land, offsets, readings};
use super::place::{Place, on_memory_and_s3};

on_memory_and_s3! {
    inv10_a_table_of_an_earlier_version_gets_the_columns_that_it_lacks_by_one_commit
    inv10_columns_are_added_once_by_several_workers_while_another_one_lands
}

/// The tables that have `extra`.
const GROWING: [&str; 3] = [readings_table::NAME, ehr_events::NAME, device_status::NAME];

/// Lets `change` alter the metadata with which `table` was made.
async fn made_with(place: &Place, table: &str, change: impl Fn(&mut Value)) {
    let path = format!("{table}/_delta_log/{:020}.json", 0);
    let entry = place.store().get(&path).await.unwrap().unwrap();
    let lines = std::str::from_utf8(&entry).unwrap().lines().map(|line| {
        let mut action: Value = serde_json::from_str(line).unwrap();
        if let Some(metadata) = action.get_mut("metaData") {
            change(metadata);
        }
        action.to_string() + "\n"
    });
    place.store().put(&path, lines.collect::<String>().into()).await.unwrap();
}

/// Lets `change` alter the columns with which `table` was made.
async fn columns_of(place: &Place, table: &str, change: impl Fn(&mut Vec<Value>)) {
    let change = |metadata: &mut Value| {
        let mut schema: Value =
            serde_json::from_str(metadata["schemaString"].as_str().unwrap()).unwrap();
        change(schema["fields"].as_array_mut().unwrap());
        metadata["schemaString"] = schema.to_string().into();
    };
    made_with(place, table, change).await;
}

/// A lake as an earlier version made it: without `extra`.
async fn made_before(place: &Place) -> Lake {
    let lake = place.create().await;
    for table in GROWING {
        columns_of(place, table, |fields| fields.retain(|field| field["name"] != "extra")).await;
    }
    lake
}

/// The table as an earlier version knows it.
fn earlier(mut table: Table) -> Table {
    table.columns.retain(|column| column.name != "extra");
    table
}

/// Lands readings of `[from, to)` with an `extra` each, or as an earlier version does.
async fn land_readings(
    lander: &mut Lander,
    lake: &Lake,
    [from, to]: [u64; 2],
    extra: Option<&str>,
) -> Result<LandOutcome, LakeError> {
    let rows = readings("gw", from, to);
    let place = rows.schema().index_of("extra").unwrap();
    let (table, rows) = match extra {
        Some(extra) => {
            let mut columns = rows.columns().to_vec();
            columns[place] = Arc::new(StringArray::from(vec![extra; rows.num_rows()]));
            (readings_table::table(), RecordBatch::try_new(rows.schema(), columns).unwrap())
        }
        None => {
            let kept: Vec<usize> = (0..rows.num_columns()).filter(|n| *n != place).collect();
            (earlier(readings_table::table()), rows.project(&kept).unwrap())
        }
    };
    let staging = lake.stage(NOW);
    let file = staging.write(Arc::new(table), date_of(NOW), [rows]).await?;
    let mut counts = TableRows::default();
    (from..to).for_each(|offset| counts.add(NOW + offset.cast_signed() * 1_000_000));
    let advance = SourceAdvance {
        key: key("gw"),
        lane: LANE,
        from,
        to,
        chain: to * 1000,
        appended: to,
        received_us: None,
        gaps: vec![],
        tables: [("readings".into(), counts)].into(),
    };
    lander.land(&staging.finish(file.into_iter().collect(), vec![advance]), NOW).await
}

/// Offsets and `extra` of all readings, as a fresh reader sees them.
async fn extras(lake: &Lake) -> Vec<(i64, Option<String>)> {
    let rows = lake.scan("readings", &["source_offset", "extra"]).await.unwrap();
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    let mut found = Vec::new();
    for batch in &batches {
        let offsets = batch.column(0).as_primitive::<Int64Type>();
        let extras = batch.column(1).as_string::<i32>();
        for row in 0..batch.num_rows() {
            let extra = extras.is_valid(row).then(|| extras.value(row).to_owned());
            found.push((offsets.value(row), extra));
        }
    }
    found.sort();
    found
}

async fn versions(lake: &Lake) -> Vec<u64> {
    lake.tables().await.unwrap().iter().map(|table| table.version).collect()
}

async fn inv10_a_table_of_an_earlier_version_gets_the_columns_that_it_lacks_by_one_commit(
    place: Place,
) {
    let before = made_before(&place).await;
    // Nobody writes what the table would not show.
    let error = Lander::open(&before, "w1", [LANE], NOW).await.unwrap_err().to_string();
    assert!(error.contains("column `extra` is not there"), "{error}");
    assert_eq!(check::run(&before).await.unwrap().findings, [], "a lake that can grow is whole");

    let lake = place.create().await;
    assert_eq!(versions(&lake).await, [1, 1, 1, 0, 0, 0, 0, 0]);
    place.create().await;
    assert_eq!(versions(&lake).await, [1, 1, 1, 0, 0, 0, 0, 0], "once");
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 0, 2).await;
    // With a checkpoint the metadata is read from there.
    lake::maintain::run_once(&lake, 1, NOW).await.unwrap();
    place.create().await;
    let mut lander = Lander::open(&lake, "w2", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 2, 3).await;
    assert_eq!(offsets(&lake, "readings", "gw").await, [0, 1, 2]);
    assert_eq!(check::run(&lake).await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_two_versions_of_ingest_land_side_by_side_and_old_files_read_null() {
    let place = Place::memory();
    made_before(&place).await;
    let lake = place.create().await;
    let mut new = Lander::open(&lake, "new", [LANE], NOW).await.unwrap();
    let some = || Some(r#"{"probe":"left"}"#.to_owned());
    land_readings(&mut new, &lake, [0, 1], None).await.unwrap();
    land_readings(&mut new, &lake, [1, 2], Some(r#"{"probe":"left"}"#)).await.unwrap();
    land_readings(&mut new, &lake, [2, 3], None).await.unwrap();
    assert_eq!(extras(&lake).await, [(0, None), (1, some()), (2, None)]);
    assert_eq!(lake.tables().await.unwrap()[0].rows, 3);

    // Merged, all of them have the column.
    let (settings, later) = (Settings::default(), NOW + 4 * 24 * 3600 * 1_000_000);
    run(&lake, &settings, later, &mut Pace::unhurt(), &|_| {}).await.unwrap();
    assert_eq!(lake.files("readings").await.unwrap().len(), 1);
    assert_eq!(extras(&lake).await, [(0, None), (1, some()), (2, None)]);
}

/// Kills whoever adds the columns at each of its writes, before or after the write reached the store.
#[tokio::test(flavor = "multi_thread")]
async fn inv10_whoever_is_killed_while_columns_are_added_leaves_a_good_table() {
    let made = Place::memory();
    made_before(&made).await;
    for reaches in [false, true] {
        for writes in 0.. {
            let place = made.copied().await;
            let lake = place.open().await;
            let fragile = Fragile::over(&place, writes, reaches);
            let store = lake::Store::on(fragile.clone(), place.store().url().clone()).unwrap();
            let _unknown = Lake::open_on(store, OpenMode::Create).await;
            assert_eq!(check::run(&lake).await.unwrap().findings, []);
            let again = place.create().await;
            let mut lander = Lander::open(&again, "w2", [LANE], NOW).await.unwrap();
            land(&mut lander, &again, "gw", 0, 2).await;
            assert_eq!(versions(&lake).await[..3], [2, 1, 2], "each column once");
            if !fragile.died() {
                assert!(writes >= 3, "an entry for each table");
                break;
            }
        }
    }
}

async fn inv10_columns_are_added_once_by_several_workers_while_another_one_lands(place: Place) {
    let lake = place.create().await;
    // It knows the tables and has them open before they grow.
    let mut running = Lander::open(&lake, "running", [LANE], NOW).await.unwrap();
    for table in GROWING {
        columns_of(&place, table, |fields| fields.retain(|field| field["name"] != "extra")).await;
    }
    let landing = async {
        let mut landed = 0;
        while landed < 6 {
            if land_readings(&mut running, &lake, [landed, landed + 1], None).await.is_err() {
                // Its landing may be decided; while not all columns are there it has to wait.
                while running.recover(NOW).await.is_err() {
                    tokio::task::yield_now().await;
                }
            }
            let positions = running.positions();
            landed = positions.get(&key("gw")).map_or(0, |position| position.landed);
        }
    };
    tokio::join!(landing, place.create(), place.create(), place.create());
    assert_eq!(extras(&lake).await, (0..6).map(|offset| (offset, None)).collect::<Vec<_>>());
    assert_eq!(versions(&lake).await[..3], [7, 1, 1], "6 landings, and the column once");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_table_that_differs_is_refused_by_name_and_nothing_is_changed() {
    type Change = fn(&mut Vec<Value>);
    let kind: Change = |fields| {
        let value = fields.iter_mut().find(|field| field["name"] == "battery").unwrap();
        value["type"] = "string".into();
    };
    let gone: Change = |fields| fields.retain(|field| field["name"] != "status");
    for (change, said) in [
        (kind, "`device_status`: column `battery` is `string`, this version writes `double`"),
        (gone, "column `status` is not there, this version writes `string not null`"),
    ] {
        let place = Place::memory();
        let lake = made_before(&place).await;
        columns_of(&place, "device_status", change).await;
        let error = Lake::open_on(place.store(), OpenMode::Create).await.unwrap_err();
        assert!(matches!(error, LakeError::Schema { .. }), "{error:?}");
        let error = error.to_string();
        assert!(error.contains(said) && error.contains("undo the change"), "{error}");
        assert_eq!(versions(&lake).await, [0; 8], "nothing was added anywhere");
        let findings = check::run(&lake).await.unwrap().findings;
        assert!(findings.iter().any(|found| found.problem.contains(said)), "{findings:?}");
    }
    let place = Place::memory();
    place.create().await;
    made_with(&place, "readings", |metadata| {
        metadata["partitionColumns"] = serde_json::json!(["event_date", "site"]);
    })
    .await;
    let error = Lake::open_on(place.store(), OpenMode::Create).await.unwrap_err().to_string();
    assert!(error.contains("partition columns is `event_date, site`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_table_whose_protocol_is_not_ours_is_not_grown() {
    let place = Place::memory();
    made_before(&place).await;
    let path = format!("readings/_delta_log/{:020}.json", 0);
    let entry = place.store().get(&path).await.unwrap().unwrap();
    let newer = String::from_utf8(entry.to_vec()).unwrap();
    let newer = newer.replace(r#""minWriterVersion":2"#, r#""minWriterVersion":5"#);
    place.store().put(&path, newer.into()).await.unwrap();
    let error = Lake::open_on(place.store(), OpenMode::Create).await.unwrap_err();
    assert!(matches!(error, LakeError::Unsupported { .. }), "{error:?}");
}
