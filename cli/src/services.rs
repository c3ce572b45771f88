//! Runs services until Ctrl-C.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use edge_agent::Agent;
use gateway::Gateway;
use lake::{Lake, OpenMode};
use service_runtime::admin::Readiness;
use service_runtime::signals::Signals;
use service_runtime::{Clock, Metrics, Stop, Tasks};

use crate::config::{self, Everything};
use crate::options::path;
use crate::print;
use crate::serving::Serving;

#[derive(Debug, Args)]
pub(crate) struct Service {
    /// TOML file; what it does not set has the default (see config.example.toml). Environment variables such as
    /// TIDEMARK_GATEWAY__LISTEN override both.
    #[arg(long, short, value_parser = path)]
    pub(crate) config: Option<PathBuf>,
    /// Checks the configuration, prints what is in force and exits.
    #[arg(long)]
    pub(crate) check: bool,
}

/// What parts get to end once they are told to; each has its own, shorter limit inside.
const GRACE: Duration = Duration::from_secs(120);

/// Reads the configuration; with `--check` prints it and returns `None`.
fn prepare(options: &Service) -> anyhow::Result<Option<Everything>> {
    if options.check {
        let mut everything = config::load(options.config.as_deref())?;
        everything.gateway = everything.gateway.in_force();
        print::line(toml::to_string(&everything)?.trim_end())?;
        return Ok(None);
    }
    config::start(options.config.as_deref()).map(Some)
}

/// Runs tasks until a signal.
async fn until_signal(signals: Signals, tasks: Tasks) -> anyhow::Result<()> {
    signals.until(tasks.stop(), tasks.join(GRACE)).await
}

/// Gateway and ingest in one process: ingest follows the gateway wherever it listens, and ends after it. An ingest that is set
/// up for TLS connects as its own settings say.
pub(crate) async fn up(options: &Service) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    check_pair(&config::load(options.config.as_deref())?)?;
    let Some(mut everything) = prepare(options)? else { return Ok(()) };
    everything.ingest.prefix.clone_from(&everything.gateway.control_prefix);
    let lake = config::open(&everything.lake, OpenMode::Create, &everything.catalog()?).await?;
    let metrics = Metrics::default();
    everything.ingest.beside_gateway(everything.gateway.source_id.as_str());
    let gateway = everything.gateway.clone();
    let gateway = Gateway::bind(gateway, metrics.clone(), Clock::default()).await?;
    if everything.ingest.tls_ca_file.is_none() {
        everything.ingest.broker = gateway.address()?.to_string();
    }
    let mut tasks = Tasks::new(Stop::new());
    spawn_pair(&mut tasks, gateway, &everything, lake, metrics);
    until_signal(signals, tasks).await
}

/// Refuses settings with which the gateway could only ever turn its own ingest away.
fn check_pair(everything: &Everything) -> anyhow::Result<()> {
    let ingest = &everything.ingest;
    let proves_itself = ingest.username.is_some() || ingest.tls_cert_file.is_some();
    let access = everything.gateway.clone().in_force().access;
    anyhow::ensure!(
        proves_itself || access.takes_anonymous(),
        "[ingest] does not say who it is, and the gateway takes nobody anonymous: set username and password_file, or a certificate \
         (docs/security.md), or gateway.access.anonymous_on_loopback = true"
    );
    Ok(())
}

/// Starts gateway and ingest so that a stop reaches ingest only when the gateway has drained into it.
pub(crate) fn spawn_pair(
    tasks: &mut Tasks,
    gateway: Gateway,
    everything: &Everything,
    lake: Lake,
    metrics: Metrics,
) {
    let serving = Serving::new(everything, &metrics, gateway.readiness());
    let (serving, watched) =
        serving.with_gateway(gateway.insight()).with_ingest(&everything.ingest, &lake);
    let (api, application) = serving.open();
    tasks.spawn("api", api.run(tasks.stop()));
    let (gateway, ingest) = (gateway.with_application(application), everything.ingest.clone());
    let (stop, ingest_stop) = (tasks.stop(), Stop::new());
    let (gateway_ended, readiness) = (ingest_stop.clone(), gateway.readiness());
    // The gateway serves it before ingest has begun.
    ingest::starting(&readiness);
    tasks.spawn("gateway", async move {
        let result = gateway.run(stop).await;
        gateway_ended.cancel();
        result
    });
    let stop_all = tasks.stop();
    tasks.spawn("ingest", async move {
        let result = ingest::run(ingest, lake, metrics, readiness, watched, ingest_stop).await;
        stop_all.cancel();
        result
    });
}

pub(crate) async fn gateway(options: &Service) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let Some(everything) = prepare(options)? else { return Ok(()) };
    let (config, metrics) = (everything.gateway.clone(), Metrics::default());
    let gateway = Gateway::bind(config, metrics.clone(), Clock::default()).await?;
    let serving = Serving::new(&everything, &metrics, gateway.readiness());
    let (api, application) = serving.with_gateway(gateway.insight()).open();
    let mut tasks = Tasks::new(Stop::new());
    tasks.spawn("api", api.run(tasks.stop()));
    tasks.spawn("gateway", gateway.with_application(application).run(tasks.stop()));
    until_signal(signals, tasks).await
}

pub(crate) async fn ingest(options: &Service) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let Some(everything) = prepare(options)? else { return Ok(()) };
    let lake = config::open(&everything.lake, OpenMode::Create, &everything.catalog()?).await?;
    let mut tasks = Tasks::new(Stop::new());
    let (metrics, readiness) = (Metrics::default(), Readiness::default());
    let serving = Serving::new(&everything, &metrics, readiness.clone());
    let (serving, watched) = serving.with_ingest(&everything.ingest, &lake);
    let (api, application) = serving.open();
    tasks.spawn("api", api.run(tasks.stop()));
    let (application, watched) = (Some(application), Some(watched));
    let alone = ingest::Alone { metrics, readiness, application, watched };
    tasks.spawn("ingest", ingest::run_alone(everything.ingest, lake, alone, tasks.stop()));
    until_signal(signals, tasks).await
}

pub(crate) async fn agent(options: &Service) -> anyhow::Result<()> {
    let signals = Signals::listen()?;
    let Some(everything) = prepare(options)? else { return Ok(()) };
    let agent = Agent::bind(everything.agent, Metrics::default(), Clock::default()).await?;
    let mut tasks = Tasks::new(Stop::new());
    tasks.spawn("agent", agent.run(tasks.stop()));
    until_signal(signals, tasks).await
}
