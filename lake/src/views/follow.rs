//! What a view has to know to be brought up to date, and the commit that does it.

use std::collections::HashSet;
use std::sync::Arc;

use crash_point::Point;

use super::Viewed;
use super::base::{self, Base};
use crate::delta::{self, ActiveFile, AddFile, Appended, FileInfo, Rewrite, TableLog};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::parquet::Within;
use crate::reader::{self, Rows};
use crate::store::Store;
use crate::table::Table;
use crate::tables::device_latest;

const FORMAT_APP: &str = "view/format";
/// A view that nothing touches says once in so many commits of its tables that it has seen them: their logs are cleaned up.
const SEEN_COMMITS: u64 = 256;

/// How rows of a view are made. Whoever changes what they are, or adds a column, counts up: then all of them are made anew.
fn format(view: &Table) -> i64 {
    match view.name.as_ref() {
        device_latest::NAME => 2,
        _ => 1,
    }
}

/// See the module.
pub(crate) struct Followed {
    pub(crate) lake: Store,
    pub(crate) view: Arc<Table>,
    /// The view's own files.
    pub(crate) own: Vec<FileInfo>,
    pub(crate) bases: Vec<Base>,
    /// Nothing of what the view has is to stay.
    pub(crate) anew: bool,
    /// Files that go.
    pub(crate) removes: Vec<FileInfo>,
    /// Files that come.
    pub(crate) adds: Vec<AddFile>,
    pub(crate) rows_read: u64,
    pub(crate) rows_written: u64,
    /// Unix milliseconds.
    pub(crate) now_ms: i64,
    /// Up to where every landing is in all the tables.
    ledger: Option<u64>,
    log: TableLog,
}

impl Followed {
    /// Reads what there is and what is new. A view that is not there is made. `beside`: another view, which has not seen more than
    /// this one then is made to have.
    ///
    /// # Errors
    /// As reading logs does.
    pub(crate) async fn load(
        lake: &Lake,
        view: &Arc<Table>,
        tables: Vec<Arc<Table>>,
        beside: Option<&Arc<Table>>,
        now_us: i64,
    ) -> Result<Self, LakeError> {
        let store = lake.store();
        let missing =
            || LakeError::Missing { table: view.name.to_string(), url: lake.url().to_owned() };
        let (now_ms, log) = (now_us.div_euclid(1000), TableLog::load(store, view).await?);
        let log = match log {
            Some(log) if log.fit().lacks.is_empty() => log,
            // An earlier version made it: its rows are made anew, too.
            Some(log) => {
                delta::widen(store, log, now_ms).await?;
                TableLog::load(store, view).await?.ok_or_else(missing)?
            }
            None => {
                delta::create(store, view).await?;
                TableLog::load(store, view).await?.ok_or_else(missing)?
            }
        };
        log.fit().writable(view)?;
        let (own, _) = delta::files(store, view).await?;
        // Before the tables: what is decided then may be in them, and what is in them is not missed.
        let ledger = TableLog::load(store, lake.catalog().ledger()).await?.ok_or_else(missing)?;
        let mut anew = log.txn(FORMAT_APP) != format(view);
        let mut logs = vec![&log];
        let beside = match beside {
            Some(beside) => TableLog::load(store, beside).await?,
            None => None,
        };
        if let Some(beside) = &beside {
            anew |= beside.txn(FORMAT_APP) != format(view);
            logs.push(beside);
        }
        let (mut bases, mut whole) = (Vec::new(), true);
        for table in tables {
            let seen = |table: &Table| {
                let app = base::app(table);
                let seen = logs.iter().map(|log| log.txns().get(&app).copied());
                // Of several the one that is behind.
                let seen = seen.collect::<Option<Vec<_>>>().and_then(|seen| seen.into_iter().min());
                seen.filter(|_| !anew).and_then(|seen| u64::try_from(seen).ok())
            };
            let archive = lake.catalog().archive(&table.name);
            let base = Base::load(store, table, archive, seen, &ledger).await?;
            whole &= base.is_whole;
            let unseen = base.is_unseen();
            bases.push(base);
            anew |= unseen;
        }
        let ledger = (whole && ledger.version() > 0).then(|| ledger.version());
        let (removes, adds) = (Vec::new(), Vec::new());
        let (lake, view) = (store.clone(), view.clone());
        let (rows_read, rows_written) = (0, 0);
        let mut followed = Self {
            lake,
            view,
            own,
            bases,
            anew,
            removes,
            adds,
            rows_read,
            rows_written,
            now_ms,
            ledger,
            log,
        };
        if anew {
            followed.begin_anew();
        }
        Ok(followed)
    }

