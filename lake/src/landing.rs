//! What a landing is and when it counts: pure decisions, checked exhaustively by `tests/interleave`.
//!
//! ```text
//! write   data files under names of their own, then the plan              (nothing is visible yet)
//! decide  one commit to the ledger: its rows, `txn src/…`, `txn lane/…`   (from here on it will become visible)
//! apply   to each table of the plan: its files and `txn lane/…`           (idempotent, by anybody)
//! ```
//!
//! Application ids in the ledger's log: `src/{source_id}/{epoch}` → the next offset, `chain/{source_id}/{epoch}` → the
//! chained checksum there (the 64 bits as a signed number), `lane/{lane}` → landings of that lane so far, `table/{table}/{lane}`
//! → the last of them that touches the table, `before/{table}/{lane}` → the last but one. In a data table's log: `lane/{lane}` →
//! the landing of that lane that was applied last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::delta::AddFile;
use crate::plan::{Plan, PlannedSource};
use crate::table::{Table, Text};

/// A landing whose files are older than this starts over: orphan clean-up must never meet a file that may still be decided.
pub const AGE_MAX_US: i64 = 3600 * 1_000_000;

/// One spool: a source in one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceKey {
    /// Source id, without `/`.
    pub source_id: String,
    /// Epoch, 63 bits.
    pub epoch: u64,
}

/// How far a source is landed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourcePosition {
    /// Every offset below this one is in the lake.
    pub landed: u64,
    /// The chained checksum at that point.
    pub chain: u64,
}

/// Offsets that a source could not deliver.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Gap {
    /// First missing offset.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// Why, in a word.
    pub reason: String,
}

/// What a source's range added to one table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableRows {
    /// Rows.
    pub rows: u64,
    /// Earliest and latest time of those rows in the table's time column, Unix microseconds.
    pub time: Option<(i64, i64)>,
}

impl TableRows {
    /// Adds what another source added.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.time = match (self.time, other.time) {
            (Some((a, b)), Some((first, last))) => Some((a.min(first), b.max(last))),
            (own, theirs) => own.or(theirs),
        };
    }

    /// Counts one more row at `time_us`.
    pub fn add(&mut self, time_us: i64) {
        self.rows += 1;
        let (first, last) = self.time.unwrap_or((time_us, time_us));
        self.time = Some((first.min(time_us), last.max(time_us)));
    }
}

/// The range of one source that a landing covers, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceAdvance {
    /// Which source.
    pub key: SourceKey,
    /// Its lane.
    pub lane: u8,
    /// First offset; must be where the ledger says the source is.
    pub from: u64,
    /// One beyond the last offset.
    pub to: u64,
    /// Chained checksum after the last offset.
    pub chain: u64,
    /// How many messages the source had accepted when it sent the last frame of the range.
    pub appended: u64,
    /// When it accepted the last message of the range, by its clock, Unix microseconds; `None`: there is none in it.
    pub received_us: Option<i64>,
    /// Offsets in the range that were not delivered.
    pub gaps: Vec<Gap>,
    /// What each table got.
    pub tables: BTreeMap<Text, TableRows>,
}

/// Whether a source is ingest itself: replays, and rows that it makes. No spool has such a name.
#[must_use]
pub fn is_own(source_id: &str) -> bool {
    source_id.starts_with('~')
}

/// A file that is written but not committed.
#[derive(Clone, Debug)]
pub struct StagedFile {
    pub(crate) table: Arc<Table>,
    pub(crate) rows: u64,
    pub(crate) add: AddFile,
}

impl StagedFile {
    /// Rows in the file.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.add.size
    }
}

/// A landing with all its files written, ready to be decided.
#[derive(Debug)]
pub struct Staged {
    pub(crate) landing: Uuid,
    pub(crate) started_us: i64,
    pub(crate) files: Vec<StagedFile>,
    pub(crate) sources: Vec<SourceAdvance>,
}

/// Why a landing must not be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Another worker moved the source; the caller's rows may be in the lake already.
    Source {
        /// Which.
        key: SourceKey,
        /// Where the landing starts.
        from: u64,
        /// Where the source is.
        landed: u64,
    },
    /// Another worker committed to one of our lanes since we last read the ledger.
    Lane,
    /// Its files are older than [`AGE_MAX_US`].
    TooOld,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { key, from, landed } => {
                write!(f, "source {} is landed to {landed}, not to {from}", key.source_id)
            }
            Self::Lane => f.write_str("another worker landed on the same lane"),
            Self::TooOld => f.write_str("its files are older than an hour"),
        }
    }
}

impl Staged {
    /// The landing's id.
    #[must_use]
    pub fn landing(&self) -> Uuid {
        self.landing
    }

