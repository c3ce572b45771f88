//! One table's log: replayed for application versions (`txn`), and appended to with every winner inspected.
//!
//! Only the `txn`s, the table's id and the version are kept in memory, so a log may be held for ever: unlike a full
//! snapshot it does not grow with the files.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

use super::action::{Entry, Rewrite, Widening, lines};
use super::active::Active;
use super::fit::Fit;
use super::replay::Replay;
use crate::error::LakeError;
use crate::store::{Created, Store};
use crate::table::Table;

/// Attempts to learn the outcome of one put before giving up.
const ATTEMPTS: u32 = 4;
/// Pause before the second attempt; doubles each time.
const PAUSE: Duration = Duration::from_millis(100);

/// The log of one table as of [`TableLog::version`].
#[derive(Debug)]
pub(crate) struct TableLog {
    store: Store,
    table: Arc<Table>,
    id: String,
    fit: Fit,
    append_only: bool,
    version: u64,
    txns: HashMap<String, i64>,
    compacted_ms: Option<i64>,
}

/// How an append ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// Our entry is in the log, at this version.
    At(u64),
    /// Somebody moved one of our application ids first. The log is up to date with them.
    Conflict,
    /// Our entry was written where clean-up had already been, so it may be behind the log's start and count for nothing. The
    /// log was reloaded; look whether it knows our commit.
    Reloaded,
}

/// What a commit of ours stands on: nobody else may have moved it.
#[derive(Debug, Default)]
struct Ours {
    txns: BTreeMap<String, i64>,
    /// The files that it takes out.
    inputs: HashSet<String>,
}

impl TableLog {
    /// Replays the log of `table` below `lake`, or returns `None` if there is no such table.
    ///
    /// # Errors
    /// [`LakeError::Unsupported`] if the table needs Delta features that we don't write; [`LakeError::Damaged`] or
    /// [`LakeError::Store`] if the log can't be read.
    pub(crate) async fn load(lake: &Store, table: &Arc<Table>) -> Result<Option<Self>, LakeError> {
        let loaded = Self::replayed(lake, table, Replay::default()).await?;
        Ok(loaded.map(|(log, _)| log))
    }

    /// As [`TableLog::load`], with the table's files at that version.
    ///
    /// # Errors
    /// As [`TableLog::load`].
    pub(crate) async fn load_with_files(
        lake: &Store,
        table: &Arc<Table>,
    ) -> Result<Option<(Self, Active)>, LakeError> {
        let replay = Replay { active: Some(Active::default()), ..Replay::default() };
        let loaded = Self::replayed(lake, table, replay).await?;
        Ok(loaded.map(|(log, active)| (log, active.unwrap_or_default())))
    }

    async fn replayed(
        lake: &Store,
        table: &Arc<Table>,
        mut replay: Replay,
    ) -> Result<Option<(Self, Option<Active>)>, LakeError> {
        let store = lake.child(&table.name);
        let mut next = 0;
        if let Some(checkpoint) = last_checkpoint(&store).await? {
            let path = checkpoint_path(checkpoint);
            let bytes = store.get(&path).await?;
            let bytes = bytes.ok_or_else(|| {
                LakeError::damaged(&path, "_last_checkpoint names it, but it isn't there")
            })?;
            replay.checkpoint(table, &path, bytes)?;
            next = checkpoint + 1;
        }
        while let Some(entry) = store.get(&entry_path(next)).await? {
            replay.entry(table, &entry_path(next), &entry)?;
            next += 1;
        }
        replay.supported(table)?;
        let Some(id) = replay.id.clone() else {
            if next == 0 && !listed(&store).await?.is_empty() {
                let reason =
                    "its log has no beginning: neither entry 0 nor `_last_checkpoint` is there";
                return match store.get(&entry_path(0)).await? {
                    // Made by somebody a moment ago.
                    Some(_) => {
                        let active = replay.active.map(|_| Active::default());
                        let fresh = Replay { active, ..Replay::default() };
                        Box::pin(Self::replayed(lake, table, fresh)).await
                    }
                    None => Err(lake.not_whole(&table.name, reason)),
                };
            }
            return Ok(None);
        };
        let Replay { fit, txns, compacted_ms, active, append_only, .. } = replay;
        let (table, version) = (table.clone(), next - 1);
        let log = Self { store, table, id, fit, append_only, version, txns, compacted_ms };
        Ok(Some((log, active)))
    }

