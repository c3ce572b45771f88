//! The crash points of what is done by hand or once in months, retention and erasure: the command dies there on a lake of a few rows,
//! is run again, and leaves what one undisturbed run leaves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use crash_point::{Point, VARIABLE};
use futures::TryStreamExt;
use lake::{Lake, OpenMode, check};
use s3_server::{Creation, S3Server};
use service_runtime::Stop;

use crate::harness::{Site, text, tidemark};
use crate::payloads::publish;

const BUCKET: &str = "crash";
const PATIENT: &str = "pat-00417";
/// Where retention's command dies, and the how-manieth time it gets there.
pub(crate) const RETENTION: [(Point, u32); 2] =
    [(Point::RetireDue, 1), (Point::RetireCommitted, 1)];
/// Where a move into an archive dies.
pub(crate) const ARCHIVE: [(Point, u32); 4] = [
    (Point::ArchiveWritten, 1),
    (Point::ArchivePlanned, 1),
    (Point::ArchiveDecided, 1),
    (Point::ArchiveApplied, 1),
];
/// Where an erasure dies: in the first and in the last table, and between two objects.
pub(crate) const ERASURE: [(Point, u32); 7] = [
    (Point::KeptWritten, 1),
    (Point::KeptWritten, 2),
    (Point::EraseCommitted, 1),
    (Point::EraseCommitted, 2),
    (Point::EraseSwept, 1),
    (Point::EraseSwept, 2),
    (Point::EraseRecorded, 1),
];

/// A lake that some messages have landed in, two of them of the patient, and one that nobody understands; with its views.
fn landed() -> &'static Path {
    static LANDED: OnceLock<(Site, PathBuf)> = OnceLock::new();
    let (_, folder) = LANDED.get_or_init(|| {
        let site = Site::new("");
        let up = site.up();
        let reading = |patient: &str, value: u32| {
            let payload = format!(
                r#"{{"metric":"heart_rate","value":{value},"patient_id":"{patient}","seq":{value}}}"#
            );
            ("dt/ward/dev/readings", payload.into_bytes())
        };
        let letter = |patient: &str| {
            ("dt/ward/dev/readings", format!("patient={patient}, and no JSON").into_bytes())
        };
        publish(&site, &[reading(PATIENT, 61), reading("pat-00418", 62), letter(PATIENT)]);
        site.wait_landed();
        publish(&site, &[reading("pat-00418", 63), reading(PATIENT, 64), letter("pat-00418")]);
        site.wait_landed();
        up.stop();
        let folder = site.folder.path().join("lake");
        let maintained = tidemark().args(["maintain", "--lake"]).arg(&folder).output().unwrap();
        assert!(maintained.status.success(), "{}", text(&maintained));
        (site, folder)
    });
    folder
}

/// A copy of that lake, on disk or behind a server of its own.
struct Copied {
    url: String,
    environment: Vec<(String, String)>,
    /// Whether it has an archive.
    archived: bool,
    stop: Stop,
    _folder: tempfile::TempDir,
}

impl Drop for Copied {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Copied {
    fn new(s3: bool) -> Self {
        let (folder, stop) = (tempfile::tempdir().unwrap(), Stop::new());
        let lake = folder.path().join(BUCKET).join("lake");
        copy(landed(), &lake);
        let (mut url, mut environment) = (lake.display().to_string(), Vec::new());
        if s3 {
            url = format!("s3://{BUCKET}/lake");
            environment = serve(folder.path(), stop.clone());
        }
        Self { url, environment, archived: false, stop, _folder: folder }
    }

    fn command(&self, arguments: &[&str], days: i64) -> Command {
        let mut command = tidemark();
        command.args(arguments).args(["--lake", &self.url]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.env("TIDEMARK_CLOCK__JUMPS", format!("0:{}", days * 24 * 3600));
        command
    }

    fn runs(&self, arguments: &[&str], days: i64) -> Output {
        let output = self.command(arguments, days).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        output
    }

    fn dies(&self, arguments: &[&str], days: i64, (point, time): (Point, u32)) {
        let mut command = self.command(arguments, days);
        command.env(VARIABLE, format!("{}:{time}", point.name()));
        let output = command.output().unwrap();
        let said = text(&output);
        assert!(said.contains("crash point") && !output.status.success(), "{point:?}: {said}");
    }

    /// What every table has, and how many objects there are of each beside its files.
    fn contents(&self) -> BTreeMap<&'static str, (Vec<String>, usize)> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let environment = self.environment.iter().cloned().collect();
            let lake = Lake::open(&self.url, &environment, OpenMode::Read).await.unwrap();
            assert_eq!(check::run(&lake).await.unwrap().findings, []);
            let store = lake::Store::open(&self.url, &environment).unwrap();
            let mut contents = BTreeMap::new();
            let identity = &["source_offset", "row_no", "device_id"][..];
            let archive = ("readings_archive", identity);
            let archive = Some(archive).filter(|_| self.archived);
            for (table, columns) in archive.into_iter().chain([
                ("readings", identity),
                ("dead_letters", identity),
                ("vitals_1m", &["device_id", "n", "mean_value"][..]),
                ("landings", &["from_offset", "to_offset", "table_name", "row_count"][..]),
            ]) {
                let rows: Vec<RecordBatch> =
                    lake.scan(table, columns).await.unwrap().try_collect().await.unwrap();
                let mut lines: Vec<String> = rows.iter().flat_map(lines).collect();
                lines.sort_unstable();
                // Of an archive, which a reader of the table gets as well, it is asked by itself.
                let files = lake.files(table).await.unwrap();
                let files = files.iter().filter(|file| *file.table == *table).count();
                let objects = store.list(table).await.unwrap();
                let objects = objects.iter().filter(|object| {
                    object.path.ends_with(".parquet") && !object.path.contains("_delta_log")
                });
                contents.insert(table, (lines, objects.count() - files));
            }
            contents
        })
    }

    /// How many records say that the erasure is done.
    fn records(&self) -> usize {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let environment = self.environment.iter().cloned().collect();
            let store = lake::Store::open(&self.url, &environment).unwrap();
            let mut complete = 0;
            for object in store.list("_tidemark/erasures").await.unwrap() {
                let record = store.get(&object.path).await.unwrap().unwrap();
                let record: lake::erase::Erasure = serde_json::from_slice(&record).unwrap();
                complete += usize::from(record.complete);
            }
            complete
        })
    }
}