    /// Forgets what the view has: all rows of all tables are new.
    pub(crate) fn begin_anew(&mut self) {
        self.anew = true;
        self.removes = self.own.clone();
        self.adds.clear();
        for base in &mut self.bases {
            base.added = base.files.clone();
            base.dates.clear();
        }
    }

    /// Whether some of what is new is in files that are part of their table no more: nobody has to keep these.
    pub(crate) fn reads_superseded(&self) -> bool {
        self.bases.iter().any(|base| {
            let files: HashSet<&str> = base.files.iter().map(|file| file.path.as_str()).collect();
            base.added.iter().any(|file| !files.contains(file.path.as_str()))
        })
    }

    /// Whether rows were taken out of a table.
    pub(crate) fn lost_rows(&self) -> bool {
        self.bases.iter().any(|base| !base.dates.is_empty())
    }

    /// Whether no table has anything that the view has not seen.
    pub(crate) fn is_up_to_date(&self) -> bool {
        !self.anew && !self.lost_rows() && self.bases.iter().all(|base| base.added.is_empty())
    }

    /// The rows of some files of a table.
    ///
    /// # Errors
    /// As [`reader::scan`].
    pub(crate) fn scan(
        &self,
        table: &Arc<Table>,
        files: Vec<FileInfo>,
        columns: &[&str],
        within: &Within,
    ) -> Result<Rows, LakeError> {
        reader::scan_within(&self.lake, table, files, columns, within)
    }

    /// Puts the new files in the place of the old ones.
    ///
    /// # Errors
    /// As [`TableLog::rewrite`].
    pub(crate) async fn commit(mut self) -> Result<Viewed, LakeError> {
        let nothing = self.removes.is_empty() && self.adds.is_empty();
        if !self.anew && nothing && !self.bases.iter().any(|base| base.lags(SEEN_COMMITS)) {
            return Ok(self.done(false));
        }
        let now_ms = self.now_ms;
        let removes: Vec<_> =
            self.removes.iter().map(|file| active(file).removal(true, now_ms)).collect();
        let mut txns: Vec<(String, i64)> = vec![(FORMAT_APP.to_owned(), format(&self.view))];
        txns.extend(self.bases.iter().flat_map(Base::txns));
        if let Some(ledger) = self.ledger {
            txns.push((LEDGER_APP.to_owned(), ledger.cast_signed()));
        }
        let rewrite = Rewrite {
            operation: "WRITE",
            removes: &removes,
            adds: &self.adds,
            txns: txns.into_iter().collect(),
            now_ms,
        };
        crash_point::reach(Point::ViewWritten);
        let committed = match self.log.rewrite(&self.lake, &rewrite).await {
            Ok(Appended::At(_)) => true,
            // Somebody else brought it up to date, or merged its files: what we wrote is known nowhere.
            Ok(Appended::Conflict) | Err(LakeError::Changed { .. }) => {
                let folder = self.lake.child(&self.view.name);
                for add in &self.adds {
                    folder.delete(&add.path).await?;
                }
                false
            }
            Ok(Appended::Reloaded) => false,
            Err(error) => return Err(error),
        };
        crash_point::reach(Point::ViewCommitted);
        Ok(self.done(committed))
    }

    fn done(&self, committed: bool) -> Viewed {
        Viewed {
            view: self.view.name.to_string(),
            anew: self.anew && committed,
            rows_read: self.rows_read,
            rows_written: if committed { self.rows_written } else { 0 },
            ledger_version: self.ledger,
        }
    }
}

/// Up to where every landing is in the view. Not the position in the ledger's own log, which a view may follow as a table.
pub(crate) const LEDGER_APP: &str = "view/true_up_to";

fn active(file: &FileInfo) -> ActiveFile {
    ActiveFile {
        path: file.path.clone(),
        date: file.date,
        bytes: file.bytes,
        modified_ms: file.modified_ms,
        rows: Some(file.rows),
    }
}
