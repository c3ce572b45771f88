//! What each identity takes of what all share, and what all take together, within limits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Identities at which those are looked for that have nothing any more.
const SWEEP_AT: usize = 1024;

/// What a share in steps takes in advance.
const STEP: usize = 1 << 10;

/// Something that all identities share: so many bytes, or so many of something. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Shares {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    total_max: usize,
    each_max: usize,
    taken: AtomicUsize,
    /// Identities that have something, or are about to. No more than there are [`Share`]s.
    each: Mutex<HashMap<Arc<str>, Arc<AtomicUsize>>>,
}

/// What one holder, such as a session, has of it, or a part of that. Given back when dropped. Beginning one touches what all
/// others touch, too: not for each message.
#[derive(Debug)]
pub(crate) struct Share {
    own: usize,
    /// Taken beside `own`, for what comes next; nothing as long as there is nothing in it.
    spare: usize,
    /// How much is taken in advance.
    step: usize,
    /// All parts of the holder's.
    of_holder: Arc<AtomicUsize>,
    identity: Arc<str>,
    of_identity: Arc<AtomicUsize>,
    shares: Shares,
}

/// Why no more can be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoRoom {
    /// All together have as much as they may.
    Total,
    /// The identity has as much as it may.
    Identity,
}

impl Default for Shares {
    fn default() -> Self {
        Self::unlimited()
    }
}

impl Shares {
    /// Shares `total_max`, of which one identity may have so many percent.
    pub(crate) fn new(total_max: usize, percent: u8) -> Self {
        // In parts of a hundredth first: the product would be too large for a total without a limit.
        let percent = usize::from(percent.min(100));
        let each_max = total_max / 100 * percent + total_max % 100 * percent / 100;
        Self::with(total_max, if percent == 100 { total_max } else { each_max.max(1) })
    }

    /// Counts, and limits nothing.
    pub(crate) fn unlimited() -> Self {
        Self::with(usize::MAX, usize::MAX)
    }

    fn with(total_max: usize, each_max: usize) -> Self {
        let (taken, each) = (AtomicUsize::new(0), Mutex::default());
        Self { inner: Arc::new(Inner { total_max, each_max, taken, each }) }
    }

    /// Begins a share of an identity, with nothing in it.
    pub(crate) fn of(&self, identity: &str) -> Share {
        let mut each = self.each();
        let known = each.get_key_value(identity).map(|(name, taken)| (name.clone(), taken.clone()));
        let (identity, of_identity) = known.unwrap_or_else(|| {
            // Two that end at the same moment may each leave it to the other to forget their identity.
            if each.len() >= SWEEP_AT && each.len().is_multiple_of(SWEEP_AT) {
                each.retain(|_, taken| Arc::strong_count(taken) > 1);
            }
            let (name, taken): (Arc<str>, _) = (identity.into(), Arc::new(AtomicUsize::new(0)));
            each.insert(name.clone(), taken.clone());
            (name, taken)
        });
        drop(each);
        let (of_holder, shares) = (Arc::default(), self.clone());
        Share { own: 0, spare: 0, step: 0, of_holder, identity, of_identity, shares }
    }

    /// Returns the most that one identity may have.
    pub(crate) fn each_max(&self) -> usize {
        self.inner.each_max
    }

    /// Returns what all have together.
    pub(crate) fn taken(&self) -> usize {
        self.inner.taken.load(Ordering::Relaxed)
    }