    /// The table.
    pub(crate) fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The table's id, made at its creation.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// How the table's schema stands to ours.
    pub(crate) fn fit(&self) -> &Fit {
        &self.fit
    }

    /// Whether the table says that no row may be removed.
    pub(crate) fn is_append_only(&self) -> bool {
        self.append_only
    }

    /// The table's folder, for people.
    pub(crate) fn address(&self) -> String {
        self.store.url().to_string()
    }

    /// The last version replayed.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// The version of application `id`, or 0 if it has none.
    pub(crate) fn txn(&self, id: &str) -> i64 {
        self.txns.get(id).copied().unwrap_or(0)
    }

    /// All application versions.
    pub(crate) fn txns(&self) -> &HashMap<String, i64> {
        &self.txns
    }

    /// When files of the table were merged last, Unix milliseconds, as of the load.
    pub(crate) fn compacted_ms(&self) -> Option<i64> {
        self.compacted_ms
    }

    /// Replays what was committed since.
    ///
    /// # Errors
    /// As [`TableLog::load`]; [`LakeError::Changed`] if schema or protocol were changed.
    pub(crate) async fn refresh(&mut self) -> Result<(), LakeError> {
        while let Some(entry) = self.store.get(&entry_path(self.version + 1)).await? {
            self.inspect(self.version + 1, &entry, &Ours::default())?;
        }
        Ok(())
    }

    /// Makes sure that what was replayed is all: no entry is behind one that is missing.
    ///
    /// # Errors
    /// As [`TableLog::refresh`]; [`LakeError::NotWhole`] if there is one.
    pub(crate) async fn end_is_the_end(&mut self, lake: &Store) -> Result<(), LakeError> {
        let newest = listed(&self.store).await?.into_iter().max().unwrap_or(0);
        // Somebody may have committed since it was read.
        self.refresh().await?;
        if newest <= self.version {
            return Ok(());
        }
        let reason = format!("entry {} of its log is gone, later ones are there", self.version + 1);
        Err(lake.not_whole(&self.table.name, reason))
    }

    /// Starts over from the last checkpoint.
    ///
    /// # Errors
    /// As [`TableLog::load`]; [`LakeError::Missing`] if the table is gone.
    pub(crate) async fn reload(&mut self, lake: &Store) -> Result<(), LakeError> {
        let missing = || LakeError::Missing {
            table: self.table.name.to_string(),
            url: lake.url().to_string(),
        };
        let fresh = Self::load(lake, &self.table).await?.ok_or_else(missing)?;
        if fresh.id != self.id {
            return Err(LakeError::Changed {
                table: self.table.name.to_string(),
                version: fresh.version,
            });
        }
        *self = fresh;
        Ok(())
    }

    /// Commits `entry` at the first free version after [`TableLog::version`]. The caller must have decided on exactly this
    /// state: whoever wins a version in between is inspected, and is a conflict if it moves one of the entry's
    /// application ids.
    ///
    /// # Errors
    /// Any error means that the outcome is unknown. [`LakeError::Changed`] if schema or protocol were changed in between.
    pub(crate) async fn append(
        &mut self,
        lake: &Store,
        entry: &Entry<'_>,
    ) -> Result<Appended, LakeError> {
        let ours = Ours { txns: entry.txns.clone(), inputs: HashSet::new() };
        self.commit(lake, &entry.encode(), &ours).await
    }

    /// Commits a rewrite, as [`TableLog::append`] does rows. Whoever wins a version in between is a conflict too if it takes out a
    /// file that the rewrite takes out; what others only add is none.
    ///
    /// # Errors
    /// As [`TableLog::append`].
    pub(crate) async fn rewrite(
        &mut self,
        lake: &Store,
        rewrite: &Rewrite<'_>,
    ) -> Result<Appended, LakeError> {
        let inputs = rewrite.removes.iter().map(|remove| remove.path.clone()).collect();
        let ours = Ours { txns: rewrite.txns.clone(), inputs };
        self.commit(lake, &rewrite.encode(), &ours).await
    }

    /// Commits more columns, as [`TableLog::append`] does rows. `metadata` must be what this state, or a later one, has with
    /// the columns that it lacks.
    ///
    /// # Errors
    /// As [`TableLog::append`]; after [`LakeError::Changed`] somebody else may have added them: reload.
    pub(super) async fn widen(
        &mut self,
        lake: &Store,
        widening: &Widening<'_>,
    ) -> Result<Appended, LakeError> {
        self.commit(lake, &widening.encode(), &Ours::default()).await
    }

