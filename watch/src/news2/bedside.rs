//! What is known of the patient at a device: the newest observations, how old they are, and how the score came to be.

use std::collections::VecDeque;

use super::chart::{Consciousness, OXYGEN, Observations, SATURATION, Scale, Score, part, score};
use crate::wire::{Broken, Reader, Writer};

/// What a metric is to the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    Respiration,
    Saturation,
    OxygenShare,
    OxygenFlow,
    Systolic,
    Pulse,
    Consciousness,
    Temperature,
}

impl Parameter {
    /// All with the metrics that say them.
    pub(crate) const METRICS: [(&'static str, Self); 11] = [
        ("resp_rate", Self::Respiration),
        ("spo2", Self::Saturation),
        ("inhaled_o2_conc", Self::OxygenShare),
        ("o2_flow", Self::OxygenFlow),
        ("nibp_sys", Self::Systolic),
        ("abp_sys", Self::Systolic),
        ("heart_rate", Self::Pulse),
        ("pulse_rate", Self::Pulse),
        ("consciousness", Self::Consciousness),
        ("temp_body", Self::Temperature),
        ("temp_core", Self::Temperature),
    ];

    pub(crate) fn of_metric(metric: &str) -> Option<Self> {
        Self::METRICS.iter().find(|(name, _)| *name == metric).map(|(_, parameter)| *parameter)
    }

    /// Its place in the chart.
    fn place(self) -> usize {
        match self {
            Self::Respiration => 0,
            Self::Saturation => SATURATION,
            Self::OxygenShare | Self::OxygenFlow => OXYGEN,
            Self::Systolic => 3,
            Self::Pulse => 4,
            Self::Consciousness => 5,
            Self::Temperature => 6,
        }
    }

    /// Those that are measured all the time are smoothed.
    fn ring(self) -> Option<usize> {
        match self {
            Self::Respiration => Some(0),
            Self::Saturation => Some(1),
            Self::Pulse => Some(2),
            _ => None,
        }
    }
}

/// For how long an observation counts, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ages {
    /// Respiration, saturation and pulse.
    pub(crate) vitals_us: i64,
    pub(crate) pressure_us: i64,
    pub(crate) temperature_us: i64,
    /// Consciousness and oxygen, which people observe.
    pub(crate) observed_us: i64,
}

impl Ages {
    fn of(&self, place: usize) -> i64 {
        match place {
            0 | 1 | 4 => self.vitals_us,
            3 => self.pressure_us,
            6 => self.temperature_us,
            _ => self.observed_us,
        }
    }
}

/// What stands in where nothing was said, by the rule's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Assumed {
    pub(crate) oxygen: Option<bool>,
    pub(crate) consciousness: Option<Consciousness>,
}

/// How the score is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) ages: Ages,
    pub(crate) assumed: Assumed,
    /// The score's past that is kept, microseconds; 0: none.
    pub(crate) past_us: i64,
}

/// Samples that are smoothed, at most, and within how long.
const SAMPLES: usize = 5;
const SAMPLES_US: i64 = 60_000_000;
/// Scores of the past that are kept.
const PAST_MAX: usize = 64;
const NEVER: i64 = i64::MIN;

/// One parameter, as it was observed last. Consciousness and oxygen are numbers here, too.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Observed {
    at_us: i64,
    value: f64,
}

/// A score of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Past {
    at_us: i64,
    total: u8,
    known: u8,
}

/// The last samples of a parameter, oldest first; held here and not elsewhere, since every row of it needs them.
#[derive(Debug, Clone, Copy)]
struct Samples {
    all: [(i64, f64); SAMPLES],
    len: u8,
}

impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        self.seen() == other.seen()
    }
}

/// The score of all that was observed, as it was made last: a row changes one parameter of seven. It follows from the rest.
#[derive(Debug, Clone, Copy)]
struct Kept {
    assumed: Assumed,
    scale: Scale,
    score: Score,
    /// Parameters that were observed since, a bit each.
    stale: u8,
}

const ALL: u8 = 0x7f;

