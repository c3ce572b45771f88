//! Sends a spool's messages in frames and takes receipts: the loop around [`Delivery`].

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use crash_point::Point;
use service_runtime::{Clock, Stop};
use telemetry_core::delivery::{Delivery, Fork, Next, Patience, Positions, Refusal, Verdict};
use telemetry_core::frame::{self, FRAME_MAX, FrameHeader};
use telemetry_core::id::Epoch;
use telemetry_core::receipt::Receipt;
use telemetry_core::topic::ControlTopics;
use tokio::sync::watch;
use tracing::{debug, info, warn};

use crate::config::UplinkConfig;
use crate::disk::DiskError;
use crate::ingest_clock::IngestClock;
use crate::metrics::gauge;
use crate::reader::{Batch, Reader};
use crate::spool::Spool;

/// Enough unsent bytes to send at once instead of waiting for more, in messages.
const LINGER_MESSAGES: u64 = 2048;

/// How long to wait for room on the disk before a move to a new epoch is tried again.
const MOVE_AGAIN: Duration = Duration::from_secs(5);

/// How frames leave and receipts come: an MQTT client in the agent, the bus in the gateway.
pub trait Transport: Send + 'static {
    /// Waits for the next event; `None` when the transport has ended for good. Must be cancel-safe.
    fn event(&mut self) -> impl Future<Output = Option<TransportEvent>> + Send;

    /// Hands a frame over. It may be lost after that: receipts tell.
    fn send(&mut self, topic: &str, frame: Bytes) -> impl Future<Output = ()> + Send;

    /// The source goes on in another epoch, whose receipts come on a topic of their own.
    fn follow(&mut self, epoch: Epoch) -> impl Future<Output = ()> + Send;
}

/// What a transport reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransportEvent {
    /// Frames can be sent and receipts will come.
    Connected,
    /// Nothing can be sent until the next `Connected`.
    Disconnected,
    /// A receipt's bytes.
    Receipt(Bytes),
}

/// Why an uplink ended.
#[derive(Debug, thiserror::Error)]
pub enum UplinkError {
    /// The spool cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// A thread that reads the spool panicked.
    #[error("reading the spool was interrupted")]
    Interrupted,
}

/// What the uplink is doing, for status and metrics.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UplinkStatus {
    /// Where the source is.
    pub positions: Positions,
    /// The credit from the last receipt.
    pub window: Option<u64>,
    /// Whether the transport is connected.
    pub connected: bool,
    /// The lake that the source is bound to.
    pub lake_id: Option<String>,
    /// Another lake that answers on our topic, if one does.
    pub wrong_lake: Option<String>,
    /// How far ingest's clock is ahead of ours, as far as receipts tell.
    pub ingest_clock: IngestClock,
}

/// What one look at the delivery state led to.
enum Step {
    /// Something was sent: look again at once.
    Again,
    /// Nothing to do until this uptime, or until an event.
    Wait { until: Option<Duration> },
}

/// The loop that empties a spool.
#[derive(Debug)]
pub struct Uplink<T> {
    spool: Spool,
    transport: T,
    config: UplinkConfig,
    topic: String,
    clock: Clock,
    delivery: Delivery,
    reader: Option<Reader>,
    status: watch::Sender<UplinkStatus>,
    connected: bool,
    wrong_lake: Option<String>,
    ingest_clock: IngestClock,
    patience: Patience,
    /// Where random bits come from: jitter takes few, a new epoch needs fresh ones.
    entropy: fn() -> u64,
    random: u64,
    /// Told when the source is to end.
    stop: Stop,
    /// Uptime before which the drain rate allows no further frame.
    paced_until: Duration,
    /// When the oldest unsent message was first seen.
    unsent_since: Option<Duration>,
}

impl<T: Transport> Uplink<T> {
    /// Prepares an uplink. `entropy` gives random bits.
    pub fn new(
        spool: Spool,
        transport: T,
        config: UplinkConfig,
        topics: &ControlTopics,
        clock: Clock,
        patience: Patience,
        entropy: fn() -> u64,
    ) -> Self {
        let (landed, lake) = spool.resume_from();
        let synced = spool.progress().borrow().synced;
        let landed = landed.min(synced);
        let delivery = Delivery::new(clock.uptime(), spool.epoch(), lake, landed, synced, patience);
        Self {
            topic: topics.up(spool.source_id()),
            reader: Some(spool.reader()),
            spool,
            transport,
            config,
            clock,
            delivery,
            status: watch::Sender::default(),
            connected: false,
            wrong_lake: None,
            ingest_clock: IngestClock::default(),
            patience,
            entropy,
            random: entropy(),
            stop: Stop::new(),
            paced_until: Duration::ZERO,
            unsent_since: None,
        }
    }

