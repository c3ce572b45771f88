//! Messages that are traced: when they came, when they became rows, and when these were in the lake.

use anyhow::Context as _;
use service_runtime::{Counts, Stop, Tasks};
use telemetry_core::spool::attributes::{self, Attribute};
use telemetry_core::spool::record::Record;
use traces::{Context, Span, TRACEPARENT, Tracer};

use crate::config::Config;
use crate::decode::reject::Code;
use crate::sequencer::Key;

/// Messages of one batch that are told of, at most: further ones are told of by others only.
const TRACED_MAX: usize = 1024;

/// Tells of messages that are followed.
pub(crate) struct Traced {
    tracer: Tracer,
    worker: String,
    /// In the batch that is filling, and in the one that is being landed.
    filling: Vec<Message>,
    landing: Vec<Message>,
    /// When nobody tells anything any more, the collector is told the last of it.
    ended: Stop,
}

#[derive(Debug)]
struct Message {
    context: Context,
    key: Key,
    offset: u64,
    taken_us: i64,
}

impl Traced {
    /// Opens the way to the collector of traces; `None` if there is none.
    ///
    /// # Errors
    /// If the section does not fit.
    pub(crate) fn open(
        config: &Config,
        counts: Counts,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Option<Self>> {
        let worker = config.worker.clone();
        let named = ("tidemark-ingest", worker.clone());
        let opened = traces::open(&config.traces, named, counts).context("[traces]")?;
        Ok(opened.map(|(tracer, exporter)| {
            let ended = Stop::new();
            tasks.spawn("traces", exporter.run(ended.clone()));
            Self { tracer, worker, filling: Vec::new(), landing: Vec::new(), ended }
        }))
    }

    /// A record became rows, and a dead letter if `code` says why; it took from the one time to the other, Unix microseconds.
    pub(crate) fn decoded(
        &mut self,
        key: &Key,
        record: &Record<'_>,
        times: (i64, i64),
        (rows, code): (usize, Option<Code>),
    ) {
        let Some(context) = context(record) else { return };
        let message =
            Message { context, key: key.clone(), offset: record.offset, taken_us: times.1 };
        // By two clocks: whoever accepted it may be ahead.
        let way = (record.received_us.min(times.0), times.0);
        self.tracer.tell(message.span("forward", way));
        let mut span = message.span("decode", times).says("tidemark.rows", rows as u64);
        if let Some(code) = code {
            span = span.says("tidemark.dead_letter", code.as_str());
        }
        self.tracer.tell(span);
        if self.filling.len() < TRACED_MAX {
            self.filling.push(message);
        }
    }

    /// The batch is whole.
    pub(crate) fn seal(&mut self) {
        self.landing = std::mem::take(&mut self.filling);
    }

    /// It has landed.
    pub(crate) fn landed(&mut self, now_us: i64) {
        for message in self.landing.drain(..) {
            let span = message.span("land", (message.taken_us, now_us));
            self.tracer.tell(span.says("tidemark.worker", self.worker.as_str()));
        }
    }

    /// It was lost, and with it what came since: all comes again.
    pub(crate) fn reset(&mut self) {
        self.landing.clear();
        self.filling.clear();
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

impl Message {
    fn span(&self, name: &'static str, times: (i64, i64)) -> Span {
        let (source, epoch) = &self.key;
        Span::new(self.context, name, times).of(source.as_str(), epoch, self.offset)
    }
}

/// The trace of a record, by the first of its properties that names one.
fn context(record: &Record<'_>) -> Option<Context> {
    let asked = attributes::read(record.attributes).find_map(|attribute| match attribute {
        Attribute::UserProperty { name: TRACEPARENT, value } => Some(value),
        _ => None,
    });
    Context::parse(asked?)
}
