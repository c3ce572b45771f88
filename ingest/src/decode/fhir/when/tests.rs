//! Golden expectations: what each time element becomes.

use chrono::{DateTime, SecondsFormat};
use serde_json::json;

use super::super::paths::paths;
use super::*;

/// 2026-08-01T00:00:00Z.
const RECEIVED_US: i64 = 1_785_542_400_000_000;

fn shown(us: Option<i64>) -> String {
    let time = us.and_then(DateTime::from_timestamp_micros);
    time.map_or("-".to_owned(), |time| time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of expectations")]
fn every_time_element_becomes_start_end_event_and_flags() {
    let day = "2026-07-01T00:00:00Z";
    let moment = "2026-07-01T10:00:00Z";
    for (kind, members, expected) in [
        (
            "Observation",
            json!({"effectiveDateTime": "2026-07-01T12:00:00+02:00"}),
            [moment, "-", moment, "-"],
        ),
        ("Observation", json!({"effectiveInstant": moment}), [moment, "-", moment, "-"]),
        (
            "Observation",
            json!({"effectiveDateTime": "2026-07-01"}),
            [day, "2026-07-01T23:59:59.999999Z", day, "date_only"],
        ),
        (
            "Observation",
            json!({"effectiveDateTime": "2026-07"}),
            [day, "2026-07-31T23:59:59.999999Z", day, "date_only"],
        ),
        (
            "Observation",
            json!({"effectiveDateTime": "2025"}),
            [
                "2025-01-01T00:00:00Z",
                "2025-12-31T23:59:59.999999Z",
                "2025-01-01T00:00:00Z",
                "date_only",
            ],
        ),
        (
            "Observation",
            json!({"effectiveDateTime": "2024-12"}),
            [
                "2024-12-01T00:00:00Z",
                "2024-12-31T23:59:59.999999Z",
                "2024-12-01T00:00:00Z",
                "date_only",
            ],
        ),
        (
            "Observation",
            json!({"effectivePeriod": {"start": moment, "end": "2026-07-02"}}),
            [moment, "2026-07-02T23:59:59.999999Z", moment, "-"],
        ),
        (
            "Observation",
            json!({"effectivePeriod": {"start": "2026-07-01"}}),
            [day, "-", day, "date_only"],
        ),
        ("Observation", json!({"effectivePeriod": {"end": moment}}), ["-", moment, moment, "-"]),
        (
            "Observation",
            json!({"effectiveTiming": {"event": [moment, "2026-07-03T00:00:00Z"]}}),
            [moment, "2026-07-03T00:00:00Z", moment, "-"],
        ),
        (
            "Observation",
            json!({"effectiveTiming": {"event": ["2026-07-01"]}}),
            [day, "2026-07-01T23:59:59.999999Z", day, "date_only"],
        ),
        (
            "Observation",
            json!({"effectiveTiming": {"repeat": {"boundsPeriod": {"start": day}, "count": 3}}}),
            [day, "-", day, "-"],
        ),
        (
            "Observation",
            json!({"effectiveTiming": {"repeat": {"frequency": 1}}, "issued": moment}),
            ["-", "-", moment, "time_recorded,time_relative"],
        ),
        ("Observation", json!({"issued": moment}), ["-", "-", moment, "time_recorded"]),
        (
            "Observation",
            json!({"effectiveDateTime": "yesterday"}),
            ["-", "-", "2026-08-01T00:00:00Z", "time_unparsable"],
        ),
        (
            "Observation",
            json!({"effectiveDateTime": "yesterday", "issued": moment}),
            ["-", "-", moment, "not_converted,time_recorded"],
        ),
        (
            "Observation",
            json!({"effectiveDateTime": "2126-07-01"}),
            [
                "2126-07-01T00:00:00Z",
                "2126-07-01T23:59:59.999999Z",
                "2026-08-01T00:00:00Z",
                "date_only,time_absurd",
            ],
        ),
        (
            "Observation",
            json!({"_effectiveDateTime": {"extension": []}}),
            ["-", "-", "2026-08-01T00:00:00Z", "time_missing"],
        ),
        (
            "Observation",
            json!({"effectiveDateTime": null, "meta": {"lastUpdated": moment}}),
            ["-", "-", moment, "time_recorded"],
        ),
        (
            "Procedure",
            json!({"performedPeriod": {"start": moment, "end": "2026-07-01T11:00:00Z"}}),
            [moment, "2026-07-01T11:00:00Z", moment, "-"],
        ),
        (
            "Procedure",
            json!({"performedString": "some day"}),
            ["-", "-", "2026-08-01T00:00:00Z", "time_missing,time_relative"],
        ),
        (
            "Procedure",
            json!({"performedAge": {"value": 5}, "meta": {"lastUpdated": moment}}),
            ["-", "-", moment, "time_recorded,time_relative"],
        ),
        (
            "Condition",
            json!({"onsetDateTime": "2026-07-01", "abatementDateTime": "2026-07-09"}),
            [day, "2026-07-09T23:59:59.999999Z", day, "date_only"],
        ),
        (
            "Condition",
            json!({"onsetAge": {"value": 52}, "recordedDate": moment}),
            ["-", "-", moment, "time_recorded,time_relative"],
        ),
        (
            "AllergyIntolerance",
            json!({"onsetDateTime": moment, "recordedDate": day}),
            [moment, "-", moment, "-"],
        ),
        (
            "MedicationRequest",
            json!({"authoredOn": "2026-07-01"}),
            [day, "2026-07-01T23:59:59.999999Z", day, "date_only"],
        ),
        (
            "ServiceRequest",
            json!({"occurrenceDateTime": "2027-01-01T08:00:00Z", "authoredOn": moment}),
            ["2027-01-01T08:00:00Z", "-", moment, "planned"],
        ),
        (
            "Observation",
            json!({"effectiveDateTime": "2026-07-01T12:00:00+0200"}),
            [moment, "-", moment, "-"],
        ),
        (
            "Observation",
            json!({"effectiveDateTime": "2026-07-01T10:00"}),
            [moment, "-", moment, "local_time"],
        ),
        (
            "ServiceRequest",
            json!({"occurrenceTiming": {"repeat": {"count": 20}}, "authoredOn": moment}),
            [moment, "-", moment, "time_relative"],
        ),
        (
            "Appointment",
            json!({"start": "2027-01-01T08:00:00Z", "end": "2027-01-01T09:00:00Z"}),
            ["2027-01-01T08:00:00Z", "2027-01-01T09:00:00Z", "2026-08-01T00:00:00Z", "planned"],
        ),
        (
            "Immunization",
            json!({"occurrenceString": "childhood", "recorded": "2026-07-01"}),
            ["-", "-", day, "time_recorded,time_relative"],
        ),
        (
            "Specimen",
            json!({"collection": {"collectedDateTime": moment}, "receivedTime": day}),
            [moment, "-", moment, "-"],
        ),
        (
            "Patient",
            json!({"birthDate": "1950", "meta": {"lastUpdated": moment}}),
            ["-", "-", moment, "-"],
        ),
        ("ValueSet", json!({"date": "2026-07"}), ["-", "-", day, "time_recorded"]),
        ("Novelty", json!({"period": {"start": moment}}), [moment, "-", moment, "-"]),
    ] {
        let when = When::of(members.as_object().unwrap(), paths(kind), RECEIVED_US, None);
        let flags = when.flags.text().unwrap_or("-".to_owned());
        let times = [shown(when.start), shown(when.end), shown(Some(when.event_us)), flags];
        assert_eq!(times, expected, "{kind} {members}");
    }
}
