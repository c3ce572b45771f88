//! MQTT packets of both versions as one vocabulary: read strictly, written as clients want them.
//!
//! 3.1.1 and 5 share a port: CONNECT carries the version. Everything that is version-specific stays in this folder, and
//! nothing in it does I/O. What is said of a packet's form is checked here; what a topic, a filter or an id may be at this
//! moment is the session's to judge.

mod codes;
mod connect;
mod incoming;
mod packet;
mod properties;
mod read;
mod write;

pub(crate) use codes::{Ack, Reason, SubReason, UnsubReason};
pub(crate) use connect::read_connect;
pub(crate) use incoming::beginning;
pub(crate) use packet::{
    Alias, Connect, Connecting, Delivery, Incoming, Offer, Position, Properties, Publish,
    Subscription, Will,
};

/// The protocol version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// MQTT 3.1.1.
    V311,
    /// MQTT 5.0.
    V5,
}

impl Version {
    /// Returns the version's number, for logs.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::V311 => "3.1.1",
            Self::V5 => "5",
        }
    }
}

#[cfg(test)]
mod tests;
