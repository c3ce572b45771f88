//! Frames in, Delta tables out, receipts back.
//!
//! ```text
//! broker ─► mqtt ─► pipeline (sequencer, decoder, batch) ─► lander ─► lake
//!    ▲                 │                                      │
//!    └── receipts ◄────┴────────────── positions ◄────────────┘
//! ```
//!
//! Sources are in order and complete because the sequencer takes nothing out of turn; their rows are in the lake exactly
//! once because the ledger decides; a receipt is sent only for what a fresh reader sees.
#![warn(missing_docs)]

pub mod access;
mod attempts;
pub mod batch;
mod budget;
mod causes;
mod caution;
pub mod config;
mod dead_letters;
pub mod decode;
mod decoding;
pub mod describe;
pub mod explain;
mod heard;
mod keeper;
mod lander;
mod memory;
mod metrics;
mod mistake;
mod mqtt;
pub mod notify;
mod observed;
mod pipeline;
pub mod profiles;
pub mod replay;
mod rules;
pub mod sequencer;
pub mod status;
pub mod suggest;
mod take;
mod topic_rule;
pub mod topics;
mod traced;
mod units;
mod upkeep;
mod upkeep_metrics;
pub mod watching;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use lake::Lake;
use mqtt_link::{LinkMetrics, Standing};
use service_runtime::admin::{self, AdminAccess, Endpoint, Readiness};
use service_runtime::application::Application;
use service_runtime::{Boxed, Clock, Metrics, Stop, Tasks};
use telemetry_core::topic::ControlTopics;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::info;

pub use config::Config;
use decode::{DECODERS, Spec};
pub use decoding::Decoding;
pub use metrics::IngestMetrics;
pub use mistake::Mistake;
pub use pipeline::{Inbound, Outbound};
pub use rules::RuleMistake;
use watching::{Watched, Watcher};

/// Frames that wait for the pipeline; each is at most 2 MiB.
const INBOX_FRAMES: usize = 8;
/// Receipts that wait for the connection.
const OUTBOX_RECEIPTS: usize = 512;

/// The name of the connection to the broker in `/readyz`, metrics and the log.
const LINK: &str = "broker";

/// Lands what sources send to the broker until `stop`, then lands what was received and ends. Whether the lake can be used
/// is said in `readiness`.
///
/// # Errors
/// A configuration that makes no sense, a lake that can't be taken over, or a task that failed.
pub async fn run(
    config: Config,
    lake: Lake,
    metrics: Metrics,
    readiness: Readiness,
    mut watched: Watched,
    stop: Stop,
) -> anyhow::Result<()> {
    config.check_with(&batch::Layout::of(lake.catalog()))?;
    let (inbox_sender, inbox) = mpsc::channel(INBOX_FRAMES);
    let (outbox, outbox_receiver) = mpsc::channel(OUTBOX_RECEIPTS);
    let topics = ControlTopics::new(&config.prefix).context("[ingest] prefix")?;
    let grace = Duration::from_millis(config.shutdown_grace_ms);
    let mut tasks = Tasks::new(stop);
    let links = LinkMetrics::register(&metrics, "ingest");
    let clock = Clock::default();
    mqtt_link::ends::register(&metrics, "ingest", clock, [(LINK, config.link()?)]);
    let standing = Standing::new(LINK, config.broker.clone(), readiness.clone(), links, clock);
    let (link, link_end) = notify::link(topics.clone());
    watched.link = Some(link);
    let own = (inbox, outbox, watched);
    start_with(&mut tasks, config.clone(), &lake, &metrics, readiness, own, DECODERS).await?;
    let stop = tasks.stop();
    let ends = (inbox_sender, outbox_receiver, link_end);
    tasks.spawn("mqtt", mqtt::run(config, topics, ends, standing, stop));
    tasks.join(grace).await
}

/// Says that ingest cannot work yet. For whoever serves `/readyz` before [`run`] has begun: what nobody has spoken of is no reason to wait.
pub fn starting(readiness: &Readiness) {
    for part in [LINK, lander::PART] {
        readiness.set(part, Err("starting".to_owned()));
    }
}

/// What a process of its own is run with beside its settings.
#[derive(Default)]
pub struct Alone {
    /// Its metrics.
    pub metrics: Metrics,
    /// Whether it can do its work.
    pub readiness: Readiness,
    /// Who answers what the admin endpoint itself does not know.
    pub application: Option<Application>,
    /// The end of whoever asks what goes on.
    pub watched: Option<Watched>,
}

/// As [`run`], with the admin endpoint of a process of its own.
///
/// # Errors
/// As [`run`]; also when `admin_listen` is taken.
pub async fn run_alone(config: Config, lake: Lake, alone: Alone, stop: Stop) -> anyhow::Result<()> {
    let Alone { metrics, readiness, application, watched } = alone;
    let address = config.admin_listen;
    let access = AdminAccess::open(address, config.admin_token_file.as_ref(), &config.admin_hosts)?;
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another ingest running? change ingest.admin_listen")
    })?;
    starting(&readiness);
    let mut tasks = Tasks::new(stop);
    let (stop, closing) = (tasks.stop(), Stop::new());
    let endpoint = Endpoint {
        metrics: metrics.clone(),
        readiness: readiness.clone(),
        routes: status::routes(&config, metrics.counts()),
        application,
        access,
        clock: Clock::default(),
    };
    tasks.spawn("admin", admin::serve(listener, endpoint, closing.clone()));
    let grace = Duration::from_millis(config.shutdown_grace_ms) * 2;
    tasks.spawn("ingest", async move {
        let watched = watched.unwrap_or_else(|| Watcher::new().1);
        let result = run(config, lake, metrics, readiness, watched, stop).await;
        closing.cancel();
        result
    });
    tasks.join(grace).await
}

