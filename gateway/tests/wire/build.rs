//! Packets that a client sends, as bytes.

use super::{Version, property};

/// Writes a variable byte integer.
pub(crate) fn variable(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let [low, ..] = (value & 0x7f).to_le_bytes();
        value >>= 7;
        bytes.push(if value > 0 { low | 0x80 } else { low });
        if value == 0 {
            return bytes;
        }
    }
}

pub(crate) fn binary(value: &[u8]) -> Vec<u8> {
    [&u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
}

pub(crate) fn text(value: &str) -> Vec<u8> {
    binary(value.as_bytes())
}

/// Writes a packet of any type around a body.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &variable(body.len()), body].concat()
}

/// Writes properties with their length; nothing in 3.1.1.
fn properties(version: Version, properties: &[u8]) -> Vec<u8> {
    match version {
        Version::V311 => Vec::new(),
        Version::V5 => [&variable(properties.len())[..], properties].concat(),
    }
}

/// PUBACK (0x40), PUBREC (0x50), PUBREL (0x62) or PUBCOMP (0x70).
pub(crate) fn ack(first: u8, pkid: u16) -> Vec<u8> {
    packet(first, &pkid.to_be_bytes())
}

/// The same with a reason code (MQTT 5).
pub(crate) fn ack_with(first: u8, pkid: u16, reason: u8) -> Vec<u8> {
    let [high, low] = pkid.to_be_bytes();
    packet(first, &[high, low, reason])
}

pub(crate) const PINGREQ: [u8; 2] = [0xc0, 0];
pub(crate) const DISCONNECT: [u8; 2] = [0xe0, 0];

/// A DISCONNECT of MQTT 5.
pub(crate) fn disconnect(reason: u8, props: &[Vec<u8>]) -> Vec<u8> {
    packet(0xe0, &[&[reason][..], &properties(Version::V5, &props.concat())].concat())
}

/// A will.
#[derive(Debug, Clone)]
pub(crate) struct Will {
    topic: String,
    payload: String,
    qos: u8,
    retain: bool,
    properties: Vec<u8>,
}

impl Will {
    pub(crate) fn new(topic: &str, payload: &str) -> Self {
        let (topic, payload) = (topic.into(), payload.into());
        Self { topic, payload, qos: 0, retain: false, properties: Vec::new() }
    }

    pub(crate) fn qos(self, qos: u8) -> Self {
        Self { qos, ..self }
    }

    pub(crate) fn retain(self) -> Self {
        Self { retain: true, ..self }
    }

    pub(crate) fn delay(self, seconds: u32) -> Self {
        self.property(property::long(property::WILL_DELAY, seconds))
    }

    pub(crate) fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }
}

/// A CONNECT.
#[derive(Debug, Clone)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    client_id: String,
    clean: bool,
    keep_alive: u16,
    will: Option<Will>,
    properties: Vec<u8>,
}

impl Connect {
    /// With a clean start and a keep-alive of a minute.
    pub(crate) fn new(version: Version, client_id: &str) -> Self {
        let client_id = client_id.into();
        Self { version, client_id, clean: true, keep_alive: 60, will: None, properties: Vec::new() }
    }

    pub(crate) fn v5(client_id: &str) -> Self {
        Self::new(Version::V5, client_id)
    }

    pub(crate) fn v311(client_id: &str) -> Self {
        Self::new(Version::V311, client_id)
    }

    /// Resumes a session, and in MQTT 5 keeps it for some time: 3.1.1 cannot say for how long.
    pub(crate) fn durable(version: Version, client_id: &str) -> Self {
        Self::new(version, client_id).resume().expiry(600)
    }

    /// Clears clean session or clean start.
    pub(crate) fn resume(self) -> Self {
        Self { clean: false, ..self }
    }

    pub(crate) fn keep_alive(self, seconds: u16) -> Self {
        Self { keep_alive: seconds, ..self }
    }

    pub(crate) fn will(self, will: Will) -> Self {
        Self { will: Some(will), ..self }
    }

