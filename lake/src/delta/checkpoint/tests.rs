//! Checkpoints of random logs, of those before them, and on the way.

mod odd;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use proptest::prelude::*;
use serde_json::json;
use url::Url;

use super::*;
use crate::delta::log::TableLog;
use crate::delta::shape::lines_of;
use crate::delta::{Active, FileInfo, create, files};
use crate::tables::readings;

const DAY: i64 = 24 * 3600 * 1000;
const NOW: i64 = 1_785_542_400_000;
const ALL: usize = usize::MAX;

fn lake() -> Store {
    Store::on(Arc::new(InMemory::new()), Url::parse("memory:///lake").unwrap()).unwrap()
}

/// A lake with a table, and the table's folder.
async fn begun() -> (Store, Arc<Table>, Store) {
    let (lake, table) = (lake(), Arc::new(readings::table()));
    create(&lake, &table).await.unwrap();
    let folder = lake.child(&table.name);
    (lake, table, folder)
}

async fn put(folder: &Store, version: u64, actions: &[Value]) {
    let lines: String = actions.iter().map(|action| action.to_string() + "\n").collect();
    folder.put(&entry_path(version), lines.into()).await.unwrap();
}

fn add(path: &str) -> Value {
    let stats = json!({"numRecords": path.len()}).to_string();
    json!({"add": {
        "path": path, "partitionValues": {"event_date": "2026-08-01"}, "size": 7, "modificationTime": NOW,
        "dataChange": true, "stats": stats,
    }})
}

fn remove(path: &str, at_ms: i64) -> Value {
    json!({"remove": {"path": path, "deletionTimestamp": at_ms, "dataChange": false, "size": 7}})
}

/// Removes the entries up to a version.
async fn cut(folder: &Store, version: u64) {
    for version in 0..=version {
        folder.delete(&entry_path(version)).await.unwrap();
    }
}

/// The actions of a checkpoint, sorted.
async fn rows(folder: &Store, version: u64) -> Vec<Value> {
    let file = folder.get(&checkpoint_path(version)).await.unwrap().unwrap();
    let mut lines = Vec::new();
    for batch in crate::parquet::read("x", file, &PARTS).unwrap() {
        lines.extend(lines_of(&conformed(&batch, &schema(&PARTS)).unwrap()).unwrap());
    }
    let lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut rows: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    rows.sort_by_key(Value::to_string);
    rows
}

async fn hint(folder: &Store) -> Value {
    serde_json::from_slice(&folder.get(LAST_CHECKPOINT).await.unwrap().unwrap()).unwrap()
}

async fn checkpoints(folder: &Store) -> BTreeSet<u64> {
    let objects = folder.list("_delta_log").await.unwrap();
    let version = |path: &str| {
        path.strip_prefix("_delta_log/")?.strip_suffix(".checkpoint.parquet")?.parse().ok()
    };
    objects.iter().filter_map(|object| version(&object.path)).collect()
}

/// All that a reader gets to know.
#[derive(Debug, PartialEq)]
struct Known {
    files: Vec<FileInfo>,
    txns: BTreeMap<String, i64>,
    removed: BTreeMap<String, Option<i64>>,
    metadata: Value,
    version: u64,
}

async fn known(lake: &Store, table: &Arc<Table>) -> Known {
    let (mut files, version) = files(lake, table).await.unwrap();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let (log, active): (TableLog, Active) =
        TableLog::load_with_files(lake, table).await.unwrap().unwrap();
    assert_eq!(log.version(), version);
    let mut paths: Vec<&str> = active.files().map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>());
    let names = (0..NAMES).map(name);
    let folder = lake.child(&table.name);
    let base = last_checkpoint(&folder).await.unwrap();
    let since = Since::read(&folder, table, (base, None), ALL).await.unwrap();
    let metadata = match (since.metadata(), base) {
        (Some(metadata), _) => metadata,
        (None, base) => Stated::read(&folder, base.unwrap()).await.unwrap().metadata,
    };
    Known {
        removed: names.map(|name| (name.clone(), active.removed_ms(&name))).collect(),
        txns: log.txns().iter().map(|(id, version)| (id.clone(), *version)).collect(),
        files,
        metadata,
        version,
    }
}

