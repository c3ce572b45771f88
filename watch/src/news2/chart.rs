//! The chart: seven parameters, each 0 to 3, and their sum.

/// Which scale oxygen saturation is read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scale {
    /// For all but those of scale 2.
    #[default]
    One,
    /// For patients with hypercapnic respiratory failure whose target is 88–92 %; only by a clinician's order.
    Two,
}

/// Level of consciousness: ACVPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consciousness {
    /// Alert.
    Alert,
    /// New confusion.
    Confusion,
    /// Responds to voice.
    Voice,
    /// Responds to pain.
    Pain,
    /// Unresponsive.
    Unresponsive,
}

impl Consciousness {
    /// What a word that monitors send stands for.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        let word = word.trim().to_ascii_lowercase();
        Some(match word.as_str() {
            "a" | "alert" => Self::Alert,
            "c" | "confusion" | "confused" => Self::Confusion,
            "v" | "voice" | "verbal" => Self::Voice,
            "p" | "pain" => Self::Pain,
            "u" | "unresponsive" => Self::Unresponsive,
            _ => return None,
        })
    }
}

/// The parameters, in the order of the chart.
pub const PARAMETERS: [&str; 7] = [
    "respiration",
    "oxygen saturation",
    "air or oxygen",
    "systolic pressure",
    "pulse",
    "consciousness",
    "temperature",
];

/// Places among [`PARAMETERS`] of two of which one depends on the other.
pub(crate) const SATURATION: usize = 1;
pub(crate) const OXYGEN: usize = 2;

/// What is known of a patient; what is not known is none, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Observations {
    /// Breaths per minute.
    pub resp_rate: Option<f64>,
    /// Oxygen saturation, %.
    pub spo2: Option<f64>,
    /// On supplemental oxygen.
    pub oxygen: Option<bool>,
    /// Systolic blood pressure, mm[Hg].
    pub systolic: Option<f64>,
    /// Beats per minute.
    pub pulse: Option<f64>,
    /// Level of consciousness.
    pub consciousness: Option<Consciousness>,
    /// Temperature, °C.
    pub temperature: Option<f64>,
}

/// A score, by parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Score {
    /// In the order of [`PARAMETERS`]; none: not known.
    pub parts: [Option<u8>; 7],
}

impl Score {
    /// The sum of what is known: with parameters missing a lower bound.
    #[must_use]
    pub fn total(&self) -> u8 {
        self.parts.iter().flatten().sum()
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.parts.iter().all(Option::is_some)
    }

    /// The parameters that are missing.
    pub fn missing(&self) -> impl Iterator<Item = &'static str> + '_ {
        PARAMETERS.iter().zip(&self.parts).filter(|(_, part)| part.is_none()).map(|(name, _)| *name)
    }

    /// The parameters that score 3 by themselves.
    pub fn red(&self) -> impl Iterator<Item = &'static str> + '_ {
        PARAMETERS
            .iter()
            .zip(&self.parts)
            .filter(|(_, part)| **part == Some(3))
            .map(|(name, _)| *name)
    }

    /// Which are known, a bit each.
    pub(crate) fn known(&self) -> u8 {
        (0..).zip(&self.parts).map(|(at, part)| u8::from(part.is_some()) << at).sum()
    }
}

/// Reads the chart. Numbers are rounded half up to the chart's resolution (whole numbers; temperature to 0.1), so that
/// there is no gap between its bands.
#[must_use]
pub fn score(seen: &Observations, scale: Scale) -> Score {
    Score { parts: std::array::from_fn(|at| part(at, seen, scale)) }
}

/// The points of one parameter, by its place among [`PARAMETERS`]. It depends on nothing but that parameter; saturation also on oxygen.
pub(crate) fn part(at: usize, seen: &Observations, scale: Scale) -> Option<u8> {
    let whole = |value: Option<f64>| value.filter(|v| v.is_finite()).map(|v| v + 0.5);
    match at {
        0 => whole(seen.resp_rate).map(respiration),
        SATURATION => whole(seen.spo2).and_then(|spo2| match scale {
            Scale::One => Some(saturation_1(spo2)),
            Scale::Two => saturation_2(spo2, seen.oxygen),
        }),
        OXYGEN => seen.oxygen.map(|oxygen| if oxygen { 2 } else { 0 }),
        3 => whole(seen.systolic).map(systolic),
        4 => whole(seen.pulse).map(pulse),
        5 => seen.consciousness.map(|level| if level == Consciousness::Alert { 0 } else { 3 }),
        _ => seen.temperature.filter(|t| t.is_finite()).map(temperature),
    }
}

/// The points of the first band whose upper edge, a whole number, is not below the value; `beyond` are those above all. The value
/// comes with a half added: what is less than the next whole number is rounded down to the edge, without a call for rounding it.
fn band(value: f64, bands: &[(f64, u8)], beyond: u8) -> u8 {
    bands.iter().find(|(edge, _)| value < *edge + 1.0).map_or(beyond, |(_, points)| *points)
}

fn respiration(rate: f64) -> u8 {
    band(rate, &[(8.0, 3), (11.0, 1), (20.0, 0), (24.0, 2)], 3)
}

fn saturation_1(spo2: f64) -> u8 {
    band(spo2, &[(91.0, 3), (93.0, 2), (95.0, 1)], 0)
}

/// From 93 % on it depends on whether oxygen is given: too much of it harms.
fn saturation_2(spo2: f64, oxygen: Option<bool>) -> Option<u8> {
    if spo2 < 93.0 {
        return Some(band(spo2, &[(83.0, 3), (85.0, 2), (87.0, 1)], 0));
    }
    oxygen.map(|given| if given { band(spo2, &[(94.0, 1), (96.0, 2)], 3) } else { 0 })
}

fn systolic(pressure: f64) -> u8 {
    band(pressure, &[(90.0, 3), (100.0, 2), (110.0, 1), (219.0, 0)], 3)
}

fn pulse(rate: f64) -> u8 {
    band(rate, &[(40.0, 3), (50.0, 1), (90.0, 0), (110.0, 1), (130.0, 2)], 3)
}

fn temperature(celsius: f64) -> u8 {
    // Tenths as whole numbers: 35.1 is no exact double. A hair is added since 35.05 × 10 is 350.49999….
    let tenths = celsius * 10.0 + 0.5 + 1e-9;
    band(tenths, &[(350.0, 3), (360.0, 1), (380.0, 0), (390.0, 1)], 2)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
