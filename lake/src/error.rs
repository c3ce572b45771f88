//! What can go wrong in the lake, and what to do about it.

/// The cause below a [`LakeError`], whatever library it came from.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An operation on the lake failed.
///
/// An error from anything that writes means *unknown*, not *did not happen*: reload ([`crate::Lander::recover`]) and decide.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The lake's URL does not name a folder or a bucket.
    #[error(
        "lake url `{url}` is not usable, {reason}: give a folder, file:///folder or s3://bucket/prefix"
    )]
    Location {
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no lake, or no such table, and none was to be made.
    #[error(
        "no table `{table}` at `{url}`: check the lake's url, or start ingest once to create it"
    )]
    Missing {
        /// Table name.
        table: String,
        /// The lake's URL.
        url: String,
    },
    /// Only what the catalog of the lake has can be read and written.
    #[error("`{name}` is not {what} of this lake")]
    Unknown {
        /// "a table", "a column".
        what: &'static str,
        /// The name asked for.
        name: String,
    },
    /// The bucket cannot be used; found out at start.
    #[error("cannot use bucket `{bucket}` at {endpoint}: {check}")]
    Unreachable {
        /// Bucket name.
        bucket: String,
        /// URL, or "AWS".
        endpoint: String,
        /// What to check.
        check: &'static str,
        /// The store's own words.
        source: Cause,
    },
    /// The object store failed.
    #[error("cannot {action} `{path}`")]
    Store {
        /// "read", "write", "list", …
        action: &'static str,
        /// Path in the store.
        path: String,
        /// The store's own error.
        source: Cause,
    },
    /// The store lets two writers create the same object, so commits could be lost.
    #[error(
        "store `{url}` is not safe to write to: of {tries} concurrent creations of one object {winners} succeeded; \
         use a store whose If-None-Match is atomic (AWS S3, MinIO, Cloudflare R2, Ceph)"
    )]
    UnsafeStore {
        /// The lake's URL.
        url: String,
        /// Concurrent attempts.
        tries: usize,
        /// How many were told that they had created it; exactly one is right.
        winners: usize,
    },
    /// A log entry, checkpoint or plan does not have the form that this version writes.
    #[error(
        "`{path}` cannot be understood, {reason}: it was damaged or written by another program"
    )]
    Damaged {
        /// Path in the store.
        path: String,
        /// What was expected.
        reason: String,
    },
    /// The tables do not belong together: rows would be promised that are not there, or landed twice.
    #[error(
        "the lake is not one whole, table `{table}` at `{url}`: {reason}. Stop all ingest workers and restore every table and `_tidemark` from one \
         backup (docs/operations.md), or begin a new lake at another url and run `tidemark source rebind`; `tidemark check` looks at everything"
    )]
    NotWhole {
        /// Table name.
        table: String,
        /// The table's URL.
        url: String,
        /// What contradicts what.
        reason: String,
    },
    /// The table needs Delta features that this version does not write.
    #[error(
        "table `{table}` asks for {needs}: upgrade tidemark, or undo the change to the table's protocol"
    )]
    Unsupported {
        /// Table name.
        table: String,
        /// Protocol versions or features.
        needs: String,
    },
    /// The table's schema is not one that this version can write to; it was changed by another program, or by hand.
    #[error(
        "table `{table}`: {what} is {found}, this version writes {wanted}: undo the change to the table's schema, or begin a new lake at another url"
    )]
    Schema {
        /// Table name.
        table: String,
        /// "column `value`", "the list of partition columns".
        what: String,
        /// What the table has: a Delta type, or "not there".
        found: String,
        /// What this version has.
        wanted: String,
    },
    /// Schema or protocol changed while we were writing; a reload makes it clear.
    #[error(
        "schema or protocol of table `{table}` changed at version {version}: reload before writing again"
    )]
    Changed {
        /// Table name.
        table: String,
        /// The log entry that changed it.
        version: u64,
    },
    /// The outcome of a commit stays unknown.
    #[error(
        "cannot tell whether version {version} of table `{table}` is ours: reload, then decide"
    )]
    Unknowable {
        /// Table name.
        table: String,
        /// The version that was attempted.
        version: u64,
    },
    /// A data file can't be read: it is damaged or gone, or the store fails.
    #[error("cannot read `{path}` of table `{table}`")]
    Unreadable {
        /// Table name.
        table: String,
        /// Path in the lake.
        path: String,
        /// The Parquet error.
        source: Cause,
    },
    /// Rows could not be encoded or merged.
    #[error("cannot {action} a file of table `{table}`")]
    File {
        /// "encode", "merge", "checkpoint".
        action: &'static str,
        /// Table name.
        table: String,
        /// The Parquet or Arrow error.
        source: Cause,
    },
    /// Files that were merged do not hold the rows of those they were made of; a defect of ours, or of the store.
    #[error(
        "`{path}` of table `{table}` is not what it was merged from, {what}: it was not committed and they stay; run `tidemark check`"
    )]
    Unproven {
        /// Table name.
        table: String,
        /// Path in the table's folder.
        path: String,
        /// "3 rows instead of 4", "other values in `value`".
        what: String,
    },
    /// A table that nothing may be removed from.
    #[error(
        "table `{table}` is on legal hold ([maintain] legal_hold) and has such rows: nothing was removed; take it out of the setting once the hold is over"
    )]
    Held {
        /// Table name.
        table: String,
    },
    /// The rows of a file are not in the order that it says.
    #[error("the rows of `{path}` of table `{table}` are not in the order that the file says")]
    Disorder {
        /// Table name.
        table: String,
        /// Path in the table's folder.
        path: String,
    },
    /// Upkeep was told to stop.
    #[error("stopped before it was done: the next run goes on")]
    Stopped,
    /// A landing that contradicts itself; a defect of the caller.
    #[error("landing {landing} is not consistent: {reason}")]
    Inconsistent {
        /// Landing id.
        landing: String,
        /// The contradiction.
        reason: String,
    },
}

impl LakeError {
    pub(crate) fn file(action: &'static str, table: &str, source: impl Into<Cause>) -> Self {
        Self::File { action, table: table.to_owned(), source: source.into() }
    }

    pub(crate) fn unreadable(table: &str, path: impl ToString, source: impl Into<Cause>) -> Self {
        Self::Unreadable { table: table.to_owned(), path: path.to_string(), source: source.into() }
    }

    /// Whether it is the fault of one file, so that others can be read.
    pub(crate) fn is_of_a_file(&self) -> bool {
        matches!(self, Self::File { .. } | Self::Unreadable { .. } | Self::Damaged { .. })
    }

    /// Whether a file is not there.
    pub(crate) fn is_gone(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            if matches!(error.downcast_ref(), Some(object_store::Error::NotFound { .. })) {
                return true;
            }
            cause = error.source();
        }
        false
    }

    pub(crate) fn damaged(path: impl ToString, reason: impl ToString) -> Self {
        Self::Damaged { path: path.to_string(), reason: reason.to_string() }
    }
}
