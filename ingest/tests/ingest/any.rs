//! Whatever a device publishes becomes rows (INV-10): without a configuration, and with a line of it.

use ingest::config::TopicRule;

use super::kit::{Lakeside, Source, TOPIC, fields, land};

const NAMES: [&str; 7] = ["site", "device_id", "metric", "value", "value_text", "unit", "event_ts"];
const RECEIVED: &str = "2026-08-01T00:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn inv10_without_a_configuration_a_newcomers_device_is_a_row() {
    let lakeside = land(&[
        ("zigbee2mqtt/kitchen_sensor", r#"{"battery":97,"humidity":51.2,"temperature":21.37}"#),
        (
            "tele/garage/SENSOR",
            r#"{"Time":"2026-07-31T19:01:25","AM2301":{"Temperature":18.8},"TempUnit":"C"}"#,
        ),
        (
            "shellyplus1pm-a1/status/switch:0",
            r#"{"id":0,"output":true,"apower":11.5,"temperature":{"tC":55.0}}"#,
        ),
        ("home/livingroom/temperature", "21.5"),
        ("home/livingroom/temperature", "21,5"),
        ("home/livingroom/temperature", "21.5 °C"),
        ("home/livingroom/lamp", "ON"),
        ("dt/icu/mon-1/waveforms", r#"{"ecg":[1,2]}"#),
    ])
    .await;
    let rows = lakeside.rows("readings").await;
    let own: Vec<_> = rows.iter().map(|row| fields(row, NAMES)).collect();
    let expected = [
        ["zigbee2mqtt", "kitchen_sensor", "battery", "97.0", "-", "%", RECEIVED],
        ["zigbee2mqtt", "kitchen_sensor", "humidity", "51.2", "-", "%", RECEIVED],
        ["zigbee2mqtt", "kitchen_sensor", "temperature", "21.37", "-", "Cel", RECEIVED],
        ["tasmota", "garage", "temperature", "18.8", "-", "Cel", "2026-07-31T19:01:25Z"],
        ["shelly", "shellyplus1pm-a1", "switch_0_output", "1.0", "-", "-", RECEIVED],
        ["shelly", "shellyplus1pm-a1", "switch_0_power", "11.5", "-", "W", RECEIVED],
        ["shelly", "shellyplus1pm-a1", "switch_0_temperature", "55.0", "-", "Cel", RECEIVED],
        ["home", "livingroom", "temperature", "21.5", "-", "-", RECEIVED],
        ["home", "livingroom", "temperature", "21.5", "21,5", "-", RECEIVED],
        ["home", "livingroom", "temperature", "21.5", "-", "Cel", RECEIVED],
        ["home", "livingroom", "lamp", "1.0", "ON", "-", RECEIVED],
        ["icu", "mon-1", "ecg.0", "1.0", "-", "-", RECEIVED],
        ["icu", "mon-1", "ecg.1", "2.0", "-", "-", RECEIVED],
    ];
    assert_eq!(own, expected);
    assert!(rows.iter().all(|row| row["flags"].contains("unmapped")), "nobody asked for it");
    assert!(lakeside.rows("dead_letters").await.is_empty());
    // What is no reading is in `extra`.
    assert_eq!(rows[3]["extra"], r#"{"TempUnit":"C"}"#);
    assert_eq!(rows[4]["extra"], r#"{"switch:0.id":0}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_births_wills_and_availability_are_reports_of_the_device() {
    let lakeside = land(&[
        ("tele/garage/LWT", "Online"),
        ("zigbee2mqtt/kitchen/availability", r#"{"state":"offline"}"#),
        ("shellyplus1pm-a1/online", "false"),
        ("greenhouse/status", "online"),
    ])
    .await;
    let rows = lakeside.rows("device_status").await;
    let own: Vec<_> =
        rows.iter().map(|row| fields(row, ["site", "device_id", "status", "protocol"])).collect();
    let expected = [
        ["tasmota", "garage", "online", "values"],
        ["zigbee2mqtt", "kitchen", "offline", "values"],
        ["shelly", "shellyplus1pm-a1", "offline", "values"],
        ["default", "greenhouse", "online", "values"],
    ];
    assert_eq!(own, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv4_what_is_neither_json_nor_a_short_text_is_a_dead_letter() {
    let long = "x".repeat(300);
    let lakeside = land(&[("home/x", "{\"a\":"), ("home/x", &long), ("home/x", "{}")]).await;
    let rows = lakeside.rows("dead_letters").await;
    let own: Vec<_> = rows.iter().map(|row| fields(row, ["topic", "reason_code"])).collect();
    let expected =
        [["home/x", "json_truncated"], ["home/x", "json_syntax"], ["home/x", "value_missing"]];
    assert_eq!(own, expected);
    assert!(lakeside.rows("readings").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_line_of_configuration_says_the_device_the_site_and_that_messages_are_kept() {
    let lakeside = Lakeside::new().await;
    let mut ingest = lakeside
        .ingest(|config| {
            let mut own = TopicRule::new("zigbee2mqtt/+", "readings");
            (own.site, own.device) = (Some("home".into()), Some("{1}".into()));
            config.topics.push(own);
            let mut family =
                TopicRule { profile: Some("the-things-stack".into()), ..TopicRule::default() };
            (family.site, family.raw) = (Some("farm".into()), true);
            config.topics.push(family);
            let mut member = TopicRule::new("up/#", "values");
            (member.site, member.device) = (Some("/where".into()), Some("/who".into()));
            config.topics.push(member);
        })
        .await;
    let up = r#"{"end_device_ids":{"device_id":"eui-70b3"},"received_at":"2026-07-31T12:00:00Z","uplink_message":{"f_port":2,"decoded_payload":{"soil":{"moisture":31}},"rx_metadata":[{"rssi":-97}]}}"#;
    let mut source = Source::new("gw");
    ingest
        .send(source.frame(&[
            ("zigbee2mqtt/x", r#"{"metric":"t","value":1}"#),
            ("v3/app@ttn/devices/eui-70b3/up", up),
            ("up/1", r#"{"where":"barn","who":"scale 1","kg":12}"#),
            ("up/1", r#"{"who":"scale 1","kg":12}"#),
        ]))
        .await;
    ingest.landed(&source).await;
    ingest.stop().await;
    let rows = lakeside.rows("readings").await;
    let own: Vec<_> = rows
        .iter()
        .map(|row| fields(row, ["site", "device_id", "metric", "value", "flags"]))
        .collect();
    assert_eq!(own[0], ["home", "x", "t", "1.0", "time_missing,unknown_metric"]);
    assert!(
        own[1..].iter().any(|row| row[..2] == ["farm", "eui-70b3"] && row[3] == "31.0"),
        "{own:?}"
    );
    assert_eq!(own.last().unwrap()[..3], ["barn", "scale%201", "kg"]);
    let raw = lakeside.rows("messages").await;
    let names =
        ["topic", "payload", "qos", "retain", "publisher", "site", "device_id", "source_offset"];
    let row = fields(&raw[0], names);
    assert_eq!(raw.len(), 1, "only of the rule that says so");
    assert_eq!((row[0], row[2], row[3]), ("v3/app@ttn/devices/eui-70b3/up", "1", "false"));
    assert_eq!(row[4..], ["mon-1", "farm", "eui-70b3", "1"]);
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!(fields(&dead[0], ["reason_code", "topic"]), ["device_missing", "up/1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_number_that_means_no_value_is_kept_and_what_nobody_knows_has_none() {
    let lakeside = land(&[
        ("dt/a/b/readings", r#"{"metric":"counter_total","value":8388607}"#),
        ("dt/a/b/readings", r#"{"metric":"heart_rate","value":-999}"#),
        ("dt/a/b/status", r#"{"status":"ok","battery":-999.0}"#),
        ("dt/a/b/readings", r#"{"metric":"ticks","value":9007199254740993}"#),
        ("dt/a/b/readings", r#"{"values":{"ticks":18446744073709551615}}"#),
        ("home/a/ticks", "9007199254740993"),
    ])
    .await;
    let rows = lakeside.rows("readings").await;
    let names = ["metric", "value", "value_text", "quality", "flags"];
    let counter = ["counter_total", "8388607.0", "-", "unchecked", "time_missing,unknown_metric"];
    assert_eq!(fields(&rows[0], names), counter);
    let rate = ["heart_rate", "-", "-999", "bad", "sentinel,time_missing"];
    assert_eq!(fields(&rows[1], names), rate);
    for (row, digits) in
        rows[2..].iter().zip(["9007199254740993", "18446744073709551615", "9007199254740993"])
    {
        assert_eq!(row["value_text"], digits, "exact");
        assert!(
            row["flags"].contains("integer_beyond_double") && row["value"].contains('.'),
            "{row:?}"
        );
    }
    let status = lakeside.rows("device_status").await;
    assert_eq!(fields(&status[0], ["battery", "extra"]), ["-", r#"{"battery":-999.0}"#]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_the_same_objects_as_cbor_message_pack_or_gzip_are_the_same_rows() {
    use std::io::Write as _;
    // {"metric":"t","value":1}
    let cbor = b"\xa2\x66metric\x61t\x65value\x01".to_vec();
    let packed = b"\x82\xa6metric\xa1t\xa5value\x01".to_vec();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(br#"{"metric":"t","value":1}"#).unwrap();
    let gzip = gzip.finish().unwrap();
    let mut messages = Vec::new();
    for topic in [TOPIC, "home/a"] {
        messages.extend([&cbor, &packed, &gzip].map(|payload| (topic, payload.clone())));
    }
    messages.push((TOPIC, b"\xa2\x66metric".to_vec()));
    let lakeside = land(&messages).await;
    let rows = lakeside.rows("readings").await;
    let own: Vec<_> =
        rows.iter().map(|row| fields(row, ["metric", "value", "value_text"])).collect();
    let (ours, any) = (["t", "1.0", "-"], [["metric", "-", "t"], ["value", "1.0", "-"]]);
    assert_eq!(own, [ours, ours, ours, any[0], any[1], any[0], any[1], any[0], any[1]]);
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!(fields(&dead[0], ["reason_code"]), ["not_utf8"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_the_device_is_found_in_what_is_packed_too() {
    let lakeside = Lakeside::new().await;
    let mut ingest = lakeside
        .ingest(|config| {
            let rule = TopicRule::new("up", "readings");
            config.topics.push(TopicRule { device: Some("/who".into()), ..rule });
        })
        .await;
    // {"metric":"t","value":1,"who":"a"}
    let cbor = b"\xa3\x66metric\x61t\x65value\x01\x63who\x61a".to_vec();
    let mut source = Source::new("gw");
    ingest.send(source.frame(&[("up", cbor)])).await;
    ingest.landed(&source).await;
    ingest.stop().await;
    let rows = lakeside.rows("readings").await;
    assert_eq!(fields(&rows[0], ["site", "device_id", "metric"]), ["default", "a", "t"]);
}
