//! What all connections of the gateway share.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use service_runtime::{Clock, Stop};
use store_forward::Spool;
use telemetry_core::topic::ControlTopics;
use tokio::sync::watch;
use tracing::warn;

use crate::access::Access;
use crate::fanout::Fanout;
use crate::limits::Limits;
use crate::metrics::GatewayMetrics;
use crate::rate::Rates;
use crate::retained::Retained;
use crate::session::{Parked, Registry, Session, SessionLimits};
use crate::store::{Found, Store};
use crate::testament::Testament;
use crate::traced::Traced;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) topics: ControlTopics,
    pub(crate) access: Access,
    pub(crate) spool: Spool,
    pub(crate) store: Store,
    pub(crate) fanout: Fanout,
    pub(crate) session_limits: SessionLimits,
    pub(crate) retained: Retained,
    pub(crate) registry: Registry,
    pub(crate) rates: Rates,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) clock: Clock,
    /// Follows messages, if a collector of traces is configured.
    pub(crate) traced: Option<Traced>,
    /// Bytes of large packets that are being received.
    pub(crate) receiving: Arc<AtomicUsize>,
    /// No new telemetry: devices are disconnected, who takes frames stays.
    pub(crate) draining: Stop,
    /// Sessions that stay while draining.
    pub(crate) staying: watch::Sender<usize>,
    /// Everybody is disconnected.
    pub(crate) closing: Stop,
}

impl Shared {
    /// Takes up what outlived the last process. Returns the wills of those who left nothing else behind: they are due.
    pub(crate) fn restore(&self, found: Found) -> Vec<Testament> {
        let (now, now_us) = (self.clock.uptime(), self.clock.now_us());
        if found.damaged > 0 {
            warn!(
                entries = found.damaged,
                "left out entries of the sessions' file that make no sense"
            );
        }
        self.retained.restore(found.retained, now_us);
        let mut wills: HashMap<Arc<str>, (Testament, Option<i64>)> = found
            .wills
            .into_iter()
            .map(|(will, due_us)| (will.client_id.clone(), (will, due_us)))
            .collect();
        for stored in found.sessions {
            let will = wills.remove(&stored.client_id).map(|(will, due_us)| {
                // Who was connected has lost its connection with the process.
                let wait = match due_us {
                    None => Duration::from_secs(will.will.delay_seconds.into()),
                    Some(at) => {
                        Duration::from_micros(at.saturating_sub(now_us).max(0).unsigned_abs())
                    }
                };
                (now + wait, will)
            });
            let away_us =
                stored.record.disconnected_us.map_or(0, |at| now_us.saturating_sub(at).max(0));
            let (limits, store) = (self.session_limits.clone(), Some(self.store.clone()));
            let session =
                Session::restore(stored, limits, self.limits.inflight_max, store, &self.fanout);
            let mut parked = Parked::new(session, now, will);
            let away = Duration::from_micros(away_us.unsigned_abs());
            parked.expires_at = parked.expires_at.map(|at| at.saturating_sub(away));
            self.registry.restore(parked);
        }
        wills.into_values().map(|(will, _)| will).collect()
    }
}
