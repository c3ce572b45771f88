//! Watching what is decoded: the state of devices, alerts by rules, and whoever asks.
//!
//! The pipeline owns it. Rows go through it when they are decoded, those of a moment together; each step of an alert is told at once,
//! and is a row of the batch that is filling. A batch takes the state along as of its last row, which is kept with its landing: after
//! a kill, or a landing that was lost, it is exactly as of the last landing, and what came since is decoded again.

mod answers;
mod config;
mod keeping;
mod kept;
mod now;
mod rows;
mod rules_file;
mod sources;
mod states;
mod waiting;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use lake::{Lake, Lander};
use service_runtime::{Clock, Tasks};
use tokio::sync::oneshot;
use tracing::{error, info, warn};
use watch::{ActError, Action, Limits, Transition, Watch};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::batch::intern::Seeded;
use crate::batch::{Batch, Layout, OwnSource};
use crate::config::Config;
use crate::metrics::IngestMetrics;
use crate::mistake::Mistake;
use crate::notify::{Channels, Desk, Notice};
use crate::sequencer::Key;
pub use config::{AlertsConfig, Webhook};
pub(crate) use keeping::{Keeping, Restored};
pub(crate) use kept::Kept;
pub(crate) use now::Ask;
pub use now::{
    ALERTS_MAX, AlertNow, DEVICES_MAX, DeviceNow, Devices, DevicesWanted, Moved, NoAnswer, RuleNow,
    ValueNow, Watched, Watcher,
};
use rows::AlertRow;
use rules_file::RulesFile;
pub use rules_file::{RulesFileError, read_rules};
use sources::{Heard, Sources};
use states::States;
use waiting::Waiting;

/// How often time is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How often it is measured what the state takes, which is to look at all of it.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// See [`Watching::word_ms`].
const WORD_MS: u32 = 1_000;
/// Devices of one move.
const HEARD_MAX: usize = 1_000;
/// Acts that wait for their landing, at most.
const ACTS_MAX: usize = 1_000;

