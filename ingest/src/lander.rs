//! The task that lands batches, one at a time, while the next one is being decoded.
//!
//! Whatever fails, the answer is the same: read the ledger again, finish what was decided, and say where the sources
//! really are. A batch that was not decided is dropped; its sources send it again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use lake::date::date_of;
use lake::{Lake, LakeError, LandOutcome, Lander, SourceAdvance, Staged};
use service_runtime::Clock;
use service_runtime::admin::Readiness;
use telemetry_core::backoff::Backoff;
use telemetry_core::id::Offset;
use tokio::sync::mpsc;
use tracing::{debug, error, warn};

use crate::batch::{Batch, OwnSource};
use crate::causes::chain;
use crate::config::Config;
use crate::keeper::Keeper;
use crate::memory::Memory;
use crate::metrics::IngestMetrics;
use crate::sequencer::Key;
use crate::watching::{Keeping, Kept};

/// Files that are encoded and stored at once.
const FILES_AT_ONCE: usize = 2;

/// How long lanes that cannot be taken over are tried again. The lake was there a moment ago, so the trouble may pass: a listing
/// that is late, a store that is busy.
const TAKE_OVER_PATIENCE: Duration = Duration::from_secs(10);

/// The name of the lake in `/readyz`.
pub(crate) const PART: &str = "lake";

/// What the pipeline wants.
#[derive(Debug)]
pub(crate) enum Order {
    /// Land this.
    Land(Box<Batch>),
    /// Read the ledger again: somebody else may have landed.
    Reread,
}

/// What became of an order.
#[derive(Debug)]
pub(crate) enum Report {
    /// The rows can be read: these sources are landed to there, with that chain value; what is remembered of devices there, and
    /// what is watched.
    Landed(Vec<(Key, Offset, u64)>, Arc<Memory>, Option<Arc<Kept>>),
    /// The batch could not be encoded; else as [`Report::Reset`].
    Unfit(Vec<(Key, Offset, u64)>, Option<u64>),
    /// Nothing of the batch counts. All sources of this worker are at these positions, and ingest's own at that one.
    Reset(Vec<(Key, Offset, u64)>, Option<u64>),
}

/// Takes over this worker's lanes.
///
/// # Errors
/// As [`Lander::open`], when they last for [`TAKE_OVER_PATIENCE`].
pub(crate) async fn take_over(
    lake: &Lake,
    config: &Config,
    clock: Clock,
) -> Result<Lander, LakeError> {
    let deadline = clock.uptime() + TAKE_OVER_PATIENCE;
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(2));
    loop {
        let opened = Lander::open(lake, &config.worker, config.own_lanes(), clock.now_us()).await;
        match opened {
            Err(error) if clock.uptime() < deadline => {
                warn!(error = chain(&error), "cannot take over the lanes yet; trying again");
                tokio::time::sleep(backoff.delay(jitter())).await;
            }
            opened => return opened,
        }
    }
}

/// Lands what it is told to.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) lander: Lander,
    pub(crate) clock: Clock,
    pub(crate) metrics: IngestMetrics,
    /// Where it says whether the lake can be used, as part `lake`.
    pub(crate) readiness: Readiness,
    pub(crate) backoff: Backoff,
    pub(crate) keeper: Keeper,
    /// Where what is watched is kept, and as which source its rows land.
    pub(crate) keeping: Option<(Keeping, OwnSource)>,
}

impl Worker {
    pub(crate) fn new(
        lander: Lander,
        keeper: Keeper,
        keeping: Option<(Keeping, OwnSource)>,
        clock: Clock,
        metrics: IngestMetrics,
        readiness: Readiness,
    ) -> Self {
        let backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
        readiness.set(PART, Ok(()));
        Self { lander, clock, metrics, readiness, backoff, keeper, keeping }
    }

