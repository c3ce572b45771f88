//! Runs a simulation: the plan, the pace, the connections, the journal.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use service_runtime::{Boxed, Clock, Stop};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::config::{Config, ConfigError, MqttVersion, Pace};
use crate::disorder::{Disorder, Outgoing, Sending};
use crate::journal::Journal;
use crate::message::{DeviceName, Run};
use crate::plan::{Plan, Tables};
use crate::progress::{Progress, Summary};
use crate::publisher::{
    Codec, Connection, Dial, HttpConnection, Login, Queued, Shared, Tcp, Tls, Tracker, watch,
};

/// Times further ahead than this are absurd to the pipeline.
const HORIZON_US: i64 = 24 * 3600 * 1_000_000;
/// Half of it: the simulated clock stops before the pipeline stops believing it.
const AHEAD_MAX_US: i64 = HORIZON_US / 2;

/// How long a gateway that was never reached is waited for, when there is no more to publish.
const NEVER_THERE: Duration = Duration::from_secs(3);

/// A simulation that has not been started.
pub struct Simulation {
    config: Config,
    clock: Clock,
    dial: Arc<dyn Dial>,
    tables: Option<Arc<dyn Tables>>,
    progress: Arc<Progress>,
}

impl Simulation {
    /// Checks the configuration.
    ///
    /// # Errors
    /// The first value that is out of bounds.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let dial = Arc::new(Tcp::new(&config.gateway));
        let (clock, progress) = (Clock::default(), Arc::default());
        Ok(Self { config, clock, dial, tables: None, progress })
    }

    /// As [`Self::new`], and by TLS if the configuration says so.
    ///
    /// # Errors
    /// As [`Self::new`], or when a file for TLS cannot be used.
    pub fn secured(config: Config) -> anyhow::Result<Self> {
        let mut simulation = Self::new(config)?;
        let Config { tls, gateway, .. } = &simulation.config;
        if tls.ca_file.is_some() {
            simulation.dial = Arc::new(Tls::new(gateway, tls)?);
        }
        Ok(simulation)
    }

    /// Reaches the gateway in another way than plain TCP.
    #[must_use]
    pub fn with_dial(mut self, dial: Arc<dyn Dial>) -> Self {
        self.dial = dial;
        self
    }

    /// Replays files that are no text, too.
    #[must_use]
    pub fn with_tables(mut self, tables: Arc<dyn Tables>) -> Self {
        self.tables = Some(tables);
        self
    }

    /// The counters, for watching while it runs.
    #[must_use]
    pub fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Publishes until the plan or the time is over or `stop` is cancelled, then waits for the outstanding
    /// acknowledgements (`drain_s`) and, if asked to, receipts (`receipt_wait_s`).
    ///
    /// # Errors
    /// When a file to replay cannot be read, the journal cannot be written, or the gateway refuses the clients for good.
    pub fn run(self, stop: Stop) -> Boxed<'static, anyhow::Result<Summary>> {
        Box::pin(self.played(stop))
    }

    async fn played(self, stop: Stop) -> anyhow::Result<Summary> {
        let started = self.clock.uptime();
        let (plan, journal) = self.prepare()?;
        let devices = plan.devices().to_vec();
        let abort = Stop::new();
        let wants_receipts = self.config.receipts && self.config.mqtt == MqttVersion::V5;
        let shared = Arc::new(Shared {
            dial: self.dial.clone(),
            codec: Codec { version: self.config.mqtt },
            journal,
            progress: self.progress.clone(),
            tracker: wants_receipts.then(|| Tracker::new(self.progress.clone())),
            clock: self.clock,
            keep_alive_s: self.config.keep_alive_s,
            login: self.login()?,
            cut_every: self.config.disorder.disconnect_every,
            abort: abort.clone(),
        });
        let watch_stop = Stop::new();
        let mut watcher = JoinSet::new();
        if wants_receipts {
            let (watched, stop) = (shared.clone(), watch_stop.clone());
            let filter = format!("{}/receipt/+/+", self.config.control_prefix);
            let client_id = self.client_id("simulator-receipts");
            watcher.spawn(async move {
                let tell = |receipt: &_, now| {
                    if let Some(tracker) = &watched.tracker {
                        tracker.receipt(receipt, now);
                    }
                };
                watch(watched.clone(), client_id, filter, tell, stop).await;
            });
        }
        let (queues, mut connections, failed) = self.connect(&shared, &devices);
        let fed = self.feed(plan, &queues, &stop, &failed).await;
        // A closed queue tells its connection to finish.
        drop(queues);
        let ended = self.drain(&mut connections, &abort).await;
        let seconds = (self.clock.uptime() - started).as_secs_f64();
        if ended.is_ok() && wants_receipts {
            self.await_receipts().await;
        }
        watch_stop.cancel();
        while watcher.join_next().await.is_some() {}
        if let Some(journal) = &shared.journal {
            journal.sync()?;
        }
        ended?;
        fed?;
        Ok(self.progress.summary(seconds))
    }

    /// A gateway that knows who we are lets us use client ids that begin with our name.
    fn client_id(&self, own: &str) -> String {
        match &self.config.username {
            Some(name) => format!("{name}@{own}"),
            None => own.to_owned(),
        }
    }

    fn login(&self) -> anyhow::Result<Option<Login>> {
        let Some(username) = self.config.username.clone() else { return Ok(None) };
        let password = match &self.config.password_file {
            Some(path) => std::fs::read_to_string(path)
                .with_context(|| format!("cannot read {}", path.display()))?,
            None => String::new(),
        };
        Ok(Some(Login { username, password: password.trim_end().to_owned() }))
    }

    fn prepare(&self) -> anyhow::Result<(Plan, Option<Journal>)> {
        let folder = self.config.journal.as_deref();
        let number = folder.map_or(Ok(1), Journal::next_run)?;
        let boot = self.config.boot.unwrap_or(i64::try_from(number).unwrap_or(i64::MAX));
        let run = Run { boot, horizon_us: self.clock.now_us().saturating_add(HORIZON_US) };
        let plan = Plan::open(&self.config, run, &self.progress.left_out, self.tables.as_ref())?;
        let journal = match folder {
            Some(folder) => Some(Journal::create(folder, number, plan.devices().to_vec())?),
            None => None,
        };
        info!(
            devices = plan.devices().len(),
            boot,
            gateway = self.config.gateway,
            "simulation starts"
        );
        Ok((plan, journal))
    }

    /// Starts the connections; device n uses queue n modulo their number.
    fn connect(
        &self,
        shared: &Arc<Shared>,
        devices: &[DeviceName],
    ) -> (Vec<mpsc::Sender<Queued>>, JoinSet<anyhow::Result<()>>, Stop) {
        let each = self.config.connections == 0;
        let n = if each {
            devices.len()
        } else {
            (self.config.connections as usize).min(devices.len())
        };
        let failed = Stop::new();
        let mut connections = JoinSet::new();
        let queues = (0..n)
            .map(|n| {
                let (sender, queue) = mpsc::channel(usize::from(self.config.inflight).max(16));
                let client_id = match devices.get(n) {
                    Some(device) if each => device.device_id.to_string(),
                    _ => format!("simulator-{n:04}"),
                };
                let run = self.connection(shared.clone(), self.client_id(&client_id), queue);
                let failed = failed.clone();
                connections.spawn(async move {
                    let ended = run.await;
                    if ended.is_err() {
                        failed.cancel();
                    }
                    ended
                });
                sender
            })
            .collect();
        (queues, connections, failed)
    }

    /// Serves one queue: by MQTT, or by HTTP to an agent.
    fn connection(
        &self,
        shared: Arc<Shared>,
        client_id: String,
        queue: mpsc::Receiver<Queued>,
    ) -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> {
        let (window, seed) = (self.config.inflight, self.config.seed);
        match self.config.agent() {
            Some(Ok(agent)) => {
                let http = HttpConnection::new(shared, agent, &client_id, queue, window, seed);
                Box::pin(http.run())
            }
            _ => Box::pin(Connection::new(shared, client_id, queue, window, seed).run()),
        }
    }

    /// Hands the plan to the connections at its pace.
    async fn feed(
        &self,
        plan: Plan,
        queues: &[mpsc::Sender<Queued>],
        stop: &Stop,
        failed: &Stop,
    ) -> anyhow::Result<()> {
        let disturbed = Disorder::new(plan, self.config.disorder.clone(), self.config.seed);
        let mut pace =
            Pacer::new(self.config.pace, self.config.start.timestamp_micros(), self.clock);
        let end = self.config.seconds.map(|seconds| pace.start + Duration::from_secs_f64(seconds));
        let (mut first, mut simulated_us) = (0, 0);
        for outgoing in disturbed {
            let outgoing = outgoing.context("the plan cannot go on")?;
            if outgoing.copy == Sending::First {
                if self.config.messages.is_some_and(|most| first >= most) {
                    break;
                }
                first += 1;
            }
            if self.ahead_of_time(outgoing.due_us) {
                warn!(
                    "the simulated clock is twelve hours ahead of the real one: the pipeline would not believe it, so this is the end"
                );
                break;
            }
            let since = pace.next(outgoing.due_us);
            let over = end.is_some_and(|end| since >= end || self.clock.uptime() >= end);
            if over || !self.wait_until(since, stop, failed).await {
                break;
            }
            self.progress
                .simulated_us
                .add(u64::try_from(outgoing.due_us - simulated_us).unwrap_or(0));
            simulated_us = simulated_us.max(outgoing.due_us);
            if !self.offer(outgoing, since, queues, stop, failed).await {
                break;
            }
        }
        Ok(())
    }

    /// Only the simulated world has a clock that can be ahead; what is replayed says what it says.
    fn ahead_of_time(&self, due_us: i64) -> bool {
        self.config.plays_world()
            && self.config.start.timestamp_micros().saturating_add(due_us)
                > self.clock.now_us().saturating_add(AHEAD_MAX_US)
    }

    /// False if the simulation must end instead.
    async fn wait_until(&self, due: Duration, stop: &Stop, failed: &Stop) -> bool {
        let wait = due.saturating_sub(self.clock.uptime());
        // Timers have a resolution of a millisecond; shorter waits would only slow things down.
        if wait < Duration::from_millis(1) {
            return !stop.is_cancelled() && !failed.is_cancelled();
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => true,
            () = stop.cancelled() => false,
            () = failed.cancelled() => false,
        }
    }

    /// Waits for room in the queue: bounded memory, whatever the pace.
    async fn offer(
        &self,
        outgoing: Outgoing,
        due: Duration,
        queues: &[mpsc::Sender<Queued>],
        stop: &Stop,
        failed: &Stop,
    ) -> bool {
        let Some(queue) = queues.get(outgoing.message.device as usize % queues.len().max(1)) else {
            return false;
        };
        // Late is what an open loop is about; otherwise the latency is the gateway's alone.
        let since = matches!(self.config.pace, Pace::Rate(_)).then_some(due);
        tokio::select! {
            sent = queue.send(Queued { outgoing, since }) => sent.is_ok(),
            () = stop.cancelled() => false,
            () = failed.cancelled() => false,
        }
    }

    async fn drain(
        &self,
        connections: &mut JoinSet<anyhow::Result<()>>,
        abort: &Stop,
    ) -> anyhow::Result<()> {
        let deadline = tokio::time::sleep(Duration::from_secs_f64(self.config.drain_s));
        // A gateway that never was there is not waited for as one that owes answers.
        let reached = tokio::time::sleep(NEVER_THERE);
        tokio::pin!(deadline, reached);
        let mut first_error = Ok(());
        loop {
            tokio::select! {
                ended = connections.join_next() => match ended {
                    None => return first_error,
                    Some(ended) => {
                        let ended = ended.context("a connection's task").and_then(|ended| ended);
                        if ended.is_err() && first_error.is_ok() {
                            first_error = ended;
                            // The others would wait for a gateway that does not want us.
                            abort.cancel();
                        }
                    }
                },
                () = &mut reached, if !reached.is_elapsed() => {
                    if self.progress.connects.get() == 0 {
                        abort.cancel();
                    }
                }
                () = &mut deadline, if !abort.is_cancelled() => {
                    warn!("gave up waiting for acknowledgements");
                    abort.cancel();
                }
            }
        }
    }

    async fn await_receipts(&self) {
        let all = async {
            while self.progress.awaiting_receipt.get() > 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let wait = Duration::from_secs_f64(self.config.receipt_wait_s);
        if tokio::time::timeout(wait, all).await.is_err() {
            warn!(messages = self.progress.awaiting_receipt.get(), "still without a receipt");
        }
    }
}

