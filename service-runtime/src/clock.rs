//! The one clock: wall time for people and data, uptime for decisions.
//!
//! Tests can make the wall clock of a whole process jump, as a clock does that somebody sets: see [`ClockConfig`].
#![expect(
    clippy::disallowed_methods,
    reason = "this module is where the others get their time from"
)]

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The process's jumps and the instant that they count from; nothing but tests sets them.
static JUMPS: OnceLock<(Instant, Jumps)> = OnceLock::new();

/// Tells the time. Cheap to copy; copies agree on uptime.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    started: Instant,
    /// Of a clock that a test puts forward.
    ahead: Option<Ahead>,
}

impl Default for Clock {
    fn default() -> Self {
        Self { started: Instant::now(), ahead: None }
    }
}

/// Puts a clock forward, with all copies of it: a test of what is due in a minute need not wait for it, and nothing is due before, however
/// slow the machine.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    us: &'static AtomicU64,
}

impl Ahead {
    /// Puts it forward once more; timers that run already are as late as they were. Less than a microsecond is nothing.
    pub fn put_forward(self, by: Duration) {
        self.us.fetch_add(u64::try_from(by.as_micros()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

impl Clock {
    /// Returns a clock that can be put forward, for tests: each takes eight bytes until the process ends.
    pub fn movable() -> (Self, Ahead) {
        let ahead = Ahead { us: Box::leak(Box::default()) };
        (Self { ahead: Some(ahead), ..Self::default() }, ahead)
    }

    fn ahead_us(&self) -> u64 {
        self.ahead.map_or(0, |ahead| ahead.us.load(Ordering::SeqCst))
    }

    /// Returns microseconds since the Unix epoch; may jump when the system's clock is set.
    pub fn now_us(&self) -> i64 {
        let system = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        };
        let system = system.saturating_add_unsigned(self.ahead_us());
        match JUMPS.get() {
            None => system,
            Some((since, jumps)) => system.saturating_add(jumps.offset_us(since.elapsed())),
        }
    }

    /// Returns milliseconds since the Unix epoch.
    pub fn now_ms(&self) -> i64 {
        self.now_us().div_euclid(1000)
    }

    /// Returns the time since this clock was made; never jumps.
    pub fn uptime(&self) -> Duration {
        self.started.elapsed() + Duration::from_micros(self.ahead_us())
    }

    /// Returns the instant of an uptime, for timers.
    pub fn instant(&self, uptime: Duration) -> Instant {
        self.started + uptime.saturating_sub(Duration::from_micros(self.ahead_us()))
    }
}

/// The `[clock]` section: for tests of what a clock that is set does to data. A real service leaves it out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClockConfig {
    /// When the wall clock jumps, and how far. Uptime never does.
    pub jumps: Jumps,
}

impl ClockConfig {
    /// Makes the wall clock of this process jump, counted from now. The first who says so wins; no jumps change nothing.
    pub(crate) fn apply(self) {
        if !self.jumps.0.is_empty() {
            // Whoever comes second read the same file or the same environment.
            drop(JUMPS.set((Instant::now(), self.jumps)));
        }
    }
}

/// Jumps of the wall clock as `[after_s, by_s]`: once the process has run for so many seconds, it goes on so many seconds
/// later (or earlier). In the file `[[10, 86400], [20, -86400]]`, in the environment also `10:86400,20:-86400`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Jumps(Vec<(u64, i64)>);

impl Jumps {
    fn offset_us(&self, uptime: Duration) -> i64 {
        let past = self.0.iter().filter(|(after_s, _)| uptime >= Duration::from_secs(*after_s));
        past.fold(0, |sum: i64, (_, by_s)| sum.saturating_add(by_s.saturating_mul(1_000_000)))
    }

    fn parse(text: &str) -> Option<Self> {
        let pair = |pair: &str| {
            let (after_s, by_s) = pair.split_once(':')?;
            Some((after_s.trim().parse().ok()?, by_s.trim().parse().ok()?))
        };
        text.split(',').map(pair).collect::<Option<_>>().map(Self)
    }
}

impl Serialize for Jumps {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Jumps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> serde::de::Visitor<'de> for Either {
            type Value = Jumps;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("[[after_s, by_s], …] or \"after_s:by_s,…\"")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Jumps, E> {
                let wrong = || E::invalid_value(serde::de::Unexpected::Str(text), &self);
                Jumps::parse(text).ok_or_else(wrong)
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Jumps, A::Error> {
                let mut jumps = Vec::new();
                while let Some(jump) = seq.next_element()? {
                    jumps.push(jump);
                }
                Ok(Jumps(jumps))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::ConfigFile;

    fn section(text: &str, environment: &[(&str, &str)]) -> Result<ClockConfig, String> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        let file = ConfigFile::parse(text, Path::new("x.toml"), environment).unwrap();
        file.section("clock").map_err(|error| error.to_string())
    }

    #[test]
    fn a_clock_that_is_put_forward_takes_its_copies_along_and_no_other() {
        let (clock, ahead) = Clock::movable();
        let (copy, other) = (clock, Clock::default());
        let (wall, day) = (copy.now_us(), Duration::from_secs(86_400));
        ahead.put_forward(day);
        assert!(copy.uptime() >= day && other.uptime() < day);
        assert!(copy.now_us() >= wall + 86_400_000_000 && other.now_us() < copy.now_us());
        let due = copy.instant(copy.uptime() + day);
        assert!(due > Instant::now() && due <= Instant::now() + day, "a day from now");
    }

    #[test]
    fn jumps_add_up_as_their_time_comes() {
        let config = section("[clock]\njumps = [[10, 86400], [20, -86401]]", &[]).unwrap();
        let at = |seconds| config.jumps.offset_us(Duration::from_secs(seconds)) / 1_000_000;
        assert_eq!([at(9), at(10), at(19), at(20)], [0, 86_400, 86_400, -1]);
    }

    #[test]
    fn the_environment_may_say_it_in_short() {
        let short = section("", &[("TIDEMARK_CLOCK__JUMPS", "10:86400,20:-86400")]);
        assert_eq!(short, section("[clock]\njumps = [[10, 86400], [20, -86400]]", &[]));
        assert_eq!(short.unwrap().jumps.0, [(10, 86_400), (20, -86_400)]);
        let problem = section("", &[("TIDEMARK_CLOCK__JUMPS", "tomorrow")]).unwrap_err();
        assert!(problem.contains("after_s:by_s"), "{problem}");
    }

    #[test]
    fn the_wall_clock_of_the_whole_process_jumps_and_uptime_does_not() {
        let clock = Clock::default();
        let before = clock.now_us();
        ClockConfig { jumps: Jumps(vec![(0, 86_400)]) }.apply();
        ClockConfig { jumps: Jumps(vec![(0, 5)]) }.apply();
        let jumped = Duration::from_micros((clock.now_us() - before).unsigned_abs());
        assert!(jumped >= Duration::from_secs(86_400) && jumped < Duration::from_secs(87_000));
        assert!(clock.uptime() < Duration::from_secs(600));
    }
}
