//! What can be read as a time, and what not.

use proptest::prelude::*;

use super::*;
use crate::decode::eras::DAY_US;

const EVENING: i64 = 1_795_633_285_000_000;

fn clock(format: &str, zone: &str) -> Clock {
    let (format, zone) = (Some(format.to_owned()), (!zone.is_empty()).then(|| zone.to_owned()));
    Clock::new(Some(&Time::Written(Written { format, zone, ..Written::default() }))).unwrap()
}

fn read(clock: &Clock, raw: &str) -> Option<(i64, bool)> {
    clock.read(raw).map(|when| (when.us - EVENING, when.flags.has(Flags::LOCAL_TIME)))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_devices_write_is_read_without_being_told() {
    let clock = Clock::default();
    for raw in [
        "\"2026-11-25T19:01:25Z\"",
        "\"2026-11-25T19:01:25.000+00:00\"",
        "\"2026-11-25 20:01:25+01:00\"",
        "\"20261125T190125Z\"",
        "\"2026-11-25T20:01:25+0100\"",
        "\"2026-11-25T20:01:25+01\"",
        "\"2026-11-25T19:01:25z\"",
        "\"2026-11-25t19:01:25Z\"",
        "\"2026-11-25T19:01:25,000Z\"",
        "\"2026-11-25 20:01:25 +0100\"",
        "\"2026-11-25 19:01:25 UTC\"",
        "\"2026-11-25 19:01:25.000 Z\"",
        "\"2026-11-25T20:01:25+01:00[Europe/Berlin]\"",
        "\"20261125T200125+0100\"",
        "\"Wed, 25 Nov 2026 19:01:25 GMT\"",
        "\"Wednesday, 25-Nov-26 19:01:25 GMT\"",
        "\"Wed Nov 25 19:01:25 UTC 2026\"",
        "\"Wed Nov 25 2026 20:01:25 GMT+0100 (Central European Standard Time)\"",
        "\"25/Nov/2026:20:01:25 +0100\"",
        "\"/Date(1795633285000)/\"",
        "\"/Date(1795633285000+0100)/\"",
        "\"1795633285000\"",
        "\"1795633285000000\"",
        "\"1795633285000000000\"",
        "1.795633285e9",
        "\"Wed, 25 Nov 2026 19:01:25 +0000\"",
        "1795633285",
        "1795633285.000",
        "1795633285000",
        "1795633285000000",
        "1795633285000000000",
        "\"1795633285\"",
        "\"1795633285.0\"",
    ] {
        assert_eq!(read(&clock, raw), Some((0, false)), "{raw}");
    }
    for raw in [
        "\"2026-11-25T19:01:25\"",
        "\"2026-11-25 19:01:25\"",
        "\"2026-11-25 19:01:25.000\"",
        "\"2026/11/25 19:01:25\"",
        "\"2026.11.25 19:01:25\"",
        "\"20261125190125\"",
        "\"20261125T190125\"",
        "\"25.11.2026 19:01:25\"",
        "\"Wed Nov 25 19:01:25 2026\"",
        "\"25 Nov 2026 19:01:25\"",
        "\"Nov 25, 2026 19:01:25\"",
    ] {
        assert_eq!(read(&clock, raw), Some((0, true)), "{raw}");
    }
    assert_eq!(read(&clock, "1795633285.25"), Some((250_000, false)));
    assert_eq!(read(&clock, "\"2026/11/25 19:01:25.25\""), Some((250_000, true)));
    let day = clock.read("\"2026-11-25\"").unwrap();
    assert_eq!(
        (day.us % DAY_US, day.flags.has(Flags::LOCAL_TIME), day.flags.has(Flags::DATE_ONLY)),
        (0, true, true)
    );
    for raw in [
        "\"yesterday\"",
        "\"\"",
        "\"19:01\"",
        "\"2026\"",
        "true",
        "null",
        "{}",
        "1e300",
        "\"2026-02-30T00:00:00Z\"",
        "\"2026-13-01T00:00:00Z\"",
        "\"2026-11-25T25:00:00Z\"",
        "\"11/12/2026 19:01:25\"",
        "\"/Date(x)/\"",
        "\"2026-11-25T19:01:25 CET\"",
    ] {
        assert_eq!(read(&clock, raw), None, "{raw}");
    }
}

#[test]
fn a_count_that_is_no_time_of_this_century_is_no_guess() {
    let clock = Clock::default();
    assert_eq!(clock.guess("12"), None);
    assert_eq!(clock.read("12").unwrap().us, 12_000_000);
    assert!(
        clock.guess("1795633285").is_some() && clock.guess("\"1999-01-01T00:00:00Z\"").is_some()
    );
}

#[test]
fn a_format_and_a_zone_are_taken_at_their_word() {
    for (format, zone, raw) in [
        ("unix_s", "", "1795633285"),
        ("unix_ms", "", "\"1795633285000\""),
        ("unix_us", "", "1795633285000000"),
        ("unix_ns", "", "1795633285000000000"),
        ("rfc3339", "", "\"2026-11-25T19:01:25Z\""),
        ("auto", "Europe/Berlin", "\"2026-11-25T20:01:25\""),
        ("auto", "+02:00", "\"2026-11-25 21:01:25\""),
        ("%d.%m.%Y %H:%M:%S", "Europe/Berlin", "\"25.11.2026 20:01:25\""),
        ("%d/%b/%Y:%H:%M:%S %z", "", "\"25/Nov/2026:20:01:25 +0100\""),
        ("%Y%m%d%H%M%S", "UTC", "20261125190125"),
    ] {
        assert_eq!(read(&clock(format, zone), raw), Some((0, false)), "{format} {raw}");
    }
    assert_eq!(read(&clock("%Y-%m-%d %H:%M:%S", ""), "\"2026-11-25 19:01:25\""), Some((0, true)));
    assert_eq!(read(&clock("unix_s", ""), "\"2026-11-25T19:01:25Z\""), None);
    assert!(clock("%Y-%m-%d", "UTC").read("\"2026-11-25\"").unwrap().flags.has(Flags::DATE_ONLY));
    // An hour that there was not is the one after it, as clocks show.
    let spring = clock("auto", "Europe/Berlin").read("\"2026-03-29T02:30:00\"").unwrap();
    assert_eq!((spring.us, spring.flags), (1_774_747_800_000_000, Flags::HOUR_SKIPPED));
    // An hour that was twice is the first.
    let autumn = clock("auto", "Europe/Berlin").read("\"2026-10-25T02:30:00\"").unwrap();
    assert_eq!((autumn.us, autumn.flags), (1_792_888_200_000_000, Flags::HOUR_TWICE));
    let minutes = Clock::default().read("\"2026-11-25T19:01Z\"").unwrap();
    assert_eq!(minutes.us, EVENING - 25_000_000);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let of = |written| Clock::new(Some(&Time::Written(written))).unwrap_err().key;
    let format = |text: &str| of(Written { format: Some(text.into()), ..Written::default() });
    assert_eq!(format("unix"), "time.format");
    assert_eq!(format("%Q %!"), "time.format");
    let zone = |text: &str| of(Written { zone: Some(text.into()), ..Written::default() });
    assert_eq!(zone("Europe/Nowhere"), "time.zone");
    let member = Pointers::One("ts".into());
    assert_eq!(of(Written { member, ..Written::default() }), "time.member");
    assert_eq!(Clock::new(Some(&Time::Any(false))).unwrap().place, Where::None);
}

proptest! {
    #[test]
    fn nothing_panics(text in "\\PC{0,40}", number in any::<f64>()) {
        for clock in [Clock::default(), clock("unix_ns", ""), clock("%d.%m.%Y", "Europe/Berlin")] {
            let _any = (clock.read(&serde_json::Value::from(text.clone()).to_string()), clock.read(&text), clock.read(&number.to_string()));
        }
    }
}
