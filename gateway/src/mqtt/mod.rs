//! MQTT packets of both versions as one vocabulary, over the codec of `rumqttc`.
//!
//! 3.1.1 and 5 share a port: CONNECT carries the version. Everything that is version-specific stays in this folder.

mod codes;
mod packet;
mod properties;
mod v4;
mod v5;
mod write;

use bytes::BytesMut;

pub(crate) use codes::{Ack, Reason, SubReason, UnsubReason};
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

/// Reads the first packet of a connection. Its version is taken from the packet itself.
pub(crate) fn read_connect(bytes: &mut BytesMut, packet_bytes_max: usize) -> Connecting {
    let Some(&first) = bytes.first() else { return Connecting::Incomplete };
    if first != 0x10 {
        return Connecting::Refused(None, Reason::Protocol);
    }
    let Some(header_len) = fixed_header_len(bytes) else {
        // At most four length bytes: a fifth cannot make it valid.
        return if bytes.len() > 4 {
            Connecting::Refused(None, Reason::Malformed)
        } else {
            Connecting::Incomplete
        };
    };
    // Protocol name and level: 00 04 'M' 'Q' 'T' 'T' level.
    let Some(name) = bytes.get(header_len..header_len + 7) else { return Connecting::Incomplete };
    match name {
        [0, 4, b'M', b'Q', b'T', b'T', 4] => v4::read_connect(bytes, packet_bytes_max),
        [0, 4, b'M', b'Q', b'T', b'T', 5] => v5::read_connect(bytes, packet_bytes_max),
        [0, 4, b'M', b'Q', b'T', b'T', _] | [0, 6, b'M', b'Q', b'I', b's', b'd'] => {
            Connecting::Refused(Some(Version::V311), Reason::UnsupportedVersion)
        }
        _ => Connecting::Refused(None, Reason::Protocol),
    }
}

fn fixed_header_len(bytes: &[u8]) -> Option<usize> {
    bytes.iter().skip(1).take(4).position(|byte| byte & 0x80 == 0).map(|at| at + 2)
}

impl Version {
    /// Takes the next packet off the front of `bytes`; `None` when it is not complete yet.
    pub(crate) fn read(
        self,
        bytes: &mut BytesMut,
        packet_bytes_max: usize,
    ) -> Result<Option<Incoming>, Reason> {
        match self {
            Self::V311 => v4::read(bytes, packet_bytes_max),
            Self::V5 => v5::read(bytes, packet_bytes_max),
        }
    }
}

#[cfg(test)]
mod tests;