    /// Serves orders until there are no more.
    pub(crate) async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        reports: mpsc::Sender<Report>,
    ) -> anyhow::Result<()> {
        while let Some(order) = orders.recv().await {
            let report = match order {
                Order::Land(batch) => self.land(*batch).await,
                Order::Reread => self.recovered().await,
            };
            if let Report::Landed(_, memory, _) = &report {
                self.keeper.landed(memory.clone());
                if let Some((keeping, _)) = &mut self.keeping {
                    keeping.landed().await;
                }
            }
            if reports.send(report).await.is_err() {
                break;
            }
            self.keeper.keep_if_due(self.clock.uptime()).await;
        }
        self.keeper.keep().await;
        Ok(())
    }

    async fn land(&mut self, mut batch: Batch) -> Report {
        let memory = Arc::new(std::mem::take(&mut batch.memory));
        let (started, rows, messages) = (self.clock.uptime(), batch.rows(), batch.messages());
        let mut watched = None;
        let (staged, sources) = match self.stage(batch, &mut watched).await {
            Ok(staged) => staged,
            Err(error) => return self.not_staged(&error, messages).await,
        };
        let outcome = self.lander.land(&staged, self.clock.now_us()).await;
        let advanced = || sources.iter().filter_map(position).collect::<Vec<_>>();
        match outcome {
            Ok(LandOutcome::Landed { version }) => {
                self.works();
                let took = self.clock.uptime() - started;
                self.metrics.landed(rows as u64, took);
                debug!(version, rows, messages, ms = took.as_millis(), "landed");
                return Report::Landed(advanced(), memory, watched);
            }
            Ok(LandOutcome::Lost(lost)) => {
                self.metrics.landing("lost");
                warn!(reason = %lost, messages, "a landing was lost; its messages are asked for again");
            }
            Err(error) => {
                self.metrics.landing("unknown");
                let error = chain(&error);
                warn!(error, messages, "a landing's outcome is unknown; the ledger decides");
                // Until a landing works again: a lake that can be read may still refuse writes.
                self.readiness.set(PART, Err(error));
            }
        }
        // Whoever lost once may lose again at once: to another worker, or for the same reason.
        tokio::time::sleep(self.backoff.delay(jitter())).await;
        let report = self.recovered().await;
        // The ledger may well have it: then the only thing lost was an answer.
        let known = self.lander.positions();
        let there = |source: &SourceAdvance| {
            let at = known.get(&source.key);
            at.is_some_and(|at| (at.landed, at.chain) == (source.to, source.chain))
        };
        if sources.iter().all(there) {
            self.works();
            self.metrics.landing("found_landed");
            return Report::Landed(advanced(), memory, watched);
        }
        report
    }

    /// The files could not be written, so nothing was decided: the messages are asked for again.
    async fn not_staged(&mut self, failure: &LakeError, messages: u64) -> Report {
        let cause = chain(failure);
        if matches!(failure, LakeError::File { .. }) {
            // Rows that do not fit are dead letters long before: a defect, or no memory.
            self.metrics.landing("encode_failed");
            error!(
                error = cause,
                messages,
                "rows could not be encoded, nothing of the batch is landed; trying again, with less at a time: a message that is alone to blame becomes a dead letter, please report it"
            );
        } else {
            self.metrics.landing("not_stored");
            warn!(
                error = cause,
                messages, "files could not be stored, nothing of the batch is landed; trying again"
            );
        }
        self.readiness.set(PART, Err(cause));
        tokio::time::sleep(self.backoff.delay(jitter())).await;
        match self.recovered().await {
            Report::Reset(positions, own) if matches!(failure, LakeError::File { .. }) => {
                Report::Unfit(positions, own)
            }
            report => report,
        }
    }

    fn works(&mut self) {
        self.backoff.reset();
        self.readiness.set(PART, Ok(()));
    }

    async fn stage(
        &mut self,
        mut batch: Batch,
        watched: &mut Option<Arc<Kept>>,
    ) -> Result<(Staged, Vec<SourceAdvance>), LakeError> {
        let kept = batch.watched.take();
        let now_us = self.clock.now_us();
        let staging = self.lander.begin(now_us);
        let (files, sources) =
            tokio::task::spawn_blocking(move || batch.into_files(date_of(now_us))).await.map_err(
                |error| {
                    let table = "of any name".into();
                    LakeError::File { action: "encode", table, source: error.into() }
                },
            )??;
        let written = futures::stream::iter(files)
            .map(|file| staging.write(file.table, file.date, file.batches))
            .buffer_unordered(FILES_AT_ONCE);
        let written = written.try_filter_map(|file| futures::future::ready(Ok(file)));
        let lanes = after(self.lander.counters(), &sources);
        let (files, kept) = futures::future::try_join(
            written.try_collect::<Vec<_>>(),
            keep(self.keeping.as_mut(), kept, lanes),
        )
        .await?;
        *watched = kept;
        Ok((staging.finish(files, sources.clone()), sources))
    }

    /// Tries until the ledger is read and everything decided is applied.
    async fn recovered(&mut self) -> Report {
        loop {
            match self.lander.recover(self.clock.now_us()).await {
                Ok(()) => {
                    let own = self.keeping.as_ref().map(|(_, own)| own_next(&self.lander, own));
                    return Report::Reset(positions(&self.lander), own);
                }
                Err(error) => {
                    let error = chain(&error);
                    warn!(error, "the lake cannot be read; trying again");
                    self.readiness.set(PART, Err(error));
                    tokio::time::sleep(self.backoff.delay(jitter())).await;
                }
            }
        }
    }
}

