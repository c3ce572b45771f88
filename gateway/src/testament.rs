//! A will and whose it is: what is published when a client vanishes, and its form on disk.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

use crate::access::owner::Owner;
use crate::message::Message;
use crate::mqtt::Will;

/// A will and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Testament {
    /// Random: a client's next will is another one, even if it says the same.
    pub(crate) id: u64,
    pub(crate) client_id: Arc<str>,
    /// As it stands in the spool.
    pub(crate) publisher: String,
    /// Who must still have the right to it when it is due.
    pub(crate) owner: Arc<Owner>,
    pub(crate) will: Will,
}

impl Testament {
    /// Writes it as `version u8 | id u64 | delay_seconds u32 | due_us i64 (0: its client is connected) | publisher_len u16 | publisher
    /// | owner_len u32 | owner as JSON | message` (see [`Message::encode`]), big endian. `due_us` is in microseconds since 1970.
    /// Version 1 had no owner.
    pub(crate) fn encode(&self, due_us: Option<i64>) -> Vec<u8> {
        let Will { topic, payload, qos, retain, delay_seconds, properties } = self.will.clone();
        let (properties, publisher) = (properties, self.client_id.clone());
        let message =
            Message { properties, publisher, ..Message::own(topic, payload, qos, retain) };
        let mut out = BytesMut::with_capacity(64 + message.size());
        out.put_u8(2);
        out.put_u64(self.id);
        out.put_u32(delay_seconds);
        out.put_i64(due_us.unwrap_or_default());
        out.put_u16(u16::try_from(self.publisher.len()).unwrap_or(u16::MAX));
        out.put_slice(self.publisher.as_bytes());
        let owner = serde_json::to_vec(&*self.owner).expect("an owner is plain data");
        out.put_u32(u32::try_from(owner.len()).unwrap_or(u32::MAX));
        out.put_slice(&owner);
        out.put_slice(&message.encode());
        out.into()
    }

    /// Reads what [`Self::encode`] wrote, and when it is due; `None` for anything else.
    pub(crate) fn decode(bytes: &[u8]) -> Option<(Self, Option<i64>)> {
        let (&[version @ 1..=2], rest) = bytes.split_first_chunk()? else { return None };
        let (id, rest) = rest.split_first_chunk()?;
        let (delay, rest) = rest.split_first_chunk()?;
        let (due_us, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (publisher, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        let publisher = std::str::from_utf8(publisher).ok()?.to_owned();
        let (owner, message) = match version {
            1 => (Owner::of_publisher(&publisher), rest),
            _ => {
                let (length, rest) = rest.split_first_chunk()?;
                let (owner, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
                (serde_json::from_slice(owner).ok()?, rest)
            }
        };
        let Message { topic, payload, qos, retain, properties, publisher: client_id, .. } =
            Message::decode(message)?;
        let delay_seconds = u32::from_be_bytes(*delay);
        let testament = Self {
            id: u64::from_be_bytes(*id),
            client_id,
            publisher,
            owner: Arc::new(owner),
            will: Will { topic, payload, qos, retain, delay_seconds, properties },
        };
        Some((testament, Some(i64::from_be_bytes(*due_us)).filter(|at| *at != 0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Properties;

    fn testament() -> Testament {
        let will = Will {
            topic: "w/x".into(),
            payload: "gone".into(),
            qos: 1,
            retain: true,
            delay_seconds: 5,
            properties: None,
        };
        let publisher = "password:ward".to_owned();
        let owner = Owner::of_publisher(&publisher).into();
        Testament { id: 7, client_id: "mon-1".into(), publisher, owner, will }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_less() {
        let user = vec![("k".to_owned(), "v".to_owned())];
        let properties = Properties { user, expiry_seconds: Some(9), ..Properties::default() };
        let rich = Will { properties: Some(Box::new(properties)), ..testament().will };
        for (testament, due_us) in [
            (testament(), None),
            (Testament { will: rich, ..testament() }, Some(1_764_000_000_000_000)),
        ] {
            let bytes = testament.encode(due_us);
            assert_eq!(Testament::decode(&bytes), Some((testament, due_us)));
            for end in 0..bytes.len() - 4 {
                assert_eq!(Testament::decode(&bytes[..end]), None, "cut at {end}");
            }
        }
    }

    #[test]
    fn the_form_on_disk_stays() {
        let golden = b"\x02\0\0\0\0\0\0\0\x07\0\0\0\x05\0\0\0\0\0\0\0\x03\0\x0dpassword:ward\
            \0\0\0\x31{\"identity\":\"ward\",\"proof\":\"password\",\"roles\":[]}\
            \x01\x01\x01\0\0\0\0\0\0\0\0\0\x03w/x\0\x05mon-1\0\0\0\0gone";
        assert_eq!(testament().encode(Some(3)), golden);
        let before = b"\x01\0\0\0\0\0\0\0\x07\0\0\0\x05\0\0\0\0\0\0\0\x03\0\x0dpassword:ward\
            \x01\x01\x01\0\0\0\0\0\0\0\0\0\x03w/x\0\x05mon-1\0\0\0\0gone";
        assert_eq!(Testament::decode(before), Some((testament(), Some(3))));
    }
}
