//! The limits that all clients share, and how full they are, as metrics that are read when somebody asks.

use service_runtime::Metrics;

use crate::insight::Insight;

/// Adds them: a few labels, one a limit.
pub(crate) fn register(metrics: &Metrics, insight: Insight) {
    metrics.observe("gateway", move |facts| {
        let limits = insight.limits();
        let used = limits.iter().map(|limit| ([("limit", limit.name)], limit.used));
        let help =
            "What is used of a limit that all clients share: bytes or a number, as the limit is";
        facts.gauges("limit_used", help, used)?;
        let most = limits.iter().map(|limit| ([("limit", limit.name)], limit.max));
        let help = "The most that a limit allows; docs/operations.md says what happens there";
        facts.gauges("limit_max", help, most)
    });
}