impl PartialEq for Kept {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bedside {
    now_us: i64,
    kept: Kept,
    observed: [Observed; 7],
    samples: [Samples; 3],
    past: VecDeque<Past>,
}

impl Default for Bedside {
    fn default() -> Self {
        let observed = [Observed { at_us: NEVER, value: 0.0 }; 7];
        let samples = [Samples { all: [(0, 0.0); SAMPLES], len: 0 }; 3];
        let (assumed, scale, score) = (Assumed::default(), Scale::One, Score::default());
        let kept = Kept { assumed, scale, score, stale: ALL };
        Self { now_us: NEVER, kept, observed, samples, past: VecDeque::new() }
    }
}

impl Bedside {
    /// Reads what the next row needs first: see [`crate::ahead`].
    pub(crate) fn glance(&self) -> i64 {
        let samples = self.samples.iter().map(|samples| samples.all[SAMPLES - 1].0);
        let observed = self.observed.iter().map(|observed| observed.at_us);
        samples.chain(observed).fold(self.now_us, |sum, us| sum ^ us)
    }

    /// Takes an observation. False if it says nothing.
    pub(crate) fn observe(
        &mut self,
        parameter: Parameter,
        value: Option<f64>,
        text: Option<&str>,
        at_us: i64,
    ) -> bool {
        let value = match parameter {
            Parameter::Consciousness => text.and_then(Consciousness::of_word).map(number_of),
            Parameter::OxygenShare => value.map(|share| f64::from(u8::from(share > 21.0))),
            Parameter::OxygenFlow => value.map(|flow| f64::from(u8::from(flow > 0.0))),
            _ => value,
        };
        let Some(value) = value.filter(|value| value.is_finite()) else { return false };
        let place = parameter.place();
        // Two metrics may say the same parameter: what happened last counts.
        if at_us < self.observed[place].at_us {
            return false;
        }
        self.now_us = self.now_us.max(at_us);
        let value =
            parameter.ring().map_or(value, |ring| self.samples[ring].smoothed(value, at_us));
        self.observed[place] = Observed { at_us, value };
        self.kept.stale |= 1 << place;
        true
    }

    /// The score of what is fresh, and the score that counts what has grown old as it was.
    pub(crate) fn scores(&mut self, settings: &Settings, scale: Scale) -> (Score, Score) {
        let kept = self.kept(settings, scale);
        debug_assert_eq!(kept, score(&settings.filled(self.seen(|_| true)), scale));
        let is_fresh = |place: usize| {
            let at_us = self.observed[place].at_us;
            at_us == NEVER || self.now_us.saturating_sub(at_us) <= settings.ages.of(place)
        };
        // Mostly nothing has grown old.
        if (0..self.observed.len()).all(is_fresh) {
            return (kept, kept);
        }
        (score(&settings.filled(self.seen(is_fresh)), scale), kept)
    }

    /// The score of all that was observed.
    fn kept(&mut self, settings: &Settings, scale: Scale) -> Score {
        let mut kept = self.kept;
        if (kept.assumed, kept.scale) != (settings.assumed, scale) {
            (kept.assumed, kept.scale, kept.stale) = (settings.assumed, scale, ALL);
        }
        if kept.stale & (1 << OXYGEN) != 0 {
            kept.stale |= 1 << SATURATION;
        }
        while kept.stale != 0 {
            let place = kept.stale.trailing_zeros() as usize;
            kept.stale &= kept.stale - 1;
            let seen = settings.filled(self.seen(|at| at == place || at == OXYGEN));
            kept.score.parts[place] = part(place, &seen, scale);
        }
        self.kept = kept;
        kept.score
    }

    /// By how much the score is above its lowest within the past, among scores that know the same parameters; keeps it.
    pub(crate) fn rise(&mut self, score: &Score, past_us: i64) -> (u8, bool) {
        let now = Past { at_us: self.now_us, total: score.total(), known: score.known() };
        let from = now.at_us.saturating_sub(past_us);
        while self.past.front().is_some_and(|past| past.at_us < from) {
            self.past.pop_front();
        }
        // Of scores that know the same, only one that is lower than all after it will ever be the lowest.
        self.past.retain(|past| past.known != now.known || past.total < now.total);
        let full = self.past.len() >= PAST_MAX;
        if full {
            self.past.pop_front();
        }
        self.past.push_back(now);
        let lowest =
            self.past.iter().filter(|past| past.known == now.known).map(|past| past.total).min();
        (now.total - lowest.unwrap_or(now.total).min(now.total), full)
    }

