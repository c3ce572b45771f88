//! Small lakes, rows and landings for the tests; stores that fail or stop on request.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::place::Place;
use arrow::array::{
    ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray, new_null_array,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use lake::Rows;
use lake::date::date_of;
use lake::tables::{device_status, readings as readings_table};
use lake::{Lake, LandOutcome, Lander, SourceAdvance, SourceKey, Staged, TableRows};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

/// 2026-08-01T00:00:00Z.
pub(crate) const NOW: i64 = 1_785_542_400_000_000;
pub(crate) const LANE: u8 = 7;

/// A store in memory that, when armed, stops working at the n-th write or deletion: it happens or not, the answer is lost, and
/// every later request fails, as if the process had been killed.
#[derive(Debug)]
pub(crate) struct Fragile {
    inner: Arc<dyn ObjectStore>,
    /// Writes that still succeed; negative: dead.
    left: Arc<AtomicI64>,
    /// Whether the fatal write still reaches the store.
    reaches: bool,
}

impl Fragile {
    pub(crate) fn over(place: &Place, left: i64, reaches: bool) -> Arc<Self> {
        let inner = place.store().root();
        Arc::new(Self { inner, left: Arc::new(AtomicI64::new(left)), reaches })
    }

    fn dead() -> Error {
        Error::Generic { store: "fragile", source: "the process was killed".into() }
    }

    fn alive(&self) -> Result<()> {
        if self.left.load(Ordering::SeqCst) < 0 { Err(Self::dead()) } else { Ok(()) }
    }

    pub(crate) fn died(&self) -> bool {
        self.alive().is_err()
    }
}

impl fmt::Display for Fragile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("fragile")
    }
}

#[async_trait]
impl ObjectStore for Fragile {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.alive()?;
        if self.left.fetch_sub(1, Ordering::SeqCst) == 0 {
            if self.reaches {
                self.inner.put_opts(path, payload, options).await?;
            }
            return Err(Self::dead());
        }
        self.inner.put_opts(path, payload, options).await
    }
    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.alive()?;
        self.inner.put_multipart_opts(path, options).await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.alive()?;
        self.inner.get_opts(path, options).await
    }
    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.alive()?;
        self.inner.get_ranges(path, ranges).await
    }
    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, left, reaches) = (self.inner.clone(), self.left.clone(), self.reaches);
        let delete = move |path: Result<Path>| {
            let (inner, before) = (inner.clone(), left.fetch_sub(1, Ordering::SeqCst));
            async move {
                if before > 0 || (before == 0 && reaches) {
                    inner.delete(path.as_ref().map_err(|_| Self::dead())?).await?;
                }
                if before > 0 { path } else { Err(Self::dead()) }
            }
        };
        paths.then(delete).boxed()
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.alive()?;
        self.inner.copy_opts(from, to, options).await
    }
}

/// A store whose puts succeed but whose answer to every put-if-absent is an error, the first time.
#[derive(Debug)]
pub(crate) struct Mumbling(pub(crate) Arc<dyn ObjectStore>);

impl fmt::Display for Mumbling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mumbling")
    }
}

#[async_trait]
impl ObjectStore for Mumbling {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let commit = options.mode == PutMode::Create;
        let result = self.0.put_opts(path, payload, options).await?;
        if commit { Err(Fragile::dead()) } else { Ok(result) }
    }
    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(path, options).await
    }
    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(path, options).await
    }
    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(path, ranges).await
    }
    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(paths)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

pub(crate) fn key(source: &str) -> SourceKey {
    SourceKey { source_id: source.to_owned(), epoch: 42 }
}

/// One reading per offset of `[from, to)`, a second apart.
pub(crate) fn readings(source: &str, from: u64, to: u64) -> RecordBatch {
    let offsets: Vec<i64> = (from..to).map(u64::cast_signed).collect();
    let rows = offsets.len();
    let times = || -> ArrayRef {
        let times = offsets.iter().map(|offset| NOW + offset * 1_000_000);
        Arc::new(TimestampMicrosecondArray::from_iter_values(times).with_timezone("UTC"))
    };
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows])) };
    let table = readings_table::table();
    let columns = table.file_columns().map(|column| -> ArrayRef {
        match column.name.as_ref() {
            "event_ts" | "received_ts" => times(),
            "site" => text("site-1"),
            "device_id" => text("monitor-1"),
            "metric" => text("heart_rate"),
            "quality" => text("good"),
            "protocol" => text("readings-json"),
            "value" => Arc::new(
                offsets.iter().map(|offset| Some(*offset as f64)).collect::<Float64Array>(),
            ),
            "source_id" => text(source),
            "epoch" => Arc::new(Int64Array::from(vec![42; rows])),
            "source_offset" => Arc::new(Int64Array::from(offsets.clone())),
            "row_no" => Arc::new(Int32Array::from(vec![0; rows])),
            _ => new_null_array(&column.kind.arrow(), rows),
        }
    });
    RecordBatch::try_new(table.file_arrow(), columns.collect()).unwrap()
}

