//! Another program at a Delta table, as delta-rs or Spark are: it knows nothing of Tidemark, rewrites files its own way, writes
//! checkpoints, and vacuums at once what the log has taken out.
//!
//! It keeps to the protocol: a commit of its counts only if no commit since its snapshot took out a file of its.

mod checkpoint;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::{SortOptions, concat_batches, sort_to_indices, take_record_batch};
use arrow::datatypes::DataType;
use bytes::Bytes;
use object_store::path::{Path, PathPart};
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use serde_json::{Value, json};
use simulator::seeded::Stream;
use url::Url;

/// Files that one rewrite takes at most.
const FILES_MAX: usize = 200;
const PARTITION: &str = "event_date";

/// One table of a lake.
pub(crate) struct ForeignTable {
    root: Arc<dyn ObjectStore>,
    folder: Path,
    known: Snapshot,
}

/// What the log says, from its beginning.
#[derive(Default)]
struct Snapshot {
    /// The next version.
    next: u64,
    /// Path → the `add` that brought it.
    active: BTreeMap<String, Value>,
    /// Path → the `remove` that took it out.
    removed: BTreeMap<String, Value>,
    /// Those whose objects may still be there.
    unswept: BTreeSet<String>,
    /// `protocol` and `metaData`.
    stated: BTreeMap<&'static str, Value>,
    /// Application id → its `txn`.
    applications: BTreeMap<String, Value>,
}

impl ForeignTable {
    pub(crate) fn open(
        lake: &str,
        environment: &[(String, String)],
        name: &str,
    ) -> anyhow::Result<Self> {
        let lake = match lake.contains("://") {
            true => lake.parse()?,
            false => Url::from_directory_path(lake).ok().context("not an absolute folder")?,
        };
        let own = std::env::vars().filter(|(name, _)| name.starts_with("AWS_"));
        let options = own.chain(environment.iter().cloned());
        let options = options.map(|(name, value)| (name.to_lowercase(), value));
        let (root, base) = object_store::parse_url_opts(&lake, options)?;
        let folder = base.join(PathPart::from(name));
        Ok(Self { root: root.into(), folder, known: Snapshot::default() })
    }

    fn path(&self, relative: &str) -> Path {
        self.folder.parts().chain(relative.split('/').map(PathPart::from)).collect()
    }

    fn entry(&self, version: u64) -> Path {
        self.path(&format!("_delta_log/{version:020}.json"))
    }

