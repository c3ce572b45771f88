//! Every metric of access: logins, reloads and the audit log.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use service_runtime::Metrics;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoginLabels {
    proof: &'static str,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReloadLabels {
    what: &'static str,
    result: &'static str,
}

/// Counters of access.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccessMetrics {
    logins: Family<LoginLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    pub(crate) audit_left_out: Counter,
}

impl AccessMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register("gateway", |registry| {
            registry.register(
                "logins",
                "Clients that proved who they are, or did not, by proof and result",
                own.logins.clone(),
            );
            registry.register(
                "access_reloads",
                "Files of access read again after a change, by kind and result",
                own.reloads.clone(),
            );
            registry.register(
                "audit_left_out",
                "Records left out of the audit log: too many at once, or a disk that took none",
                own.audit_left_out.clone(),
            );
        });
        own
    }

    pub(crate) fn login(&self, proof: &'static str, result: &'static str) {
        self.logins.get_or_create(&LoginLabels { proof, result }).inc();
    }

    #[cfg(test)]
    pub(crate) fn logins(&self, proof: &'static str, result: &'static str) -> u64 {
        self.logins.get_or_create(&LoginLabels { proof, result }).get()
    }

    pub(crate) fn reload(&self, what: &'static str, result: &'static str) {
        self.reloads.get_or_create(&ReloadLabels { what, result }).inc();
    }
}
