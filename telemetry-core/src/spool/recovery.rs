//! Reads runs of records out of a segment's bytes: how far they are intact, where they go on after damage.

use super::format::{Format, Parsed};
use super::record::{Item, MESSAGE_MAX};
use crate::id::Offset;
use crate::wire::Fields;

/// Why a run of records ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The limit was reached; more records follow.
    Limit,
    /// The bytes ended, at a record's end or within one.
    End,
    /// The next record is damaged.
    Corrupt,
}

/// Consecutive intact records at the start of some bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Their bytes.
    pub len: usize,
    /// The offset after the last one.
    pub next: Offset,
    /// Chain value after the last one.
    pub chain: u64,
    /// Why it ended.
    pub stop: Stop,
}

/// Where a run of records starts, and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct From {
    /// How the records are written.
    pub format: Format,
    /// The offset of the first one.
    pub offset: Offset,
    /// Chain value before it.
    pub chain: u64,
}

/// Scans records that follow each other, up to `raw_max` bytes or offset `limit` (exclusive). The first record is taken even when it
/// alone is larger than `raw_max`.
pub fn scan(bytes: &[u8], from: From, raw_max: usize, limit: Offset) -> Run {
    let mut run = Run { len: 0, next: from.offset, chain: from.chain, stop: Stop::End };
    loop {
        if run.next >= limit {
            return Run { stop: Stop::Limit, ..run };
        }
        let rest = bytes.get(run.len..).unwrap_or_default();
        match from.format.parse(rest) {
            Parsed::Item { item, len, chain_end } if item.first() == run.next => {
                if run.len > 0 && run.len + len > raw_max {
                    return Run { stop: Stop::Limit, ..run };
                }
                run =
                    Run { len: run.len + len, next: item.end(), chain: chain_end, stop: Stop::End };
            }
            Parsed::Torn => return run,
            Parsed::Item { .. } | Parsed::Corrupt { .. } => {
                return Run { stop: Stop::Corrupt, ..run };
            }
        }
    }
}

/// Bytes that are looked at at once, so that memory does not grow with a segment.
pub const WINDOW: usize = 2 << 20;
/// Bytes that are looked at at once when something is damaged, or a record is larger than [`WINDOW`]: a record that begins in the
/// first half is whole.
pub const WIDE_WINDOW: usize = 2 * MESSAGE_MAX;

/// As [`scan`], of what `read` has at `at`: as much as a window holds, or one record that is larger. `read` fills a buffer with as many
/// bytes as it is asked for from a position on, fewer only at the end; the run is at the start of the buffer.
///
/// # Errors
/// What `read` says.
pub fn scan_at<E>(
    mut read: impl FnMut(usize, usize, &mut Vec<u8>) -> Result<(), E>,
    at: usize,
    buffer: &mut Vec<u8>,
    from: From,
    raw_max: usize,
    limit: Offset,
) -> Result<Run, E> {
    let window = raw_max.clamp(WINDOW / 32, WINDOW);
    read(at, window, buffer)?;
    let run = scan(buffer, from, raw_max, limit);
    let cut_off = run.len == 0 && run.stop == Stop::End && buffer.len() == window;
    if !cut_off {
        return Ok(run);
    }
    read(at, MESSAGE_MAX, buffer)?;
    Ok(scan(buffer, from, raw_max, limit))
}

/// The first intact record at or after some damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resync {
    /// Where it starts.
    pub at: usize,
    /// Its offset.
    pub offset: Offset,
    /// Chain value before it.
    pub chain: u64,
}

/// What looking through some bytes gave.
enum Looked {
    Found(Resync),
    /// Nothing begins before this position, which may lie beyond the bytes.
    Not(usize),
}

