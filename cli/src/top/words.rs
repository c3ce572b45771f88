//! Numbers, times and spans in few characters.

use jiff::Timestamp;

use crate::print::grouped;

/// A rate: three digits that matter.
pub(crate) fn rate(value: f64) -> String {
    match value {
        v if !v.is_finite() => "-".into(),
        v if v >= 100.0 => grouped(rounded(v)),
        v if v >= 10.0 || v == 0.0 => format!("{v:.0}").replace("-0", "0"),
        v => format!("{v:.1}"),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates are finite here; what is too large is shown as the largest"
)]
fn rounded(value: f64) -> u64 {
    value.round() as u64
}

/// Bytes with the unit that fits.
pub(crate) fn bytes(count: u64) -> String {
    let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    for (unit, size) in units {
        if count >= size {
            let (whole, tenth) = (count / size, count % size * 10 / size);
            return format!("{whole}.{tenth} {unit}");
        }
    }
    format!("{count} B")
}

/// How long something took or takes, from seconds.
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s < 0.0 => "0 s".into(),
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7_200.0 => format!("{:.0} min", (s / 60.0).floor()),
        s if s < 172_800.0 => format!("{:.0} h", (s / 3_600.0).floor()),
        s => format!("{:.0} d", (s / 86_400.0).floor()),
    }
}

/// How long ago a time of the API was; as it is if it is none.
pub(crate) fn ago(time: &str, now_us: i64) -> String {
    match time.parse::<Timestamp>() {
        Ok(at) => match now_us.saturating_sub(at.as_microsecond()) / 1_000_000 {
            ..1 => "now".into(),
            seconds => format!("{} ago", whole(seconds)),
        },
        Err(_) => time.to_owned(),
    }
}

/// Whole seconds, minutes, hours or days.
pub(crate) fn whole(seconds: i64) -> String {
    match seconds {
        s if s < 120 => format!("{s} s"),
        s if s < 7_200 => format!("{} min", s / 60),
        s if s < 172_800 => format!("{} h", s / 3_600),
        s => format!("{} d", s / 86_400),
    }
}

/// Unix microseconds of a time of the API, for sorting.
pub(crate) fn moment(time: &str) -> i64 {
    time.parse::<Timestamp>().map_or(i64::MIN, Timestamp::as_microsecond)
}

/// One of two forms, by the number.
pub(crate) fn plural(count: u64, one: &str, more: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { more })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let rates = [0.0, 0.04, 1.25, 99.6, 1234.5, f64::NAN].map(rate);
        assert_eq!(rates, ["0", "0.0", "1.2", "100", "1,235", "-"]);
        let sizes = [0, 999, 1_234, 12_345_678, 9_876_543_210].map(bytes);
        assert_eq!(sizes, ["0 B", "999 B", "1.2 kB", "12.3 MB", "9.8 GB"]);
        let spans = [0.04, 12.3, 119.0, 300.0, 90_000.0, 400_000.0].map(span);
        assert_eq!(spans, ["0.0 s", "12 s", "119 s", "5 min", "25 h", "4 d"]);
    }

    #[test]
    fn times_are_told_by_their_age() {
        let now = 1_785_542_400_000_000;
        let told = |time| ago(time, now);
        assert_eq!(told("2026-08-01T00:00:00.000Z"), "now");
        assert_eq!(told("2026-08-01T00:00:05.000Z"), "now", "clocks differ");
        assert_eq!(told("2026-07-31T23:59:00.000Z"), "60 s ago");
        assert_eq!(told("2026-07-31T20:00:00.000Z"), "4 h ago");
        assert_eq!(told("yesterday"), "yesterday");
    }
}
