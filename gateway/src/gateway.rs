//! Wires the gateway together: every task and queue of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use service_runtime::admin::{self, Endpoint, Readiness};
use service_runtime::application::Application;
use service_runtime::{Boxed, Clock, Metrics, Stop, Tasks};
use store_forward::config::SpoolOptions;
use store_forward::metrics::SpoolMetrics;
use store_forward::uplink::{Uplink, UplinkStatus};
use store_forward::{CloseOnDrop, Fresh, Spool, WriterThread, status};
use telemetry_core::delivery::Patience;
use telemetry_core::topic::ControlTopics;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tracing::info;
use uuid::Uuid;

use crate::config::GatewayConfig;
use crate::entrance::Entrance;
use crate::fanout::Fanout;
use crate::insight::Insight;
use crate::listener::config::Transport;
use crate::metrics::GatewayMetrics;
use crate::rate::Rates;
use crate::retained::Retained;
use crate::session::Registry;
use crate::shared::Shared;
use crate::store::{Found, Store, StoreThread};
use crate::testament::Testament;
use crate::traced::{self, Follower};
use crate::transport::OwnTransport;
use crate::{exchanges, fullness, listener, sys};

/// What tasks get beyond the drain to end.
const GRACE: Duration = Duration::from_secs(10);
/// The file of sessions and retained messages, in the spool's folder.
const SESSIONS_FILE: &str = "sessions.redb";

/// A gateway that is bound to its ports and has its spool open, ready to run.
pub struct Gateway {
    config: GatewayConfig,
    topics: ControlTopics,
    entrance: Entrance,
    admin: TcpListener,
    spool: Spool,
    writer: WriterThread,
    sessions: StoreThread,
    shared: Arc<Shared>,
    wills: Vec<Testament>,
    uplink: Uplink<OwnTransport>,
    status: watch::Receiver<UplinkStatus>,
    follower: Option<Follower>,
    metrics: Metrics,
    readiness: Readiness,
    application: Option<Application>,
    closing: Stop,
}