    /// Watches what the uplink is doing.
    pub fn status(&self) -> watch::Receiver<UplinkStatus> {
        self.status.subscribe()
    }

    /// Runs until `stop` and then until everything accepted has landed, or until `patience`, which is not begun before the
    /// stop, is at an end.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub async fn run(
        mut self,
        stop: Stop,
        patience: impl Future<Output = ()> + Send,
    ) -> Result<(), UplinkError> {
        self.stop = stop.clone();
        let mut progress = self.spool.progress();
        let stopping = async {
            stop.cancelled().await;
            patience.await;
        };
        let mut stopping = pin!(stopping);
        loop {
            let now = self.clock.uptime();
            let seen = *progress.borrow_and_update();
            self.delivery.on_synced(now, seen.appended, seen.synced);
            let random = self.next_random();
            if self.delivery.on_time(now, random) {
                self.spool.shared.metrics.rewinds.inc();
                warn!(from = self.delivery.positions().sent, "no receipt for long: sending again");
            }
            self.report();
            let at = self.delivery.positions();
            if stop.is_cancelled() && at.landed == self.spool.status().appended {
                info!(landed = at.landed, "drained: everything accepted is readable in the lake");
                return Ok(());
            }
            let step = if self.connected {
                // Handing a frame over may wait for the network: a stop must not wait for that as well.
                tokio::select! {
                    biased;
                    () = &mut stopping => return said_goodbye(at),
                    step = self.act(now) => step?,
                }
            } else {
                Step::Wait { until: None }
            };
            let Step::Wait { until } = step else {
                // Something was sent and more may follow: only look at what the transport has for us.
                tokio::select! {
                    biased;
                    event = self.transport.event() => if !self.on_event(event).await? { return Ok(()) },
                    () = std::future::ready(()) => {}
                }
                continue;
            };
            let timer = async {
                match until {
                    Some(uptime) => {
                        tokio::time::sleep_until(self.clock.instant(uptime).into()).await;
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = &mut stopping => return said_goodbye(at),
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                event = self.transport.event() => if !self.on_event(event).await? { return Ok(()) },
                changed = progress.changed() => if changed.is_err() { return Ok(()) },
                () = timer => {}
            }
        }
    }

    /// Does what the delivery state asks for.
    async fn act(&mut self, now: Duration) -> Result<Step, UplinkError> {
        match self.delivery.next(now) {
            Next::Wait { until } => Ok(Step::Wait { until }),
            Next::Probe { from } => {
                let random = self.next_random();
                self.delivery.on_probed(now, random);
                self.spool.shared.metrics.probes.inc();
                let batch = Batch::probe(from, self.clock.now_us());
                let bytes = self.encode(from, batch).await?.1;
                self.transport.send(&self.topic, bytes).await;
                Ok(Step::Again)
            }
            Next::Frame { from, limit, raw_max } => {
                let since = *self.unsent_since.get_or_insert(now);
                let linger_until = since + self.config.linger();
                let ready_at = self.paced_until.max(if limit - from >= LINGER_MESSAGES {
                    since
                } else {
                    linger_until
                });
                if now < ready_at {
                    return Ok(Step::Wait { until: Some(ready_at) });
                }
                self.unsent_since = None;
                let raw_max = raw_max.min(self.config.frame_bytes.clamp(1, FRAME_MAX));
                self.send_frame(now, from, limit, raw_max).await?;
                Ok(Step::Again)
            }
        }
    }

    async fn send_frame(
        &mut self,
        now: Duration,
        from: u64,
        limit: u64,
        raw_max: usize,
    ) -> Result<(), UplinkError> {
        let reader = self.reader.take().ok_or(UplinkError::Interrupted)?;
        let (reader, batch) =
            blocking(reader, move |reader| reader.read(from, limit, raw_max)).await?;
        self.reader = Some(reader);
        let (end, raw_bytes, chain_end) = (batch.end, batch.records.len() as u64, batch.chain_end);
        if let Some(reason) = batch.gap {
            let reason = reason.as_str();
            warn!(from, to = end, reason, "messages cannot be delivered: sending a gap");
            self.spool.announced(from, end);
        }
        let (count, bytes) = self.encode(from, batch).await?;
        self.transport.send(&self.topic, bytes).await;
        crash_point::reach(Point::FrameSent);
        self.delivery.on_sent(end, raw_bytes, chain_end);
        let metrics = &self.spool.shared.metrics;
        metrics.frames.inc();
        metrics.frame_bytes.inc_by(raw_bytes);
        let rate = self.config.drain_bytes_per_second;
        if let Some(cost_us) = raw_bytes.saturating_mul(1_000_000).checked_div(rate) {
            self.paced_until = self.paced_until.max(now) + Duration::from_micros(cost_us);
        }
        debug!(from, count, raw_bytes, "frame sent");
        Ok(())
    }

    async fn encode(&self, from: u64, batch: Batch) -> Result<(u64, Bytes), UplinkError> {
        let at = self.delivery.positions();
        let header = FrameHeader {
            source_id: self.spool.source_id().clone(),
            epoch: self.spool.epoch(),
            oldest: self.spool.oldest(at.landed).min(at.appended),
            first_offset: from,
            count: batch.end - from,
            appended: at.appended,
            format: batch.format,
        };
        let (count, codec) = (header.count, self.config.codec);
        if batch.records.len() < 16 << 10 {
            return Ok((count, frame::encode(&header, &batch.records, codec).into()));
        }
        let encoded =
            tokio::task::spawn_blocking(move || frame::encode(&header, &batch.records, codec));
        Ok((count, encoded.await.map_err(|_| UplinkError::Interrupted)?.into()))
    }

    /// Takes an event; `false` when the transport has ended.
    async fn on_event(&mut self, event: Option<TransportEvent>) -> Result<bool, UplinkError> {
        match event {
            None => return Ok(false),
            Some(TransportEvent::Connected) => {
                self.connected = true;
                self.ingest_clock.connected();
                self.delivery.on_connected(self.clock.uptime());
            }
            Some(TransportEvent::Disconnected) => self.connected = false,
            Some(TransportEvent::Receipt(bytes)) => match Receipt::from_json(&bytes) {
                Ok(receipt) if receipt.source_id == *self.spool.source_id() => {
                    self.on_receipt(receipt).await?;
                }
                Ok(_) => {
                    self.spool.shared.metrics.receipts_refused.inc();
                }
                Err(error) => {
                    self.spool.shared.metrics.receipts_refused.inc();
                    warn!(%error, "receipt cannot be read");
                }
            },
        }
        Ok(true)
    }

    async fn on_receipt(&mut self, receipt: Receipt) -> Result<(), UplinkError> {
        let offset = receipt.landed;
        self.ingest_clock.hear(self.clock.uptime(), receipt.at, self.clock.now_ms());
        let own_chain = match self.delivery.chain_in_flight(offset) {
            Some(chain) => Some(chain),
            None if offset > self.delivery.positions().synced => None,
            None => {
                let reader = self.reader.take().ok_or(UplinkError::Interrupted)?;
                let (reader, chain) =
                    blocking(reader, move |reader| reader.chain_at(offset)).await?;
                self.reader = Some(reader);
                chain
            }
        };
        let before = self.delivery.positions().sent;
        let verdict = self.delivery.on_receipt(self.clock.uptime(), &receipt, own_chain);
        // The right one answers again.
        self.wrong_lake.take_if(|_| matches!(verdict, Verdict::Landed { .. } | Verdict::Unchanged));
        match verdict {
            Verdict::Landed { landed } => {
                crash_point::reach(Point::ReceiptTaken);
                self.spool.landed(landed, receipt.chain, &receipt.lake_id);
            }
            Verdict::Unchanged => {}
            Verdict::Refused(Refusal::WrongLake { bound, heard }) => {
                self.spool.shared.metrics.receipts_refused.inc();
                if self.wrong_lake.as_ref() != Some(&heard) {
                    warn!(
                        bound,
                        heard,
                        "another lake answers: ignoring it; `tidemark source rebind` changes the lake"
                    );
                    self.wrong_lake = Some(heard);
                }
            }
            Verdict::Refused(refusal) => {
                self.spool.shared.metrics.receipts_refused.inc();
                debug!(?refusal, "receipt ignored");
            }
            Verdict::Fork(fork) => return self.follow_fork(fork).await,
        }
        if self.delivery.positions().sent < before {
            self.spool.shared.metrics.rewinds.inc();
            debug!(from = self.delivery.positions().sent, "ingest misses messages: sending again");
        }
        Ok(())
    }

    /// Another spool with our identity wrote to the lake, because the disk was cloned or restored: goes on in a new epoch with
    /// what has not landed. Meanwhile the spool accepts.
    async fn follow_fork(&mut self, fork: Fork) -> Result<(), UplinkError> {
        let Fork { claimed, common } = fork;
        warn!(
            claimed,
            common,
            "the lake holds other messages of this source than this spool, which was cloned or restored: moving what has not \
             landed to a new epoch"
        );
        self.spool.forked();
        self.report();
        let before = self.spool.progress().borrow().generation;
        loop {
            let (spool, epoch) = (self.spool.clone(), Epoch::from_random((self.entropy)()));
            let moved = tokio::task::spawn_blocking(move || spool.move_to(epoch));
            match self.meanwhile(moved).await {
                None => return Ok(()),
                Some(moved) => match moved.map_err(|_| UplinkError::Interrupted)? {
                    Err(failure) if failure.is_full() => {
                        warn!(%failure, "no room to move to a new epoch: trying again");
                        if self.meanwhile(tokio::time::sleep(MOVE_AGAIN)).await.is_none() {
                            return Ok(());
                        }
                    }
                    moved => break moved?,
                },
            }
        }
        let mut progress = self.spool.progress();
        let switched = async move {
            // The writer is gone only when the source ends.
            drop(progress.wait_for(|now| now.generation > before || now.failed).await);
        };
        if self.meanwhile(switched).await.is_none() {
            return Ok(());
        }
        let (landed, lake) = self.spool.resume_from();
        let (now, synced) = (self.clock.uptime(), self.spool.status().synced);
        let epoch = self.spool.epoch();
        self.delivery = Delivery::new(now, epoch, lake, landed, synced, self.patience);
        self.reader = Some(self.spool.reader());
        self.transport.follow(epoch).await;
        Ok(())
    }

    /// Waits for something while the transport goes on; `None` when the source is to end. Receipts are about the epoch that is
    /// being left, so nothing is taken from them.
    async fn meanwhile<R>(&mut self, work: impl Future<Output = R>) -> Option<R> {
        let (mut work, stop) = (pin!(work), self.stop.clone());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                done = &mut work => return Some(done),
                event = self.transport.event() => match event? {
                    TransportEvent::Connected => self.connected = true,
                    TransportEvent::Disconnected => self.connected = false,
                    TransportEvent::Receipt(_) => {}
                },
            }
        }
    }

    fn report(&self) {
        let at = self.delivery.positions();
        self.spool.shared.metrics.sent.set(gauge(at.sent));
        self.spool.shared.metrics.landed.set(gauge(at.landed));
        self.status.send_if_modified(|status| {
            let next = UplinkStatus {
                positions: at,
                window: self.delivery.window(),
                connected: self.connected,
                lake_id: self.delivery.lake().map(str::to_owned),
                wrong_lake: self.wrong_lake.clone(),
                ingest_clock: self.ingest_clock,
            };
            let changed = *status != next;
            *status = next;
            changed
        });
    }

    fn next_random(&mut self) -> u64 {
        // xorshift64*: jitter needs spread, not secrecy.
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random = self.random.max(1);
        self.random.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}

/// What is left when the time for draining is over.
fn said_goodbye(at: Positions) -> Result<(), UplinkError> {
    let pending = at.synced - at.landed;
    info!(
        pending,
        "stopping with messages that have not landed: they are safe and go on at the next start"
    );
    Ok(())
}

/// Lends the reader to a thread that may block on the disk.
async fn blocking<R: Send + 'static>(
    mut reader: Reader,
    work: impl FnOnce(&mut Reader) -> Result<R, DiskError> + Send + 'static,
) -> Result<(Reader, R), UplinkError> {
    let (reader, result) = tokio::task::spawn_blocking(move || {
        let result = work(&mut reader);
        (reader, result)
    })
    .await
    .map_err(|_| UplinkError::Interrupted)?;
    Ok((reader, result?))
}
