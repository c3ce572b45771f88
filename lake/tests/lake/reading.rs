//! What readers get: deltalake reads what we wrote, columns in the asked order, statistics without patients.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Date32Type, Int64Type};
use deltalake_core::DeltaTableBuilder;
use futures::TryStreamExt;
use lake::Catalog;
use lake::date::date_of;
use lake::tables::{landings, readings as readings_table};
use lake::{Gap, Lake, Lander, OpenMode, SourceAdvance, TableRows};

use super::kit::{LANE, NOW, key, land, readings};
use super::place::Place;

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_lake_has_every_table_and_no_rows() {
    let lake = Place::memory().create().await;
    let tables = lake.tables().await.unwrap();
    assert_eq!(
        tables.iter().map(|t| t.name.as_str()).collect::<Vec<_>>(),
        Catalog::builtin().tables().map(|t| t.name.as_ref()).collect::<Vec<_>>()
    );
    assert!(
        tables.iter().all(|t| t.rows == 0 && t.files == 0 && t.newest.is_none() && t.version == 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_and_files_count_what_was_landed() {
    let lake = Place::memory().create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 0, 3).await;
    land(&mut lander, &lake, "gw", 3, 5).await;
    let tables = lake.tables().await.unwrap();
    let readings = tables.iter().find(|t| t.name == "readings").unwrap();
    assert_eq!((readings.rows, readings.files, readings.version), (5, 2, 2));
    assert_eq!(readings.newest, Some(NOW + 4_001_000), "rounded up to a millisecond");
    let files = lake.files("readings").await.unwrap();
    assert_eq!(files.iter().map(|file| file.bytes).sum::<u64>(), readings.bytes);
    assert!(
        files.iter().all(|file| file
            .address
            .starts_with("memory:///a/lake/readings/event_date=2026-08-01/"))
    );
    assert!(lake.files("tides").await.unwrap_err().to_string().contains("`tides` is not a table"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_gives_the_asked_columns_in_the_asked_order_with_the_partition_date() {
    let lake = Place::memory().create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 0, 3).await;
    let columns = ["value", "event_date", "patient_id", "device_id"];
    let batches: Vec<RecordBatch> =
        lake.scan("readings", &columns).await.unwrap().try_collect().await.unwrap();
    let batch = &batches[0];
    assert_eq!(
        batch.schema().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>(),
        columns
    );
    assert_eq!(batch.column(1).as_primitive::<Date32Type>().value(0), date_of(NOW));
    assert_eq!(batch.column(2).null_count(), 3);
    assert_eq!(batch.column(3).as_string::<i32>().value(2), "monitor-1");
    assert_eq!(
        lake::count(lake.scan("readings", &[]).await.unwrap()).await.unwrap(),
        3,
        "no columns: rows count"
    );
    assert!(lake.scan("readings", &["mood"]).await.is_err());
}

/// The modes of everything below a folder: files, then folders.
fn modes(folder: &Path) -> (BTreeSet<u32>, BTreeSet<u32>) {
    let (mut files, mut folders) = (BTreeSet::new(), BTreeSet::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let mode = path.metadata().unwrap().permissions().mode() & 0o777;
        if path.is_dir() {
            let (inner_files, inner_folders) = modes(&path);
            files.extend(inner_files);
            folders.extend(inner_folders);
            folders.insert(mode);
        } else {
            files.insert(mode);
        }
    }
    (files, folders)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lake_in_a_folder_is_its_owners_alone_or_its_groups_too() {
    let folder = tempfile::tempdir().unwrap();
    for (group_readable, file, of_folder) in [(false, 0o600, 0o700), (true, 0o640, 0o750)] {
        let top = folder.path().join(group_readable.to_string());
        let url = top.join("lake").display().to_string();
        let config = lake::LakeConfig { url: url.clone(), group_readable };
        let lake = Lake::open_as(&config, &[].into(), OpenMode::Create).await.unwrap();
        let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
        land(&mut lander, &lake, "gw", 0, 3).await;
        // Maintenance names no setting: it writes for whom the lake was made.
        let again = Lake::open(&url, &[].into(), OpenMode::Read).await.unwrap();
        lake::maintain::run_once(&again, 1, NOW).await.unwrap();
        assert_eq!(modes(&top), ([file].into(), [of_folder].into()), "{group_readable}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn deltalake_itself_reads_what_we_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let url = folder.path().display().to_string();
    let lake = Lake::open(&url, &[].into(), OpenMode::Create).await.unwrap();
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 0, 3).await;
    let url = url::Url::from_directory_path(folder.path().join("readings")).unwrap();
    let table = DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
    let snapshot = table.snapshot().unwrap();
    assert_eq!(snapshot.log_data().num_files(), 1);
    let file = snapshot.log_data().iter().next().unwrap();
    assert_eq!(file.num_records(), Some(3));
    assert_eq!(snapshot.schema().fields().count(), readings_table::table().columns.len());
    let lane = format!("lane/{LANE}");
    assert_eq!(
        snapshot.transaction_version(table.log_store().as_ref(), &lane).await.unwrap(),
        Some(1)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_logs_statistics_hold_time_and_device_and_nothing_else() {
    let place = Place::memory();
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 0, 3).await;
    let entry =
        place.store().get("readings/_delta_log/00000000000000000001.json").await.unwrap().unwrap();
    let add = std::str::from_utf8(&entry).unwrap().lines().find_map(|line| {
        serde_json::from_str::<serde_json::Value>(line).unwrap().get("add").cloned()
    });
    let stats: serde_json::Value =
        serde_json::from_str(add.unwrap()["stats"].as_str().unwrap()).unwrap();
    let expected = serde_json::json!({
        "numRecords": 3,
        "minValues": {
            "event_ts": "2026-08-01T00:00:00.000Z", "received_ts": "2026-08-01T00:00:00.000Z", "device_id": "monitor-1",
        },
        "maxValues": {
            "event_ts": "2026-08-01T00:00:02.001Z", "received_ts": "2026-08-01T00:00:02.001Z", "device_id": "monitor-1",
        },
        "nullCount": {"event_ts": 0, "received_ts": 0, "device_id": 0},
    });
    assert_eq!(stats, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledgers_counts_can_be_summed_and_gaps_are_recorded() {
    let lake = Place::memory().create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 0, 3).await;
    // Ten offsets, of which seven were dropped at the source; the other three became rows of one table.
    let staging = lake.stage(NOW);
    let file = staging
        .write(readings_table::table().into(), date_of(NOW), [readings("gw", 10, 13)])
        .await
        .unwrap();
    let gaps = vec![Gap { first: 3, count: 7, reason: "dropped".into() }];
    let tables = [("readings".into(), TableRows { rows: 3, time: Some((NOW, NOW + 1)) })].into();
    let advance = SourceAdvance {
        key: key("gw"),
        lane: LANE,
        from: 3,
        to: 13,
        chain: 9,
        appended: 20,
        received_us: None,
        gaps,
        tables,
    };
    lander.land(&staging.finish(file.into_iter().collect(), vec![advance]), NOW).await.unwrap();
    // And a landing of a gap alone.
    let gaps = vec![Gap { first: 13, count: 2, reason: "corrupt".into() }];
    let advance = SourceAdvance {
        key: key("gw"),
        lane: LANE,
        from: 13,
        to: 15,
        chain: 9,
        appended: 21,
        received_us: None,
        gaps,
        tables: [].into(),
    };
    lander.land(&lake.stage(NOW).finish(vec![], vec![advance]), NOW).await.unwrap();

    let columns = ["message_count", "gap_count", "row_count", "table_name", "gaps"];
    let batches: Vec<RecordBatch> =
        lake.scan(landings::NAME, &columns).await.unwrap().try_collect().await.unwrap();
    let sum = |n: usize| -> i64 {
        batches
            .iter()
            .flat_map(|batch| batch.column(n).as_primitive::<Int64Type>().values().to_vec())
            .sum()
    };
    assert_eq!(
        (sum(0), sum(1), sum(2)),
        (6, 9, 9),
        "3 + 3 messages, 7 + 2 gaps, 3 readings, 3 statuses, 3 readings"
    );
    let texts = |n: usize| -> Vec<Option<String>> {
        let texts = batches.iter().flat_map(|batch| {
            let column = batch.column(n).as_any().downcast_ref::<StringArray>().unwrap().clone();
            (0..column.len())
                .map(move |row| column.is_valid(row).then(|| column.value(row).to_owned()))
                .collect::<Vec<_>>()
        });
        texts.collect()
    };
    assert!(texts(3).contains(&None), "a landing of gaps alone has a row without a table");
    assert!(texts(4).contains(&Some(r#"[{"first":3,"count":7,"reason":"dropped"}]"#.to_owned())));
}
