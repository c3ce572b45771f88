//! A gateway on a free port with a temporary folder, which can be stopped and started again.

use std::net::SocketAddr;
use std::time::Duration;

use gateway::{Gateway, GatewayConfig};
use service_runtime::clock::Ahead;
use service_runtime::{Clock, Metrics, Stop};
use store_forward::Spool;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::PATIENCE;

pub(crate) struct TestGateway {
    /// The first of them, plain TCP.
    pub(crate) address: SocketAddr,
    pub(crate) addresses: Vec<SocketAddr>,
    pub(crate) spool: Spool,
    metrics: Metrics,
    config: GatewayConfig,
    clock: (Clock, Ahead),
    stop: Stop,
    task: JoinHandle<anyhow::Result<()>>,
    folder: TempDir,
}

impl TestGateway {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let free_port = ([127, 0, 0, 1], 0).into();
        let mut config = GatewayConfig {
            listen: free_port,
            admin_listen: free_port,
            drain_seconds: 0,
            ..GatewayConfig::default()
        };
        config.spool.dir = folder.path().join("spool");
        change(&mut config);
        Self::run(config, Clock::movable(), folder).await
    }

    async fn run(config: GatewayConfig, clock: (Clock, Ahead), folder: TempDir) -> Self {
        let metrics = Metrics::default();
        let bound = Gateway::bind(config.clone(), metrics.clone(), clock.0).await;
        let gateway = bound.unwrap();
        let addresses = gateway.addresses().unwrap();
        let addresses: Vec<_> = addresses.into_iter().map(|(_, address)| address).collect();
        let (address, spool, stop) = (addresses[0], gateway.spool(), Stop::new());
        let task = tokio::spawn(gateway.run(stop.clone()));
        Self { address, addresses, spool, metrics, config, clock, stop, task, folder }
    }

    /// Stops it and starts it again in the same folder.
    pub(crate) async fn restart(self) -> Self {
        let Self { config, clock, stop, task, folder, spool, metrics, .. } = self;
        // Whoever has the spool, as its metrics do, keeps its folder.
        drop((spool, metrics));
        stop.cancel();
        timeout(PATIENCE * 3, task).await.expect("stops in time").unwrap().unwrap();
        Self::run(config, clock, folder).await
    }

    /// Makes what is due by then due now.
    pub(crate) fn after(&self, time: Duration) {
        self.clock.1.put_forward(time);
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        timeout(PATIENCE * 3, self.task).await.expect("stops in time").unwrap().unwrap();
    }

    /// Waits until a line of the metrics is there.
    pub(crate) async fn counted(&self, line: &str) {
        let seen = async {
            while !self.metrics.render().lines().any(|have| have == line) {
                tokio::task::yield_now().await;
            }
        };
        if timeout(PATIENCE, seen).await.is_err() {
            panic!("{line} is not counted:\n{}", self.metrics.render());
        }
    }
}
