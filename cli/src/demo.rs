//! `tidemark demo`: the whole path at work, from a simulated ward to an audited lake.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use gateway::{Gateway, GatewayConfig};
use ingest::watching::AlertsConfig;
use lake::{Catalog, Lake, LakeConfig, OpenMode, TableSummary};
use service_runtime::files::Readers;
use service_runtime::logging::{self, LogConfig};
use service_runtime::signals::Signals;
use service_runtime::{Clock, Metrics, Stop, Tasks};
use simulator::config::{Disorder, Pace, Ward};
use simulator::{AuditReport, Simulation, Summary};
use store_forward::uplink::UplinkStatus;
use tokio::sync::watch;

use crate::alerts::steps;
use crate::options::{Format, path};
use crate::{audit, config, print, services, simulate};

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How long the simulation runs; landing, audit and summary come on top [default: 30, with --stay until Ctrl-C].
    #[arg(long)]
    pub(crate) seconds: Option<u64>,
    /// Plays the last four hours of the ward in half a minute and then goes on as it happens, for looking at it and for trying things out; the audit comes at the end.
    #[arg(long)]
    pub(crate) stay: bool,
    /// Folder for the spool, the lake and the journal. A second demo adds to the first one's lake.
    #[arg(long, default_value = "./tidemark-data", value_parser = path)]
    pub(crate) data: PathBuf,
    /// The same seed plays the same ward.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Simulated seconds per second: half an hour of a ward in half a minute.
const SPEED: f64 = 60.0;
/// How long the demo runs that does not stay.
const SECONDS: u64 = 30;
/// What the demo that stays plays before it comes to the present: four hours, in half a minute.
const HISTORY_US: i64 = 4 * 3_600_000_000;
const HISTORY_SPEED: f64 = 480.0;
/// Rows are readable after this long at the latest; a real deployment flushes less often, into larger files.
const FLUSH_AGE_MS: u64 = 2_000;
/// Share of patients who get worse: more than there are, so that there is something to tell.
const DETERIORATING: f64 = 0.6;
/// The rules by which the demo tells of alerts.
const RULES: &str = include_str!("../../deploy/alerts.toml");
/// Alerts that are listed at its end.
const ALERTS_SHOWN: usize = 8;
/// What gateway and ingest get to land everything at the end.
const GRACE: Duration = Duration::from_secs(60);

struct Folders {
    spool: PathBuf,
    lake: PathBuf,
    journal: PathBuf,
}

impl Demo {
    /// Seconds that it plays; none when it goes on until it is stopped.
    fn length(&self) -> Option<u64> {
        self.seconds.or((!self.stay).then_some(SECONDS))
    }
}

/// Runs the demo; true when the audit passes.
pub(crate) async fn run(options: Demo) -> anyhow::Result<bool> {
    logging::start(&LogConfig { level: "error".into(), ..LogConfig::default() })?;
    let data = std::path::absolute(&options.data)?;
    let folders = Folders {
        spool: data.join("spool"),
        lake: data.join("lake"),
        journal: data.join("journal"),
    };
    Readers::Owner
        .make_folders(&data)
        .with_context(|| format!("cannot create {}", data.display()))?;
    let time = match options.length() {
        Some(seconds) => format!("for {seconds} s"),
        None => "until Ctrl-C".to_owned(),
    };
    print::line(&format!(
        "Tidemark demo: 60 devices and an EHR system {time}. Data in {}",
        data.display()
    ))?;
    let lake = config::open(
        &LakeConfig::at(path_text(&folders.lake)?),
        OpenMode::Create,
        &Catalog::builtin(),
    )
    .await?;
    let rows_before = lake.tables().await?;
    let summary = play(&options, &folders, lake.clone()).await?;
    print::line("auditing: every row of the lake against the simulator's journal")?;
    let report = audit::audit(&lake, &folders.journal, None).await?;
    print_summary(&summary, &lake.tables().await?, &rows_before)?;
    print_alerts(&steps::last_steps(&lake).await?)?;
    print_verdict(&report, &lake)?;
    Ok(report.passed)
}

