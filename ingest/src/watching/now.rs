//! What is known of devices and alerts right now, for whoever asks: questions to the pipeline, which owns the state, and its answers.

use std::sync::Arc;

use crate::notify::Link;
use tokio::sync::{broadcast, mpsc, oneshot};
use watch::{ActError, Action, AlertId, Quality, State, Status, Transition};

use crate::topics::Topics;

/// Questions that wait for the pipeline.
const QUESTIONS_MAX: usize = 64;
/// Moves that a slow listener may be behind; then it is told that it missed some.
const MOVES_MAX: usize = 1024;
/// Devices of one answer, at most.
pub const DEVICES_MAX: usize = 1_000;
/// Alerts of one answer, at most.
pub const ALERTS_MAX: usize = 10_000;

/// The last value of a metric, by the time of the event.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueNow {
    /// What was measured.
    pub metric: String,
    /// The number.
    pub value: Option<f64>,
    /// The text; the beginning of a long one.
    pub text: Option<String>,
    /// The unit; empty if there is none.
    pub unit: String,
    /// What it is worth.
    pub quality: Quality,
    /// When it happened, Unix microseconds.
    pub event_us: i64,
    /// Rows by quality: good, unchecked, suspect, bad.
    pub counts: [u32; 4],
    /// Rows that were not after the newest.
    pub late: u32,
}

/// A device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceNow {
    /// Its site.
    pub site: String,
    /// Its name.
    pub device: String,
    /// Through which source it was heard last.
    pub source: String,
    /// Whether it is there.
    pub status: Status,
    /// When it was heard last, by its source, Unix microseconds.
    pub heard_us: i64,
    /// Rows in the last full minute.
    pub rows_per_minute: u32,
    /// Its metrics; empty in a list unless they were asked for.
    pub metrics: Vec<ValueNow>,
    /// Alerts of it that are there.
    pub alerts: Vec<AlertNow>,
    /// Rules in force that are for it; empty in a list.
    pub rules: Vec<RuleNow>,
}

/// A rule of alerts that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleNow {
    /// Its name.
    pub name: String,
    /// What it says, in words.
    pub condition: String,
}

/// An alert that is there: pending, firing, acknowledged or silenced.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertNow {
    /// Which.
    pub alert: AlertId,
    /// Its rule.
    pub rule: String,
    /// How bad it is.
    pub severity: &'static str,
    /// Where it is.
    pub state: State,
    /// The site.
    pub site: String,
    /// The device; empty: the source as a whole.
    pub device: String,
    /// The source that it was heard through.
    pub source: String,
    /// The metric; empty: the whole device.
    pub metric: String,
    /// What was measured when it moved last.
    pub value: String,
    /// What its rule asks.
    pub threshold: String,
    /// Since when it is in this state, Unix microseconds.
    pub since_us: i64,
    /// Who acknowledged or silenced it.
    pub by: Option<String>,
    /// Until when it is silenced, Unix microseconds.
    pub until_us: Option<i64>,
}

/// Which devices are asked for; texts match parts of names, without regard to case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DevicesWanted {
    /// Of this site only.
    pub site: Option<String>,
    /// In site or name.
    pub text: Option<String>,
    /// In this state only.
    pub status: Option<Status>,
    /// After this (site, device), in order of both: the last one of the page before.
    pub after: Option<(String, String)>,
    /// At most so many, and at most [`DEVICES_MAX`].
    pub limit: usize,
    /// With their metrics.
    pub metrics: bool,
}

/// A page of devices, in order of site and name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Devices {
    /// The page.
    pub devices: Vec<DeviceNow>,
    /// All devices that are known: online, silent, unknown.
    pub totals: [usize; 3],
    /// Whether there are more behind the page.
    pub more: bool,
}

