//! How a spool and its uplink stand, as metrics that are read when somebody asks: limits, room, the link, clocks.

use service_runtime::{Clock, Metrics, disk_room};
use tokio::sync::watch;

use crate::Spool;
use crate::uplink::UplinkStatus;

/// Adds them below a service's prefix.
pub(crate) fn register(
    metrics: &Metrics,
    service: &str,
    spool: Spool,
    uplink: watch::Receiver<UplinkStatus>,
    clock: Clock,
) {
    disk_room::register(metrics, service, "spool", spool.folder());
    metrics.observe(service, move |facts| {
        let (own, link) = (spool.status(), uplink.borrow().clone());
        let help = "Most bytes of the spool on disk; beyond, when_full decides";
        facts.gauge("spool_limit_bytes", help, own.bytes_max)?;
        let help = "Whether the spool's disk had no room when it was last written to (1)";
        facts.gauge("spool_disk_full", help, u64::from(own.disk_full))?;
        let help = "Whether frames can be sent (1) or not (0)";
        facts.gauge("uplink_connected", help, u64::from(link.connected))?;
        let help = "Raw bytes that ingest lets the source have in flight; 0 closes";
        // Before the first receipt nothing is known.
        if let Some(window) = link.window {
            facts.gauge("uplink_window_bytes", help, window)?;
        }
        let help = "Whether another lake answers than the one that the source is bound to (1)";
        facts.gauge("wrong_lake", help, u64::from(link.wrong_lake.is_some()))?;
        if let Some(ahead_ms) = link.ingest_clock.ahead_ms(clock.uptime()) {
            #[expect(clippy::cast_precision_loss, reason = "seconds to look at")]
            let ahead_s = ahead_ms as f64 / 1e3;
            let labels = [("against", "ingest")];
            let help =
                "How far another clock is ahead of this machine's; below 0 this one is ahead";
            facts.gauges("clock_offset_seconds", help, [(labels, ahead_s)])?;
        }
        Ok(())
    });
}
