//! All merges of a table that are due, one after the other.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::pace::Pace;
use super::rewrite::{Outcome, Place, Rewritten};
use super::select::{self, Now};
use super::{Left, Merged, Step};
use crate::date::date_text;
use crate::delta::{ActiveFile, TableLog};
use crate::error::LakeError;
use crate::store::Store;
use crate::table::Table;

/// Merges of one table in one run at most: then the others have their turn.
const MERGES_MAX: usize = 10_000;

/// A table's files by date, and the log at whose version they are part of it.
struct Snapshot {
    log: TableLog,
    dates: BTreeMap<i32, Vec<ActiveFile>>,
}

impl Snapshot {
    async fn load(lake: &Store, table: &Arc<Table>) -> Result<Option<Self>, LakeError> {
        let Some((log, active)) = TableLog::load_with_files(lake, table).await? else {
            return Ok(None);
        };
        // Files of ours would lack what the table has, or have what nobody sees.
        log.fit().writable(table)?;
        let mut dates: BTreeMap<i32, Vec<ActiveFile>> = BTreeMap::new();
        for file in active.into_files() {
            if let Some(date) = file.date {
                dates.entry(date).or_default().push(file);
            }
        }
        Ok(Some(Self { log, dates }))
    }

    fn paths(&self) -> impl Iterator<Item = &String> {
        self.dates.values().flatten().map(|file| &file.path)
    }

    fn retain(&mut self, known: &HashSet<String>) {
        self.dates.values_mut().for_each(|files| files.retain(|file| known.contains(&file.path)));
    }
}

/// What a run over a table has to know.
pub(crate) struct Compaction<'a> {
    pub(crate) lake: &'a Store,
    pub(crate) table: &'a Arc<Table>,
    pub(crate) now: Now,
    pub(crate) dry_run: bool,
    pub(crate) told: &'a (dyn Fn(&Step) + Sync),
}

/// What a run over a table did.
pub(crate) struct Compacted {
    pub(crate) merged: Merged,
    pub(crate) left: Vec<Left>,
}

impl Compaction<'_> {
    /// Merges what is due. Returns what it did and what it could not; `None`: there is no table.
    ///
    /// # Errors
    /// [`LakeError::Stopped`], [`LakeError::Unproven`], else as the store fails; what is merged is merged.
    pub(crate) async fn run(&self, pace: &mut Pace) -> Result<Option<Compacted>, LakeError> {
        let (mut merged, mut left) = (Merged::default(), Vec::new());
        let Some(mut snapshot) = Snapshot::load(self.lake, self.table).await? else {
            return Ok(None);
        };
        // What lands from now on is for the next run: else one that is slower than landings would never end.
        let mut known: HashSet<String> = snapshot.paths().cloned().collect();
        let (mut distrusted, mut from) = (HashSet::new(), i32::MIN);
        let mut skipped: HashSet<String> = HashSet::new();
        for _ in 0..MERGES_MAX {
            let Some((date, files)) = self.due(&snapshot, from, &skipped) else { break };
            from = date;
            (self.told)(&self.step(date, &files, false));
            if self.dry_run {
                merged.add(&files, None);
                let taken: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
                forget(&mut snapshot, date, &taken);
                continue;
            }
            let version = snapshot.log.version();
            let (lake, log) = (self.lake, &mut snapshot.log);
            let mut place = Place { lake, log, distrusted: &distrusted, pace };
            let merging = place.merge(date, files.clone(), self.now.ms).await;
            let Rewritten { outcome, left: refused } = match merging {
                Err(LakeError::Disorder { path, .. }) => {
                    distrusted.insert(path);
                    continue;
                }
                merging => refusing(merging, &files)?,
            };
            skipped.extend(refused.iter().map(|(file, _)| file.path.clone()));
            left.extend(refused.iter().map(|(file, error)| Left::new(file, error)));
            let stale = match outcome {
                Outcome::Merged { used, made } => {
                    merged.add(&used, Some(&made));
                    (self.told)(&self.step(date, std::slice::from_ref(&made), true));
                    let gone: Vec<String> = used.into_iter().map(|file| file.path).collect();
                    forget(&mut snapshot, date, &gone);
                    known.insert(made.path.clone());
                    snapshot.dates.entry(date).or_default().push(made);
                    // Somebody else may have taken out others at the versions in between.
                    snapshot.log.version() != version + 1
                }
                Outcome::GaveWay => {
                    merged.gave_way += 1;
                    // Whoever it is goes on there.
                    from = date.saturating_add(1);
                    true
                }
                Outcome::Nothing => {
                    // Without the files that can't be merged there may be another merge.
                    from = if refused.is_empty() { date.saturating_add(1) } else { date };
                    false
                }
            };
            if stale {
                let Some(fresh) = Snapshot::load(self.lake, self.table).await? else { break };
                snapshot = fresh;
                snapshot.retain(&known);
            }
        }
        Ok(Some(Compacted { merged, left }))
    }

    fn due(
        &self,
        snapshot: &Snapshot,
        from: i32,
        skipped: &HashSet<String>,
    ) -> Option<(i32, Vec<ActiveFile>)> {
        snapshot.dates.range(from..).find_map(|(date, files)| {
            let files = files.iter().filter(|file| !skipped.contains(&file.path));
            let job = select::next(*date, files, self.now)?;
            Some((*date, job.into_iter().cloned().collect()))
        })
    }

    fn step(&self, date: i32, files: &[ActiveFile], done: bool) -> Step {
        let (table, date) = (self.table.name.to_string(), date_text(date));
        let bytes = files.iter().map(|file| file.bytes).sum();
        let files = files.len() as u64;
        if done {
            Step::Merged { table, date, bytes }
        } else {
            Step::Merging { table, date, files, bytes }
        }
    }
}

/// What is wrong with these files is no error of others.
fn refusing(
    merging: Result<Rewritten, LakeError>,
    files: &[ActiveFile],
) -> Result<Rewritten, LakeError> {
    match merging {
        Err(error) if error.is_of_a_file() => {
            let reason = Left::new(&files[0], &error).reason;
            let left =
                files.iter().map(|file| (file.clone(), LakeError::damaged(&file.path, &reason)));
            Ok(Rewritten { outcome: Outcome::Nothing, left: left.collect() })
        }
        merging => merging,
    }
}

fn forget(snapshot: &mut Snapshot, date: i32, gone: &[String]) {
    let gone: HashSet<&String> = gone.iter().collect();
    if let Some(files) = snapshot.dates.get_mut(&date) {
        files.retain(|file| !gone.contains(&file.path));
    }
}
