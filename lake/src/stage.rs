//! The first step of a landing: its files, encoded beside the runtime and stored under names of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::RecordBatch;
use crash_point::Point;
use uuid::Uuid;

use crate::date::date_text;
use crate::delta::AddFile;
use crate::error::LakeError;
use crate::landing::{SourceAdvance, Staged, StagedFile};
use crate::parquet::{self, Encoded};
use crate::store::Store;
use crate::table::{PARTITION, Table};

/// Writes the files of one landing. Nothing that it writes is visible; without [`crate::Lander::land`] they are orphans.
#[derive(Debug)]
pub struct Staging {
    lake: Store,
    landing: Uuid,
    started_us: i64,
    files: AtomicU32,
}

impl Staging {
    pub(crate) fn new(lake: Store, started_us: i64) -> Self {
        Self { lake, landing: Uuid::new_v4(), started_us, files: AtomicU32::new(0) }
    }

    /// Writes one more file of a landing that was finished: the ledger's own.
    pub(crate) fn again(lake: Store, staged: &Staged) -> Self {
        let files = AtomicU32::new(u32::try_from(staged.files.len()).unwrap_or(u32::MAX));
        Self { lake, landing: staged.landing, started_us: staged.started_us, files }
    }

    /// The landing's id.
    #[must_use]
    pub fn landing(&self) -> Uuid {
        self.landing
    }

    /// Encodes and stores one file of `table` with the rows of one `date`, already in the table's order. Encoding runs on a
    /// blocking thread and pulls the batches one by one. Several files may be written at once. No rows: no file.
    ///
    /// # Errors
    /// [`LakeError::File`] if the rows do not fit the table, [`LakeError::Store`] if they can't be stored.
    pub async fn write<B>(
        &self,
        table: Arc<Table>,
        date: i32,
        batches: B,
    ) -> Result<Option<StagedFile>, LakeError>
    where
        B: IntoIterator<Item = RecordBatch> + Send + 'static,
    {
        let own = table.clone();
        let encoded = tokio::task::spawn_blocking(move || parquet::encode(&own, batches)).await;
        let encoded = encoded.map_err(|error| LakeError::file("encode", &table.name, error))??;
        let Some(Encoded { bytes, rows, stats }) = encoded else { return Ok(None) };
        let date = date_text(date);
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        let path = format!("{PARTITION}={date}/{}-{number}.parquet", self.landing);
        let add = AddFile {
            path,
            partition_values: [(PARTITION.to_owned(), Some(date))].into(),
            size: bytes.len() as u64,
            modification_time: self.started_us.div_euclid(1000),
            data_change: true,
            stats: Some(stats),
        };
        self.lake.child(&table.name).put(&add.path, bytes).await?;
        crash_point::reach(Point::FileWritten);
        Ok(Some(StagedFile { table, rows, add }))
    }

    /// All files are written: the landing may be decided. `sources` say what the files hold.
    #[must_use]
    pub fn finish(self, files: Vec<StagedFile>, sources: Vec<SourceAdvance>) -> Staged {
        Staged { landing: self.landing, started_us: self.started_us, files, sources }
    }
}
