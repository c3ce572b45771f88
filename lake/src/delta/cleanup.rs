//! Removal of what of a log is behind its start: the newest checkpoint that is older than readers of the past may want.

use futures::{StreamExt, stream};

use super::log::last_checkpoint;
use crate::error::LakeError;
use crate::store::{Object, Store};

/// One object of a log that belongs to a version.
struct Piece {
    version: u64,
    /// Whether it is a whole checkpoint.
    checkpoint: bool,
    object: Object,
}

impl Piece {
    /// An entry, a checkpoint or a part of one, a checksum; nothing else, above all no entry of several versions.
    fn of(object: Object) -> Option<Self> {
        let (version, kind) = object.path.strip_prefix("_delta_log/")?.split_once('.')?;
        let version = (version.len() == 20).then(|| version.parse().ok())??;
        let checkpoint = kind == "checkpoint.parquet";
        let known = checkpoint || kind.starts_with("checkpoint.") || matches!(kind, "json" | "crc");
        known.then_some(Self { version, checkpoint, object })
    }
}

/// Removes, the oldest version first, what is below the start of the log: the newest checkpoint that, as every entry below it, was
/// written before `keep_after_ms` (Unix milliseconds). Nothing that is not below the last checkpoint is. Returns how many objects
/// went. `folder` is the table's.
///
/// # Errors
/// [`LakeError::Store`]: some may be gone, in order.
pub(super) async fn clean(folder: &Store, keep_after_ms: i64) -> Result<usize, LakeError> {
    let Some(last) = last_checkpoint(folder).await? else { return Ok(0) };
    let pieces = folder.list("_delta_log").await?.into_iter().filter_map(Piece::of);
    let pieces: Vec<Piece> = pieces.collect();
    let old = |piece: &&Piece| piece.object.modified_ms < keep_after_ms;
    let young = pieces.iter().filter(|piece| !old(piece)).map(|piece| piece.version).min();
    let within = last.min(young.unwrap_or(last));
    let starts = pieces.iter().filter(|piece| piece.checkpoint && piece.version <= within);
    let Some(start) = starts.filter(old).map(|piece| piece.version).max() else { return Ok(0) };
    let mut behind: Vec<&Piece> = pieces.iter().filter(|piece| piece.version < start).collect();
    behind.sort_unstable_by_key(|piece| piece.version);
    let paths: Vec<_> = behind.iter().map(|piece| Ok(folder.path(&piece.object.path))).collect();
    let mut deleted = folder.root().delete_stream(stream::iter(paths).boxed());
    let mut removed = 0;
    while let Some(outcome) = deleted.next().await {
        match outcome {
            Ok(_) => removed += 1,
            // Somebody else was here.
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                let path = format!("{}_delta_log", folder.url());
                return Err(LakeError::Store { action: "clean", path, source: Box::new(error) });
            }
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use url::Url;

    use super::*;

    fn names(range: std::ops::Range<u64>, kind: &str) -> Vec<String> {
        range.map(|version| format!("{version:020}.{kind}")).collect()
    }

    async fn left(folder: &Store) -> BTreeSet<String> {
        let objects = folder.list("_delta_log").await.unwrap();
        objects.into_iter().map(|object| object.path.replace("_delta_log/", "")).collect()
    }

    async fn put(folder: &Store, names: impl IntoIterator<Item = String>) {
        for name in names {
            folder.put(&format!("_delta_log/{name}"), "{}".into()).await.unwrap();
        }
    }

    async fn named(folder: &Store, version: u64) {
        let hint = format!(r#"{{"version":{version},"size":1}}"#);
        folder.put("_delta_log/_last_checkpoint", hint.into()).await.unwrap();
    }

    fn folder() -> Store {
        Store::on(Arc::new(InMemory::new()), Url::parse("memory:///t").unwrap()).unwrap()
    }

    /// The store's clock has moved on.
    async fn later() -> i64 {
        let now_ms = || chrono::Utc::now().timestamp_millis();
        let after = now_ms();
        while now_ms() <= after + 1 {
            tokio::task::yield_now().await;
        }
        now_ms()
    }

    #[tokio::test]
    async fn what_is_below_the_newest_old_checkpoint_goes_and_nothing_above_the_last() {
        let folder = folder();
        put(&folder, names(0..12, "json")).await;
        put(&folder, names(3..4, "checkpoint.parquet")).await;
        put(&folder, names(5..6, "checkpoint.parquet")).await;
        put(&folder, names(2..3, "crc")).await;
        put(&folder, names(4..5, "checkpoint.0000000001.0000000002.parquet")).await;
        let compacted = format!("{:020}.{:020}.compacted.json", 1, 3);
        put(&folder, [compacted.clone()]).await;
        assert_eq!(clean(&folder, i64::MAX).await.unwrap(), 0, "no last checkpoint, no start");
        named(&folder, 5).await;
        // Somebody's checkpoint that nothing names.
        put(&folder, names(8..9, "checkpoint.parquet")).await;
        assert_eq!(clean(&folder, 0).await.unwrap(), 0, "nothing is old");
        assert_eq!(clean(&folder, i64::MAX).await.unwrap(), 5 + 1 + 1 + 1);
        let mut expected: BTreeSet<String> = names(5..12, "json").into_iter().collect();
        expected.extend(names(5..6, "checkpoint.parquet"));
        expected.extend(names(8..9, "checkpoint.parquet"));
        expected.extend(["_last_checkpoint".to_owned(), compacted]);
        assert_eq!(left(&folder).await, expected);
        assert_eq!(clean(&folder, i64::MAX).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn whoever_reads_the_log_as_of_a_time_that_is_kept_finds_a_checkpoint_before_it() {
        let folder = folder();
        put(&folder, names(0..4, "json")).await;
        put(&folder, names(3..4, "checkpoint.parquet")).await;
        put(&folder, names(4..6, "json")).await;
        let edge = later().await;
        put(&folder, names(6..9, "json")).await;
        put(&folder, names(8..9, "checkpoint.parquet")).await;
        named(&folder, 8).await;
        assert_eq!(clean(&folder, edge).await.unwrap(), 3, "not up to 8: 6 and 7 are kept");
        let entries = left(&folder).await;
        assert!(names(3..9, "json").iter().all(|name| entries.contains(name)), "{entries:?}");
        // An old entry that was written anew, say out of a backup, keeps what is below it, too.
        put(&folder, names(4..5, "json")).await;
        let edge = later().await;
        put(&folder, names(2..3, "json")).await;
        assert_eq!(clean(&folder, edge).await.unwrap(), 0);
    }
}
