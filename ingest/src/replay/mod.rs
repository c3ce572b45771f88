//! Decodes dead letters, or kept messages, again by the rules of today, and lands what has become rows: exactly once.
//!
//! Rows keep the identity of their message. What was replayed is in the table `replays`, in the same landing as the rows. A landing moves
//! a source of its own in the ledger: of two replays that run at once one loses its landing, and looks again what there is to do.
//! A replay that is killed leaves a landing that was decided, which the next one finishes, or nothing.

mod letters;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt;
use lake::date::date_of;
use lake::tables::replays;
use lake::{Lake, LakeError, LandOutcome, Lander, SourceAdvance, SourceKey, TableRows};
use telemetry_core::id::SourceId;
use telemetry_core::lane::LANES;
use telemetry_core::spool::record::Record;
use tracing::info;

use crate::batch::{Batch, Layout, Origin, Row};
use crate::columns;
use crate::config::Config;
use crate::decoding::Decoding;
use crate::mistake::Mistake;
use crate::rules::RuleMistake;
pub use letters::{Kept, Letter, Place, Wanted, letters, replayed};

/// The lane of replays: none of a source's, so that no ingest is disturbed.
const LANE: u8 = LANES;
/// No source may have such a name.
const SOURCE: &str = "~replay";
/// Messages of one landing, and their bytes.
const LANDING_MESSAGES: usize = 20_000;
const LANDING_BYTES: usize = 64 << 20;

/// What a replay did, or would do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Messages that were wanted.
    pub wanted: u64,
    /// Messages that became rows.
    pub landed: u64,
    /// Messages that had been replayed before.
    pub before: u64,
    /// Messages that still can't be decoded.
    pub refused: u64,
    /// Messages of which a part has rows already: they stay as they are.
    pub partly: u64,
}

/// Why a replay stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The configuration makes no sense.
    #[error("[ingest] topics: {0}")]
    Rule(#[from] RuleMistake),
    /// A table is not as it should be.
    #[error("{0}")]
    Table(#[from] Mistake),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
}

columns! {
    struct Done of replays::NAME {
        replayed_ts: Time,
        origin: Text,
        reason_code: Text,
        topic: Text,
    }
}

/// Replays what is wanted. `dry`: only looks what would become of it.
///
/// # Errors
/// [`ReplayError`]; what was landed before stays.
pub async fn replay(
    lake: &Lake,
    config: &Config,
    kept: Kept,
    wanted: &Wanted,
    dry: bool,
    now_us: impl Fn() -> i64,
) -> Result<Replayed, ReplayError> {
    let layout = Arc::new(Layout::of(lake.catalog()));
    let decoding = Decoding::new(config, layout.clone())?;
    let done = Done::of(&layout)?;
    let mut sum = Replayed::default();
    loop {
        let run = Run { lake, decoding: &decoding, done: &done, kept, dry };
        let (counts, whole) = run.once(wanted, &now_us).await?;
        // What was landed before somebody else was first stays; the rest is counted anew.
        sum = Replayed { landed: sum.landed + counts.landed, ..counts };
        if whole {
            return Ok(sum);
        }
        info!("another replay was first: looking again what there is to do");
    }
}

struct Run<'a> {
    lake: &'a Lake,
    decoding: &'a Decoding,
    done: &'a Done,
    kept: Kept,
    dry: bool,
}