    /// What contradicts itself in this landing, if anything.
    pub(crate) fn flaw(&self) -> Option<String> {
        let mut rows: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        let mut keys = BTreeSet::new();
        if self.sources.is_empty() {
            return Some("it advances no source".to_owned());
        }
        for source in &self.sources {
            let name = &source.key.source_id;
            if source.from >= source.to || i64::try_from(source.to).is_err() {
                return Some(format!("source {name} goes from {} to {}", source.from, source.to));
            }
            if name.contains('/') || !keys.insert(&source.key) {
                return Some(format!("source {name} is named twice or has a slash in its name"));
            }
            for (table, counts) in &source.tables {
                rows.entry(table).or_default().0 += counts.rows;
            }
        }
        for file in &self.files {
            rows.entry(&file.table.name).or_default().1 += file.rows;
        }
        let wrong = rows.iter().find(|(_, (counted, written))| counted != written);
        wrong.map(|(table, (counted, written))| {
            format!("{table}: {counted} rows counted, {written} written")
        })
    }

    /// Turns the landing into a plan on top of the ledger whose application versions are `txn`, or says why it lost. `applied`
    /// is the counter up to which the worker knows a lane's landings to be applied everywhere. A landing that goes on from
    /// a later one, decided by somebody else, would be applied over it: nobody would redo that one again.
    pub(crate) fn plan(
        &self,
        worker: &str,
        txn: impl Fn(&str) -> i64,
        applied: impl Fn(u8) -> i64,
    ) -> Result<Plan, Lost> {
        if let Some(source) =
            self.sources.iter().find(|source| txn(&source_app(&source.key)) != offset(source.from))
        {
            let landed = txn(&source_app(&source.key)).cast_unsigned();
            return Err(Lost::Source { key: source.key.clone(), from: source.from, landed });
        }
        let lanes: BTreeMap<u8, i64> =
            self.sources.iter().map(|source| (source.lane, txn(&lane_app(source.lane)))).collect();
        if lanes.iter().any(|(lane, counter)| applied(*lane) != *counter) {
            return Err(Lost::Lane);
        }
        let sources = self.sources.iter().map(|source| PlannedSource {
            source_id: source.key.source_id.clone(),
            epoch: source.key.epoch,
            lane: source.lane,
            from: source.from,
            to: source.to,
            chain: source.chain,
        });
        let mut tables: BTreeMap<String, Vec<AddFile>> = BTreeMap::new();
        for file in &self.files {
            tables.entry(file.table.name.to_string()).or_default().push(file.add.clone());
        }
        Ok(Plan::new(self.landing, worker.to_owned(), lanes, sources.collect(), tables))
    }
}

/// The application versions that deciding on `plan` writes to the ledger, whose own are `txn`.
pub(crate) fn decided_txns(plan: &Plan, txn: impl Fn(&str) -> i64) -> BTreeMap<String, i64> {
    let mut txns = applied_txns(plan);
    for table in plan.tables.keys() {
        for (lane, counter) in &plan.lanes {
            let app = table_app(table, *lane);
            txns.insert(before_app(table, *lane), txn(&app));
            txns.insert(app, counter + 1);
        }
    }
    for source in &plan.sources {
        let key = SourceKey { source_id: source.source_id.clone(), epoch: source.epoch };
        txns.insert(source_app(&key), offset(source.to));
        txns.insert(chain_app(&key), source.chain.cast_signed());
    }
    txns
}

/// The application versions that applying `plan` writes to each of its tables.
pub(crate) fn applied_txns(plan: &Plan) -> BTreeMap<String, i64> {
    plan.lanes.iter().map(|(lane, counter)| (lane_app(*lane), counter + 1)).collect()
}

/// Whether a table whose application versions are `txn` has `plan` already. One lane speaks for all: they were written by
/// one commit.
pub(crate) fn applied(plan: &Plan, txn: impl Fn(&str) -> i64) -> bool {
    plan.lanes.iter().any(|(lane, counter)| txn(&lane_app(*lane)) > *counter)
}

/// The positions of all sources that the ledger knows.
pub(crate) fn positions(txns: &HashMap<String, i64>) -> HashMap<SourceKey, SourcePosition> {
    let sources = txns.iter().filter_map(|(app, landed)| {
        let key = parse_source_app(app)?;
        let chain = txns.get(&chain_app(&key)).copied().unwrap_or(0).cast_unsigned();
        Some((key, SourcePosition { landed: landed.cast_unsigned(), chain }))
    });
    sources.collect()
}

pub(crate) fn source_app(key: &SourceKey) -> String {
    format!("src/{}/{:016x}", key.source_id, key.epoch)
}

fn chain_app(key: &SourceKey) -> String {
    format!("chain/{}/{:016x}", key.source_id, key.epoch)
}

pub(crate) fn lane_app(lane: u8) -> String {
    format!("lane/{lane}")
}

/// The last landing of a lane that touches a table.
pub(crate) fn table_app(table: &str, lane: u8) -> String {
    format!("table/{table}/{lane}")
}

/// The last landing of a lane but one that touches a table.
pub(crate) fn before_app(table: &str, lane: u8) -> String {
    format!("before/{table}/{lane}")
}

