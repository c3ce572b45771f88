//! The properties of MQTT 5 (section 2.2.2): which packet may carry which, how often, with which values.

use super::read::Reader;
use super::{Properties, Reason};

/// Most user properties of one packet: each may take ten times its bytes on the wire in memory.
pub(super) const USER_PROPERTIES_MAX: usize = 1000;

/// Identifiers.
pub(super) mod id {
    pub(in crate::mqtt) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(in crate::mqtt) const EXPIRY: u8 = 0x02;
    pub(in crate::mqtt) const CONTENT_TYPE: u8 = 0x03;
    pub(in crate::mqtt) const RESPONSE_TOPIC: u8 = 0x08;
    pub(in crate::mqtt) const CORRELATION: u8 = 0x09;
    pub(in crate::mqtt) const SUBSCRIPTION_ID: u8 = 0x0b;
    pub(in crate::mqtt) const SESSION_EXPIRY: u8 = 0x11;
    pub(in crate::mqtt) const ASSIGNED_CLIENT_ID: u8 = 0x12;
    pub(in crate::mqtt) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(in crate::mqtt) const AUTH_METHOD: u8 = 0x15;
    pub(in crate::mqtt) const AUTH_DATA: u8 = 0x16;
    pub(in crate::mqtt) const PROBLEM_INFO: u8 = 0x17;
    pub(in crate::mqtt) const WILL_DELAY: u8 = 0x18;
    pub(in crate::mqtt) const RESPONSE_INFO: u8 = 0x19;
    pub(in crate::mqtt) const SERVER_REFERENCE: u8 = 0x1c;
    pub(in crate::mqtt) const REASON_STRING: u8 = 0x1f;
    pub(in crate::mqtt) const RECEIVE_MAX: u8 = 0x21;
    pub(in crate::mqtt) const TOPIC_ALIAS_MAX: u8 = 0x22;
    pub(in crate::mqtt) const TOPIC_ALIAS: u8 = 0x23;
    pub(in crate::mqtt) const USER: u8 = 0x26;
    pub(in crate::mqtt) const PACKET_BYTES_MAX: u8 = 0x27;
}

/// The properties that a packet may carry (table 2-4), one bit for each identifier.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allowed(u64);

impl Allowed {
    const fn of(ids: &[u8]) -> Self {
        let (mut bits, mut at) = (1 << id::USER, 0);
        while at < ids.len() {
            bits |= 1 << ids[at];
            at += 1;
        }
        Self(bits)
    }

    pub(super) const CONNECT: Self = Self::of(&[
        id::SESSION_EXPIRY,
        id::AUTH_METHOD,
        id::AUTH_DATA,
        id::PROBLEM_INFO,
        id::RESPONSE_INFO,
        id::RECEIVE_MAX,
        id::TOPIC_ALIAS_MAX,
        id::PACKET_BYTES_MAX,
    ]);
    pub(super) const WILL: Self = Self::of(&[
        id::WILL_DELAY,
        id::PAYLOAD_FORMAT,
        id::EXPIRY,
        id::CONTENT_TYPE,
        id::RESPONSE_TOPIC,
        id::CORRELATION,
    ]);
    pub(super) const PUBLISH: Self = Self::of(&[
        id::PAYLOAD_FORMAT,
        id::EXPIRY,
        id::CONTENT_TYPE,
        id::RESPONSE_TOPIC,
        id::CORRELATION,
        // Servers send it; from a client it has a reason of its own.
        id::SUBSCRIPTION_ID,
        id::TOPIC_ALIAS,
    ]);
    pub(super) const ACK: Self = Self::of(&[id::REASON_STRING]);
    pub(super) const SUBSCRIBE: Self = Self::of(&[id::SUBSCRIPTION_ID]);
    pub(super) const UNSUBSCRIBE: Self = Self::of(&[]);
    pub(super) const DISCONNECT: Self =
        Self::of(&[id::SESSION_EXPIRY, id::REASON_STRING, id::SERVER_REFERENCE]);
}

/// The properties of one packet that the server makes use of.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    payload_format: Option<u8>,
    expiry_seconds: Option<u32>,
    content_type: Option<&'a str>,
    response_topic: Option<&'a str>,
    correlation: Option<&'a [u8]>,
    pub(super) user: Vec<(&'a str, &'a str)>,
    pub(super) subscription_id: Option<u32>,
    pub(super) topic_alias: Option<u16>,
    pub(super) session_expiry_seconds: Option<u32>,
    pub(super) auth_method: Option<&'a str>,
    pub(super) has_auth_data: bool,
    pub(super) problem_info: Option<bool>,
    pub(super) will_delay_seconds: Option<u32>,
    pub(super) receive_max: Option<u16>,
    pub(super) topic_alias_max: Option<u16>,
    pub(super) packet_bytes_max: Option<u32>,
}