/// Somebody who did something, and waits for it to be in the lake.
#[derive(Debug)]
struct Acted {
    action: Action,
    answer: oneshot::Sender<Result<(), ActError>>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Watching {
    watch: Watch,
    limits: Limits,
    rules: RulesFile,
    row: AlertRow,
    own: OwnSource,
    /// The next offset of `own`.
    next: u64,
    /// The number of the last state.
    number: u64,
    /// As of the last landing.
    landed: Arc<Kept>,
    sources: Sources,
    states: Option<States>,
    watched: Watched,
    waiting: Waiting,
    /// Steps that are not told yet.
    out: Vec<Transition>,
    /// Devices that were heard since the last look, by the hash of their names: a name is copied once a look, not once a row.
    heard: HashMap<u64, (String, String), Seeded>,
    looked: Duration,
    measured: Duration,
    /// Acts in the batch that is filling, and in the one that is being landed.
    filling_acts: Vec<Acted>,
    landing_acts: Vec<Acted>,
    metrics: IngestMetrics,
    desk: Desk,
}

/// What it is made of.
struct Parts {
    pub(crate) own: OwnSource,
    pub(crate) restored: Restored,
    pub(crate) watched: Watched,
    pub(crate) metrics: IngestMetrics,
    pub(crate) sources_max: usize,
    pub(crate) desk: Desk,
    pub(crate) states: Option<States>,
    waiting: Waiting,
}

/// Goes on from what was kept, and says where it is kept; `None`: nothing is watched.
///
/// # Errors
/// Rules that make no sense; a store that fails.
pub(crate) async fn open(
    config: &Config,
    lake: &Lake,
    lander: &Lander,
    layout: &Layout,
    mut watched: Watched,
    metrics: &IngestMetrics,
    (clock, tasks): (Clock, &mut Tasks),
) -> anyhow::Result<Option<(Watching, (Keeping, OwnSource))>> {
    if !config.alerts.watch {
        return Ok(None);
    }
    let own = own_source(config);
    let next = crate::lander::own_next(lander, &own);
    let (keeping, restored) =
        Keeping::begin(lake, &config.worker, &lander.counters(), next).await?;
    let states = watched.link.as_ref().map(|link| States::new(link.states(tasks)));
    let channels = Channels::open(&config.alerts, watched.link.take())?;
    let desk = Desk::new(&channels.names(), metrics);
    channels.start(tasks, &desk, clock);
    let parts = Parts {
        own: own.clone(),
        restored,
        watched,
        metrics: metrics.clone(),
        sources_max: config.sources_max,
        desk,
        states,
        waiting: Waiting::new(config.memory_bytes),
    };
    let now = (clock.uptime(), clock.now_us());
    let watching = Watching::begin(&config.alerts, layout, parts, now)?;
    Ok(Some((watching, (keeping, own))))
}

/// The source that steps of alerts are of.
fn own_source(config: &Config) -> OwnSource {
    let lane = config.own_lanes().first().copied().unwrap_or_default();
    OwnSource { source_id: format!("~watch-{lane}").into(), lane }
}

/// Keeps a state that was made of the lake's rows, for the worker of these settings to go on from at its next start. `lander`: its lanes, as
/// they are now. Returns the state's number.
///
/// # Errors
/// As the store fails.
pub async fn keep_rebuilt(
    config: &Config,
    lake: &Lake,
    lander: &Lander,
    watch: &Watch,
) -> anyhow::Result<u64> {
    let next = crate::lander::own_next(lander, &own_source(config));
    let number = lake.watched(&config.worker).await?.last().map_or(1, |last| last + 1);
    let mut kept = Kept::new(number, next, watch.save());
    kept.lanes = lander.counters();
    lake.keep_watched(&config.worker, number, kept.encode()?.into()).await?;
    Ok(number)
}

impl Watching {
    /// Goes on from what was kept.
    ///
    /// # Errors
    /// Rules that make no sense; a table that is not as it should be.
    fn begin(
        config: &AlertsConfig,
        layout: &Layout,
        parts: Parts,
        (now, now_us): (Duration, i64),
    ) -> anyhow::Result<Self> {
        let Parts { own, restored, watched, metrics, sources_max, desk, states, waiting } = parts;
        let rules = RulesFile::open(config.rules.as_deref(), now)?;
        let limits = Limits { devices: config.devices_max, ..Limits::default() };
        let Restored { kept, next } = restored;
        let (number, landed) = (kept.number, Arc::new(kept));
        let mut watching = Self {
            watch: Watch::new(rules.rules(), limits),
            limits,
            rules,
            row: AlertRow::of(layout).map_err(|mistake: Mistake| anyhow::anyhow!("{mistake}"))?,
            own,
            next,
            number,
            landed,
            sources: Sources::new(sources_max),
            states,
            watched,
            waiting,
            out: Vec::new(),
            heard: HashMap::default(),
            looked: now,
            measured: Duration::ZERO,
            filling_acts: Vec::new(),
            landing_acts: Vec::new(),
            metrics,
            desk,
        };
        watching.load();
        watching
            .watch
            .alerts()
            .filter_map(|alert| Notice::of_alert(&alert))
            .for_each(|notice| watching.desk.begin(notice));
        let waiting = watching.landed.waiting.clone();
        watching.desk.resume(&waiting);
        for source in watching.watch.sources() {
            if let Ok(id) = source.source.parse() {
                watching.sources.expect(id, source.is_unknown, now, now_us);
            }
        }
        info!(devices = watching.watch.devices().count(), rules = %watching.described(), "watching");
        Ok(watching)
    }

