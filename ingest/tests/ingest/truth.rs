//! INV-11: a row is `good` only when its value was understood, its unit is the catalogue's, and its range was checked.

use super::kit::{TOPIC, fields, land};

/// Metric, unit and value as they come; value, unit, text, quality and flags of the row.
type Case<'a> = ([&'a str; 3], [&'a str; 5]);

async fn check(cases: &[Case<'_>]) {
    // Each from a device of its own, which has no history.
    let topics: Vec<String> =
        (0..cases.len()).map(|n| format!("dt/icu/mon-{n:02}/readings")).collect();
    let messages: Vec<(&str, String)> = cases
        .iter()
        .zip(&topics)
        .map(|(([metric, unit, value], _), topic)| {
            let unit = if unit.is_empty() { String::new() } else { format!(r#","unit":"{unit}""#) };
            let time = r#""ts":"2026-07-31T23:00:00Z""#;
            (topic.as_str(), format!(r#"{{{time},"metric":"{metric}","value":{value}{unit}}}"#))
        })
        .collect();
    let lakeside = land(&messages).await;
    assert!(lakeside.rows("dead_letters").await.is_empty());
    let rows = lakeside.rows("readings").await;
    assert_eq!(rows.len(), cases.len());
    for ((given, expected), row) in cases.iter().zip(rows) {
        let shown = fields(&row, ["value", "unit", "value_text", "quality", "flags"]);
        assert_eq!(shown, *expected, "{given:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv11_units_are_the_catalogues_or_the_row_is_not_good() {
    check(&[
        (["temp_body", "", "37"], ["37.0", "Cel", "-", "good", "-"]),
        (["temp_body", "Cel", "37"], ["37.0", "Cel", "-", "good", "-"]),
        (["temp_body", "°C", "37"], ["37.0", "Cel", "-", "good", "-"]),
        (["temp_body", "[degF]", "98.6"], ["37.0", "Cel", "-", "good", "unit_converted"]),
        (["temp_body", "°F", "98.6"], ["37.0", "Cel", "-", "good", "unit_converted"]),
        (["temp_body", "°C", "372"], ["372.0", "Cel", "-", "suspect", "out_of_range"]),
        (["temp_body", "mmHg", "37"], ["37.0", "mm[Hg]", "-", "suspect", "unit_differs"]),
        (["temp_body", "wibble", "37"], ["37.0", "wibble", "-", "suspect", "unit_differs"]),
        (["temp_body", "wibble", "-999"], ["-", "wibble", "-999", "bad", "sentinel,unit_differs"]),
        (["temp_body", "[degF]", "-999"], ["-", "Cel", "-999", "bad", "sentinel,unit_converted"]),
        (["heart_rate", "bpm", "72"], ["72.0", "/min", "-", "good", "-"]),
        (["spo2", "percent", "97"], ["97.0", "%", "-", "good", "-"]),
        (["spo2", "1", "0.97"], ["97.0", "%", "-", "good", "unit_converted"]),
        (["nibp_sys", "kPa", "16"], ["120.010200867", "mm[Hg]", "-", "good", "unit_converted"]),
        (["hemoglobin", "g/L", "176"], ["17.6", "g/dL", "-", "good", "unit_converted"]),
        (["hemoglobin", "g/dL", "7.2"], ["7.2", "g/dL", "-", "good", "-"]),
        (["oven", "°C", "180"], ["180.0", "Cel", "-", "unchecked", "unknown_metric"]),
        (["oven", "gas mark", "6"], ["6.0", "gas mark", "-", "unchecked", "unknown_metric"]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_converted_value_has_what_came_beside_it() {
    let reading = |metric: &str, unit: &str, value: f64| {
        format!(
            r#"{{"ts":"2026-07-31T23:00:00Z","metric":"{metric}","value":{value},"unit":"{unit}"}}"#
        )
    };
    let messages = [
        (TOPIC, reading("temp_body", "°F", 98.6)),
        (TOPIC, reading("temp_body", "degC", 37.0)),
        (TOPIC, reading("temp_body", "Cel", 37.0)),
        (TOPIC, reading("oven", "°C", 180.0)),
    ];
    let rows = land(&messages).await.rows("readings").await;
    let shown: Vec<_> =
        rows.iter().map(|row| fields(row, ["value", "value_original", "unit_original"])).collect();
    assert_eq!(shown[0], ["37.0", "98.6", "°F"]);
    assert_eq!(shown[1], ["37.0", "37.0", "degC"]);
    assert_eq!(shown[2], ["37.0", "-", "-"]);
    assert_eq!(shown[3], ["180.0", "180.0", "°C"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv11_a_text_is_the_number_that_it_is_or_says_why_not() {
    check(&[
        (["heart_rate", "", r#""72""#], ["72.0", "/min", "72", "good", "text_number"]),
        (["heart_rate", "", r#"" 72.5 ""#], ["72.5", "/min", " 72.5 ", "good", "text_number"]),
        (["heart_rate", "", r#""-999""#], ["-", "/min", "-999", "bad", "sentinel,text_number"]),
        (["heart_rate", "", r#""0""#], ["-", "/min", "0", "bad", "sentinel,text_number"]),
        (
            ["heart_rate", "", r#""500""#],
            ["500.0", "/min", "500", "suspect", "out_of_range,text_number"],
        ),
        (["heart_rate", "", r#""72,5""#], ["-", "/min", "72,5", "bad", "not_a_number"]),
        (["heart_rate", "", r#""high""#], ["-", "/min", "high", "bad", "not_a_number"]),
        (["heart_rate", "", r#""---""#], ["-", "/min", "---", "bad", "no_value_word"]),
        (["heart_rate", "", r#""NaN""#], ["-", "/min", "NaN", "bad", "no_value_word"]),
        (["heart_rate", "", r#""""#], ["-", "/min", "", "bad", "no_value_word"]),
        (
            ["heart_rate", "", r#""unavailable""#],
            ["-", "/min", "unavailable", "bad", "no_value_word"],
        ),
        (["heart_rate", "", "null"], ["-", "/min", "-", "bad", "absent"]),
        (["spo2", "", r#""<70""#], ["70.0", "%", "<70", "suspect", "comparator"]),
        (["glucose_poc", "", r#"">= 600""#], ["600.0", "mg/dL", ">= 600", "suspect", "comparator"]),
        (
            ["oven", "", r#""180""#],
            ["180.0", "-", "180", "unchecked", "text_number,unknown_metric"],
        ),
        (
            ["oven", "", r#""-999""#],
            ["-999.0", "-", "-999", "unchecked", "text_number,unknown_metric"],
        ),
        (["oven", "", r#""none""#], ["-", "-", "none", "unchecked", "unknown_metric"]),
        (["oven", "", r#""n/a""#], ["-", "-", "n/a", "bad", "no_value_word,unknown_metric"]),
        (["consciousness", "", r#""A""#], ["-", "-", "A", "good", "-"]),
        (["consciousness", "", r#""drowsy""#], ["-", "-", "drowsy", "unchecked", "unknown_word"]),
        (["consciousness", "", "4"], ["4.0", "-", "-", "unchecked", "unknown_word"]),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_numbers_that_json_does_not_have_cost_nothing_but_themselves() {
    let lakeside = land(&[
        (TOPIC, r#"{"ts":"2026-07-31T23:00:00Z","values":{"heart_rate":NaN,"spo2":97,"etco2":-Infinity}}"#),
        ("home/a", r#"{"t":nan,"h":51.5}"#),
    ])
    .await;
    assert_eq!(lakeside.rows("dead_letters").await, []);
    let rows = lakeside.rows("readings").await;
    let shown: Vec<_> =
        rows.iter().map(|row| fields(row, ["metric", "value", "value_text", "quality"])).collect();
    for expected in [
        ["heart_rate", "-", "NaN", "bad"],
        ["spo2", "97.0", "-", "good"],
        ["etco2", "-", "-Infinity", "bad"],
        ["t", "-", "nan", "bad"],
        ["h", "51.5", "-", "unchecked"],
    ] {
        assert!(shown.contains(&expected), "{expected:?} in {shown:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_time_is_read_or_kept_as_it_came() {
    let read = "2026-07-31T23:00:00Z";
    let cases = [
        (r#""2026-07-31T23:00:00Z""#, [read, read, "device", "-", "good", "-"]),
        (r#""2026-08-01T00:00:00+0100""#, [read, read, "device", "-", "good", "-"]),
        (r#""2026-08-01T00:00:00+01""#, [read, read, "device", "-", "good", "-"]),
        (r#""2026-07-31T23:00Z""#, [read, read, "device", "-", "good", "-"]),
        (r#""20260731T230000Z""#, [read, read, "device", "-", "good", "-"]),
        (r#""Fri, 31 Jul 2026 23:00:00 GMT""#, [read, read, "device", "-", "good", "-"]),
        ("1785538800", [read, read, "device", "-", "good", "-"]),
        ("1785538800000", [read, read, "device", "-", "good", "-"]),
        ("1785538800000000", [read, read, "device", "-", "good", "-"]),
        ("1785538800000000000", [read, read, "device", "-", "good", "-"]),
        (r#""1785538800""#, [read, read, "device", "-", "good", "-"]),
        (r#""2026-07-31T23:00:00""#, [read, read, "device", "-", "suspect", "local_time"]),
        (
            r#""31/07/2026 23:00""#,
            ["-", "-", "received", "31/07/2026 23:00", "suspect", "time_unparsable"],
        ),
        ("true", ["-", "-", "received", "true", "suspect", "time_unparsable"]),
        (
            r#""1970-01-01T00:00:07Z""#,
            ["-", "1970-01-01T00:00:07Z", "received", "-", "suspect", "time_absurd"],
        ),
        (
            r#""2099-01-01T00:00:00Z""#,
            ["-", "2099-01-01T00:00:00Z", "received", "-", "suspect", "time_absurd"],
        ),
    ];
    let message = |ts: &str| format!(r#"{{"ts":{ts},"metric":"heart_rate","value":72}}"#);
    let mut messages: Vec<(&str, String)> =
        cases.iter().map(|(ts, _)| (TOPIC, message(ts))).collect();
    messages.push((TOPIC, r#"{"metric":"heart_rate","value":72}"#.to_owned()));
    let rows = land(&messages).await.rows("readings").await;
    let names = ["event_ts", "device_ts", "time_source", "time_text", "quality", "flags"];
    for ((ts, expected), row) in cases.iter().zip(&rows) {
        let mut shown = fields(row, names);
        if expected[0] == "-" {
            assert_eq!(row["event_ts"], row["received_ts"], "{ts}");
            shown[0] = "-";
        }
        assert_eq!(shown, *expected, "{ts}");
    }
    let without = fields(&rows[cases.len()], ["device_ts", "time_source", "quality", "flags"]);
    assert_eq!(without, ["-", "received", "good", "time_missing"], "the gateway's clock is right");
}
