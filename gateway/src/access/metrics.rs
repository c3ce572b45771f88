//! Every metric of access: logins, reloads and the audit log.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
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

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhatLabels {
    what: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProofLabels {
    proof: &'static str,
}

/// A minute, an hour, a day, a week, a month, a quarter, a year.
const LEFT_SECONDS: [f64; 7] =
    [60.0, 3_600.0, 86_400.0, 604_800.0, 2_592_000.0, 7_776_000.0, 31_536_000.0];

/// Counters of access.
#[derive(Debug, Clone)]
pub(crate) struct AccessMetrics {
    logins: Family<LoginLabels, Counter>,
    reloads: Family<ReloadLabels, Counter>,
    pub(crate) audit_left_out: Counter,
    left: Family<WhatLabels, Gauge>,
    proofs_left: Family<ProofLabels, Histogram, fn() -> Histogram>,
}

impl Default for AccessMetrics {
    fn default() -> Self {
        Self {
            logins: Family::default(),
            reloads: Family::default(),
            audit_left_out: Counter::default(),
            left: Family::default(),
            proofs_left: Family::new_with_constructor(|| Histogram::new(LEFT_SECONDS)),
        }
    }
}

impl AccessMetrics {
    pub(crate) fn register(metrics: &Metrics) -> Self {
        let own = Self::default();
        for proof in ["certificate", "password", "jwt", "none"] {
            // There from the start: what happens for the first time is a growth, too.
            for result in ["ok", "refused", "throttled", "crowded"] {
                drop(own.logins.get_or_create(&LoginLabels { proof, result }));
            }
        }
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
                "expiry_seconds_left",
                "Seconds until the first certificate, authority or revocation list of a kind ends; below 0: it has",
                own.left.clone(),
            );
            registry.register(
                "login_proof_seconds_left",
                "Seconds for which certificates and tokens that clients showed still hold",
                own.proofs_left.clone(),
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

    /// Sets what is left of each kind, in microseconds: the least of those given.
    pub(crate) fn set_left(&self, left: impl Iterator<Item = (&'static str, i64)>) {
        let mut least: BTreeMap<&'static str, i64> = BTreeMap::new();
        for (what, left_us) in left {
            let least = least.entry(what).or_insert(left_us);
            *least = left_us.min(*least);
        }
        self.left.clear();
        for (what, left_us) in least {
            self.left.get_or_create(&WhatLabels { what }).set(left_us / 1_000_000);
        }
    }

    pub(crate) fn note_left(&self, proof: &'static str, left_us: i64) {
        let left = Duration::from_micros(u64::try_from(left_us).unwrap_or(0));
        self.proofs_left.get_or_create(&ProofLabels { proof }).observe(left.as_secs_f64());
    }

    #[cfg(test)]
    pub(crate) fn reloads(&self, what: &'static str, result: &'static str) -> u64 {
        self.reloads.get_or_create(&ReloadLabels { what, result }).get()
    }

    #[cfg(test)]
    pub(crate) fn left(&self, what: &'static str) -> i64 {
        self.left.get_or_create(&WhatLabels { what }).get()
    }

    /// These files may be read again: their counters are there from the start.
    pub(crate) fn watches(&self, what: &'static str) {
        for result in ["ok", "failed"] {
            drop(self.reloads.get_or_create(&ReloadLabels { what, result }));
        }
    }

    pub(crate) fn reload(&self, what: &'static str, result: &'static str) {
        self.reloads.get_or_create(&ReloadLabels { what, result }).inc();
    }
}
