//! Decides landings in the ledger and applies them to the tables: the shell around [`crate::landing`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crash_point::Point;
use futures::future::{try_join, try_join_all};
use service_runtime::Boxed;
use tracing::info;

use crate::date::date_of;
use crate::definitions;
use crate::delta::{Appended, Entry, TableLog};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::landing::{self, AGE_MAX_US, Lost, SourceKey, SourcePosition, Staged};
use crate::ledger;
use crate::plan::Plan;
use crate::stage::Staging;
use crate::store::Store;
use crate::table::Table;
use crate::whole;

/// How a landing ended, when the outcome is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LandOutcome {
    /// Every row is visible to a fresh reader: receipts may be sent.
    Landed {
        /// The ledger's version.
        version: u64,
    },
    /// It was not decided and never will be. Drop its rows, [`Lander::recover`], and go on from [`Lander::positions`].
    Lost(Lost),
}

/// The writing end of the lake for a set of lanes. One landing at a time; any number of workers on other lanes beside it, and
/// zombies on the same lanes, which lose.
#[derive(Debug)]
pub struct Lander {
    lake: Lake,
    worker: String,
    lanes: BTreeSet<u8>,
    /// Lane → the landing up to which all are applied everywhere, as far as this worker has seen to it.
    applied: BTreeMap<u8, i64>,
    ledger: TableLog,
    tables: BTreeMap<String, TableLog>,
}

