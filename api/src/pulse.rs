//! What moves over time: rates, what was refused of late, and since when something is wrong. Looked at every few seconds.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use service_runtime::counts::Groups;

/// How often it is looked.
pub(crate) const EVERY: Duration = Duration::from_secs(5);
/// Rates are of so long.
const RATES_OF: Duration = Duration::from_secs(60);
/// What grew so lately is a trouble.
const OF_LATE: Duration = Duration::from_secs(300);
/// The states of devices, in the order of their counts.
pub(crate) const DEVICE_STATES: [&str; 3] = ["online", "silent", "unknown"];
/// The states of alerts that are there, and how bad they are, in the order of their counts.
pub(crate) const ALERT_STATES: [&str; 4] = ["pending", "firing", "acknowledged", "silenced"];
pub(crate) const SEVERITIES: [&str; 3] = ["info", "warning", "critical"];
/// Minutes of dead letters that are kept.
const MINUTES: usize = 60;

/// What is counted from the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Messages that the gateway accepted, or without one those that landed.
    pub(crate) messages: u64,
    pub(crate) rows: u64,
    pub(crate) landings: u64,
}

/// What is seen at a look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Look {
    pub(crate) totals: Totals,
    pub(crate) counts: Groups,
    pub(crate) unready: Vec<&'static str>,
}

/// How much comes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) messages_per_s: f64,
    pub(crate) rows_per_s: f64,
    pub(crate) landings_per_min: f64,
}

/// A count that grew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grown {
    pub(crate) count: u64,
    /// When it grew for the first time since it was calm, and the last time; Unix microseconds.
    pub(crate) since_us: i64,
    pub(crate) last_us: i64,
    pub(crate) at: Duration,
}

/// Alerts by state and severity.
pub(crate) type Alerts = [[usize; SEVERITIES.len()]; ALERT_STATES.len()];

/// What is counted now and then.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) devices: [usize; 3],
    pub(crate) alerts: Alerts,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pulse(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    looks: VecDeque<(Duration, Totals)>,
    grown: BTreeMap<(String, String), Grown>,
    /// Since when each part that could not work at the last look could not.
    unready: BTreeMap<&'static str, i64>,
    /// Dead letters by the end of each minute.
    letters: VecDeque<(u64, u64)>,
    counted: Option<Counted>,
    of_source: HashMap<String, usize>,
}