impl<'a> Fields<'a> {
    /// Reads the property length and the properties.
    pub(super) fn read(reader: &mut Reader<'a>, allowed: Allowed) -> Result<Self, Reason> {
        let len = reader.variable()? as usize;
        let mut inside = Reader::new(reader.take(len)?);
        let (mut fields, mut seen) = (Self::default(), 0_u64);
        while !inside.is_empty() {
            let property = inside.u8()?;
            let bit = 1_u64.checked_shl(property.into()).unwrap_or(0);
            if allowed.0 & bit == 0 {
                return Err(Reason::Malformed);
            }
            if seen & bit != 0 && property != id::USER {
                return Err(Reason::Protocol);
            }
            seen |= bit;
            fields.set(property, &mut inside)?;
        }
        Ok(fields)
    }

    fn set(&mut self, property: u8, from: &mut Reader<'a>) -> Result<(), Reason> {
        match property {
            id::PAYLOAD_FORMAT => self.payload_format = Some(flag(from)?.into()),
            id::EXPIRY => self.expiry_seconds = Some(from.u32()?),
            id::CONTENT_TYPE => self.content_type = Some(from.text()?),
            id::RESPONSE_TOPIC => self.response_topic = Some(topic(from)?),
            id::CORRELATION => self.correlation = Some(from.binary()?),
            id::SUBSCRIPTION_ID => self.subscription_id = Some(at_least_one(from.variable()?)?),
            id::SESSION_EXPIRY => self.session_expiry_seconds = Some(from.u32()?),
            id::AUTH_METHOD => self.auth_method = Some(from.text()?),
            id::AUTH_DATA => {
                from.binary()?;
                self.has_auth_data = true;
            }
            id::PROBLEM_INFO => self.problem_info = Some(flag(from)?),
            id::WILL_DELAY => self.will_delay_seconds = Some(from.u32()?),
            // Response information is not offered: nothing to remember.
            id::RESPONSE_INFO => drop(flag(from)?),
            id::RECEIVE_MAX => self.receive_max = Some(at_least_one(from.u16()?)?),
            id::TOPIC_ALIAS_MAX => self.topic_alias_max = Some(from.u16()?),
            id::TOPIC_ALIAS => match from.u16()? {
                0 => return Err(Reason::TopicAlias),
                alias => self.topic_alias = Some(alias),
            },
            id::PACKET_BYTES_MAX => self.packet_bytes_max = Some(at_least_one(from.u32()?)?),
            id::USER => {
                if self.user.len() == USER_PROPERTIES_MAX {
                    return Err(Reason::QuotaExceeded);
                }
                self.user.push((from.text()?, from.text()?));
            }
            // For people, or for clients.
            id::REASON_STRING | id::SERVER_REFERENCE => drop(from.text()?),
            _ => return Err(Reason::Malformed),
        }
        Ok(())
    }

    /// Returns the properties that travel with a message, if there are any.
    pub(super) fn message(self) -> Option<Box<Properties>> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let properties = Properties {
            payload_format: self.payload_format,
            expiry_seconds: self.expiry_seconds,
            response_topic: self.response_topic.map(str::to_owned),
            correlation: self.correlation.map(<[u8]>::to_vec),
            user: self.user.into_iter().map(own).collect(),
            content_type: self.content_type.map(str::to_owned),
        };
        (properties != Properties::default()).then(|| Box::new(properties))
    }
}

fn flag(from: &mut Reader<'_>) -> Result<bool, Reason> {
    match from.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Reason::Protocol),
    }
}

fn at_least_one<N: Default + PartialEq>(value: N) -> Result<N, Reason> {
    if value == N::default() { Err(Reason::Protocol) } else { Ok(value) }
}

/// Reads a response topic: a topic name, not a filter [MQTT-3.3.2-14].
fn topic<'a>(from: &mut Reader<'a>) -> Result<&'a str, Reason> {
    let topic = from.text()?;
    if topic.is_empty() || topic.contains(['+', '#']) { Err(Reason::Protocol) } else { Ok(topic) }
}
