//! What all connections of the gateway share.

use std::time::Duration;

use service_runtime::{Clock, Stop};
use store_forward::Spool;
use telemetry_core::topic::ControlTopics;
use tokio::sync::watch;
use tracing::warn;

use crate::access::Access;
use crate::bus::Bus;
use crate::fanout::{Fanout, MailboxLimits};
use crate::limits::Limits;
use crate::metrics::GatewayMetrics;
use crate::rate::Rates;
use crate::retained::Retained;
use crate::session::{Parked, Registry, Session};
use crate::store::{Found, Store};

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) topics: ControlTopics,
    pub(crate) access: Access,
    pub(crate) spool: Spool,
    pub(crate) store: Store,
    pub(crate) bus: Bus,
    pub(crate) fanout: Fanout,
    pub(crate) mailbox_limits: MailboxLimits,
    pub(crate) retained: Retained,
    pub(crate) registry: Registry,
    pub(crate) rates: Rates,
    pub(crate) metrics: GatewayMetrics,
    pub(crate) clock: Clock,
    /// No new telemetry: devices are disconnected, who takes frames stays.
    pub(crate) draining: Stop,
    /// Sessions that stay while draining.
    pub(crate) staying: watch::Sender<usize>,
    /// Everybody is disconnected.
    pub(crate) closing: Stop,
}

impl Shared {
    /// Takes up what outlived the last process.
    pub(crate) fn restore(&self, found: Found) {
        let (now, now_us) = (self.clock.uptime(), self.clock.now_us());
        if found.damaged > 0 {
            warn!(
                entries = found.damaged,
                "left out entries of the sessions' file that make no sense"
            );
        }
        self.retained.restore(found.retained, now_us);
        for stored in found.sessions {
            let away_us =
                stored.record.disconnected_us.map_or(0, |at| now_us.saturating_sub(at).max(0));
            let (mailboxes, store) = (self.mailbox_limits.clone(), Some(self.store.clone()));
            let session =
                Session::restore(stored, mailboxes, self.limits.inflight_max, store, &self.fanout);
            let mut parked = Parked::new(session, now, None);
            let away = Duration::from_micros(away_us.unsigned_abs());
            parked.expires_at = parked.expires_at.map(|at| at.saturating_sub(away));
            self.registry.restore(parked);
        }
    }
}
