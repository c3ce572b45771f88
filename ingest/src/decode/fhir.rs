//! The stream `fhir`: one FHIR R4 resource as JSON, or a Bundle of them.
//!
//! Each resource becomes one row of `ehr_events` with its JSON as it came; of an Observation each number, its own and its
//! components', also becomes a reading. Types that are not known here keep their envelope. A resource of a Bundle that is
//! no resource leaves its neighbours alone. What entries say beside their resource is in `extra`, what the Bundle says itself in
//! `extra` of its first row, as `Bundle`.

use std::borrow::Cow;

use lake::tables::ehr_events;
use serde_json::{Map, Value};
use telemetry_core::catalog;

use super::extra::Extra;
use super::json;
use super::object::Object;
use super::reject::{Code, Reject};
use super::time::{self, DAY_US, Parsed, YEAR_1900_US};
use super::{Decoder, Message, Spec, no_settings};
use crate::batch::flags::Flags;
use crate::batch::judging::Measured;
use crate::batch::readings::{ABSENT, Context, FHIR_R4};
use crate::batch::{Row, Rows};
use crate::columns;

const LOINC: &str = "http://loinc.org";

/// A resource or a part of one, read whole.
type Tree = Map<String, Value>;

pub(super) const SPEC: Spec = Spec {
    name: "fhir",
    about: "one FHIR R4 resource as JSON, or a Bundle of them",
    build: |settings, layout| {
        no_settings(settings)?;
        Ok(Box::new(Fhir { columns: Columns::of(layout)? }))
    },
};

columns! {
    struct Columns of ehr_events::NAME {
        event_ts: Time,
        site: Text,
        system_id: Text,
        resource_type: Text,
        resource_id: Text,
        version_id: Text,
        patient_id: Text,
        encounter_id: Text,
        status: Text,
        code_system: Text,
        code: Text,
        code_display: Text,
        value: Double,
        value_text: Text,
        unit: Text,
        effective_start: Time,
        effective_end: Time,
        resource: Text,
        flags: Text,
        extra: Text,
    }
}

#[derive(Debug)]
struct Fhir {
    columns: Columns,
}

impl Decoder for Fhir {
    fn decode(&self, message: &Message<'_>, rows: &mut Rows<'_>) -> Result<(), Reject> {
        let (columns, text) = (&self.columns, message.text()?);
        decode(Resources { columns, rows, events: 0, readings: 0 }, &text)
    }
}

fn decode(mut rows: Resources<'_, '_>, text: &str) -> Result<(), Reject> {
    let root = json::parse_object(text)?;
    if root.get("resourceType").and_then(Value::as_str) != Some("Bundle") {
        return rows.resource(&root, text.trim(), Extra::default());
    }
    drop(root);
    // Read once more for the text of each entry, which is kept as it came.
    let mut bundle = Object::read(text)?;
    bundle.take("resourceType");
    let entries = bundle.take("entry").ok_or_else(|| shape("the Bundle has no entry"))?;
    // What it says about all of them is in its first row.
    let about = bundle.rest().text(ehr_events::NAME, None).map_err(Reject::from);
    let (mut first, mut any) = (about.as_ref().err().cloned(), false);
    let about = about.unwrap_or_default();
    let each = json::each(entries, |entry| {
        any = true;
        if let Err(reject) = rows.entry(entry, about.as_deref()) {
            first.get_or_insert(reject);
        }
    });
    each.map_err(|_| shape("`entry` of the Bundle is not a list"))?;
    match first {
        Some(reject) => Err(reject),
        None if !any => Err(shape("the Bundle has no entry")),
        None => Ok(()),
    }
}

fn shape(reason: &'static str) -> Reject {
    Reject::new(Code::FhirShapeUnknown, reason)
}

/// The rows of one message.
struct Resources<'a, 'b> {
    columns: &'a Columns,
    rows: &'a mut Rows<'b>,
    events: i32,
    readings: i32,
}

/// A coded concept: the code we go by and its name.
#[derive(Debug, Default, Clone, Copy)]
struct Coded<'a> {
    system: Option<&'a str>,
    code: Option<&'a str>,
    display: Option<&'a str>,
}