    fn described(&self) -> String {
        let names: Vec<&str> = self.watch.looked_at().map(|(name, _)| name).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    /// Makes the state that was landed, by the rules of now.
    fn load(&mut self) {
        let rules = self.rules.rules();
        self.watch = if self.landed.state.is_empty() {
            Watch::new(rules, self.limits)
        } else {
            match Watch::load(&self.landed.state, rules, self.limits, &mut self.out) {
                Ok(watch) => watch,
                Err(problem) => {
                    error!(%problem, "what was known of devices and alerts can't be used: it is learned anew");
                    Watch::new(self.rules.rules(), self.limits)
                }
            }
        };
    }

    /// A batch that goes on.
    pub(crate) fn begin_batch(&mut self, batch: &mut Batch) {
        self.waiting.begin(batch);
        batch.begin_own(self.own.clone(), self.next);
    }

    /// A batch may have more readings: they are looked at when there are many, when they have waited long, or when they are few and
    /// `is_idle`: nothing else is to be done.
    pub(crate) fn take(
        &mut self,
        batch: &mut Batch,
        is_idle: bool,
        (now, now_us): (Duration, i64),
    ) {
        if self.waiting.is_time(batch, is_idle, now) {
            self.catch_up(batch, now_us);
        }
    }

    /// Looks at the readings of a batch that wait.
    pub(crate) fn catch_up(&mut self, batch: &mut Batch, now_us: i64) {
        loop {
            let (rows, numbering, watchable) = self.waiting.take(batch);
            if rows.is_empty() {
                return;
            }
            self.watch.rows(numbering, &watchable, &mut self.out);
            let is_published = self.states.as_ref().is_some_and(States::is_wanted);
            if self.watched.is_listened() || is_published {
                self.note_heard(batch, rows);
            }
            self.tell(batch, now_us);
        }
    }

    /// Notes whose rows these are, for those who want to know who was heard.
    fn note_heard(&mut self, batch: &Batch, rows: Range<usize>) {
        let mut last = u32::MAX;
        for row in rows {
            let device = batch.readings.device[row];
            if device == last || self.heard.len() >= HEARD_MAX {
                continue;
            }
            last = device;
            let Some(reading) = batch.reading(row) else { continue };
            let (site, name) = (reading.site, reading.device);
            let mark = xxh3_64_with_seed(name.as_bytes(), xxh3_64(site.as_bytes()));
            self.heard.entry(mark).or_insert_with(|| (site.to_owned(), name.to_owned()));
        }
    }

    /// A source was heard: the last message that was taken of a frame was received at that time, and whether it has more; `None`:
    /// nothing could be taken.
    pub(crate) fn hear(
        &mut self,
        batch: &mut Batch,
        key: &Key,
        (received_us, more): (Option<i64>, bool),
        (now, now_us): (Duration, i64),
    ) {
        let heard = Heard::of(received_us, more, now_us);
        if let Some(state) = self.sources.hear(&key.0, heard, now, now_us) {
            self.catch_up(batch, now_us);
            self.watch.source(key.0.as_str(), state, &mut self.out);
            self.tell(batch, now_us);
        }
    }

    /// A source says that it had nothing more at `at_us`, by its clock.
    pub(crate) fn word(
        &mut self,
        batch: &mut Batch,
        key: &Key,
        at_us: i64,
        (now, now_us): (Duration, i64),
    ) {
        self.catch_up(batch, now_us);
        self.hear(batch, key, (Some(now_us), false), (now, now_us));
        self.watch.tick(key.0.as_str(), at_us.min(now_us), &mut self.out);
        self.tell(batch, now_us);
    }

    /// Our connection is new, or lost: who is not heard in between is not away.
    pub(crate) fn connected(&mut self, now: Duration) {
        self.sources.connected(now);
    }

    /// Looks what time has done, and at the rules.
    pub(crate) fn look(&mut self, batch: &mut Batch, (now, now_us): (Duration, i64)) {
        if now < self.looked + LOOK_EVERY {
            return;
        }
        self.looked = now;
        self.catch_up(batch, now_us);
        for (source, state) in self.sources.gone(now) {
            self.watch.source(source.as_str(), state, &mut self.out);
        }
        for source in self.sources.away() {
            self.watch.tick(source.as_str(), now_us, &mut self.out);
        }
        match self.rules.look(now) {
            Ok(None) => {}
            Ok(Some(rules)) => self.reload(rules),
            Err(problem) => warn!(%problem, "the rules stay as they were"),
        }
        if let Some(states) = &mut self.states {
            states.look(&self.watch, self.heard.values(), now);
        }
        if now >= self.measured + MEASURE_EVERY {
            self.measured = now;
            self.metrics.watch_bytes(self.watch.memory_bytes());
        }
        if !self.heard.is_empty() {
            let mut heard: Vec<_> = self.heard.drain().map(|(_, names)| names).collect();
            heard.sort_unstable();
            self.watched.moved(Moved::Heard(Arc::new(heard)));
        }
        self.tell(batch, now_us);
    }

    fn reload(&mut self, rules: watch::Rules) {
        let state = self.watch.save();
        match Watch::load(&state, rules, self.limits, &mut self.out) {
            Ok(watch) => self.watch = watch,
            Err(problem) => return error!(%problem, "the new rules can't be taken"),
        }
        if let Some(states) = &mut self.states {
            states.rules_changed();
        }
        info!(rules = %self.described(), "the rules are read again");
    }

    /// Answers what is asked.
    pub(crate) fn answer(&mut self, batch: &mut Batch, ask: Ask, now_us: i64) {
        self.catch_up(batch, now_us);
        // Who does not wait any more needs no answer.
        match ask {
            Ask::Devices(wanted, answer) => {
                drop(answer.send(answers::devices(&self.watch, &wanted)));
            }
            Ask::Device((site, name), answer) => {
                drop(answer.send(answers::device(&self.watch, &site, &name)));
            }
            Ask::Alerts(answer) => drop(answer.send(answers::alerts(&self.watch))),
            Ask::Act(action, answer) => {
                if self.filling_acts.len() + self.landing_acts.len() >= ACTS_MAX {
                    return;
                }
                self.act(Acted { action, answer }, now_us);
                self.tell(batch, now_us);
            }
        }
    }

    fn act(&mut self, acted: Acted, now_us: i64) {
        match self.watch.act(&acted.action, now_us, &mut self.out) {
            Ok(()) => self.filling_acts.push(acted),
            Err(problem) => drop(acted.answer.send(Err(problem))),
        }
    }

    /// How often sources are to say that they have nothing more, if somebody watches for silence: it is told a second late at most.
    pub(crate) fn word_ms(&self) -> Option<u32> {
        self.watch.watches_silence().then_some(WORD_MS)
    }

    /// Whether somebody waits for the batch that is filling.
    pub(crate) fn is_waited_for(&self) -> bool {
        !self.filling_acts.is_empty()
    }

    /// Tells what has moved, and makes it rows.
    fn tell(&mut self, batch: &mut Batch, now_us: i64) {
        for step in self.out.drain(..) {
            if let Err(misfit) = self.row.put(batch, &step, now_us) {
                // All its texts are bounded.
                error!(%misfit, rule = %step.rule, "a step of an alert does not fit its table, please report it");
            }
            self.next = batch.own_end().unwrap_or(self.next);
            self.metrics.alert(step.to.name());
            if let Some(notice) = Notice::of(&step) {
                self.desk.tell(notice);
            }
            self.watched.moved(Moved::Alert(Arc::new(step)));
        }
    }

    /// The batch is whole: it takes along what is known as of its last row.
    pub(crate) fn seal(&mut self, batch: &mut Batch, now_us: i64) {
        self.catch_up(batch, now_us);
        self.number += 1;
        self.metrics.watching(&self.watch.counts());
        let mut kept = Kept::new(self.number, self.next, self.watch.save());
        kept.waiting = self.desk.waiting();
        batch.watched = Some(Box::new(kept));
        self.landing_acts.append(&mut self.filling_acts);
    }

    /// The batch that took `kept` along has landed.
    pub(crate) fn landed(&mut self, kept: Arc<Kept>, (rows, messages): (u64, u64)) {
        self.landed = kept;
        for acted in self.landing_acts.drain(..) {
            let _nobody_waits = acted.answer.send(Ok(()));
        }
        self.watched.moved(Moved::Landed { rows, messages });
    }

    /// The last batch was lost, and with it what came since: all is as of the last landing, and what people did is done again.
    pub(crate) fn reset(&mut self, filling: &mut Batch, next: Option<u64>, now_us: i64) {
        self.out.clear();
        self.next = next.unwrap_or(self.landed.next);
        self.begin_batch(filling);
        self.load();
        let acts = self.landing_acts.drain(..).chain(self.filling_acts.drain(..));
        for acted in acts.collect::<Vec<_>>() {
            self.act(acted, now_us);
        }
        self.tell(filling, now_us);
    }

    /// The next question, or none when rows have waited long.
    pub(crate) async fn asked(watching: &mut Option<Self>, clock: Clock) -> Option<Ask> {
        let Some(watching) = watching else { return std::future::pending().await };
        let until = watching.waiting.until();
        let waited = async {
            match until {
                Some(until) => tokio::time::sleep(until.saturating_sub(clock.uptime())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // None: nobody will ever ask.
            Some(ask) = watching.watched.asks.recv() => Some(ask),
            () = waited => None,
        }
    }
}
