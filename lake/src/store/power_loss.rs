//! The power fails: after any file operation of a run with landings and upkeep, what was not synced is forgotten, and
//! everything that had been reported as landed must be readable, exactly once.
//!
//! A recording disk does every operation for real and writes it down. For each prefix of that record two disks are worked
//! out that a power failure may leave: one that kept nothing but what was synced, and one that kept every name and lost
//! (half of) the contents that were not. The lake is opened on both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, Mutex};

use arrow::array::{
    ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use url::Url;

use super::Store;
use super::disk::{Disk, Real};
use super::local::FsyncLocal;
use crate::date::date_of;
use crate::lander::{LandOutcome, Lander};
use crate::landing::{SourceAdvance, SourceKey, TableRows};
use crate::maintain::{LOG_RETENTION_US, run_once};
use crate::table::{Kind, Table};
use crate::tables::{device_status, readings};
use crate::{Lake, OpenMode};

const NOW: i64 = 1_785_542_400_000_000;
const LANE: u8 = 7;

#[derive(Clone, Debug)]
enum Operation {
    Create(PathBuf),
    Write(PathBuf, u64, Vec<u8>),
    SyncFile(PathBuf),
    Rename(PathBuf, PathBuf),
    Link(PathBuf, PathBuf),
    SyncFolder(PathBuf),
    CreateFolder(PathBuf),
    Remove(PathBuf),
}

/// Does everything for real, and writes it down.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<Operation>>);

impl Recorder {
    /// The record's order is the order in which things happened: they happen one at a time.
    fn note<T>(&self, operation: Operation, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut record = self.0.lock().unwrap();
        let done = work()?;
        record.push(operation);
        Ok(done)
    }
}

impl Disk for Recorder {
    fn create(&self, path: &FsPath) -> io::Result<File> {
        self.note(Operation::Create(path.into()), || Real::default().create(path))
    }
    fn write_at(&self, path: &FsPath, file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
        let operation = Operation::Write(path.into(), at, bytes.into());
        self.note(operation, || Real::default().write_at(path, file, bytes, at))
    }
    // Not synced for real: that would only take time.
    fn sync_file(&self, path: &FsPath, _file: &File) -> io::Result<()> {
        self.note(Operation::SyncFile(path.into()), || Ok(()))
    }
    fn rename(&self, from: &FsPath, to: &FsPath) -> io::Result<()> {
        self.note(Operation::Rename(from.into(), to.into()), || Real::default().rename(from, to))
    }
    fn hard_link(&self, from: &FsPath, to: &FsPath) -> io::Result<()> {
        self.note(Operation::Link(from.into(), to.into()), || Real::default().hard_link(from, to))
    }
    fn sync_folder(&self, folder: &FsPath) -> io::Result<()> {
        self.note(Operation::SyncFolder(folder.into()), || Ok(()))
    }
    fn create_folder(&self, folder: &FsPath) -> io::Result<()> {
        self.note(Operation::CreateFolder(folder.into()), || Real::default().create_folder(folder))
    }
    fn remove(&self, path: &FsPath) -> io::Result<()> {
        self.note(Operation::Remove(path.into()), || Real::default().remove(path))
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Entry {
    File(usize),
    Folder,
}

/// The files that a power failure left.
type Left = BTreeMap<PathBuf, Vec<u8>>;

/// A disk as it would be seen, and as it would be after a power failure.
#[derive(Default)]
struct Platter {
    /// Contents, and what of them is synced.
    files: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    names: BTreeMap<PathBuf, Entry>,
    synced: BTreeMap<PathBuf, Entry>,
}

impl Platter {
    fn file(&mut self, path: &FsPath) -> &mut (Vec<u8>, Option<Vec<u8>>) {
        let Some(Entry::File(number)) = self.names.get(path) else { panic!("{path:?}") };
        &mut self.files[*number]
    }

    fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Create(path) => {
                self.files.push((Vec::new(), None));
                self.names.insert(path.clone(), Entry::File(self.files.len() - 1));
            }
            Operation::Write(path, at, bytes) => {
                let (contents, at) = (&mut self.file(path).0, usize::try_from(*at).unwrap());
                contents.resize(contents.len().max(at + bytes.len()), 0);
                contents[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Operation::SyncFile(path) => {
                let file = self.file(path);
                file.1 = Some(file.0.clone());
            }
            Operation::Rename(from, to) => {
                let entry = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), entry);
            }
            Operation::Link(from, to) => {
                let entry = self.names[from].clone();
                self.names.insert(to.clone(), entry);
            }
            Operation::SyncFolder(folder) => {
                let inside = |path: &PathBuf| path.parent() == Some(folder);
                self.synced.retain(|path, _| !inside(path));
                let names = self.names.iter().filter(|(path, _)| inside(path));
                self.synced.extend(names.map(|(path, entry)| (path.clone(), entry.clone())));
            }
            Operation::CreateFolder(folder) => {
                self.names.insert(folder.clone(), Entry::Folder);
            }
            Operation::Remove(path) => {
                self.names.remove(path);
            }
        }
    }

    /// What is there when the power is back: only names that were synced, or all names.
    fn after(&self, all_names: bool, root: &FsPath) -> Left {
        let mut left = Left::new();
        let names = if all_names { &self.names } else { &self.synced };
        for (path, entry) in names {
            let Entry::File(number) = entry else { continue };
            // A synced name is worth nothing in a folder that is lost.
            let mut folders = path.ancestors().skip(1).take_while(|folder| *folder != root);
            // `#` and digits: staging files, which the store does not show.
            if !folders.all(|folder| names.contains_key(folder))
                || path.to_string_lossy().contains('#')
            {
                continue;
            }
            let (contents, synced) = &self.files[*number];
            let torn = || contents[..contents.len() / 2].to_vec();
            let contents = synced.clone().unwrap_or_else(torn);
            left.insert(path.clone(), contents);
        }
        left
    }
}

/// One row per offset, made up as the table's columns want it.
fn rows(table: &Table, [from, to]: [u64; 2]) -> RecordBatch {
    let offsets: Vec<i64> = (from..to).map(u64::cast_signed).collect();
    let columns = table.file_columns().map(|column| -> ArrayRef {
        match column.kind {
            Kind::Long => Arc::new(Int64Array::from(offsets.clone())),
            Kind::Int => Arc::new(Int32Array::from(vec![0; offsets.len()])),
            Kind::Double => Arc::new(Float64Array::from(vec![1.0; offsets.len()])),
            Kind::Timestamp => {
                let times = TimestampMicrosecondArray::from(vec![NOW; offsets.len()]);
                Arc::new(times.with_timezone("UTC"))
            }
            _ => Arc::new(StringArray::from(vec!["gw"; offsets.len()])),
        }
    });
    RecordBatch::try_new(table.file_arrow(), columns.collect()).unwrap()
}

fn key() -> SourceKey {
    SourceKey { source_id: "gw".into(), epoch: 1 }
}

async fn land(lake: &Lake, lander: &mut Lander, [from, to]: [u64; 2]) {
    let staging = lake.stage(NOW);
    let (mut files, mut tables) = (Vec::new(), BTreeMap::new());
    for table in [readings::table(), device_status::table()].map(Arc::new) {
        files.extend(
            staging.write(table.clone(), date_of(NOW), [rows(&table, [from, to])]).await.unwrap(),
        );
        tables.insert(table.name.clone(), TableRows { rows: to - from, time: Some((NOW, NOW)) });
    }
    let (chain, appended, gaps) = (to, to, vec![]);
    let advance = SourceAdvance {
        key: key(),
        lane: LANE,
        from,
        to,
        chain,
        appended,
        received_us: None,
        gaps,
        tables,
    };
    let outcome = lander.land(&staging.finish(files, vec![advance]), NOW).await.unwrap();
    assert!(matches!(outcome, LandOutcome::Landed { .. }), "{outcome:?}");
}

/// A run with a checkpoint, log clean-up and a restart between its landings. Returns the record, and for each promise (all
/// below this offset is landed) how long the record was when it was given.
async fn recorded(root: &FsPath) -> (Vec<Operation>, Vec<(usize, u64)>) {
    let recorder = Arc::new(Recorder::default());
    let local = Arc::new(FsyncLocal::on(recorder.clone()));
    // The lake's folder is made by the first write.
    let url = Url::from_directory_path(root.join("data/lake")).unwrap();
    let store = Store::on(local, url).unwrap();
    let length = || recorder.0.lock().unwrap().len();
    let mut promises = Vec::new();
    let lake = Lake::open_on(store.clone(), OpenMode::Create).await.unwrap();
    let mut lander = Lander::open(&lake, "w", [LANE], NOW).await.unwrap();
    for range in [[0, 3], [3, 4]] {
        land(&lake, &mut lander, range).await;
        promises.push((length(), range[1]));
    }
    let future = chrono::Utc::now().timestamp_micros() + 2 * LOG_RETENTION_US;
    let removed: usize = run_once(&lake, 1, future).await.unwrap().iter().map(|m| m.removed).sum();
    assert!(removed > 0);
    let mut lander = Lander::open(&lake, "w", [LANE], NOW).await.unwrap();
    land(&lake, &mut lander, [4, 6]).await;
    promises.push((length(), 6));
    let record = recorder.0.lock().unwrap().clone();
    (record, promises)
}

async fn offsets(lake: &Lake, table: &Table) -> Vec<i64> {
    let rows = lake.scan(&table.name, &["source_offset"]).await.unwrap();
    let batches: Vec<RecordBatch> = rows.try_collect().await.unwrap();
    let values = batches.iter().map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
    let mut offsets: Vec<i64> = values.flat_map(|values| values.to_vec()).collect();
    offsets.sort_unstable();
    offsets
}

/// Opens what is left as a process does that starts after the power failure, and goes on.
async fn goes_on(left: &Left, url: &Url, promised: u64) {
    let root = InMemory::new();
    for (path, contents) in left {
        let path = Path::from_absolute_path(path).unwrap();
        root.put(&path, contents.clone().into()).await.unwrap();
    }
    let store = Store::on(Arc::new(root), url.clone()).unwrap();
    let lake = Lake::open_on(store, OpenMode::Create).await.unwrap();
    let mut lander = Lander::open(&lake, "next", [LANE], NOW).await.unwrap();
    let landed = lander.positions().get(&key()).map_or(0, |at| at.landed);
    assert!(landed >= promised, "landed to {landed}, {promised} were promised");
    land(&lake, &mut lander, [landed, landed + 1]).await;
    let expected: Vec<i64> = (0..=landed.cast_signed()).collect();
    for table in [readings::table(), device_status::table()].map(Arc::new) {
        assert_eq!(offsets(&lake, &table).await, expected, "{}", table.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv7_what_was_reported_as_landed_survives_a_power_failure_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let (record, promises) = recorded(root).await;
    let url = Url::from_directory_path(root.join("data/lake")).unwrap();
    let (mut platter, mut seen) = (Platter::default(), BTreeSet::new());
    for (at, operation) in record.iter().enumerate() {
        platter.apply(operation);
        // The self-test's objects come and go before there is anything to lose.
        if format!("{operation:?}").contains("selftest") {
            continue;
        }
        let promised = promises.iter().filter(|(length, _)| *length <= at + 1).map(|(_, to)| *to);
        let promised = promised.max().unwrap_or(0);
        for all_names in [false, true] {
            let left = platter.after(all_names, root);
            // Most operations leave behind what the one before them did.
            if seen.insert((promised, left.clone())) {
                goes_on(&left, &url, promised).await;
            }
        }
    }
    assert!(seen.len() > 60, "{} different disks", seen.len());
}

/// A process made a folder and was killed before it synced the name; the next one finds the folder and must not rely on it.
#[tokio::test]
async fn inv7_a_folder_of_a_killed_process_is_not_taken_for_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (root, recorder) = (folder.path(), Arc::new(Recorder::default()));
    recorder.create_folder(&root.join("lake")).unwrap();
    recorder.create_folder(&root.join("lake/readings")).unwrap();
    let path = root.join("lake/readings/file");
    let store = FsyncLocal::on(recorder.clone());
    store.put(&Path::from_absolute_path(&path).unwrap(), "rows".into()).await.unwrap();
    let mut platter = Platter::default();
    for operation in &*recorder.0.lock().unwrap() {
        platter.apply(operation);
    }
    assert_eq!(platter.after(false, root), Left::from([(path, b"rows".to_vec())]));
}