const NAMES: usize = 12;

fn name(n: usize) -> String {
    format!("event_date=2026-08-{:02}/{n}.parquet", n % 3 + 1)
}

#[derive(Clone, Debug)]
enum Step {
    Add(usize),
    Remove(usize),
    Txn(usize, i64),
    Describe(u8),
    /// An end of an entry.
    Commit,
    /// A checkpoint, with so many bytes that may be held, after which the entries below go or stay.
    Checkpoint(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..NAMES).prop_map(Step::Add),
        4 => (0..NAMES).prop_map(Step::Remove),
        3 => (0..4_usize, 0..100_i64).prop_map(|(app, version)| Step::Txn(app, version)),
        1 => any::<u8>().prop_map(Step::Describe),
        6 => Just(Step::Commit),
        2 => (prop_oneof![Just(0), Just(900), Just(ALL)], any::<bool>())
            .prop_map(|(held, cuts)| Step::Checkpoint(held, cuts)),
    ]
}

async fn play(steps: Vec<Step>) {
    let ((with, table, folder), without) = (begun().await, lake());
    let without_folder = without.child(&table.name);
    let first = folder.get(&entry_path(0)).await.unwrap().unwrap();
    without_folder.put(&entry_path(0), first.clone()).await.unwrap();
    let metadata = lines_in(&first).into_iter().find(|line| line.get("metaData").is_some());
    let metadata = metadata.unwrap();
    let (mut version, mut entry) = (0, Vec::new());
    for step in steps.into_iter().chain([Step::Commit]) {
        match step {
            Step::Add(n) => entry.push(add(&name(n))),
            // Long enough ago for a sweep, not for a checkpoint.
            Step::Remove(n) => entry.push(remove(&name(n), NOW - DAY + i64::try_from(n).unwrap())),
            Step::Txn(app, version) => {
                entry.push(json!({"txn": {"appId": format!("app/{app}"), "version": version}}));
            }
            Step::Describe(word) => {
                let mut metadata = metadata.clone();
                metadata["metaData"]["description"] = word.to_string().into();
                entry.push(metadata);
            }
            Step::Commit => {
                version += 1;
                put(&folder, version, &entry).await;
                put(&without_folder, version, &entry).await;
                entry.clear();
            }
            Step::Checkpoint(held, cuts) => {
                let at = written(&folder, &table, NOW, held).await.unwrap();
                assert_eq!(at, Some(version));
                if cuts {
                    cut(&folder, version).await;
                }
            }
        }
    }
    assert_eq!(known(&with, &table).await, known(&without, &table).await);
}

fn lines_in(entry: &Bytes) -> Vec<Value> {
    let lines = entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_log_says_the_same_with_checkpoints_as_without(steps in prop::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(steps));
    }
}

