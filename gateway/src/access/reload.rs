//! Reads files again when they change. A file that cannot be used any more changes nothing: what was read before stays.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use service_runtime::Stop;
use tracing::{error, info};

use super::audit::{AuditEvent, AuditLog, AuditRecord};
use super::metrics::AccessMetrics;

/// How often files are looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// What tells that a file is another one: its inode, size and time of change. A rename over it changes the inode even when the
/// clock is coarse.
type Stamp = Option<(u64, u64, i64, i64)>;

/// Files that are read together.
pub(crate) struct Watched {
    what: &'static str,
    files: Vec<PathBuf>,
    stamps: Vec<Stamp>,
    load: Box<dyn Fn() -> Result<(), String> + Send>,
}

impl Watched {
    /// Watches files whose present content has been read. `load` reads them again and puts the result in force.
    pub(crate) fn new(
        what: &'static str,
        files: Vec<PathBuf>,
        load: impl Fn() -> Result<(), String> + Send + 'static,
    ) -> Self {
        let stamps = files.iter().map(|file| stamp(file)).collect();
        Self { what, files, stamps, load: Box::new(load) }
    }

    /// Reads the files again if one has changed since they were last read.
    fn look(&mut self) -> Option<Result<(), String>> {
        let stamps: Vec<_> = self.files.iter().map(|file| stamp(file)).collect();
        if stamps == self.stamps {
            return None;
        }
        // Taken before reading: a change during it is seen the next time.
        self.stamps = stamps;
        Some((self.load)())
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.ino(), metadata.len(), metadata.ctime(), metadata.ctime_nsec()))
}

/// Looks at files until `stop`.
pub(crate) async fn run(
    mut watched: Vec<Watched>,
    audit: AuditLog,
    metrics: AccessMetrics,
    stop: Stop,
) -> anyhow::Result<()> {
    watched.iter().for_each(|group| metrics.watches(group.what));
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PERIOD) => {}
        }
        let (audit, metrics) = (audit.clone(), metrics.clone());
        // Reading files and parsing keys blocks.
        watched = tokio::task::spawn_blocking(move || {
            look(&mut watched, &audit, &metrics);
            watched
        })
        .await?;
    }
}

fn look(watched: &mut [Watched], audit: &AuditLog, metrics: &AccessMetrics) {
    for group in watched {
        let Some(result) = group.look() else { continue };
        let (event, name) = match &result {
            Ok(()) => (AuditEvent::Reloaded, "ok"),
            Err(_) => (AuditEvent::ReloadFailed, "failed"),
        };
        metrics.reload(group.what, name);
        let detail = match &result {
            Ok(()) => {
                info!(what = group.what, "read again after a change");
                group.what.to_owned()
            }
            Err(problem) => {
                error!(
                    what = group.what,
                    problem, "a changed file cannot be used: the old one holds"
                );
                format!("{}: {problem}", group.what)
            }
        };
        audit.record(AuditRecord { detail: Some(&detail), ..AuditRecord::of(event) });
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("what", &self.what).finish_non_exhaustive()
    }
}
