//! What one row says, as a 128-bit number, computed alike from the generator's values and from a row of the lake.
//!
//! ```text
//! row         = xxh3_128( table u8 | field… )
//! field       = 0                          absent
//!             | 1 | len u32 | UTF-8        text
//!             | 2 | f64 bits               number (-0 counts as 0)
//!             | 3 | i64                    integer, or time in µs since the Unix epoch
//!             | 4                          "the receive time", which the sender cannot know
//! ```
//!
//! Little endian, fields in the order of the structs below. The fingerprint of a message is the wrapping sum of its rows'
//! fingerprints, so it does not depend on their order. xxh3 is no defence against a forger; it is one against faults.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::canonical;

/// The content of a row, or the sum of several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// Adds another row.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

/// Which message a row belongs to, as both sides can tell it.
///
/// A message of `readings` or `status` is known by (site, device, boot, seq); one of `fhir` by the sum of its
/// resources' (site, system, type, id, version); one of another topic, whose device numbers nothing, by what its first row says
/// (site, device, metric, value, or site, device, status); a dead letter by its topic and bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct MessageKey(pub u128);

impl MessageKey {
    /// Adds another resource of the same message.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }
}

/// When it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventTime {
    /// Microseconds since the Unix epoch.
    At(i64),
    /// The device's time was useless; the receive time stands in.
    Received,
}

impl EventTime {
    /// The time of a row, as the device meant it: a flag says that its own was useless, or that `event_ts` is corrected by what is
    /// known of its clock; then `device_us` is what it said.
    #[must_use]
    pub fn of_row(event_us: i64, device_us: Option<i64>, flags: Option<&str>) -> Self {
        let has = |names: &[&str]| {
            flags.is_some_and(|flags| flags.split(',').any(|flag| names.contains(&flag)))
        };
        if has(&["time_absurd", "time_missing", "time_unparsable"]) {
            Self::Received
        } else if has(&["time_corrected"]) {
            device_us.map_or(Self::Received, Self::At)
        } else {
            Self::At(event_us)
        }
    }
}

/// A measured value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// Column `value`.
    Number(f64),
    /// Column `value`, and in `value_text` how it came.
    Word(f64, &'a str),
    /// Column `value_text`.
    Text(&'a str),
    /// Column `value_text` has a number: a device's way of saying "no value".
    Written(f64),
    /// Both columns are NULL.
    Null,
}

/// A row of the table `readings`, as far as its content is audited.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields are the table's columns")]
pub struct ReadingRow<'a> {
    pub site: &'a str,
    pub device_id: &'a str,
    pub metric: &'a str,
    pub event: EventTime,
    pub value: Value<'a>,
    pub unit: Option<&'a str>,
    pub quality: &'a str,
    pub patient_id: Option<&'a str>,
    /// Absent in readings that come from FHIR resources.
    pub boot_id: Option<i64>,
    pub seq: Option<i64>,
    /// As it came, byte by byte.
    pub extra: Option<&'a str>,
    pub time_text: Option<&'a str>,
}

/// A row of the table `ehr_events`. `code`, `value`, `unit` and `effective_us` count for Observations only,
/// because only there are they the resource's own.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields are the table's columns")]
pub struct EhrRow<'a> {
    pub site: &'a str,
    pub system_id: &'a str,
    pub resource_type: &'a str,
    pub resource_id: &'a str,
    pub version_id: &'a str,
    pub status: Option<&'a str>,
    pub code: Option<&'a str>,
    pub value: Value<'a>,
    pub unit: Option<&'a str>,
    /// `effective_start` in microseconds since the Unix epoch.
    pub effective_us: Option<i64>,
    /// JSON, compared in canonical form.
    pub resource: &'a [u8],
}

