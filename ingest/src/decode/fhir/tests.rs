//! Golden expectations: which state a resource is in, and what it is about.

use serde_json::{Value, json};

use super::reading;
use super::reference::Index;
use super::said::{Beside, Said};

/// A resource of the type with these members.
fn of(kind: &str, members: Value, check: impl FnOnce(&Said<'_>, &Value)) {
    let (beside, index) = (Beside::default(), Index::default());
    let said = Said::of(kind, members.as_object().unwrap(), &beside, &index, 0);
    check(&said, &members);
}

#[test]
fn every_status_is_told_and_what_was_retracted_is_seen() {
    let coded = |code: &str| json!({"coding": [{"code": code}]});
    for (kind, members, expected) in [
        ("Observation", json!({"status": "final"}), ["final", "-", "-"]),
        ("Observation", json!({"status": "amended"}), ["amended", "-", "-"]),
        ("Observation", json!({"status": "corrected"}), ["corrected", "-", "-"]),
        ("Observation", json!({"status": "preliminary"}), ["preliminary", "-", "not_final"]),
        ("Observation", json!({"status": "registered"}), ["registered", "-", "not_final"]),
        ("Observation", json!({"status": "unknown"}), ["unknown", "-", "not_final"]),
        ("Observation", json!({"status": "cancelled"}), ["cancelled", "-", "retracted"]),
        (
            "Observation",
            json!({"status": "entered-in-error"}),
            ["entered-in-error", "-", "retracted"],
        ),
        ("Observation", json!({}), ["-", "-", "not_final"]),
        ("Observation", json!({"status": 7}), ["-", "-", "not_final"]),
        ("DiagnosticReport", json!({"status": "appended"}), ["appended", "-", "-"]),
        ("DiagnosticReport", json!({"status": "partial"}), ["partial", "-", "not_final"]),
        (
            "Condition",
            json!({"clinicalStatus": coded("active"), "verificationStatus": coded("confirmed")}),
            ["active", "confirmed", "-"],
        ),
        (
            "Condition",
            json!({"verificationStatus": coded("entered-in-error")}),
            ["entered-in-error", "entered-in-error", "retracted"],
        ),
        ("AllergyIntolerance", json!({"clinicalStatus": {"text": "gone"}}), ["gone", "-", "-"]),
        (
            "DocumentReference",
            json!({"status": "current", "docStatus": "entered-in-error"}),
            ["entered-in-error", "entered-in-error", "retracted"],
        ),
        (
            "Procedure",
            json!({"status": "entered-in-error"}),
            ["entered-in-error", "-", "retracted"],
        ),
        ("Appointment", json!({"status": "cancelled"}), ["cancelled", "-", "-"]),
        ("Patient", json!({"active": false}), ["inactive", "-", "-"]),
        ("Patient", json!({"active": true}), ["active", "-", "-"]),
        ("Goal", json!({"lifecycleStatus": "planned"}), ["planned", "-", "-"]),
        ("MedicinalProductAuthorization", json!({"status": coded("active")}), ["active", "-", "-"]),
    ] {
        of(kind, members, |said, members| {
            let flags = said.standing.text().unwrap_or("-".to_owned());
            let (status, verification) = (said.status.as_deref(), said.verification.as_deref());
            let found = [status.unwrap_or("-"), verification.unwrap_or("-"), &flags];
            assert_eq!(found, expected, "{kind} {members}");
        });
    }
}

#[test]
fn what_it_is_about_is_found_by_the_paths_of_its_type() {
    let coded = |code: &str| json!({"coding": [{"system": "s", "code": code}]});
    for (kind, members, expected) in [
        ("Immunization", json!({"vaccineCode": coded("mmr")}), ["mmr", "-", "-"]),
        (
            "MedicationRequest",
            json!({"medicationCodeableConcept": coded("mor")}),
            ["mor", "-", "-"],
        ),
        (
            "MedicationRequest",
            json!({"medicationReference": {"reference": "Medication/7", "display": "morphine"}}),
            ["-", "morphine", "Medication/7"],
        ),
        (
            "MedicationAdministration",
            json!({"medicationReference": {"reference": "#m"}, "contained": [{"resourceType": "Medication", "id": "m", "code": coded("asa")}]}),
            ["asa", "-", "#m"],
        ),
        (
            "MedicationAdministration",
            json!({"medicationReference": {"reference": "#x"}}),
            ["-", "-", "#x"],
        ),
        ("Encounter", json!({"class": {"system": "s", "code": "IMP"}}), ["IMP", "-", "-"]),
        ("AuditEvent", json!({"type": {"code": "rest"}}), ["rest", "-", "-"]),
        ("CarePlan", json!({"category": [coded("a"), coded("b")]}), ["a", "-", "-"]),
        (
            "DeviceRequest",
            json!({"codeReference": {"identifier": {"value": "i"}}}),
            ["-", "-", "i"],
        ),
        ("MessageHeader", json!({"eventUri": "http://e"}), ["http://e", "-", "-"]),
        ("NutritionOrder", json!({"supplement": [{"type": coded("bar")}]}), ["bar", "-", "-"]),
        ("Substance", json!({"code": {"text": "apple"}}), ["-", "apple", "-"]),
        ("Novelty", json!({"code": coded("x")}), ["x", "-", "-"]),
    ] {
        of(kind, members, |said, members| {
            let parts = [&said.coded.code, &said.coded.display, &said.code_reference];
            let found = parts.map(|part| part.as_deref().unwrap_or("-"));
            assert_eq!(found, expected, "{kind} {members}");
        });
    }
}

#[test]
fn a_value_without_a_code_and_odd_components_are_flagged() {
    for (members, readings, expected) in [
        (json!({"valueInteger": 1}), 0, "code_missing"),
        (json!({"code": {"text": "mood"}, "valueString": "fine"}), 1, "-"),
        (
            json!({"code": {"text": "a"}, "component": [{"code": {"text": "b"}, "valueInteger": 1}, {"valueInteger": 2}, 7]}),
            1,
            "code_missing,not_converted",
        ),
        (json!({"code": {"text": "a"}, "component": {}}), 0, "not_converted"),
        (
            json!({"code": {"text": "a"}, "component": null, "hasMember": [{"reference": "Observation/1"}]}),
            0,
            "-",
        ),
        (json!({"code": {"text": "a"}, "valueAttachment": {}}), 0, "not_converted"),
    ] {
        of("Observation", members, |said, members| {
            let (parts, flags) = reading::parts(members.as_object().unwrap(), &said.observed);
            let flags = flags.text().unwrap_or("-".to_owned());
            assert_eq!((parts.len(), flags.as_str()), (readings, expected), "{members}");
        });
    }
}
