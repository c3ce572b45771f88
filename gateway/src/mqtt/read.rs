//! Bytes of a packet: its fixed header, and the fields of its body one after the other.

use super::{Reason, Version};

/// A fixed header (section 2.1 of both versions).
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    /// Packet type and flags.
    pub(super) first: u8,
    /// Bytes of the header itself.
    pub(super) len: usize,
    /// Bytes of the whole packet.
    pub(super) total: usize,
}

impl Header {
    /// Reads a header; `None` when it is not complete yet. `version` is not known before CONNECT has been read.
    pub(super) fn read(bytes: &[u8], version: Option<Version>) -> Result<Option<Self>, Reason> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        check_first(first, version)?;
        let Some((body, len)) = variable(rest)? else { return Ok(None) };
        let header = Self { first, len: 1 + len, total: 1 + len + body as usize };
        match version {
            Some(Version::V5) if !header.is_shortest() => Err(Reason::Malformed),
            _ => Ok(Some(header)),
        }
    }

    /// Tells whether the length takes as few bytes as it can. MQTT 5 wants that, 3.1.1 says nothing of it.
    pub(super) fn is_shortest(self) -> bool {
        self.len - 1 == variable_len(self.total - self.len)
    }

    /// Returns the packet's type.
    pub(super) fn kind(self) -> u8 {
        self.first >> 4
    }
}

/// Checks packet type and flags (sections 2.1.2 and 2.1.3; 3.3.1 for PUBLISH).
fn check_first(first: u8, version: Option<Version>) -> Result<(), Reason> {
    let flags = first & 0x0f;
    let sound = match first >> 4 {
        0 => false,
        3 => {
            let (qos, dup) = (flags >> 1 & 3, flags & 8 != 0);
            qos < 3 && !(dup && qos == 0)
        }
        6 | 8 | 10 => flags == 2,
        15 => flags == 0 && version != Some(Version::V311),
        _ => flags == 0,
    };
    if sound { Ok(()) } else { Err(Reason::Malformed) }
}

/// Reads a variable byte integer and tells how many bytes it took; `None` when it is cut off.
fn variable(bytes: &[u8]) -> Result<Option<(u32, usize)>, Reason> {
    let mut value = 0;
    for at in 0..4 {
        let Some(&byte) = bytes.get(at) else { return Ok(None) };
        value |= u32::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 1)));
        }
    }
    Err(Reason::Malformed)
}

/// Returns how many bytes a variable byte integer takes.
fn variable_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Takes fields off the front of a body. Whatever it lacks is malformed: the packet is complete.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Returns how many bytes have not been read.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Takes a byte if it is 0: the length of no properties.
    pub(super) fn skip_zero(&mut self) -> bool {
        let rest = self.rest.strip_prefix(&[0]);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Ends the body: nothing may be left.
    pub(super) fn end(&self) -> Result<(), Reason> {
        if self.is_empty() { Ok(()) } else { Err(Reason::Malformed) }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reason> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Reason::Malformed)?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Reason> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Reason::Malformed)?;
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Reason> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Reason> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Reason> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a variable byte integer of MQTT 5, which must be as short as it can be [MQTT-1.5.5-1].
    pub(super) fn variable(&mut self) -> Result<u32, Reason> {
        let (value, len) = variable(self.rest)?.ok_or(Reason::Malformed)?;
        self.take(len)?;
        if len == variable_len(value as usize) { Ok(value) } else { Err(Reason::Malformed) }
    }

    pub(super) fn binary(&mut self) -> Result<&'a [u8], Reason> {
        let len = self.u16()?;
        self.take(len.into())
    }

    /// Reads a string: well-formed UTF-8 (which has no surrogates) without U+0000 [MQTT-1.5.4-1, MQTT-1.5.4-2]. U+FEFF
    /// is a character like any other [MQTT-1.5.4-3].
    pub(super) fn text(&mut self) -> Result<&'a str, Reason> {
        let text = std::str::from_utf8(self.binary()?).map_err(|_| Reason::Malformed)?;
        if text.as_bytes().contains(&0) { Err(Reason::Malformed) } else { Ok(text) }
    }

    /// Reads a packet id, which is never 0 [MQTT-2.2.1-3].
    pub(super) fn pkid(&mut self) -> Result<u16, Reason> {
        match self.u16()? {
            0 => Err(Reason::Protocol),
            pkid => Ok(pkid),
        }
    }
}