/// A row of the table `device_status`.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields are the table's columns")]
pub struct StatusRow<'a> {
    pub site: &'a str,
    pub device_id: &'a str,
    pub event: EventTime,
    pub status: Option<&'a str>,
    pub battery: Option<f64>,
    pub firmware: Option<&'a str>,
    pub boot_id: Option<i64>,
    pub seq: Option<i64>,
    /// As it came, byte by byte.
    pub extra: Option<&'a str>,
    pub time_text: Option<&'a str>,
}

/// A row of the table `dead_letters`.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the fields are the table's columns")]
pub struct DeadLetterRow<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
}

impl ReadingRow<'_> {
    /// The row's content.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut bytes = Canonical::new(1);
        bytes
            .text(Some(self.site))
            .text(Some(self.device_id))
            .text(Some(self.metric))
            .event(self.event);
        bytes.value(self.value).text(self.unit).text(Some(self.quality)).text(self.patient_id);
        bytes.integer(self.boot_id).integer(self.seq).extra(self.extra).time_text(self.time_text);
        bytes.finish()
    }

    /// The message's key, if the reading has a boot and a sequence number.
    #[must_use]
    pub fn key(&self) -> Option<MessageKey> {
        Some(device_key(self.site, self.device_id, self.boot_id?, self.seq?))
    }

    /// The message's key, if this is its first row and it has no other.
    #[must_use]
    pub fn said_key(&self) -> MessageKey {
        said_key(self.site, self.device_id, self.metric, self.value)
    }
}

impl StatusRow<'_> {
    /// The row's content.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut bytes = Canonical::new(2);
        bytes.text(Some(self.site)).text(Some(self.device_id)).event(self.event).text(self.status);
        bytes.number(self.battery).text(self.firmware).integer(self.boot_id).integer(self.seq);
        bytes.extra(self.extra).time_text(self.time_text);
        bytes.finish()
    }

    /// The message's key, if the status has a boot and a sequence number.
    #[must_use]
    pub fn key(&self) -> Option<MessageKey> {
        Some(device_key(self.site, self.device_id, self.boot_id?, self.seq?))
    }

    /// The message's key, if it has no other.
    #[must_use]
    pub fn said_key(&self) -> MessageKey {
        status_key(self.site, self.device_id, self.status.unwrap_or_default())
    }
}

impl EhrRow<'_> {
    /// The row's content.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut bytes = Canonical::new(3);
        bytes.text(Some(self.site)).text(Some(self.system_id)).text(Some(self.resource_type));
        bytes.text(Some(self.resource_id)).text(Some(self.version_id)).text(self.status);
        if self.resource_type == "Observation" {
            bytes.text(self.code).value(self.value).text(self.unit).integer(self.effective_us);
        }
        let resource = xxh3_128(&canonical::of_text(self.resource));
        bytes.0.extend_from_slice(&resource.to_le_bytes());
        bytes.finish()
    }

    /// The resource's key.
    #[must_use]
    pub fn key(&self) -> MessageKey {
        resource_key(
            self.site,
            self.system_id,
            self.resource_type,
            self.resource_id,
            self.version_id,
        )
    }
}

impl DeadLetterRow<'_> {
    /// The row's content.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        let mut bytes = Canonical::new(4);
        bytes.text(Some(self.topic)).bytes(self.payload);
        bytes.finish()
    }

    /// The key of a message that is only a dead letter.
    #[must_use]
    pub fn key(&self) -> MessageKey {
        payload_key(self.topic, self.payload)
    }
}

/// The key of a message of `readings` or `status`.
#[must_use]
pub fn device_key(site: &str, device_id: &str, boot_id: i64, seq: i64) -> MessageKey {
    let mut bytes = Canonical::new(b'd');
    bytes.text(Some(site)).text(Some(device_id)).integer(Some(boot_id)).integer(Some(seq));
    MessageKey(bytes.finish().0)
}

