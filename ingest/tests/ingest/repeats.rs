//! What comes once more, beside readings with numbers or times: resources, declared rows, and what a broker had kept.

use ingest::config::TopicRule;
use lake::{Catalog, DeclaredTables};
use serde_json::json;
use telemetry_core::spool::attributes::Attribute;

use super::kit::{Lakeside, RECEIVED_US, Row, Source, fields};

const EHR: &str = "dt/icu/ehr-1/fhir";
const S: i64 = 1_000_000;

/// Which rows are flagged as repeats, in their order.
fn repeats(rows: &[Row]) -> Vec<bool> {
    let flagged = |row| fields(row, ["flags"])[0].split(',').any(|flag| flag == "repeat");
    rows.iter().map(flagged).collect()
}

/// Lands each of these by an ingest of its own, a second later each.
async fn landed_with_restarts(messages: &[(&str, &str)]) -> Lakeside {
    let lakeside = Lakeside::new().await;
    let mut source = Source::new("gw");
    for message in messages {
        source.received_us += S;
        let mut ingest = lakeside.ingest(|_| {}).await;
        let frame = source.frame(&[*message]);
        ingest.deliver(&source, &[frame]).await;
        ingest.stop().await;
    }
    lakeside
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_resource_that_is_sent_again_is_flagged_also_in_a_bundle_and_after_a_restart() {
    let observation = r#"{"resourceType":"Observation","id":"o1","meta":{"versionId":"3"},"status":"final","code":{"text":"x"},"valueInteger":1,"effectiveDateTime":"2026-07-01T10:00:00Z"}"#;
    let corrected = observation.replace("\"3\"", "\"4\"").replace(":1,", ":2,");
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{observation}}},{{"resource":{corrected}}}]}}"#
    );
    let messages = [
        (EHR, observation),
        (EHR, &*bundle),
        (EHR, &*corrected),
        ("dt/icu/ehr-2/fhir", observation),
    ];
    let lakeside = landed_with_restarts(&messages).await;
    let expected = [false, true, false, true, false];
    assert_eq!(repeats(&lakeside.rows("ehr_events").await), expected);
    let readings = lakeside.rows("readings").await;
    assert_eq!(repeats(&readings), expected, "its readings say so, too");
    assert_eq!(fields(&readings[1], ["value", "quality"]), ["1.0", "unchecked"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_what_comes_back_to_what_it_was_or_could_be_said_twice_is_no_repeat() {
    let patient =
        |active: bool| format!(r#"{{"resourceType":"Patient","id":"p","active":{active}}}"#);
    let (here, gone) = (patient(true), patient(false));
    let nameless =
        r#"{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueInteger":1}"#;
    let timed = nameless.replace("\"status\"", "\"effectiveDateTime\":\"2026-07-01\",\"status\"");
    let request = |method: &str, url: &str| {
        let request = format!(r#"{{"request":{{"method":"{method}","url":"{url}"}}}}"#);
        format!(r#"{{"resourceType":"Bundle","type":"batch","entry":[{request}]}}"#)
    };
    let (deleted, asked) = (request("DELETE", "Patient/p"), request("GET", "Patient/p"));
    let messages: [(&str, bool); 13] = [
        (&here, false),
        (&gone, false),
        (&here, false),
        (&here, true),
        (&deleted, false),
        (&deleted, true),
        (&here, false),
        (&asked, false),
        (&asked, false),
        (nameless, false),
        (nameless, false),
        (&timed, false),
        (&timed, true),
    ];
    let sent: Vec<(&str, &str)> = messages.iter().map(|(text, _)| (EHR, *text)).collect();
    let rows = super::kit::land(&sent).await.rows("ehr_events").await;
    let expected: Vec<bool> = messages.iter().map(|(_, repeat)| *repeat).collect();
    assert_eq!(repeats(&rows), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_rows_of_a_declared_table_are_repeats_of_a_message_that_says_when_it_is_from() {
    let tables: DeclaredTables = serde_json::from_value(json!({
        "sales": {"about": "A sale a row.", "columns": {"sku": "string"}},
    }))
    .unwrap();
    let lakeside = Lakeside::of(&Catalog::declared(&tables).unwrap()).await;
    let mut rule = TopicRule::new("shop/+/sales", "json");
    (rule.site, rule.device) = (Some("{1}".into()), Some("/sku".into()));
    let settings = json!({"table": "sales", "rows": "/sales"});
    rule.settings = settings.as_object().unwrap().clone();
    let timed = r#"{"ts":"2026-07-31T23:00:00Z","sales":[{"sku":"a"},{"sku":"b"}]}"#;
    let untimed = r#"{"sales":[{"sku":"a"}]}"#;
    let topic = "shop/s/sales";
    let mut source = Source::new("gw");
    for _ in 0..2 {
        let rule = rule.clone();
        let mut ingest = lakeside.ingest(|config| config.topics.push(rule)).await;
        let frame = source.frame(&[(topic, timed), (topic, untimed)]);
        ingest.deliver(&source, &[frame]).await;
        ingest.stop().await;
    }
    let rows = lakeside.rows("sales").await;
    assert_eq!(repeats(&rows), [false, false, false, true, true, false]);
}

/// A broker hands out what it kept to whoever subscribes: also what was heard when it was published, and also to somebody who
/// comes for the first time.
#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_retained_message_without_a_time_counts_from_when_it_was_handed_out_and_once() {
    let lakeside = Lakeside::new().await;
    let mut source = Source::new("agent");
    let mut kept = Vec::new();
    Attribute::Delivery { qos: 1, retain: true }.write(&mut kept);
    let live = ("dt/icu/mon-1/readings", r#"{"metric":"spo2","value":97}"#);
    let later = ("dt/icu/mon-2/readings", r#"{"metric":"spo2","value":96}"#);
    for (attributes, messages) in
        [(&[][..], [live, live]), (&*kept, [live, later]), (&*kept, [live, later])]
    {
        source.received_us += S;
        let mut ingest = lakeside.ingest(|_| {}).await;
        let frame = source.frame_with(attributes, &messages);
        ingest.deliver(&source, &[frame]).await;
        ingest.stop().await;
    }
    let rows = lakeside.rows("readings").await;
    // Heard twice live: who says no time may say the same twice. Once it was kept, it is the same message.
    assert_eq!(repeats(&rows), [false, false, true, false, true, true]);
    for (row, n) in rows.iter().zip([1, 1, 2, 2, 3, 3]) {
        let at = jiff::Timestamp::from_microsecond(RECEIVED_US + n * S).unwrap().to_string();
        let names = ["event_ts", "received_ts", "time_source", "device_ts", "quality"];
        assert_eq!(fields(row, names), [&*at, &*at, "received", "-", "good"]);
        assert!(row["flags"].contains("time_missing"), "{row:?}");
    }
}
