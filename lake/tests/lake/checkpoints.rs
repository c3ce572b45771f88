//! Checkpoints of ours before another judge: deltalake reads out of them what it reads out of the log; and ours go on from its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use deltalake_core::DeltaTable;
use deltalake_core::DeltaTableBuilder;
use deltalake_core::checkpoints::create_checkpoint;
use deltalake_core::kernel::{DataType, PrimitiveType, StructField};
use futures::TryStreamExt;
use lake::maintain::{Pace, Settings, run, run_once};
use lake::{Lake, Lander, OpenMode, Store, check};
use serde_json::{Value, json};

use super::foreign::{append, commit};
use super::kit::{LANE, NOW, land, offsets, readings};

const DATE: &str = "2026-08-01";

/// Everything that deltalake knows of a table.
#[derive(Debug, PartialEq)]
struct Judged {
    version: Option<u64>,
    files: BTreeMap<String, (i64, i64, Option<String>, String)>,
    tombstones: BTreeMap<String, (Option<i64>, bool, Option<i64>)>,
    txns: BTreeMap<String, Option<i64>>,
    metadata: Value,
    protocol: Value,
}

async fn loaded(table: &Path) -> DeltaTable {
    let url = url::Url::from_directory_path(table).unwrap();
    DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap()
}

async fn judged(table: &Path, apps: &BTreeSet<String>) -> Judged {
    let table = loaded(table).await;
    let snapshot = table.snapshot().unwrap();
    let files = snapshot.log_data().into_iter().map(|file| {
        let values = format!("{:?}", file.partition_values_map());
        let said = file.stats().map(|stats| stats.to_string());
        (file.path().to_string(), (file.size(), file.modification_time(), said, values))
    });
    let store = table.log_store();
    let tombstones: Vec<_> = snapshot.all_tombstones(store.as_ref()).try_collect().await.unwrap();
    // Of one that does not say when it went nobody knows how long it is to be remembered: ours forget it with the next.
    let said_when = tombstones.iter().filter(|gone| gone.deletion_timestamp().unwrap_or(0) > 0);
    let tombstones = said_when.map(|gone| {
        let said = (gone.deletion_timestamp(), gone.data_change(), gone.size());
        (gone.path().into_owned(), said)
    });
    let mut txns = BTreeMap::new();
    for app in apps {
        let version = snapshot.transaction_version(store.as_ref(), app).await.unwrap();
        txns.insert(app.clone(), version);
    }
    Judged {
        version: table.version(),
        files: files.collect(),
        tombstones: tombstones.collect(),
        txns,
        metadata: serde_json::to_value(snapshot.metadata()).unwrap(),
        protocol: serde_json::to_value(snapshot.protocol()).unwrap(),
    }
}

/// The ids of all applications in a log's entries.
fn apps(log: &Path) -> BTreeSet<String> {
    let mut apps = BTreeSet::new();
    for entry in std::fs::read_dir(log).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "json") {
            let text = std::fs::read_to_string(path).unwrap();
            let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
            apps.extend(lines.filter_map(|line| Some(line["txn"]["appId"].as_str()?.to_owned())));
        }
    }
    apps
}

/// Takes a log apart: one that is its entries alone, and one that is its last checkpoint and the entries behind it.
fn apart(log: &Path) -> (tempfile::TempDir, tempfile::TempDir) {
    let (entries, from) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let last = std::fs::read(log.join("_last_checkpoint")).unwrap();
    let last: Value = serde_json::from_slice(&last).unwrap();
    let last = format!("{:020}", last["version"].as_u64().unwrap());
    for to in [&entries, &from] {
        std::fs::create_dir(to.path().join("_delta_log")).unwrap();
    }
    for entry in std::fs::read_dir(log).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        let copy = |to: &tempfile::TempDir| {
            std::fs::copy(&path, to.path().join("_delta_log").join(&name)).unwrap();
        };
        let text = name.to_str().unwrap();
        if text.ends_with(".json") {
            copy(&entries);
        }
        if text >= last.as_str() {
            copy(&from);
        }
    }
    (entries, from)
}