/// The key of a message whose first row is this reading.
#[must_use]
pub fn said_key(site: &str, device_id: &str, metric: &str, value: Value<'_>) -> MessageKey {
    let mut bytes = Canonical::new(b'v');
    bytes.text(Some(site)).text(Some(device_id)).text(Some(metric));
    // How the number came is no part of which message it is: it may be what was altered.
    bytes.value(match value {
        Value::Word(number, _) => Value::Number(number),
        value => value,
    });
    MessageKey(bytes.finish().0)
}

/// The key of a message whose row is a status without a number.
#[must_use]
pub fn status_key(site: &str, device_id: &str, status: &str) -> MessageKey {
    let mut bytes = Canonical::new(b's');
    bytes.text(Some(site)).text(Some(device_id)).text(Some(status));
    MessageKey(bytes.finish().0)
}

/// The key of one FHIR resource; an absent id or version is the empty text.
#[must_use]
pub fn resource_key(
    site: &str,
    system_id: &str,
    resource_type: &str,
    id: &str,
    version: &str,
) -> MessageKey {
    let mut bytes = Canonical::new(b'r');
    bytes
        .text(Some(site))
        .text(Some(system_id))
        .text(Some(resource_type))
        .text(Some(id))
        .text(Some(version));
    MessageKey(bytes.finish().0)
}

/// The key of a message known only by its bytes.
#[must_use]
pub fn payload_key(topic: &str, payload: &[u8]) -> MessageKey {
    let mut bytes = Canonical::new(b'p');
    bytes.text(Some(topic)).bytes(payload);
    MessageKey(bytes.finish().0)
}

/// A device, for telling one's own from others'.
#[must_use]
pub fn device_hash(site: &str, device_id: &str) -> u64 {
    let mut bytes = Canonical::new(b'h');
    bytes.text(Some(site)).text(Some(device_id));
    xxh3_64(&bytes.0)
}

/// The canonical bytes of one row.
struct Canonical(Vec<u8>);

impl Canonical {
    fn new(table: u8) -> Self {
        let mut bytes = Vec::with_capacity(192);
        bytes.push(table);
        Self(bytes)
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.push(1);
        let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&len.to_le_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    fn text(&mut self, text: Option<&str>) -> &mut Self {
        match text {
            Some(text) => self.bytes(text.as_bytes()),
            None => self.absent(),
        }
    }

    /// Nothing where there is none: so are the journals of earlier versions.
    fn extra(&mut self, extra: Option<&str>) -> &mut Self {
        if extra.is_some() { self.text(extra) } else { self }
    }

    fn time_text(&mut self, text: Option<&str>) -> &mut Self {
        if text.is_some() { self.text(Some("time_text")).text(text) } else { self }
    }

    fn absent(&mut self) -> &mut Self {
        self.0.push(0);
        self
    }

    fn number(&mut self, number: Option<f64>) -> &mut Self {
        let Some(number) = number else { return self.absent() };
        self.0.push(2);
        // Adding 0 turns -0 into 0.
        self.0.extend_from_slice(&(number + 0.0).to_bits().to_le_bytes());
        self
    }

    fn integer(&mut self, integer: Option<i64>) -> &mut Self {
        let Some(integer) = integer else { return self.absent() };
        self.0.push(3);
        self.0.extend_from_slice(&integer.to_le_bytes());
        self
    }

    fn event(&mut self, event: EventTime) -> &mut Self {
        match event {
            EventTime::At(us) => self.integer(Some(us)),
            EventTime::Received => {
                self.0.push(4);
                self
            }
        }
    }

    fn value(&mut self, value: Value<'_>) -> &mut Self {
        match value {
            Value::Number(number) => self.number(Some(number)),
            Value::Word(number, text) => {
                self.number(Some(number)).text(Some("value_text")).text(Some(text))
            }
            Value::Text(text) => self.text(Some(text)),
            Value::Written(number) => self.text(Some(&number.to_string())),
            Value::Null => self.absent(),
        }
    }

    fn finish(&self) -> Fingerprint {
        Fingerprint(xxh3_128(&self.0))
    }
}

#[cfg(test)]
mod tests;
