//! Files and commits of other programs beside upkeep: nothing of theirs is lost, and nothing of ours.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use lake::date::date_of;
use lake::maintain::{Done, Pace, Settings, run};
use lake::{Lake, Lander, SourceAdvance, Store, TableRows, check};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use super::kit::{LANE, NOW, key, land, offsets, readings};
use super::place::Place;

const LATER: i64 = NOW + 4 * 24 * 3600 * 1_000_000;
const DATE: &str = "2026-08-01";

async fn upkeep(lake: &Lake) -> Done {
    let settings = Settings { sweep: false, ..Settings::default() };
    let report = run(lake, &settings, LATER, &mut Pace::unhurt(), &|_| {}).await.unwrap();
    report.tables.into_iter().find(|done| done.table == "readings").unwrap()
}

/// A lake with three files of readings, of the offsets 0, 1 and 2.
pub(crate) async fn three_files(place: &Place) -> (Lake, Lander) {
    let lake = place.create().await;
    let mut lander = Lander::open(&lake, "w1", [LANE], NOW).await.unwrap();
    for from in 0..3 {
        land(&mut lander, &lake, "gw", from, from + 1).await;
    }
    (lake, lander)
}

/// Commits actions to the log of `readings`, as another program does.
pub(crate) async fn commit(store: &Store, actions: &[Value]) {
    let lines: String = actions.iter().map(|action| action.to_string() + "\n").collect();
    let log = store.list("readings/_delta_log").await.unwrap();
    let entries = log.iter().filter(|object| object.path.ends_with(".json")).count();
    store.put(&format!("readings/_delta_log/{entries:020}.json"), lines.into()).await.unwrap();
}

/// Writes a file as another program does, and commits it with that many rows said to be in it.
pub(crate) async fn append(store: &Store, name: &str, rows: &RecordBatch, said: usize) {
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(rows).unwrap();
    let bytes = writer.into_inner().unwrap();
    let path = format!("event_date={DATE}/{name}.parquet");
    let add = json!({"add": {
        "path": path, "partitionValues": {"event_date": DATE}, "size": bytes.len(), "modificationTime": NOW / 1000,
        "dataChange": true, "stats": json!({"numRecords": said}).to_string(),
    }});
    store.put(&format!("readings/{path}"), bytes.into()).await.unwrap();
    commit(store, &[add]).await;
}

