//! What is there of an hour, and whether more is to come: pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

pub(crate) const HOUR_US: i64 = 3600 * 1_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// A source is known for a site so long after its last row of it, microseconds. Who brings nothing for longer is not waited for.
pub(crate) const KNOWN_US: i64 = 7 * DAY_US;
/// A source stamps a message before it stores it: one with an earlier time may come after one with a later time, but not by more.
pub(crate) const SLACK_US: i64 = 10_000_000;

/// What a row of the view is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) hour_us: i64,
    /// `None`: the source as a whole.
    pub(crate) site: Option<String>,
    pub(crate) source: String,
    pub(crate) epoch: i64,
}

/// What is known of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) landed: i64,
    pub(crate) late: i64,
    pub(crate) dead_lettered: i64,
    pub(crate) gaps: i64,
    /// The first offset that was accepted in the hour, and one beyond the last.
    pub(crate) offsets: Option<(i64, i64)>,
    /// All that the source accepted before is landed.
    pub(crate) passed_us: Option<i64>,
    pub(crate) sealed: bool,
}

impl Count {
    /// Adds what came.
    pub(crate) fn add(&mut self, other: &Self) {
        self.landed += other.landed;
        self.late += other.late;
        self.dead_lettered += other.dead_lettered;
        self.gaps += other.gaps;
        self.offsets = match (self.offsets, other.offsets) {
            (Some((a, b)), Some((first, next))) => Some((a.min(first), b.max(next))),
            (own, theirs) => own.or(theirs),
        };
        self.passed_us = self.passed_us.max(other.passed_us);
    }

    /// Takes note of a message.
    pub(crate) fn message(&mut self, offset: i64) {
        self.add(&Self { offsets: Some((offset, offset + 1)), ..Self::default() });
    }
}

/// The hour that a time is in.
pub(crate) fn hour_of(time_us: i64) -> i64 {
    time_us.div_euclid(HOUR_US) * HOUR_US
}

/// The view's rows.
pub(crate) type Hours = BTreeMap<Key, Count>;

/// Says of each hour from `from_us` on whether all that its sources accepted until its end is there, and gives those without any
/// rows a row. `heard`: source → all that it accepted before is landed, by its own word. `hours` must have what is known since
/// [`KNOWN_US`] before.
pub(crate) fn seal(hours: &mut Hours, heard: &HashMap<String, i64>, from_us: i64) {
    let passed = passed(hours, heard);
    fill(hours, &passed, from_us);
    let known = known(hours);
    for (key, count) in hours.range_mut(first_of(from_us)..) {
        let end = key.hour_us + HOUR_US;
        let has_passed = |source: &str| passed.get(source).is_some_and(|at| *at >= end + SLACK_US);
        count.sealed = match &key.site {
            None => has_passed(&key.source),
            Some(site) => {
                let sources = known.get(site.as_str()).into_iter().flatten();
                let mut waited = sources.filter(|(_, at)| is_known(at, key.hour_us));
                waited.all(|(source, _)| has_passed(source))
            }
        };
    }
}

/// The first key that an hour can have.
pub(crate) fn first_of(hour_us: i64) -> Key {
    Key { hour_us, site: None, source: String::new(), epoch: i64::MIN }
}

fn passed(hours: &Hours, heard: &HashMap<String, i64>) -> HashMap<String, i64> {
    let mut passed = heard.clone();
    for (key, count) in hours {
        if let Some(at) = count.passed_us {
            let of_source = passed.entry(key.source.clone()).or_insert(at);
            *of_source = at.max(*of_source);
        }
    }
    passed
}

/// Site → source → the hours that it has rows of.
fn known(hours: &Hours) -> HashMap<String, HashMap<String, BTreeSet<i64>>> {
    let mut known: HashMap<String, HashMap<String, BTreeSet<i64>>> = HashMap::new();
    for (key, count) in hours {
        if let Some(site) = key.site.as_ref().filter(|_| count.landed > 0) {
            let sources = known.entry(site.clone()).or_default();
            sources.entry(key.source.clone()).or_default().insert(key.hour_us);
        }
    }
    known
}

fn is_known(at: &BTreeSet<i64>, hour_us: i64) -> bool {
    at.range(hour_us - KNOWN_US..=hour_us).next().is_some()
}

