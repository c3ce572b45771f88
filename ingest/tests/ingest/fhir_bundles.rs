//! FHIR Bundles and NDJSON: references within, requests, answers, and several resources in one message.

use super::kit::{Row, fields, land};

const TOPIC: &str = "dt/icu/ehr-1/fhir";

fn shown<'a, const N: usize>(rows: &'a [Row], names: [&'static str; N]) -> Vec<[&'a str; N]> {
    rows.iter().map(|row| fields(row, names)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn references_join_the_rows_of_their_bundle() {
    let bundle = r#"{"resourceType":"Bundle","type":"transaction","entry":[
      {"fullUrl":"urn:uuid:a1","resource":{"resourceType":"Patient","active":true},"request":{"method":"POST","url":"Patient"}},
      {"fullUrl":"urn:uuid:a2","resource":{"resourceType":"Patient","id":"p2"},"request":{"method":"PUT","url":"Patient/p2"}},
      {"fullUrl":"urn:uuid:a3","resource":{"resourceType":"Medication","code":{"coding":[{"system":"s","code":"asa"}]}},"request":{"method":"POST","url":"Medication","ifNoneExist":"code=asa"}},
      {"fullUrl":"urn:uuid:a4","resource":{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"urn:uuid:a1"},"encounter":{"reference":"urn:uuid:a9"},"valueInteger":1,"effectiveDateTime":"2026-07-01T10:00:00Z"}},
      {"resource":{"resourceType":"MedicationRequest","id":"m","subject":{"reference":"urn:uuid:a2"},"medicationReference":{"reference":"urn:uuid:a3"},"authoredOn":"2026-07-01"}},
      {"resource":{"resourceType":"Condition","id":"c","subject":{"reference":"Patient?identifier=urn:mrn|7"}}},
      {"resource":{"resourceType":"Condition","id":"d","subject":{"identifier":{"system":"urn:mrn","value":"7"}}}},
      {"resource":{"resourceType":"Condition","id":"e","subject":{"reference":"Patient/p2/_history/4"}}}
    ]}"#;
    let lakeside = land(&[(TOPIC, bundle)]).await;
    assert!(lakeside.rows("dead_letters").await.is_empty());
    let events = lakeside.rows("ehr_events").await;
    let names = ["resource_id", "patient_id", "subject_reference", "full_url", "request_method"];
    let expected = [
        ["a1", "a1", "-", "urn:uuid:a1", "POST"],
        ["p2", "p2", "-", "urn:uuid:a2", "PUT"],
        ["a3", "-", "-", "urn:uuid:a3", "POST"],
        ["a4", "a1", "urn:uuid:a1", "urn:uuid:a4", "-"],
        ["m", "p2", "urn:uuid:a2", "-", "-"],
        ["c", "-", "Patient?identifier=urn:mrn|7", "-", "-"],
        ["d", "-", "urn:mrn|7", "-", "-"],
        ["e", "p2", "Patient/p2/_history/4", "-", "-"],
    ];
    assert_eq!(shown(&events, names), expected);
    assert_eq!(fields(&events[4], ["code", "code_reference"]), ["asa", "urn:uuid:a3"]);
    assert_eq!(
        events[2]["extra"],
        r#"{"request":{"method":"POST","url":"Medication","ifNoneExist":"code=asa"}}"#
    );
    let reading = &lakeside.rows("readings").await[0];
    let names = ["patient_id", "encounter_id", "resource_id"];
    assert_eq!(fields(reading, names), ["a1", "a9", "a4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bundle_asks_for_or_answers_is_an_event_of_its_own() {
    let bundle = r#"{"resourceType":"Bundle","type":"history","entry":[
      {"fullUrl":"http://e/Patient/p1","request":{"method":"DELETE","url":"Patient/p1"},"response":{"status":"204","lastModified":"2026-07-01T10:00:00Z"}},
      {"request":{"method":"DELETE","url":"Encounter/e1"}},
      {"request":{"method":"DELETE","url":"Observation?code=x"}},
      {"request":{"method":"GET","url":"/Patient/p2/$everything"}},
      {"request":{"method":"GET","url":"metadata"}},
      {"resource":{"resourceType":"Parameters","id":"patch"},"request":{"method":"PATCH","url":"Patient/p3"}},
      {"resource":{"resourceType":"Patient"},"request":{"method":"PUT","url":"Patient/p4"}},
      {"response":{"status":"201 Created","location":"Patient/p5/_history/3"}},
      {"fullUrl":"urn:uuid:nothing"},
      7
    ]}"#;
    let lakeside = land(&[(TOPIC, bundle)]).await;
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!(dead.len(), 1, "of the last two, one for the message");
    assert_eq!(dead[0]["reason"], "an entry of the Bundle has no `resource`");
    let events = lakeside.rows("ehr_events").await;
    let names = ["resource_type", "resource_id", "status", "request_method", "request_url"];
    let expected = [
        ["Patient", "p1", "deleted", "DELETE", "Patient/p1"],
        ["Encounter", "e1", "deleted", "DELETE", "Encounter/e1"],
        ["Observation", "-", "deleted", "DELETE", "Observation?code=x"],
        ["Patient", "p2", "-", "GET", "/Patient/p2/$everything"],
        ["Bundle", "-", "-", "GET", "metadata"],
        ["Parameters", "patch", "-", "PATCH", "Patient/p3"],
        ["Patient", "p4", "-", "PUT", "Patient/p4"],
        ["Patient", "p5", "-", "-", "-"],
    ];
    assert_eq!(shown(&events, names), expected);
    let names = ["event_ts", "last_updated", "patient_id", "flags"];
    let changed = "2026-07-01T10:00:00Z";
    assert_eq!(fields(&events[0], names), [changed, changed, "p1", "-"]);
    assert_eq!(fields(&events[1], ["encounter_id", "flags"]), ["e1", "time_missing"]);
    assert_eq!(events[1]["resource"], r#"{"request":{"method":"DELETE","url":"Encounter/e1"}}"#);
    assert_eq!(events[7]["version_id"], "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_resources_a_line_each_are_rows_and_a_bad_line_is_a_dead_letter() {
    let lines = concat!(
        "\u{feff}{\"resourceType\":\"Patient\",\"id\":\"a\"}\r\n",
        "\n",
        "{\"resourceType\":\"Patient\",\"id\":\"b\"\n",
        "{\"resourceType\":\"Bundle\",\"entry\":[{\"resource\":{\"resourceType\":\"Device\",\"id\":\"c\"}}]}\n",
        "{\"resourceType\":\"Patient\",\"id\":\"d\"}\n",
    );
    let pretty = "{\n  \"resourceType\": \"Patient\",\n  \"id\": \"e\"\n}\n";
    let lakeside = land(&[(TOPIC, lines), (TOPIC, pretty)]).await;
    let events = lakeside.rows("ehr_events").await;
    let expected = [["a", "0"], ["c", "1"], ["d", "2"], ["e", "0"]];
    assert_eq!(shown(&events, ["resource_id", "row_no"]), expected);
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!((dead.len(), dead[0]["reason_code"].as_str()), (1, "json_truncated"));
}

#[tokio::test(flavor = "multi_thread")]
async fn inv5_a_line_that_is_no_json_is_mended_or_kept_and_no_line_lands_twice() {
    let lines = concat!(
        "{\"resourceType\":\"Patient\",\"id\":\"a\"}\n",
        "{\"resourceType\":\"Observation\",\"id\":\"b\",\"status\":\"final\",\"code\":{\"text\":\"x\"},\"valueQuantity\":{\"value\":NaN}}\n",
        "{oops}\n",
        "{\"resourceType\":\"Patient\",\"id\":\"c\"}\n",
    );
    let lakeside = land(&[(TOPIC, lines)]).await;
    let events = lakeside.rows("ehr_events").await;
    assert_eq!(shown(&events, ["resource_id"]), [["a"], ["b"], ["c"]]);
    let readings = lakeside.rows("readings").await;
    let names = ["value", "value_text", "quality"];
    assert_eq!(shown(&readings, names), [["-", "NaN", "bad"]]);
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!((dead.len(), dead[0]["reason_code"].as_str()), (1, "fhir_shape_unknown"));
    assert!(dead[0]["reason"].starts_with("line 3: "), "{}", dead[0]["reason"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_within_a_bundle_is_opened_and_its_references_mean_the_innermost_that_has_them() {
    let observation = |id: &str, subject: &str| {
        format!(
            r#"{{"resource":{{"resourceType":"Observation","id":"{id}","status":"final","code":{{"text":"x"}},"valueInteger":1,"subject":{{"reference":"urn:uuid:{subject}"}},"effectiveDateTime":"2026-07-01T10:00:00Z"}}}}"#
        )
    };
    let patient = |url: &str, id: &str| {
        format!(
            r#"{{"fullUrl":"urn:uuid:{url}","resource":{{"resourceType":"Patient","id":"{id}"}}}}"#
        )
    };
    let inner = format!(
        r#"{{"resourceType":"Bundle","type":"document","entry":[{},{},{}]}}"#,
        observation("o1", "a"),
        observation("o2", "b"),
        patient("a", "inner-a"),
    );
    let outer = format!(
        r#"{{"resourceType":"Bundle","type":"collection","timestamp":"2026-07-01","entry":[{{"fullUrl":"urn:uuid:doc","resource":{inner},"search":{{"mode":"match"}}}},{},{},{},{{"resource":{{"resourceType":"Bundle","id":"empty","type":"searchset"}}}}]}}"#,
        patient("a", "outer-a"),
        patient("b", "outer-b"),
        observation("o3", "a"),
    );
    let lakeside = land(&[(TOPIC, &*outer)]).await;
    assert!(lakeside.rows("dead_letters").await.is_empty());
    let events = lakeside.rows("ehr_events").await;
    let expected = [
        ["Observation", "o1", "inner-a"],
        ["Observation", "o2", "outer-b"],
        ["Patient", "inner-a", "inner-a"],
        ["Patient", "outer-a", "outer-a"],
        ["Patient", "outer-b", "outer-b"],
        ["Observation", "o3", "outer-a"],
        ["Bundle", "empty", "-"],
    ];
    assert_eq!(shown(&events, ["resource_type", "resource_id", "patient_id"]), expected);
    let said = r#"{"Bundle":{"type":"collection","timestamp":"2026-07-01"},"Bundle.2":{"type":"document","entry":{"fullUrl":"urn:uuid:doc","search":{"mode":"match"}}}}"#;
    assert_eq!(events[0]["extra"], said, "what both say themselves is in their first row");
    assert!(events[1..].iter().all(|row| !row.contains_key("extra")));
    let readings = lakeside.rows("readings").await;
    assert_eq!(shown(&readings, ["patient_id"]), [["inner-a"], ["outer-b"], ["outer-a"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv8_bundles_are_opened_to_a_depth_and_what_is_deeper_costs_its_neighbours_nothing() {
    let patient =
        |id: usize| format!(r#"{{"resource":{{"resourceType":"Patient","id":"p{id}"}}}}"#);
    let mut bundle = r#"{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Patient","id":"too-deep"}}]}"#.to_owned();
    for depth in (1..=8).rev() {
        bundle = format!(
            r#"{{"resourceType":"Bundle","id":"b{depth}","entry":[{{"resource":{bundle}}},{}]}}"#,
            patient(depth)
        );
    }
    let lakeside = land(&[(TOPIC, &*bundle)]).await;
    let events = lakeside.rows("ehr_events").await;
    let expected: Vec<[String; 1]> = (1..=8).rev().map(|depth| [format!("p{depth}")]).collect();
    assert_eq!(shown(&events, ["resource_id"]), expected);
    let about = &events[0]["extra"];
    assert!(about.starts_with(r#"{"Bundle":{"id":"b1"},"Bundle.2":{"id":"b2"},"#), "{about}");
    let dead = lakeside.rows("dead_letters").await;
    let names = ["reason_code", "reason"];
    let expected = ["nesting_too_deep", "a Bundle within 8 Bundles is not opened"];
    assert_eq!(shown(&dead, names), [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_each_bundle_of_several_lines_says_itself_in_its_first_row() {
    let line = |kind: &str, id: &str| {
        format!(
            r#"{{"resourceType":"Bundle","type":"{kind}","entry":[7,{{"resource":{{"resourceType":"Patient","id":"{id}"}}}},{{"resource":{{"resourceType":"Group","id":"{id}"}}}}]}}"#
        )
    };
    let lines = format!("{}\n{}\n", line("batch", "a"), line("history", "b"));
    let events = land(&[(TOPIC, &*lines)]).await.rows("ehr_events").await;
    let expected = [
        ["a", r#"{"Bundle":{"type":"batch"}}"#],
        ["a", "-"],
        ["b", r#"{"Bundle":{"type":"history"}}"#],
        ["b", "-"],
    ];
    assert_eq!(shown(&events, ["resource_id", "extra"]), expected);
}
