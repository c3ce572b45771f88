//! Where a drill plays: real processes on free loopback ports and a temporary folder, devices, and the judgement.

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{bail, ensure};
use serde::Deserialize;
use service_runtime::{Clock, Stop, Tasks};
use simulator::faults::tcp::{TcpFaults, TcpProxy};
use simulator::seeded::Stream;
use telemetry_core::lane::{LANES, lane_of};
use toml::toml;

use crate::load::{Load, Plan, Summary, Verdict};
use crate::ports::free_address;
use crate::process::{LOOK_EVERY, Process, command};
use crate::service::{Books, Service};

/// How long anything may take that is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);
/// How long the usual load lasts at most.
pub(crate) const LOAD_MAX: Duration = Duration::from_secs(300);
/// How long the proxies get to end.
const GRACE: Duration = Duration::from_secs(5);

/// What a drill found.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    pub(crate) verdict: Verdict,
    /// Messages that the books say can never land.
    pub(crate) dropped: u64,
    pub(crate) recovery: Option<Duration>,
    pub(crate) notes: Vec<String>,
}

impl Findings {
    /// Whether the contract held: what was lost is what the books call dropped, and everything else is there as it was sent.
    pub(crate) fn hold(&self) -> bool {
        let Verdict { lost, doubled, altered, unexplained, .. } = self.verdict;
        lost <= self.dropped && (doubled, altered, unexplained) == (0, 0, 0)
    }
}

/// The stage of one drill.
pub(crate) struct Scene {
    pub(crate) program: PathBuf,
    pub(crate) folder: PathBuf,
    /// The lake's URL.
    pub(crate) lake: String,
    /// What reaches the lake's store, without any proxy.
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) random: Stream,
    /// A tenth of the messages where there are many.
    pub(crate) quick: bool,
    pub(crate) gateway: Service,
    pub(crate) agent: Service,
    pub(crate) ingest: Vec<Service>,
    pub(crate) mqtt: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) loads: Vec<Load>,
    pub(crate) clock: Clock,
    tasks: Tasks,
    findings: Findings,
}

impl Scene {
    pub(crate) fn new(
        program: &Path,
        folder: &Path,
        drill: &str,
        seed: u64,
        quick: bool,
    ) -> anyhow::Result<Self> {
        let [mqtt, http] = [free_address()?, free_address()?];
        let admins = [free_address()?, free_address()?];
        let text = |path: &str| folder.join(path).display().to_string();
        let (mqtt_text, http_text) = (mqtt.to_string(), http.to_string());
        let (gateway_admin, agent_admin) = (admins[0].to_string(), admins[1].to_string());
        let (gateway_spool, agent_spool) = (text("gateway-spool"), text("agent-spool"));
        let port = i64::from(mqtt.port());
        let gateway = toml! {
            [gateway]
            listen = mqtt_text
            admin_listen = gateway_admin
            drain_seconds = 60
            [gateway.spool]
            dir = gateway_spool
            segment_bytes = 262144
        };
        let agent = toml! {
            [agent]
            source_id = "agent-1"
            admin_listen = agent_admin
            drain_seconds = 60
            [agent.gateway]
            port = port
            keep_alive_s = 5
            [agent.inputs]
            http_listen = http_text
            [agent.spool]
            dir = agent_spool
            segment_bytes = 262144
        };
        let mut scene = Self {
            program: program.to_owned(),
            folder: folder.to_owned(),
            lake: text("lake"),
            environment: Vec::new(),
            random: Stream::new(seed, "drill", drill, "plan"),
            quick,
            gateway: Service::new("gateway", "gateway", program, folder, gateway, admins[0]),
            agent: Service::new("agent", "agent", program, folder, agent, admins[1]),
            ingest: Vec::new(),
            mqtt,
            http,
            loads: Vec::new(),
            clock: Clock::default(),
            tasks: Tasks::new(Stop::new()),
            findings: Findings::default(),
        };
        scene.add_ingest("ingest-a")?;
        Ok(scene)
    }

