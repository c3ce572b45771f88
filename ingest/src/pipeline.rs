//! The heart of ingest: frames in, batches out, receipts back. It owns the sequencer and the batch that is filling, and
//! runs on a thread of its own, because decoding is work for a CPU and must not hold up anybody's network.
//!
//! It never waits for the lake: while a batch is being landed the next one fills, and when the memory is used up frames
//! are dropped and their sources told to wait.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use service_runtime::{Clock, Stop};
use telemetry_core::frame::Frame;
use telemetry_core::lane::lane_of;
use telemetry_core::receipt::{self, Receipt};
use telemetry_core::spool::record::GapReason;
use telemetry_core::topic::{Control, ControlTopics};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use crate::attempts::Attempts;
use crate::batch::Batch;
use crate::batch::dates::DATES_FULL;
use crate::budget::Budget;
use crate::config::Config;
use crate::dead_letters::DeadLetters;
use crate::decoding::Decoding;
use crate::heard::Hearing;
use crate::lander::{Order, Report};
use crate::memory::Memory;
use crate::metrics::IngestMetrics;
use crate::sequencer::{Key, Sequencer, Verdict, window};
use crate::topics::{Marks, Topics};
use crate::traced::Traced;
use crate::watching::{Ask, Watching};

/// How often receipts that are owed are looked at, and the age of the batch.
const TICK: Duration = Duration::from_millis(100);

/// What arrives from the transport.
#[derive(Debug)]
pub enum Inbound {
    /// The connection is new: frames may have been lost with the old one.
    Connected,
    /// A message on a control topic.
    Frame {
        /// Its topic.
        topic: String,
        /// The frame's bytes.
        payload: Bytes,
    },
}

/// A retained message for the transport to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Where.
    pub topic: String,
    /// A receipt.
    pub payload: Vec<u8>,
}

/// What the pipeline is connected to.
pub(crate) struct Ends {
    pub(crate) inbox: mpsc::Receiver<Inbound>,
    pub(crate) outbox: mpsc::Sender<Outbound>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) reports: mpsc::Receiver<Report>,
}

/// See the module.
pub(crate) struct Pipeline {
    pub(crate) config: Config,
    pub(crate) lake_id: String,
    pub(crate) lanes: Vec<u8>,
    pub(crate) topics: ControlTopics,
    pub(crate) clock: Clock,
    pub(crate) metrics: IngestMetrics,
    pub(crate) decoding: Decoding,
    pub(crate) sequencer: Sequencer,
    pub(crate) ends: Ends,
    pub(crate) state: State,
    pub(crate) budget: Budget,
    pub(crate) attempts: Attempts,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) hearing: Hearing,
    pub(crate) seen: Topics,
    pub(crate) marks: Marks,
    pub(crate) watching: Option<Watching>,
    pub(crate) traced: Option<Traced>,
}

/// The batches.
pub(crate) struct State {
    pub(crate) filling: Batch,
    /// When the first frame of `filling` came.
    pub(crate) since: Option<Duration>,
    /// A frame was dropped because there was no memory: landing makes room.
    pub(crate) no_room: bool,
    /// A frame that waits for the ledger to be read again; others are dropped meanwhile.
    rereading: Option<Frame>,
    /// A frame that is taken carefully, as soon as it is written down; from where, and the chain there.
    pub(crate) careful: Option<(Frame, u64, Option<u64>)>,
    /// A batch of which nothing else may become a part.
    pub(crate) closed: bool,
    /// Rows and messages of the batch that is being landed.
    landing: (u64, u64),
    /// What is known of devices as of the last landing.
    landed: Arc<Memory>,
}

impl State {
    /// Nothing was taken yet.
    pub(crate) fn new(mut filling: Batch, remembered: Memory) -> Self {
        let landed = Arc::new(remembered);
        filling.memory = (*landed).clone();
        let (since, no_room, rereading, careful) = (None, false, None, None);
        let (closed, landing) = (false, (0, 0));
        Self { filling, since, no_room, rereading, careful, closed, landing, landed }
    }
}

