//! From whoever has something to tell of a trace to the collector: a bounded queue, and a task that empties it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use service_runtime::counts::Group;
use service_runtime::{Counts, Stop};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::config::TracesConfig;
use crate::context::Context;
use crate::otlp::Collector;
use crate::span::Span;

/// Spans that wait for the collector, at most: further ones are dropped and counted.
const QUEUE: usize = 4096;
/// Spans of one request.
const REQUEST_MAX: usize = 512;
/// How long the first span of a request waits for others.
const GATHER: Duration = Duration::from_millis(500);
/// How long the last request may take when the service stops.
const GOODBYE: Duration = Duration::from_secs(2);
/// How often it is said that the collector takes nothing.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// Why spans are dropped, in `/status` and metrics.
const REASON: &str = "trace_spans";

/// Takes spans. Cheap to clone; never waits.
#[derive(Debug, Clone)]
pub struct Tracer {
    spans: mpsc::Sender<Span>,
    counts: Counts,
    sample_every: u64,
    seen: Arc<AtomicU64>,
}

/// The task that tells the collector.
#[derive(Debug)]
pub struct Exporter {
    collector: Collector,
    spans: mpsc::Receiver<Span>,
    counts: Counts,
}

/// Opens the way to the configured collector; `None` if there is none. `service` and `instance` name who tells; what is dropped is
/// counted in `counts`.
///
/// # Errors
/// If the section does not fit, with the key.
pub fn open(
    config: &TracesConfig,
    (service, instance): (&'static str, String),
    counts: Counts,
) -> anyhow::Result<Option<(Tracer, Exporter)>> {
    let Some(endpoint) = &config.endpoint else { return Ok(None) };
    let collector = Collector::new(config, endpoint, (service, instance))?;
    let (sender, spans) = mpsc::channel(QUEUE);
    let (sample_every, seen) = (config.sample_every, Arc::default());
    let tracer = Tracer { spans: sender, counts: counts.clone(), sample_every, seen };
    Ok(Some((tracer, Exporter { collector, spans, counts })))
}

impl Tracer {
    /// The trace of a message that nobody asked to be followed: of one in so many.
    #[must_use]
    pub fn sample(&self) -> Option<Context> {
        let chosen = self.sample_every > 0
            && self.seen.fetch_add(1, Ordering::Relaxed).is_multiple_of(self.sample_every);
        chosen.then(Context::new)
    }

    /// Tells of a span, if there is room in the queue.
    pub fn tell(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.counts.add(Group::Dropped, REASON, 1);
        }
    }
}

impl Exporter {
    /// Tells the collector until `stop`, and then of what is left.
    ///
    /// # Errors
    /// None: a collector that takes nothing is not the messages' fault.
    pub async fn run(mut self, stop: Stop) -> anyhow::Result<()> {
        let (mut spans, mut trouble) = (Vec::new(), Trouble::default());
        loop {
            let ended = tokio::select! {
                count = self.spans.recv_many(&mut spans, REQUEST_MAX) => count == 0,
                () = stop.cancelled() => true,
            };
            if ended {
                break;
            }
            let gathered = self.gather(&mut spans);
            tokio::select! {
                () = gathered => {}
                () = stop.cancelled() => break,
            }
            tokio::select! {
                told = self.collector.tell(&spans) => self.told(told, &mut spans, &mut trouble),
                () = stop.cancelled() => break,
            }
        }
        while spans.len() < REQUEST_MAX
            && let Ok(span) = self.spans.try_recv()
        {
            spans.push(span);
        }
        if !spans.is_empty() {
            let told = tokio::time::timeout(GOODBYE, self.collector.tell(&spans)).await;
            let told = told.unwrap_or_else(|_| Err("it does not answer".into()));
            self.told(told, &mut spans, &mut trouble);
        }
        Ok(())
    }

    /// Waits a moment for more, up to a request.
    async fn gather(&mut self, spans: &mut Vec<Span>) {
        let more = async {
            while spans.len() < REQUEST_MAX {
                let room = REQUEST_MAX - spans.len();
                if self.spans.recv_many(spans, room).await == 0 {
                    break;
                }
            }
        };
        drop(tokio::time::timeout(GATHER, more).await);
    }

    fn told(&self, told: Result<(), String>, spans: &mut Vec<Span>, trouble: &mut Trouble) {
        match told {
            Ok(()) => trouble.over(),
            Err(problem) => {
                self.counts.add(Group::Dropped, REASON, spans.len() as u64);
                trouble.goes_on(&problem, spans.len());
            }
        }
        spans.clear();
    }
}

/// What is said of a collector that takes nothing: now and then, not each time.
#[derive(Debug, Default)]
struct Trouble {
    said: Option<tokio::time::Instant>,
    dropped: usize,
}

impl Trouble {
    fn goes_on(&mut self, problem: &str, spans: usize) {
        self.dropped += spans;
        if self.said.is_some_and(|said| said.elapsed() < SAY_EVERY) {
            return;
        }
        self.said = Some(tokio::time::Instant::now());
        warn!(
            problem,
            spans = self.dropped,
            "the collector of traces takes nothing, what it should have got is dropped: look at traces.endpoint"
        );
    }

    fn over(&mut self) {
        if self.said.take().is_some() {
            info!(dropped = self.dropped, "the collector of traces takes spans again");
        }
        self.dropped = 0;
    }
}
