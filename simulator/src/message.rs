//! A message that a device will send, together with what it must become in the lake.

use std::sync::Arc;

use bytes::Bytes;

use crate::fingerprint::{
    DeadLetterRow, EhrRow, Fingerprint, MessageKey, ReadingRow, StatusRow, payload_key,
};

/// The stream of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StreamKind {
    /// `dt/{site}/{device_id}/readings`
    Readings,
    /// `dt/{site}/{device_id}/status`
    Status,
    /// `dt/{site}/{device_id}/fhir`
    Fhir,
    /// Any other topic: what its last level says is the device's own.
    Values,
}

impl StreamKind {
    /// The topic's last level, where it is a stream of a device topic.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Readings => "readings",
            Self::Status => "status",
            Self::Fhir => "fhir",
            Self::Values => "values",
        }
    }
}

/// A device or EHR system.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceName {
    /// Site id.
    pub site: Arc<str>,
    /// Device id, or the EHR's system id.
    pub device_id: Arc<str>,
}

impl DeviceName {
    /// The name of `device_id` at `site`.
    #[must_use]
    pub fn new(site: &str, device_id: &str) -> Self {
        Self { site: site.into(), device_id: device_id.into() }
    }

    /// `dt/{site}/{device_id}/{stream}`
    #[must_use]
    pub fn topic(&self, stream: &str) -> Arc<str> {
        format!("dt/{}/{}/{stream}", self.site, self.device_id).into()
    }
}

/// What kind of trace a message must leave in the lake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Rows with exactly the given fingerprint.
    Rows,
    /// One dead letter with the message's bytes.
    DeadLetter,
    /// At least one row, or one dead letter: the content is not the simulator's own (`--fhir`).
    Any,
}

/// What a message must become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// Rows or dead letter.
    pub outcome: Outcome,
    /// Number of rows over all tables.
    pub rows: u32,
    /// Sum of the rows' fingerprints.
    pub fingerprint: Fingerprint,
}

impl Default for Expectation {
    fn default() -> Self {
        Self { outcome: Outcome::Rows, rows: 0, fingerprint: Fingerprint::default() }
    }
}

impl Expectation {
    /// Expects one more reading.
    pub fn reading(&mut self, row: &ReadingRow<'_>) {
        self.add(row.fingerprint());
    }

    /// Expects one more status row.
    pub fn status(&mut self, row: &StatusRow<'_>) {
        self.add(row.fingerprint());
    }

    /// Expects one more EHR event.
    pub fn ehr(&mut self, row: &EhrRow<'_>) {
        self.add(row.fingerprint());
    }

    /// Expects exactly one dead letter with these bytes.
    #[must_use]
    pub fn dead_letter(topic: &str, payload: &[u8]) -> Self {
        let fingerprint = DeadLetterRow { topic, payload }.fingerprint();
        Self { outcome: Outcome::DeadLetter, rows: 1, fingerprint }
    }

    fn add(&mut self, fingerprint: Fingerprint) {
        self.rows += 1;
        self.fingerprint = self.fingerprint.and(fingerprint);
    }
}

/// One message, ready to be published.
#[derive(Debug, Clone)]
pub struct Message {
    /// Number of the sender in the simulation's list of devices.
    pub device: u32,
    /// Its stream.
    pub stream: StreamKind,
    /// Where to publish.
    pub topic: Arc<str>,
    /// What to publish.
    pub payload: Bytes,
    /// The sender's boot.
    pub boot: i64,
    /// The sender's sequence number; for malformed messages the one of the message they were made from.
    pub seq: i64,
    /// Its key in the lake, if all goes as expected.
    pub key: MessageKey,
    /// What it must become.
    pub expect: Expectation,
    /// The file that it comes from, for people.
    pub file: Option<Arc<str>>,
}

impl Message {
    /// Its key if it ends as a dead letter.
    #[must_use]
    pub fn dead_key(&self) -> MessageKey {
        payload_key(&self.topic, &self.payload)
    }
}

/// What all messages of a run share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Boot number of every device.
    pub boot: i64,
    /// Times after this one, in microseconds since the Unix epoch, are absurd to a pipeline that receives them now:
    /// a day after the run's start. `i64::MAX` believes everything.
    pub horizon_us: i64,
}

impl Run {
    /// A run that believes every time.
    #[must_use]
    pub fn of_boot(boot: i64) -> Self {
        Self { boot, horizon_us: i64::MAX }
    }
}

/// A message and when it is due.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Microseconds of simulated time since the simulation's start; never decreases along a plan.
    pub due_us: i64,
    /// What to send.
    pub message: Message,
}