    /// Adds an ingest worker, which is not started, for all lanes. Returns its number.
    pub(crate) fn add_ingest(&mut self, name: &str) -> anyhow::Result<usize> {
        let admin = free_address()?;
        let (lake, broker, admin_text) =
            (self.lake.clone(), self.mqtt.to_string(), admin.to_string());
        let client_id = format!("tidemark-{name}");
        let config = toml! {
            [lake]
            url = lake
            [ingest]
            broker = broker
            admin_listen = admin_text
            client_id = client_id
            worker = name
            keep_alive_s = 5
            flush_age_ms = 200
            [ingest.sources]
            gateway = ["#"]
            agent-1 = ["#"]
        };
        let mut service = Service::new("ingest", name, &self.program, &self.folder, config, admin);
        service.environment = self.environment.clone();
        self.ingest.push(service);
        Ok(self.ingest.len() - 1)
    }

    /// Plays on another lake than the folder's.
    pub(crate) fn on_lake(&mut self, url: &str) {
        self.lake = url.to_owned();
        for worker in &mut self.ingest {
            worker.set("lake", "url", url);
        }
    }

    /// Two sets of lanes, as the seed has it: the gateway's is in the first, the agent's in the second.
    pub(crate) fn split_lanes(&mut self) -> [toml::Value; 2] {
        let lane = |source: &str| source.parse().map_or(0, |source| lane_of(&source));
        let (gateway, agent) = (lane("gateway"), lane("agent-1"));
        let (first, second): (Vec<u8>, Vec<u8>) = (0..LANES)
            .partition(|lane| *lane != agent && (*lane == gateway || self.random.chance(0.5)));
        let list = |lanes: Vec<u8>| {
            toml::Value::Array(lanes.into_iter().map(|lane| i64::from(lane).into()).collect())
        };
        [list(first), list(second)]
    }

    pub(crate) fn note(&mut self, note: impl Into<String>) {
        self.findings.notes.push(note.into());
    }

    /// Says that messages may be lost which the books call dropped.
    pub(crate) fn expect_dropped(&mut self, dropped: u64) {
        self.findings.dropped += dropped;
    }

    /// A duration of `low` to `high` seconds, as the seed has it.
    pub(crate) fn seconds(&mut self, low: f64, high: f64) -> Duration {
        Duration::from_secs_f64(self.random.range(low, high))
    }

    /// Lets a time pass that is part of the plan: load goes on, or a fault lasts.
    pub(crate) async fn pass(&mut self, low: f64, high: f64) {
        let time = self.seconds(low, high);
        tokio::time::sleep(time).await;
    }

    /// Starts gateway, agent and the first ingest worker.
    pub(crate) async fn start(&mut self) -> anyhow::Result<()> {
        self.gateway.start().await?;
        self.ingest[0].start().await?;
        self.agent.start().await
    }

    /// Starts gateway, agent and two ingest workers: the first serves the gateway, the other one the agent.
    pub(crate) async fn start_with_two_workers(&mut self) -> anyhow::Result<()> {
        let other = self.add_ingest("ingest-b")?;
        for (worker, part) in self.split_lanes().into_iter().enumerate() {
            self.ingest[worker].set("ingest", "lanes", part);
        }
        self.start().await?;
        self.ingest[other].start().await
    }

    /// Puts a misbehaving network before `upstream`.
    pub(crate) async fn proxy(&mut self, upstream: SocketAddr) -> anyhow::Result<TcpFaults> {
        let proxy = TcpProxy::bind(upstream, self.random.bits()).await?;
        let (faults, stop) = (proxy.faults(), self.tasks.stop());
        self.tasks.spawn("tcp proxy", async move { Ok(proxy.run(stop).await?) });
        Ok(faults)
    }

    /// Runs something beside the drill until its end.
    pub(crate) fn beside(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.tasks.spawn(name, task);
    }