    fn seen(&self, counts: impl Fn(usize) -> bool) -> Observations {
        let of = |place: usize| {
            let known = self.observed[place].at_us != NEVER && counts(place);
            known.then_some(self.observed[place].value)
        };
        Observations {
            resp_rate: of(0),
            spo2: of(1),
            oxygen: of(2).map(|given| given > 0.0),
            systolic: of(3),
            pulse: of(4),
            consciousness: of(5).and_then(level_of),
            temperature: of(6),
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.past.capacity() * size_of::<Past>()
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.time(self.now_us);
        for observed in &self.observed {
            out.time(observed.at_us);
            out.double(observed.value);
        }
        for samples in &self.samples {
            out.count(samples.seen().len());
            for (at_us, value) in samples.seen() {
                out.time(*at_us);
                out.double(*value);
            }
        }
        out.count(self.past.len());
        for past in &self.past {
            out.time(past.at_us);
            out.byte(past.total);
            out.byte(past.known);
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let mut bedside = Self { now_us: from.time()?, ..Self::default() };
        for observed in &mut bedside.observed {
            *observed = Observed { at_us: from.time()?, value: from.double()? };
        }
        for samples in &mut bedside.samples {
            for _ in 0..within(from.count()?, SAMPLES)? {
                samples.push((from.time()?, from.double()?));
            }
        }
        for _ in 0..within(from.count()?, PAST_MAX)? {
            bedside.past.push_back(Past {
                at_us: from.time()?,
                total: from.byte()?,
                known: from.byte()?,
            });
        }
        Ok(bedside)
    }
}

impl Settings {
    fn filled(&self, mut seen: Observations) -> Observations {
        seen.oxygen = seen.oxygen.or(self.assumed.oxygen);
        seen.consciousness = seen.consciousness.or(self.assumed.consciousness);
        seen
    }
}

fn within(count: usize, most: usize) -> Result<usize, Broken> {
    if count > most { Err(Broken) } else { Ok(count) }
}

impl Samples {
    fn seen(&self) -> &[(i64, f64)] {
        &self.all[..usize::from(self.len)]
    }

    /// Adds one; of too many the oldest goes.
    fn push(&mut self, sample: (i64, f64)) {
        if usize::from(self.len) == SAMPLES {
            self.all.copy_within(1.., 0);
            self.len -= 1;
        }
        self.all[usize::from(self.len)] = sample;
        self.len += 1;
    }

    /// The median of the last samples of a minute, this one being the newest.
    fn smoothed(&mut self, value: f64, at_us: i64) -> f64 {
        self.push((at_us, value));
        // Never earlier than those before it: those that are too old are the first ones.
        let old = |(sampled_us, _): &&(i64, f64)| at_us.saturating_sub(*sampled_us) >= SAMPLES_US;
        let old = self.seen().iter().take_while(old).count();
        if old > 0 {
            self.all.copy_within(old.., 0);
            self.len -= u8::try_from(old).unwrap_or(0);
        }
        let mut values = self.all.map(|(_, value)| ordered(value));
        let values = &mut values[..usize::from(self.len)];
        values.sort_unstable();
        f64::midpoint(
            of_ordered(values[(values.len() - 1) / 2]),
            of_ordered(values[values.len() / 2]),
        )
    }
}

/// A number whose order as an integer is that of [`f64::total_cmp`].
fn ordered(value: f64) -> i64 {
    let bits = value.to_bits().cast_signed();
    bits ^ ((bits >> 63) & i64::MAX)
}

/// The number that [`ordered`] made this of.
fn of_ordered(number: i64) -> f64 {
    f64::from_bits((number ^ ((number >> 63) & i64::MAX)).cast_unsigned())
}

fn number_of(level: Consciousness) -> f64 {
    if level == Consciousness::Alert { 0.0 } else { 1.0 }
}

/// All levels but alert score the same.
fn level_of(number: f64) -> Option<Consciousness> {
    Some(if number > 0.0 { Consciousness::Confusion } else { Consciousness::Alert })
}

#[cfg(test)]
mod tests;
