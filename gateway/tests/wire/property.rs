//! Properties of MQTT 5 as bytes.

pub(crate) const PAYLOAD_FORMAT: u8 = 0x01;
pub(crate) const EXPIRY: u8 = 0x02;
pub(crate) const CONTENT_TYPE: u8 = 0x03;
pub(crate) const RESPONSE_TOPIC: u8 = 0x08;
pub(crate) const CORRELATION: u8 = 0x09;
pub(crate) const SUBSCRIPTION_ID: u8 = 0x0b;
pub(crate) const SESSION_EXPIRY: u8 = 0x11;
pub(crate) const ASSIGNED_CLIENT_ID: u8 = 0x12;
pub(crate) const SERVER_KEEP_ALIVE: u8 = 0x13;
pub(crate) const AUTH_METHOD: u8 = 0x15;
pub(crate) const PROBLEM_INFO: u8 = 0x17;
pub(crate) const WILL_DELAY: u8 = 0x18;
pub(crate) const RECEIVE_MAX: u8 = 0x21;
pub(crate) const TOPIC_ALIAS_MAX: u8 = 0x22;
pub(crate) const TOPIC_ALIAS: u8 = 0x23;
pub(crate) const USER: u8 = 0x26;
pub(crate) const PACKET_BYTES_MAX: u8 = 0x27;

pub(crate) fn byte(id: u8, value: u8) -> Vec<u8> {
    vec![id, value]
}

pub(crate) fn short(id: u8, value: u16) -> Vec<u8> {
    [&[id][..], &value.to_be_bytes()].concat()
}

pub(crate) fn long(id: u8, value: u32) -> Vec<u8> {
    [&[id][..], &value.to_be_bytes()].concat()
}

pub(crate) fn variable(id: u8, value: u32) -> Vec<u8> {
    [&[id][..], &super::build::variable(value as usize)].concat()
}

pub(crate) fn text(id: u8, value: &str) -> Vec<u8> {
    [&[id][..], &super::build::text(value)].concat()
}

pub(crate) fn pair(name: &str, value: &str) -> Vec<u8> {
    [&[USER][..], &super::build::text(name), &super::build::text(value)].concat()
}

/// The properties of a packet: identifiers with their values as bytes, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Properties(pub(crate) Vec<(u8, Vec<u8>)>);

impl Properties {
    /// Takes properties off the front of a body.
    pub(crate) fn read(body: &mut &[u8]) -> Self {
        let length = read_variable(body);
        let (mut inside, rest) = body.split_at(length);
        *body = rest;
        let mut found = Vec::new();
        while let Some((&id, value)) = inside.split_first() {
            let length = value_length(id, value);
            found.push((id, value[..length].to_vec()));
            inside = &value[length..];
        }
        Self(found)
    }

    pub(crate) fn all(&self, id: u8) -> Vec<&[u8]> {
        let own = self.0.iter().filter(|(own, _)| *own == id);
        own.map(|(_, value)| value.as_slice()).collect()
    }

    /// Returns a number, of whatever size it is.
    pub(crate) fn number(&self, id: u8) -> Option<u32> {
        self.numbers(id).first().copied()
    }

    pub(crate) fn numbers(&self, id: u8) -> Vec<u32> {
        let read = |mut value: &[u8]| match (id, value) {
            (SUBSCRIPTION_ID, _) => u32::try_from(read_variable(&mut value)).unwrap(),
            (_, &[one]) => one.into(),
            (_, &[a, b]) => u16::from_be_bytes([a, b]).into(),
            _ => u32::from_be_bytes(value.try_into().unwrap()),
        };
        self.all(id).into_iter().map(read).collect()
    }

    /// Returns a string without its length.
    pub(crate) fn text(&self, id: u8) -> Option<String> {
        let value = self.all(id).first().copied()?;
        Some(String::from_utf8(value[2..].to_vec()).unwrap())
    }

    /// Returns the user properties.
    pub(crate) fn user(&self) -> Vec<(String, String)> {
        let pair = |mut value: &[u8]| (read_text(&mut value), read_text(&mut value));
        self.all(USER).into_iter().map(pair).collect()
    }
}

pub(crate) fn read_variable(from: &mut &[u8]) -> usize {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (byte, rest) = from.split_first().unwrap();
        *from = rest;
        value |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return value;
        }
    }
}

pub(crate) fn read_text(from: &mut &[u8]) -> String {
    let length = u16::from_be_bytes([from[0], from[1]]).into();
    let (text, rest) = from[2..].split_at(length);
    *from = rest;
    String::from_utf8(text.to_vec()).unwrap()
}

fn value_length(id: u8, value: &[u8]) -> usize {
    let text = |at: usize| 2 + usize::from(u16::from_be_bytes([value[at], value[at + 1]]));
    match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => 1,
        0x13 | 0x21 | 0x22 | 0x23 => 2,
        0x02 | 0x11 | 0x18 | 0x27 => 4,
        0x0b => 1 + value.iter().take_while(|byte| **byte & 0x80 != 0).count(),
        0x26 => text(0) + text(text(0)),
        _ => text(0),
    }
}
