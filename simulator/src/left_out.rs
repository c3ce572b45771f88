//! Lines of recorded files that can't be used, counted and named.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

/// Lines that are named; those beyond are counted.
const NAMED_MAX: usize = 100;

/// A line of a recorded file that can't be used, and was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unusable {
    /// The file.
    pub file: String,
    /// Its number, from 1.
    pub line: u64,
    /// Why.
    pub why: String,
}

/// How many there are, and the first hundred.
#[derive(Debug, Default)]
pub struct LeftOut(Mutex<(u64, Vec<Unusable>)>);

impl LeftOut {
    /// Takes a line that can't be used.
    pub fn add(&self, file: &Path, line: u64, why: String) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.0 += 1;
        if left.1.len() < NAMED_MAX {
            left.1.push(Unusable { file: file.display().to_string(), line, why });
        }
    }

    /// How many there were, and the first of them.
    #[must_use]
    pub fn all(&self) -> (u64, Vec<Unusable>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
