//! Which trace a message belongs to: `traceparent`, as W3C Trace Context (level 1, section 3.2) writes it.

use std::fmt;

use uuid::Uuid;

/// The user property of MQTT 5 that says it.
pub const TRACEPARENT: &str = "traceparent";

/// A trace, and the span in it that everything of ours belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Context {
    trace: [u8; 16],
    parent: [u8; 8],
}

impl Context {
    /// A trace of our own, whose first span has the parent's id.
    #[must_use]
    pub fn new() -> Self {
        let random = Uuid::new_v4();
        Self { trace: random.into_bytes(), parent: span_id() }
    }

    /// Reads what a publisher said: `00-{32 hex}-{16 hex}-{2 hex}`, with the flag that the trace is recorded. Versions to come may
    /// have more behind it. `None`: it is something else, or not to be recorded.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (version, rest) = (text.get(..2)?, text.get(2..55)?);
        let more = text.get(55..)?;
        let well_formed = match hex::<1>(version)?[0] {
            0 => more.is_empty(),
            255 => false,
            _ => more.is_empty() || more.starts_with('-'),
        };
        let mut parts = rest.strip_prefix('-')?.split('-');
        let (trace, parent) = (hex::<16>(parts.next()?)?, hex::<8>(parts.next()?)?);
        let flags = hex::<1>(parts.next()?)?[0];
        let valid = well_formed && parts.next().is_none() && trace != [0; 16] && parent != [0; 8];
        (valid && flags & 1 == 1).then_some(Self { trace, parent })
    }

    /// Its trace, as 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hexed(&self.trace)
    }

    /// The id of the span that ours belong to.
    pub(crate) fn parent(&self) -> [u8; 8] {
        self.parent
    }

    pub(crate) fn trace(&self) -> [u8; 16] {
        self.trace
    }
}

impl Default for Context {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", hexed(&self.trace), hexed(&self.parent))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A new span's id; not all zero.
pub(crate) fn span_id() -> [u8; 8] {
    // Version and variant of the UUID make that sure.
    let random = Uuid::new_v4().into_bytes();
    let mut id = [0; 8];
    id.copy_from_slice(&random[..8]);
    id
}

pub(crate) fn hexed(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower case only, as the standard wants it.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_standards_example_is_read_and_written() {
        let context = Context::parse(SAMPLE).unwrap();
        assert_eq!(context.to_string(), SAMPLE);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(Context::parse(&SAMPLE.replace("-01", "-03")), Some(context), "other flags");
        let later = SAMPLE.replacen("00", "cc", 1);
        assert_eq!(Context::parse(&later), Some(context), "versions to come");
        assert_eq!(Context::parse(&format!("{later}-what-they-add")), Some(context));
    }

    #[test]
    fn what_is_no_trace_or_not_recorded_is_not_followed() {
        let zeros = |digits: &str| SAMPLE.replace(digits, &"0".repeat(digits.len()));
        let refused = [
            SAMPLE.replace("-01", "-00"),
            SAMPLE.replacen("00", "ff", 1),
            SAMPLE.to_uppercase(),
            format!("{SAMPLE}-more"),
            format!("{}x", SAMPLE.replacen("00", "cc", 1)),
            zeros("4bf92f3577b34da6a3ce929d0e0e4736"),
            zeros("00f067aa0ba902b7"),
            SAMPLE.replace('-', "_"),
            SAMPLE[1..].to_owned(),
            "é".repeat(28),
            String::new(),
        ];
        for text in refused {
            assert_eq!(Context::parse(&text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic(text in any::<String>()) {
            prop_assert!(Context::parse(&text).is_none_or(|context| text.contains(&context.trace_id())));
        }

        #[test]
        fn own_ones_are_read_again(_n in 0..20) {
            let own = Context::new();
            prop_assert_eq!(Context::parse(&own.to_string()), Some(own));
        }
    }
}
