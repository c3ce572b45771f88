//! The ports and who may come in by them: opened together, and kept up to date by tasks of their own.

use anyhow::Context;
use service_runtime::admin::AdminAccess;
use service_runtime::{Clock, Metrics, Stop, Tasks};

use crate::access::audit::AuditWriter;
use crate::access::reload::{self, Watched};
use crate::access::{Access, Names, expiry};
use crate::config::GatewayConfig;
use crate::listener::acceptor::Acceptor;
use crate::listener::tls::Tls;

/// Open ports, and the rules for them.
pub(crate) struct Entrance {
    pub(crate) acceptor: Acceptor,
    pub(crate) access: Access,
    pub(crate) admin: AdminAccess,
    watched: Vec<Watched>,
    audit: Option<AuditWriter>,
}

impl Entrance {
    /// Reads all files and binds all ports.
    pub(crate) async fn open(
        config: &GatewayConfig,
        metrics: &Metrics,
        clock: Clock,
    ) -> anyhow::Result<Self> {
        let names =
            Names { control: config.control_prefix.clone(), gateway: config.source_id.to_string() };
        let opened = Access::open(&config.access, names, clock, metrics);
        let (access, audit) = opened.context("cannot set up [gateway.access]")?;
        let (mut watched, mut tls) = (access.watched(), None);
        if config.tls.cert_file.is_some() {
            let loaded = Tls::load(&config.tls, &access).context("cannot set up [gateway.tls]")?;
            watched.push(loaded.watched(&config.tls, &access));
            tls = Some(loaded);
        }
        let mut acceptor = Acceptor::new(config.limits.connections_per_address_max.unwrap_or(0));
        let frame_bytes_max = config.limits.read_bytes_max();
        for listener in config.all_listeners() {
            let bound = acceptor.bind(&listener, tls.as_ref(), frame_bytes_max).await;
            bound.with_context(|| {
                let address = listener.listen;
                format!(
                    "cannot listen on {address}: is another gateway running? change gateway.listen or gateway.listeners"
                )
            })?;
        }
        let admin = AdminAccess::open(
            config.admin_listen,
            config.admin_token_file.as_ref(),
            &config.admin_hosts,
        )?;
        Ok(Self { acceptor, access, admin, watched, audit })
    }

    /// Starts what keeps the rules up to date and writes the audit log; returns the ports.
    pub(crate) fn spawn(self, tasks: &mut Tasks, closing: &Stop) -> Acceptor {
        let Self { acceptor, access, watched, audit, .. } = self;
        let (log, metrics) = (access.audit().clone(), access.metrics().clone());
        tasks.spawn("reload", reload::run(watched, log, metrics, closing.clone()));
        tasks.spawn("expiry", expiry::run(access, closing.clone()));
        if let Some(audit) = audit {
            tasks.spawn("audit log", audit.run(closing.clone()));
        }
        acceptor
    }
}
