//! What the API knows of its process, and what it shares between requests: limits on callers, listeners and questions to the lake.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use gateway::Insight;
use ingest::watching::Watcher;
use lake::Lake;
use service_runtime::admin::Readiness;
use service_runtime::{Clock, Counts};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::ApiConfig;
use crate::error::Error;
use crate::known::Sources;
use crate::pulse::Pulse;
use crate::throttle::Throttle;

/// Listeners to events at once; further ones are answered with 503.
pub(crate) const LISTENERS_MAX: usize = 64;
/// Questions to the lake that are answered at once; further ones wait.
pub(crate) const LAKE_MAX: usize = 4;
/// Waiting and answering together take so long at most; then 503.
const LAKE_TIME_MAX: Duration = Duration::from_secs(20);
/// A replay takes so long at most; what it has landed by then stays.
const REPLAY_TIME_MAX: Duration = Duration::from_secs(600);

/// What the API is made of. What a process does not have is not there, and the API says so.
#[derive(Clone)]
pub struct Parts {
    /// The `[api]` section.
    pub config: ApiConfig,
    /// All of the configuration in force; secrets in it are not shown.
    pub in_force: serde_json::Value,
    /// Whether each part can work.
    pub readiness: Readiness,
    /// What was refused, dropped and dead-lettered.
    pub counts: Counts,
    /// The clock.
    pub clock: Clock,
    /// The gateway of this process.
    pub gateway: Option<Insight>,
    /// The ingest of this process.
    pub ingest: Option<Ingest>,
}

/// What the API knows of ingest.
#[derive(Clone)]
pub struct Ingest {
    /// Its settings.
    pub config: Arc<ingest::Config>,
    /// Its lake.
    pub lake: Lake,
    /// Who asks its pipeline.
    pub watcher: Watcher,
}

/// The API. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    parts: Parts,
    throttle: Throttle,
    pulse: Pulse,
    listeners: Arc<Semaphore>,
    lake: Semaphore,
    replays: Semaphore,
    sources: Sources,
}

impl Api {
    /// Of these parts. [`Api::run`] is to be run beside it.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(Inner {
            throttle: Throttle::new(parts.config.requests_per_second),
            pulse: Pulse::default(),
            listeners: Arc::new(Semaphore::new(LISTENERS_MAX)),
            lake: Semaphore::new(LAKE_MAX),
            replays: Semaphore::new(1),
            sources: Sources::default(),
            parts,
        }))
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.0.parts
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    pub(crate) fn pulse(&self) -> &Pulse {
        &self.0.pulse
    }

    pub(crate) fn sources(&self) -> &Sources {
        &self.0.sources
    }

    pub(crate) fn now(&self) -> Duration {
        self.0.parts.clock.uptime()
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.0.parts.clock.now_us()
    }

    /// # Errors
    /// 404 where this process has no ingest.
    pub(crate) fn ingest(&self) -> Result<&Ingest, Error> {
        let none = "it runs no ingest; ask the admin address of the one that does (`tidemark up` or `tidemark ingest`)";
        self.0.parts.ingest.as_ref().ok_or(Error::NotHere(none))
    }

    /// # Errors
    /// 404 where this process has no gateway.
    pub(crate) fn gateway(&self) -> Result<&Insight, Error> {
        let none = "it runs no gateway; ask the admin address of the one that does (`tidemark up` or `tidemark gateway`)";
        self.0.parts.gateway.as_ref().ok_or(Error::NotHere(none))
    }

    /// A place among the listeners.
    ///
    /// # Errors
    /// 503 when there is none.
    pub(crate) fn listener(&self) -> Result<OwnedSemaphorePermit, Error> {
        let taken = self.0.listeners.clone().try_acquire_owned();
        taken.map_err(|_| Error::Busy(format!("{LISTENERS_MAX} listen already: try again later")))
    }

    /// Places among the listeners, and questions to the lake, that are taken.
    pub(crate) fn used(&self) -> (usize, usize) {
        let listeners = LISTENERS_MAX - self.0.listeners.available_permits().min(LISTENERS_MAX);
        (listeners, LAKE_MAX - self.0.lake.available_permits().min(LAKE_MAX))
    }

    /// Answers a question to the lake when it is its turn.
    ///
    /// # Errors
    /// 503 if it takes too long, or the lake cannot be read.
    pub(crate) async fn ask_lake<T, E: Into<Error>>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error> {
        let late = || Error::Busy("the lake takes too long: ask for less, or try again".into());
        in_turn(&self.0.lake, LAKE_TIME_MAX, question).await.ok_or_else(late)?
    }

    /// Replays when nobody else does.
    ///
    /// # Errors
    /// 503 if it takes too long, or the lake cannot be read or written.
    pub(crate) async fn replay<T>(
        &self,
        replay: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let late = || {
            Error::Busy(
                "the replay takes too long: what it has landed stays, ask again for the rest"
                    .into(),
            )
        };
        in_turn(&self.0.replays, REPLAY_TIME_MAX, replay).await.ok_or_else(late)?
    }
}

async fn in_turn<T, E: Into<Error>>(
    turns: &Semaphore,
    patience: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Option<Result<T, Error>> {
    let answered = tokio::time::timeout(patience, async {
        let _turn = turns.acquire().await.ok()?;
        Some(work.await.map_err(Into::into))
    });
    answered.await.ok().flatten()
}
