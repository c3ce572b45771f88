//! Readings and status reports: forms, times, units, sentinels, ranges.

use super::kit::{RECEIVED_US, TOPIC, fields, land};

const STATUS: &str = "dt/icu/mon-1/status";

#[tokio::test(flavor = "multi_thread")]
async fn the_three_forms_become_the_same_kind_of_row() {
    let lakeside = land(&[
        (TOPIC, r#"{"ts":"2026-07-31T23:00:00.250Z","metric":"spo2","value":97,"boot":3,"seq":9,"patient_id":"p1","encounter_id":"e1","ward":"w","bed":"4"}"#),
        (TOPIC, r#"[{"ts":1785538800250,"metric":"spo2","value":96.5},{"ts":"2026-08-01T01:00:00.25+02:00","metric":"heart_rate","value":72,"unit":"/min"}]"#),
        (TOPIC, r#"{"ts":"2026-07-31T23:00:00.25Z","values":{"spo2":95,"consciousness":"A","resp_rate":null},"seq":10}"#),
    ])
    .await;
    let rows = lakeside.rows("readings").await;
    let names = ["metric", "value", "value_text", "unit", "quality", "flags"];
    assert_eq!(fields(&rows[0], names), ["spo2", "97.0", "-", "%", "good", "-"]);
    assert_eq!(fields(&rows[1], names), ["spo2", "96.5", "-", "%", "good", "-"]);
    assert_eq!(fields(&rows[2], names), ["heart_rate", "72.0", "-", "/min", "good", "-"]);
    assert_eq!(fields(&rows[3], names), ["spo2", "95.0", "-", "%", "good", "-"]);
    assert_eq!(fields(&rows[4], names), ["consciousness", "-", "A", "-", "good", "-"]);
    assert_eq!(fields(&rows[5], names), ["resp_rate", "-", "-", "/min", "bad", "absent"]);
    assert!(
        rows.iter().all(|row| row["event_ts"] == "2026-07-31T23:00:00.250Z"
            && row["device_ts"] == row["event_ts"])
    );
    assert!(rows.iter().all(
        |row| row["event_date"] == "2026-07-31" && row["received_ts"] == "2026-08-01T00:00:00Z"
    ));
    let context = [
        "site",
        "device_id",
        "boot_id",
        "seq",
        "patient_id",
        "encounter_id",
        "ward",
        "bed",
        "protocol",
    ];
    assert_eq!(
        fields(&rows[0], context),
        ["icu", "mon-1", "3", "9", "p1", "e1", "w", "4", "readings-json"]
    );
    assert_eq!(
        fields(&rows[1], context),
        ["icu", "mon-1", "-", "-", "-", "-", "-", "-", "readings-json"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_never_reach_the_value_and_what_is_out_of_range_is_marked() {
    let reading = |metric: &str, value: &str| {
        format!(r#"{{"ts":"2026-07-31T23:00:00Z","metric":"{metric}","value":{value}}}"#)
    };
    let cases = [
        ("spo2", "0", "-", "bad", "sentinel"),
        ("heart_rate", "0", "-", "bad", "sentinel"),
        ("heart_rate", "-999", "-", "bad", "sentinel"),
        ("temp_body", "8388607", "-", "bad", "sentinel"),
        ("temp_body", "384.5", "384.5", "suspect", "out_of_range"),
        ("mood", "3", "3.0", "unchecked", "unknown_metric"),
        ("mood", "-999", "-999.0", "unchecked", "unknown_metric"),
        ("vent_peep", "-1", "-1.0", "good", "-"),
    ];
    let messages = cases.map(|(metric, value, ..)| (TOPIC, reading(metric, value)));
    let lakeside = land(&messages).await;
    for ((metric, value, kept, quality, flags), row) in
        cases.iter().zip(lakeside.rows("readings").await)
    {
        assert_eq!(
            fields(&row, ["value", "value_text", "quality", "flags"]),
            [*kept, if *flags == "sentinel" { *value } else { "-" }, *quality, *flags],
            "{metric} {value}"
        );
    }
    assert!(lakeside.rows("dead_letters").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_is_missing_unreadable_or_absurd_is_replaced_and_flagged() {
    let cases = [
        ("", "time_missing", "-"),
        (r#""ts":"yesterday","#, "time_unparsable", "-"),
        (r#""ts":{},"#, "time_unparsable", "-"),
        (r#""ts":"1999-12-31T23:59:59Z","#, "time_absurd", "1999-12-31T23:59:59Z"),
        (r#""ts":0,"#, "time_absurd", "1970-01-01T00:00:00Z"),
        (r#""ts":"2026-08-02T00:00:01Z","#, "time_absurd", "2026-08-02T00:00:01Z"),
    ];
    let messages =
        cases.map(|(ts, ..)| (TOPIC, format!("{{{ts}\"metric\":\"steps\",\"value\":1}}")));
    let lakeside = land(&messages).await;
    let rows = lakeside.rows("readings").await;
    assert_eq!(rows.len(), cases.len());
    for ((ts, flag, device_ts), row) in cases.iter().zip(&rows) {
        assert_eq!(
            fields(row, ["event_ts", "device_ts", "flags"]),
            ["2026-08-01T00:00:00Z", *device_ts, *flag],
            "{ts}"
        );
    }
    assert_eq!(RECEIVED_US, 1_785_542_400_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn escapes_exponents_and_unknown_members_are_read_the_careful_way_to_the_same_rows() {
    let lakeside = land(&[
        (TOPIC, r#"{"ts":"2026-07-31T23:00:00Z","metric":"st\u0065ps","value":1.5e2,"extra":{"a":[1]},"bed":"\u00e9"}"#),
        (TOPIC, r#" { "metric" : "steps" , "value" : 12345678901234567890 , "ts" : 1785538800000.5 } "#),
        (TOPIC, r#"{"metric":"steps","value":1,"value":2,"ts":"2026-07-31T23:00:00Z"}"#),
    ])
    .await;
    let rows = lakeside.rows("readings").await;
    assert_eq!(fields(&rows[0], ["metric", "value", "bed", "flags"]), ["steps", "150.0", "é", "-"]);
    assert_eq!(
        fields(&rows[1], ["value", "event_ts", "quality"]),
        ["1.2345678901234567e19", "2026-07-31T23:00:00.000500Z", "suspect"]
    );
    assert_eq!(rows[0]["extra"], r#"{"extra":{"a":[1]}}"#);
    assert_eq!(rows[2]["value"], "2.0", "of two members of one name the last counts");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_sorted_by_device_metric_and_time_and_split_by_date() {
    let reading = |device: &str, metric: &str, ts: &str| {
        (
            format!("dt/icu/{device}/readings"),
            format!(r#"{{"ts":"{ts}","metric":"{metric}","value":50}}"#),
        )
    };
    let messages = [
        reading("b", "spo2", "2026-07-31T10:00:02Z"),
        reading("a", "spo2", "2026-07-31T10:00:01Z"),
        reading("b", "heart_rate", "2026-07-31T10:00:03Z"),
        reading("b", "spo2", "2026-07-30T10:00:00Z"),
        reading("b", "spo2", "2026-07-31T10:00:00Z"),
    ];
    let messages: Vec<(&str, &str)> =
        messages.iter().map(|(topic, payload)| (topic.as_str(), payload.as_str())).collect();
    let lakeside = land(&messages).await;
    let mut files = lakeside.lake.files("readings").await.unwrap();
    files.sort_by_key(|file| file.date);
    assert_eq!(files.iter().map(|file| file.rows).collect::<Vec<_>>(), [1, 4]);
    use futures::TryStreamExt;
    let columns = ["device_id", "metric", "source_offset"];
    let rows = lakeside.lake.scan_files("readings", files.split_off(1), &columns).unwrap();
    let batches: Vec<arrow::array::RecordBatch> = rows.try_collect().await.unwrap();
    let text = |column: usize, row: usize| {
        arrow::util::display::array_value_to_string(batches[0].column(column), row).unwrap()
    };
    let order: Vec<String> =
        (0..4).map(|row| format!("{} {} {}", text(0, row), text(1, row), text(2, row))).collect();
    assert_eq!(order, ["a spo2 1", "b heart_rate 2", "b spo2 4", "b spo2 0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_reports_become_rows() {
    let lakeside = land(&[
        (STATUS, r#"{"ts":"2026-07-31T23:00:00Z","boot":3,"seq":1,"status":"online","battery":99.5,"firmware":"1.0","detail":{"uptime_s":1}}"#),
        (STATUS, r#"{"status":"standby","battery":-1}"#),
    ])
    .await;
    let rows = lakeside.rows("device_status").await;
    let names = ["status", "battery", "firmware", "detail", "flags", "boot_id", "seq", "protocol"];
    assert_eq!(
        fields(&rows[0], names),
        ["online", "99.5", "1.0", r#"{"uptime_s":1}"#, "-", "3", "1", "status-json"]
    );
    assert_eq!(
        fields(&rows[1], names),
        ["standby", "-", "-", "-", "sentinel,time_missing", "-", "-", "status-json"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inv9_the_device_of_a_row_is_its_topics_whatever_the_payload_says() {
    let claim = r#""device":"evil","device_id":"evil","site":"evil","source_id":"evil""#;
    let reading = format!(r#"{{{claim},"metric":"spo2","value":97}}"#);
    let status = format!(r#"{{{claim},"status":"on"}}"#);
    let bad = format!(r#"{{{claim},"value":97}}"#);
    let lakeside = land(&[(TOPIC, &reading), (STATUS, &status), (TOPIC, &bad)]).await;
    for table in ["readings", "device_status", "dead_letters"] {
        let rows = lakeside.rows(table).await;
        let [row] = &rows[..] else { panic!("{table}: {rows:?}") };
        assert_eq!(fields(row, ["site", "device_id", "source_id"]), ["icu", "mon-1", "gw"]);
    }
}