/// A value and its unit.
#[derive(Debug, Default, Clone)]
struct Observed<'a> {
    number: Option<f64>,
    text: Option<Cow<'a, str>>,
    unit: Option<&'a str>,
}

impl Resources<'_, '_> {
    /// One entry of a Bundle, which says `about` itself.
    fn entry(&mut self, entry: &str, about: Option<&str>) -> Result<(), Reject> {
        let mut entry = Object::read(entry).map_err(|_| shape("an entry is not an object"))?;
        let resource = entry.take("resource").filter(|raw| *raw != "null");
        let text = resource.ok_or_else(|| shape("an entry of the Bundle has no `resource`"))?;
        let resource = json::parse_object(text)
            .map_err(|_| shape("a `resource` of the Bundle is not an object"))?;
        let mut extra = entry.rest();
        if let Some(about) = about.filter(|_| self.events == 0) {
            extra.add("Bundle", about);
        }
        self.resource(&resource, text, extra)
    }

    /// A resource, and what was said beside it.
    fn resource(&mut self, resource: &Tree, text: &str, extra: Extra<'_>) -> Result<(), Reject> {
        let Some(kind) =
            resource.get("resourceType").and_then(Value::as_str).filter(|kind| !kind.is_empty())
        else {
            return Err(shape("there is no `resourceType`"));
        };
        // Everything that can be refused comes before the first row.
        let observed = observed(resource)?;
        let components = components(resource)?;
        let coded = coded(kind, resource);
        let (start, end) = effective(resource);
        let received_us = self.rows.origin().received_us;
        let possible = |us: &i64| *us >= YEAR_1900_US && *us <= received_us.saturating_add(DAY_US);
        let event_us = start
            .map(|start| start.us)
            .or_else(|| recorded(resource))
            .filter(possible)
            .unwrap_or(received_us);
        let extra = extra.text(ehr_events::NAME, None);
        let mut flags = self.flags(start, recorded(resource), event_us);
        if extra.is_err() {
            flags |= Flags::EXTRA_TOO_LONG;
        }
        let flags = flags.text();
        let patient = patient(kind, resource);
        let encounter = encounter(kind, resource);
        let version = resource.get("meta").and_then(|meta| text_of(meta.get("versionId")));
        let (site, system) = self.rows.device();
        let (site, system) = (site.to_owned(), system.to_owned());
        let columns = self.columns;
        let mut row = Row::new(&columns.table, event_us);
        row.set(columns.event_ts, event_us)
            .set(columns.site, &*site)
            .set(columns.system_id, &*system)
            .set(columns.resource_type, kind)
            .set(columns.resource_id, text_of(resource.get("id")))
            .set(columns.version_id, version)
            .set(columns.patient_id, patient)
            .set(columns.encounter_id, encounter)
            .set(columns.status, text_of(resource.get("status")))
            .set(columns.code_system, coded.system)
            .set(columns.code, coded.code)
            .set(columns.code_display, coded.display)
            .set(columns.value, observed.number)
            .set(columns.value_text, observed.text.as_deref())
            .set(columns.unit, observed.unit)
            .set(columns.effective_start, start.map(|start| start.us))
            .set(columns.effective_end, end.map(|end| end.us))
            .set(columns.resource, text)
            .set(columns.flags, flags.as_deref())
            .set(columns.extra, extra.as_ref().ok().and_then(Option::as_deref));
        self.rows.add(row)?;
        self.events += 1;
        // The row is there; the dead letter has what it could not take.
        let mut result = extra.map(drop).map_err(Reject::from);
        if kind == "Observation" {
            let context = self.context(start, event_us, [patient, encounter])?;
            for (code, value) in std::iter::once((resource.get("code"), observed)).chain(components)
            {
                result = result.and(self.reading(&context, code, &value));
            }
        }
        result
    }