/// The rows of a batch in words.
fn lines(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("-");
    let columns = batch.columns().iter();
    let columns = columns.map(|column| ArrayFormatter::try_new(column.as_ref(), &options).unwrap());
    let columns: Vec<_> = columns.collect();
    let line = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>();
    (0..batch.num_rows()).map(|row| line(row).join(" ")).collect()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Serves the folders in `root` as buckets until `stop`, and says how clients get there.
fn serve(root: &Path, stop: Stop) -> Vec<(String, String)> {
    let (root, (sender, bound)) = (root.to_owned(), std::sync::mpsc::channel());
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let address = ([127, 0, 0, 1], 0).into();
            let server = S3Server::bind(address, &root, BUCKET, Creation::Atomic).await.unwrap();
            sender.send(server.environment()).unwrap();
            server.run(stop).await.unwrap();
        });
    });
    let environment = bound.recv().unwrap();
    environment.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

/// Rows of today, seen in forty days, are ten days too old.
fn retention_dies(s3: bool) {
    let retire = ["maintain", "--retention-days", "readings=30"];
    let sweep = ["maintain"];
    let undisturbed = Copied::new(s3);
    undisturbed.runs(&retire, 40);
    // The first brings the views up to date, the second sweeps what those had before.
    for days in [50, 60] {
        undisturbed.runs(&sweep, days);
    }
    let expected = undisturbed.contents();
    assert_eq!(expected["readings"], (vec![], 0), "all went, and so did their files");
    assert!(expected["dead_letters"].0.len() == 2, "{expected:?}");
    for death in RETENTION {
        let lake = Copied::new(s3);
        lake.dies(&retire, 40, death);
        lake.runs(&retire, 40);
        for days in [50, 60] {
            lake.runs(&sweep, days);
        }
        assert_eq!(lake.contents(), expected, "{death:?}");
    }
}

fn archiving_dies(s3: bool) {
    let archive = ["maintain", "--archive-days", "readings=30"];
    let sweep = ["maintain"];
    let mut undisturbed = Copied::new(s3);
    let before = undisturbed.contents();
    undisturbed.archived = true;
    undisturbed.runs(&archive, 40);
    for days in [50, 60] {
        undisturbed.runs(&sweep, days);
    }
    let expected = undisturbed.contents();
    let all = before["readings"].0.clone();
    assert_eq!(expected["readings_archive"].0, all, "all moved");
    assert_eq!(
        expected["readings"],
        (all, 0),
        "a reader has each once, and the files that were there went"
    );
    // What the object store adds is seen at one of them.
    for death in ARCHIVE.into_iter().filter(|(point, _)| !s3 || *point == Point::ArchiveDecided) {
        let mut lake = Copied::new(s3);
        lake.archived = true;
        lake.dies(&archive, 40, death);
        lake.runs(&archive, 40);
        for days in [50, 60] {
            lake.runs(&sweep, days);
        }
        assert_eq!(lake.contents(), expected, "{death:?}");
    }
}

fn erasure_dies(s3: bool) {
    let erase = ["erase", "--patient", PATIENT, "--reference", "request 7", "--yes"];
    let undisturbed = Copied::new(s3);
    undisturbed.runs(&erase, 1);
    let expected = undisturbed.contents();
    assert!(expected.values().all(|(_, superseded)| *superseded == 0), "{expected:?}");
    assert_eq!(undisturbed.records(), 1);
    for death in ERASURE {
        let lake = Copied::new(s3);
        lake.dies(&erase, 1, death);
        if death.0 != Point::EraseRecorded {
            assert_eq!(lake.records(), 0, "{death:?}: it does not say that it is done");
            // What a killed run has just written may be of a landing under way: seen a day later it is not.
            lake.runs(&erase, 2);
        }
        assert_eq!(lake.contents(), expected, "{death:?}");
        assert_eq!(lake.records(), 1, "{death:?}");
    }
}

#[test]
fn inv14_retention_dies_before_and_after_its_commit() {
    retention_dies(false);
}

#[test]
fn inv14_retention_dies_before_and_after_its_commit_in_s3() {
    retention_dies(true);
}

#[test]
fn inv14_a_move_into_an_archive_dies_at_each_of_its_steps() {
    archiving_dies(false);
}

#[test]
fn inv14_a_move_into_an_archive_dies_at_each_of_its_steps_in_s3() {
    archiving_dies(true);
}

#[test]
fn inv14_an_erasure_dies_at_each_of_its_steps() {
    erasure_dies(false);
}

#[test]
fn inv14_an_erasure_dies_at_each_of_its_steps_in_s3() {
    erasure_dies(true);
}
