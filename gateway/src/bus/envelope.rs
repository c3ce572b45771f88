//! What a message looks like to the router, which has no place for all of it.

use bytes::{BufMut, Bytes, BytesMut};

use super::BusMessage;

/// `version u8 | qos u8 | properties_len u32 | properties as JSON | payload`: the router has no place for the first three.
pub(super) fn wrap(message: &BusMessage) -> Bytes {
    let properties = message
        .properties
        .as_ref()
        .and_then(|own| serde_json::to_vec(own).ok())
        .unwrap_or_default();
    let mut out = BytesMut::with_capacity(6 + properties.len() + message.payload.len());
    out.put_u8(1);
    out.put_u8(message.qos);
    out.put_u32(u32::try_from(properties.len()).unwrap_or(0));
    out.extend_from_slice(&properties);
    out.extend_from_slice(&message.payload);
    out.freeze()
}

pub(super) fn unwrap(topic: &[u8], envelope: &Bytes) -> Option<BusMessage> {
    let topic = std::str::from_utf8(topic).ok()?.strip_prefix("t/")?.to_owned();
    let (head, _) = envelope.split_first_chunk::<6>()?;
    let [1, qos, length @ ..] = *head else { return None };
    let end = 6 + u32::from_be_bytes(length) as usize;
    let properties = match envelope.get(6..end)? {
        [] => None,
        json => serde_json::from_slice(json).ok(),
    };
    Some(BusMessage { topic, payload: envelope.slice(end..), qos, properties })
}
