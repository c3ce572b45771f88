//! Texts to small numbers: a landing repeats few texts very often.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use arrow::array::StringArray;

/// No text.
pub(crate) const NONE: u32 = u32::MAX;

/// Numbers for texts, dense from 0 in order of first appearance.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interner {
    numbers: HashMap<Arc<str>, u32, Seeded>,
    texts: Vec<Arc<str>>,
    text_bytes: u64,
}

/// What a text takes beside its bytes: two counters of its `Arc`, an entry of the map and one of the list, and what maps and
/// lists have in reserve.
const ENTRY_BYTES: u64 = 16 + 2 * (24 + 16);

impl Interner {
    /// The number of `text`.
    pub(crate) fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(self.texts.len())
            .expect("a batch has fewer texts than rows, and fewer rows than 2^31");
        self.text_bytes += text.len() as u64;
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.numbers.insert(text, number);
        number
    }

    /// The number of `text`, or [`NONE`].
    pub(crate) fn optional(&mut self, text: Option<&str>) -> u32 {
        text.map_or(NONE, |text| self.number(text))
    }

    /// The text with that number.
    pub(crate) fn text(&self, number: u32) -> &str {
        self.texts.get(number as usize).map_or("", |text| text)
    }

    /// What it takes in memory, about.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.text_bytes + self.texts.len() as u64 * ENTRY_BYTES
    }

    /// All texts in the order of their numbers: the values of an Arrow dictionary.
    pub(crate) fn dictionary(&self) -> Arc<StringArray> {
        Arc::new(StringArray::from_iter_values(&self.texts))
    }

    /// For each number the place of its text among the sorted texts.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut sorted: Vec<u32> = (0..).take(self.texts.len()).collect();
        sorted.sort_unstable_by_key(|number| self.text(*number));
        let mut ranks = vec![0; sorted.len()];
        for (rank, number) in (0..).zip(sorted) {
            ranks[number as usize] = rank;
        }
        ranks
    }
}

/// Builds [`Folded`] hashers with a random seed, so that nobody can choose texts that collide.
#[derive(Debug, Clone)]
pub(crate) struct Seeded(u64);

impl Default for Seeded {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0_u8))
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded(self.0)
    }
}

/// Eight bytes a step by folded multiplication, as wyhash does: for short keys several times as fast as SipHash.
#[derive(Debug)]
pub(crate) struct Folded(u64);

impl Folded {
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        #[expect(clippy::cast_possible_truncation, reason = "both halves are folded into one")]
        let folded = (product as u64) ^ ((product >> 64) as u64);
        self.0 = folded.rotate_left(23);
    }
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(8);
        for word in &mut words {
            self.mix(u64::from_le_bytes(word.try_into().expect("chunks of eight")));
        }
        let mut last = [0; 8];
        let rest = words.remainder();
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }

    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte) << 32;
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_equal_numbers_and_ranks_sort_them() {
        let mut interner = Interner::default();
        let numbers =
            ["b", "a", "b", "", "abcdefgh", "abcdefghi"].map(|text| interner.number(text));
        assert_eq!(numbers, [0, 1, 0, 2, 3, 4]);
        assert_eq!(interner.ranks(), [4, 1, 0, 2, 3]);
        assert_eq!(interner.text(3), "abcdefgh");
        assert_eq!(interner.optional(None), NONE);
        assert_eq!(interner.dictionary().value(4), "abcdefghi");
    }

    #[test]
    fn ten_thousand_names_keep_their_hashes_apart() {
        let seeded = Seeded::default();
        let mut hashes: Vec<u64> =
            (0..10_000).map(|n| seeded.hash_one(format!("device-{n}"))).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), 10_000);
    }
}
