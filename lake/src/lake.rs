//! A lake: opened once, then read, written through [`crate::Lander`], and maintained.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use service_runtime::files::Readers;
use service_runtime::{Boxed, Clock};

use crate::books::{self, SourceBooks};
use crate::catalog::Catalog;
use crate::config::LakeConfig;
use crate::definitions;
use crate::delta::{self, FileInfo, TableLog};
use crate::error::LakeError;
use crate::landing::{self, SourceKey, SourcePosition};
use crate::ledger;
use crate::listed;
use crate::location::Location;
use crate::parquet::Within;
use crate::reader::{self, Rows, TableSummary};
use crate::stage::Staging;
use crate::store::Store;
use crate::table::Table;
use crate::tables::landings;
use crate::whole;

/// What opening may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Create the tables that are missing, and prove that the store is safe to write to.
    Create,
    /// Only look; the lake must exist.
    Read,
}

/// An open lake. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lake {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    id: String,
    catalog: Catalog,
}

impl Lake {
    /// Opens the lake at `url` (a folder, `file:///…` or `s3://bucket/prefix`). `env` supplies the usual `AWS_*` variables.
    ///
    /// # Errors
    /// [`LakeError::Location`], [`LakeError::Unreachable`] when the bucket can't be used, [`LakeError::Missing`] when there is
    /// nothing to read, [`LakeError::NotWhole`] when a table was lost, [`LakeError::Schema`] when a table has another schema, [`LakeError::UnsafeStore`] when commits could be lost there, [`LakeError::Damaged`], [`LakeError::Store`].
    pub async fn open(
        url: &str,
        env: &HashMap<String, String>,
        mode: OpenMode,
    ) -> Result<Self, LakeError> {
        Self::open_as(&LakeConfig::at(url), env, mode).await
    }

