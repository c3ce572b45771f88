//! Wires the agent together: every task and queue of it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use mqtt_link::{Broker, LinkMetrics, Standing};
use service_runtime::admin::{self, AdminAccess, Endpoint, Readiness};
use service_runtime::refusals::Refusals;
use service_runtime::{Boxed, Clock, Metrics, Stop, Tasks};
use store_forward::config::SpoolOptions;
use store_forward::metrics::SpoolMetrics;
use store_forward::uplink::{Uplink, UplinkStatus};
use store_forward::{CloseOnDrop, Fresh, Spool, WriterThread, status};
use telemetry_core::delivery::Patience;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;

use crate::config::AgentConfig;
use crate::inputs::{Door, http, mqtt, ndjson};
use crate::uplink_mqtt::{Connection, MqttTransport, connect};

/// What tasks get beyond the drain to end.
const GRACE: Duration = Duration::from_secs(10);

/// An agent that has its spool open and its ports bound, ready to run.
pub struct Agent {
    config: AgentConfig,
    spool: Spool,
    writer: WriterThread,
    uplink: Uplink<MqttTransport>,
    connection: Connection,
    input: Option<Standing>,
    readiness: Readiness,
    status: watch::Receiver<UplinkStatus>,
    admin: TcpListener,
    access: AdminAccess,
    http: Option<TcpListener>,
    metrics: Metrics,
    clock: Clock,
}

impl Agent {
    /// Opens the spool and binds the ports.
    ///
    /// # Errors
    /// When a setting does not fit, the spool cannot be opened or a port is taken.
    pub async fn bind(config: AgentConfig, metrics: Metrics, clock: Clock) -> anyhow::Result<Self> {
        let topics = config.check()?;
        let access = AdminAccess::open(
            config.admin_listen,
            config.admin_token_file.as_ref(),
            &config.admin_hosts,
        )?;
        let admin = bind(config.admin_listen, "agent.admin_listen").await?;
        let http = match config.inputs.http_listen {
            Some(address) => Some(bind(address, "agent.inputs.http_listen").await?),
            None => None,
        };
        let options =
            SpoolOptions { source_id: config.source_id.clone(), config: config.spool.clone() };
        let spool_metrics = SpoolMetrics::register(&metrics, "agent");
        let opened = tokio::task::spawn_blocking(move || {
            Spool::open(&options, Fresh::new(random), spool_metrics)
        });
        let (spool, writer) = opened.await?.context("cannot open the spool")?;
        let readiness = Readiness::default();
        let troubles = LinkMetrics::register(&metrics, "agent");
        let standing = |link, broker: &Broker| {
            Standing::new(link, broker.address(), readiness.clone(), troubles.clone(), clock)
        };
        let uplink_standing = standing("uplink", &config.gateway).works_offline();
        let input = config.inputs.mqtt.as_ref().map(|input| standing("mqtt input", &input.broker));
        let inputs = config.inputs.mqtt.iter().map(|input| ("mqtt input", input.broker.clone()));
        let links = std::iter::once(("uplink", config.gateway.clone())).chain(inputs);
        mqtt_link::ends::register(&metrics, "agent", clock, links);
        let (transport, connection) = connect(
            &config.gateway,
            &topics,
            spool.source_id(),
            spool.epoch(),
            uplink_standing,
            random(),
        )
        .context("[agent.gateway]")?;
        let uplink = Uplink::new(
            spool.clone(),
            transport,
            config.uplink.clone(),
            &topics,
            clock,
            Patience::default(),
            random,
        );
        let status = uplink.status();
        status::register(&metrics, "agent", spool.clone(), status.clone(), clock);
        Ok(Self {
            config,
            spool,
            writer,
            uplink,
            connection,
            input,
            readiness,
            status,
            admin,
            access,
            http,
            metrics,
            clock,
        })
    }

    /// Returns where the admin endpoint is.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn admin_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.admin.local_addr()?)
    }

    /// Returns where messages are taken by HTTP, if they are.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn http_address(&self) -> anyhow::Result<Option<SocketAddr>> {
        Ok(self.http.as_ref().map(TcpListener::local_addr).transpose()?)
    }

    /// Returns the agent's spool, for status.
    pub fn spool(&self) -> Spool {
        self.spool.clone()
    }

    /// Runs until `stop`; then waits a little for what was accepted to land.
    ///
    /// # Errors
    /// The first task that failed, by name.
    pub fn run(self, stop: Stop) -> Boxed<'static, anyhow::Result<()>> {
        Box::pin(self.serve(stop))
    }

    async fn serve(self, stop: Stop) -> anyhow::Result<()> {
        let Self {
            config,
            spool,
            writer,
            uplink,
            connection,
            input,
            readiness,
            status: uplink_status,
            admin,
            access,
            http,
            metrics,
            clock,
        } = self;
        info!(source = %spool.source_id(), epoch = %spool.epoch(), admin = %admin.local_addr()?, "agent is running");
        readiness.set("spool", Ok(()));
        let door = |publisher| Door { spool: spool.clone(), clock, publisher, stop: stop.clone() };
        let drain = Duration::from_secs(config.drain_seconds);
        let closing = Stop::new();
        let mut tasks = Tasks::new(stop.clone());
        let failed_spool = readiness.clone();
        tasks.spawn_blocking("spool writer", move || {
            writer
                .run()
                .inspect_err(|error| failed_spool.set("spool", Err(error.to_string())))
                .map_err(Into::into)
        });
        if let Some(listener) = http {
            info!(address = %listener.local_addr()?, "taking messages by POST /v1/messages");
            let refusals = Refusals::register(&metrics, "agent_http_input", clock);
            let (hosts, record_bytes_max) = (access.hosts.clone(), config.spool.record_bytes_max());
            let door = door(http::PUBLISHER);
            let input = http::Input { door, hosts, refusals, record_bytes_max };
            tasks.spawn("http input", http::run(listener, input, stop.clone()));
        }
        if let Some(path) = config.inputs.ndjson {
            tasks.spawn("ndjson input", ndjson::run(path, door("ndjson"), stop.clone()));
        }
        if let Some((input, standing)) = config.inputs.mqtt.zip(input) {
            tasks.spawn("mqtt input", mqtt::run(input, door("mqtt"), standing, stop.clone()));
        }
        tasks.spawn("connection", connection.run(closing.clone()));
        let routes = status::routes(spool.clone(), uplink_status, clock, metrics.counts());
        let application = None;
        let endpoint = Endpoint { metrics, readiness, routes, application, access, clock };
        tasks.spawn("admin", admin::serve(admin, endpoint, closing.clone()));
        let ended = (closing.drop_guard(), CloseOnDrop(spool));
        tasks.spawn("uplink", async move {
            let result = uplink.run(stop, async move { tokio::time::sleep(drain).await }).await;
            drop(ended);
            Ok(result?)
        });
        tasks.join(drain + GRACE).await
    }
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another agent running? change {setting}")
    })
}

/// Returns random bits: the standard library seeds its hash maps from the operating system.
fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}
