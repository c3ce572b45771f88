//! What the operator is told of clients: one log line when something begins, counts while it goes on, one line when a loss is over.
//!
//! No line has a payload. A flood of one kind is at most [`BUCKETS`] lines a period, whoever takes part in it; the audit log and the
//! metrics have every single case.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use service_runtime::counts::{Counts, Group};
use service_runtime::repeats::{Line, PERIOD, Said};
use service_runtime::{Clock, Repeats};
use tracing::{info, warn};

use crate::mqtt::{Reason, Version};

/// Clients of one kind of event that are named apart at the same time.
const BUCKETS: u64 = 4;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Event {
    /// A connection was not let in.
    Refused(Reason),
    /// A connection was ended by the gateway.
    Disconnected(Reason),
    /// TLS or WebSocket could not be agreed on.
    Handshake(&'static str),
    /// Nothing was said in time.
    Silent,
    /// All places are taken.
    ConnectionsMax,
    /// The address has as many connections as it may.
    AddressMax,
    PublishDenied,
    SubscribeDenied,
    /// A message to a topic that starts with `$`.
    Reserved,
    /// The subscriber's queue, or all queues together, are full.
    QueueFull,
    /// A subscriber takes frames, receipts or status more slowly than they come.
    ControlFull,
    /// The store of retained messages is full.
    RetainedFull,
    /// A QoS 0 message that came while the spool was full.
    BestEffort,
    /// A will could not be published.
    WillLost,
    /// A will whose owner may not publish it any more.
    WillDenied,
}

/// Whom it concerns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Who {
    pub(crate) client: Arc<str>,
    pub(crate) place: Option<(SocketAddr, Arc<str>)>,
    pub(crate) version: Option<Version>,
    pub(crate) topic: Option<String>,
    /// What is too much, and the most that is allowed.
    pub(crate) size: Option<(usize, usize)>,
    /// What else there is to say, without anything that a client sent.
    pub(crate) detail: Option<String>,
}

/// Tells the operator. Cheap to clone; clones gather together.
#[derive(Debug, Clone, Default)]
pub(crate) struct Notices {
    clock: Clock,
    counts: Counts,
    repeats: Repeats<(Event, Who)>,
}

impl Notices {
    /// `counts` is what `/status` shows.
    pub(crate) fn new(clock: Clock, counts: Counts) -> Self {
        Self { clock, counts, repeats: Repeats::new(PERIOD) }
    }

    /// Tells of something, or counts it for later.
    pub(crate) fn tell(&self, event: Event, who: Who) {
        self.counts.add(event.group(), event.reason(), 1);
        let mut hasher = DefaultHasher::new();
        who.client.hash(&mut hasher);
        let bucket = hasher.finish() % BUCKETS;
        if let Some(line) = self.repeats.note((event, bucket), self.clock.uptime(), (event, who)) {
            write(&line, PERIOD);
        }
    }

    /// Tells what has gathered. To be called every second or so.
    pub(crate) fn due(&self) {
        for line in self.repeats.due(self.clock.uptime()) {
            write(&line, PERIOD);
        }
    }
}

fn write(line: &Line<(Event, Who)>, period: Duration) {
    let (event, who) = &line.about;
    let (peer, listener) = who.place.as_ref().map(|(peer, listener)| (peer, listener)).unzip();
    let (size, limit) = who.size.unzip();
    let (times, over) = match line.said {
        Said::Begun => (None, None),
        Said::Again(times) => (Some(times), None),
        Said::Over(times) if event.is_loss() => (None, Some(times)),
        Said::Over(_) => return,
    };
    let what = event.what();
    let remedy = over.is_none().then(|| event.remedy());
    macro_rules! line {
        ($level:ident) => {
            $level!(
                client = %who.client,
                peer = peer.map(tracing::field::display),
                listener = listener.map(tracing::field::display),
                mqtt = who.version.map(Version::as_str),
                reason = event.reason(),
                topic = who.topic,
                size,
                limit,
                detail = who.detail,
                times_more = times,
                within_s = times.map(|_| period.as_secs()),
                over_after = over,
                remedy,
                "{what}"
            )
        };
    }
    if event.is_everyday() || over.is_some() { line!(info) } else { line!(warn) }
}

