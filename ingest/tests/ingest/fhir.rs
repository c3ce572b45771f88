//! FHIR: envelopes, values, components, Bundles, times.

use super::kit::{fields, land};

const TOPIC: &str = "dt/icu/ehr-1/fhir";

const LACTATE: &str = r#"{"resourceType":"Observation","id":"o1","meta":{"versionId":"2"},"status":"final",
  "code":{"coding":[{"system":"http://snomed.info/sct","code":"1"},{"system":"http://loinc.org","code":"32693-4","display":"lactate"}]},
  "subject":{"reference":"Patient/p1"},"encounter":{"reference":"http://ehr/fhir/Encounter/e1/_history/3"},
  "effectiveDateTime":"2026-07-31T23:00:00.000Z",
  "valueQuantity":{"value":2.5,"unit":"mmol/l","system":"http://unitsofmeasure.org","code":"mmol/L"}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_numeric_observation_is_an_event_and_a_reading() {
    let lakeside = land(&[(TOPIC, LACTATE)]).await;
    let event = &lakeside.rows("ehr_events").await[0];
    let names = [
        "system_id",
        "resource_type",
        "resource_id",
        "version_id",
        "patient_id",
        "encounter_id",
        "status",
        "code",
        "code_display",
        "value",
        "unit",
    ];
    let expected = [
        "ehr-1",
        "Observation",
        "o1",
        "2",
        "p1",
        "e1",
        "final",
        "32693-4",
        "lactate",
        "2.5",
        "mmol/L",
    ];
    assert_eq!(fields(event, names), expected);
    assert_eq!(
        fields(event, ["event_ts", "effective_start", "effective_end"]),
        ["2026-07-31T23:00:00Z", "2026-07-31T23:00:00Z", "-"]
    );
    assert_eq!(event["resource"], LACTATE, "as it came");
    let reading = &lakeside.rows("readings").await[0];
    let names = [
        "device_id",
        "metric",
        "value",
        "unit",
        "quality",
        "flags",
        "patient_id",
        "encounter_id",
        "boot_id",
        "protocol",
    ];
    assert_eq!(
        fields(reading, names),
        ["ehr-1", "lactate", "2.5", "mmol/L", "good", "-", "p1", "e1", "-", "fhir-r4"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn components_become_readings_of_their_own() {
    let component = |code: &str, value: u32| {
        format!(
            r#"{{"code":{{"coding":[{{"system":"http://loinc.org","code":"{code}"}}]}},"valueQuantity":{{"value":{value},"code":"mm[Hg]"}}}}"#
        )
    };
    let pressure = format!(
        r#"{{"resourceType":"Observation","id":"bp","status":"final","code":{{"coding":[{{"system":"http://loinc.org","code":"85354-9"}}]}},
        "effectiveDateTime":"2012-09-17","component":[{},{},{{"code":{{"text":"mood"}},"valueString":"fine"}}]}}"#,
        component("8480-6", 107),
        component("8462-4", 60)
    );
    let lakeside = land(&[(TOPIC, pressure.as_str())]).await;
    let events = lakeside.rows("ehr_events").await;
    assert_eq!(events.len(), 1);
    assert_eq!(fields(&events[0], ["code", "value", "event_date"]), ["85354-9", "-", "2012-09-17"]);
    let readings = lakeside.rows("readings").await;
    let names = ["metric", "value", "value_text", "row_no", "flags", "status", "resource_id"];
    let shown: Vec<_> = readings.iter().map(|row| fields(row, names)).collect();
    assert_eq!(
        shown,
        [
            ["nibp_sys", "107.0", "-", "0", "date_only", "final", "bp"],
            ["nibp_dia", "60.0", "-", "1", "date_only", "final", "bp"],
            ["text:mood", "-", "fine", "2", "date_only,unknown_metric", "final", "bp"],
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_is_its_resources_and_a_bad_one_leaves_its_neighbours_alone() {
    let bundle = format!(
        r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{LACTATE}}},{{"resource":{{"id":"x"}}}},
        {{"fullUrl":"urn:uuid:1"}},{{"resource":{{"resourceType":"Device","id":"d1","status":"active"}}}}]}}"#
    );
    let lakeside = land(&[(TOPIC, bundle.as_str())]).await;
    let events = lakeside.rows("ehr_events").await;
    let shown: Vec<_> =
        events.iter().map(|row| fields(row, ["resource_type", "resource_id", "row_no"])).collect();
    assert_eq!(shown, [["Observation", "o1", "0"], ["Device", "d1", "1"]]);
    assert_eq!(events[1]["resource"], r#"{"resourceType":"Device","id":"d1","status":"active"}"#);
    assert_eq!(
        events[1]["event_ts"], "2026-08-01T00:00:00Z",
        "no time of its own: when it was received"
    );
    assert_eq!(lakeside.rows("dead_letters").await[0]["reason_code"], "fhir_shape_unknown");
    assert_eq!(lakeside.rows("readings").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_resources_keep_what_makes_them_findable() {
    let lakeside = land(&[
        (TOPIC, r#"{"resourceType":"Patient","id":"p1","gender":"female"}"#),
        (TOPIC, r#"{"resourceType":"Encounter","id":"e1","status":"finished","class":{"system":"s","code":"IMP"},"subject":{"reference":"Patient/p1"},"period":{"start":"2026-07-01T10:00:00Z","end":"2026-07-02T10:00:00Z"}}"#),
        (TOPIC, r#"{"resourceType":"MedicationAdministration","id":"m1","status":"completed","medicationCodeableConcept":{"coding":[{"system":"s","code":"mor"}],"text":"morphine"},"subject":{"reference":"Patient/p1"},"context":{"reference":"Encounter/e1"},"effectivePeriod":{"start":"2026-07-01T11:00:00+01:00"},"dosage":{"dose":{"value":2,"unit":"mg"}}}"#),
        (TOPIC, r#"{"resourceType":"DiagnosticReport","id":"r1","status":"final","code":{"text":"panel"},"issued":"2026-07-01T12:00:00Z","conclusion":"fine"}"#),
        (TOPIC, r#"{"resourceType":"Observation","id":"w","status":"final","code":{"coding":[{"code":"67775-7","system":"http://loinc.org"}]},"valueString":"alert","effectiveInstant":"2026-07-01T12:00:00Z"}"#),
        (TOPIC, r#"{"resourceType":"Observation","id":"a","status":"final","code":{"coding":[{"code":"9274-2","system":"http://loinc.org"}]},"valueInteger":9}"#),
    ])
    .await;
    let names = [
        "resource_type",
        "patient_id",
        "encounter_id",
        "code",
        "code_display",
        "value",
        "value_text",
        "unit",
        "event_ts",
        "effective_end",
    ];
    let events = lakeside.rows("ehr_events").await;
    let shown: Vec<_> = events.iter().map(|row| fields(row, names).join(" ")).collect();
    assert_eq!(shown[0], "Patient p1 - - - - - - 2026-08-01T00:00:00Z -");
    assert_eq!(shown[1], "Encounter p1 e1 IMP - - - - 2026-07-01T10:00:00Z 2026-07-02T10:00:00Z");
    assert_eq!(
        shown[2],
        "MedicationAdministration p1 e1 mor morphine 2.0 - mg 2026-07-01T10:00:00Z -"
    );
    assert_eq!(shown[3], "DiagnosticReport - - - panel - fine - 2026-07-01T12:00:00Z -");
    assert_eq!(shown[4], "Observation - - 67775-7 - - alert - 2026-07-01T12:00:00Z -");
    let readings = lakeside.rows("readings").await;
    let shown: Vec<_> = readings
        .iter()
        .map(|row| fields(row, ["metric", "value", "value_text", "flags"]))
        .collect();
    assert_eq!(shown[1], ["loinc:9274-2", "9.0", "-", "time_missing,unknown_metric"]);
    assert_eq!((shown.len(), shown[0][2]), (2, "alert"));
}

#[tokio::test(flavor = "multi_thread")]
async fn inv10_a_value_of_the_wrong_shape_costs_neither_the_resource_nor_its_other_values() {
    let lakeside = land(&[
        (TOPIC, r#"{"resourceType":"Observation","code":{"text":"a"},"valueQuantity":[[7]]}"#),
        (TOPIC, r#"{"resourceType":"Observation","code":{"text":"b"},"status":"final","valueQuantity":{"value":"high"}}"#),
        (TOPIC, r#"{"resourceType":"Observation","code":{"text":"c"},"status":"final","component":{},"valueInteger":1}"#),
        (TOPIC, r#"{"resourceType":7}"#),
        (TOPIC, r#"{"resourceType":"Bundle","entry":{}}"#),
        (TOPIC, r#"{"resourceType":"Bundle","id":"empty","type":"searchset","total":0,"timestamp":"2026-07-01T10:00:00Z"}"#),
    ])
    .await;
    let dead = lakeside.rows("dead_letters").await;
    assert_eq!(dead.len(), 2);
    assert!(dead.iter().all(|row| row["reason_code"] == "fhir_shape_unknown"));
    let events = lakeside.rows("ehr_events").await;
    let names = ["resource_type", "code_display", "code", "flags"];
    let shown: Vec<_> = events.iter().map(|row| fields(row, names).join(" ")).collect();
    let expected = [
        "Observation a - not_converted,not_final,time_missing",
        "Observation b - not_converted,time_missing",
        "Observation c - not_converted,time_missing",
        "Bundle - searchset -",
    ];
    assert_eq!(shown, expected);
    let readings = lakeside.rows("readings").await;
    let names = ["metric", "value", "value_text"];
    let shown: Vec<_> = readings.iter().map(|row| fields(row, names)).collect();
    assert_eq!(shown, [["text:b", "-", "high"], ["text:c", "1.0", "-"]]);
}
