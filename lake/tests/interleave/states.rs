//! Every state that a model can come to, the nearest first; and the files that models speak of.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

/// Looks at every state from the first on; `next` gives those that follow, some of which must be `complete`. Returns how many there
/// are, or the first violation.
pub(super) fn explore<S: Clone + Default + Eq + Hash>(
    violation: impl Fn(&S) -> Option<&'static str>,
    complete: impl Fn(&S) -> bool,
    next: impl Fn(&S) -> Vec<S>,
) -> Result<usize, &'static str> {
    let mut seen = HashSet::from([S::default()]);
    let mut queue = VecDeque::from([S::default()]);
    let mut completed = false;
    while let Some(state) = queue.pop_front() {
        if let Some(violation) = violation(&state) {
            return Err(violation);
        }
        completed |= complete(&state);
        for next in next(&state) {
            if seen.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    assert!(completed, "everything can be done");
    Ok(seen.len())
}

/// Files by number.
pub(super) type Files = u8;

/// That one.
pub(super) fn one(file: usize) -> Files {
    1 << file
}

/// Their numbers.
pub(super) fn each(files: Files) -> impl Iterator<Item = usize> {
    (0..8).filter(move |file| files & one(*file) != 0)
}