async fn paths(lake: &Lake) -> Vec<String> {
    lake.files("readings").await.unwrap().into_iter().map(|file| file.path).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_file_with_a_column_that_we_do_not_know_is_left_as_it_is() {
    let place = Place::memory();
    let (lake, _lander) = three_files(&place).await;
    let rows = readings("other", 0, 4);
    let mut fields: Vec<_> = rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new("note", DataType::Utf8, true)));
    let note: ArrayRef = Arc::new(StringArray::from(vec!["said by somebody"; 4]));
    let columns = rows.columns().iter().cloned().chain([note]).collect();
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    append(&place.store(), "theirs", &rows, 4).await;

    let done = upkeep(&lake).await;
    assert_eq!((done.merged.files, done.merged.made_files, done.left.len()), (3, 1, 1));
    assert!(done.left[0].reason.contains("`note` is none that this version knows"), "{done:?}");
    let theirs = format!("event_date={DATE}/theirs.parquet");
    assert!(paths(&lake).await.contains(&theirs) && paths(&lake).await.len() == 2);
    assert_eq!(offsets(&lake, "readings", "other").await, [0, 1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_in_any_order_are_merged_in_the_order_of_the_table() {
    let place = Place::memory();
    let (lake, mut lander) = three_files(&place).await;
    let turned = |rows: &RecordBatch| {
        let rows_back =
            UInt32Array::from_iter_values((0..u32::try_from(rows.num_rows()).unwrap()).rev());
        take_record_batch(rows, &rows_back).unwrap()
    };
    append(&place.store(), "theirs", &turned(&readings("other", 0, 500)), 500).await;
    // One that says that it is in order, and is too large to be read whole unasked.
    let rows = turned(&readings("gw", 3, 150_003));
    let mut counts = TableRows::default();
    (3..150_003).for_each(|offset| counts.add(NOW + offset * 1_000_000));
    let staging = lake.stage(NOW);
    let table = lake.catalog().get("readings").unwrap().clone();
    let file = staging.write(table.clone(), date_of(NOW), [rows]).await.unwrap();
    assert!(file.as_ref().unwrap().bytes() > 256 << 10, "too small to be streamed");
    let (from, to) = (3, 150_003);
    let advance = SourceAdvance {
        key: key("gw"),
        lane: LANE,
        from,
        to,
        chain: 1,
        appended: to,
        received_us: None,
        gaps: vec![],
        tables: [(table.name.clone(), counts)].into(),
    };
    let staged = staging.finish(file.into_iter().collect(), vec![advance]);
    lander.land(&staged, NOW).await.unwrap();

    let done = upkeep(&lake).await;
    assert_eq!((done.merged.files, done.merged.made_files, done.left.len()), (5, 1, 0), "{done:?}");
    let scanned = lake.scan("readings", &["device_id", "metric", "event_ts"]).await.unwrap();
    let batches: Vec<RecordBatch> = scanned.try_collect().await.unwrap();
    let all = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(all.num_rows(), 150_003 + 500);
    assert_eq!(lake::sort::sorted(&table, &all).unwrap(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_what_its_log_says_is_left_and_named_by_the_check() {
    let place = Place::memory();
    let (lake, _lander) = three_files(&place).await;
    append(&place.store(), "theirs", &readings("other", 0, 3), 7).await;
    let done = upkeep(&lake).await;
    assert_eq!((done.merged.files, done.left.len()), (3, 1));
    assert!(done.left[0].reason.contains("it has 3 rows, its log says 7"), "{done:?}");
    let findings = check::run(&lake).await.unwrap().findings;
    let named = findings.iter().find(|found| found.problem.contains("theirs.parquet"));
    assert!(named.unwrap().problem.contains("it has 3 rows, its log says 7"), "{findings:?}");
    assert!(named.unwrap().remedy.contains("copy of the lake"));
}

/// What two compactions of another program at once do (notes of delta-rs): a file counts twice.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_are_there_twice_are_named_by_the_check_with_the_remedy() {
    let place = Place::memory();
    let (lake, _lander) = three_files(&place).await;
    append(&place.store(), "copy", &readings("gw", 1, 3), 2).await;
    let findings = check::run(&lake).await.unwrap().findings;
    let doubled = findings.iter().find(|found| found.problem.contains("more than once")).unwrap();
    assert!(doubled.problem.starts_with("2 rows"), "{findings:?}");
    assert!(doubled.remedy.contains("RESTORE"), "{findings:?}");
    let quick = check::run_to(&lake, check::Depth::Files).await.unwrap();
    assert!(quick.findings.iter().all(|found| !found.problem.contains("more than once")));
}

/// Lets somebody commit while a merged file is being written.
#[derive(Debug)]
struct Meddled {
    inner: Store,
    actions: Vec<Value>,
    /// Further files that are appended, one at each merge.
    appends: u64,
    merges: AtomicU64,
}

impl fmt::Display for Meddled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("meddled")
    }
}

#[async_trait]
impl ObjectStore for Meddled {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let merged =
            path.as_ref().contains("readings/event_date") && path.as_ref().contains("merged-");
        if merged {
            let merges = self.merges.fetch_add(1, Ordering::SeqCst);
            if merges == 0 && !self.actions.is_empty() {
                commit(&self.inner, &self.actions).await;
            }
            if merges < self.appends {
                let rows = readings("late", 10 + merges, 11 + merges);
                append(&self.inner, &format!("late-{merges}"), &rows, 1).await;
            }
        }
        self.inner.root().put_opts(path, payload, options).await
    }
    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.root().put_multipart_opts(path, options).await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.root().get_opts(path, options).await
    }
    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.root().get_ranges(path, ranges).await
    }
    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.root().delete_stream(paths)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.root().list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.root().list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.root().copy_opts(from, to, options).await
    }
}

/// An OPTIMIZE of somebody else, whose commit has no `txn` of ours, takes two of the files while they are merged.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_a_merge_gives_way_to_whoever_took_a_file_of_its() {
    let place = Place::memory();
    let (lake, mut lander) = three_files(&place).await;
    let taken: Vec<String> = paths(&lake).await.into_iter().take(2).collect();
    let mut actions: Vec<Value> = Vec::new();
    for path in &taken {
        let at = NOW / 1000;
        actions
            .push(json!({"remove": {"path": path, "dataChange": false, "deletionTimestamp": at}}));
    }
    // Their file is a copy of one of them: enough to count rows by.
    let copy = place.store().get(&format!("readings/{}", taken[0])).await.unwrap().unwrap();
    let path = format!("event_date={DATE}/optimized.parquet");
    place.store().put(&format!("readings/{path}"), copy.clone()).await.unwrap();
    actions.push(json!({"add": {
        "path": path, "partitionValues": {"event_date": DATE}, "size": copy.len(), "modificationTime": 1, "dataChange": false,
    }}));
    let inner = place.store();
    let meddled = Arc::new(Meddled { inner, actions, appends: 0, merges: AtomicU64::new(0) });
    let watched = place.through(meddled.clone()).await.unwrap();
    let done = upkeep(&watched).await;
    assert_eq!(meddled.merges.load(Ordering::SeqCst), 1);
    assert_eq!((done.merged.gave_way, done.merged.made_files), (1, 0), "{done:?}");
    assert_eq!(offsets(&lake, "readings", "gw").await.len(), 2, "theirs, as they left it");
    let objects = place.store().list("readings").await.unwrap();
    assert!(objects.iter().all(|object| !object.path.contains("merged-")), "nothing is left");
    // What others only add is no reason to give way.
    let (more, inner) = (readings("late", 0, 1), place.store());
    append(&inner, "appended", &more, 1).await;
    let add = json!({"txn": {"appId": "somebody", "version": 3}});
    let meddled =
        Arc::new(Meddled { inner, actions: vec![add], appends: 0, merges: AtomicU64::new(0) });
    let done = upkeep(&place.through(meddled).await.unwrap()).await;
    assert_eq!((done.merged.gave_way, done.merged.made_files), (0, 1), "{done:?}");
    land(&mut lander, &lake, "gw", 3, 4).await;
    assert_eq!(offsets(&lake, "readings", "late").await, [0]);
}

