//! The audit log: one JSON line for each connection, refusal and change, in files of bounded size.
//!
//! Writing it never holds anything up: what does not fit into the queue or onto the disk is counted and left out.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use service_runtime::files::Readers;
use service_runtime::{Clock, Stop};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::config::AuditConfig;
use super::fair::Fair;
use super::metrics::AccessMetrics;
pub(crate) use super::record::{AuditEvent, AuditRecord};

/// It says who was there and when.
const READERS: Readers = Readers::Owner;
/// Records that wait to be written; further ones are counted and left out.
const QUEUE_MAX: usize = 4096;
/// Records that are written at once.
const BATCH_MAX: usize = 256;
/// Free places in the queue below which those come first who say little.
const CROWDED: usize = QUEUE_MAX / 4;

#[derive(Serialize)]
struct Line<'a> {
    at: String,
    #[serde(flatten)]
    record: AuditRecord<'a>,
    /// Records of the same party since its last one that were only counted.
    #[serde(skip_serializing_if = "is_zero")]
    left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Takes records. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AuditLog {
    queue: Option<mpsc::Sender<Vec<u8>>>,
    fair: Arc<Mutex<Fair>>,
    clock: Clock,
    metrics: AccessMetrics,
}

/// Writes them: run it as a task.
#[derive(Debug)]
pub(crate) struct AuditWriter {
    queue: mpsc::Receiver<Vec<u8>>,
    files: Files,
    metrics: AccessMetrics,
    /// Records that the disk has not taken since it took one last.
    lost: u64,
}

/// The file in use and those put aside.
#[derive(Debug)]
struct Files {
    path: PathBuf,
    bytes_max: u64,
    files_max: u32,
    open: Option<(File, u64)>,
}

impl AuditLog {
    /// Opens the file, if the settings name one.
    pub(crate) fn open(
        config: &AuditConfig,
        clock: Clock,
        metrics: AccessMetrics,
    ) -> io::Result<(Self, Option<AuditWriter>)> {
        let mut log = Self { queue: None, fair: Arc::default(), clock, metrics };
        let Some(path) = &config.file else { return Ok((log, None)) };
        let AuditConfig { bytes_max, files_max, .. } = *config;
        let mut files = Files { path: path.clone(), bytes_max, files_max, open: None };
        files.file()?;
        READERS.warn_about("audit log", path);
        let (sender, queue) = mpsc::channel(QUEUE_MAX);
        log.queue = Some(sender);
        let metrics = log.metrics.clone();
        Ok((log, Some(AuditWriter { queue, files, metrics, lost: 0 })))
    }

    /// Takes a record.
    pub(crate) fn record(&self, record: AuditRecord<'_>) {
        let Some(queue) = &self.queue else { return };
        let crowded = queue.capacity() < CROWDED;
        let admitted = {
            let mut fair = self.fair.lock().unwrap_or_else(PoisonError::into_inner);
            fair.admit(&record, crowded, self.clock.uptime())
        };
        let Some(left_out) = admitted else {
            self.metrics.audit_left_out.inc();
            return;
        };
        let at = DateTime::from_timestamp_micros(self.clock.now_us()).unwrap_or_default();
        let at = at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let taken = serde_json::to_vec(&Line { at, record, left_out }).is_ok_and(|mut line| {
            line.push(b'\n');
            queue.try_send(line).is_ok()
        });
        if !taken {
            self.metrics.audit_left_out.inc();
        }
    }
}

impl AuditWriter {
    /// Writes until `stop`, then what is still queued.
    pub(crate) async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                biased;
                _ = self.queue.recv_many(&mut batch, BATCH_MAX) => {}
                () = stop.cancelled() => self.queue.close(),
            }
            if batch.is_empty() && self.queue.is_closed() && self.queue.is_empty() {
                return Ok(());
            }
            let lines = std::mem::take(&mut batch);
            let count = lines.len() as u64;
            let mut files = self.files;
            let (files, written) = tokio::task::spawn_blocking(move || {
                let written = files.write(&lines.concat());
                (files, written)
            })
            .await?;
            self.files = files;
            self.tell(written, count);
        }
    }

    /// Says when it begins to fail and when that is over: a full disk is one trouble, however many records come.
    fn tell(&mut self, written: io::Result<()>, count: u64) {
        let file = self.files.path.display();
        match written {
            Ok(()) if self.lost > 0 => {
                info!(%file, left_out = self.lost, "the audit log is written again");
                self.lost = 0;
            }
            Ok(()) => {}
            // A full disk must not stop the gateway. The next batch tries again.
            Err(error) => {
                if self.lost == 0 {
                    warn!(%error, %file, "cannot write the audit log: records are left out until it takes them again");
                }
                self.lost += count;
                self.metrics.audit_left_out.inc_by(count);
            }
        }
    }
}

impl Files {
    fn file(&mut self) -> io::Result<&mut (File, u64)> {
        if self.open.is_none() {
            let mut options = READERS.options();
            let mut file = options.create(true).append(true).read(true).open(&self.path)?;
            end_line(&mut file)?;
            let bytes = file.metadata()?.len();
            self.open = Some((file, bytes));
        }
        self.open.as_mut().ok_or_else(|| io::Error::other("not open"))
    }

    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let bytes_max = self.bytes_max;
        let (_, bytes) = self.file()?;
        if *bytes > 0 && *bytes + lines.len() as u64 > bytes_max {
            self.rotate()?;
        }
        let (file, bytes) = self.file()?;
        let written = file.write_all(lines);
        *bytes += lines.len() as u64;
        if written.is_err() {
            self.open = None;
        }
        written
    }

    /// Puts the file aside; the oldest one goes.
    fn rotate(&mut self) -> io::Result<()> {
        self.open = None;
        for number in (1..self.files_max).rev() {
            rename(&self.numbered(number), &self.numbered(number + 1))?;
        }
        match self.files_max {
            0 => fs::remove_file(&self.path),
            _ => rename(&self.path, &self.numbered(1)),
        }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }
}

