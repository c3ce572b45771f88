//! Moments as TOML has them, in Unix microseconds.

use toml::value::{Datetime, Offset};

use super::{Wrong, wrong};

pub(super) fn of(key: &'static str, moment: &Datetime) -> Result<i64, Wrong> {
    let (Some(date), Some(time), Some(offset)) = (moment.date, moment.time, moment.offset) else {
        return wrong(key, "must have date, time and zone, such as 2026-03-01T22:00:00Z");
    };
    let minutes = match offset {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    let days = days(i64::from(date.year), i64::from(date.month), i64::from(date.day));
    let seconds =
        i64::from(time.hour) * 3600 + i64::from(time.minute) * 60 + i64::from(time.second);
    let seconds = days * 86_400 + seconds - minutes * 60;
    Ok(seconds * 1_000_000 + i64::from(time.nanosecond / 1_000))
}

/// Days since 1970 of a date of the Gregorian calendar; years are counted from March, so that the day that a leap year has more is
/// its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (month * 306 + 5) / 10 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_of_the_calendar() {
        let us = |text: &str| of("from", &text.parse().unwrap()).ok();
        assert_eq!(us("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(us("2026-03-01T00:00:00Z"), Some(1_772_323_200_000_000));
        assert_eq!(us("2024-02-29T12:30:00.5+02:00"), Some(1_709_202_600_500_000));
        assert_eq!(us("2026-03-01"), None);
        assert_eq!(us("2026-03-01T00:00:00"), None);
    }
}
