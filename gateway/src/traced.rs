//! Messages that are traced: from their PUBLISH to storage, and from there to the receipt that says that they are readable.

use std::collections::HashMap;

use anyhow::Context as _;
use service_runtime::{Clock, Counts, Stop};
use store_forward::uplink::UplinkStatus;
use store_forward::{Place, Progress};
use telemetry_core::id::SourceId;
use telemetry_core::spool::attributes::Attribute;
use tokio::sync::{mpsc, watch};
use traces::{Context, Exporter, Span, TRACEPARENT, Tracer};

use crate::config::GatewayConfig;
use crate::mqtt::Publish;

/// Messages that are followed at once; further ones are told of by others only.
const FOLLOWED_MAX: usize = 1024;

/// Where the connections say which messages are to be followed. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Traced {
    tracer: Tracer,
    accepted: mpsc::Sender<Accepted>,
}

/// The trace of a message that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace {
    context: Context,
    /// Nobody asked for it: its first span is ours.
    is_own: bool,
    /// When the message came, Unix microseconds.
    came_us: i64,
}

/// A message that was accepted.
#[derive(Debug, Clone, Copy)]
struct Accepted {
    trace: Trace,
    place: Place,
}

/// The task that waits for storage and receipts, and tells the collector.
#[derive(Debug)]
pub(crate) struct Follower {
    tracer: Tracer,
    exporter: Exporter,
    accepted: mpsc::Receiver<Accepted>,
    followed: Followed,
}

/// What is followed.
#[derive(Debug)]
struct Followed {
    source: SourceId,
    /// With the time at which it was stored.
    messages: HashMap<(u32, u64), (Accepted, Option<i64>)>,
}

/// Opens the way to the collector of traces; `None` if there is none.
///
/// # Errors
/// If the section does not fit.
pub(crate) fn open(
    config: &GatewayConfig,
    counts: Counts,
) -> anyhow::Result<Option<(Traced, Follower)>> {
    let source = config.source_id.clone();
    let named = ("tidemark-gateway", source.to_string());
    let opened = traces::open(&config.traces, named, counts).context("[traces]")?;
    Ok(opened.map(|(tracer, exporter)| {
        let (sender, accepted) = mpsc::channel(FOLLOWED_MAX);
        let followed = Followed { source, messages: HashMap::new() };
        let traced = Traced { tracer: tracer.clone(), accepted: sender };
        (traced, Follower { tracer, exporter, accepted, followed })
    }))
}

impl Traced {
    /// The trace of a message, if it has one or is chosen; then its record says so in `attributes`, too.
    pub(crate) fn of(
        &self,
        publish: &Publish,
        now_us: i64,
        attributes: &mut Vec<u8>,
    ) -> Option<Trace> {
        let user = publish.properties.iter().flat_map(|properties| &properties.user);
        let mut asked = user.filter(|(name, _)| name == TRACEPARENT).map(|(_, value)| value);
        if let Some(asked) = asked.next() {
            let context = Context::parse(asked)?;
            return Some(Trace { context, is_own: false, came_us: now_us });
        }
        let context = self.tracer.sample()?;
        Attribute::UserProperty { name: TRACEPARENT, value: &context.to_string() }
            .write(attributes);
        Some(Trace { context, is_own: true, came_us: now_us })
    }

    /// It was accepted, and is at that place.
    pub(crate) fn accepted(&self, trace: Trace, place: Place) {
        // Who follows enough already does without.
        let _full = self.accepted.try_send(Accepted { trace, place });
    }
}

impl Follower {
    /// Follows what is accepted until `closing`.
    ///
    /// # Errors
    /// As [`Exporter::run`].
    pub(crate) async fn run(
        self,
        progress: watch::Receiver<Progress>,
        status: watch::Receiver<UplinkStatus>,
        clock: Clock,
        closing: Stop,
    ) -> anyhow::Result<()> {
        let Self { tracer, exporter, accepted, followed } = self;
        let told = exporter.run(closing.clone());
        let follow = follow(followed, (accepted, progress, status), &tracer, (clock, closing));
        tokio::join!(follow, told).1
    }
}

async fn follow(
    mut followed: Followed,
    (mut accepted, mut progress, mut status): (
        mpsc::Receiver<Accepted>,
        watch::Receiver<Progress>,
        watch::Receiver<UplinkStatus>,
    ),
    tracer: &Tracer,
    (clock, closing): (Clock, Stop),
) {
    loop {
        let (stores, lands) = (followed.any(false), followed.any(true));
        let has_room = followed.messages.len() < FOLLOWED_MAX;
        tokio::select! {
            Some(accepted) = accepted.recv(), if has_room => {
                followed.messages.insert(accepted.key(), (accepted, None));
            }
            Ok(()) = progress.changed(), if stores => {}
            Ok(()) = status.changed(), if lands => {}
            () = closing.cancelled() => return,
            else => return,
        }
        let now_us = clock.now_us();
        let known = *progress.borrow_and_update();
        let landed = status.borrow_and_update().positions.landed;
        for span in followed.look(&known, landed, now_us) {
            tracer.tell(span);
        }
    }
}

impl Accepted {
    fn key(&self) -> (u32, u64) {
        (self.place.generation, self.place.offset)
    }
}

impl Followed {
    /// Whether some of them are stored, or are not.
    fn any(&self, stored: bool) -> bool {
        self.messages.values().any(|(_, at)| at.is_some() == stored)
    }

    /// What can be told now: all below `landed` of the spool's present epoch is readable.
    fn look(&mut self, progress: &Progress, landed: u64, now_us: i64) -> Vec<Span> {
        let mut told = Vec::new();
        let source = &self.source;
        self.messages.retain(|_, (accepted, stored_us)| {
            let Accepted { trace, place } = *accepted;
            let of = |span: Span| span.of(source.as_str(), place.epoch, place.offset);
            if stored_us.is_none() && progress.covers(place) {
                told.push(of(Span::new(trace.context, "store", (trace.came_us, now_us))));
                *stored_us = Some(now_us);
            }
            let Some(from_us) = *stored_us else { return !progress.failed };
            // Receipts speak of the present epoch: of one that was left nothing more is heard.
            if place.generation != progress.generation {
                return false;
            }
            if place.offset >= landed {
                return true;
            }
            told.push(of(Span::new(trace.context, "receipt", (from_us, now_us))));
            if trace.is_own {
                told.push(of(Span::first(trace.context, "message", (trace.came_us, now_us))));
            }
            false
        });
        told
    }
}

#[cfg(test)]
mod tests;