    pub(crate) fn stop_signal(&self) -> Stop {
        self.tasks.stop()
    }

    /// A load of devices that speak MQTT to the gateway, for some seconds.
    pub(crate) fn devices(&mut self, name: &str, rate: f64, seconds: f64) -> Plan {
        Plan {
            name: name.to_owned(),
            gateway: self.mqtt.to_string(),
            seed: self.random.bits() >> 1,
            rate: Some(rate),
            seconds: Some(seconds),
            messages: None,
            connections: 8,
            inflight: 64,
            mqtt: self.random.pick(&["3.1.1", "5"]),
            malformed: 0.002,
            duplicates: 0.002,
            disconnect_every: 0,
            ehr: true,
            families: 0,
            unknown_members: 0.05,
            receipts: false,
            fhir: None,
        }
    }

    /// A load of devices behind the agent.
    pub(crate) fn devices_behind_agent(&mut self, name: &str, rate: f64, seconds: f64) -> Plan {
        let gateway = format!("http://{}", self.http);
        Plan { gateway, connections: 4, ..self.devices(name, rate, seconds) }
    }

    pub(crate) fn play(&mut self, plan: &Plan) -> anyhow::Result<()> {
        self.loads.push(Load::start(&self.program, &self.folder, plan)?);
        Ok(())
    }

    /// The usual load: devices at the gateway and behind the agent, until the harm is done, however slow the machine is.
    pub(crate) fn play_both(&mut self) -> anyhow::Result<()> {
        let seconds = LOAD_MAX.as_secs_f64();
        let plan = self.devices("ward", 800.0, seconds);
        self.play(&plan)?;
        let plan = self.devices_behind_agent("clinic", 400.0, seconds);
        self.play(&plan)
    }

    /// Waits until a source has landed at least so many messages.
    pub(crate) async fn landed(&self, source: &Service, messages: u64) -> anyhow::Result<()> {
        let what = format!("{messages} messages of {} to land", source.name);
        until(&what, PATIENCE, async || {
            let books = source.answering().await?;
            Ok(books.is_some_and(|books| books.landed_messages >= messages))
        })
        .await
    }

    /// Waits until the running sources have landed something, so that a fault has something to break.
    pub(crate) async fn under_way(&self) -> anyhow::Result<()> {
        for source in [&self.gateway, &self.agent] {
            if source.answering().await?.is_some() {
                self.landed(source, 100).await?;
            }
        }
        Ok(())
    }

    /// The books of the sources that answer.
    pub(crate) async fn books(&self) -> anyhow::Result<Vec<Books>> {
        let mut books = Vec::new();
        for source in [&self.gateway, &self.agent] {
            books.extend(source.answering().await?);
        }
        Ok(books)
    }

    /// Messages accepted and not landed, over the sources that answer.
    pub(crate) async fn pending(&self) -> anyhow::Result<u64> {
        Ok(self.books().await?.iter().map(|books| books.pending).sum())
    }

    /// The fault is over: waits until everything accepted so far has landed, and keeps the time of the slowest recovery.
    pub(crate) async fn recovered(&mut self) -> anyhow::Result<()> {
        self.recovered_within(PATIENCE).await
    }

    /// As [`Scene::recovered`], with more patience.
    pub(crate) async fn recovered_within(&mut self, patience: Duration) -> anyhow::Result<()> {
        let mended = self.clock.uptime();
        let before = self.books().await?;
        until("everything accepted before to land", patience, async || {
            let now = self.books().await?;
            Ok(before.iter().all(|before| {
                now.iter().any(|now| {
                    let same = now.source_id == before.source_id;
                    // A forked spool goes on in a new epoch; what it has accepted is counted there.
                    same && (now.epoch != before.epoch || now.landed >= before.appended)
                })
            }))
        })
        .await?;
        let took = self.clock.uptime().saturating_sub(mended);
        self.findings.recovery = Some(self.findings.recovery.unwrap_or_default().max(took));
        Ok(())
    }