/// Looks for the first intact record in `bytes` that starts below `within`, is not below `expected`, and is plausible for its distance,
/// of which `passed` bytes lie before these.
///
/// What lies within a record is never taken for one: the length of a damaged record is stepped over where the next one begins there, or
/// all ends. A head that leads nowhere, or past offsets that are missing, was put there by the damage itself (an old block in a wrong
/// place): what it would step over is looked at, in which nobody but the spool's owner could write a record.
fn look(bytes: &[u8], format: Format, expected: Offset, passed: usize, within: usize) -> Looked {
    let most = expected.saturating_add(((passed + bytes.len()) / format.smallest()) as u64 + 1);
    let plausible = |offset: Offset| match format {
        // Nobody but the spool's owner could write such a record; before it may lie a gap of any length.
        Format::V2(_) => offset >= expected,
        Format::V1 => (expected..=most).contains(&offset),
    };
    // What a record here is, if all damage so far was within records.
    let mut here = expected;
    let mut at = if passed == 0 && format == Format::V1 { behind_v1(bytes) } else { 0 };
    while at < within.min(bytes.len()) {
        let rest = bytes.get(at..).unwrap_or_default();
        at += match format.parse(rest) {
            Parsed::Item { item, .. } if plausible(item.first()) => {
                let chain = match item {
                    Item::Gap { chain_end, .. } => Some(chain_end),
                    Item::Record(record) => Some(record.chain),
                    Item::Unparsable { bytes, .. } => Fields(bytes).u64(),
                };
                let (offset, chain) = (item.first(), chain.unwrap_or_default());
                return Looked::Found(Resync { at, offset, chain });
            }
            Parsed::Item { len, .. } if format != Format::V1 => len,
            Parsed::Corrupt { len: Some(len) } if leads_on(rest, len, format, here) => {
                here = here.saturating_add(1);
                len
            }
            _ => 1,
        };
    }
    Looked::Not(at)
}

/// Whether a damaged record of this length, which would be that of offset `here`, ends where the next one begins, or all ends.
fn leads_on(bytes: &[u8], len: usize, format: Format, here: Offset) -> bool {
    match format.parse(bytes.get(len..).unwrap_or_default()) {
        Parsed::Item { item, .. } => item.first() <= here.saturating_add(1),
        Parsed::Torn | Parsed::Corrupt { len: Some(_) } => true,
        Parsed::Corrupt { len: None } => false,
    }
}

/// Where to look first behind a damaged record of version 1: after its payload, if what it says of its length fits what follows.
fn behind_v1(bytes: &[u8]) -> usize {
    let Some(len) = Format::claimed_len(bytes) else { return 0 };
    let fits = match bytes.get(len..) {
        Some([]) => true,
        Some(rest) => matches!(Format::V1.parse(rest), Parsed::Item { .. }),
        None => false,
    };
    if fits { len } else { 0 }
}

/// What a crash left of the last segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// Bytes to keep; what follows is a torn tail.
    pub keep: usize,
    /// The offset after the last intact record.
    pub next: Offset,
    /// Chain value there.
    pub chain: u64,
    /// Offsets that lie in damage before the last intact record.
    pub damaged: u64,
}

/// Decides what to keep of the last segment's records (without the header): everything up to the last intact record.
/// Damage before it stays in the file and is delivered as a gap.
///
/// `read` fills a buffer with as many bytes as it is asked for from a position on, fewer only at the end.
///
/// # Errors
/// What `read` says.
pub fn tail<E>(
    mut read: impl FnMut(usize, usize, &mut Vec<u8>) -> Result<(), E>,
    from: From,
) -> Result<Tail, E> {
    let mut tail = Tail { keep: 0, next: from.offset, chain: from.chain, damaged: 0 };
    let (mut at, mut buffer) = (0, Vec::new());
    loop {
        let from = From { offset: tail.next, chain: tail.chain, ..from };
        let run = scan_at(&mut read, at, &mut buffer, from, usize::MAX, Offset::MAX)?;
        if run.len > 0 {
            at += run.len;
            tail = Tail { keep: at, next: run.next, chain: run.chain, ..tail };
            continue;
        }
        // A record that is cut off is the last one: what is in it is a payload, whatever it looks like.
        let found = match run.stop {
            Stop::End => None,
            _ => resync_from(&mut read, from.format, at, &mut buffer, tail.next)?,
        };
        let Some(found) = found else { return Ok(tail) };
        at += found.at;
        tail.damaged += found.offset - tail.next;
        tail.next = found.offset;
        tail.chain = found.chain;
    }
}

