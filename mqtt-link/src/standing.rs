//! Tells readiness, metrics and the log how a connection stands, each in its way: the log once for each change.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use service_runtime::admin::Readiness;
use service_runtime::repeats::{Repeats, Said};
use service_runtime::{Clock, Counts, Metrics};
use tracing::{info, warn};

use crate::Trouble;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    link: &'static str,
    reason: &'static str,
}

/// Counts what went wrong with a service's connections, by link and reason. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct LinkMetrics {
    troubles: Family<Labels, Counter>,
    counts: Counts,
}

impl LinkMetrics {
    /// Registers the metric below a service's prefix.
    #[must_use]
    pub fn register(metrics: &Metrics, prefix: &str) -> Self {
        let own = Self { counts: metrics.counts(), ..Self::default() };
        metrics.register(prefix, |registry| {
            let help =
                "Connections and subscriptions that failed or were refused, by link and reason";
            registry.register("link_troubles", help, own.troubles.clone());
        });
        own
    }
}

/// How one connection to a broker stands. It is ready once the broker has granted what was asked for.
#[derive(Debug)]
pub struct Standing {
    link: &'static str,
    broker: String,
    readiness: Readiness,
    metrics: LinkMetrics,
    clock: Clock,
    repeats: Repeats<Trouble>,
    /// Troubles since it last worked.
    troubles: u64,
    works_offline: bool,
}

impl Standing {
    /// A connection that is yet to be made; `link` is its name in `/readyz`, metrics and the log.
    pub fn new(
        link: &'static str,
        broker: String,
        readiness: Readiness,
        metrics: LinkMetrics,
        clock: Clock,
    ) -> Self {
        readiness.set(link, Err(format!("connecting to {broker}")));
        for reason in Trouble::REASONS {
            // There from the start: what happens for the first time is a growth, too.
            drop(metrics.troubles.get_or_create(&Labels { link, reason }));
        }
        let repeats = Repeats::default();
        Self { link, broker, readiness, metrics, clock, repeats, troubles: 0, works_offline: false }
    }

    /// Its service does its work without it as well, and goes on when it is back: not being connected is ready; being refused is not.
    #[must_use]
    pub fn works_offline(mut self) -> Self {
        self.readiness.set(self.link, Ok(()));
        self.works_offline = true;
        self
    }

    /// Something is wrong with it: it is not ready.
    pub fn trouble(&mut self, trouble: Trouble) {
        let away = matches!(trouble, Trouble::Unreachable { .. });
        let state = match self.works_offline && away {
            true => Ok(()),
            false => Err(format!("{}: {trouble}", self.broker)),
        };
        self.readiness.set(self.link, state);
        self.note(trouble);
    }

    /// Something was lost that does not keep it from working.
    pub fn note(&mut self, trouble: Trouble) {
        self.troubles += 1;
        let labels = Labels { link: self.link, reason: trouble.reason() };
        self.metrics.troubles.get_or_create(&labels).inc();
        self.metrics.counts.add(trouble.group(), trouble.reason(), 1);
        let Some(line) = self.repeats.note(trouble.reason(), self.clock.uptime(), trouble) else {
            return;
        };
        let (link, broker, trouble) = (self.link, &self.broker, line.about);
        match line.said {
            Said::Again(times) => warn!(link, broker, times, "still {trouble}"),
            _ => warn!(link, broker, "{trouble}"),
        }
    }

    /// It is connected, and everything that was asked for is granted.
    pub fn works(&mut self) {
        self.readiness.set(self.link, Ok(()));
        // What is over is told here, so that nobody has to look after it.
        self.repeats = Repeats::default();
        let troubles = std::mem::take(&mut self.troubles);
        info!(link = self.link, broker = self.broker, troubles, "connected");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv12_a_link_is_ready_only_while_it_brings_what_was_asked_for() {
        let (readiness, metrics) = (Readiness::default(), Metrics::default());
        let counts = LinkMetrics::register(&metrics, "agent");
        let mut standing =
            Standing::new("input", "b:1".into(), readiness.clone(), counts, Clock::default());
        assert!(!readiness.is_ready(), "not connected yet");
        standing.works();
        assert!(readiness.is_ready());
        for _ in 0..3 {
            standing.trouble(Trouble::Subscription { filters: "dt/#".into() });
        }
        assert!(!readiness.is_ready());
        standing.works();
        assert!(readiness.is_ready());
        standing.note(Trouble::Session);
        assert!(readiness.is_ready(), "what comes from now on is heard");
        let text = metrics.render();
        let line = r#"agent_link_troubles_total{link="input",reason="subscription_refused"} 3"#;
        assert!(text.contains(line), "{text}");
        assert!(text.contains(r#"reason="session_lost"} 1"#), "{text}");
    }

    #[test]
    fn inv12_a_link_that_may_be_away_is_ready_without_its_broker_but_not_when_refused() {
        let (readiness, counts) = (Readiness::default(), LinkMetrics::default());
        let standing =
            Standing::new("uplink", "b:1".into(), readiness.clone(), counts, Clock::default());
        let mut standing = standing.works_offline();
        assert!(readiness.is_ready());
        standing.trouble(Trouble::Login { reason: "not authorized" });
        assert!(!readiness.is_ready());
        standing.trouble(Trouble::Unreachable { cause: "no route".into() });
        assert!(readiness.is_ready(), "it keeps what it takes");
    }
}