    async fn commit(
        &mut self,
        lake: &Store,
        body: &Bytes,
        ours: &Ours,
    ) -> Result<Appended, LakeError> {
        loop {
            let version = self.version + 1;
            let Some(winner) = self.put(version, body).await? else {
                // Ours. But did clean-up remove an older entry of that name before us?
                if last_checkpoint(&self.store)
                    .await?
                    .is_some_and(|checkpoint| checkpoint >= version)
                {
                    self.reload(lake).await?;
                    return Ok(Appended::Reloaded);
                }
                self.version = version;
                self.txns.extend(ours.txns.iter().map(|(id, version)| (id.clone(), *version)));
                return Ok(Appended::At(version));
            };
            if self.inspect(version, &winner, ours)? {
                return Ok(Appended::Conflict);
            }
        }
    }

    /// Writes the entry of `version` unless there is one. Returns the winner's bytes, or `None` if the winner is us.
    async fn put(&self, version: u64, body: &Bytes) -> Result<Option<Bytes>, LakeError> {
        let path = entry_path(version);
        let mut pause = PAUSE;
        for attempt in 1.. {
            let created = self.store.create(&path, body.clone()).await;
            if matches!(created, Ok(Created::New)) {
                return Ok(None);
            }
            // An error may come after the entry was written, and "exists" may be our own first attempt: the log decides.
            match self.store.get(&path).await {
                Ok(Some(winner)) => return Ok((winner != body).then_some(winner)),
                // It existed a moment ago: clean-up is at work here, far behind the head of the log.
                Ok(None) if created.is_ok() => break,
                outcome if attempt == ATTEMPTS => {
                    created?;
                    outcome?;
                    break;
                }
                _ => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(LakeError::Unknowable { table: self.table.name.to_string(), version })
    }

    /// Takes over somebody's entry; true if it moves an application id that `ours` moves too, or takes out a file of its.
    fn inspect(&mut self, version: u64, entry: &[u8], ours: &Ours) -> Result<bool, LakeError> {
        let path = entry_path(version);
        let mut conflict = false;
        for line in lines(entry) {
            let line =
                line.map_err(|error| LakeError::damaged(self.store.address(&path), error))?;
            if line.meta_data.is_some() || line.protocol.is_some() {
                return Err(LakeError::Changed { table: self.table.name.to_string(), version });
            }
            if let Some(txn) = line.txn {
                conflict |= ours.txns.contains_key(&*txn.app_id);
                self.txns.insert(txn.app_id.into_owned(), txn.version);
            }
            conflict |= line.remove.is_some_and(|remove| ours.inputs.contains(&*remove.path));
        }
        self.version = version;
        Ok(conflict)
    }
}

/// The versions that have an entry, as far as listing shows them.
async fn listed(store: &Store) -> Result<Vec<u64>, LakeError> {
    let objects = store.list("_delta_log").await?;
    let version =
        |path: &str| path.strip_prefix("_delta_log/")?.strip_suffix(".json")?.parse().ok();
    Ok(objects.iter().filter_map(|object| version(&object.path)).collect())
}

/// Where the entry of a version is, below the table's folder.
pub(crate) fn entry_path(version: u64) -> String {
    format!("_delta_log/{version:020}.json")
}

/// Where the checkpoint of a version is, below the table's folder.
pub(super) fn checkpoint_path(version: u64) -> String {
    format!("_delta_log/{version:020}.checkpoint.parquet")
}

/// What names the last checkpoint, below the table's folder.
pub(super) const LAST_CHECKPOINT: &str = "_delta_log/_last_checkpoint";

/// The version of the table's last checkpoint, if it has one. `store` is the table's folder.
///
/// # Errors
/// [`LakeError::Unsupported`] if it is of a form that we don't read.
pub(crate) async fn last_checkpoint(store: &Store) -> Result<Option<u64>, LakeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Hint {
        version: u64,
        parts: Option<u64>,
        v2_checkpoint: Option<serde::de::IgnoredAny>,
    }
    let path = LAST_CHECKPOINT;
    let Some(bytes) = store.get(path).await? else { return Ok(None) };
    let hint: Hint = serde_json::from_slice(&bytes)
        .map_err(|error| LakeError::damaged(store.address(path), error))?;
    if hint.parts.is_some_and(|parts| parts > 1) || hint.v2_checkpoint.is_some() {
        let needs = "a checkpoint in parts or of version 2".to_owned();
        return Err(LakeError::Unsupported { table: store.url().to_string(), needs });
    }
    Ok(Some(hint.version))
}