impl Lander {
    /// Takes over `lanes` of the lake, finishing what another worker decided but did not apply. `worker` names this worker in
    /// plans and in the ledger.
    ///
    /// # Errors
    /// As [`Lander::recover`]; [`LakeError::Missing`] if a table is not there; [`LakeError::NotWhole`] also if entries of a log are
    /// gone from its middle.
    pub fn open<'a>(
        lake: &'a Lake,
        worker: &'a str,
        lanes: impl IntoIterator<Item = u8>,
        now_us: i64,
    ) -> Boxed<'a, Result<Self, LakeError>> {
        Self::opened(lake, worker, lanes.into_iter().collect(), now_us)
    }

    /// What is generic is compiled by whoever calls it: this is not.
    fn opened<'a>(
        lake: &'a Lake,
        worker: &'a str,
        lanes: BTreeSet<u8>,
        now_us: i64,
    ) -> Boxed<'a, Result<Self, LakeError>> {
        Box::pin(Self::taken_over(lake, worker, lanes, now_us))
    }

    async fn taken_over(
        lake: &Lake,
        worker: &str,
        lanes: BTreeSet<u8>,
        now_us: i64,
    ) -> Result<Self, LakeError> {
        let ledger = open_log(lake.store(), lake.catalog().ledger()).await?;
        let mut tables = BTreeMap::new();
        for table in lake.catalog().of_rows() {
            tables.insert(table.name.to_string(), open_log(lake.store(), table).await?);
        }
        let (worker, applied) = (worker.to_owned(), BTreeMap::new());
        let mut lander = Self { lake: lake.clone(), worker, lanes, applied, ledger, tables };
        for log in std::iter::once(&mut lander.ledger).chain(lander.tables.values_mut()) {
            log.end_is_the_end(lake.store()).await?;
        }
        lander.redo(now_us).await?;
        Ok(lander)
    }

    /// Where every source is that the ledger knows, of all lanes.
    #[must_use]
    pub fn positions(&self) -> HashMap<SourceKey, SourcePosition> {
        landing::positions(self.ledger.txns())
    }

    /// How many landings each of this worker's lanes had: what tells one state of them from all others.
    #[must_use]
    pub fn counters(&self) -> BTreeMap<u8, i64> {
        self.applied.clone()
    }

    /// Begins a landing: its files are written while an earlier landing may still be decided and applied.
    #[must_use]
    pub fn begin(&self, now_us: i64) -> Staging {
        self.lake.stage(now_us)
    }

    /// Decides the landing and applies it everywhere. When it returns [`LandOutcome::Landed`], its rows can be read.
    ///
    /// # Errors
    /// [`LakeError::Inconsistent`] if the landing contradicts itself; it was not decided. After any other error the outcome is
    /// unknown: [`Lander::recover`], then compare [`Lander::positions`] with the landing's ranges.
    pub fn land<'a>(
        &'a mut self,
        staged: &'a Staged,
        now_us: i64,
    ) -> Boxed<'a, Result<LandOutcome, LakeError>> {
        Box::pin(self.decided_and_applied(staged, now_us))
    }

    async fn decided_and_applied(
        &mut self,
        staged: &Staged,
        now_us: i64,
    ) -> Result<LandOutcome, LakeError> {
        let inconsistent =
            |reason| LakeError::Inconsistent { landing: staged.landing.to_string(), reason };
        if let Some(reason) = staged.flaw() {
            return Err(inconsistent(reason));
        }
        if let Some(source) =
            staged.sources.iter().find(|source| !self.lanes.contains(&source.lane))
        {
            return Err(inconsistent(format!("lane {} is not this worker's", source.lane)));
        }
        if now_us.saturating_sub(staged.started_us) > AGE_MAX_US {
            return Ok(LandOutcome::Lost(Lost::TooOld));
        }
        self.ledger.refresh().await?;
        // From here to the append nothing refreshes the ledger, so filter and first attempted version are of one snapshot.
        let applied = |lane| self.applied.get(&lane).copied().unwrap_or(0);
        let plan = match staged.plan(&self.worker, |app| self.ledger.txn(app), applied) {
            Ok(plan) => plan,
            Err(lost) => return Ok(LandOutcome::Lost(lost)),
        };
        let Some(version) = self.decide(staged, &plan, now_us).await? else {
            return Ok(LandOutcome::Lost(Lost::Lane));
        };
        crash_point::reach(Point::LandingDecided);
        self.apply(&plan, now_us).await?;
        self.applied.extend(plan.lanes.iter().map(|(lane, counter)| (*lane, counter + 1)));
        Ok(LandOutcome::Landed { version })
    }

    /// Forgets what it believes of the lake, reads it again, and applies what was decided on its lanes but not applied.
    ///
    /// # Errors
    /// [`LakeError::NotWhole`] if ledger and tables contradict each other, [`LakeError::Schema`] if our rows do not fit a table,
    /// [`LakeError::Damaged`] if log or plans can't be understood, [`LakeError::Unsupported`] if a table was upgraded, else as the
    /// store fails. Safe to call again.
    pub async fn recover(&mut self, now_us: i64) -> Result<(), LakeError> {
        self.ledger.reload(self.lake.store()).await?;
        for log in self.tables.values_mut() {
            log.reload(self.lake.store()).await?;
        }
        self.redo(now_us).await
    }

    async fn redo(&mut self, now_us: i64) -> Result<(), LakeError> {
        self.agree().await?;
        let mut last = landing::lanes(self.ledger.txns());
        last.retain(|lane, _| self.lanes.contains(lane));
        for plan in ledger::last_plans(self.lake.store(), self.ledger.table(), last.clone()).await?
        {
            self.apply(&plan, now_us).await?;
        }
        self.applied = last;
        Ok(())
    }

    /// Before anything is written: do ledger and tables belong together? Others may land meanwhile, so each is read again after the
    /// one that it is held against.
    async fn agree(&mut self) -> Result<(), LakeError> {
        let lake = self.lake.store();
        for log in std::iter::once(&self.ledger).chain(self.tables.values()) {
            log.fit().writable(log.table())?;
        }
        self.ledger.refresh().await?;
        let ledger = self.ledger.txns();
        for (name, log) in &mut self.tables {
            if let Some(reason) = whole::ahead(ledger, log.txns()) {
                return Err(lake.not_whole(name, reason));
            }
            if whole::behind(name, ledger, log.txns()).is_some() {
                log.refresh().await?;
            }
            if let Some(reason) = whole::behind(name, ledger, log.txns()) {
                return Err(lake.not_whole(name, reason));
            }
        }
        Ok(())
    }

    /// Stores the plan and the ledger's own file, then commits to the ledger. `None`: another worker was first.
    async fn decide(
        &mut self,
        staged: &Staged,
        plan: &Plan,
        now_us: i64,
    ) -> Result<Option<u64>, LakeError> {
        let rows = ledger::rows(self.ledger.table(), staged, plan, now_us)?;
        // In the same landing, so that its file shares the landing's name and age.
        let staging = Staging::again(self.lake.store().clone(), staged);
        let path = Plan::path(plan.landing);
        let stored = async {
            self.lake.store().put(&path, plan.encode().into()).await?;
            crash_point::reach(Point::PlanWritten);
            Ok(())
        };
        let (file, ()) =
            try_join(staging.write(self.ledger.table().clone(), date_of(now_us), [rows]), stored)
                .await?;
        let file = file.expect("a landing has at least one source, so at least one row");
        let entry = Entry {
            adds: std::slice::from_ref(&file.add),
            txns: landing::decided_txns(plan, |app| self.ledger.txn(app)),
            landing: plan.landing,
            now_ms: now_us.div_euclid(1000),
        };
        match self.ledger.append(self.lake.store(), &entry).await? {
            Appended::At(version) => Ok(Some(version)),
            Appended::Conflict => Ok(None),
            Appended::Reloaded => Ok(self.knows(plan).await?.then(|| self.ledger.version())),
        }
    }

    /// Whether `plan` is the last one of its lanes in the ledger.
    async fn knows(&self, plan: &Plan) -> Result<bool, LakeError> {
        let mut last = landing::lanes(self.ledger.txns());
        last.retain(|lane, _| plan.lanes.contains_key(lane));
        let plans = ledger::last_plans(self.lake.store(), self.ledger.table(), last).await?;
        Ok(plans.iter().any(|known| known.landing == plan.landing))
    }

    async fn apply(&mut self, plan: &Plan, now_us: i64) -> Result<(), LakeError> {
        let unknown = plan.tables.keys().filter(|name| !self.tables.contains_key(*name));
        for name in unknown.cloned().collect::<Vec<_>>() {
            // Declared since this worker started.
            let declared = definitions::declared(self.lake.store(), &name).await?;
            let table = declared
                .ok_or_else(|| LakeError::Unknown { what: "a table", name: name.clone() })?;
            let log = open_log(self.lake.store(), &Arc::new(table)).await?;
            self.tables.insert(name, log);
        }
        let lake = self.lake.store();
        let touched = self.tables.iter_mut().filter(|(name, _)| plan.tables.contains_key(*name));
        let applied =
            try_join_all(touched.map(|(_, log)| apply_to(lake, log, plan, now_us))).await?;
        crash_point::reach(Point::LandingApplied);
        if applied.contains(&false) {
            info!(landing = %plan.landing, "finished or found finished a landing that was decided before");
        }
        Ok(())
    }

    /// The id that plans and ledger carry for this worker.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.worker
    }
}

/// Applies `plan` to one table unless that has happened. False: somebody else had.
async fn apply_to(
    lake: &Store,
    log: &mut TableLog,
    plan: &Plan,
    now_us: i64,
) -> Result<bool, LakeError> {
    log.refresh().await?;
    let entry = Entry {
        adds: plan.tables.get(log.table().name.as_ref()).map_or(&[][..], Vec::as_slice),
        txns: landing::applied_txns(plan),
        landing: plan.landing,
        now_ms: now_us.div_euclid(1000),
    };
    let mut ours = false;
    // After a conflict or a reload the log is up to date: it says whether the plan is in.
    while !landing::applied(plan, |app| log.txn(app)) {
        ours = matches!(log.append(lake, &entry).await?, Appended::At(_));
        crash_point::reach(Point::TableApplied);
    }
    Ok(ours)
}

async fn open_log(lake: &Store, table: &Arc<Table>) -> Result<TableLog, LakeError> {
    let missing =
        || LakeError::Missing { table: table.name.to_string(), url: lake.url().to_string() };
    TableLog::load(lake, table).await?.ok_or_else(missing)
}