/// Rows land as fast as files are merged: a run merges what was there when it began, and ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_however_fast_rows_land() {
    let place = Place::memory();
    let (lake, _lander) = three_files(&place).await;
    let (inner, merges) = (place.store(), AtomicU64::new(0));
    let meddled = Arc::new(Meddled { inner, actions: vec![], appends: 50, merges });
    let done = upkeep(&place.through(meddled).await.unwrap()).await;
    assert_eq!((done.merged.files, done.merged.made_files), (3, 1), "{done:?}");
    assert_eq!(paths(&lake).await.len(), 2);
    assert_eq!(upkeep(&lake).await.merged.files, 2, "the next run takes the rest");
}

/// An OPTIMIZE of somebody else whose files have other names and no statistics, not even a number of rows, then a VACUUM without any
/// retention. Returns how many files there are.
async fn rewritten_and_vacuumed(place: &Place, lake: &Lake) -> usize {
    let (store, old) = (place.store(), paths(lake).await);
    let mut actions: Vec<Value> = Vec::new();
    for (n, path) in old.iter().enumerate() {
        let bytes = store.get(&format!("readings/{path}")).await.unwrap().unwrap();
        let new = format!("event_date={DATE}/part-{n:05}-{}.parquet", actions.len());
        actions.push(json!({"remove": {
            "path": path, "dataChange": false, "deletionTimestamp": NOW / 1000,
        }}));
        actions.push(json!({"add": {
            "path": new, "partitionValues": {"event_date": DATE}, "size": bytes.len(), "modificationTime": NOW / 1000,
            "dataChange": false,
        }}));
        store.put(&format!("readings/{new}"), bytes).await.unwrap();
    }
    commit(&store, &actions).await;
    for path in &old {
        store.delete(&format!("readings/{path}")).await.unwrap();
    }
    old.len()
}

/// A view had not read what was rewritten and vacuumed: it must not look for it for ever.
#[tokio::test(flavor = "multi_thread")]
async fn inv14_views_follow_where_new_rows_were_rewritten_and_vacuumed() {
    let place = Place::memory();
    let (lake, mut lander) = three_files(&place).await;
    let views = Settings { sweep: false, quiet_us: i64::MAX, ..Settings::default() };
    run(&lake, &views, LATER, &mut Pace::unhurt(), &|_| {}).await.unwrap();
    land(&mut lander, &lake, "gw", 3, 5).await;
    rewritten_and_vacuumed(&place, &lake).await;
    let report = run(&lake, &views, LATER, &mut Pace::unhurt(), &|_| {}).await.unwrap();
    assert!(report.views.iter().any(|view| view.view == "vitals_1m" && view.anew), "{report:?}");
    let n = super::script::rows(&lake, "vitals_1m", &["n"]).await;
    assert_eq!(n, ["5"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_log_does_not_number_are_counted_and_so_are_those_that_go() {
    let place = Place::memory();
    let (lake, _lander) = three_files(&place).await;
    assert_eq!(rewritten_and_vacuumed(&place, &lake).await, 3);
    assert_eq!(check::run(&lake).await.unwrap().findings, []);
    assert_eq!(check::run_to(&lake, check::Depth::Files).await.unwrap().findings, []);
    let rows = lake.tables().await.unwrap().into_iter().find(|table| table.name == "readings");
    assert_eq!(rows.unwrap().rows, 3);
    let retention_days = [("readings".to_owned(), 1)].into();
    let settings = Settings { sweep: false, retention_days, ..Settings::default() };
    let report = run(&lake, &settings, LATER, &mut Pace::unhurt(), &|_| {}).await.unwrap();
    let done = report.tables.into_iter().find(|done| done.table == "readings").unwrap();
    assert_eq!((done.retired.files, done.retired.rows), (3, 3));
    assert_eq!(check::run(&lake).await.unwrap().findings, []);
}