impl Gateway {
    /// Opens the spool and binds the ports.
    ///
    /// # Errors
    /// When a setting does not fit, the spool cannot be opened or a port is taken.
    pub fn bind(
        config: GatewayConfig,
        metrics: Metrics,
        clock: Clock,
    ) -> Boxed<'static, anyhow::Result<Self>> {
        Box::pin(Self::bound(config, metrics, clock))
    }

    async fn bound(config: GatewayConfig, metrics: Metrics, clock: Clock) -> anyhow::Result<Self> {
        let topics = config.check()?;
        let config = config.in_force();
        let entrance = Entrance::open(&config, &metrics, clock).await?;
        let admin = bind(config.admin_listen, "gateway.admin_listen").await?;
        let (spool, writer) = open_spool(&config, &metrics).await?;
        let own_metrics = GatewayMetrics::register(&metrics, clock);
        let (store, sessions, found) = open_sessions(&config, spool.clone()).await?;
        let (kept, counted) = (Some(store.clone()), own_metrics.clone());
        let retained = Retained::new(&config.limits, topics.clone(), kept.clone(), counted.clone());
        let fanout = Fanout::new(topics.clone(), kept, counted);
        let transport = OwnTransport::new(&fanout, &retained, &topics, &spool);
        let uplink = Uplink::new(
            spool.clone(),
            transport,
            config.uplink.clone(),
            &topics,
            clock,
            Patience::default(),
            random,
        );
        let closing = Stop::new();
        let (traced, follower) = traced::open(&config, metrics.counts())?.unzip();
        let shared = Arc::new(Shared {
            limits: config.limits.clone(),
            topics: topics.clone(),
            access: entrance.access.clone(),
            spool: spool.clone(),
            fanout,
            session_limits: config.limits.of_sessions(),
            store,
            retained,
            registry: Registry::new(config.limits.share(config.limits.sessions_max), clock),
            rates: Rates::new(&config.limits),
            metrics: own_metrics,
            clock,
            traced,
            receiving: Arc::default(),
            draining: Stop::new(),
            staying: watch::Sender::default(),
            closing: closing.clone(),
        });
        let wills = shared.restore(found);
        let status = uplink.status();
        status::register(&metrics, "gateway", spool.clone(), status.clone(), clock);
        let bytes_max = config.spool.bytes_max;
        fullness::register(&metrics, Insight::new(shared.clone(), status.clone(), bytes_max));
        Ok(Self {
            config,
            topics,
            entrance,
            admin,
            spool,
            writer,
            sessions,
            shared,
            wills,
            uplink,
            status,
            follower,
            metrics,
            readiness: Readiness::default(),
            application: None,
            closing,
        })
    }

    /// Returns where MQTT clients connect by TCP.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        let first = self.entrance.acceptor.addresses()?.first().map(|(_, address)| *address);
        first.context("the gateway has no listener")
    }

    /// Returns all ports, `gateway.listen` first, then `gateway.listeners` in their order.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn addresses(&self) -> anyhow::Result<Vec<(Transport, SocketAddr)>> {
        Ok(self.entrance.acceptor.addresses()?)
    }

    /// Returns where the admin endpoint is.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn admin_address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.admin.local_addr()?)
    }

    /// Returns the gateway's spool, for status.
    pub fn spool(&self) -> Spool {
        self.spool.clone()
    }

    /// Returns what `/readyz` says, for parts of the same process that are not the gateway's.
    pub fn readiness(&self) -> Readiness {
        self.readiness.clone()
    }

    /// Returns what other parts of the process may see of it while it runs.
    pub fn insight(&self) -> Insight {
        let (shared, status) = (self.shared.clone(), self.status.clone());
        Insight::new(shared, status, self.config.spool.bytes_max)
    }

    /// Lets an application answer what the admin endpoint itself does not know.
    #[must_use]
    pub fn with_application(self, application: Application) -> Self {
        Self { application: Some(application), ..self }
    }

    /// Watches the uplink, for status.
    pub fn uplink_status(&self) -> watch::Receiver<UplinkStatus> {
        self.status.clone()
    }

    /// Serves until `stop`; then lets devices finish and waits for what was accepted to land.
    ///
    /// # Errors
    /// The first task that failed, by name.
    pub fn run(self, stop: Stop) -> Boxed<'static, anyhow::Result<()>> {
        Box::pin(self.serve(stop))
    }

    async fn serve(self, stop: Stop) -> anyhow::Result<()> {
        let Self {
            config,
            topics,
            entrance,
            admin,
            spool,
            writer,
            sessions,
            shared,
            wills,
            uplink,
            status,
            follower,
            metrics,
            readiness,
            application,
            closing,
        } = self;
        for (transport, address) in entrance.acceptor.addresses()? {
            info!(%transport, %address, "taking MQTT");
        }
        info!(
            admin = %admin.local_addr()?, source = %spool.source_id(),
            epoch = %spool.epoch(), control = topics.all(), "gateway is listening"
        );
        readiness.set("spool", Ok(()));
        let clock = shared.clock;
        let access = entrance.admin.clone();
        let drain = Duration::from_secs(config.drain_seconds);
        let uplink_stop = Stop::new();
        // A task that fails stops the others in the same order as an operator's stop.
        let mut tasks = Tasks::new(stop.clone());
        spawn_threads(&mut tasks, (writer, sessions), readiness.clone());
        tasks.spawn("sys", sys::run(shared.clone(), wills, closing.clone()));
        if let Some(follower) = follower {
            let (progress, closing) = (spool.progress(), closing.clone());
            tasks.spawn("traces", follower.run(progress, status.clone(), clock, closing));
        }
        let acceptor = entrance.spawn(&mut tasks, &closing);
        let books = status::routes(spool.clone(), status, clock, metrics.counts());
        let routes = crate::admin::routes(shared.clone(), books, access.token.is_some());
        let everybody_left = Stop::new();
        let (serving, left) = (uplink_stop.clone(), everybody_left.clone().drop_guard());
        tasks.spawn("listener", async move {
            // When nobody is left, no session can change any more.
            let last = (left, shared.store.close_on_drop());
            let result = listener::run(acceptor, shared, stop, serving).await;
            drop(last);
            result
        });
        let endpoint = Endpoint { metrics, readiness, routes, application, access, clock };
        tasks.spawn("admin", admin::serve(admin, endpoint, closing.clone()));
        let ended = (closing.clone().drop_guard(), CloseOnDrop(spool));
        tasks.spawn("uplink", async move {
            // When nobody is left to take frames, nobody can come any more.
            let patience = async {
                tokio::select! {
                    () = tokio::time::sleep(drain) => {}
                    () = everybody_left.cancelled() => {}
                }
            };
            let result = uplink.run(uplink_stop, patience).await;
            drop(ended);
            Ok(result?)
        });
        tasks.join(drain + GRACE).await
    }
}

/// What blocks: writing the spool and the sessions.
fn spawn_threads(
    tasks: &mut Tasks,
    (writer, sessions): (WriterThread, StoreThread),
    readiness: Readiness,
) {
    tasks.spawn_blocking("spool writer", move || {
        let failed = |error: &_| readiness.set("spool", Err(ToString::to_string(error)));
        Ok(writer.run().inspect_err(failed)?)
    });
    tasks.spawn_blocking("sessions", move || Ok(sessions.run()?));
}

async fn open_spool(
    config: &GatewayConfig,
    metrics: &Metrics,
) -> anyhow::Result<(Spool, WriterThread)> {
    let options =
        SpoolOptions { source_id: config.source_id.clone(), config: config.spool.clone() };
    let metrics = SpoolMetrics::register(metrics, "gateway");
    let open = move || Spool::open(&options, Fresh::new(random), metrics);
    tokio::task::spawn_blocking(open).await?.context("cannot open the spool")
}

async fn open_sessions(
    config: &GatewayConfig,
    spool: Spool,
) -> anyhow::Result<(Store, StoreThread, Found)> {
    let path = config.spool.dir.join(SESSIONS_FILE);
    let open = move || {
        let (store, mut thread, mut found) =
            Store::open(&path).context("cannot open the sessions")?;
        let changes = exchanges::reconcile(&spool, &mut found).context("cannot read the spool")?;
        thread.write_first(&changes).context("cannot write the sessions")?;
        Ok((store, thread, found))
    };
    tokio::task::spawn_blocking(open).await?
}

async fn bind(address: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: is another gateway running? change {setting}")
    })
}

fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}