/// Adds the hours that a source passed without a word, for as long after each of its rows as it is known.
fn fill(hours: &mut Hours, passed: &HashMap<String, i64>, from_us: i64) {
    type Spoken = BTreeMap<i64, i64>;
    let mut spoken: HashMap<(Option<String>, String), Spoken> = HashMap::new();
    let speaks = |(key, count): &(&Key, &Count)| key.site.is_none() || count.landed > 0;
    for (key, _) in hours.iter().filter(speaks) {
        let of_source = spoken.entry((key.site.clone(), key.source.clone())).or_default();
        of_source.insert(key.hour_us, key.epoch);
    }
    for ((site, source), spoken) in spoken {
        let Some(passed_us) = passed.get(&source) else { continue };
        let last = hour_of(passed_us - HOUR_US - SLACK_US);
        let nexts = spoken.keys().skip(1).copied().chain([i64::MAX]);
        for ((hour, epoch), next) in spoken.iter().zip(nexts) {
            let until = last.min(hour + KNOWN_US).min(next.saturating_sub(HOUR_US));
            let mut silent = (hour + HOUR_US).max(hour_of(from_us));
            while silent <= until {
                let (site, source) = (site.clone(), source.clone());
                let key = Key { hour_us: silent, site, source, epoch: *epoch };
                hours.entry(key).or_default();
                silent += HOUR_US;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NINE: i64 = 9 * HOUR_US;

    fn row(hours: &mut Hours, hour: i64, site: Option<&str>, source: &str, landed: i64) {
        let key =
            Key { hour_us: hour, site: site.map(str::to_owned), source: source.into(), epoch: 1 };
        hours.entry(key).or_default().add(&Count { landed, ..Count::default() });
    }

    fn passed(hours: &mut Hours, source: &str, at_us: i64) {
        let key = Key { hour_us: hour_of(at_us), site: None, source: source.into(), epoch: 1 };
        hours.entry(key).or_default().add(&Count { passed_us: Some(at_us), ..Count::default() });
    }

    fn sealed(hours: &Hours, site: Option<&str>) -> Vec<(i64, String, bool)> {
        let of_site = hours.iter().filter(|(key, _)| key.site.as_deref() == site);
        of_site
            .map(|(key, count)| (key.hour_us / HOUR_US, key.source.clone(), count.sealed))
            .collect()
    }

    #[test]
    fn an_hour_is_sealed_when_every_source_of_its_site_has_passed_it() {
        let mut hours = Hours::new();
        row(&mut hours, NINE, Some("icu"), "a", 5);
        row(&mut hours, NINE, Some("icu"), "b", 7);
        row(&mut hours, NINE, Some("er"), "a", 1);
        passed(&mut hours, "a", NINE + HOUR_US + SLACK_US);
        passed(&mut hours, "b", NINE + HOUR_US - 1);
        seal(&mut hours, &HashMap::new(), 0);
        assert_eq!(sealed(&hours, Some("icu")), [(9, "a".into(), false), (9, "b".into(), false)]);
        assert_eq!(sealed(&hours, Some("er")), [(9, "a".into(), true)]);
        // It says that it has nothing more.
        let heard = [("b".to_owned(), NINE + HOUR_US + SLACK_US)].into();
        seal(&mut hours, &heard, 0);
        assert_eq!(sealed(&hours, Some("icu")), [(9, "a".into(), true), (9, "b".into(), true)]);
    }

    #[test]
    fn a_message_that_is_stamped_before_the_end_and_stored_after_it_is_waited_for() {
        let mut hours = Hours::new();
        row(&mut hours, NINE, Some("icu"), "a", 5);
        passed(&mut hours, "a", NINE + HOUR_US + SLACK_US - 1);
        seal(&mut hours, &HashMap::new(), 0);
        assert_eq!(sealed(&hours, Some("icu")), [(9, "a".into(), false)]);
    }

    #[test]
    fn hours_without_a_word_have_rows_and_are_sealed_too_for_as_long_as_the_source_is_known() {
        let mut hours = Hours::new();
        row(&mut hours, NINE, Some("icu"), "a", 5);
        passed(&mut hours, "a", NINE + 1);
        let heard = HashMap::from([("a".to_owned(), NINE + 3 * HOUR_US + SLACK_US)]);
        seal(&mut hours, &heard, 0);
        let all = [(9, "a".into(), true), (10, "a".into(), true), (11, "a".into(), true)];
        assert_eq!(sealed(&hours, Some("icu")), all);
        assert_eq!(sealed(&hours, None), all);
        let long = HashMap::from([("a".to_owned(), NINE + 30 * DAY_US)]);
        seal(&mut hours, &long, 0);
        assert_eq!(sealed(&hours, Some("icu")).len(), 1 + 7 * 24);
    }

    #[test]
    fn a_source_that_was_not_known_opens_what_it_brings_rows_of() {
        let mut hours = Hours::new();
        row(&mut hours, NINE, Some("icu"), "a", 5);
        passed(&mut hours, "a", NINE + 5 * HOUR_US);
        seal(&mut hours, &HashMap::new(), 0);
        assert!(hours.values().filter(|count| count.landed > 0).all(|count| count.sealed));
        row(&mut hours, NINE, Some("icu"), "late", 1);
        passed(&mut hours, "late", NINE + 1);
        seal(&mut hours, &HashMap::new(), 0);
        assert!(hours.iter().filter(|(key, _)| key.site.is_some()).all(|(_, count)| !count.sealed));
    }

    #[test]
    fn who_has_not_brought_anything_for_a_week_is_not_waited_for() {
        let mut hours = Hours::new();
        row(&mut hours, NINE, Some("icu"), "gone", 5);
        passed(&mut hours, "gone", NINE + 1);
        let later = NINE + KNOWN_US + HOUR_US;
        row(&mut hours, later, Some("icu"), "a", 5);
        passed(&mut hours, "a", later + 2 * HOUR_US);
        seal(&mut hours, &HashMap::new(), 0);
        let of_later = sealed(&hours, Some("icu"));
        assert!(of_later.contains(&(later / HOUR_US, "a".into(), true)), "{of_later:?}");
    }

    #[test]
    fn a_clock_in_the_future_seals_nothing_and_fills_nothing() {
        let mut hours = Hours::new();
        row(&mut hours, NINE + 1000 * DAY_US, Some("icu"), "a", 1);
        row(&mut hours, NINE, Some("icu"), "a", 1);
        passed(&mut hours, "a", NINE + 2 * HOUR_US);
        seal(&mut hours, &HashMap::new(), 0);
        let of_site = sealed(&hours, Some("icu"));
        assert_eq!(of_site.len(), 2, "{of_site:?}");
        assert_eq!((of_site[0].2, of_site[1].2), (true, false));
    }
}