    /// As [`Lake::open`], with all settings. Who only looks at a lake (and maintains it) makes files for whom it was made.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub async fn open_as(
        config: &LakeConfig,
        env: &HashMap<String, String>,
        mode: OpenMode,
    ) -> Result<Self, LakeError> {
        Self::open_with(config, env, mode, &Catalog::builtin()).await
    }

    /// As [`Lake::open_as`]; the tables are those of `catalog`, and those that others declared for this lake.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub async fn open_with(
        config: &LakeConfig,
        env: &HashMap<String, String>,
        mode: OpenMode,
        catalog: &Catalog,
    ) -> Result<Self, LakeError> {
        let LakeConfig { url, group_readable } = config;
        Store::look(url, env).await?;
        let readers = match (group_readable, mode) {
            (true, _) => Some(Readers::Group),
            (false, OpenMode::Create) => Some(Readers::Owner),
            (false, OpenMode::Read) => None,
        };
        let lake = Self::open_on_with(Store::open_for(url, env, readers)?, mode, catalog).await?;
        if let (Some(readers), Ok(Location::Folder(folder))) = (readers, url.parse()) {
            readers.warn_about("lake", &folder);
        }
        Ok(lake)
    }

    /// Opens the lake in `store`; for stores that no URL names, such as one in memory.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub async fn open_on(store: Store, mode: OpenMode) -> Result<Self, LakeError> {
        Self::open_on_with(store, mode, &Catalog::builtin()).await
    }

    /// As [`Lake::open_on`], with the tables of `catalog`.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub fn open_on_with(
        store: Store,
        mode: OpenMode,
        catalog: &Catalog,
    ) -> Boxed<'_, Result<Self, LakeError>> {
        Box::pin(Self::opened(store, mode, catalog))
    }

    async fn opened(store: Store, mode: OpenMode, catalog: &Catalog) -> Result<Self, LakeError> {
        if mode == OpenMode::Create {
            store.selftest().await?;
        }
        let catalog = definitions::all(&store, catalog).await?;
        if mode == OpenMode::Create {
            make_complete(&store, &catalog).await?;
            definitions::keep(&store, &catalog).await?;
        }
        let missing = || LakeError::Missing {
            table: landings::NAME.to_owned(),
            url: store.url().to_string(),
        };
        let id =
            TableLog::load(&store, catalog.ledger()).await?.ok_or_else(missing)?.id().to_owned();
        Ok(Self { inner: Arc::new(Inner { store, id, catalog }) })
    }

    /// What tells this lake from every other: the id of its ledger table.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The lake's URL, ending in `/`.
    #[must_use]
    pub fn url(&self) -> &str {
        self.inner.store.url().as_str()
    }

    /// The folder of a table, for people and tools: a plain path for a local lake, else a URL.
    #[must_use]
    pub fn address(&self, table: &str) -> String {
        self.inner.store.address(table)
    }

    /// All its tables.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.inner.catalog
    }

    pub(crate) fn store(&self) -> &Store {
        &self.inner.store
    }

    /// Every table in numbers, as of now.
    ///
    /// # Errors
    /// [`LakeError::Missing`], [`LakeError::Unsupported`], [`LakeError::Damaged`], [`LakeError::Store`].
    pub async fn tables(&self) -> Result<Vec<TableSummary>, LakeError> {
        self.summaries(self.catalog().tables()).await
    }

    /// When files of each table were merged last, Unix microseconds, of those that have been.
    ///
    /// # Errors
    /// [`LakeError::Store`], [`LakeError::Damaged`].
    pub async fn compacted(&self) -> Result<BTreeMap<String, i64>, LakeError> {
        let mut compacted = BTreeMap::new();
        for table in self.catalog().tables() {
            let log = TableLog::load(self.store(), table).await?;
            let at_ms = log.and_then(|log| log.compacted_ms());
            compacted.extend(at_ms.map(|ms| (table.name.to_string(), ms.saturating_mul(1000))));
        }
        Ok(compacted)
    }

    /// The views that there are, in numbers, as of now.
    ///
    /// # Errors
    /// As [`Lake::tables`].
    pub async fn views(&self) -> Result<Vec<TableSummary>, LakeError> {
        self.summaries(&self.there(self.catalog().views()).await?).await
    }

    /// The archives that there are, in numbers, as of now.
    ///
    /// # Errors
    /// As [`Lake::tables`].
    pub async fn archives(&self) -> Result<Vec<TableSummary>, LakeError> {
        self.summaries(&self.there(self.catalog().archives()).await?).await
    }

    async fn summaries(
        &self,
        tables: impl IntoIterator<Item = &Arc<Table>>,
    ) -> Result<Vec<TableSummary>, LakeError> {
        let mut summaries = Vec::new();
        for table in tables {
            summaries.push(reader::summary(self.store(), table).await?);
        }
        Ok(summaries)
    }

    /// Those of some tables that a lake need not have.
    async fn there(&self, tables: &[Arc<Table>]) -> Result<Vec<Arc<Table>>, LakeError> {
        let mut there = Vec::new();
        for table in tables {
            if TableLog::load(self.store(), table).await?.is_some() {
                there.push(table.clone());
            }
        }
        Ok(there)
    }

    /// The exact data files of a table's current version and of its archive, if it has one: each row is in one of them. A raw listing of
    /// its folder would see uncommitted and superseded files too.
    ///
    /// # Errors
    /// [`LakeError::Unknown`], else as [`Lake::tables`]; [`LakeError::Changed`] if rows move into the archive all the time.
    pub async fn files(&self, table: &str) -> Result<Vec<FileInfo>, LakeError> {
        let table = self.known(table)?;
        listed::files(self.store(), table, self.catalog().archive(&table.name)).await
    }

    /// Streams the named columns of a table's current version and of its archive, file by file, in constant memory.
    ///
    /// # Errors
    /// As [`Lake::files`]; [`LakeError::Unknown`] for a column that does not exist, and in the stream [`LakeError::File`].
    pub async fn scan(&self, table: &str, columns: &[&str]) -> Result<Rows, LakeError> {
        let files = self.files(table).await?;
        self.scan_files(table, files, columns)
    }

    /// As [`Lake::scan`], of the files that the caller picked from [`Lake::files`], say by date.
    ///
    /// # Errors
    /// As [`Lake::scan`].
    pub fn scan_files(
        &self,
        table: &str,
        files: Vec<FileInfo>,
        columns: &[&str],
    ) -> Result<Rows, LakeError> {
        reader::scan(self.store(), self.known(table)?, files, columns)
    }

    /// Streams the named columns of the rows that may be of a device, between two times (Unix microseconds, of the table's time): what
    /// is read has other rows too, but no file and no row group that can have none.
    ///
    /// # Errors
    /// As [`Lake::scan`].
    pub async fn scan_device(
        &self,
        table: &str,
        columns: &[&str],
        device: &str,
        (first_us, last_us): (i64, i64),
    ) -> Result<Rows, LakeError> {
        let mut files = self.files(table).await?;
        files.retain(|file| {
            file.oldest_us.is_none_or(|oldest| oldest <= last_us)
                && file.newest_us.is_none_or(|newest| newest >= first_us)
        });
        let within = Within {
            times: Some((first_us, last_us)),
            devices: Some((device.to_owned(), device.to_owned())),
        };
        reader::scan_within(self.store(), self.known(table)?, files, columns, &within)
    }

    /// How far every source is landed, by the ledger, as of now. Decided landings count here although a table may not show
    /// their rows for a moment; receipts are stricter.
    ///
    /// # Errors
    /// [`LakeError::Store`], [`LakeError::Damaged`], [`LakeError::Missing`].
    pub async fn sources(&self) -> Result<HashMap<SourceKey, SourcePosition>, LakeError> {
        let missing =
            || LakeError::Missing { table: landings::NAME.to_owned(), url: self.url().to_owned() };
        let ledger =
            TableLog::load(self.store(), self.catalog().ledger()).await?.ok_or_else(missing)?;
        Ok(landing::positions(ledger.txns()))
    }

    /// The books of every source, by source and epoch, as of now. Reads the whole ledger, as a stream.
    ///
    /// # Errors
    /// As [`Lake::scan`].
    pub async fn books(&self) -> Result<Vec<SourceBooks>, LakeError> {
        books::add_up(self.scan(landings::NAME, &books::COLUMNS).await?).await
    }

    /// Tells why a message of a source can never be read, if it landed as a gap. Reads the whole ledger, as a stream.
    ///
    /// # Errors
    /// As [`Lake::scan`].
    pub async fn gap_at(&self, key: &SourceKey, offset: u64) -> Result<Option<String>, LakeError> {
        books::gap_at(self.scan(landings::NAME, &books::GAP_COLUMNS).await?, key, offset).await
    }

    fn known(&self, table: &str) -> Result<&Arc<Table>, LakeError> {
        let unknown = || LakeError::Unknown { what: "a table", name: table.to_owned() };
        self.catalog().find(table).ok_or_else(unknown)
    }

    /// Begins a landing (see [`crate::Lander::land`]). Files that are written but never landed are orphans.
    #[must_use]
    pub fn stage(&self, now_us: i64) -> Staging {
        Staging::new(self.store().clone(), now_us)
    }
}