    /// What is remarkable about the time of a resource.
    fn flags(&mut self, start: Option<Parsed>, recorded: Option<i64>, event_us: i64) -> Flags {
        let table = &self.columns.table;
        let dated = self.rows.dated(table, event_us);
        self.rows.origin().flags()
            | dated
            | match (start, recorded) {
                (None, None) => Flags::TIME_UNPARSABLE,
                (Some(Parsed { us, .. }), _) | (None, Some(us)) if us != event_us => {
                    Flags::TIME_ABSURD
                }
                (Some(start), _) if start.date_only => Flags::DATE_ONLY,
                _ => Flags::default(),
            }
    }

    fn context(
        &mut self,
        start: Option<Parsed>,
        event_us: i64,
        who: [Option<&str>; 2],
    ) -> Result<Context, Reject> {
        let flags = match start {
            None => Flags::TIME_UNPARSABLE,
            Some(start) if start.us != event_us => Flags::TIME_ABSURD,
            Some(start) if start.date_only => Flags::DATE_ONLY,
            Some(_) => Flags::default(),
        };
        let place = self.rows.readings().place([who[0], who[1], None, None])?;
        let device_us = start.map_or(ABSENT, |start| start.us);
        // What the resource says beside is in its row of `ehr_events`.
        Ok(Context { place, flags, ..Context::at(FHIR_R4, event_us, device_us) })
    }

    /// A number with a code becomes a reading; other values stay in `ehr_events`.
    fn reading(
        &mut self,
        context: &Context,
        code: Option<&Value>,
        value: &Observed<'_>,
    ) -> Result<(), Reject> {
        let (Some(number), Some(concept)) = (value.number, code) else { return Ok(()) };
        let Some(metric) = metric(concept) else { return Ok(()) };
        let measured = Measured::Number(number);
        self.rows.reading(context, self.readings, &metric, value.unit, measured)?;
        self.readings += 1;
        Ok(())
    }
}

/// The metric of a code: the catalogue's name for its LOINC code, else the code itself with its system's short name.
fn metric(concept: &Value) -> Option<Cow<'static, str>> {
    let known = codings(concept).filter(|coding| coding.system == Some(LOINC));
    if let Some(metric) = known.filter_map(|coding| coding.code).find_map(catalog::metric_by_loinc)
    {
        return Some(metric.name.into());
    }
    let coding = preferred(concept);
    let prefix = match coding.system {
        Some(LOINC) => "loinc",
        Some("http://snomed.info/sct") => "snomed",
        Some("urn:iso:std:iso:11073:10101") => "mdc",
        _ => "code",
    };
    coding.code.map(|code| format!("{prefix}:{code}").into())
}

fn codings(concept: &Value) -> impl Iterator<Item = Coded<'_>> {
    concept.get("coding").and_then(Value::as_array).into_iter().flatten().map(coding)
}

fn coding(coding: &Value) -> Coded<'_> {
    Coded {
        system: text_of(coding.get("system")),
        code: text_of(coding.get("code")),
        display: text_of(coding.get("display")),
    }
}

/// Of several codes for one thing: LOINC if it is among them, else the first.
fn preferred(concept: &Value) -> Coded<'_> {
    let loinc = codings(concept).find(|coding| coding.system == Some(LOINC));
    let mut coded = loinc.or_else(|| codings(concept).next()).unwrap_or_default();
    coded.display = coded.display.or_else(|| text_of(concept.get("text")));
    coded
}

/// What the resource is about.
fn coded<'a>(kind: &str, resource: &'a Tree) -> Coded<'a> {
    let concept = match kind {
        "Encounter" => return resource.get("class").map(coding).unwrap_or_default(),
        "MedicationAdministration" | "MedicationRequest" => "medicationCodeableConcept",
        _ => "code",
    };
    resource.get(concept).map(preferred).unwrap_or_default()
}