fn path_text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8: choose another --data", path.display()))
}

/// Runs gateway, ingest and the simulation, and waits until everything has landed.
async fn play(options: &Demo, folders: &Folders, lake: Lake) -> anyhow::Result<Summary> {
    let signals = Signals::listen()?;
    let metrics = Metrics::default();
    let mut gateway = addresses(options.stay);
    gateway.spool.dir = folders.spool.clone();
    let gateway = Gateway::bind(gateway, metrics.clone(), Clock::default()).await?;
    let address = gateway.address()?.to_string();
    let uplink = gateway.uplink_status();
    print_where(options, &address, &format!("http://{}", gateway.admin_address()?))?;
    let rules = folders.lake.with_file_name("alerts.toml");
    std::fs::write(&rules, RULES).with_context(|| format!("cannot write {}", rules.display()))?;
    let alerts = AlertsConfig { rules: Some(rules), ..AlertsConfig::default() };
    let mut everything = config::load(None)?;
    everything.ingest = ingest::Config {
        alerts,
        broker: address.clone(),
        flush_age_ms: FLUSH_AGE_MS,
        ..ingest::Config::default()
    };
    let mut tasks = Tasks::new(Stop::new());
    // Devices end first: what they still send is taken, and lands.
    let (stop, played_out) = (tasks.stop(), tasks.stop().child_token());
    services::spawn_pair(&mut tasks, gateway, &everything, lake, metrics);
    let simulation = Simulation::new(simulation(options, folders, address))?;
    let devices = played_out.clone();
    let play = async {
        let played = watch_simulation(simulation, uplink, devices).await;
        // Also after a failure: what was accepted must land, and the services end in order.
        stop.cancel();
        let landed = tasks.join(GRACE).await;
        let summary = played?;
        landed?;
        Ok(summary)
    };
    signals.until(played_out, play).await
}

/// Where the gateway listens: the demo that stays where everybody looks first, if nobody is there.
fn addresses(stay: bool) -> GatewayConfig {
    let usual = GatewayConfig::default();
    let free = |address: SocketAddr| match std::net::TcpListener::bind(address) {
        Ok(_) if stay => address,
        _ => (address.ip(), 0).into(),
    };
    GatewayConfig {
        listen: free(usual.listen),
        admin_listen: free(usual.admin_listen),
        ..GatewayConfig::default()
    }
}

fn print_where(options: &Demo, gateway: &str, page: &str) -> std::io::Result<()> {
    print::line(&format!("gateway at mqtt://{gateway}, status and metrics at {page}"))?;
    if !options.stay {
        return print::line(&format!(
            "what goes on is at {page}/ while it runs; with --stay it goes on"
        ));
    }
    let port = gateway.rsplit(':').next().unwrap_or(gateway);
    print::line(&format!("look at    {page}/"))?;
    print::line(&format!(
        "try        mosquitto_pub -p {port} -q 1 -t home/livingroom/temperature -m 21.5"
    ))?;
    print::line(
        "Ctrl-C ends it: everything lands, and the audit says whether all of it is there once",
    )
}

fn simulation(options: &Demo, folders: &Folders, gateway: String) -> simulator::Config {
    #[expect(clippy::cast_precision_loss, reason = "a demo of years would still be exact")]
    let seconds = options.length().map(|seconds| seconds as f64);
    let (usual, pace) = match options.stay {
        true => {
            let start_us = Clock::default().now_us() - HISTORY_US;
            (simulator::Config::default().starting(start_us), Pace::Live(HISTORY_SPEED))
        }
        false => (simulator::Config::default(), Pace::Speed(SPEED)),
    };
    simulator::Config {
        gateway,
        seed: options.seed,
        site: "demo-ward".into(),
        journal: Some(folders.journal.clone()),
        pace,
        seconds,
        receipts: true,
        receipt_wait_s: 20.0,
        ward: Ward { deteriorating: DETERIORATING, ..Ward::default() },
        disorder: Disorder { malformed: 0.003, artefacts: true, ..Disorder::some() },
        ..usual
    }
}