impl Pipeline {
    /// Runs until `stop`, then lands what was received.
    pub(crate) async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        self.begin_batch();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                report = self.ends.reports.recv() => self.on_report(report.context("the lander has ended")?).await,
                _ = tick.tick() => self.look(),
                ask = Watching::asked(&mut self.watching, self.clock) => self.answer(ask),
                inbound = self.ends.inbox.recv() => match inbound {
                    Some(Inbound::Connected) => self.connected(),
                    Some(Inbound::Frame { topic, payload }) => self.on_frame(&topic, &payload),
                    None => break,
                },
            }
            self.take_carefully().await;
            self.watch(self.ends.inbox.is_empty());
            self.flush_if_due()?;
            self.send_receipts();
        }
        self.drain(stop.is_cancelled()).await
    }

    fn connected(&mut self) {
        self.sequencer.connected();
        if let Some(watching) = &mut self.watching {
            watching.connected(self.clock.uptime());
        }
    }

    /// Looks at what time brings.
    fn look(&mut self) {
        let now = self.clock.uptime();
        self.dead_letters.look(now);
        let (active, waiting) = (self.sequencer.active(now), self.ends.inbox.len());
        self.metrics.standing(active, waiting, self.attempts.bad_ends());
        if let Some(watching) = &mut self.watching {
            watching.look(&mut self.state.filling, (now, self.clock.now_us()));
        }
    }

    /// Looks at what was decoded, if it is time.
    pub(crate) fn watch(&mut self, is_idle: bool) {
        if let Some(watching) = &mut self.watching {
            let now = (self.clock.uptime(), self.clock.now_us());
            watching.take(&mut self.state.filling, is_idle, now);
        }
    }

    fn answer(&mut self, ask: Option<Ask>) {
        if let (Some(watching), Some(ask)) = (&mut self.watching, ask) {
            watching.answer(&mut self.state.filling, ask, self.clock.now_us());
        }
    }

    fn begin_batch(&mut self) {
        if let Some(watching) = &mut self.watching {
            watching.begin_batch(&mut self.state.filling);
        }
    }

    fn on_frame(&mut self, topic: &str, payload: &Bytes) {
        let frame = match Frame::decode(payload) {
            Ok(frame) => frame,
            Err(error) => {
                self.metrics.frame("unreadable");
                // The source is not known, so nobody can be told; it will probe and send again.
                return warn!(topic, bytes = payload.len(), %error, "dropped what is not a sound frame");
            }
        };
        let header = &frame.header;
        if self.topics.parse(topic) != Some(Control::Up(header.source_id.clone())) {
            self.metrics.frame("impersonated");
            return warn!(topic, source = %header.source_id, "dropped a frame on another source's topic");
        }
        if !self.lanes.contains(&lane_of(&header.source_id)) {
            // Another worker's: it could be taken, but never landed.
            return self.metrics.frame("other_lane");
        }
        if self.state.rereading.is_some() {
            return self.metrics.frame("waiting");
        }
        self.offer(frame, false);
    }

    /// Takes a frame or says why not. `reread`: the ledger was read again since it came.
    fn offer(&mut self, frame: Frame, reread: bool) {
        let header = &frame.header;
        let key = (header.source_id.clone(), header.epoch);
        let slice = self.attempts.slice(&key);
        let alone = !self.budget.order_is_out() && self.state.filling.is_empty();
        let room = self.budget.has_room(&self.state.filling, frame.records.len() as u64)
            && !self.state.closed
            && (slice.is_none() || alone);
        match self.sequencer.offer(self.clock.uptime(), header, room) {
            Verdict::Take { next, chain } if slice.is_some() => {
                self.state.careful = Some((frame, next, chain));
            }
            Verdict::Take { next, chain } => self.take(&frame, next, chain, u64::MAX),
            Verdict::Repeat => {
                self.hear_word(&key, &frame);
                self.metrics.frame(if header.count == 0 { "probe" } else { "repeat" });
            }
            Verdict::Gap => self.metrics.frame("gap"),
            Verdict::Full => {
                self.state.no_room = true;
                self.hear(&key, (None, true));
                self.metrics.frame("no_memory");
            }
            Verdict::TooMany => {
                self.metrics.frame("too_many_sources");
                warn!(source = %header.source_id, limit = self.config.sources_max, "refused a new source: raise sources_max");
            }
            // Does the ledger know better than we do? What is on its way to it must have arrived first.
            Verdict::Behind => self.state.rereading = Some(frame),
            Verdict::Gone { .. } if !reread => self.state.rereading = Some(frame),
            Verdict::Gone { from, oldest } => {
                warn!(source = %key.0, epoch = %key.1, from, oldest, "the source no longer has these offsets, and the lake never had them");
                self.metrics.gap(oldest - from);
                let source = self.state.filling.source(&key.0, key.1, from);
                self.state.filling.gap(source, from, oldest - from, GapReason::Replaced.as_str());
                self.state.filling.advance(source, oldest, 0, header.appended);
                self.state.since.get_or_insert(self.clock.uptime());
                self.sequencer.skip(&key, oldest);
                self.offer(frame, true);
            }
        }
    }

    /// What a source says that was taken before.
    fn hear_word(&mut self, key: &Key, frame: &Frame) {
        let Some((landed, next)) = self.sequencer.position(key) else { return };
        let Some(at_us) = frame.probe_time() else { return };
        let (appended, now_us) = (frame.header.appended, self.clock.now_us());
        if landed == appended {
            self.hearing.hear(&key.0, at_us.min(now_us));
        }
        if let Some(watching) = self.watching.as_mut().filter(|_| next == appended) {
            let now = (self.clock.uptime(), now_us);
            watching.word(&mut self.state.filling, key, at_us, now);
        }
    }

    /// When the last message of a source was received that was taken, and whether it has more.
    pub(crate) fn hear(&mut self, key: &Key, heard: (Option<i64>, bool)) {
        if let Some(watching) = &mut self.watching {
            let now = (self.clock.uptime(), self.clock.now_us());
            watching.hear(&mut self.state.filling, key, heard, now);
        }
    }

    fn flush_if_due(&mut self) -> anyhow::Result<()> {
        if self.budget.order_is_out() {
            return Ok(());
        }
        if !self.state.filling.is_empty() {
            self.state.since.get_or_insert(self.clock.uptime());
        }
        let batch = &self.state.filling;
        let age = self.state.since.map(|since| self.clock.uptime().saturating_sub(since));
        let due = batch.rows() >= self.config.flush_rows
            || batch.raw_bytes() >= self.config.flush_bytes
            || age.is_some_and(|age| age >= Duration::from_millis(self.config.flush_age_ms))
            || self.budget.is_spent(batch)
            || batch.dates() >= DATES_FULL
            || self.state.no_room
            || self.state.closed
            || self.state.rereading.is_some()
            || self.watching.as_ref().is_some_and(Watching::is_waited_for);
        if due && !batch.is_empty() {
            self.flush()?;
        } else if self.state.rereading.is_some() {
            self.budget.orders(0);
            self.ends.orders.try_send(Order::Reread).context("the lander has ended")?;
        }
        Ok(())
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let mut batch = std::mem::replace(&mut self.state.filling, self.decoding.batch());
        self.state.filling.memory = batch.memory.clone();
        if let Some(watching) = &mut self.watching {
            watching.seal(&mut batch, self.clock.now_us());
        }
        if let Some(traced) = &mut self.traced {
            traced.seal();
        }
        self.begin_batch();
        (self.state.since, self.state.no_room, self.state.closed) = (None, false, false);
        self.state.landing = (batch.rows() as u64, batch.messages());
        self.budget.learn(&batch);
        self.budget.orders(batch.landing_bytes());
        // One order is out at most, so there is room.
        self.ends.orders.try_send(Order::Land(Box::new(batch))).context("the lander has ended")
    }

    async fn on_report(&mut self, report: Report) {
        self.budget.done();
        if matches!(report, Report::Unfit(..)) {
            self.attempts.failed().await;
        }
        match report {
            Report::Landed(positions, memory, watched) => {
                self.state.landed = memory;
                if let (Some(watching), Some(kept)) = (&mut self.watching, watched) {
                    watching.landed(kept, self.state.landing);
                }
                if let Some(traced) = &mut self.traced {
                    traced.landed(self.clock.now_us());
                }
                self.attempts.landed(self.state.landing.1, &positions).await;
                self.sequencer.landed(positions);
            }
            Report::Reset(positions, at) | Report::Unfit(positions, at) => {
                // What was decoded since builds on what was lost.
                let dropped = std::mem::replace(&mut self.state.filling, self.decoding.batch());
                // Else what is decoded again would look like a repeat of itself.
                self.state.filling.memory = (*self.state.landed).clone();
                (self.state.since, self.state.closed) = (None, false);
                if let Some(traced) = &mut self.traced {
                    traced.reset();
                }
                if let Some(watching) = &mut self.watching {
                    watching.reset(&mut self.state.filling, at, self.clock.now_us());
                }
                debug!(
                    messages = dropped.messages(),
                    "the ledger was read again; asking the sources for what it has not"
                );
                self.sequencer.reset(own(&self.lanes, positions));
                self.sequencer.landed([]);
                if let Some(frame) = self.state.rereading.take() {
                    self.offer(frame, true);
                }
            }
        }
    }

    fn send_receipts(&mut self) {
        let now = self.clock.uptime();
        self.metrics.pending(self.budget.pending(&self.state.filling));
        let answers = self.sequencer.answers(now);
        if answers.is_empty() {
            return;
        }
        let credit = self.budget.credit(&self.state.filling);
        let window = window(credit, self.sequencer.active(now));
        let word_ms = self.watching.as_ref().and_then(Watching::word_ms);
        for answer in answers {
            let (source_id, epoch) = answer.key.clone();
            let topic = self.topics.receipt(&source_id, epoch);
            let receipt = Receipt {
                v: receipt::VERSION,
                lake_id: self.lake_id.clone(),
                source_id,
                epoch,
                landed: answer.landed,
                chain: answer.chain,
                resend_from: answer.resend_from,
                window: if answer.closed { 0 } else { window },
                word_ms,
                worker: self.config.worker.clone(),
                at: self.clock.now_ms(),
            };
            if self.ends.outbox.try_send(Outbound { topic, payload: receipt.to_json() }).is_ok() {
                self.metrics.receipt("sent");
            } else {
                self.metrics.receipt("held_back");
                self.sequencer.not_sent(&answer);
            }
        }
    }

    /// Lands what was received and sends the receipts for it. `orderly`: somebody asked for the stop.
    async fn drain(mut self, orderly: bool) -> anyhow::Result<()> {
        let (messages, mut complete) = (self.state.filling.messages(), true);
        if messages > 0 || self.budget.order_is_out() {
            info!(messages, "landing what was received");
        }
        while self.budget.order_is_out() || !self.state.filling.is_empty() {
            if !self.budget.order_is_out() {
                self.flush()?;
            }
            let report = self.ends.reports.recv().await.context("the lander has ended")?;
            complete &= matches!(report, Report::Landed(..));
            self.on_report(report).await;
            self.take_carefully().await;
        }
        if orderly {
            self.attempts.end().await;
        }
        self.send_receipts();
        if complete {
            info!("everything received is landed");
        } else {
            info!("a landing was lost: what it held is asked for again by the next worker");
        }
        Ok(())
    }
}

/// Of all positions those of the sources in `lanes`.
pub(crate) fn own(lanes: &[u8], mut positions: Vec<(Key, u64, u64)>) -> Vec<(Key, u64, u64)> {
    positions.retain(|((source, _), _, _)| lanes.contains(&lane_of(source)));
    positions
}