    /// Lets the devices say no more than what is on its way, and waits until they have.
    pub(crate) async fn loads_end(&mut self) -> anyhow::Result<()> {
        self.loads.iter_mut().try_for_each(Load::enough)?;
        self.quiet().await?;
        Ok(())
    }

    /// Waits until the devices have nothing left to say.
    pub(crate) async fn quiet(&mut self) -> anyhow::Result<Vec<Summary>> {
        let mut summaries = Vec::new();
        for load in &mut self.loads {
            summaries.push(load.finished(PATIENCE * 4).await?);
        }
        Ok(summaries)
    }

    /// Waits until everything that the running sources accepted has landed.
    pub(crate) async fn settled(&self, patience: Duration) -> anyhow::Result<()> {
        until("everything to land", patience, async || {
            Ok(self.books().await?.iter().all(|books| books.landed == books.appended))
        })
        .await
    }

    /// A command of `tidemark` that reaches the lake's store.
    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut start = command(&self.program, arguments);
        start.envs(self.environment.iter().map(|(name, value)| (name, value)));
        start
    }

    /// Runs `tidemark` to its end and returns what it printed.
    pub(crate) async fn tidemark(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let (output, log) = (self.folder.join("command.out"), self.folder.join("command.log"));
        let process = Process::start_into(arguments[0], self.command(arguments), &output, &log)?;
        process.ended_well(PATIENCE).await?;
        Ok(std::fs::read_to_string(output)?)
    }

    /// Lets everything land, stops the services as an operator does, and audits every load.
    pub(crate) async fn judge(mut self) -> anyhow::Result<Findings> {
        self.loads_end().await?;
        self.settled(PATIENCE * 4).await?;
        let books = self.books().await?;
        for source in [&mut self.agent, &mut self.gateway] {
            if source.runs() {
                source.stop().await?;
            }
        }
        for worker in &mut self.ingest {
            if worker.runs() {
                worker.stop().await?;
            }
        }
        self.lake_agrees(&books).await?;
        let mut sum = Verdict::default();
        for load in &self.loads {
            let found = load.audit(&self.lake, &self.environment).await?;
            sum.messages += found.messages;
            sum.lost += found.lost;
            sum.doubled += found.doubled + found.other_run;
            sum.altered += found.altered;
            sum.resent += found.resent;
            sum.maybe_repeat += found.maybe_repeat;
            sum.unexplained += found.unexplained;
        }
        ensure!(sum.messages > 0, "nothing was sent");
        self.tasks.stop().cancel();
        self.tasks.join(GRACE).await?;
        self.findings.verdict = sum;
        Ok(self.findings)
    }

    /// The lake alone must say of every source what the source itself said last.
    async fn lake_agrees(&self, sources: &[Books]) -> anyhow::Result<()> {
        let text = self.tidemark(&["status", "--format", "json", "--lake", &self.lake]).await?;
        let known: Vec<LakeBooks> = serde_json::from_str(&text)?;
        for own in sources.iter().filter(|own| own.accepted > 0) {
            let landed = known
                .iter()
                .find(|known| (&known.source_id, &known.epoch) == (&own.source_id, &own.epoch))
                .map_or(0, |known| known.landed);
            ensure!(
                landed == own.landed,
                "{} says that {} is landed, the lake says {landed}",
                own.source_id,
                own.landed
            );
        }
        Ok(())
    }
}

/// What the lake says of a source; see `tidemark status --lake`.
#[derive(Debug, Deserialize)]
struct LakeBooks {
    source_id: String,
    epoch: String,
    landed: u64,
}

/// Waits for the state of another process, which no event announces.
pub(crate) async fn until(
    what: &str,
    patience: Duration,
    mut holds: impl AsyncFnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    let wait = async {
        while !holds().await? {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        anyhow::Ok(())
    };
    match tokio::time::timeout(patience, wait).await {
        Ok(result) => result,
        Err(_) => bail!("waited {patience:?} for {what}"),
    }
}