/// How many landings lanes will have had with one that moves these sources.
fn after(mut lanes: BTreeMap<u8, i64>, sources: &[SourceAdvance]) -> BTreeMap<u8, i64> {
    let moved: BTreeSet<u8> = sources.iter().map(|source| source.lane).collect();
    moved.into_iter().for_each(|lane| *lanes.entry(lane).or_default() += 1);
    lanes
}

/// Keeps what is watched, as of the landing after which lanes are there.
async fn keep(
    keeping: Option<&mut (Keeping, OwnSource)>,
    kept: Option<Box<Kept>>,
    lanes: BTreeMap<u8, i64>,
) -> Result<Option<Arc<Kept>>, LakeError> {
    let Some(((keeping, _), mut kept)) = keeping.zip(kept) else { return Ok(None) };
    kept.lanes = lanes;
    let encode = move || kept.encode().map(|bytes| (kept, bytes));
    let encoded = tokio::task::spawn_blocking(encode).await;
    let failed = |error| LakeError::File {
        action: "encode",
        table: "of devices and alerts".into(),
        source: error,
    };
    let (kept, bytes) =
        encoded.map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))?;
    keeping.keep(kept.number, bytes.into()).await?;
    Ok(Some(Arc::from(kept)))
}

/// Where ingest's own source is.
pub(crate) fn own_next(lander: &Lander, own: &OwnSource) -> u64 {
    let key = lake::SourceKey { source_id: own.source_id.to_string(), epoch: 0 };
    lander.positions().get(&key).map_or(0, |at| at.landed)
}

/// Where all sources are that the ledger knows.
pub(crate) fn positions(lander: &Lander) -> Vec<(Key, Offset, u64)> {
    let positions = lander.positions();
    positions.iter().filter_map(|(key, at)| Some((parse_key(key)?, at.landed, at.chain))).collect()
}

fn position(source: &SourceAdvance) -> Option<(Key, Offset, u64)> {
    Some((parse_key(&source.key)?, source.to, source.chain))
}

fn parse_key(key: &lake::SourceKey) -> Option<Key> {
    Some((key.source_id.parse().ok()?, key.epoch.try_into().ok()?))
}

fn jitter() -> u64 {
    uuid::Uuid::new_v4().as_u64_pair().0
}
