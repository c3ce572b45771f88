//! What a running gateway shows to other parts of its process: its books, who is connected, how full it is, and who a login is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use store_forward::status::{SourceStatus, source_status};
use store_forward::uplink::UplinkStatus;
use telemetry_core::id::SourceId;
use telemetry_core::presence::Presence;
use tokio::sync::watch;

use crate::access::audit::{AuditEvent, AuditRecord};
use crate::access::login::Credentials;
use crate::access::owner::Owner;
use crate::access::{Denied, Identity};
use crate::session::Parked;
use crate::shared::Shared;

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Insight {
    shared: Arc<Shared>,
    uplink: watch::Receiver<UplinkStatus>,
    spool_bytes_max: u64,
}

/// A session, connected or waiting for its client.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// Its client id.
    pub client_id: String,
    /// The name of the identity that it belongs to.
    pub identity: String,
    /// Whether its client is there.
    pub connected: bool,
    /// Since when it is so, as far as this process knows; Unix microseconds.
    pub since_us: i64,
    /// Messages that wait for it, where that is known: while its client is away.
    pub waiting: Option<usize>,
}

/// A limit, and how much of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitUse {
    /// Its name.
    pub name: &'static str,
    /// What is used.
    pub used: u64,
    /// What may be used.
    pub max: u64,
    /// What happens at the limit.
    pub effect: &'static str,
    /// The setting that moves it.
    pub setting: &'static str,
}

impl Insight {
    pub(crate) fn new(
        shared: Arc<Shared>,
        uplink: watch::Receiver<UplinkStatus>,
        spool_bytes_max: u64,
    ) -> Self {
        Self { shared, uplink, spool_bytes_max }
    }

    /// The books of the gateway's own source.
    #[must_use]
    pub fn source(&self) -> SourceStatus {
        source_status(&self.shared.spool, &self.uplink.borrow(), self.shared.clock)
    }

    /// The version of a source's software, if it says it (`{prefix}/status/{source_id}`).
    #[must_use]
    pub fn version_of(&self, source_id: &str) -> Option<String> {
        let topic = self.shared.topics.status(&source_id.parse::<SourceId>().ok()?);
        let said = self.shared.retained.matching(&topic, self.shared.clock.now_us());
        Some(Presence::from_json(&said.first()?.payload)?.version()?.to_owned())
    }

    /// The sessions after a client id, in order of these, at most `limit`; and whether there are more.
    #[must_use]
    pub fn connections(&self, after: Option<&str>, limit: usize) -> (Vec<Connection>, bool) {
        let describe = |client_id: &Arc<str>, owner: &Owner, since_us, parked: Option<&Parked>| {
            after.is_none_or(|after| **client_id > *after).then(|| Connection {
                client_id: client_id.to_string(),
                identity: owner.name.clone(),
                connected: parked.is_none(),
                since_us,
                waiting: parked.map(|parked| parked.session.mailbox.size().0),
            })
        };
        let mut all = self.shared.registry.describe(describe);
        all.sort_unstable();
        let more = all.len() > limit;
        all.truncate(limit);
        (all, more)
    }

    /// The limits that all clients share, and how full they are.
    #[must_use]
    pub fn limits(&self) -> Vec<LimitUse> {
        let (limits, shared) = (&self.shared.limits, &self.shared);
        let (retained, retained_bytes) = shared.retained.size();
        let connections = u64::try_from(shared.metrics.connections.get()).unwrap_or(0);
        let size = |name, used: usize, max: usize, effect, setting| LimitUse {
            name,
            used: used as u64,
            max: max as u64,
            effect,
            setting,
        };
        let sessions = &shared.session_limits;
        vec![
            LimitUse {
                name: "spool",
                used: shared.spool.status().bytes,
                max: self.spool_bytes_max,
                effect: "new messages are refused, or the oldest dropped (spool.when_full)",
                setting: "gateway.spool.bytes_max",
            },
            LimitUse {
                name: "connections",
                used: connections,
                max: limits.connections_max as u64,
                effect: "further connections are closed at once",
                setting: "gateway.limits.connections_max",
            },
            size(
                "sessions",
                shared.registry.len(),
                limits.sessions_max,
                "clients that want to leave a session behind are refused",
                "gateway.limits.sessions_max",
            ),
            size(
                "subscriptions",
                sessions.subscriptions.taken(),
                limits.subscriptions_bytes_max,
                "further subscriptions are refused",
                "gateway.limits.subscriptions_bytes_max",
            ),
            size(
                "queues",
                sessions.mailbox.taken(),
                limits.queues_bytes_max,
                "further messages are dropped for clients that are slow or away",
                "gateway.limits.queues_bytes_max",
            ),
            size(
                "retained",
                retained,
                limits.retained_max,
                "further retained messages are delivered, not kept",
                "gateway.limits.retained_max",
            ),
            size(
                "retained_bytes",
                retained_bytes,
                limits.retained_bytes_max,
                "further retained messages are delivered, not kept",
                "gateway.limits.retained_bytes_max",
            ),
            size(
                "receiving",
                shared.receiving.load(Ordering::Relaxed),
                limits.receiving_bytes_max,
                "who sends further large packets is disconnected",
                "gateway.limits.receiving_bytes_max",
            ),
        ]
    }

    /// Tells whether what somebody rests on still holds: nothing of it has ended, was revoked or changed.
    #[must_use]
    pub fn still_holds(&self, identity: &Identity) -> bool {
        self.shared.access.refresh(identity).is_ok()
    }

    /// Finds out whose a user name and password, or a token, is: by the identities of MQTT, with their throttle. Without either
    /// nobody is let in.
    ///
    /// # Errors
    /// Why not. Who asks should not hear more than that it is so.
    pub async fn log_in(
        &self,
        peer: SocketAddr,
        username: Option<&str>,
        password: &[u8],
    ) -> Result<Identity, Denied> {
        let offer = Credentials {
            peer,
            is_local: false,
            client_id: "",
            username,
            password: Some(password),
            certificate: None,
        };
        let found = self.shared.access.authenticate(&offer).await;
        if let Err(denied) = &found {
            self.shared.access.audit().record(AuditRecord {
                identity: username,
                peer: Some(peer),
                detail: Some(&format!("at the API: {denied}")),
                ..AuditRecord::of(AuditEvent::Refused)
            });
        }
        found
    }
}
