//! The EHR's resources: FHIR R4 JSON, and beside each the rows it must become.
//!
//! One row of `ehr_events` for each resource (a Bundle is only an envelope), and one row of `readings` for each value of an
//! Observation whose LOINC code is in the catalogue.

use bytes::Bytes;
use serde_json::{Value as Json, json};
use telemetry_core::catalog;

use crate::canonical;
use crate::device::{Device, Given, quality};
use crate::fingerprint::{EhrRow, EventTime, MessageKey, ReadingRow, Value};
use crate::message::{Expectation, Message, StreamKind};

/// A resource and what its row must say.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) json: Json,
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    version: String,
    status: Option<&'static str>,
    patient_id: String,
    observed: Option<Observed>,
}

/// What an Observation observed. `number` is its own value; components have theirs.
#[derive(Debug, Clone)]
struct Observed {
    code: &'static str,
    effective_us: i64,
    number: Option<f64>,
    text: Option<&'static str>,
    components: Vec<(&'static str, f64)>,
}

/// Identity and version of a resource: versions of different boots are different.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) boot: i64,
    pub(crate) version: u32,
}

impl Identity {
    fn version_id(&self) -> String {
        format!("{}.{}", self.boot, self.version)
    }
}

/// Whom a resource is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) patient_id: String,
    pub(crate) encounter_id: String,
}

const LOINC: &str = "http://loinc.org";
const UCUM: &str = "http://unitsofmeasure.org";

/// A time as FHIR writes an instant.
pub(crate) fn instant(us: i64) -> String {
    crate::device::utc_stamp(us).json.trim_matches('"').to_owned()
}

pub(crate) fn patient(identity: &Identity, female: bool, birth_year: i32) -> Resource {
    let json = json!({
        "resourceType": "Patient", "id": identity.id, "meta": {"versionId": identity.version_id()},
        "active": true, "gender": if female { "female" } else { "male" }, "birthDate": birth_year.to_string(),
    });
    resource(json, "Patient", identity, Some("active"), identity.id.clone())
}

pub(crate) fn encounter(
    identity: &Identity,
    subject: &Subject,
    place: &str,
    admitted_us: i64,
    discharged_us: Option<i64>,
) -> Resource {
    let status = if discharged_us.is_some() { "finished" } else { "in-progress" };
    let mut period = json!({"start": instant(admitted_us)});
    if let Some(us) = discharged_us {
        period["end"] = instant(us).into();
    }
    let json = json!({
        "resourceType": "Encounter", "id": identity.id, "meta": {"versionId": identity.version_id()},
        "status": status,
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": format!("Patient/{}", subject.patient_id)},
        "period": period,
        "location": [{"location": {"display": place}}],
    });
    resource(json, "Encounter", identity, Some(status), subject.patient_id.clone())
}

/// An Observation with one number, its unit being the catalogue's.
pub(crate) fn observation(
    identity: &Identity,
    subject: &Subject,
    status: &'static str,
    metric: &'static catalog::Metric,
    value: f64,
    effective_us: i64,
) -> Resource {
    let code = metric.loinc.unwrap_or_default();
    let mut json = observation_base(identity, subject, status, code, metric.name, effective_us);
    json["valueQuantity"] = quantity(value, metric);
    let observed = Observed {
        code,
        effective_us: cut(effective_us),
        number: Some(value),
        text: None,
        components: vec![],
    };
    Resource {
        observed: Some(observed),
        ..resource(json, "Observation", identity, Some(status), subject.patient_id.clone())
    }
}

/// Blood pressure as FHIR has it: a panel with two components.
pub(crate) fn blood_pressure(
    identity: &Identity,
    subject: &Subject,
    systolic: f64,
    diastolic: f64,
    at_us: i64,
) -> Resource {
    let code = "85354-9";
    let mut json =
        observation_base(identity, subject, "final", code, "blood pressure panel", at_us);
    let parts = [("nibp_sys", systolic), ("nibp_dia", diastolic)];
    let metrics = parts
        .map(|(name, value)| (catalog::metric(name).expect("both are in the catalogue"), value));
    json["component"] = metrics
        .iter()
        .map(|(metric, value)| {
            let coding = json!([{"system": LOINC, "code": metric.loinc, "display": metric.name}]);
            json!({"code": {"coding": coding}, "valueQuantity": quantity(*value, metric)})
        })
        .collect();
    let observed = Observed {
        code,
        effective_us: cut(at_us),
        number: None,
        text: None,
        components: parts.to_vec(),
    };
    Resource {
        observed: Some(observed),
        ..resource(json, "Observation", identity, Some("final"), subject.patient_id.clone())
    }
}

