//! Tells the operator when messages become dead letters: a line at once, one a period while it goes on, one when it is over.

use std::time::Duration;

use service_runtime::repeats::{Line, Repeats, Said};
use telemetry_core::id::SourceId;
use tracing::{info, warn};

use crate::decode::reject::Code;
use crate::metrics::IngestMetrics;

/// How often it is looked for what has become due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// An example of what goes on.
#[derive(Debug, Clone)]
struct Example {
    code: Code,
    source: SourceId,
    topic: Box<str>,
}

/// Dead letters, counted and told by reason and source.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    repeats: Repeats<Example>,
    metrics: IngestMetrics,
    looked: Duration,
}

impl DeadLetters {
    pub(crate) fn new(metrics: IngestMetrics) -> Self {
        Self { repeats: Repeats::default(), metrics, looked: Duration::ZERO }
    }

    /// A message of `source` became a dead letter.
    pub(crate) fn note(&self, now: Duration, code: Code, source: &SourceId, topic: &str) {
        self.metrics.dead_letter(code.as_str());
        let example = Example { code, source: source.clone(), topic: topic.into() };
        if let Some(line) = self.repeats.note((code, source), now, example) {
            tell(&line);
        }
    }

    /// Tells what has become due.
    pub(crate) fn look(&mut self, now: Duration) {
        if now.saturating_sub(self.looked) >= LOOK_EVERY {
            self.looked = now;
            self.repeats.due(now).iter().for_each(tell);
        }
    }
}

fn tell(line: &Line<Example>) {
    let Example { code, source, topic } = &line.about;
    let reason = code.as_str();
    match line.said {
        Said::Begun => {
            warn!(reason, %source, topic, "messages become dead letters: {}", code.remedy());
        }
        Said::Again(messages) => {
            warn!(reason, %source, topic, messages, "more messages became dead letters");
        }
        Said::Over(messages) => {
            info!(reason, %source, topic, messages, "no more of these dead letters");
        }
    }
}