/// The value of an Observation or of a component, or the dose of an administration.
fn observed(element: &Tree) -> Result<Observed<'_>, Reject> {
    let dosage = element.get("dosage");
    let quantity = element
        .get("valueQuantity")
        .or_else(|| dosage?.get("dose"))
        .or_else(|| dosage?.get("rateQuantity"));
    if let Some(quantity) = quantity {
        let quantity = quantity.as_object().ok_or_else(|| shape("a quantity is not an object"))?;
        let number = match quantity.get("value") {
            None => None,
            Some(value) => Some(
                value.as_f64().ok_or_else(|| shape("the `value` of a quantity is not a number"))?,
            ),
        };
        let unit = text_of(quantity.get("code")).or_else(|| text_of(quantity.get("unit")));
        return Ok(Observed { number, unit, text: None });
    }
    if let Some(number) = element.get("valueInteger") {
        let number = number.as_f64().ok_or_else(|| shape("`valueInteger` is not a number"))?;
        return Ok(Observed { number: Some(number), ..Observed::default() });
    }
    let text = if let Some(concept) = element.get("valueCodeableConcept") {
        let coded = preferred(concept);
        text_of(concept.get("text")).or(coded.display).or(coded.code).map(Cow::Borrowed)
    } else if let Some(truth) = element.get("valueBoolean").and_then(Value::as_bool) {
        Some(Cow::Owned(truth.to_string()))
    } else {
        let names = ["valueString", "valueDateTime", "valueTime", "conclusion"];
        names.iter().find_map(|name| text_of(element.get(*name))).map(Cow::Borrowed)
    };
    Ok(Observed { text, ..Observed::default() })
}

/// A component's code and value.
type Component<'a> = (Option<&'a Value>, Observed<'a>);

fn components(resource: &Tree) -> Result<Vec<Component<'_>>, Reject> {
    let Some(components) = resource.get("component") else { return Ok(Vec::new()) };
    let components = components.as_array().ok_or_else(|| shape("`component` is not a list"))?;
    let each = components.iter().map(|component| {
        let component =
            component.as_object().ok_or_else(|| shape("a component is not an object"))?;
        Ok((component.get("code"), observed(component)?))
    });
    each.collect()
}

/// When what the resource tells of began and ended.
fn effective(resource: &Tree) -> (Option<Parsed>, Option<Parsed>) {
    let time = |value: Option<&Value>| time::fhir(text_of(value)?);
    let instant =
        ["effectiveDateTime", "effectiveInstant"].iter().find_map(|name| time(resource.get(*name)));
    if instant.is_some() {
        return (instant, None);
    }
    let period = resource.get("effectivePeriod").or_else(|| resource.get("period"));
    let part = |name| time(period?.get(name));
    (part("start"), part("end"))
}

/// When it was written down, if it does not say when it happened.
fn recorded(resource: &Tree) -> Option<i64> {
    let names = ["issued", "authoredOn", "recordedDate", "occurrenceDateTime", "date"];
    let own = names.iter().find_map(|name| time::fhir(text_of(resource.get(*name))?));
    let updated = || time::fhir(text_of(resource.get("meta")?.get("lastUpdated"))?);
    own.or_else(updated).map(|time| time.us)
}

fn patient<'a>(kind: &str, resource: &'a Tree) -> Option<&'a str> {
    if kind == "Patient" {
        return text_of(resource.get("id"));
    }
    referenced(resource.get("subject").or_else(|| resource.get("patient")), "Patient/")
}

fn encounter<'a>(kind: &str, resource: &'a Tree) -> Option<&'a str> {
    if kind == "Encounter" {
        return text_of(resource.get("id"));
    }
    referenced(resource.get("encounter").or_else(|| resource.get("context")), "Encounter/")
}

/// The id in a reference such as `Patient/7`, `http://ehr/fhir/Patient/7/_history/2` or `urn:uuid:…`; `None` if it refers to
/// another kind of resource.
fn referenced<'a>(reference: Option<&'a Value>, kind: &str) -> Option<&'a str> {
    let text = text_of(reference?.get("reference"))?;
    if text.starts_with("urn:") {
        return Some(text);
    }
    let (_, id) = text.rsplit_once(kind)?;
    id.split('/').next().filter(|id| !id.is_empty())
}

fn text_of(value: Option<&Value>) -> Option<&str> {
    value?.as_str().filter(|text| !text.is_empty())
}