    fn each(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<AtomicUsize>>> {
        self.inner.each.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Returns what is in this part.
    pub(crate) fn own(&self) -> usize {
        self.own
    }

    /// Returns what is in all parts of the holder.
    pub(crate) fn of_holder(&self) -> usize {
        self.of_holder.load(Ordering::Relaxed)
    }

    /// Begins another part for the same holder.
    pub(crate) fn another(&self) -> Self {
        Self {
            own: 0,
            spare: 0,
            step: self.step,
            of_holder: self.of_holder.clone(),
            identity: self.identity.clone(),
            of_identity: self.of_identity.clone(),
            shares: self.shares.clone(),
        }
    }

    /// Returns it as one that takes and gives back in steps of 1,024: what all others touch, too, is then touched by one in so many
    /// messages. As long as there is something in it, others see up to two steps more than there is.
    pub(crate) fn in_steps(mut self) -> Self {
        self.step = STEP;
        self
    }

    /// Returns it with more in it.
    pub(crate) fn with(mut self, amount: usize) -> Self {
        self.add(amount);
        self
    }

    /// Tells whether so much more can be taken. Holders that ask at the same moment may together take a little more.
    pub(crate) fn allows(&self, amount: usize) -> Result<(), NoRoom> {
        let Inner { total_max, each_max, taken, .. } = &*self.shares.inner;
        let amount = amount.saturating_sub(self.spare);
        let fits = |taken: &AtomicUsize, most: usize| {
            taken.load(Ordering::Relaxed).checked_add(amount).is_some_and(|all| all <= most)
        };
        if amount == 0 {
            return Ok(());
        }
        if !fits(&self.of_identity, *each_max) {
            return Err(NoRoom::Identity);
        }
        if fits(taken, *total_max) { Ok(()) } else { Err(NoRoom::Total) }
    }

    /// Takes more, whether or not it is allowed.
    pub(crate) fn add(&mut self, amount: usize) {
        self.own += amount;
        self.of_holder.fetch_add(amount, Ordering::Relaxed);
        if amount > self.spare {
            // Nothing is taken in advance where nothing is left.
            let step = if self.allows(amount + self.step).is_ok() { self.step } else { 0 };
            self.take(amount - self.spare + step);
            self.spare = step;
        } else {
            self.spare -= amount;
        }
    }

    /// Gives some back.
    pub(crate) fn remove(&mut self, amount: usize) {
        self.own -= amount;
        self.of_holder.fetch_sub(amount, Ordering::Relaxed);
        self.spare += amount;
        let keep = if self.own == 0 { 0 } else { self.step };
        if keep == 0 || self.spare > 2 * keep {
            self.give_back(self.spare - keep);
            self.spare = keep;
        }
    }

    fn take(&self, amount: usize) {
        self.of_identity.fetch_add(amount, Ordering::Relaxed);
        self.shares.inner.taken.fetch_add(amount, Ordering::Relaxed);
    }

    fn give_back(&self, amount: usize) {
        self.of_identity.fetch_sub(amount, Ordering::Relaxed);
        self.shares.inner.taken.fetch_sub(amount, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.remove(self.own);
        // As long as others have it, nothing is forgotten, and nobody waits for the lock.
        if Arc::strong_count(&self.of_identity) > 2 {
            return;
        }
        let mut each = self.shares.each();
        // The map's and this one's: under the lock nobody begins another.
        if Arc::strong_count(&self.of_identity) == 2
            && self.of_identity.load(Ordering::Relaxed) == 0
        {
            each.remove(&self.identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv8_one_identity_has_its_part_and_all_together_no_more_than_there_is() {
        let shares = Shares::new(100, 40);
        let mut one = shares.of("one");
        one.add(30);
        let mut more = shares.of("one");
        assert_eq!((more.allows(10), more.allows(11)), (Ok(()), Err(NoRoom::Identity)));
        more.add(10);
        let two = shares.of("two").with(30);
        let part = two.another().with(10);
        assert_eq!((part.own(), part.of_holder(), more.of_holder()), (10, 40, 10));
        let three = shares.of("three");
        assert_eq!((three.allows(20), three.allows(21)), (Ok(()), Err(NoRoom::Total)));
        drop((one, two, part));
        assert_eq!((shares.taken(), three.allows(40)), (10, Ok(())));
        drop((more, three));
        assert!(shares.each().is_empty(), "who has nothing is forgotten");
    }

    #[test]
    fn inv8_a_share_in_steps_has_all_that_it_may_have_and_what_it_leaves_is_for_others() {
        let shares = Shares::new(10 * STEP, 50);
        let mut one = shares.of("one").in_steps();
        let fill = |share: &mut Share| {
            let before = share.own();
            while share.allows(100).is_ok() {
                share.add(100);
            }
            share.own() - before
        };
        let each = 5 * STEP / 100 * 100;
        assert_eq!((fill(&mut one), one.of_holder()), (each, each));
        assert_eq!(one.allows(100), Err(NoRoom::Identity));
        let mut other = shares.of("other");
        assert_eq!(fill(&mut other), each, "nothing was taken in advance beyond the limit");
        // To and fro, and in parts that are no step: never more than two of them beside what is there.
        for n in 1..=each / 100 {
            one.remove(100);
            let beside = shares.taken() - one.own() - other.own();
            assert!(beside <= 2 * STEP, "{beside} after {n}");
            assert_eq!(one.own() == 0, beside == 0, "who has nothing takes nothing");
        }
        for n in 1..2 * STEP {
            one.add(n);
            assert!(shares.taken() >= one.own() + other.own());
            one.remove(n);
            assert_eq!((one.own(), shares.taken()), (0, other.own()));
        }
        drop((one, other));
        assert_eq!(shares.taken(), 0);
    }

    #[test]
    fn a_part_is_never_nothing_and_the_whole_is_the_whole() {
        for (total, percent, most) in
            [(1, 10, 1), (5, 10, 1), (50_000, 10, 5_000), (199, 50, 99), (3, 100, 3)]
        {
            assert_eq!(Shares::new(total, percent).each_max(), most, "{percent} % of {total}");
        }
        assert_eq!(Shares::new(usize::MAX, 100).each_max(), usize::MAX);
    }
}
