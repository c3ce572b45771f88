//! Counts HTTP requests that are refused, and says so in few lines.

use std::convert::Infallible;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tracing::{info, warn};

use crate::http::Response;
use crate::repeats::{Line, Repeats, Said};
use crate::{Clock, Metrics};

/// How often held back counts are looked at.
const LOOK: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    reason: &'static str,
}

/// The refusals of one endpoint. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Refusals {
    endpoint: String,
    counts: Family<Labels, Counter>,
    repeats: Repeats<String>,
    clock: Clock,
}

impl Refusals {
    /// Registers the counter `{endpoint}_requests_refused_total`, by reason.
    pub fn register(metrics: &Metrics, endpoint: &str, clock: Clock) -> Self {
        let counts = Family::<Labels, Counter>::default();
        for reason in ["host", "origin"] {
            // There from the start: what happens for the first time is a growth, too.
            drop(counts.get_or_create(&Labels { reason }));
        }
        metrics.register(endpoint, |registry| {
            registry.register(
                "requests_refused",
                "Requests that were refused: no token, no login, a host that is not its own, a page of another site",
                counts.clone(),
            );
        });
        Self { endpoint: endpoint.to_owned(), counts, repeats: Repeats::default(), clock }
    }

    /// Counts a refusal; its answer says what was wrong.
    pub fn note(&self, reason: &'static str, response: &Response) {
        self.note_text(reason, String::from_utf8_lossy(&response.body).trim_end());
    }

    /// The same, in words that nobody else gave.
    pub(crate) fn note_text(&self, reason: &'static str, problem: &str) {
        self.counts.get_or_create(&Labels { reason }).inc();
        let problem = problem.to_owned();
        if let Some(line) = self.repeats.note(reason, self.clock.uptime(), problem) {
            self.write(&line);
        }
    }

    /// Writes what was held back, until dropped.
    pub async fn speak(self) -> Infallible {
        loop {
            tokio::time::sleep(LOOK).await;
            for line in self.repeats.due(self.clock.uptime()) {
                self.write(&line);
            }
        }
    }

    fn write(&self, line: &Line<String>) {
        let (endpoint, problem) = (&self.endpoint, &line.about);
        match line.said {
            Said::Begun => warn!(endpoint, "refused a request: {problem}"),
            Said::Again(times) => warn!(endpoint, times, "refused requests: {problem}"),
            Said::Over(times) => info!(endpoint, times, "no more such requests: {problem}"),
        }
    }
}
