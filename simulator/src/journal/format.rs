//! Encoding and decoding of one journal record; the layout is in the folder's documentation.

use crate::fingerprint::{Fingerprint, MessageKey};
use crate::message::{DeviceName, Expectation, Message, Outcome, StreamKind};

/// The version this program writes. It reads this one; there is no earlier one.
pub const FORMAT_VERSION: u8 = 1;
pub(super) const MAGIC: [u8; 5] = [b'T', b'M', b'J', b'N', FORMAT_VERSION];
/// Bytes before the body.
pub(super) const HEAD: usize = 6;
/// No body is longer: two names of 255 bytes and their frame.
pub(super) const BODY_MAX: usize = 600;

/// A message as the journal keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// Number of the sender: within the file when read, of the simulation when written.
    pub device: u32,
    /// Its stream.
    pub stream: StreamKind,
    /// What it must become.
    pub expect: Expectation,
    /// The sender's boot.
    pub boot: i64,
    /// The sender's sequence number.
    pub seq: i64,
    /// Its key in the lake.
    pub key: MessageKey,
    /// Its key if it ends as a dead letter.
    pub dead_key: MessageKey,
}

impl From<&Message> for Intent {
    fn from(message: &Message) -> Self {
        let Message { device, stream, boot, seq, key, expect, .. } = *message;
        Self { device, stream, expect, boot, seq, key, dead_key: message.dead_key() }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// About to be sent for the first time.
    Send(Intent),
    /// About to be sent again.
    SendAgain(MessageKey),
    /// Acknowledged.
    Acknowledged(MessageKey),
    /// Refused with an MQTT reason code: this send was not accepted.
    Refused(MessageKey, u8),
}

/// A decoded body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    Device(u32, DeviceName),
    Entry(Entry),
}

pub(super) fn write_device(out: &mut Vec<u8>, number: u32, name: &DeviceName) {
    frame(out, |body| {
        body.push(1);
        body.extend_from_slice(&number.to_le_bytes());
        for text in [&name.site, &name.device_id] {
            // Ids have at most 64 bytes.
            let text = &text.as_bytes()[..text.len().min(255)];
            body.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            body.extend_from_slice(text);
        }
    });
}

pub(super) fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    frame(out, |body| match entry {
        Entry::Send(intent) => write_intent(body, intent),
        Entry::SendAgain(key) => write_key(body, 3, *key),
        Entry::Acknowledged(key) => write_key(body, 4, *key),
        Entry::Refused(key, reason) => {
            write_key(body, 5, *key);
            body.push(*reason);
        }
    });
}

fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    write(out);
    let body = &out[start + HEAD..];
    let len = u16::try_from(body.len()).expect("a body has at most 600 bytes");
    let crc = crc32c::crc32c(body);
    out[start..start + 2].copy_from_slice(&len.to_le_bytes());
    out[start + 2..start + HEAD].copy_from_slice(&crc.to_le_bytes());
}

fn write_key(body: &mut Vec<u8>, kind: u8, key: MessageKey) {
    body.push(kind);
    body.extend_from_slice(&key.0.to_le_bytes());
}

fn write_intent(body: &mut Vec<u8>, intent: &Intent) {
    let stream = match intent.stream {
        StreamKind::Readings => 0,
        StreamKind::Status => 1,
        StreamKind::Fhir => 2,
        StreamKind::Values => 3,
    };
    let outcome = match intent.expect.outcome {
        Outcome::Rows => 0,
        Outcome::DeadLetter => 1,
        Outcome::Any => 2,
    };
    body.push(2);
    body.extend_from_slice(&intent.device.to_le_bytes());
    body.extend_from_slice(&[stream, outcome]);
    body.extend_from_slice(&intent.expect.rows.to_le_bytes());
    body.extend_from_slice(&intent.boot.to_le_bytes());
    body.extend_from_slice(&intent.seq.to_le_bytes());
    for number in [intent.key.0, intent.dead_key.0, intent.expect.fingerprint.0] {
        body.extend_from_slice(&number.to_le_bytes());
    }
}

