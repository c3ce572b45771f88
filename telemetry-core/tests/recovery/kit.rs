//! A segment that a device has a hand in: arbitrary payloads, then cuts, flips and holes anywhere; what is read back is held against what
//! was written. The fuzz target and the property test play it.

use std::collections::BTreeMap;
use std::convert::Infallible;

use telemetry_core::id::Offset;
use telemetry_core::spool::format::{Format, Key, Parsed};
use telemetry_core::spool::record::{Item, Record};
use telemetry_core::spool::recovery::{From, Stop, resync_from, scan_at, tail};

/// A spool whose secret no device knows, nor a fuzzer that looks at comparisons and tries again what it saw: another script has another
/// one (FNV-1a of the script).
fn spool(script: &[u8]) -> Format {
    let with = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    Format::V2(Key::from_random(script.iter().fold(0xcbf2_9ce4_8422_2325, with)))
}

/// Hands out the bytes of a script; zeros when it has ended.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn number(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    fn bytes(&mut self, most: usize) -> &'a [u8] {
        let (found, rest) = self.0.split_at(most.min(self.0.len()));
        self.0 = rest;
        found
    }
}

fn record<'a>(offset: Offset, chain: u64, payload: &'a [u8]) -> Record<'a> {
    let (publisher, topic, attributes) = ("p", "dt/w/d/readings", &[][..]);
    Record { offset, chain, received_us: 7, flags: 0, publisher, topic, attributes, payload }
}

/// Records as a device can make them: of version 1, of another spool, gaps over everything.
fn forged(script: &mut Script<'_>) -> Vec<u8> {
    let (mut out, kinds) = (Vec::new(), script.byte() % 12);
    for n in 0..kinds {
        let kind = script.byte();
        let format = match kind & 1 {
            0 => Format::V1,
            _ => Format::V2(Key::from_random(u64::from(kind))),
        };
        let offset = Offset::from(script.byte() % 16);
        if kind & 2 == 0 {
            format.encode(&record(offset, u64::from(n), script.bytes(20)), &mut out);
        } else {
            let reason = telemetry_core::spool::record::GapReason::Corrupt;
            format.encode_gap(offset, u64::from(script.byte()) << 20, reason, 1, 0, &mut out);
        }
    }
    out
}

/// What was written: the segment's records, and where each of them stands.
struct Written {
    bytes: Vec<u8>,
    payloads: Vec<Vec<u8>>,
    /// Start of each record, and the end of the last.
    starts: Vec<usize>,
}

fn write(script: &mut Script<'_>, spool: Format) -> Written {
    let count = 1 + u64::from(script.byte() % 12);
    let (mut bytes, mut payloads, mut starts, mut chain) = (Vec::new(), Vec::new(), vec![0], 0);
    for offset in 0..count {
        let payload = match script.byte() % 3 {
            0 => forged(script),
            1 => script.bytes(40).to_vec(),
            _ => script.bytes(3).repeat(200),
        };
        chain = spool.encode(&record(offset, chain, &payload), &mut bytes);
        payloads.push(payload);
        starts.push(bytes.len());
    }
    Written { bytes, payloads, starts }
}

/// Harms the bytes; returns the ranges that are not what they were.
fn harm(script: &mut Script<'_>, bytes: &mut Vec<u8>) -> Vec<std::ops::Range<usize>> {
    let mut touched = Vec::new();
    for _ in 0..script.byte() % 5 {
        let (kind, at) = (script.byte() % 4, script.number() % (bytes.len() + 1));
        match kind {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => {
                bytes[at] ^= script.byte().max(1);
                touched.push(at..at + 1);
            }
            2 => {
                let end = (at + script.number() % 700).min(bytes.len());
                bytes[at..end].fill(0);
                touched.push(at..end);
            }
            3 => {
                let with =
                    if script.byte() & 1 == 0 { forged(script) } else { script.bytes(60).to_vec() };
                let end = (at + with.len()).min(bytes.len());
                bytes[at..end].copy_from_slice(&with[..end - at]);
                touched.push(at..end);
            }
            _ => {}
        }
    }
    touched
}

fn reader(bytes: &[u8]) -> impl FnMut(usize, usize, &mut Vec<u8>) -> Result<(), Infallible> {
    |at, count, buffer| {
        let end = bytes.len().min(at + count);
        buffer.clear();
        buffer.extend_from_slice(&bytes[at.min(end)..end]);
        Ok(())
    }
}

/// Reads all that is there, as the spool's reader does.
fn read(bytes: &[u8], spool: Format) -> BTreeMap<Offset, Vec<u8>> {
    let (mut found, mut at, mut buffer) = (BTreeMap::new(), 0, Vec::new());
    let mut from = From { format: spool, offset: 0, chain: 0 };
    loop {
        let run = scan_at(reader(bytes), at, &mut buffer, from, usize::MAX, Offset::MAX).unwrap();
        let mut rest = &buffer[..run.len];
        while let Parsed::Item { item, len, .. } = spool.parse(rest) {
            let Item::Record(record) = item else { panic!("nobody wrote a gap: {item:?}") };
            assert!(found.insert(record.offset, record.payload.to_vec()).is_none());
            rest = &rest[len..];
        }
        at += run.len;
        (from.offset, from.chain) = (run.next, run.chain);
        if run.len > 0 {
            continue;
        }
        if run.stop == Stop::End {
            return found;
        }
        let next = resync_from(reader(bytes), spool, at, &mut buffer, from.offset).unwrap();
        let Some(next) = next else { return found };
        assert!(next.offset >= from.offset, "offsets only grow");
        at += next.at;
        (from.offset, from.chain) = (next.offset, next.chain);
    }
}

/// Plays a script: writes a segment, harms it, reads it back. Panics if a message is there that nobody sent, or is not as it was sent, or
/// if one is missing that nothing has touched.
pub(crate) fn play(data: &[u8]) {
    let (mut script, spool) = (Script(data), spool(data));
    let Written { mut bytes, payloads, starts } = write(&mut script, spool);
    let whole = bytes.clone();
    let touched = harm(&mut script, &mut bytes);
    let found = read(&bytes, spool);
    for (offset, payload) in &found {
        let sent = usize::try_from(*offset).ok().and_then(|at| payloads.get(at));
        assert_eq!(Some(payload), sent, "offset {offset}");
    }
    for (offset, range) in starts.windows(2).enumerate() {
        let range = range[0]..range[1];
        let intact = range.end <= bytes.len() && bytes[range.clone()] == whole[range.clone()];
        let untouched =
            touched.iter().all(|harm| harm.end <= range.start || harm.start >= range.end);
        if intact && untouched {
            assert!(found.contains_key(&(offset as u64)), "offset {offset} is lost");
        }
    }
    let from = From { format: spool, offset: 0, chain: 0 };
    let end = tail(reader(&bytes), from).unwrap();
    assert!(end.keep <= bytes.len());
    assert_eq!(found.last_key_value().map_or(0, |(last, _)| last + 1), end.next);
}
