//! The packets of both versions, as the rest of the gateway sees them.

use std::fmt;

use bytes::Bytes;
use telemetry_core::spool::attributes::{self, Attribute};

use super::{Reason, Version};

/// Properties of a message that travel with it to MQTT 5 subscribers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Properties {
    pub(crate) payload_format: Option<u8>,
    pub(crate) expiry_seconds: Option<u32>,
    pub(crate) response_topic: Option<String>,
    pub(crate) correlation: Option<Vec<u8>>,
    pub(crate) user: Vec<(String, String)>,
    pub(crate) content_type: Option<String>,
}

impl Properties {
    /// Returns about how much memory the properties take.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let user = self.user.iter().map(|pair| size_of_val(pair) + pair.0.len() + pair.1.len());
        size_of::<Self>()
            + text(&self.response_topic)
            + text(&self.content_type)
            + self.correlation.as_ref().map_or(0, Vec::len)
            + user.sum::<usize>()
    }
}

/// A PUBLISH as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    /// Empty when the alias stands for it.
    pub(crate) topic: String,
    pub(crate) alias: Option<u16>,
    /// Shares the buffer in which it came, and keeps all of it: copy what is to stay.
    pub(crate) payload: Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    /// 0 with QoS 0.
    pub(crate) pkid: u16,
    /// `None` when there are none, always in 3.1.1.
    pub(crate) properties: Option<Box<Properties>>,
}

impl Publish {
    /// Appends what its record says of it beside topic and payload.
    pub(crate) fn describe(&self, attributes: &mut Vec<u8>) {
        if let Some(delivery) = Attribute::unusual(self.qos, self.retain) {
            delivery.write(attributes);
        }
        if let Some(properties) = &self.properties {
            let user = properties.user.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            attributes::write_properties(properties.content_type.as_deref(), user, attributes);
        }
    }
}

/// The message that a client leaves for the case that it vanishes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Will {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) delay_seconds: u32,
    pub(crate) properties: Option<Box<Properties>>,
}

/// A CONNECT.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    /// The client is a broker that forwards between its clients and ours.
    pub(crate) bridge: bool,
    /// Empty when the server is to choose one.
    pub(crate) client_id: String,
    /// 3.1.1: clean session; 5: clean start.
    pub(crate) clean: bool,
    /// 0: no keep-alive.
    pub(crate) keep_alive_seconds: u16,
    pub(crate) will: Option<Will>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Bytes>,
    /// The client asked for enhanced authentication (MQTT 5 section 4.12).
    pub(crate) auth_method: Option<String>,
    /// Unacknowledged messages above QoS 0 that the client takes at once.
    pub(crate) receive_max: u16,
    /// Largest packet that the client takes.
    pub(crate) packet_bytes_max: Option<u32>,
    /// Highest topic alias that the client takes; 0: none.
    pub(crate) topic_alias_max: u16,
    /// How long the session outlives the connection; `u32::MAX`: for ever.
    pub(crate) session_expiry_seconds: u32,
    /// The client takes reason strings and user properties in any packet, not only in PUBLISH, CONNACK and DISCONNECT.
    pub(crate) problem_info: bool,
    /// The client wants source, epoch and offset with each PUBACK and PUBREC.
    pub(crate) wants_receipts: bool,
}

impl fmt::Debug for Connect {
    /// Leaves out what a client would not want to see in a log: its password, and its will.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean", &self.clean)
            .field("has_will", &self.will.is_some())
            .field("username", &self.username)
            .field("has_password", &self.password.is_some())
            .finish_non_exhaustive()
    }
}

/// One filter of a SUBSCRIBE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) filter: String,
    pub(crate) qos: u8,
    /// The client does not get its own messages back.
    pub(crate) no_local: bool,
    /// Messages keep the retain flag with which they were published.
    pub(crate) retain_as_published: bool,
    /// 0: send retained messages, 1: only for a new subscription, 2: never.
    pub(crate) retain_handling: u8,
}

/// What a connected client sends. Topics and filters are well-formed text; what they may say is not judged here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Incoming {
    Publish(Publish),
    /// The reason of these four is 0 in 3.1.1; from 0x80 on it is a failure.
    PubAck {
        pkid: u16,
        reason: u8,
    },
    PubRec {
        pkid: u16,
        reason: u8,
    },
    PubRel {
        pkid: u16,
        reason: u8,
    },
    PubComp {
        pkid: u16,
        reason: u8,
    },
    Subscribe {
        pkid: u16,
        /// The subscription identifier.
        id: Option<u32>,
        subscriptions: Vec<Subscription>,
    },
    Unsubscribe {
        pkid: u16,
        filters: Vec<String>,
    },
    PingReq,
    Disconnect {
        publish_will: bool,
        session_expiry_seconds: Option<u32>,
    },
    /// A packet that this server does not expect from a client (any more).
    Unexpected(&'static str),
}

/// What a CONNACK tells a client. 3.1.1 knows only of the session.
#[derive(Debug, Clone)]
pub(crate) struct Offer<'a> {
    pub(crate) session_present: bool,
    /// Only if it is other than the client asked for.
    pub(crate) session_expiry_seconds: Option<u32>,
    /// Only if the client must keep to another keep-alive than its own.
    pub(crate) server_keep_alive: Option<u16>,
    pub(crate) receive_max: u16,
    pub(crate) packet_bytes_max: u32,
    pub(crate) topic_alias_max: u16,
    pub(crate) assigned_client_id: Option<&'a str>,
}

/// The identity of an accepted message, for the user properties of its PUBACK or PUBREC.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Position<'a> {
    pub(crate) source: &'a str,
    pub(crate) epoch: &'a str,
    pub(crate) offset: u64,
}

/// A number that stands for a topic on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alias {
    pub(crate) id: u16,
    /// The client has heard of it: the topic is left out.
    pub(crate) known: bool,
}

/// A message on its way to a subscriber. 3.1.1 takes neither alias nor properties nor subscription identifiers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a Bytes,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) pkid: u16,
    pub(crate) alias: Option<Alias>,
    pub(crate) properties: Option<&'a Properties>,
    /// What remains of the message's time, in place of the one in its properties.
    pub(crate) expiry_seconds: Option<u32>,
    pub(crate) subscription_ids: &'a [u32],
}

/// What a CONNECT attempt turned out to be.
#[derive(Debug)]
pub(crate) enum Connecting {
    /// More bytes are needed.
    Incomplete,
    /// A CONNECT of a version that we speak.
    Connect(Box<Connect>),
    /// A refusal, with the version to answer in, if the client gets an answer.
    Refused(Option<Version>, Reason),
}
