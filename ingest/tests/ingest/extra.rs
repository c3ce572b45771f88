//! Nothing that a device said is lost (INV-10): what has no column is in `extra`, as it came.

use super::kit::{Row, TOPIC, fields, land};

const STATUS: &str = "dt/icu/mon-1/status";
const FHIR: &str = "dt/icu/ehr-1/fhir";

fn shown<'a, const N: usize>(rows: &'a [Row], names: [&'static str; N]) -> Vec<[&'a str; N]> {
    rows.iter().map(|row| fields(row, names)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_members_without_a_column_are_in_the_rows_made_of_their_object() {
    let lakeside = land(&[
        (TOPIC, r#"{"metric":"a","timestamp":1785538800000,"value":1,"probe":"left hand","location":{"lat":1.50, "x":[true,null]}}"#),
        (TOPIC, r#"{"ts":1785538800000,"metric":"a","value":2,"probe":"left","n":1e3}"#),
        (TOPIC, r#"[{"metric":"a","value":3,"x":1},{"metric":"b","value":4},{"metric":"c","value":5,"x":2,"x":3}]"#),
        (TOPIC, r#"{"values":{"a":6,"b":7},"unit":"mV","x":{}}"#),
        (TOPIC, r#"{"metric":"a","value":8,"value":9}"#),
        (TOPIC, r#"{"metric":"a","value":10}"#),
    ])
    .await;
    assert!(lakeside.rows("dead_letters").await.is_empty());
    let rows = lakeside.rows("readings").await;
    let expected = [
        ["1.0", r#"{"probe":"left hand","location":{"lat":1.50, "x":[true,null]}}"#],
        ["2.0", r#"{"probe":"left","n":1e3}"#],
        ["3.0", r#"{"x":1}"#],
        ["4.0", "-"],
        ["5.0", r#"{"x":2,"x":3}"#],
        ["6.0", r#"{"unit":"mV","x":{}}"#],
        ["7.0", r#"{"unit":"mV","x":{}}"#],
        ["9.0", r#"{"value":8}"#],
        ["10.0", "-"],
    ];
    assert_eq!(shown(&rows, ["value", "extra"]), expected);
    assert_eq!(rows[0]["event_ts"], "2026-07-31T23:00:00Z", "`timestamp` stands for `ts`");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_one_odd_member_does_not_cost_the_message() {
    let lakeside = land(&[
        (TOPIC, r#"{"metric":"a","value":1,"boot":"3","seq":17.0,"bed":7,"patient_id":123}"#),
        (TOPIC, r#"{"metric":"a","value":1,"boot":"x","seq":1.5,"bed":true,"unit":[1]}"#),
        (TOPIC, r#"{"metric":"a","value":1,"ts":"yesterday"}"#),
    ])
    .await;
    assert!(lakeside.rows("dead_letters").await.is_empty());
    let rows = lakeside.rows("readings").await;
    let names = ["boot_id", "seq", "bed", "patient_id", "flags", "extra"];
    let expected = [
        ["3", "17", "7", "123", "time_missing,unknown_metric", "-"],
        [
            "-",
            "-",
            "-",
            "-",
            "not_converted,time_missing,unknown_metric",
            r#"{"boot":"x","seq":1.5,"bed":true,"unit":[1]}"#,
        ],
        ["-", "-", "-", "-", "time_unparsable,unknown_metric", "-"],
    ];
    assert_eq!(shown(&rows, names), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_value_that_is_no_number_is_kept_with_its_metric() {
    let lakeside = land(&[
        (TOPIC, r#"{"values":{"a":1,"on":true,"off":false,"xy":{"x":1},"far":1e999},"probe":2}"#),
        (TOPIC, r#"{"metric":"x","value":true}"#),
    ])
    .await;
    assert!(lakeside.rows("dead_letters").await.is_empty());
    let rows = lakeside.rows("readings").await;
    let names = ["metric", "value", "quality", "flags", "extra"];
    let flags = "boolean,time_missing,unknown_metric";
    let elsewhere = "time_missing,unknown_metric,value_in_extra";
    let expected = [
        ["a", "1.0", "unchecked", "time_missing,unknown_metric", r#"{"probe":2}"#],
        ["on", "1.0", "unchecked", flags, r#"{"probe":2,"value":true}"#],
        ["off", "0.0", "unchecked", flags, r#"{"probe":2,"value":false}"#],
        ["xy", "-", "bad", elsewhere, r#"{"probe":2,"value":{"x":1}}"#],
        ["far", "-", "bad", elsewhere, r#"{"probe":2,"value":1e999}"#],
        ["x", "1.0", "unchecked", flags, r#"{"value":true}"#],
    ];
    assert_eq!(shown(&rows, names), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_status_report_keeps_what_it_says_as_it_came() {
    let lakeside = land(&[
        (STATUS, r#"{"status":"ok","uptime":123,"rssi":-71.0}"#),
        (STATUS, r#"{"status":"ok","battery":"97","boot":"3","firmware":2.10,"detail":{"b":1.0e2, "a":1}}"#),
        (STATUS, r#"{"status":"ok","battery":"full","time":1785538800000}"#),
    ])
    .await;
    assert!(lakeside.rows("dead_letters").await.is_empty());
    let rows = lakeside.rows("device_status").await;
    let names = ["battery", "boot_id", "firmware", "detail", "flags", "extra"];
    let expected = [
        ["-", "-", "-", "-", "time_missing", r#"{"uptime":123,"rssi":-71.0}"#],
        ["97.0", "3", "2.10", r#"{"b":1.0e2, "a":1}"#, "time_missing", "-"],
        ["-", "-", "-", "-", "not_converted", r#"{"battery":"full"}"#],
    ];
    assert_eq!(shown(&rows, names), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_what_a_bundle_says_beside_its_resources_is_kept() {
    let lakeside = land(&[
        (FHIR, r#"{"resourceType":"Bundle","type":"collection","timestamp":"2026-07-31","entry":[{"fullUrl":"urn:1","resource":{"resourceType":"Device","id":"d1"}},{"resource":{"resourceType":"Device","id":"d2"},"search":{"score":1.0}}]}"#),
        (FHIR, r#"{"resourceType":"Device","id":"d3","strange":1}"#),
    ])
    .await;
    let rows = lakeside.rows("ehr_events").await;
    let expected = [
        ["d1", r#"{"Bundle":{"type":"collection","timestamp":"2026-07-31"}}"#],
        ["d2", r#"{"search":{"score":1.0}}"#],
        ["d3", "-"],
    ];
    assert_eq!(shown(&rows, ["resource_id", "extra"]), expected);
}

/// Rows that cannot carry what they should, and a dead letter that does.
#[tokio::test(flavor = "multi_thread")]
async fn inv10_what_is_too_long_for_extra_is_in_a_dead_letter_and_the_rows_land() {
    let long = "x".repeat(70_000);
    // Short enough for each row, too much for all of them.
    let shared = "x".repeat(60_000);
    let many: Vec<String> = (0..100).map(|n| format!(r#""m{n}":[{n}]"#)).collect();
    let messages = [
        (TOPIC, format!(r#"{{"metric":"a","value":1,"x":"{long}"}}"#)),
        (STATUS, format!(r#"{{"status":"ok","x":"{long}"}}"#)),
        (
            FHIR,
            format!(
                r#"{{"resourceType":"Bundle","entry":[{{"x":"{long}","resource":{{"resourceType":"Device","id":"d"}}}}]}}"#
            ),
        ),
        (TOPIC, format!(r#"{{"x":"{shared}","values":{{{}}}}}"#, many.join(","))),
    ];
    let lakeside = land(&messages).await;
    let dead = lakeside.rows("dead_letters").await;
    let codes = dead.iter().map(|row| row["reason_code"].as_str()).collect::<Vec<_>>();
    assert_eq!(codes, ["text_too_long", "text_too_long", "text_too_long", "too_many_values"]);
    assert!(dead[..3].iter().all(|row| row["reason"].contains("column `extra`")), "{dead:?}");
    let readings = lakeside.rows("readings").await;
    let cut = |row: &&Row| row["flags"].contains("extra_too_long") && !row.contains_key("extra");
    assert_eq!((readings.len(), cut(&&readings[0])), (101, true));
    let held: usize = readings.iter().filter_map(|row| row.get("extra")).map(String::len).sum();
    assert!(held < 5 << 20 && readings.iter().filter(cut).count() > 20, "INV-8: {held}");
    for table in ["device_status", "ehr_events"] {
        let rows = lakeside.rows(table).await;
        assert!(rows.len() == 1 && cut(&&rows[0]), "{rows:?}");
    }
}