/// Starts everything but the transport: whoever holds the other ends of `inbox` and `outbox` is the broker.
///
/// # Errors
/// As [`run`].
pub async fn start(
    tasks: &mut Tasks,
    config: Config,
    lake: &Lake,
    metrics: &Metrics,
    readiness: Readiness,
    inbox: mpsc::Receiver<Inbound>,
    outbox: mpsc::Sender<Outbound>,
) -> anyhow::Result<()> {
    let ends = (inbox, outbox, Watcher::new().1);
    start_with(tasks, config, lake, metrics, readiness, ends, DECODERS).await
}

/// As [`start`], with other decoders than ours.
///
/// # Errors
/// As [`run`].
pub fn start_with<'a>(
    tasks: &'a mut Tasks,
    config: Config,
    lake: &'a Lake,
    metrics: &'a Metrics,
    readiness: Readiness,
    ends: (mpsc::Receiver<Inbound>, mpsc::Sender<Outbound>, Watched),
    decoders: &'a [Spec],
) -> Boxed<'a, anyhow::Result<()>> {
    Box::pin(started(tasks, config, lake, metrics, readiness, ends, decoders))
}

async fn started(
    tasks: &mut Tasks,
    config: Config,
    lake: &Lake,
    metrics: &Metrics,
    readiness: Readiness,
    (inbox, outbox, watched): (mpsc::Receiver<Inbound>, mpsc::Sender<Outbound>, Watched),
    decoders: &[Spec],
) -> anyhow::Result<()> {
    let (clock, upkeep) = (Clock::default(), config.maintain.clone());
    upkeep.check(lake.catalog())?;
    observed::begin(tasks, metrics, lake, &config.worker, clock);
    let (all, metrics) = (metrics.clone(), IngestMetrics::register(metrics));
    metrics.limits(&all, &config);
    let lander =
        lander::take_over(lake, &config, clock).await.context("cannot take over the lanes")?;
    let positions = pipeline::own(&config.own_lanes(), lander::positions(&lander));
    info!(lake = lake.url(), sources = positions.len(), worker = config.worker, "ledger read");
    let layout = Arc::new(batch::Layout::of(lake.catalog()));
    let decoding = Decoding::with(&config, layout.clone(), decoders).context("[ingest] topics")?;
    let (orders, orders_receiver) = mpsc::channel(1);
    let (reports_sender, reports) = mpsc::channel(1);
    let (hearing, heard) = heard::Hearing::new(config.sources_max);
    let hears = heard::keep(lake.clone(), config.worker.clone(), heard, clock, tasks.stop());
    let (keeper, remembered) = keeper::Keeper::begin(lake, &config.worker, clock.uptime()).await;
    let seen = watched.topics.clone();
    let traced = traced::Traced::open(&config, all.counts(), tasks)?;
    let at = (clock, &mut *tasks);
    let opened = watching::open(&config, lake, &lander, &layout, watched, &metrics, at).await?;
    let (watching, keeping) = opened.unzip();
    let pipeline = pipeline::Pipeline {
        lake_id: lake.id().to_owned(),
        lanes: config.own_lanes(),
        topics: ControlTopics::new(&config.prefix).context("[ingest] prefix")?,
        clock,
        metrics: metrics.clone(),
        sequencer: sequencer::Sequencer::new(config.sources_max, positions),
        ends: pipeline::Ends { inbox, outbox, orders, reports },
        state: pipeline::State::new(decoding.batch(), remembered),
        decoding,
        dead_letters: dead_letters::DeadLetters::new(metrics.clone()),
        budget: budget::Budget::new(config.memory_bytes),
        attempts: attempts::Attempts::begin(lake, &config.worker).await,
        hearing,
        seen,
        marks: topics::Marks::default(),
        watching,
        traced,
        config,
    };
    let worker = lander::Worker::new(lander, keeper, keeping, clock, metrics, readiness);
    tasks.spawn("heard", hears);
    tasks.spawn("lander", worker.run(orders_receiver, reports_sender));
    let (runtime, stop) = (tokio::runtime::Handle::current(), tasks.stop());
    tasks.spawn_blocking("pipeline", move || runtime.block_on(pipeline.run(stop)));
    let (runtime, stop, lake) = (tokio::runtime::Handle::current(), tasks.stop(), lake.clone());
    // Merging is work for a processor: it must not keep others' sockets waiting.
    tasks.spawn_blocking("maintain", move || {
        runtime.block_on(upkeep::look_after(lake, upkeep, all, clock, stop));
        Ok(())
    });
    Ok(())
}