fn parse_source_app(app: &str) -> Option<SourceKey> {
    let (source_id, epoch) = app.strip_prefix("src/")?.rsplit_once('/')?;
    Some(SourceKey { source_id: source_id.to_owned(), epoch: u64::from_str_radix(epoch, 16).ok()? })
}

/// The lanes of the ledger and their counters.
pub(crate) fn lanes(txns: &HashMap<String, i64>) -> BTreeMap<u8, i64> {
    let lanes = txns
        .iter()
        .filter_map(|(app, counter)| Some((app.strip_prefix("lane/")?.parse().ok()?, *counter)));
    lanes.collect()
}

/// Offsets stay below 2^63 ([`Staged::flaw`]).
fn offset(offset: u64) -> i64 {
    offset.cast_signed()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advance(id: &str, lane: u8, from: u64, to: u64) -> SourceAdvance {
        let key = SourceKey { source_id: id.into(), epoch: 0x7fff_ffff_ffff_fff0 };
        SourceAdvance {
            key,
            lane,
            from,
            to,
            chain: u64::MAX - to,
            appended: to,
            received_us: None,
            gaps: vec![],
            tables: BTreeMap::new(),
        }
    }

    fn staged(sources: Vec<SourceAdvance>) -> Staged {
        Staged { landing: Uuid::from_u128(1), started_us: 0, files: vec![], sources }
    }

    fn lookup(txns: &HashMap<String, i64>) -> impl Fn(&str) -> i64 {
        |app| txns.get(app).copied().unwrap_or(0)
    }

    #[test]
    fn a_decision_moves_each_source_and_each_lane_once() {
        let mut txns = HashMap::new();
        let first =
            staged(vec![advance("a", 3, 0, 5), advance("b", 3, 0, 2), advance("c", 9, 0, 1)]);
        let landed = plan(&first, &txns).unwrap();
        txns.extend(decided_txns(&landed, |_| 0));
        assert_eq!(lanes(&txns), [(3, 1), (9, 1)].into());
        let positions = positions(&txns);
        assert_eq!(positions.len(), 3);
        let key = advance("a", 3, 0, 5).key;
        assert_eq!(
            positions[&key],
            SourcePosition { landed: 5, chain: u64::MAX - 5 },
            "all 64 bits of the chain"
        );
        let second = plan(&staged(vec![advance("a", 3, 5, 8)]), &txns).unwrap();
        assert_eq!(second.lanes, [(3, 1)].into());
    }

    /// On top of a ledger of which everything is applied.
    fn plan(staged: &Staged, txns: &HashMap<String, i64>) -> Result<Plan, Lost> {
        staged.plan("w", lookup(txns), |lane| lookup(txns)(&lane_app(lane)))
    }

    #[test]
    fn a_landing_on_top_of_one_that_may_not_be_applied_has_lost() {
        let txns = HashMap::from([(lane_app(3), 5)]);
        let staged = staged(vec![advance("a", 3, 0, 5)]);
        assert_eq!(staged.plan("w", lookup(&txns), |_| 4).unwrap_err(), Lost::Lane);
        assert!(staged.plan("w", lookup(&txns), |_| 5).is_ok());
    }

    #[test]
    fn a_landing_that_does_not_start_where_the_source_is_has_lost() {
        let txns: HashMap<_, _> = decided_txns(
            &plan(&staged(vec![advance("a", 3, 0, 5)]), &HashMap::new()).unwrap(),
            |_| 0,
        )
        .into_iter()
        .collect();
        for (from, to) in [(0, 5), (4, 9), (6, 9)] {
            let lost = plan(&staged(vec![advance("a", 3, from, to)]), &txns).unwrap_err();
            let key = advance("a", 3, 0, 1).key;
            assert_eq!(lost, Lost::Source { key, from, landed: 5 });
        }
    }

    #[test]
    fn a_plan_is_applied_once_whoever_looks() {
        let plan =
            plan(&staged(vec![advance("a", 3, 0, 5), advance("b", 4, 0, 5)]), &HashMap::new())
                .unwrap();
        let mut table = HashMap::new();
        assert!(!applied(&plan, lookup(&table)));
        table.extend(applied_txns(&plan));
        assert!(applied(&plan, lookup(&table)));
        // The lane went on: an older plan stays applied.
        table.insert(lane_app(3), 7);
        assert!(applied(&plan, lookup(&table)));
    }

    #[test]
    fn a_landing_that_contradicts_itself_is_refused() {
        assert!(staged(vec![advance("a", 1, 5, 5)]).flaw().is_some(), "an empty range");
        assert!(
            staged(vec![advance("a", 1, 0, 1), advance("a", 1, 1, 2)]).flaw().is_some(),
            "named twice"
        );
        assert!(staged(vec![advance("a/b", 1, 0, 1)]).flaw().is_some(), "a slash");
        let mut counted = advance("a", 1, 0, 1);
        counted.tables.insert("readings".into(), TableRows { rows: 1, time: None });
        assert!(staged(vec![counted]).flaw().is_some(), "a row that is in no file");
        assert_eq!(staged(vec![advance("a", 1, 0, 1)]).flaw(), None);
    }
}