async fn watch_simulation(
    simulation: Simulation,
    uplink: watch::Receiver<UplinkStatus>,
    stop: Stop,
) -> anyhow::Result<Summary> {
    let progress = simulation.progress();
    let run = simulation.run(stop);
    tokio::pin!(run);
    let mut live = print::LiveLine::default();
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            summary = &mut run => {
                live.finish()?;
                return summary;
            }
            _ = every_second.tick() => {
                let at = uplink.borrow().positions;
                let line = simulate::progress_line(&progress);
                live.show(&format!("{line}  stored {}  landed {}", print::grouped(at.synced), print::grouped(at.landed)))?;
            }
        }
    }
}

fn print_summary(
    summary: &Summary,
    tables: &[TableSummary],
    before: &[TableSummary],
) -> std::io::Result<()> {
    print::line("")?;
    print::line(&format!(
        "published {} messages ({} malformed on purpose) and {} deliberate duplicates; {} acknowledgements",
        print::grouped(summary.published),
        summary.malformed,
        summary.duplicates,
        print::grouped(summary.acknowledged),
    ))?;
    print::line(&format!(
        "publish to PUBACK  (on stable storage):   p50 {:.1} ms, p99 {:.1} ms",
        summary.publish_to_puback.p50_ms, summary.publish_to_puback.p99_ms
    ))?;
    print::line(&format!(
        "publish to receipt (readable in the lake): p50 {:.0} ms, p99 {:.0} ms; the demo lands every {FLUSH_AGE_MS} ms",
        summary.publish_to_receipt.p50_ms, summary.publish_to_receipt.p99_ms
    ))?;
    print::line("")?;
    let rows: Vec<Vec<String>> = tables
        .iter()
        .map(|table| {
            let earlier =
                before.iter().find(|old| old.name == table.name).map_or(0, |old| old.rows);
            #[expect(clippy::cast_precision_loss, reason = "an average for people")]
            let per_row = table.bytes as f64 / table.rows.max(1) as f64;
            vec![
                table.name.to_owned(),
                print::grouped(table.rows - earlier.min(table.rows)),
                print::grouped(table.rows),
                print::grouped(table.files),
                format!("{per_row:.1}"),
            ]
        })
        .collect();
    print::columns(&["table", "new rows", "rows", "files", "bytes/row"], &rows)
}

/// The alerts that the rules of `deploy/alerts.toml` told of.
fn print_alerts(alerts: &[steps::Step]) -> anyhow::Result<()> {
    let open = alerts.iter().filter(|alert| alert.state != "resolved").count();
    print::line("")?;
    print::line(&format!(
        "{} alerts, {open} of them still there; each step is a row of the table `alerts`",
        alerts.len()
    ))?;
    let shown = alerts.get(..ALERTS_SHOWN.min(alerts.len())).unwrap_or_default();
    if shown.is_empty() { Ok(()) } else { steps::show(shown, Format::Text) }
}

fn print_verdict(report: &AuditReport, lake: &Lake) -> std::io::Result<()> {
    print::line("")?;
    audit::print_report(report)?;
    print::line("")?;
    print::line(&format!("The lake is in {}", lake.url()))?;
    print::line("Look at it with any engine that reads Delta, for example DuckDB:")?;
    print::line(&format!(
        "  duckdb -c \"INSTALL delta; LOAD delta; SELECT metric, count(*), round(avg(value), 1) FROM delta_scan('{}') WHERE quality = 'good' GROUP BY metric\"",
        lake.address("readings")
    ))?;
    print::line("or without Delta: `tidemark files readings --lake …` lists its Parquet files.")
}
