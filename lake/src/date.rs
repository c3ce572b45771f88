//! Partition dates: days since 1970-01-01, UTC, and how they are written.

/// The partition date of a time: days since 1970-01-01 UTC. Times beyond the range of a date are pinned to its ends.
#[must_use]
pub fn date_of(event_us: i64) -> i32 {
    let days = event_us.div_euclid(86_400_000_000);
    i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX })
}

/// `YYYY-MM-DD`, the form in paths and in the log.
#[must_use]
pub fn date_text(date: i32) -> String {
    arrow::temporal_conversions::date32_to_datetime(date)
        .map_or_else(|| "1970-01-01".to_owned(), |time| time.format("%Y-%m-%d").to_string())
}

/// The date that [`date_text`] wrote, or `None` if it isn't one.
#[must_use]
pub fn date_parse(text: &str) -> Option<i32> {
    let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(chrono::NaiveDate::default()).num_days()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_utc_days_on_both_sides_of_1970() {
        assert_eq!(date_of(-1), -1);
        assert_eq!(date_text(date_of(1_785_542_400_000_000 - 1)), "2026-07-31");
        assert_eq!(date_text(date_of(1_785_542_400_000_000)), "2026-08-01");
        assert_eq!(date_parse("2026-08-01"), Some(date_of(1_785_542_400_000_000)));
        assert_eq!(date_parse("yesterday"), None);
        assert_eq!(date_of(i64::MIN), -106_751_992);
    }
}