/// Looks for the first intact record at or after a position where there is none, window by window; [`Resync::at`] counts from that
/// position.
///
/// # Errors
/// What `read` says.
pub fn resync_from<E>(
    mut read: impl FnMut(usize, usize, &mut Vec<u8>) -> Result<(), E>,
    format: Format,
    at: usize,
    buffer: &mut Vec<u8>,
    expected: Offset,
) -> Result<Option<Resync>, E> {
    let mut passed = 0;
    loop {
        read(at + passed, WIDE_WINDOW, buffer)?;
        let is_last = buffer.len() < WIDE_WINDOW;
        // A record that starts before the overlap is whole.
        let within = if is_last { usize::MAX } else { WIDE_WINDOW - MESSAGE_MAX };
        match look(buffer, format, expected, passed, within) {
            Looked::Found(found) => {
                return Ok(Some(Resync { at: passed + found.at, ..found }));
            }
            Looked::Not(_) if is_last => return Ok(None),
            Looked::Not(next) => passed += next.max(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::format::{Key, PREFIX_LEN};
    use super::super::record::Record;
    use super::*;

    const V2: Format = Format::V2(Key::from_random(0x5eed));

    fn record(offset: Offset, chain: u64, payload: &[u8]) -> Record<'_> {
        let (publisher, topic, attributes) = ("p", "t", &[][..]);
        Record { offset, chain, received_us: 1, flags: 0, publisher, topic, attributes, payload }
    }

    /// Encodes `count` records from offset 0 and returns their bytes and the position where each one starts.
    fn records(format: Format, count: u64) -> (Vec<u8>, Vec<usize>, u64) {
        let (mut bytes, mut starts, mut chain) = (Vec::new(), Vec::new(), 0);
        for offset in 0..count {
            starts.push(bytes.len());
            let payload = vec![
                u8::try_from(offset % 251).unwrap();
                usize::try_from(offset * 7 % 50).unwrap()
            ];
            chain = format.encode(&record(offset, chain, &payload), &mut bytes);
        }
        (bytes, starts, chain)
    }

    fn start(format: Format) -> From {
        From { format, offset: 0, chain: 0 }
    }

    /// Reads from memory, as much at once as from a file.
    fn tail(format: Format, bytes: &[u8]) -> Tail {
        let read = |at: usize,
                    count: usize,
                    buffer: &mut Vec<u8>|
         -> Result<(), std::convert::Infallible> {
            let end = bytes.len().min(at + count);
            *buffer = bytes[at.min(end)..end].to_vec();
            Ok(())
        };
        super::tail(read, start(format)).unwrap()
    }

    #[test]
    fn damage_that_is_longer_than_a_window_is_passed() {
        for format in [Format::V1, V2] {
            let (mut bytes, starts, _) = records(format, 3);
            let lost = 40_000;
            let mut far = Vec::new();
            let payload = vec![7; MESSAGE_MAX / 2];
            let chain = format.encode(&record(lost, 5, &payload), &mut far);
            bytes.truncate(starts[2]);
            let damage = WINDOW + MESSAGE_MAX / 2 + 12_345;
            bytes.resize(bytes.len() + damage, 0x5a);
            bytes.extend_from_slice(&far);
            let expected = Tail { keep: bytes.len(), next: lost + 1, chain, damaged: lost - 2 };
            assert_eq!(tail(format, &bytes), expected);
        }
    }

    #[test]
    fn a_run_stops_at_the_byte_limit_but_takes_one_record_at_least() {
        let (bytes, starts, _) = records(V2, 10);
        let run = scan(&bytes, start(V2), 1, Offset::MAX);
        assert_eq!((run.next, run.len, run.stop), (1, starts[1], Stop::Limit));
        let run = scan(&bytes, start(V2), starts[4], Offset::MAX);
        assert_eq!((run.next, run.len), (4, starts[4]));
        assert_eq!(scan(&bytes, start(V2), usize::MAX, 6).next, 6);
        assert_eq!(scan(&bytes, start(V2), usize::MAX, Offset::MAX).stop, Stop::End);
    }

    /// A device's payload that is full of records: of version 1, of another spool, and, as a device can never make them, of this one.
    fn forged(format: Format) -> Vec<u8> {
        let (mut payload, mut chain) = (Vec::new(), 0);
        for offset in 1..2000 {
            chain = format.encode(&record(offset, chain, b"forged"), &mut payload);
        }
        payload
    }

    #[test]
    fn inv4_no_byte_of_a_payload_is_taken_for_a_record() {
        let theirs = Format::V2(Key::from_random(1));
        for (spool, device) in [(V2, Format::V1), (V2, theirs), (V2, V2), (Format::V1, Format::V1)]
        {
            let payload = forged(device);
            let mut bytes = Vec::new();
            let first = spool.encode(&record(0, 0, b"first"), &mut bytes);
            let keep = bytes.len();
            spool.encode(&record(1, first, &payload), &mut bytes);
            let expected = Tail { keep, next: 1, chain: first, damaged: 0 };
            for cut in (keep..bytes.len()).step_by(997) {
                assert_eq!(tail(spool, &bytes[..cut]), expected, "torn at {cut}");
            }
            // Pages that never reached the disk are zeros in a file of full length.
            let mut holed = bytes.clone();
            holed[keep + 600..keep + 4096].fill(0);
            assert_eq!(tail(spool, &holed), expected);
            if device == V2 {
                // Which no device can do: it does not know the secret.
                continue;
            }
            let mut no_prefix = bytes.clone();
            no_prefix[keep..keep + 12].fill(0xff);
            if spool == V2 {
                assert_eq!(tail(spool, &no_prefix), expected, "not even where no length is known");
            }
        }
    }

    #[test]
    fn inv4_damage_within_a_record_is_stepped_over_whatever_is_in_it() {
        for device in [Format::V1, V2] {
            let payload = forged(device);
            let mut bytes = Vec::new();
            let mut chain = V2.encode(&record(0, 0, b"first"), &mut bytes);
            let at = bytes.len();
            for (offset, payload) in [(1, &payload[..]), (2, b"next"), (3, b"last")] {
                chain = V2.encode(&record(offset, chain, payload), &mut bytes);
            }
            bytes[at + 30] ^= 1;
            let expected = Tail { keep: bytes.len(), next: 4, chain, damaged: 1 };
            assert_eq!(tail(V2, &bytes), expected);
        }
    }

    /// A disk may put an old block in a wrong place: a head of the spool's own lies in the damage, and says that it reaches over records
    /// that are whole.
    #[test]
    fn inv4_a_head_that_damage_has_brought_steps_over_nothing_that_is_whole() {
        let (mut old, mut bytes, mut starts, mut chain) = (Vec::new(), Vec::new(), Vec::new(), 0);
        V2.encode(&record(0, 0, &[7; 215]), &mut old);
        for offset in 0..5 {
            starts.push(bytes.len());
            chain = V2.encode(&record(offset, chain, &[1; 90]), &mut bytes);
        }
        let whole = Tail { keep: bytes.len(), next: 5, chain, damaged: 1 };
        for head in [PREFIX_LEN, PREFIX_LEN + 20] {
            for at in starts[1]..starts[2] - head {
                let mut bytes = bytes.clone();
                bytes[at..at + head].copy_from_slice(&old[..head]);
                assert_eq!(tail(V2, &bytes), whole, "{head} bytes at {at}");
            }
        }
        // One that ends where a record begins, beyond one that is whole.
        let over = starts[4] - starts[2] + 40;
        let payload = vec![7; over - super::super::format::encoded_len("p", "t", &[], &[])];
        old.clear();
        V2.encode(&record(0, 0, &payload), &mut old);
        let mut led = bytes.clone();
        let at = starts[4] - over;
        led[at..at + PREFIX_LEN].copy_from_slice(&old[..PREFIX_LEN]);
        assert_eq!(tail(V2, &led), whole, "to the start of another");
        // One that says it reaches beyond the end.
        old.clear();
        V2.encode(&record(0, 0, &[7; 3000]), &mut old);
        for at in starts[1]..starts[2] - PREFIX_LEN {
            let mut bytes = bytes.clone();
            bytes[at..at + PREFIX_LEN].copy_from_slice(&old[..PREFIX_LEN]);
            // At the very place of a record it is one that is cut off, as far as anybody can tell.
            if at > starts[1] {
                assert_eq!(tail(V2, &bytes), whole, "beyond the end, at {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_torn_tail_is_cut_and_no_intact_record_is(first: bool, count in 1u64..20, cut: prop::sample::Index) {
            let format = if first { Format::V1 } else { V2 };
            let (bytes, starts, _) = records(format, count);
            let cut = cut.index(bytes.len() + 1);
            let whole = starts.iter().skip(1).chain([&bytes.len()]).filter(|end| **end <= cut).count();
            let tail = tail(format, &bytes[..cut]);
            prop_assert_eq!(tail.next, whole as u64);
            prop_assert_eq!(tail.keep, starts.get(whole).copied().unwrap_or(bytes.len()));
            prop_assert_eq!(tail.damaged, 0);
        }

        #[test]
        fn inv4_damage_in_the_middle_costs_only_the_records_it_touches(count in 3u64..20, victim: prop::sample::Index, byte: prop::sample::Index, xor in 1u8..) {
            let (mut bytes, starts, chain) = records(V2, count);
            let victim = victim.index(usize::try_from(count).unwrap() - 1);
            let at = starts[victim] + byte.index(starts[victim + 1] - starts[victim]);
            bytes[at] ^= xor;
            prop_assert_eq!(tail(V2, &bytes), Tail { keep: bytes.len(), next: count, chain, damaged: 1 });
        }

        #[test]
        fn random_bytes_are_never_data(bytes: Vec<u8>) {
            prop_assert_eq!(tail(Format::V1, &bytes).keep, 0);
            prop_assert_eq!(tail(V2, &bytes).keep, 0);
        }
    }
}