#[tokio::test]
async fn where_very_much_was_committed_a_checkpoint_is_written_on_the_way() {
    let (lake, table, folder) = begun().await;
    for version in 1..=40 {
        let path = name(usize::try_from(version % 12).unwrap());
        put(&folder, version, &[if version < 20 { add(&path) } else { remove(&path, NOW) }]).await;
    }
    let before = known(&lake, &table).await;
    let held = 10 * folder.size(&entry_path(5)).await.unwrap().unwrap();
    let held = usize::try_from(held).unwrap();
    assert_eq!(written(&folder, &table, NOW, held).await.unwrap(), Some(40));
    let on_the_way = checkpoints(&folder).await;
    assert!(on_the_way.len() >= 4 && on_the_way.contains(&40), "{on_the_way:?}");
    assert_eq!(hint(&folder).await["version"], 40);
    let expected = rows(&folder, 40).await;
    // Made at once it is the same.
    for version in on_the_way {
        folder.delete(&checkpoint_path(version)).await.unwrap();
    }
    folder.delete(LAST_CHECKPOINT).await.unwrap();
    written(&folder, &table, NOW, ALL).await.unwrap();
    assert_eq!(checkpoints(&folder).await, [40].into());
    assert_eq!(rows(&folder, 40).await, expected);
    let hint = hint(&folder).await;
    let adds = expected.iter().filter(|row| row.get("add").is_some()).count();
    let size = folder.size(&checkpoint_path(40)).await.unwrap().unwrap();
    assert_eq!(
        hint,
        json!({"version": 40, "size": expected.len(), "sizeInBytes": size, "numOfAddFiles": adds})
    );
    cut(&folder, 40).await;
    assert_eq!(known(&lake, &table).await, before);
    // And when nothing was committed since, nothing is written.
    folder.delete(&entry_path(40)).await.unwrap();
    assert_eq!(written(&folder, &table, NOW, ALL).await.unwrap(), Some(40));
    assert_eq!(checkpoints(&folder).await, [40].into());
}

#[tokio::test]
async fn files_that_went_are_remembered_as_long_as_the_table_says() {
    let (_lake, table, folder) = begun().await;
    let removes = [1, 6, 8].map(|days| remove(&days.to_string(), NOW - days * DAY));
    put(&folder, 1, &[&[add("8")], &removes[..]].concat()).await;
    written(&folder, &table, NOW, ALL).await.unwrap();
    let removed = |rows: Vec<Value>| {
        let paths = rows.iter().filter_map(|row| row["remove"]["path"].as_str()).map(str::to_owned);
        paths.collect::<BTreeSet<_>>()
    };
    let of = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(removed(rows(&folder, 1).await), of(&["1", "6"]));
    assert!(rows(&folder, 1).await.iter().all(|row| row.get("add").is_none()), "8 is no file");
    // Those of the checkpoint before, too.
    let first = lines_in(&folder.get(&entry_path(0)).await.unwrap().unwrap());
    let mut metadata = first.into_iter().find(|line| line.get("metaData").is_some()).unwrap();
    let key = "delta.deletedFileRetentionDuration";
    metadata["metaData"]["configuration"][key] = "INTERVAL 48 hours".into();
    put(&folder, 2, &[metadata]).await;
    written(&folder, &table, NOW, ALL).await.unwrap();
    assert_eq!(removed(rows(&folder, 2).await), of(&["1"]));
    let lengths = [
        ("interval 1 week", Some(7 * DAY)),
        ("interval 168 hours", Some(7 * DAY)),
        ("interval 0 seconds", Some(0)),
        ("interval 5 microseconds", Some(0)),
        ("interval 9223372036854775807 weeks", Some(i64::MAX / 1000)),
        ("interval 1 month", None),
        ("interval -1 days", None),
        ("interval 1 day 2 hours", None),
        ("7 days", None),
        ("", None),
    ];
    for (text, expected) in lengths {
        assert_eq!(interval_ms(text), expected, "{text}");
    }
}

/// Of two who write checkpoints the slower one must not lead readers back to where the log may be cleaned.
#[tokio::test]
async fn the_last_checkpoint_is_never_an_older_one() {
    let (_lake, table, folder) = begun().await;
    put(&folder, 1, &[add("a")]).await;
    let since = Since::read(&folder, &table, (None, None), ALL).await.unwrap();
    put(&folder, 2, &[add("b")]).await;
    written(&folder, &table, NOW, ALL).await.unwrap();
    let (folder, table, since) = (&folder, &*table, &since);
    Writing { folder, table, version: 1, base: None, since, expired_ms: 0 }.write().await.unwrap();
    assert_eq!(hint(folder).await["version"], 2);
    assert_eq!(checkpoints(folder).await, [1, 2].into());
}