/// Something moved.
#[derive(Debug, Clone)]
pub enum Moved {
    /// An alert took a step.
    Alert(Arc<Transition>),
    /// A batch was landed: rows, messages, and the version of the ledger.
    Landed {
        /// Rows in all tables.
        rows: u64,
        /// Messages.
        messages: u64,
    },
    /// Devices whose rows came since the last move of this kind, as (site, device); at most 1,000 a second.
    Heard(Arc<Vec<(String, String)>>),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// It can't be done.
    #[error(transparent)]
    Act(#[from] ActError),
    /// Too much is asked at once.
    #[error("too much is asked at once: try again")]
    Busy,
    /// Ingest is ending.
    #[error("ingest is ending")]
    Ending,
}

/// A question to the pipeline.
#[derive(Debug)]
pub(crate) enum Ask {
    Devices(DevicesWanted, oneshot::Sender<Devices>),
    Device((String, String), oneshot::Sender<Option<DeviceNow>>),
    Alerts(oneshot::Sender<Vec<AlertNow>>),
    Act(Action, oneshot::Sender<Result<(), ActError>>),
}

/// Asks the pipeline. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Watcher {
    asks: mpsc::Sender<Ask>,
    moves: broadcast::Sender<Moved>,
    topics: Topics,
}

/// The pipeline's end: give it to ingest.
#[derive(Debug)]
pub struct Watched {
    pub(crate) asks: mpsc::Receiver<Ask>,
    pub(crate) moves: broadcast::Sender<Moved>,
    /// Where it notes the topics that it sees.
    pub(crate) topics: Topics,
    /// The way to the broker, if alerts may be told there.
    pub(crate) link: Option<Link>,
}

impl Watched {
    /// Tells whoever listens.
    pub fn moved(&self, moved: Moved) {
        // Nobody may be listening.
        drop(self.moves.send(moved));
    }

    /// Whether anybody listens.
    pub(crate) fn is_listened(&self) -> bool {
        self.moves.receiver_count() > 0
    }
}

impl Watcher {
    /// A way to ask, and the end that answers.
    #[must_use]
    pub fn new() -> (Self, Watched) {
        let (asks, asked) = mpsc::channel(QUESTIONS_MAX);
        let (moves, _) = broadcast::channel(MOVES_MAX);
        let topics = Topics::default();
        let watcher = Self { asks, moves: moves.clone(), topics: topics.clone() };
        (watcher, Watched { asks: asked, moves, topics, link: None })
    }

    /// A page of devices.
    ///
    /// # Errors
    /// [`NoAnswer::Busy`], [`NoAnswer::Ending`].
    pub async fn devices(&self, wanted: DevicesWanted) -> Result<Devices, NoAnswer> {
        self.ask(|answer| Ask::Devices(wanted, answer)).await
    }

    /// One device, with its metrics, its alerts and the rules that are for it.
    ///
    /// # Errors
    /// As [`Self::devices`].
    pub async fn device(&self, site: &str, device: &str) -> Result<Option<DeviceNow>, NoAnswer> {
        let at = (site.to_owned(), device.to_owned());
        self.ask(|answer| Ask::Device(at, answer)).await
    }

    /// The alerts that are there, the worst and newest first, at most [`ALERTS_MAX`].
    ///
    /// # Errors
    /// As [`Self::devices`].
    pub async fn alerts(&self) -> Result<Vec<AlertNow>, NoAnswer> {
        self.ask(Ask::Alerts).await
    }

    /// Does what a person says; returns when the step is in the lake.
    ///
    /// # Errors
    /// As [`Self::devices`]; [`NoAnswer::Act`] if it can't be done.
    pub async fn act(&self, action: Action) -> Result<(), NoAnswer> {
        Ok(self.ask(|answer| Ask::Act(action, answer)).await??)
    }

    /// The topics that messages came on.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// What moves from now on.
    #[must_use]
    pub fn moves(&self) -> broadcast::Receiver<Moved> {
        self.moves.subscribe()
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, NoAnswer> {
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(ask(answer)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NoAnswer::Busy,
            mpsc::error::TrySendError::Closed(_) => NoAnswer::Ending,
        })?;
        answered.await.map_err(|_| NoAnswer::Ending)
    }
}
