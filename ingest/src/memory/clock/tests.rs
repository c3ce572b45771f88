//! Against devices whose true time is known.

use super::*;

const S: i64 = 1_000_000;
const HOUR: i64 = 3600 * S;
const NOON: i64 = 1_785_585_600 * S;

/// A device that makes a message every ten seconds, and whose clock is wrong by `error_us`.
struct Device {
    clock: DeviceClock,
    error_us: i64,
    seq: i64,
    numbered: bool,
}

impl Device {
    fn new(error_us: i64) -> Self {
        Self { clock: DeviceClock::default(), error_us, seq: 0, numbered: true }
    }

    /// A message that was made at `made_us` and received at `received_us`; what is taken for its time, less the truth.
    fn says(&mut self, made_us: i64, received_us: i64) -> i64 {
        self.seq += 1;
        let device_us = made_us + self.error_us;
        let (boot, seq) = (self.numbered.then_some(1), self.numbered.then_some(self.seq));
        let heard = Heard { boot, seq, device_us, received_us };
        self.clock.hear(&heard).unwrap_or(device_us) - made_us
    }

    /// Live messages for `seconds`, from `from_us`; the error of the last.
    fn live(&mut self, from_us: i64, seconds: i64) -> i64 {
        (0..seconds / 10)
            .map(|n| self.says(from_us + n * 10 * S, from_us + n * 10 * S + S / 5))
            .last()
            .unwrap()
    }

    /// What was kept from `from_us` on for `seconds`, received all at once at its end; the largest error.
    fn backlog(&mut self, from_us: i64, seconds: i64) -> i64 {
        let end = from_us + seconds * S;
        let errors =
            (0..seconds / 10).map(|n| self.says(from_us + n * 10 * S, end + n * S / 100).abs());
        errors.max().unwrap()
    }
}

#[test]
fn a_clock_that_is_right_is_left_alone_whatever_the_network_does() {
    for numbered in [true, false] {
        let mut device = Device { numbered, ..Device::new(0) };
        assert_eq!(device.live(NOON, 600), 0);
        assert_eq!(device.backlog(NOON + 600 * S, 7200), 0);
        assert_eq!(device.live(NOON + 7800 * S, 600), 0);
        assert_eq!(device.backlog(NOON + 8400 * S, 30_000), 0);
    }
}

#[test]
fn a_clock_that_is_wrong_is_corrected_also_for_what_was_kept() {
    for error in [3 * HOUR, -3 * HOUR, HOUR, -HOUR, 90 * S, -90 * S, 40 * HOUR, -20 * HOUR] {
        let mut device = Device::new(error);
        assert!(device.live(NOON, 120).abs() <= S, "{error}");
        assert!(device.backlog(NOON + 120 * S, 7200) <= S, "{error}");
        assert!(device.live(NOON + 7320 * S, 120).abs() <= S, "{error}");
    }
}

#[test]
fn a_clock_that_was_never_set_is_corrected() {
    let mut device = Device::new(-NOON + 7 * S);
    assert!(device.live(NOON, 120).abs() <= S);
    assert!(device.backlog(NOON + 120 * S, 7200) <= S);
}

#[test]
fn an_error_below_the_tolerance_is_left_alone() {
    for error in [50 * S, -50 * S] {
        assert_eq!(Device::new(error).live(NOON, 600), error);
    }
}

#[test]
fn a_clock_that_is_set_is_believed_again_and_never_made_worse() {
    for error in [3 * HOUR, -3 * HOUR] {
        let mut device = Device::new(error);
        device.live(NOON, 120);
        device.error_us = 0;
        for n in 0..60 {
            let at = NOON + (120 + n * 10) * S;
            assert_eq!(device.says(at, at + S / 5), 0, "{error} after {n}");
        }
    }
}

#[test]
fn a_series_of_last_year_that_is_played_again_stays_where_it_was() {
    let mut device = Device { numbered: false, ..Device::new(-400 * 24 * HOUR) };
    assert_eq!(device.live(NOON, 3600), -400 * 24 * HOUR);
}

#[test]
fn a_backlog_alone_proves_nothing() {
    let mut device = Device::new(-3 * HOUR);
    assert_eq!(device.backlog(NOON, 7200), 3 * HOUR);
}

#[test]
fn a_restart_begins_anew() {
    let mut device = Device::new(3 * HOUR);
    device.live(NOON, 120);
    let heard = |boot, device_us| Heard {
        boot: Some(boot),
        seq: Some(1),
        device_us,
        received_us: NOON + 130 * S,
    };
    assert_eq!(device.clock.hear(&heard(2, NOON + 125 * S)), None);
    assert_eq!(device.clock.boot, Some(2));
}

#[test]
fn a_backlog_that_comes_after_what_is_live_is_corrected_by_its_numbers() {
    let mut device = Device::new(HOUR);
    device.live(NOON, 120);
    device.seq = 1000;
    device.live(NOON + 7200 * S, 120);
    let live = device.seq;
    device.seq = 500;
    let error = device.says(NOON + 3600 * S, NOON + 7320 * S);
    assert!(error.abs() <= S, "{error}");
    device.seq = live;
    assert!(device.live(NOON + 7330 * S, 60).abs() <= S);
}

proptest::proptest! {
    #[test]
    fn nothing_overflows_and_nothing_is_corrected_into_the_future(messages in proptest::collection::vec(proptest::prelude::any::<(Option<i64>, Option<i64>, i64, i64)>(), 0..40)) {
        let mut clock = DeviceClock::default();
        for (boot, seq, device_us, received_us) in messages {
            let corrected = clock.hear(&Heard { boot, seq, device_us, received_us });
            proptest::prop_assert!(corrected.is_none_or(|us| us <= received_us));
        }
    }
}