/// Level of consciousness, in words.
pub(crate) fn consciousness(
    identity: &Identity,
    subject: &Subject,
    word: &'static str,
    at_us: i64,
) -> Resource {
    let code = "67775-7";
    let mut json = observation_base(identity, subject, "final", code, "consciousness", at_us);
    json["valueString"] = word.into();
    let observed = Observed {
        code,
        effective_us: cut(at_us),
        number: None,
        text: Some(word),
        components: vec![],
    };
    Resource {
        observed: Some(observed),
        ..resource(json, "Observation", identity, Some("final"), subject.patient_id.clone())
    }
}

pub(crate) fn report(
    identity: &Identity,
    subject: &Subject,
    results: &[Resource],
    effective_us: i64,
) -> Resource {
    let results: Vec<Json> =
        results.iter().map(|r| json!({"reference": format!("Observation/{}", r.id)})).collect();
    let json = json!({
        "resourceType": "DiagnosticReport", "id": identity.id, "meta": {"versionId": identity.version_id()},
        "status": "final",
        "code": {"coding": [{"system": "urn:tidemark:simulator:panel", "code": "ward-panel", "display": "ward panel"}]},
        "subject": {"reference": format!("Patient/{}", subject.patient_id)},
        "encounter": {"reference": format!("Encounter/{}", subject.encounter_id)},
        "effectiveDateTime": instant(effective_us), "issued": instant(effective_us), "result": results,
    });
    resource(json, "DiagnosticReport", identity, Some("final"), subject.patient_id.clone())
}

/// A drug given: once with a dose (mg), or continuously with a rate (mL/h).
pub(crate) fn administration(
    identity: &Identity,
    subject: &Subject,
    status: &'static str,
    drug: &str,
    dosage: Json,
    at_us: i64,
) -> Resource {
    let json = json!({
        "resourceType": "MedicationAdministration", "id": identity.id, "meta": {"versionId": identity.version_id()},
        "status": status,
        "medicationCodeableConcept":
            {"coding": [{"system": "urn:tidemark:simulator:drug", "code": drug.replace(' ', "-"), "display": drug}]},
        "subject": {"reference": format!("Patient/{}", subject.patient_id)},
        "context": {"reference": format!("Encounter/{}", subject.encounter_id)},
        "effectiveDateTime": instant(at_us), "dosage": dosage,
    });
    resource(json, "MedicationAdministration", identity, Some(status), subject.patient_id.clone())
}

/// `dosage` of an infusion.
pub(crate) fn infusion(rate_ml_h: f64) -> Json {
    json!({"rateQuantity": {"value": rate_ml_h, "unit": "mL/h", "system": UCUM, "code": "mL/h"}})
}

/// `dosage` of one dose.
pub(crate) fn dose(mg: f64) -> Json {
    json!({"dose": {"value": mg, "unit": "mg", "system": UCUM, "code": "mg"}})
}

fn resource(
    json: Json,
    kind: &'static str,
    identity: &Identity,
    status: Option<&'static str>,
    patient_id: String,
) -> Resource {
    let (id, version) = (identity.id.clone(), identity.version_id());
    Resource { json, kind, id, version, status, patient_id, observed: None }
}

fn observation_base(
    identity: &Identity,
    subject: &Subject,
    status: &str,
    code: &str,
    display: &str,
    at_us: i64,
) -> Json {
    json!({
        "resourceType": "Observation", "id": identity.id, "meta": {"versionId": identity.version_id()},
        "status": status,
        "code": {"coding": [{"system": LOINC, "code": code, "display": display}]},
        "subject": {"reference": format!("Patient/{}", subject.patient_id)},
        "encounter": {"reference": format!("Encounter/{}", subject.encounter_id)},
        "effectiveDateTime": instant(at_us),
    })
}

fn quantity(value: f64, metric: &catalog::Metric) -> Json {
    json!({"value": value, "unit": metric.unit, "system": UCUM, "code": metric.unit})
}

/// FHIR times are written in milliseconds.
fn cut(us: i64) -> i64 {
    us.div_euclid(1000) * 1000
}

/// One message with these resources: alone, or as a Bundle.
pub(crate) fn message(device: &mut Device, resources: &[Resource]) -> Message {
    let seq = device.next_seq();
    let (mut key, mut expect) = (MessageKey::default(), Expectation::default());
    let mut payload = Vec::with_capacity(512 * resources.len());
    for one in resources {
        one.expect(device, &mut key, &mut expect);
    }
    if let [only] = resources {
        canonical::write(&only.json, &mut payload);
    } else {
        let entries: Vec<Json> =
            resources.iter().map(|one| json!({"resource": one.json})).collect();
        canonical::write(
            &json!({"resourceType": "Bundle", "type": "collection", "entry": entries}),
            &mut payload,
        );
    }
    let topic = device.name.topic(StreamKind::Fhir.as_str());
    let payload = Bytes::from(payload);
    Message {
        device: device.number,
        stream: StreamKind::Fhir,
        topic,
        payload,
        boot: device.boot(),
        seq,
        key,
        expect,
        file: None,
    }
}