impl Pulse {
    /// Takes what is seen.
    pub(crate) fn look(&self, (now, now_us): (Duration, i64), look: Look) {
        let mut kept = self.kept();
        kept.looks.push_back((now, look.totals));
        // The oldest that is kept is the one from which on rates are counted.
        while kept.looks.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= RATES_OF) {
            kept.looks.pop_front();
        }
        let letters = look.counts.get("dead_letters").map_or(0, |all| all.values().sum());
        kept.letters_are(now.as_secs() / 60, letters);
        kept.counts_are((now, now_us), &look.counts);
        let before = std::mem::take(&mut kept.unready);
        let since = |part| before.get(part).copied().unwrap_or(now_us);
        kept.unready = look.unready.iter().map(|part| (*part, since(part))).collect();
    }

    /// Takes how many devices and alerts there are, and devices of each source.
    pub(crate) fn counts(&self, counted: Counted, of_source: HashMap<String, usize>) {
        let mut kept = self.kept();
        (kept.counted, kept.of_source) = (Some(counted), of_source);
    }

    /// What was counted last; nothing before the first time.
    pub(crate) fn counted(&self) -> Option<Counted> {
        self.kept().counted
    }

    /// Devices of a source, as of the last count.
    pub(crate) fn devices_of(&self, source: &str) -> Option<usize> {
        self.kept().of_source.get(source).copied()
    }

    pub(crate) fn device_totals(&self) -> [usize; 3] {
        self.counted().unwrap_or_default().devices
    }

    pub(crate) fn rates(&self) -> Rates {
        let kept = self.kept();
        let (Some((from, first)), Some((to, last))) = (kept.looks.front(), kept.looks.back())
        else {
            return Rates::default();
        };
        let seconds = to.saturating_sub(*from).as_secs_f64();
        if seconds <= 0.0 {
            return Rates::default();
        }
        let a_second = |from: u64, to: u64| {
            let more = u32::try_from(to.saturating_sub(from)).unwrap_or(u32::MAX);
            f64::from(more) / seconds
        };
        Rates {
            messages_per_s: a_second(first.messages, last.messages),
            rows_per_s: a_second(first.rows, last.rows),
            landings_per_min: a_second(first.landings, last.landings) * 60.0,
        }
    }

    /// Dead letters since the start, and in the last hour.
    pub(crate) fn dead_letters(&self) -> (u64, u64) {
        let kept = self.kept();
        let of = |at: Option<&(u64, u64)>| at.map_or(0, |(_, letters)| *letters);
        let (first, last) = (of(kept.letters.front()), of(kept.letters.back()));
        let before = if kept.letters.len() < MINUTES { 0 } else { first };
        (last, last - before.min(last))
    }

    /// What grew of late.
    pub(crate) fn grown_of_late(&self, now: Duration) -> Vec<((String, String), Grown)> {
        let kept = self.kept();
        let late = kept.grown.iter().filter(|(_, it)| now.saturating_sub(it.at) < OF_LATE);
        late.map(|(name, it)| (name.clone(), it.clone())).collect()
    }

    /// What was counted in a group, by reason.
    pub(crate) fn group(&self, group: &str) -> Vec<(String, Grown)> {
        let kept = self.kept();
        let own = kept.grown.iter().filter(|((own, _), _)| own == group);
        own.map(|((_, reason), it)| (reason.clone(), it.clone())).collect()
    }

    /// Parts that cannot work `now`: why, and since when. Who is well again by now is not among them, whatever the last
    /// look saw.
    pub(crate) fn unready(
        &self,
        now: Vec<(&'static str, String)>,
        now_us: i64,
    ) -> Vec<(&'static str, String, i64)> {
        let kept = self.kept();
        let since = |part: &str| kept.unready.get(part).map_or(now_us, |since_us| *since_us);
        now.into_iter().map(|(part, why)| (part, why, since(part))).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn letters_are(&mut self, minute: u64, letters: u64) {
        match self.letters.back_mut() {
            Some((last, count)) if *last == minute => *count = letters,
            _ => self.letters.push_back((minute, letters)),
        }
        while self.letters.front().is_some_and(|(first, _)| minute - first > MINUTES as u64) {
            self.letters.pop_front();
        }
    }

    /// Reasons are words of the program, so their number is limited by it.
    fn counts_are(&mut self, (now, now_us): (Duration, i64), counts: &Groups) {
        let all = counts.iter().flat_map(|(group, reasons)| {
            reasons.iter().map(move |(reason, count)| ((group.clone(), reason.clone()), *count))
        });
        for (name, count) in all {
            let new = || Grown { count: 0, since_us: now_us, last_us: now_us, at: now };
            let grown = self.grown.entry(name).or_insert_with(new);
            if count > grown.count {
                if now.saturating_sub(grown.at) >= OF_LATE {
                    grown.since_us = now_us;
                }
                *grown = Grown { count, last_us: now_us, at: now, ..*grown };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(s: u64) -> (Duration, i64) {
        (Duration::from_secs(s), s.cast_signed() * 1_000_000)
    }

    fn counted(count: u64) -> Look {
        let reasons = [("json_syntax".to_owned(), count)].into();
        Look { counts: [("dead_letters".to_owned(), reasons)].into(), ..Look::default() }
    }

    #[test]
    fn rates_are_of_the_last_minute() {
        let pulse = Pulse::default();
        assert_eq!(pulse.rates(), Rates::default());
        for s in (0..=300_u64).step_by(5) {
            let n = s.saturating_sub(200);
            let totals = Totals { messages: n * 3, rows: n * 10, landings: n / 10 };
            pulse.look(at(s), Look { totals, ..Look::default() });
        }
        let rates = pulse.rates();
        assert_eq!(
            (rates.messages_per_s, rates.rows_per_s, rates.landings_per_min),
            (3.0, 10.0, 6.0)
        );
        assert!(pulse.kept().looks.len() <= 14, "bounded");
    }

    #[test]
    fn what_grew_is_a_trouble_for_five_minutes_and_begins_anew_after_a_calm() {
        let pulse = Pulse::default();
        pulse.look(at(10), counted(1));
        pulse.look(at(20), counted(2));
        pulse.look(at(30), counted(2));
        let grown = pulse.grown_of_late(Duration::from_secs(100));
        assert_eq!(
            (grown[0].1.count, grown[0].1.since_us, grown[0].1.last_us),
            (2, 10_000_000, 20_000_000)
        );
        assert!(pulse.grown_of_late(Duration::from_secs(320)).is_empty());
        pulse.look(at(1_000), counted(3));
        assert_eq!(pulse.grown_of_late(Duration::from_secs(1_001))[0].1.since_us, 1_000_000_000);
    }

    #[test]
    fn dead_letters_of_the_last_hour_are_those_since_then() {
        let pulse = Pulse::default();
        for minute in 0..200 {
            pulse.look(at(minute * 60), counted(minute));
        }
        assert_eq!(pulse.dead_letters(), (199, 60));
        assert!(pulse.kept().letters.len() <= MINUTES + 1, "bounded");
    }

    #[test]
    fn a_part_is_unready_since_it_first_was_and_until_it_is_ready() {
        let pulse = Pulse::default();
        let now = |parts: &[&'static str]| parts.iter().map(|part| (*part, "why".into())).collect();
        let looked = || Look { unready: vec!["lake"], ..Look::default() };
        pulse.look(at(1), looked());
        pulse.look(at(2), looked());
        let unready = pulse.unready(now(&["broker", "lake"]), 2_500_000);
        let why = String::from("why");
        assert_eq!(unready, [("broker", why.clone(), 2_500_000), ("lake", why, 1_000_000)]);
        assert!(pulse.unready(now(&[]), 2_500_000).is_empty(), "well again since the last look");
        pulse.look(at(3), Look::default());
        pulse.look(at(4), looked());
        assert_eq!(pulse.unready(now(&["lake"]), 5_000_000)[0].2, 4_000_000, "ill anew");
    }
}
