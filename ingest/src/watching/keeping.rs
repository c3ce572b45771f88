//! Where what is known of devices and alerts is kept: with the lake, a state a landing.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use lake::{Lake, LakeError};
use tracing::{info, warn};

use super::kept::Kept;
use crate::causes::chain;

/// States that stay: the last landing's, and the one before, should the last have been decided by somebody else's doing.
const STAY: usize = 2;

/// What a worker goes on from.
#[derive(Debug, Default)]
pub(crate) struct Restored {
    /// The state of the last landing; an empty one if there is none.
    pub(crate) kept: Kept,
    /// The next offset of ingest's own source, as the ledger has it.
    pub(crate) next: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Keeping {
    lake: Lake,
    worker: String,
    numbers: VecDeque<u64>,
}

impl Keeping {
    /// Finds the state that the ledger has come to; `lanes`: landings of each of the worker's lanes, `next`: where its own source is.
    ///
    /// # Errors
    /// As the store fails.
    pub(crate) async fn begin(
        lake: &Lake,
        worker: &str,
        lanes: &BTreeMap<u8, i64>,
        next: u64,
    ) -> Result<(Self, Restored), LakeError> {
        let numbers: VecDeque<u64> = lake.watched(worker).await?.into();
        let keeping = Self { lake: lake.clone(), worker: worker.to_owned(), numbers };
        let mut found: Option<Kept> = None;
        let mut highest = 0;
        for number in keeping.numbers.clone().into_iter().rev() {
            highest = highest.max(number);
            let Some(kept) = keeping.read(number).await? else { continue };
            if kept.is_of(lanes) {
                found = Some(kept);
                break;
            }
            let newer = found.as_ref().is_none_or(|found| found.number < kept.number);
            if newer && kept.is_before(lanes) {
                found = Some(kept);
            }
        }
        let mut kept = found.unwrap_or_default();
        if kept.number > 0 && kept.is_of(lanes) {
            info!(state = kept.number, "going on with what is known of devices");
        } else if kept.number > 0 {
            warn!(
                state = kept.number,
                "what is known of devices is older than what landed: rows that others landed since on these lanes were not watched; `tidemark alerts rebuild`, with ingest stopped, makes it anew from the lake"
            );
        }
        // A number is never used again: what it was of may still be there.
        kept.number = kept.number.max(highest);
        Ok((keeping, Restored { kept, next }))
    }

    async fn read(&self, number: u64) -> Result<Option<Kept>, LakeError> {
        let Some(bytes) = self.lake.watched_state(&self.worker, number).await? else {
            return Ok(None);
        };
        match Kept::decode(&bytes) {
            Ok(kept) => Ok(Some(kept)),
            Err(problem) => {
                warn!(number, %problem, "a state of devices can't be used");
                Ok(None)
            }
        }
    }

    /// Keeps the state of a landing that is about to be decided.
    ///
    /// # Errors
    /// As the store fails.
    pub(crate) async fn keep(&mut self, number: u64, bytes: Bytes) -> Result<(), LakeError> {
        self.lake.keep_watched(&self.worker, number, bytes).await?;
        self.numbers.push_back(number);
        Ok(())
    }

    /// The last one's landing is there: those before are not needed.
    pub(crate) async fn landed(&mut self) {
        while self.numbers.len() > STAY {
            let Some(number) = self.numbers.pop_front() else { return };
            if let Err(error) = self.lake.drop_watched(&self.worker, number).await {
                // It is listed again at the next start.
                warn!(error = chain(&error), "an old state of devices is not removed this time");
            }
        }
    }
}
