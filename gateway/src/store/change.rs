//! What outlives the process: sessions, their letters, retained messages, and how each of them changes.

use std::sync::Arc;

use telemetry_core::id::{Epoch, Offset};

use crate::access::owner::Owner;
use crate::letter::{Letter, Options};
use crate::message::Message;
use crate::testament::Testament;

/// A session as it stands on disk, beside its letters.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Record {
    /// Whose it is: nobody else may take it up.
    #[serde(flatten)]
    pub(crate) owner: Owner,
    /// Seconds that it outlives its connection; `u32::MAX` is for ever (MQTT 5 section 3.1.2.11.2).
    pub(crate) expiry_seconds: u32,
    /// Microseconds since 1970 when its connection ended; `None` while it is connected.
    pub(crate) disconnected_us: Option<i64>,
    pub(crate) subscriptions: Vec<(String, Options)>,
}

/// A position in the gateway's spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) epoch: Epoch,
    pub(crate) offset: Offset,
}

/// How far the delivery of a QoS 2 message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flight {
    pub(crate) pkid: u16,
    /// The client has it; only the release is to be repeated.
    pub(crate) released: bool,
}

/// Something that changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Op {
    Session {
        client_id: Arc<str>,
        record: Record,
    },
    /// The session has ended: nothing of it stays.
    End {
        client_id: Arc<str>,
    },
    Queue {
        client_id: Arc<str>,
        number: u64,
        letter: Letter,
    },
    Unqueue {
        client_id: Arc<str>,
        number: u64,
    },
    Flight {
        client_id: Arc<str>,
        number: u64,
        flight: Flight,
    },
    /// A QoS 2 message of the client was taken; its packet id is in use until the client releases it.
    Received {
        client_id: Arc<str>,
        pkid: u16,
        /// Where it stands in the spool, if it goes there.
        place: Option<Position>,
    },
    /// All exchanges that brought messages below this position of the spool are in the file.
    Known(Position),
    Released {
        client_id: Arc<str>,
        pkid: u16,
    },
    /// What is to be published if the client is not there when it is due; without a time it is connected.
    Will {
        will: Box<Testament>,
        due_us: Option<i64>,
    },
    /// This will, and no later one of the client, was published or has become void.
    NoWill {
        client_id: Arc<str>,
        id: u64,
    },
    Retain {
        message: Arc<Message>,
    },
    Forget {
        topic: String,
    },
}

impl Op {
    /// Returns about how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let own = match self {
            Self::Session { record, .. } => {
                let filters = record.subscriptions.iter();
                filters.map(|entry| size_of_val(entry) + entry.0.len()).sum()
            }
            Self::Queue { letter, .. } => letter.message.size(),
            Self::Will { will, .. } => size_of_val(&**will) + will.will.payload.len(),
            Self::Retain { message } => message.size(),
            Self::Forget { topic } => topic.len(),
            Self::End { .. }
            | Self::NoWill { .. }
            | Self::Unqueue { .. }
            | Self::Flight { .. }
            | Self::Received { .. }
            | Self::Known(_)
            | Self::Released { .. } => 0,
        };
        size_of::<Self>() + own
    }
}

/// A session that was found on disk.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) client_id: Arc<str>,
    pub(crate) record: Record,
    /// In order; with how far they have come.
    pub(crate) letters: Vec<(Letter, Option<Flight>)>,
    /// Packet ids in use, with where their messages stand.
    pub(crate) received: Vec<(u16, Option<Position>)>,
}

/// Everything that was found on disk.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Found {
    pub(crate) sessions: Vec<Stored>,
    pub(crate) retained: Vec<Message>,
    /// With the time when each is due; those without one were of clients that were connected.
    pub(crate) wills: Vec<(Testament, Option<i64>)>,
    /// See [`Op::Known`].
    pub(crate) known: Option<Position>,
    /// Entries that made no sense, and were left out.
    pub(crate) damaged: usize,
}