/// Decodes a body whose checksum was right; `None` if it is of a kind or shape that this version does not know.
pub(super) fn read_body(body: &[u8]) -> Option<Body> {
    let mut cut = Cut(body);
    let read = match cut.u8()? {
        1 => {
            let number = u32::from_le_bytes(cut.take()?);
            let (site, device_id) = (cut.text()?, cut.text()?);
            Body::Device(number, DeviceName::new(site, device_id))
        }
        2 => Body::Entry(Entry::Send(read_intent(&mut cut)?)),
        3 => Body::Entry(Entry::SendAgain(cut.key()?)),
        4 => Body::Entry(Entry::Acknowledged(cut.key()?)),
        5 => Body::Entry(Entry::Refused(cut.key()?, cut.u8()?)),
        _ => return None,
    };
    cut.0.is_empty().then_some(read)
}

fn read_intent(cut: &mut Cut<'_>) -> Option<Intent> {
    let device = u32::from_le_bytes(cut.take()?);
    let stream = match cut.u8()? {
        0 => StreamKind::Readings,
        1 => StreamKind::Status,
        2 => StreamKind::Fhir,
        3 => StreamKind::Values,
        _ => return None,
    };
    let outcome = match cut.u8()? {
        0 => Outcome::Rows,
        1 => Outcome::DeadLetter,
        2 => Outcome::Any,
        _ => return None,
    };
    let rows = u32::from_le_bytes(cut.take()?);
    let (boot, seq) = (i64::from_le_bytes(cut.take()?), i64::from_le_bytes(cut.take()?));
    let (key, dead_key) = (cut.key()?, cut.key()?);
    let fingerprint = Fingerprint(u128::from_le_bytes(cut.take()?));
    let expect = Expectation { outcome, rows, fingerprint };
    Some(Intent { device, stream, expect, boot, seq, key, dead_key })
}

/// What is left of a body.
struct Cut<'a>(&'a [u8]);

impl<'a> Cut<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn key(&mut self) -> Option<MessageKey> {
        Some(MessageKey(u128::from_le_bytes(self.take()?)))
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::from(self.u8()?);
        let (text, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn intent() -> Intent {
        Intent {
            device: 7,
            stream: StreamKind::Fhir,
            expect: Expectation {
                outcome: Outcome::DeadLetter,
                rows: 9,
                fingerprint: Fingerprint(0x0102),
            },
            boot: 3,
            seq: 4,
            key: MessageKey(5),
            dead_key: MessageKey(6),
        }
    }

    #[test]
    fn golden_bytes_do_not_change() {
        let mut out = Vec::new();
        write_device(&mut out, 1, &DeviceName::new("s", "d1"));
        assert_eq!(out, [10, 0, 39, 157, 144, 80, 1, 1, 0, 0, 0, 1, b's', 2, b'd', b'1']);
        out.clear();
        write_entry(&mut out, &Entry::Refused(MessageKey(0x0203), 0x97));
        assert_eq!(out[..2], [18, 0]);
        assert_eq!(out[HEAD..], [5, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x97]);
        out.clear();
        write_entry(&mut out, &Entry::Send(intent()));
        assert_eq!(out.len(), HEAD + 75);
        assert_eq!(
            out[HEAD..HEAD + 27],
            [2, 7, 0, 0, 0, 2, 1, 9, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(crc32c::crc32c(&out[HEAD..]).to_le_bytes(), out[2..HEAD]);
    }

    #[test]
    fn every_entry_reads_back() {
        let key = MessageKey(u128::MAX - 1);
        for entry in [
            Entry::Send(intent()),
            Entry::Send(Intent { stream: StreamKind::Values, ..intent() }),
            Entry::SendAgain(key),
            Entry::Acknowledged(key),
            Entry::Refused(key, 135),
        ] {
            let mut out = Vec::new();
            write_entry(&mut out, &entry);
            assert_eq!(read_body(&out[HEAD..]), Some(Body::Entry(entry)));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_but_never_panic(body in proptest::collection::vec(any::<u8>(), 0..120)) {
            if let Some(Body::Entry(entry)) = read_body(&body) {
                let mut out = Vec::new();
                write_entry(&mut out, &entry);
                prop_assert_eq!(&out[HEAD..], &body[..]);
            }
        }
    }
}