/// Makes the tables that are missing, and the columns that a table was made without. A table that is missing although the lake
/// has landings in it was lost: an empty one in its place would hide that.
async fn make_complete(store: &Store, catalog: &Catalog) -> Result<(), LakeError> {
    let mut logs = Vec::new();
    for table in catalog.tables() {
        logs.push((table, TableLog::load(store, table).await?));
    }
    // Last in the list, so it was read after the others.
    let ledger = logs.iter().find(|(table, _)| table.name == landings::NAME);
    let ledger = ledger.and_then(|(_, log)| log.as_ref()).map(|log| log.txns().clone());
    for (table, log) in &logs {
        let lost = match (log, &ledger) {
            (None, Some(ledger)) => {
                let said = whole::touched(&table.name, ledger);
                let touched = match said {
                    Some(touched) => touched,
                    None => ledger::names(store, catalog.ledger(), table).await?,
                };
                touched.then(|| "it is gone, and the ledger has landings in it".to_owned())
            }
            (Some(log), None) => whole::ahead(&HashMap::new(), log.txns()),
            _ => None,
        };
        if let Some(reason) = lost {
            return Err(store.not_whole(&table.name, reason));
        }
    }
    // All of them first: of a lake that cannot be written to nothing is changed.
    for (table, log) in &logs {
        log.as_ref().map_or(Ok(()), |log| log.fit().growable(table))?;
    }
    let now_ms = Clock::default().now_us().div_euclid(1000);
    for (table, log) in logs {
        match log {
            None => delta::create(store, table).await?,
            Some(log) => delta::widen(store, log, now_ms).await?,
        }
    }
    Ok(())
}