/// Both say the same, to deltalake and to us.
async fn says_the_same(folder: &Path, files: usize) {
    let log = folder.join("readings/_delta_log");
    let apps = apps(&log);
    assert!(apps.len() >= 3, "{apps:?}");
    let (entries, from) = apart(&log);
    let judged_from = judged(from.path(), &apps).await;
    assert_eq!(judged_from, judged(entries.path(), &apps).await);
    assert_eq!(judged_from.files.len(), files);
    assert!(judged_from.txns.values().all(Option::is_some) && !judged_from.tombstones.is_empty());
    let lake = Lake::open(folder.to_str().unwrap(), &[].into(), OpenMode::Read).await.unwrap();
    assert_eq!(lake.files("readings").await.unwrap().len(), files);
}

/// What other writers add: with tags and a quoted path, without statistics; and one that goes again, without saying when.
async fn somebody_writes(store: &Store, round: usize) {
    append(store, &format!("theirs-{round}"), &readings("other", 0, 2), 2).await;
    let rows = store.get(&format!("readings/event_date={DATE}/theirs-{round}.parquet")).await;
    let rows = rows.unwrap().unwrap();
    store
        .put(&format!("readings/event_date={DATE}/a b {round}.parquet"), rows.clone())
        .await
        .unwrap();
    let add = |path: &str| {
        json!({"add": {
            "path": path, "partitionValues": {"event_date": DATE}, "size": rows.len(), "modificationTime": 1,
            "dataChange": true, "tags": {"INSERTION_TIME": "1"}, "deletionVector": null, "baseRowId": null,
        }})
    };
    let gone = format!("event_date={DATE}/gone-{round}.parquet");
    commit(store, &[add(&format!("event_date={DATE}/a%20b%20{round}.parquet")), add(&gone)]).await;
    let txn = json!({"txn": {"appId": format!("somebody/{round}"), "version": round + 1}});
    commit(store, &[json!({"remove": {"path": gone, "dataChange": true}}), txn]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deltalake_reads_our_checkpoints_as_it_reads_the_log_and_ours_go_on_from_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (url, env) = (folder.path().display().to_string(), [].into());
    let lake = Lake::open(&url, &env, OpenMode::Create).await.unwrap();
    let store = Store::open(&url, &env).unwrap();
    let table = folder.path().join("readings");
    let column = StructField::new("later", DataType::Primitive(PrimitiveType::Long), true);
    loaded(&table).await.add_columns().with_fields([column]).await.unwrap();
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..6 {
        land(&mut lander, &lake, "gw", from, from + 1).await;
    }
    // Six files become one.
    let merge = Settings { sweep: false, views: vec![], commits: 1000, ..Settings::default() };
    let now_us = chrono::Utc::now().timestamp_micros();
    run(&lake, &merge, now_us, &mut Pace::unhurt(), &|_| {}).await.unwrap();
    somebody_writes(&store, 0).await;
    run_once(&lake, 1, NOW).await.unwrap();
    says_the_same(folder.path(), 3).await;

    // On from one of ours, with entries behind it.
    lander.recover(NOW).await.unwrap();
    land(&mut lander, &lake, "gw", 6, 8).await;
    says_the_same(folder.path(), 4).await;
    somebody_writes(&store, 1).await;
    run_once(&lake, 1, NOW).await.unwrap();
    says_the_same(folder.path(), 6).await;

    // And from one of deltalake's, which does not begin with what ours begin with.
    land(&mut lander, &lake, "gw", 8, 9).await;
    create_checkpoint(&loaded(&table).await, None).await.unwrap();
    says_the_same(folder.path(), 7).await;
    somebody_writes(&store, 2).await;
    run_once(&lake, 1, NOW).await.unwrap();
    says_the_same(folder.path(), 9).await;
    let again = Lake::open(&url, &env, OpenMode::Create).await.unwrap();
    assert_eq!(offsets(&again, "readings", "gw").await, (0..9).collect::<Vec<_>>());
    assert_eq!(offsets(&again, "readings", "other").await.len(), 3 * 4);
    let quick = check::run_to(&again, check::Depth::Files).await.unwrap();
    assert!(quick.findings.iter().all(|found| !found.problem.contains("gone")), "{quick:?}");
}
