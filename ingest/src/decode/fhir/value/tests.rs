//! Golden expectations: what each kind of value becomes.

use std::fmt::Write as _;

use serde_json::json;

use super::*;

/// Number, text, unit, comparator, reason, flags: what there is of them.
fn value(element: &Value) -> String {
    let observed = Observed::of(element.as_object().unwrap(), &["value[x]"]);
    let mut text = String::new();
    let mut part = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            write!(text, "{name}={value} ").unwrap();
        }
    };
    part("n", observed.number.map(|number| number.to_string()));
    part("t", observed.text.map(|text| text.into_owned()));
    part("u", observed.unit.map(str::to_owned));
    part("c", observed.comparator.map(str::to_owned));
    part("code", observed.coded.code.map(|code| code.into_owned()));
    part(
        "range",
        observed.low.or(observed.high).map(|_| format!("{:?}", (observed.low, observed.high))),
    );
    part("absent", observed.absent);
    part("f", observed.flags.text());
    text.trim().to_owned()
}

#[test]
fn every_value_is_read_or_says_why_not() {
    const UCUM: &str = "http://unitsofmeasure.org";
    for (element, expected) in [
        (
            json!({"valueQuantity": {"value": 7.2, "unit": "g per dl", "system": UCUM, "code": "g/dL"}}),
            "n=7.2 u=g/dL",
        ),
        (
            json!({"valueQuantity": {"value": 7.2, "unit": "g/dl", "system": "http://snomed.info/sct", "code": "258795003"}}),
            "n=7.2 u=g/dl",
        ),
        (json!({"valueQuantity": {"value": 7.2, "code": "%"}}), "n=7.2 u=%"),
        (json!({"valueQuantity": {"value": 7}}), "n=7"),
        (json!({"valueQuantity": {"unit": "mg"}}), "u=mg"),
        (
            json!({"valueQuantity": {"value": "7.50", "unit": "mg"}}),
            "n=7.5 t=7.50 u=mg f=text_number",
        ),
        (json!({"valueQuantity": {"value": "high"}}), "t=high f=not_converted"),
        (json!({"valueQuantity": {"value": [1]}}), "f=not_converted"),
        (json!({"valueQuantity": 7}), "n=7"),
        (json!({"valueQuantity": []}), ""),
        (json!({"valueInteger": 9}), "n=9"),
        (json!({"valueInteger": "9"}), "n=9 t=9 f=text_number"),
        (json!({"valueBoolean": true}), "t=true f=boolean"),
        (json!({"valueBoolean": false}), "t=false f=boolean"),
        (json!({"valueString": "alert"}), "t=alert"),
        (json!({"valueString": ""}), "f=not_converted"),
        (json!({"valueTime": "10:00:00"}), "t=10:00:00"),
        (json!({"valueDateTime": "2026-07"}), "t=2026-07"),
        (json!({"valuePeriod": {"start": "2026", "end": "2027"}}), "t=2026/2027 f=compound"),
        (json!({"valuePeriod": {}}), "f=not_converted"),
        (
            json!({"valueCodeableConcept": {"coding": [{"system": "s", "code": "A", "display": "group A"}], "text": "A!"}}),
            "t=A! code=A",
        ),
        (
            json!({"valueCodeableConcept": {"coding": [{"system": "s", "code": "A", "display": "group A"}]}}),
            "t=group A code=A",
        ),
        (json!({"valueCodeableConcept": {"coding": [{"code": "A"}]}}), "t=A code=A"),
        (json!({"valueCodeableConcept": {}}), "f=not_converted"),
        (
            json!({"valueRange": {"low": {"value": 1, "unit": "mg"}, "high": {"value": 2.5}}}),
            "t=1..2.5 mg u=mg range=(Some(1.0), Some(2.5)) f=compound",
        ),
        (json!({"valueRange": {"low": {"value": 1}}}), "t=1.. range=(Some(1.0), None) f=compound"),
        (json!({"valueRange": {}}), "f=not_converted"),
        (
            json!({"valueRatio": {"numerator": {"value": 1}, "denominator": {"value": 128}}}),
            "t=1:128 f=compound",
        ),
        (
            json!({"valueRatio": {"numerator": {"value": 1, "comparator": "<"}, "denominator": {"value": 8}}}),
            "t=<1:8 c=< f=comparator,compound",
        ),
        (
            json!({"valueRatio": {"numerator": {"value": 5, "unit": "mg"}, "denominator": {"value": 10, "unit": "mL"}}}),
            "t=5 mg / 10 mL f=compound",
        ),
        (json!({"valueRatio": {"numerator": {"value": 1}}}), "f=not_converted"),
        (
            json!({"valueSampledData": {"origin": {"value": 0, "unit": "mV"}, "period": 10, "dimensions": 1, "data": "1 2"}}),
            "u=mV f=sampled",
        ),
        (json!({"valueAttachment": {"url": "x"}}), "f=not_converted"),
        (json!({}), ""),
    ] {
        assert_eq!(value(&element), expected, "{element}");
    }
}

#[test]
fn every_comparator_is_told() {
    for comparator in ["<", "<=", ">=", ">", "ad"] {
        let element =
            json!({"valueQuantity": {"value": 70, "comparator": comparator, "code": "%"}});
        assert_eq!(value(&element), format!("n=70 u=% c={comparator} f=comparator"));
    }
    for none in [json!(null), json!(""), json!(7), json!([])] {
        assert_eq!(
            value(&json!({"valueQuantity": {"value": 70, "comparator": none}})),
            "n=70",
            "{none}"
        );
    }
}

#[test]
fn every_reason_for_no_value_is_told() {
    let extension = json!([{"url": "http://x"}, {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "masked"}]);
    let coded = |code: &str| json!({"coding": [{"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": code}], "text": "words"});
    for (element, expected) in [
        (json!({"dataAbsentReason": coded("unknown")}), "absent=unknown f=absent"),
        (json!({"dataAbsentReason": coded("not-performed")}), "absent=not-performed f=absent"),
        (json!({"dataAbsentReason": coded("error")}), "absent=error f=absent"),
        (json!({"dataAbsentReason": {"text": "patient asleep"}}), "absent=patient asleep f=absent"),
        (json!({"dataAbsentReason": {"coding": [{"display": "away"}]}}), "absent=away f=absent"),
        (json!({"valueCodeableConcept": coded("asked-unknown")}), "absent=asked-unknown f=absent"),
        (json!({"_valueString": {"extension": extension}}), "absent=masked f=absent"),
        (json!({"valueQuantity": {"extension": extension}}), "absent=masked f=absent"),
        (
            json!({"valueQuantity": {"_value": {"extension": extension}, "unit": "mg"}}),
            "u=mg absent=masked f=absent",
        ),
        (
            json!({"valueQuantity": {"value": 1}, "dataAbsentReason": coded("error")}),
            "n=1 absent=error f=absent",
        ),
        (json!({"dataAbsentReason": {}}), ""),
        (json!({"dataAbsentReason": "unknown"}), "absent=unknown f=absent"),
        (json!({"dataAbsentReason": null}), ""),
    ] {
        assert_eq!(value(&element), expected, "{element}");
    }
}
