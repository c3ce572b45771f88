//! Names and their numbers: each name is hashed once a row and compared once, and held once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::limits::NAME_BYTES_MAX;

/// What has been hashed is not hashed again.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Numbers by hash. Of two names with one hash the second has the next key: names are always compared.
#[derive(Debug, Default)]
pub(crate) struct Index(HashMap<u64, u32, BuildHasherDefault<Hashed>>);

impl Index {
    /// The number for which `is` holds, among those of a hash; or the key at which a new one goes.
    pub(crate) fn find(&self, hash: u64, is: impl Fn(u32) -> bool) -> Result<u32, u64> {
        let mut key = hash;
        while let Some(number) = self.0.get(&key) {
            if is(*number) {
                return Ok(*number);
            }
            key = key.wrapping_add(1);
        }
        Err(key)
    }

    /// Puts a number at the key that [`Self::find`] gave.
    pub(crate) fn put(&mut self, key: u64, number: u32) {
        self.0.insert(key, number);
    }
}

/// A bounded set of names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    all: Vec<Arc<str>>,
    index: Index,
}

impl Names {
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.index.find(xxh3_64(name.as_bytes()), |number| self.is(number, name)).ok()
    }

    /// The number of a name, which is new if it was not known; none beyond `most`, or if it is too long.
    pub(crate) fn take(&mut self, name: &str, most: usize) -> Option<u32> {
        let found = self.index.find(xxh3_64(name.as_bytes()), |number| self.is(number, name));
        let key = match found {
            Ok(number) => return Some(number),
            Err(key) => key,
        };
        if self.all.len() >= most || name.len() > NAME_BYTES_MAX {
            return None;
        }
        let number = u32::try_from(self.all.len()).ok()?;
        self.all.push(name.into());
        self.index.put(key, number);
        Some(number)
    }

    pub(crate) fn is(&self, number: u32, name: &str) -> bool {
        self.all.get(number as usize).is_some_and(|own| own.as_ref() == name)
    }

    pub(crate) fn get(&self, number: u32) -> &Arc<str> {
        &self.all[number as usize]
    }

    pub(crate) fn all(&self) -> &[Arc<str>] {
        &self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number_and_there_are_no_more_than_the_limit() {
        let mut names = Names::default();
        assert_eq!(
            [names.take("a", 2), names.take("b", 2), names.take("a", 2)],
            [Some(0), Some(1), Some(0)]
        );
        assert_eq!((names.take("c", 2), names.find("c"), names.find("b")), (None, None, Some(1)));
        assert_eq!(names.take(&"x".repeat(NAME_BYTES_MAX + 1), 10), None);
        assert_eq!(names.get(1).as_ref(), "b");
    }

    #[test]
    fn names_with_one_hash_are_told_apart() {
        let mut index = Index::default();
        assert_eq!(index.find(7, |_| true), Err(7));
        index.put(7, 0);
        assert_eq!(index.find(7, |number| number == 1), Err(8));
        index.put(8, 1);
        assert_eq!(index.find(7, |number| number == 1), Ok(1));
        assert_eq!(index.find(7, |number| number == 0), Ok(0));
    }
}