    async fn get(&self, path: &Path) -> anyhow::Result<Option<Bytes>> {
        match self.root.get(path).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads on in the log.
    async fn refresh(&mut self) -> anyhow::Result<()> {
        while let Some(entry) = self.get(&self.entry(self.known.next)).await? {
            for action in actions(&entry)? {
                if let Some(path) = action["remove"]["path"].as_str() {
                    self.known.active.remove(path);
                    self.known.unswept.insert(path.to_owned());
                    self.known.removed.insert(path.to_owned(), action["remove"].clone());
                }
                if let Some(path) = action["add"]["path"].as_str() {
                    self.known.removed.remove(path);
                    self.known.unswept.remove(path);
                    self.known.active.insert(path.to_owned(), action["add"].clone());
                }
                for part in ["protocol", "metaData"] {
                    self.known.stated.extend(action.get(part).map(|said| (part, said.clone())));
                }
                if let Some(app) = action["txn"]["appId"].as_str() {
                    self.known.applications.insert(app.to_owned(), action["txn"].clone());
                }
            }
            self.known.next += 1;
        }
        Ok(())
    }

    /// OPTIMIZE: some or all files of one date become one or two of its own making. Returns how many it took; `None`: there are none, or
    /// somebody else took one of them first.
    pub(crate) async fn optimize(
        &mut self,
        random: &mut Stream,
        now_ms: i64,
    ) -> anyhow::Result<Option<usize>> {
        self.refresh().await?;
        let (active, next) = (&self.known.active, self.known.next);
        let date = |add: &Value| add["partitionValues"][PARTITION].as_str().map(str::to_owned);
        let dates: BTreeSet<String> = active.values().filter_map(date).collect();
        if dates.is_empty() {
            return Ok(None);
        }
        let picked = usize::try_from(random.below(dates.len() as u64))?;
        let picked = dates.into_iter().nth(picked).context("one of them")?;
        let share = random.pick(&[0.4, 1.0]);
        let fit = active
            .iter()
            .filter(|(_, add)| date(add).as_ref() == Some(&picked) && random.chance(share));
        let taken = fit.take(FILES_MAX).map(|(path, add)| (path.clone(), add.clone()));
        let taken: Vec<(String, Value)> = taken.collect();
        let Some(rows) = self.rows(&taken).await? else { return Ok(None) };
        let date = picked;
        let mut commit = vec![json!({"commitInfo": {
            "timestamp": now_ms, "operation": "OPTIMIZE", "engineInfo": "somebody", "isBlindAppend": false,
            "readVersion": next.saturating_sub(1),
        }})];
        commit.extend(taken.iter().map(|(path, add)| {
            json!({"remove": {
                "path": path, "deletionTimestamp": now_ms, "dataChange": false, "extendedFileMetadata": true,
                "partitionValues": {PARTITION: date}, "size": add["size"],
            }})
        }));
        let half = rows.num_rows().div_ceil(random.pick(&[1, 2])).max(1);
        let mut made = Vec::new();
        for (part, from) in (0..rows.num_rows()).step_by(half).enumerate() {
            let rows = rows.slice(from, half.min(rows.num_rows() - from));
            let id = random.bits();
            let path = format!("{PARTITION}={date}/part-{part:05}-{id:016x}.c000.parquet");
            let bytes = encode(&rows, random)?;
            commit.push(json!({"add": {
                "path": path, "partitionValues": {PARTITION: date}, "size": bytes.len(),
                "modificationTime": now_ms, "dataChange": false,
            }}));
            self.root.put(&self.path(&path), bytes.into()).await?;
            made.push(path);
        }
        let paths: BTreeSet<String> = taken.into_iter().map(|(path, _)| path).collect();
        if self.commit(next, &commit, &paths).await? {
            return Ok(Some(paths.len()));
        }
        for path in made {
            self.root.delete(&self.path(&path)).await?;
        }
        Ok(None)
    }

    /// The rows of files, in an order of its own. `None`: there are none, or one is gone already, with the version that had it.
    async fn rows(&self, files: &[(String, Value)]) -> anyhow::Result<Option<RecordBatch>> {
        let mut batches = Vec::new();
        for (path, _) in files {
            let Some(bytes) = self.get(&self.path(path)).await? else { return Ok(None) };
            let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
            let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)?;
            for batch in reader.build()? {
                batches.push(batch?);
            }
        }
        let Some(first) = batches.first() else { return Ok(None) };
        let rows = concat_batches(&first.schema(), &batches)?;
        let is_time = |kind: &DataType| matches!(kind, DataType::Timestamp(..));
        let time = rows.columns().iter().find(|column| is_time(column.data_type()));
        let newest_first = SortOptions { descending: true, nulls_first: true };
        let order = match time {
            Some(time) => sort_to_indices(time, Some(newest_first), None)?,
            None => UInt32Array::from_iter_values((0..u32::try_from(rows.num_rows())?).rev()),
        };
        Ok(Some(take_record_batch(&rows, &order)?))
    }

    /// Puts an entry at the first free version. False: somebody took out one of `ours` before.
    async fn commit(
        &self,
        mut version: u64,
        actions_of_ours: &[Value],
        ours: &BTreeSet<String>,
    ) -> anyhow::Result<bool> {
        let lines = actions_of_ours.iter().map(|action| action.to_string() + "\n");
        let body = Bytes::from(lines.collect::<String>());
        loop {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            match self.root.put_opts(&self.entry(version), body.clone().into(), options).await {
                Ok(_) => return Ok(true),
                Err(Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let Some(winner) = self.get(&self.entry(version)).await? else {
                bail!("version {version} was there a moment ago");
            };
            let taken = |action: &Value| {
                let path = action["remove"]["path"].as_str();
                path.is_some_and(|path| ours.contains(path)) || action.get("metaData").is_some()
            };
            if actions(&winner)?.iter().any(taken) {
                return Ok(false);
            }
            version += 1;
        }
    }

    /// VACUUM with a retention of nothing: whatever the log has taken out goes now. Returns how many objects there were.
    pub(crate) async fn vacuum(&mut self) -> anyhow::Result<u64> {
        self.refresh().await?;
        let mut gone = 0;
        for path in std::mem::take(&mut self.known.unswept) {
            let path = self.path(&path);
            if self.root.head(&path).await.is_ok() {
                self.root.delete(&path).await?;
                gone += 1;
            }
        }
        Ok(gone)
    }
}

fn actions(entry: &[u8]) -> anyhow::Result<Vec<Value>> {
    let lines = entry.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    Ok(lines.map(serde_json::from_slice).collect::<Result<_, _>>()?)
}

/// A file without any statistics, in small row groups, packed otherwise.
fn encode(rows: &RecordBatch, random: &mut Stream) -> anyhow::Result<Bytes> {
    let zstd = Compression::ZSTD(ZstdLevel::try_new(9)?);
    let properties = WriterProperties::builder()
        .set_created_by("somebody".to_owned())
        .set_compression(random.pick(&[Compression::UNCOMPRESSED, zstd]))
        .set_dictionary_enabled(random.chance(0.5))
        .set_statistics_enabled(EnabledStatistics::None)
        .set_max_row_group_row_count(Some(random.pick(&[100, 1000, 100_000])))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties))?;
    writer.write(rows)?;
    Ok(writer.into_inner()?.into())
}
