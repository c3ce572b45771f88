//! What the lake said of sources last: kept for a few seconds, since the whole ledger is read for it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lake::SourceBooks;

/// It is read again after so long.
const FRESH: Duration = Duration::from_secs(5);

/// What the lake says of sources.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) books: Vec<SourceBooks>,
    pub(crate) heard: HashMap<String, i64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Sources(Mutex<Option<(Duration, Arc<Known>)>>);

impl Sources {
    /// What was kept, if it is fresh.
    pub(crate) fn fresh(&self, now: Duration) -> Option<Arc<Known>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = kept.as_ref()?;
        (now.saturating_sub(*at) < FRESH).then(|| known.clone())
    }

    pub(crate) fn keep(&self, now: Duration, known: Arc<Known>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, known));
    }
}