impl Resource {
    fn expect(&self, device: &Device, key: &mut MessageKey, expect: &mut Expectation) {
        let mut text = Vec::with_capacity(512);
        canonical::write(&self.json, &mut text);
        let observed = self.observed.as_ref();
        let own = observed.and_then(|o| Some((o.number?, catalog::metric_by_loinc(o.code)?)));
        let value = match (own, observed.and_then(|o| o.text)) {
            (Some((number, _)), _) => Value::Number(number),
            (None, Some(text)) => Value::Text(text),
            (None, None) => Value::Null,
        };
        let row = EhrRow {
            site: &device.name.site,
            system_id: &device.name.device_id,
            resource_type: self.kind,
            resource_id: &self.id,
            version_id: &self.version,
            status: self.status,
            code: observed.map(|o| o.code),
            value,
            unit: own.and_then(|(_, metric)| metric.unit),
            effective_us: observed.map(|o| o.effective_us),
            resource: &text,
        };
        *key = key.and(row.key());
        expect.ehr(&row);
        let metric = observed.and_then(|o| catalog::metric_by_loinc(o.code));
        if let (Some(metric), Some(observed)) = (metric, observed)
            && value != Value::Null
        {
            expect.reading(&self.reading(device, metric, value, observed.effective_us));
        }
        for (name, number) in observed.map(|o| o.components.as_slice()).unwrap_or_default() {
            let metric = catalog::metric(name).expect("components are in the catalogue");
            let effective_us = observed.map(|o| o.effective_us).unwrap_or_default();
            let value = Value::Number(*number);
            expect.reading(&self.reading(device, metric, value, effective_us));
        }
    }

    fn reading<'a>(
        &'a self,
        device: &'a Device,
        metric: &'static catalog::Metric,
        value: Value<'a>,
        effective_us: i64,
    ) -> ReadingRow<'a> {
        let event = device.believed(EventTime::At(effective_us));
        let given = match value {
            Value::Number(number) | Value::Word(number, _) | Value::Written(number) => {
                Given::Number(number)
            }
            Value::Text(text) => Given::Text(text),
            Value::Null => Given::Null,
        };
        ReadingRow {
            site: &device.name.site,
            device_id: &device.name.device_id,
            metric: metric.name,
            event,
            value,
            unit: metric.unit,
            quality: quality(metric.name, given, event),
            patient_id: Some(&self.patient_id),
            boot_id: None,
            seq: None,
            extra: None,
            time_text: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Disorder;
    use crate::message::{DeviceName, Run};

    fn sample() -> (Device, Identity, Subject) {
        let device =
            Device::new(0, DeviceName::new("s", "ehr"), Run::of_boot(2), 1, &Disorder::default());
        let identity = Identity { id: "obs-1".into(), boot: 2, version: 1 };
        (device, identity, Subject { patient_id: "pt-1".into(), encounter_id: "enc-1".into() })
    }

    #[test]
    fn a_numeric_observation_becomes_an_event_and_a_reading() {
        let (mut device, identity, subject) = sample();
        let lactate = catalog::metric("lactate").unwrap();
        let one = observation(&identity, &subject, "final", lactate, 2.5, 1_767_225_600_000_000);
        let message = message(&mut device, &[one]);
        assert_eq!(
            std::str::from_utf8(&message.payload).unwrap(),
            concat!(
                r#"{"code":{"coding":[{"code":"32693-4","display":"lactate","system":"http://loinc.org"}]},"#,
                r#""effectiveDateTime":"2026-01-01T00:00:00.000Z","encounter":{"reference":"Encounter/enc-1"},"#,
                r#""id":"obs-1","meta":{"versionId":"2.1"},"resourceType":"Observation","status":"final","#,
                r#""subject":{"reference":"Patient/pt-1"},"valueQuantity":{"code":"mmol/L","#,
                r#""system":"http://unitsofmeasure.org","unit":"mmol/L","value":2.5}}"#
            )
        );
        assert_eq!(message.expect.rows, 2);
    }

    #[test]
    fn a_panel_becomes_an_event_and_a_reading_for_each_component_and_a_word_one() {
        let (mut device, identity, subject) = sample();
        let panel = blood_pressure(&identity, &subject, 120.0, 80.0, 0);
        assert_eq!(message(&mut device, &[panel]).expect.rows, 3);
        let words = consciousness(&identity, &subject, "alert", 0);
        assert_eq!(message(&mut device, &[words]).expect.rows, 2);
    }

    #[test]
    fn a_bundle_is_the_sum_of_its_resources() {
        let (mut device, identity, subject) = sample();
        let first = patient(&identity, true, 1950);
        let second = encounter(&identity, &subject, "ward-a 01", 0, None);
        let both = message(&mut device, &[first.clone(), second.clone()]);
        let (one, two) = (message(&mut device, &[first]), message(&mut device, &[second]));
        assert_eq!(both.key, one.key.and(two.key));
        assert_eq!(both.expect.fingerprint, one.expect.fingerprint.and(two.expect.fingerprint));
    }
}