    pub(crate) fn expiry(self, seconds: u32) -> Self {
        self.property(property::long(property::SESSION_EXPIRY, seconds))
    }

    /// Adds a property; 3.1.1 has none.
    pub(crate) fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let level = if self.version == Version::V5 { 5 } else { 4 };
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 4 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        let mut body = [&text("MQTT")[..], &[level, flags]].concat();
        body.extend(self.keep_alive.to_be_bytes());
        body.extend(properties(self.version, &self.properties));
        body.extend(text(&self.client_id));
        if let Some(will) = &self.will {
            body.extend(properties(self.version, &will.properties));
            body.extend([text(&will.topic), text(&will.payload)].concat());
        }
        packet(0x10, &body)
    }
}

/// A PUBLISH.
#[derive(Debug, Clone)]
pub(crate) struct Publish {
    topic: String,
    payload: Vec<u8>,
    pub(crate) qos: u8,
    pub(crate) pkid: u16,
    retain: bool,
    dup: bool,
    properties: Vec<u8>,
}

impl Publish {
    /// With QoS 0, not retained.
    pub(crate) fn new(topic: &str, payload: impl Into<Vec<u8>>) -> Self {
        let (topic, payload) = (topic.into(), payload.into());
        Self { topic, payload, qos: 0, pkid: 0, retain: false, dup: false, properties: Vec::new() }
    }

    pub(crate) fn qos1(self, pkid: u16) -> Self {
        Self { qos: 1, pkid, ..self }
    }

    pub(crate) fn qos2(self, pkid: u16) -> Self {
        Self { qos: 2, pkid, ..self }
    }

    pub(crate) fn retain(self) -> Self {
        Self { retain: true, ..self }
    }

    pub(crate) fn dup(self) -> Self {
        Self { dup: true, ..self }
    }

    pub(crate) fn alias(self, alias: u16) -> Self {
        self.property(property::short(property::TOPIC_ALIAS, alias))
    }

    pub(crate) fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }

    pub(crate) fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = text(&self.topic);
        if self.qos > 0 {
            body.extend(self.pkid.to_be_bytes());
        }
        body.extend(properties(version, &self.properties));
        body.extend(&self.payload);
        let flags = u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        packet(0x30 | flags, &body)
    }
}

/// A SUBSCRIBE.
#[derive(Debug, Clone)]
pub(crate) struct Subscribe {
    pub(crate) pkid: u16,
    filters: Vec<(String, u8)>,
    properties: Vec<u8>,
}

pub(crate) const NO_LOCAL: u8 = 4;
pub(crate) const RETAIN_AS_PUBLISHED: u8 = 8;

/// The option bits of a retain handling.
pub(crate) fn retain_handling(value: u8) -> u8 {
    value << 4
}

impl Subscribe {
    /// `options`: the QoS, and in MQTT 5 the flags above.
    pub(crate) fn new(filter: &str, options: u8) -> Self {
        Self { pkid: 10, filters: vec![(filter.into(), options)], properties: Vec::new() }
    }

    pub(crate) fn and(mut self, filter: &str, options: u8) -> Self {
        self.filters.push((filter.into(), options));
        self
    }

    pub(crate) fn id(mut self, id: u32) -> Self {
        self.properties.extend(property::variable(property::SUBSCRIPTION_ID, id));
        self
    }

    pub(crate) fn bytes(&self, version: Version) -> Vec<u8> {
        let mut body = self.pkid.to_be_bytes().to_vec();
        body.extend(properties(version, &self.properties));
        for (filter, options) in &self.filters {
            body.extend(text(filter));
            body.push(*options);
        }
        packet(0x82, &body)
    }
}

/// An UNSUBSCRIBE.
pub(crate) fn unsubscribe(version: Version, pkid: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = pkid.to_be_bytes().to_vec();
    body.extend(properties(version, &[]));
    body.extend(filters.iter().flat_map(|filter| text(filter)));
    packet(0xa2, &body)
}
