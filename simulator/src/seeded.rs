//! Random numbers by name: every (seed, kind, id, purpose) has its own stream.
//!
//! A device that is added or asked more often does not shift another one's numbers. The functions of
//! `libm` are used instead of the platform's, so that the same seed gives the same bits everywhere.

use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// One stream of random numbers.
#[derive(Debug, Clone)]
pub struct Stream {
    rng: ChaCha8Rng,
    spare_normal: Option<f64>,
}

impl Stream {
    /// The stream of `purpose` of the thing `id` of sort `kind`.
    #[must_use]
    pub fn new(seed: u64, kind: &str, id: &str, purpose: &str) -> Self {
        let name = format!("{kind}\0{id}\0{purpose}");
        let mut key = [0u8; 32];
        // Two hashes with different seeds make the 256 bits of a ChaCha key.
        key[..16].copy_from_slice(&xxh3_128_with_seed(name.as_bytes(), seed).to_le_bytes());
        key[16..].copy_from_slice(&xxh3_128_with_seed(name.as_bytes(), !seed).to_le_bytes());
        Self { rng: ChaCha8Rng::from_seed(key), spare_normal: None }
    }

    /// Any 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn unit(&mut self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
        let unit = (self.rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        unit
    }

    /// Uniform in `[low, high)`.
    pub fn range(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// Uniform in `0..n`; 0 when `n` is 0. The bias is below `n / 2^64`.
    pub fn below(&mut self, n: u64) -> u64 {
        let wide = u128::from(self.rng.next_u64()) * u128::from(n);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// One of `choices`, all equally likely.
    ///
    /// # Panics
    /// When there is nothing to choose from.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        choices[index]
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }

    /// Normally distributed (Box and Muller).
    pub fn normal(&mut self, mean: f64, sd: f64) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return mean + sd * spare;
        }
        // 1 - unit lies in (0, 1], so the logarithm is finite.
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        let angle = core::f64::consts::TAU * self.unit();
        self.spare_normal = Some(radius * libm::sin(angle));
        mean + sd * radius * libm::cos(angle)
    }

    /// Exponentially distributed: the wait until the next event of a Poisson process.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * libm::log(1.0 - self.unit())
    }

    /// Log-normally distributed.
    pub fn log_normal(&mut self, median: f64, sigma: f64) -> f64 {
        median * libm::exp(self.normal(0.0, sigma))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_all_four_of_its_names() {
        let first = |seed, kind, id, purpose| Stream::new(seed, kind, id, purpose).bits();
        let base = first(1, "monitor", "m-1", "noise");
        assert_eq!(base, first(1, "monitor", "m-1", "noise"));
        for other in [
            first(2, "monitor", "m-1", "noise"),
            first(1, "pump", "m-1", "noise"),
            first(1, "monitor", "m-2", "noise"),
            first(1, "monitor", "m-1", "clock"),
            first(1, "monitor", "m-1n", "oise"),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn normal_numbers_have_their_mean_and_deviation() {
        let mut stream = Stream::new(7, "test", "normal", "");
        let n = 20_000;
        let numbers: Vec<f64> = (0..n).map(|_| stream.normal(10.0, 2.0)).collect();
        let mean = numbers.iter().sum::<f64>() / f64::from(n);
        let variance = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
        assert!((mean - 10.0).abs() < 0.05, "{mean}");
        assert!((variance.sqrt() - 2.0).abs() < 0.05, "{variance}");
    }

    #[test]
    fn uniform_numbers_stay_in_their_bounds() {
        let mut stream = Stream::new(7, "test", "uniform", "");
        for _ in 0..10_000 {
            assert!((0.0..1.0).contains(&stream.unit()));
            assert!(stream.below(3) < 3);
            assert!(stream.exponential(5.0) >= 0.0);
        }
        assert_eq!(stream.below(0), 0);
    }
}