/// One status row per offset, so that a landing touches two tables.
pub(crate) fn statuses(source: &str, from: u64, to: u64) -> RecordBatch {
    let readings = readings(source, from, to);
    let table = device_status::table();
    let columns = table.file_columns().map(|column| match column.name.as_ref() {
        "status" => readings.column_by_name("quality").unwrap().clone(),
        "battery" | "firmware" | "detail" => {
            new_null_array(&column.kind.arrow(), readings.num_rows())
        }
        name => readings.column_by_name(name).unwrap().clone(),
    });
    RecordBatch::try_new(table.file_arrow(), columns.collect()).unwrap()
}

/// Writes the files of a landing of `[from, to)` of one source: a reading and a status row per offset.
pub(crate) async fn stage(
    lake: &Lake,
    source: &str,
    lane: u8,
    from: u64,
    to: u64,
) -> std::result::Result<Staged, lake::LakeError> {
    stage_in(lake, source, lane, [from, to], &[readings_table::NAME, device_status::NAME]).await
}

/// As [`stage`], in one or both of the tables.
pub(crate) async fn stage_in(
    lake: &Lake,
    source: &str,
    lane: u8,
    [from, to]: [u64; 2],
    tables: &[&str],
) -> std::result::Result<Staged, lake::LakeError> {
    stage_on(date_of(NOW), lake, source, lane, [from, to], tables).await
}

/// As [`stage_in`], into the partition of that date, whatever the rows' times say.
pub(crate) async fn stage_on(
    date: i32,
    lake: &Lake,
    source: &str,
    lane: u8,
    [from, to]: [u64; 2],
    tables: &[&str],
) -> std::result::Result<Staged, lake::LakeError> {
    let staging = lake.stage(NOW);
    let mut files = Vec::new();
    let mut counts = TableRows::default();
    for offset in from..to {
        counts.add(NOW + offset.cast_signed() * 1_000_000);
    }
    let mut counted = BTreeMap::new();
    for table in tables.iter().copied() {
        let table = lake.catalog().get(table).unwrap().clone();
        let (reading, name) = (table.name == readings_table::NAME, table.name.clone());
        let rows = if reading { readings(source, from, to) } else { statuses(source, from, to) };
        files.extend(staging.write(table, date, [rows]).await?);
        counted.insert(name, counts);
    }
    let advance = SourceAdvance {
        key: key(source),
        lane,
        from,
        to,
        chain: to * 1000,
        appended: to + 5,
        received_us: None,
        gaps: vec![],
        tables: counted,
    };
    Ok(staging.finish(files, vec![advance]))
}

pub(crate) async fn land(
    lander: &mut Lander,
    lake: &Lake,
    source: &str,
    from: u64,
    to: u64,
) -> LandOutcome {
    let staged = stage(lake, source, LANE, from, to).await.unwrap();
    lander.land(&staged, NOW).await.unwrap()
}

/// Every offset of `source` that `table` shows to a fresh reader, sorted; an offset that is there twice is twice in it.
pub(crate) async fn offsets(lake: &Lake, table: &str, source: &str) -> Vec<i64> {
    offsets_in(lake.scan(table, &["source_id", "source_offset"]).await.unwrap(), source).await
}

/// The offsets of `source` in rows of `source_id` and `source_offset`, sorted.
pub(crate) async fn offsets_in(rows: Rows, source: &str) -> Vec<i64> {
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    let mut offsets = Vec::new();
    for batch in batches {
        let sources = batch.column(0).as_any().downcast_ref::<StringArray>().unwrap();
        let values = batch.column(1).as_any().downcast_ref::<Int64Array>().unwrap();
        offsets.extend(
            (0..batch.num_rows())
                .filter(|row| sources.value(*row) == source)
                .map(|row| values.value(row)),
        );
    }
    offsets.sort_unstable();
    offsets
}
