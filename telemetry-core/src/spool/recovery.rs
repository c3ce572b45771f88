//! Reads runs of records out of a segment's bytes: how far they are intact, where they go on after damage.

use super::record::{FIXED_LEN, Item, MESSAGE_MAX, PREFIX_LEN, Parsed, parse};
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

/// Scans records that follow each other from offset `first` with chain value `chain`, up to `raw_max` bytes or offset
/// `limit` (exclusive). The first record is taken even when it alone is larger than `raw_max`.
pub fn scan(bytes: &[u8], first: Offset, chain: u64, raw_max: usize, limit: Offset) -> Run {
    let mut run = Run { len: 0, next: first, chain, stop: Stop::End };
    loop {
        if run.next >= limit {
            return Run { stop: Stop::Limit, ..run };
        }
        let rest = bytes.get(run.len..).unwrap_or_default();
        match parse(rest) {
            Parsed::Item { item, len, chain_end } if item.first() == run.next => {
                if run.len > 0 && run.len + len > raw_max {
                    return Run { stop: Stop::Limit, ..run };
                }
                run =
                    Run { len: run.len + len, next: item.end(), chain: chain_end, stop: Stop::End };
            }
            Parsed::Torn => return run,
            Parsed::Item { .. } | Parsed::Corrupt => return Run { stop: Stop::Corrupt, ..run },
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
    (first, chain): (Offset, u64),
    raw_max: usize,
    limit: Offset,
) -> Result<Run, E> {
    let window = raw_max.clamp(WINDOW / 32, WINDOW);
    read(at, window, buffer)?;
    let run = scan(buffer, first, chain, raw_max, limit);
    let cut_off = run.len == 0 && run.stop == Stop::End && buffer.len() == window;
    if !cut_off {
        return Ok(run);
    }
    read(at, MESSAGE_MAX, buffer)?;
    Ok(scan(buffer, first, chain, raw_max, limit))
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

/// Looks for the first intact record in `bytes` whose offset is at least `expected` and plausible for its distance, of which
/// `passed` bytes lie before these.
pub fn resync(bytes: &[u8], expected: Offset, passed: usize) -> Option<Resync> {
    let smallest = PREFIX_LEN + FIXED_LEN;
    let most = expected.saturating_add(((passed + bytes.len()) / smallest) as u64 + 1);
    for at in 0..bytes.len().saturating_sub(smallest - 1) {
        let rest = bytes.get(at..)?;
        // The offset field is checked before the checksum: it rejects nearly every wrong position for free.
        let mut fields = Fields(rest.get(PREFIX_LEN + 8..)?);
        if !fields.u64().is_some_and(|offset| (expected..=most).contains(&offset)) {
            continue;
        }
        if let Parsed::Item { item, .. } = parse(rest) {
            let chain = match item {
                Item::Gap { chain_end, .. } => chain_end,
                Item::Record(record) => record.chain,
                Item::Unparsable { bytes, .. } => Fields(bytes).u64()?,
            };
            return Some(Resync { at, offset: item.first(), chain });
        }
    }
    None
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
    first: Offset,
    chain: u64,
) -> Result<Tail, E> {
    let mut tail = Tail { keep: 0, next: first, chain, damaged: 0 };
    let (mut at, mut buffer) = (0, Vec::new());
    loop {
        let from = (tail.next, tail.chain);
        let run = scan_at(&mut read, at, &mut buffer, from, usize::MAX, Offset::MAX)?;
        if run.len > 0 {
            at += run.len;
            tail = Tail { keep: at, next: run.next, chain: run.chain, ..tail };
            continue;
        }
        let Some(found) = resync_from(&mut read, at, &mut buffer, tail.next)? else {
            return Ok(tail);
        };
        at += found.at;
        tail.damaged += found.offset - tail.next;
        tail.next = found.offset;
        tail.chain = found.chain;
    }
}

/// Looks for the first intact record at or after a position, window by window; [`Resync::at`] counts from that position.
///
/// # Errors
/// What `read` says.
pub fn resync_from<E>(
    mut read: impl FnMut(usize, usize, &mut Vec<u8>) -> Result<(), E>,
    at: usize,
    buffer: &mut Vec<u8>,
    expected: Offset,
) -> Result<Option<Resync>, E> {
    let mut passed = 0;
    loop {
        read(at + passed, WIDE_WINDOW, buffer)?;
        if let Some(found) = resync(buffer, expected, passed) {
            return Ok(Some(Resync { at: passed + found.at, ..found }));
        }
        if buffer.len() < WIDE_WINDOW {
            return Ok(None);
        }
        // A record that starts before the overlap would have been whole.
        passed += WIDE_WINDOW - MESSAGE_MAX;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::{Record, encode};
    use super::*;

    /// Encodes `count` records from offset 0 and returns their bytes and the position where each one starts.
    fn records(count: u64) -> (Vec<u8>, Vec<usize>, u64) {
        let (mut bytes, mut starts, mut chain) = (Vec::new(), Vec::new(), 0);
        for offset in 0..count {
            starts.push(bytes.len());
            let payload = vec![
                u8::try_from(offset % 251).unwrap();
                usize::try_from(offset * 7 % 50).unwrap()
            ];
            chain = encode(
                &Record {
                    offset,
                    chain,
                    received_us: 1,
                    flags: 0,
                    publisher: "p",
                    topic: "t",
                    payload: &payload,
                },
                &mut bytes,
            );
        }
        (bytes, starts, chain)
    }

    /// Reads from memory, as much at once as from a file.
    fn tail(bytes: &[u8], first: Offset, chain: u64) -> Tail {
        let read = |at: usize,
                    count: usize,
                    buffer: &mut Vec<u8>|
         -> Result<(), std::convert::Infallible> {
            let end = bytes.len().min(at + count);
            *buffer = bytes[at.min(end)..end].to_vec();
            Ok(())
        };
        super::tail(read, first, chain).unwrap()
    }

    #[test]
    fn damage_that_is_longer_than_a_window_is_passed() {
        let (mut bytes, starts, _) = records(3);
        let lost = 40_000;
        let mut far = Vec::new();
        let payload = vec![7; MESSAGE_MAX / 2];
        let record = Record {
            offset: lost,
            chain: 5,
            received_us: 1,
            flags: 0,
            publisher: "p",
            topic: "t",
            payload: &payload,
        };
        let chain = encode(&record, &mut far);
        bytes.truncate(starts[2]);
        let damage = WINDOW + MESSAGE_MAX / 2 + 12_345;
        bytes.resize(bytes.len() + damage, 0x5a);
        bytes.extend_from_slice(&far);
        let expected = Tail { keep: bytes.len(), next: lost + 1, chain, damaged: lost - 2 };
        assert_eq!(tail(&bytes, 0, 0), expected);
    }

    #[test]
    fn a_run_stops_at_the_byte_limit_but_takes_one_record_at_least() {
        let (bytes, starts, _) = records(10);
        let run = scan(&bytes, 0, 0, 1, Offset::MAX);
        assert_eq!((run.next, run.len, run.stop), (1, starts[1], Stop::Limit));
        let run = scan(&bytes, 0, 0, starts[4], Offset::MAX);
        assert_eq!((run.next, run.len), (4, starts[4]));
        assert_eq!(scan(&bytes, 0, 0, usize::MAX, 6).next, 6);
        assert_eq!(scan(&bytes, 0, 0, usize::MAX, Offset::MAX).stop, Stop::End);
    }

    proptest! {
        #[test]
        fn a_torn_tail_is_cut_and_no_intact_record_is(count in 1u64..20, cut: prop::sample::Index) {
            let (bytes, starts, _) = records(count);
            let cut = cut.index(bytes.len() + 1);
            let whole = starts.iter().skip(1).chain([&bytes.len()]).filter(|end| **end <= cut).count();
            let tail = tail(&bytes[..cut], 0, 0);
            prop_assert_eq!(tail.next, whole as u64);
            prop_assert_eq!(tail.keep, starts.get(whole).copied().unwrap_or(bytes.len()));
            prop_assert_eq!(tail.damaged, 0);
        }

        #[test]
        fn damage_in_the_middle_costs_only_the_records_it_touches(count in 3u64..20, victim: prop::sample::Index, byte: prop::sample::Index) {
            let (mut bytes, starts, chain) = records(count);
            let victim = victim.index(usize::try_from(count).unwrap() - 1);
            let at = starts[victim] + byte.index(starts[victim + 1] - starts[victim]);
            bytes[at] ^= 0x5a;
            let tail = tail(&bytes, 0, 0);
            prop_assert_eq!(tail, Tail { keep: bytes.len(), next: count, chain, damaged: 1 });
        }

        #[test]
        fn random_bytes_are_never_data(bytes: Vec<u8>) {
            prop_assert_eq!(tail(&bytes, 0, 0).keep, 0);
        }
    }
}