impl Run<'_> {
    /// Goes through all that is wanted. False: somebody else was first, so what was looked at is no longer true.
    async fn once(
        &self,
        wanted: &Wanted,
        now_us: &impl Fn() -> i64,
    ) -> Result<(Replayed, bool), ReplayError> {
        let mut lander = match self.dry {
            true => None,
            false => Some(Lander::open(self.lake, "replay", [LANE], now_us()).await?),
        };
        // After the position was read: who lands in between moves it, and then ours is lost.
        let mut replayed = replayed(self.lake).await?;
        let mut counts = Replayed::default();
        let mut stream = letters(self.lake, self.kept, wanted.clone()).await?;
        let mut chunk: Vec<Letter> = Vec::new();
        let mut bytes = 0;
        loop {
            let more = stream.try_next().await?;
            let last = more.is_none();
            for letter in more.into_iter().flatten() {
                counts.wanted += 1;
                if replayed.contains(&letter.place) {
                    counts.before += 1;
                    continue;
                }
                bytes += letter.payload.len() + 256;
                chunk.push(letter);
            }
            if chunk.len() >= LANDING_MESSAGES
                || bytes >= LANDING_BYTES
                || (last && !chunk.is_empty())
            {
                let taken = std::mem::take(&mut chunk);
                bytes = 0;
                let fit = self.fit(taken, &mut counts, now_us()).await?;
                replayed.extend(fit.iter().map(|letter| letter.place.clone()));
                counts.landed += fit.len() as u64;
                if let Some(lander) = lander.as_mut().filter(|_| !fit.is_empty())
                    && !self.land(lander, &fit, now_us()).await?
                {
                    counts.landed -= fit.len() as u64;
                    return Ok((counts, false));
                }
            }
            if last {
                return Ok((counts, true));
            }
        }
    }

    /// Those that become rows, wholly, and have none yet; each message once.
    async fn fit(
        &self,
        letters: Vec<Letter>,
        counts: &mut Replayed,
        now_us: i64,
    ) -> Result<Vec<Letter>, ReplayError> {
        let mut fit = Vec::new();
        let mut places = HashSet::new();
        for letter in letters {
            // In a batch of its own, which is thrown away.
            if self.decoded(&mut self.decoding.batch(), &letter, now_us).is_none() {
                counts.refused += 1;
            } else if places.insert(letter.place.clone()) {
                fit.push(letter);
            }
        }
        let landed = if fit.is_empty() {
            HashSet::new()
        } else {
            letters::landed(self.lake, &places).await?
        };
        counts.partly += landed.len() as u64;
        fit.retain(|letter| !landed.contains(&letter.place));
        Ok(fit)
    }

    /// Decodes a message as one of its own source; `None`: it is still no rows.
    fn decoded(&self, batch: &mut Batch, letter: &Letter, now_us: i64) -> Option<Origin> {
        let (source_id, epoch, offset) = &letter.place;
        let id: SourceId = source_id.parse().ok()?;
        let source = batch.source(&id, epoch.cast_unsigned().try_into().ok()?, 0);
        let record = Record {
            offset: offset.cast_unsigned(),
            chain: 0,
            received_us: letter.received_us,
            flags: 0,
            publisher: &letter.publisher,
            topic: &letter.topic,
            attributes: &[],
            payload: &letter.payload,
        };
        self.decoding.again(batch, source, &record, now_us).ok()
    }

    /// Lands rows of `letters`. False: somebody else was first.
    async fn land(
        &self,
        lander: &mut Lander,
        letters: &[Letter],
        now_us: i64,
    ) -> Result<bool, ReplayError> {
        let key = SourceKey { source_id: SOURCE.to_owned(), epoch: 0 };
        let from = lander.positions().get(&key).map_or(0, |at| at.landed);
        let mut batch = self.decoding.batch();
        for letter in letters {
            let Some(origin) = self.decoded(&mut batch, letter, now_us) else { continue };
            let mut row = Row::new(&self.done.table, now_us);
            row.set(self.done.replayed_ts, now_us)
                .set(self.done.origin, self.kept.table())
                .set(self.done.reason_code, letter.reason_code.as_deref())
                .set(self.done.topic, letter.topic.as_str());
            // The row is short.
            let _fits = batch.add(&origin, row);
        }
        let (files, advances) = batch.into_files(date_of(now_us))?;
        let mut tables: BTreeMap<_, TableRows> = BTreeMap::new();
        for (table, rows) in advances.into_iter().flat_map(|advance| advance.tables) {
            tables.entry(table).or_default().merge(&rows);
        }
        let staging = lander.begin(now_us);
        let mut staged = Vec::new();
        for file in files {
            staged.extend(staging.write(file.table, file.date, file.batches).await?);
        }
        let to = from + letters.len() as u64;
        let (lane, chain, appended, gaps) = (LANE, 0, to, Vec::new());
        let received_us = None;
        let advance =
            SourceAdvance { key, lane, from, to, chain, appended, received_us, gaps, tables };
        let landed = lander.land(&staging.finish(staged, vec![advance]), now_us).await?;
        Ok(matches!(landed, LandOutcome::Landed { .. }))
    }
}