impl Event {
    fn what(self) -> &'static str {
        match self {
            Self::Refused(_) => "refused a client",
            Self::Disconnected(_) => "disconnected a client",
            Self::Handshake(_) => "a connection failed before MQTT began",
            Self::Silent => "a connection sent no CONNECT in time",
            Self::ConnectionsMax | Self::AddressMax => "closed a connection too many",
            Self::PublishDenied => "refused a message",
            Self::SubscribeDenied => "refused a subscription",
            Self::Reserved => "discarded a message to a topic of the server's own",
            Self::QueueFull => "a queue is full: dropping messages for its client",
            Self::ControlFull => {
                "too slow for frames and receipts: leaving some out, their senders repeat them"
            }
            Self::RetainedFull => "the store of retained messages is full: delivered, but not kept",
            Self::BestEffort => "the spool is full: dropping QoS 0 messages",
            Self::WillLost => "a will could not be published",
            Self::WillDenied => "discarded a will",
        }
    }

    fn group(self) -> Group {
        match self {
            Self::Refused(_)
            | Self::Handshake(_)
            | Self::Silent
            | Self::PublishDenied
            | Self::SubscribeDenied
            | Self::WillDenied
            | Self::Reserved => Group::Refused,
            Self::Disconnected(_) => Group::Disconnected,
            Self::ConnectionsMax | Self::AddressMax => Group::Limits,
            Self::QueueFull
            | Self::ControlFull
            | Self::RetainedFull
            | Self::BestEffort
            | Self::WillLost => Group::Dropped,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Refused(reason) | Self::Disconnected(reason) => reason.as_str(),
            Self::Handshake(what) => what,
            Self::Silent => "connect_timeout",
            Self::ConnectionsMax => "connections_max",
            Self::AddressMax => "connections_per_address_max",
            Self::PublishDenied => "publish_not_authorized",
            Self::SubscribeDenied => "subscribe_not_authorized",
            Self::Reserved => "reserved_topic",
            Self::QueueFull => "queue_full",
            Self::ControlFull => "control_full",
            Self::RetainedFull => "retained_full",
            Self::BestEffort => "spool_full",
            Self::WillLost => "will_refused",
            Self::WillDenied => "will_not_authorized",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Refused(reason) | Self::Disconnected(reason) => remedy(reason),
            Self::Handshake(_) => "see docs/security.md for certificates; the audit log says more",
            Self::Silent => {
                "does it speak MQTT, and TLS only where the listener does? limits.connect_time_ms"
            }
            Self::ConnectionsMax => {
                "raise gateway.limits.connections_max, or find who connects so often"
            }
            Self::AddressMax => {
                "raise gateway.limits.connections_per_address_max if many devices share it"
            }
            Self::PublishDenied | Self::SubscribeDenied | Self::WillDenied => {
                "allow it by a rule, or mend the client: `tidemark policy test` says which rule decides"
            }
            Self::Reserved => "publish to a topic that does not start with $",
            Self::QueueFull => {
                "its client is away or slow: let it come back, end its session, or raise gateway.limits.queue_…"
            }
            Self::ControlFull => {
                "if it is ingest or an agent: its processor, its network; else let it subscribe to less of the control prefix"
            }
            Self::RetainedFull => {
                "clear retained messages by empty ones, or raise gateway.limits.retained_…"
            }
            Self::BestEffort | Self::WillLost => "is the spool full? see `tidemark status`",
        }
    }

    /// Things that happen on a good day.
    fn is_everyday(self) -> bool {
        matches!(
            self,
            Self::Disconnected(Reason::TakenOver | Reason::KeepAlive | Reason::Administrative)
        )
    }

    /// Whether messages are lost as long as it goes on, so that its end is worth a line.
    fn is_loss(self) -> bool {
        matches!(self, Self::QueueFull | Self::ControlFull | Self::RetainedFull | Self::BestEffort)
    }
}

fn remedy(reason: Reason) -> &'static str {
    match reason {
        Reason::Malformed | Reason::Protocol | Reason::ReceiveMaximum | Reason::TopicAlias => {
            "mend or update the client: docs/mqtt.md says what is expected"
        }
        Reason::UnsupportedVersion => "use MQTT 3.1.1 or 5",
        Reason::NotAuthorized => {
            "log in, or allow it by a rule: `tidemark policy test` says what decides"
        }
        Reason::BadLogin => "check name and password: `tidemark identity`",
        Reason::FailedLogins => {
            "its next login is heard after a wait, one from elsewhere now: mend the password of whoever fails"
        }
        Reason::BadClientId => "a client id begins with the name of its identity: docs/security.md",
        Reason::BadAuthMethod => "log in by certificate, password or token instead",
        Reason::Revoked => "its identity or certificate was withdrawn",
        Reason::ServerBusy => "it may try again; look at the machine's load",
        Reason::ShuttingDown | Reason::Unavailable => {
            "the gateway is stopping or its spool has failed"
        }
        Reason::KeepAlive => "it was silent for one and a half keep-alives: network or power",
        Reason::TakenOver => {
            "another connection has its client id: two devices with one id do this for ever"
        }
        Reason::TopicInvalid => {
            "mend the topic: no wildcards, control characters or too many levels"
        }
        Reason::PacketTooLarge => "send smaller messages, or raise gateway.limits.packet_bytes_max",
        Reason::QuotaExceeded => "see gateway.limits in config.example.toml",
        Reason::Administrative => "an operator ended its session; it may come back with a new one",
        Reason::WriteTimeout => "it takes nothing: mend the client or its network",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_is_a_few_lines_whoever_takes_part() {
        let notices = Notices::default();
        let mut lines = 0;
        for n in 0..1000 {
            let mut hasher = DefaultHasher::new();
            Arc::<str>::from(format!("bot-{n}")).hash(&mut hasher);
            let key = (Event::Refused(Reason::BadLogin), hasher.finish() % BUCKETS);
            let about = (key.0, Who::default());
            lines += u64::from(notices.repeats.note(key, Duration::ZERO, about).is_some());
        }
        assert!((1..=BUCKETS).contains(&lines), "{lines}");
        let held: u64 = notices
            .repeats
            .due(PERIOD)
            .iter()
            .map(|line| match line.said {
                Said::Again(times) => times,
                _ => 0,
            })
            .sum();
        assert_eq!(held + lines, 1000, "every one is counted");
    }

    #[test]
    fn inv13_status_has_every_case_by_group_and_reason() {
        let (counts, clock) = (Counts::default(), Clock::default());
        let notices = Notices::new(clock, counts.clone());
        for event in [Event::QueueFull, Event::QueueFull, Event::Refused(Reason::BadLogin)] {
            notices.tell(event, Who::default());
        }
        let read = counts.read();
        assert_eq!((read["dropped"]["queue_full"], read["refused"]["bad_login"]), (2, 1));
    }
}
