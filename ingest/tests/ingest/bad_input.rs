//! Bad input ends in `dead_letters` with its own reason code, while its neighbours land (INV-4).

use telemetry_core::spool::attributes::Attribute;

use super::kit::{Lakeside, Source, TOPIC, land, reading};

/// With a text that is one byte too long at `@`.
fn long(payload: &str) -> Vec<u8> {
    payload.replace('@', &"x".repeat(1025)).into_bytes()
}

fn many(values: usize) -> Vec<u8> {
    let values: Vec<String> = (0..values).map(|n| format!(r#""m{}":1"#, n % 7)).collect();
    format!(r#"{{"values":{{{}}}}}"#, values.join(",")).into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn inv4_every_kind_of_bad_payload_has_its_reason_and_its_neighbours_land() {
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        (TOPIC, br#"{"metric":"spo2","value":9"#.to_vec(), "json_truncated"),
        (TOPIC, br#"{"metric":"spo2","value":}"#.to_vec(), "json_syntax"),
        (TOPIC, br#"{"metric":"spo2","value":[97]}"#.to_vec(), "wrong_type"),
        (TOPIC, br#"{"metric":7,"value":1}"#.to_vec(), "wrong_type"),
        (TOPIC, br#"{"metric":"spo2","value":1,"values":{"spo2":1}}"#.to_vec(), "wrong_type"),
        (TOPIC, br#""hello""#.to_vec(), "wrong_type"),
        (TOPIC, br#"{"metric":"spo2","value":1e999}"#.to_vec(), "not_finite"),
        (TOPIC, br#"{"value":97}"#.to_vec(), "metric_missing"),
        (TOPIC, br#"{"metric":"spo2"}"#.to_vec(), "value_missing"),
        (TOPIC, br#"{"ts":"2026-07-31T23:00:00Z","values":{}}"#.to_vec(), "value_missing"),
        (TOPIC, b"[]".to_vec(), "value_missing"),
        (TOPIC, b"".to_vec(), "empty_payload"),
        (TOPIC, b"{\"metric\":\"\xff\",\"value\":1}".to_vec(), "not_utf8"),
        (TOPIC, deep.into_bytes(), "nesting_too_deep"),
        ("dt/icu/mon-1/waveforms", b"{}".to_vec(), "value_missing"),
        ("dt/icu/ehr/fhir", br#"{"id":"1"}"#.to_vec(), "fhir_shape_unknown"),
        (
            "dt/icu/ehr/fhir",
            br#"{"resourceType":"Bundle","entry":7}"#.to_vec(),
            "fhir_shape_unknown",
        ),
        (TOPIC, long(r#"{"metric":"spo2","value":1,"patient_id":"@"}"#), "text_too_long"),
        (TOPIC, long(r#"{"bed":"@","values":{"spo2":1}}"#), "text_too_long"),
        (TOPIC, long(r#"{"metric":"@","value":1}"#), "text_too_long"),
        (TOPIC, long(r#"{"metric":"spo2","value":1,"unit":"@"}"#), "text_too_long"),
        ("dt/icu/mon-1/status", long(r#"{"status":"@"}"#), "text_too_long"),
        ("dt/icu/mon-1/status", long(r#"{"status":"on","firmware":"@"}"#), "text_too_long"),
        ("dt/icu/ehr/fhir", long(r#"{"resourceType":"Device","id":"@"}"#), "text_too_long"),
        (TOPIC, format!("[{}]", vec!["{}"; 300_000].join(",")).into_bytes(), "metric_missing"),
        (TOPIC, many(100_001), "too_many_values"),
        (
            "dt/icu/mon-1/status",
            format!("[{}]", vec!["{}"; 300_000].join(",")).into_bytes(),
            "too_many_values",
        ),
        ("dt/icu/mon-1/status", br#"{"battery":5}"#.to_vec(), "value_missing"),
        ("dt/icu/mon-1/status", br#"{"status":1}"#.to_vec(), "wrong_type"),
    ];
    let mut messages: Vec<(&str, Vec<u8>)> = vec![];
    for (n, (topic, payload, _)) in cases.iter().enumerate() {
        messages.push((topic, payload.clone()));
        messages.push((TOPIC, reading(n as u64).into_bytes()));
    }
    let lakeside = land(&messages).await;
    let dead = lakeside.rows("dead_letters").await;
    for ((topic, payload, code), row) in cases.iter().zip(&dead) {
        let shown = String::from_utf8_lossy(payload);
        assert_eq!(row["reason_code"], *code, "{shown}");
        assert_eq!(row["topic"], *topic);
        assert_eq!(row["publisher"], "mon-1");
        let hex: String = payload.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(row["payload"], hex, "the bytes are kept as they came");
    }
    assert_eq!(dead.len(), cases.len());
    assert_eq!(lakeside.rows("readings").await.len(), cases.len(), "every neighbour landed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_reading_among_good_ones_is_told_and_the_good_ones_land() {
    let array = format!("[{},{{\"metric\":\"spo2\"}},{{\"value\":1}},{}]", reading(1), reading(2));
    let lakeside =
        land(&[(TOPIC, array.as_str()), (TOPIC, r#"{"values":{"steps":5,"":1}}"#)]).await;
    let rows = lakeside.rows("readings").await;
    let identity: Vec<_> =
        rows.iter().map(|row| (row["source_offset"].as_str(), row["row_no"].as_str())).collect();
    assert_eq!(identity, [("0", "0"), ("0", "1"), ("1", "0")]);
    let dead = lakeside.rows("dead_letters").await;
    let codes: Vec<_> = dead.iter().map(|row| row["reason_code"].as_str()).collect();
    assert_eq!(
        codes,
        ["value_missing", "metric_missing"],
        "one for each message: its first bad reading"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_array_that_is_cut_off_leaves_no_rows() {
    let cut = format!("[{},{},{{\"metric\":\"sp", reading(1), reading(2));
    let lakeside = land(&[(TOPIC, cut.as_str())]).await;
    assert!(lakeside.rows("readings").await.is_empty());
    assert_eq!(lakeside.rows("dead_letters").await[0]["reason_code"], "json_truncated");
}

#[tokio::test(flavor = "multi_thread")]
async fn inv9_a_topic_that_is_not_the_sources_own_is_a_dead_letter() {
    let lakeside = Lakeside::new().await;
    let allow = |config: &mut ingest::Config| {
        config.sources = [("gw".into(), vec!["dt/icu/#".into()])].into();
    };
    let (mut ingest, mut source) = (lakeside.ingest(allow).await, Source::new("gw"));
    ingest.send(source.frame(&[("dt/hall/mon-1/readings", reading(1)), (TOPIC, reading(2))])).await;
    ingest.landed(&source).await;
    let counts = ingest.metrics.counts().read();
    assert_eq!(counts["dead_letters"]["topic_not_allowed"], 1, "INV-13");
    assert_eq!(lakeside.lake.books().await.unwrap()[0].dead_letters, 1);
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!(
        (dead[0]["reason_code"].as_str(), dead[0]["stage"].as_str()),
        ("topic_not_allowed", "access")
    );
    assert_eq!((dead[0]["site"].as_str(), dead[0]["device_id"].as_str()), ("hall", "mon-1"));
    assert_eq!(lakeside.offsets().await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_bytes_that_are_no_record_are_kept_and_their_offsets_accounted_for() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    ingest.send(source.readings(2)).await;
    ingest.send(source.nonsense(3, b"garbage")).await;
    ingest.send(source.readings(2)).await;
    ingest.landed(&source).await;
    assert_eq!(lakeside.offsets().await, [0, 1, 5, 6]);
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0]["reason_code"].as_str(), dead[0]["stage"].as_str()),
        ("frame_record_unparsable", "frame")
    );
    assert_eq!(dead[0]["source_offset"], "2");
    let landings = lakeside.rows("landings").await;
    let sum =
        |name: &str| landings.iter().map(|row| row[name].parse::<u64>().unwrap()).sum::<u64>();
    assert_eq!((sum("message_count"), sum("gap_count"), sum("dead_letter_count")), (5, 2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_a_text_beyond_its_column_is_told_by_column_and_limit_and_one_at_the_limit_lands() {
    let patient =
        |bytes| format!(r#"{{"metric":"spo2","value":1,"patient_id":"{}"}}"#, "p".repeat(bytes));
    let lakeside = land(&[(TOPIC, patient(1024)), (TOPIC, patient(1025))]).await;
    assert_eq!(lakeside.offsets().await, [0]);
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!(
        dead[0]["reason"],
        "column `patient_id` of table `readings` takes texts of at most 1024 bytes, this one has 1025"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn inv4_what_was_too_large_for_its_spool_is_a_dead_letter_with_size_and_hash() {
    let lakeside = Lakeside::new().await;
    let (mut ingest, mut source) = (lakeside.ingest(|_| {}).await, Source::new("gw"));
    let mut attributes = Vec::new();
    Attribute::TooLarge { bytes: 9_437_184, sha256: [0xab; 32] }.write(&mut attributes);
    ingest.send(source.frame_with(&attributes, &[(TOPIC, "")])).await;
    ingest.send(source.readings(2)).await;
    ingest.landed(&source).await;
    assert_eq!(lakeside.offsets().await, [1, 2]);
    let dead = &lakeside.rows("dead_letters").await[0];
    let reason = dead["reason"].as_str();
    assert_eq!((dead["reason_code"].as_str(), dead["topic"].as_str()), ("too_large", TOPIC));
    assert!(reason.contains("9437184 bytes") && reason.contains(&"ab".repeat(32)), "{reason}");
}
