//! What readings say of Observations: nothing is `good` that the clinician did not say so (INV-11).

use super::kit::{Row, fields, land};

const TOPIC: &str = "dt/icu/ehr-1/fhir";

fn observation(members: &str) -> String {
    format!(
        r#"{{"resourceType":"Observation","id":"o","code":{{"coding":[{{"system":"http://loinc.org","code":"2708-6"}}]}},"effectiveDateTime":"2026-07-01T10:00:00Z",{members}}}"#
    )
}

async fn readings(members: &[&str]) -> Vec<Row> {
    let payloads: Vec<String> = members.iter().map(|members| observation(members)).collect();
    let messages: Vec<(&str, &String)> = payloads.iter().map(|text| (TOPIC, text)).collect();
    let lakeside = land(&messages).await;
    assert!(lakeside.rows("dead_letters").await.is_empty());
    lakeside.rows("readings").await
}

const QUANTITY: &str =
    r#""valueQuantity":{"value":97,"system":"http://unitsofmeasure.org","code":"%"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn inv11_quality_follows_comparator_status_and_reason() {
    let statuses = [
        ("final", "good", "-"),
        ("amended", "good", "-"),
        ("corrected", "good", "-"),
        ("preliminary", "suspect", "not_final"),
        ("registered", "suspect", "not_final"),
        ("unknown", "suspect", "not_final"),
        ("novel", "suspect", "not_final"),
        ("entered-in-error", "bad", "retracted"),
        ("cancelled", "bad", "retracted"),
    ];
    let with = |status: &str| format!(r#""status":"{status}",{QUANTITY}"#);
    let mut members: Vec<String> = statuses.iter().map(|(status, ..)| with(status)).collect();
    members.push(QUANTITY.to_owned());
    for comparator in ["<", "<=", ">=", ">"] {
        members.push(format!(
            r#""status":"final","valueQuantity":{{"value":70,"comparator":"{comparator}","system":"http://unitsofmeasure.org","code":"%"}}"#
        ));
    }
    members.push(
        r#""status":"final","dataAbsentReason":{"coding":[{"code":"not-performed"}]}"#.to_owned(),
    );
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let rows = readings(&members).await;
    for ((status, quality, flags), row) in statuses.iter().zip(&rows) {
        let found = fields(row, ["value", "status", "quality", "flags"]);
        assert_eq!(found, ["97.0", *status, *quality, *flags]);
    }
    let names = ["value", "comparator", "absent_reason", "quality", "flags"];
    let shown: Vec<_> = rows[9..].iter().map(|row| fields(row, names)).collect();
    let expected = [
        ["97.0", "-", "-", "suspect", "not_final"],
        ["70.0", "<", "-", "suspect", "comparator"],
        ["70.0", "<=", "-", "suspect", "comparator"],
        ["70.0", ">=", "-", "suspect", "comparator"],
        ["70.0", ">", "-", "suspect", "comparator"],
        ["-", "-", "not-performed", "bad", "absent"],
    ];
    assert_eq!(shown, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_all_that_an_observation_says_is_beside_its_readings() {
    let rows = readings(&[
        r#""meta":{"versionId":"3"},"status":"final","valueInteger":97,"interpretation":[{"coding":[{"code":"N"}]}],"method":{"text":"by hand"},"referenceRange":[{"low":{"value":95},"high":{"value":100,"unit":"%"}},{"text":"adults"}]"#,
        r#""status":"final","component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8867-4"},{"system":"http://snomed.info/sct","code":"364075005"}]},"valueQuantity":{"value":72,"code":"/min","system":"http://unitsofmeasure.org"},"interpretation":[{"text":"fine"}]},{"code":{"text":"rhythm"},"dataAbsentReason":{"text":"no leads"}}]"#,
        r#""status":"final","valueBoolean":true"#,
        r#""status":"final","valueCodeableConcept":{"coding":[{"code":"A"}],"text":"alert"}"#,
        r#""status":"final","valueRatio":{"numerator":{"value":1},"denominator":{"value":128}}"#,
    ])
    .await;
    let names = ["metric", "value", "value_text", "unit", "quality", "flags"];
    let shown: Vec<_> = rows.iter().map(|row| fields(row, names)).collect();
    assert_eq!(shown[0], ["spo2", "97.0", "-", "%", "good", "-"]);
    assert_eq!(shown[1], ["heart_rate", "72.0", "-", "/min", "good", "-"]);
    assert_eq!(shown[2], ["text:rhythm", "-", "-", "-", "bad", "absent,unknown_metric"]);
    assert_eq!(shown[3][1], "1.0");
    assert!(shown[3][5].contains("boolean"));
    assert_eq!((shown[4][2], shown[5][2]), ("alert", "1:128"));
    assert!(shown[5][5].contains("compound"));
    let names =
        ["version_id", "resource_id", "interpretation", "method", "reference_range", "codings"];
    assert_eq!(fields(&rows[0], names), ["3", "o", "N", "by hand", "95..100 %; adults", "-"]);
    let codings = r#"[{"code":"8867-4","system":"http://loinc.org"},{"code":"364075005","system":"http://snomed.info/sct"}]"#;
    assert_eq!(fields(&rows[1], names), ["-", "o", "fine", "-", "-", codings]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_series_of_samples_is_a_reading_each_up_to_a_limit() {
    let series = |period: f64, dimensions: u32, data: &str| {
        format!(
            r#""status":"final","valueSampledData":{{"origin":{{"value":90,"unit":"%"}},"period":{period},"factor":0.5,"upperLimit":20,"dimensions":{dimensions},"data":"{data}"}}"#
        )
    };
    let (short, two) = (series(500.0, 1, "0 8 U L E x"), series(1000.0, 2, "1 2 3 4"));
    let (long, broken) =
        (series(10.0, 1, &"1 ".repeat(10_001)), series(10.0, 1, "1").replace("period", "p"));
    let rows = readings(&[&short, &two, &long, &broken]).await;
    let names = ["metric", "event_ts", "value", "comparator", "flags"];
    let shown: Vec<_> = rows.iter().map(|row| fields(row, names)).collect();
    let expected = [
        ["spo2", "2026-07-01T10:00:00Z", "90.0", "-", "sampled"],
        ["spo2", "2026-07-01T10:00:00.500Z", "94.0", "-", "sampled"],
        ["spo2", "2026-07-01T10:00:01Z", "100.0", ">", "comparator,sampled"],
        ["spo2", "2026-07-01T10:00:01.500Z", "-", "-", "no_value_word,sampled"],
        ["spo2", "2026-07-01T10:00:02Z", "-", "-", "no_value_word,sampled"],
        ["spo2", "2026-07-01T10:00:02.500Z", "-", "-", "no_value_word,not_converted,sampled"],
        ["spo2.1", "2026-07-01T10:00:00Z", "90.5", "-", "sampled,unknown_metric"],
        ["spo2.2", "2026-07-01T10:00:00Z", "91.0", "-", "sampled,unknown_metric"],
        ["spo2.1", "2026-07-01T10:00:01Z", "91.5", "-", "sampled,unknown_metric"],
        ["spo2.2", "2026-07-01T10:00:01Z", "92.0", "-", "sampled,unknown_metric"],
        ["spo2", "2026-07-01T10:00:00Z", "-", "-", "absent,sampled,samples_in_resource"],
        ["spo2", "2026-07-01T10:00:00Z", "-", "-", "absent,not_converted,sampled"],
    ];
    assert_eq!(shown, expected);
    assert_eq!(rows.last().unwrap()["row_no"], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_cannot_be_read_is_kept_as_it_came() {
    let text = observation(&format!(r#""status":"final",{QUANTITY}"#))
        .replace("2026-07-01T10:00:00Z", "last tuesday");
    let lakeside = land(&[(TOPIC, text)]).await;
    let row = &lakeside.rows("readings").await[0];
    let names = ["time_text", "time_source", "device_ts", "flags"];
    assert_eq!(fields(row, names), ["last tuesday", "received", "-", "time_unparsable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv11_what_people_wrote_may_be_a_number_a_bound_or_that_there_is_none() {
    let texts = ["97", "<70", "-", "-999", "about 97"];
    let members: Vec<String> =
        texts.iter().map(|text| format!(r#""status":"final","valueString":"{text}""#)).collect();
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let rows = readings(&members).await;
    let names = ["value", "comparator", "value_text", "quality"];
    let shown: Vec<_> = rows.iter().map(|row| fields(row, names)).collect();
    let expected = [
        ["97.0", "-", "97", "good"],
        ["70.0", "<", "<70", "suspect"],
        ["-", "-", "-", "bad"],
        ["-", "-", "-999", "bad"],
        ["-", "-", "about 97", "bad"],
    ];
    assert_eq!(shown, expected);
}