/// When the next message is due, in uptime.
struct Pacer {
    pace: Pace,
    clock: Clock,
    start: Duration,
    /// By how much the world begins before the real time, in microseconds.
    lead_us: i64,
    count: f64,
}

impl Pacer {
    fn new(pace: Pace, world_us: i64, clock: Clock) -> Self {
        let lead_us = clock.now_us().saturating_sub(world_us);
        Self { pace, clock, start: clock.uptime(), lead_us, count: 0.0 }
    }

    fn next(&mut self, due_us: i64) -> Duration {
        self.count += 1.0;
        #[expect(clippy::cast_precision_loss, reason = "a simulation is shorter than 285 years")]
        let seconds = match self.pace {
            Pace::Speed(speed) => due_us.max(0) as f64 / 1e6 / speed,
            Pace::Rate(rate) => (self.count - 1.0) / rate,
            Pace::Acknowledged => return self.clock.uptime(),
            Pace::Live(speed) => {
                let live = due_us.saturating_sub(self.lead_us) as f64 / 1e6;
                live.max(due_us.max(0) as f64 / 1e6 / speed)
            }
        };
        self.start + Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_decides_when_a_message_is_due() {
        let clock = Clock::default();
        let due = |pace| {
            let mut pacer = Pacer::new(pace, clock.now_us() - 9_000_000, clock);
            [0, 10_000_000, 20_000_000]
                .map(|due_us| (pacer.next(due_us) - pacer.start).as_secs_f64())
        };
        assert_eq!(due(Pace::Speed(10.0)), [0.0, 1.0, 2.0]);
        assert_eq!(due(Pace::Rate(4.0)), [0.0, 0.25, 0.5]);
        assert!(due(Pace::Acknowledged).iter().all(|s| *s < 1.0));
        // Nine seconds behind at tenfold speed: caught up after one, and in step from then on.
        let live = due(Pace::Live(10.0)).map(|s| (s * 10.0).round() / 10.0);
        assert_eq!(live, [0.0, 1.0, 11.0]);
    }
}