/// Half a record, which a kill or a full disk has left, must not spoil the one behind it.
fn end_line(file: &mut File) -> io::Result<()> {
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last == [b'\n'] { Ok(()) } else { file.write_all(b"\n") }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: &Path) -> AuditConfig {
        AuditConfig { file: Some(path.to_owned()), bytes_max: 4096, files_max: 2 }
    }

    async fn write(config: &AuditConfig, records: impl FnOnce(&AuditLog)) -> AccessMetrics {
        let metrics = AccessMetrics::default();
        let opened = AuditLog::open(config, Clock::default(), metrics.clone()).unwrap();
        let (log, writer) = opened;
        records(&log);
        let stop = Stop::new();
        stop.cancel();
        writer.unwrap().run(stop).await.unwrap();
        metrics
    }

    #[tokio::test]
    async fn a_record_is_one_json_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        write(&config(&path), |log| {
            log.record(AuditRecord {
                identity: Some("mon-1"),
                detail: Some("a \"quoted\"\nline"),
                peer: Some(([10, 0, 0, 7], 1).into()),
                ..AuditRecord::of(AuditEvent::Refused)
            });
        })
        .await;
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["event"], "refused");
        assert_eq!(line["peer"], "10.0.0.7:1");
        assert!(line["at"].as_str().unwrap().ends_with('Z') && line.get("topic").is_none());
    }

    #[tokio::test]
    async fn half_a_record_spoils_none_that_comes_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        fs::write(&path, "{\"at\":\"2026-11-27T08:44:00Z\",\"event\":\"conn").unwrap();
        for _ in 0..2 {
            write(&config(&path), |log| log.record(AuditRecord::of(AuditEvent::Connected))).await;
        }
        let text = fs::read_to_string(&path).unwrap();
        let read = |line: &str| serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert_eq!(text.lines().map(read).collect::<Vec<_>>(), [false, true, true]);
    }

    #[tokio::test]
    async fn files_are_bounded_in_size_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        for _ in 0..20 {
            write(&config(&path), |log| {
                for _ in 0..10 {
                    log.record(AuditRecord::of(AuditEvent::Connected));
                }
            })
            .await;
        }
        let mut sizes = fs::read_dir(folder.path()).unwrap().map(|file| {
            let file = file.unwrap();
            (file.file_name().into_string().unwrap(), file.metadata().unwrap().len())
        });
        assert!(sizes.all(|(_, bytes)| bytes <= 4096));
        let count = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(count, 3, "the file and two put aside");
    }

    fn denied(name: &str) -> AuditRecord<'_> {
        AuditRecord {
            identity: Some(name),
            proof: Some("password"),
            ..AuditRecord::of(AuditEvent::PublishDenied)
        }
    }

    #[tokio::test]
    async fn a_flood_of_one_hides_nothing_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let config = AuditConfig { bytes_max: 1 << 20, ..config(&path) };
        write(&config, |log| {
            for n in 0..10_000_u32 {
                log.record(denied("flood"));
                // One address that tries names: none of them is proved, whoever's it is.
                let name = if n % 2 == 0 { "mon-1" } else { "x" };
                log.record(AuditRecord {
                    identity: Some(name),
                    peer: Some(([10, 0, 0, 7], 1).into()),
                    ..AuditRecord::of(AuditEvent::Refused)
                });
            }
            log.record(denied("mon-1"));
            log.record(AuditRecord {
                peer: Some(([10, 0, 0, 8], 1).into()),
                ..AuditRecord::of(AuditEvent::Refused)
            });
        })
        .await;
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.len() < 500, "{}", lines.len());
        let has = |key: &str, value: &str, event: &str| {
            lines.iter().any(|line| line[key] == value && line["event"] == event)
        };
        assert!(has("identity", "mon-1", "publish_denied"), "{text}");
        assert!(has("peer", "10.0.0.8:1", "refused"), "{text}");
    }

    #[tokio::test]
    async fn refusals_are_limited_and_those_left_out_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let metrics = write(&config(&path), |log| {
            for _ in 0..1000 {
                log.record(denied("mon-1"));
            }
        })
        .await;
        let written = fs::read_to_string(&path).unwrap().lines().count() as u64;
        assert!((50..=150).contains(&written), "{written}");
        assert_eq!(written + metrics.audit_left_out.get(), 1000);
    }

    #[tokio::test]
    async fn a_disk_that_takes_nothing_stops_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone").join("audit.jsonl");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let metrics = AccessMetrics::default();
        let opened = AuditLog::open(&config(&path), Clock::default(), metrics.clone()).unwrap();
        let (log, writer) = opened;
        let mut writer = writer.unwrap();
        writer.files.open = None;
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
        log.record(AuditRecord::of(AuditEvent::Connected));
        let stop = Stop::new();
        stop.cancel();
        writer.run(stop).await.unwrap();
        assert_eq!(metrics.audit_left_out.get(), 1);
    }
}
