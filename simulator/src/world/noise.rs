//! Correlated noise and the daily rhythm.

use crate::seeded::Stream;

/// An Ornstein–Uhlenbeck process with standard deviation 1 on a fixed grid of one second.
#[derive(Debug, Clone)]
pub(crate) struct Slow {
    value: f64,
    keep: f64,
    kick: f64,
    weight: f64,
}

impl Slow {
    /// `share` of the variance, with a correlation time of `tau_min` minutes.
    pub(crate) fn new(stream: &mut Stream, share: f64, tau_min: f64) -> Self {
        let keep = libm::exp(-1.0 / (60.0 * tau_min));
        let kick = libm::sqrt(1.0 - keep * keep);
        Self { value: stream.normal(0.0, 1.0), keep, kick, weight: libm::sqrt(share) }
    }

    /// One second passes.
    pub(crate) fn step(&mut self, stream: &mut Stream) {
        self.value = self.keep * self.value + self.kick * stream.normal(0.0, 1.0);
    }

    /// The noise now, weighted with its share.
    pub(crate) fn now(&self) -> f64 {
        self.weight * self.value
    }
}

/// The daily rhythm: 1 at `peak_hour`, -1 twelve hours later.
pub(crate) fn daily(hour: f64, peak_hour: f64) -> f64 {
    libm::cos(core::f64::consts::TAU * (hour - peak_hour) / 24.0)
}

/// Rounds to a multiple of `step`'s inverse: `rounded(x, 10.0)` keeps one decimal.
pub(crate) fn rounded(value: f64, per_unit: f64) -> f64 {
    // Adding 0 turns -0 into 0.
    (value * per_unit).round() / per_unit + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_keeps_its_variance_and_forgets_with_its_time_constant() {
        let mut stream = Stream::new(3, "test", "noise", "");
        let mut noise = Slow::new(&mut stream, 1.0, 1.0);
        let values: Vec<f64> = (0..200_000)
            .map(|_| {
                noise.step(&mut stream);
                noise.now()
            })
            .collect();
        let n = 200_000.0;
        let variance = values.iter().map(|x| x * x).sum::<f64>() / n;
        assert!((variance - 1.0).abs() < 0.1, "{variance}");
        let lagged: f64 = values.iter().zip(&values[60..]).map(|(a, b)| a * b).sum::<f64>() / n;
        assert!((lagged / variance - (-1.0f64).exp()).abs() < 0.1, "{lagged}");
    }

    #[test]
    fn rounding_has_no_minus_zero() {
        assert!(rounded(-0.04, 10.0).is_sign_positive());
        assert_eq!(rounded(36.649, 10.0).to_string(), "36.6");
    }
}
