//! What is known of devices from message to message, across restarts: their clocks, what they sent already, their units.

use super::kit::{Lakeside, RECEIVED_US, Source, TOPIC, fields};

const S: i64 = 1_000_000;
const HOUR: i64 = 3600 * S;

fn time(us: i64) -> String {
    jiff::Timestamp::from_microsecond(us).unwrap().to_string()
}

/// A reading that is made at `made_us` by a clock that is wrong by `error_us`.
fn reading(made_us: i64, error_us: i64, seq: i64) -> String {
    let ts = time(made_us + error_us);
    format!(r#"{{"ts":"{ts}","boot":1,"seq":{seq},"metric":"spo2","value":97}}"#)
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_what_a_wrong_clock_says_is_corrected_also_of_a_backlog_after_a_restart() {
    let lakeside = Lakeside::new().await;
    let mut source = Source::new("gw");
    let mut ingest = lakeside.ingest(|_| {}).await;
    for error in [3 * HOUR, -3 * HOUR] {
        let topic = format!("dt/icu/mon{}/readings", if error > 0 { "-ahead" } else { "-behind" });
        for n in 0..6 {
            source.received_us = RECEIVED_US + n * 10 * S + S / 10;
            let frame =
                source.frame(&[(topic.as_str(), reading(RECEIVED_US + n * 10 * S, error, n))]);
            ingest.deliver(&source, &[frame]).await;
        }
    }
    ingest.stop().await;
    // What was kept while the network was away comes at once, to another ingest.
    let mut ingest = lakeside.ingest(|_| {}).await;
    source.received_us = RECEIVED_US + 2 * HOUR;
    for error in [3 * HOUR, -3 * HOUR] {
        let topic = format!("dt/icu/mon{}/readings", if error > 0 { "-ahead" } else { "-behind" });
        let messages: Vec<(&str, String)> = (0..6)
            .map(|n| (topic.as_str(), reading(RECEIVED_US + HOUR + n * 60 * S, error, 100 + n)))
            .collect();
        let frame = source.frame(&messages);
        ingest.deliver(&source, &[frame]).await;
    }
    ingest.stop().await;
    let rows = lakeside.rows("readings").await;
    assert_eq!(rows.len(), 24);
    for row in rows {
        let seq: i64 = row["seq"].parse().unwrap();
        let error = if row["device_id"].ends_with("ahead") { 3 * HOUR } else { -3 * HOUR };
        let made = if seq < 100 { seq * 10 * S } else { HOUR + (seq - 100) * 60 * S } + RECEIVED_US;
        let event: jiff::Timestamp = row["event_ts"].parse().unwrap();
        assert_eq!(row["device_ts"], time(made + error), "as it came");
        // A clock that is behind looks like a backlog until there were some live messages.
        if error > 0 || seq >= 4 {
            assert!((event.as_microsecond() - made).abs() <= S, "{row:?}");
            assert_eq!(fields(&row, ["time_source", "flags"]), ["corrected", "time_corrected"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_message_that_a_device_sends_again_is_flagged_also_after_a_restart() {
    let lakeside = Lakeside::new().await;
    let mut source = Source::new("gw");
    let ts = time(RECEIVED_US - S);
    let numbered = format!(r#"{{"ts":"{ts}","boot":1,"seq":1,"metric":"spo2","value":97}}"#);
    let timed = format!(r#"{{"ts":"{ts}","metric":"etco2","value":38}}"#);
    let untimed = r#"{"metric":"resp_rate","value":14}"#.to_owned();
    let messages = [(TOPIC, numbered), (TOPIC, timed), (TOPIC, untimed)];
    for _ in 0..3 {
        let mut ingest = lakeside.ingest(|_| {}).await;
        let frame = source.frame(&messages);
        ingest.deliver(&source, &[frame]).await;
        ingest.stop().await;
    }
    let rows = lakeside.rows("readings").await;
    let flagged = |metric: &str| {
        let of = rows.iter().filter(|row| row["metric"] == metric);
        let flags = of.map(|row| fields(row, ["flags"])[0]);
        flags.filter(|flags| flags.split(',').any(|flag| flag == "repeat")).count()
    };
    assert_eq!(rows.len(), 9, "nothing is dropped");
    assert_eq!((flagged("spo2"), flagged("etco2")), (2, 2));
    assert_eq!(flagged("resp_rate"), 0, "who says no time may say the same twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_lost_does_not_make_its_messages_repeats() {
    let lakeside = Lakeside::new().await;
    let mut source = Source::new("gw");
    let ingest = lakeside.ingest(|_| {}).await;
    let frame = source.frame(&[(TOPIC, reading(RECEIVED_US, 0, 1))]);
    let again = super::kit::again(&frame);
    ingest.send(frame).await;
    ingest.kill();
    let mut ingest = lakeside.ingest(|_| {}).await;
    ingest.deliver(&source, &[again]).await;
    ingest.stop().await;
    let rows = lakeside.rows("readings").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(fields(&rows[0], ["flags"]), ["-"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv11_a_device_that_changes_its_unit_is_flagged() {
    let reading = |unit: &str, value: f64| {
        format!(
            r#"{{"ts":"{}","metric":"temp_body","value":{value},"unit":"{unit}"}}"#,
            time(RECEIVED_US)
        )
    };
    let messages = [("Cel", 37.0), ("Cel", 37.5), ("[degF]", 98.6), ("[degF]", 99.0)]
        .map(|(unit, value)| (TOPIC, reading(unit, value)));
    let rows = super::kit::land(&messages).await.rows("readings").await;
    let flags: Vec<&str> = rows.iter().map(|row| fields(row, ["flags"])[0]).collect();
    assert_eq!(flags, ["-", "-", "unit_changed,unit_converted", "unit_converted"][..]);
}
