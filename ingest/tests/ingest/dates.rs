//! Times as devices and sources say them: many dates, dates of long ago, clocks that are wrong. What a landing touches stays
//! bounded, and rows stay where who looks for them looks first.

use std::collections::BTreeSet;

use super::kit::{Lakeside, RECEIVED_US, Row, Source, TOPIC, fields, land};

const DAY_US: i64 = 86_400_000_000;

fn of_day(day: i64) -> String {
    let ms = (RECEIVED_US - day * DAY_US) / 1000;
    format!(r#"{{"ts":{ms},"metric":"steps","value":{day}}}"#)
}

fn date(time: &str) -> &str {
    time.split('T').next().unwrap()
}

fn flagged(row: &Row) -> bool {
    row.get("flags").is_some_and(|flags| flags.split(',').any(|flag| flag == "date_of_landing"))
}

/// Whether rows are under their own date, except for those that are flagged: they are all under one.
fn placed(rows: &[Row]) -> bool {
    let (flagged, own): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| flagged(row));
    let together: BTreeSet<&str> = flagged.iter().map(|row| row["event_date"].as_str()).collect();
    together.len() <= 1 && own.iter().all(|row| row["event_date"] == date(&row["event_ts"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_a_message_of_thousands_of_dates_becomes_few_files_and_what_has_no_date_of_its_own_is_flagged()
 {
    let days: Vec<String> = (0..5000).map(of_day).collect();
    let many = format!("[{}]", days.join(","));
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    let frame = source.frame(&[(TOPIC, of_day(1)), (TOPIC, many), (TOPIC, of_day(2))]);
    ingest.deliver(&source, &[frame]).await;
    let rows = lakeside.rows("readings").await;
    assert_eq!(rows.len(), 5002);
    assert!(placed(&rows));
    assert_eq!(rows.iter().filter(|row| flagged(row)).count(), 5000 - 256);
    assert!(lakeside.lake.files("readings").await.unwrap().len() <= 258);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_messages_of_many_dates_land_a_few_dates_at_a_time_and_hold_nobody_up() {
    let lakeside = Lakeside::new().await;
    let change = |config: &mut ingest::Config| config.flush_rows = 1_000_000;
    let mut ingest = lakeside.ingest(change).await;
    let (mut source, mut other) = (Source::new("gw"), Source::new("other"));
    let days: Vec<(&str, String)> = (0..200).map(|day| (TOPIC, of_day(day))).collect();
    let frame = source.frame(&days);
    ingest.send(super::kit::again(&frame)).await;
    ingest.send(other.readings(3)).await;
    // With the first landing, which the dates made due.
    ingest.landed(&other).await;
    ingest.deliver(&source, &[frame]).await;
    let rows = lakeside.rows("readings").await;
    assert_eq!(rows.len(), 203);
    assert!(placed(&rows) && !rows.iter().any(flagged), "each waited for a place of its own");
    let landings = lakeside.rows("landings").await;
    let files = |row: &Row| row["file_count"].parse::<usize>().unwrap();
    assert!(
        landings.iter().all(|row| files(row) <= 66),
        "{:?}",
        landings.iter().map(files).collect::<Vec<_>>()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_of_a_whole_life_lands_with_flags() {
    let entry = |day: i64| {
        let year = 1950 + day / 360;
        let (month, day) = (day / 30 % 12 + 1, day % 30 % 28 + 1);
        format!(
            r#"{{"resource":{{"resourceType":"Observation","effectiveDateTime":"{year}-{month:02}-{day:02}","code":{{"coding":[{{"code":"x"}}]}},"valueInteger":1}}}}"#
        )
    };
    let entries: Vec<String> = (0..720).map(entry).collect();
    let bundle = format!(r#"{{"resourceType":"Bundle","entry":[{}]}}"#, entries.join(","));
    let lakeside = land(&[("dt/icu/ehr/fhir", bundle)]).await;
    for table in ["ehr_events", "readings"] {
        let rows = lakeside.rows(table).await;
        assert_eq!(rows.len(), 720, "{table}");
        assert!(placed(&rows) && rows.iter().any(flagged), "{table}");
        assert!(rows.iter().all(|row| row["flags"].contains("date_only")), "{table}");
    }
    assert!(lakeside.rows("dead_letters").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_source_received_a_message_is_believed_only_if_it_can_be() {
    for (received_us, absurd) in
        [(RECEIVED_US, false), (0, true), (RECEIVED_US + 30_000 * DAY_US, true), (i64::MIN, true)]
    {
        let lakeside = Lakeside::new().await;
        let mut ingest = lakeside.ingest(|_| {}).await;
        let mut source = Source { received_us, ..Source::new("gw") };
        let status = r#"{"status":"on"}"#.to_owned();
        let patient = r#"{"resourceType":"Patient","id":"p"}"#.to_owned();
        let good = r#"{"ts":"2026-07-31T23:00:00Z","metric":"steps","value":1}"#.to_owned();
        let messages = [
            (TOPIC, good),
            ("dt/icu/mon-1/status", status),
            ("dt/icu/ehr/fhir", patient),
            (TOPIC, "{".to_owned()),
        ];
        ingest.send(source.frame(&messages)).await;
        ingest.landed(&source).await;
        for table in ["readings", "device_status", "ehr_events", "dead_letters"] {
            let rows = lakeside.rows(table).await;
            let trusted = rows[0]["received_ts"] == "2026-08-01T00:00:00Z";
            assert_eq!(trusted, !absurd, "{table} {received_us}: {rows:?}");
            assert!(rows[0]["event_date"].starts_with("20"), "{table}: {rows:?}");
            if table != "dead_letters" {
                let told =
                    rows[0].get("flags").is_some_and(|flags| flags.contains("received_absurd"));
                assert_eq!(told, absurd, "{table} {received_us}");
            }
        }
        // What the device says is judged by a clock that can be right.
        let rows = lakeside.rows("readings").await;
        assert_eq!(fields(&rows[0], ["event_ts", "quality"]), ["2026-07-31T23:00:00Z", "good"]);
    }
}
