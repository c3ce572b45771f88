//! SampledData: a series of samples in one text, each becomes a reading.

use serde_json::Value;

use super::element::{Tree, text_of};

/// Samples of one message that become readings of their own. A longer series is one reading that says where it is.
pub(super) const SAMPLES_MAX: usize = 10_000;

/// A series. Its samples come in turns, one of each dimension.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sampled<'a> {
    origin: f64,
    factor: f64,
    period_us: f64,
    pub(super) dimensions: usize,
    low: Option<f64>,
    high: Option<f64>,
    data: &'a str,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Sample {
    /// After the first, in microseconds.
    pub(super) after_us: i64,
    /// Number of its dimension, from 0.
    pub(super) dimension: usize,
    pub(super) reached: Reached,
}

/// What a sample says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Reached {
    Value(f64),
    /// Below what can be measured, if it is known what that is.
    Below(Option<f64>),
    /// Above it.
    Above(Option<f64>),
    /// It failed.
    Error,
    /// It is no sample.
    Unread,
}

impl<'a> Sampled<'a> {
    /// Reads all but the samples; `None`: it is no series that could be read.
    pub(super) fn of(tree: &'a Tree) -> Option<Self> {
        let number = |name: &str| tree.get(name).and_then(Value::as_f64);
        let origin = tree.get("origin")?.get("value").and_then(Value::as_f64);
        let dimensions = tree.get("dimensions").map_or(Some(1), Value::as_u64)?;
        Some(Self {
            origin: origin.unwrap_or_default(),
            factor: number("factor").unwrap_or(1.0),
            period_us: number("period")? * 1000.0,
            dimensions: usize::try_from(dimensions).ok().filter(|number| *number > 0)?,
            low: number("lowerLimit"),
            high: number("upperLimit"),
            data: text_of(tree.get("data"))?,
        })
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.data.split_ascii_whitespace().count()
    }

    pub(super) fn samples(&self) -> impl Iterator<Item = Sample> + '_ {
        self.data.split_ascii_whitespace().enumerate().map(|(number, word)| {
            let turn = number / self.dimensions;
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                reason = "there are few, and a time beyond all calendars is refused later"
            )]
            let after_us = (turn as f64 * self.period_us).round() as i64;
            let dimension = number % self.dimensions;
            Sample { after_us, dimension, reached: self.reached(word) }
        })
    }

    fn reached(&self, word: &str) -> Reached {
        match word {
            "E" => Reached::Error,
            "L" => Reached::Below(self.low.map(|raw| self.scaled(raw))),
            "U" => Reached::Above(self.high.map(|raw| self.scaled(raw))),
            _ => decimal(word).map_or(Reached::Unread, |raw| Reached::Value(self.scaled(raw))),
        }
    }

    fn scaled(&self, raw: f64) -> f64 {
        self.origin + self.factor * raw
    }
}

/// A number as FHIR has them here: also `.5` and `007`.
fn decimal(word: &str) -> Option<f64> {
    let digits = word.bytes().all(|byte| byte.is_ascii_digit() || b".-+eE".contains(&byte));
    word.parse().ok().filter(|number: &f64| digits && number.is_finite())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn samples_are_scaled_and_timed_and_come_in_turns() {
        let json = json!({"origin": {"value": 100}, "period": 2.5, "factor": 0.5, "lowerLimit": -10, "dimensions": 2, "data": "1 -2  L U\nE inf 010."});
        let sampled = Sampled::of(json.as_object().unwrap()).unwrap();
        let shown: Vec<_> =
            sampled.samples().map(|one| (one.after_us, one.dimension, one.reached)).collect();
        let expected = [
            (0, 0, Reached::Value(100.5)),
            (0, 1, Reached::Value(99.0)),
            (2500, 0, Reached::Below(Some(95.0))),
            (2500, 1, Reached::Above(None)),
            (5000, 0, Reached::Error),
            (5000, 1, Reached::Unread),
            (7500, 0, Reached::Value(105.0)),
        ];
        assert_eq!(shown, expected);
        assert_eq!(sampled.len(), 7);
    }

    #[test]
    fn what_is_no_series_is_none() {
        for json in [
            json!({}),
            json!({"origin": {"value": 0}, "data": "1"}),
            json!({"origin": {"value": 0}, "period": 10}),
            json!({"origin": {"value": 0}, "period": 10, "dimensions": 0, "data": "1"}),
            json!({"origin": {"value": 0}, "period": 10, "dimensions": -1, "data": "1"}),
            json!({"origin": 7, "period": "x", "dimensions": 1, "data": "1"}),
        ] {
            assert_eq!(Sampled::of(json.as_object().unwrap()), None, "{json}");
        }
    }
}
