//! What codes say: concepts, codings, plain codes; and the metric of an Observation's code.

use std::borrow::Cow;

use serde_json::Value;
use telemetry_core::catalog;

use super::element::{Found, text_of};

const LOINC: &str = "http://loinc.org";

/// A coded concept: the code we go by and its name.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Coded<'a> {
    pub(super) system: Option<Cow<'a, str>>,
    pub(super) code: Option<Cow<'a, str>>,
    pub(super) display: Option<Cow<'a, str>>,
    /// All codings as JSON, where there are several.
    pub(super) all: Option<String>,
}

impl Coded<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.code.is_none() && self.display.is_none()
    }

    /// The same, for longer than what it was read from.
    pub(super) fn into_owned(self) -> Coded<'static> {
        let own = |text: Option<Cow<'_, str>>| text.map(|text| Cow::Owned(text.into_owned()));
        let Self { system, code, display, all } = self;
        Coded { system: own(system), code: own(code), display: own(display), all }
    }

    /// For people: the name, else the code.
    pub(super) fn words(&self) -> Option<&str> {
        self.display.as_deref().or(self.code.as_deref())
    }
}

/// What elements say that may be concepts, codings, codes or plain texts. Several are alternatives.
pub(super) fn coded<'a>(found: &[Found<'a>]) -> Coded<'a> {
    let codings: Vec<&'a Value> =
        found.iter().flat_map(|found| codings_in(found.value)).filter(|c| c.is_object()).collect();
    let mut coded = preferred(&codings);
    let words = found.iter().find_map(|found| text_of(found.value.get("text")));
    coded.display = coded.display.or(words.map(Cow::Borrowed));
    if coded.is_empty()
        && let Some(text) = found.iter().find_map(|found| text_of(Some(found.value)))
    {
        coded.code = Some(Cow::Borrowed(text));
    }
    if codings.len() > 1 {
        coded.all = serde_json::to_string(&codings).ok();
    }
    coded
}

/// The codings of a concept, or the coding that it is.
fn codings_in(value: &Value) -> &[Value] {
    match value.get("coding") {
        Some(Value::Array(codings)) => codings,
        Some(one) => std::slice::from_ref(one),
        None if value.get("code").is_some_and(Value::is_string) => std::slice::from_ref(value),
        None => &[],
    }
}

/// Of several codings for one thing: LOINC's if it is among them, else the first with a code.
fn preferred<'a>(codings: &[&'a Value]) -> Coded<'a> {
    let read: Vec<_> = codings.iter().map(|coding| coding_of(coding)).collect();
    let loinc = |coded: &&Coded<'_>| coded.system.as_deref() == Some(LOINC) && coded.code.is_some();
    let any = read.iter().find(loinc).or_else(|| read.iter().find(|coded| coded.code.is_some()));
    any.or(read.first()).cloned().unwrap_or_default()
}

fn coding_of(coding: &Value) -> Coded<'_> {
    let part = |name| text_of(coding.get(name)).map(Cow::Borrowed);
    let (system, code, display) = (part("system"), part("code"), part("display"));
    Coded { system, code, display, all: None }
}

/// A concept in a few words: its codes, or where it has none its text; several joined by commas.
pub(super) fn codes(value: Option<&Value>) -> Option<String> {
    let own = std::slice::from_ref(value?);
    let concepts = value?.as_array().map_or(own, Vec::as_slice);
    let one = |value| {
        let coded = coded(&[Found { kind: "", value }]);
        coded.code.or(coded.display)
    };
    let words: Vec<_> = concepts.iter().filter_map(one).collect();
    (!words.is_empty()).then(|| words.join(","))
}

/// The metric of a code: the catalogue's name for its LOINC code, else the code itself with its system's short name, else its text.
pub(super) fn metric(concept: &Value) -> Option<Cow<'static, str>> {
    let known = codings_in(concept).iter().filter_map(|coding| {
        let coded = coding_of(coding);
        let loinc = coded.system.as_deref() == Some(LOINC);
        catalog::metric_by_loinc(coded.code.as_deref().filter(|_| loinc)?)
    });
    if let Some(metric) = known.into_iter().next() {
        return Some(metric.name.into());
    }
    let coded = coded(&[Found { kind: "", value: concept }]);
    let prefix = match coded.system.as_deref() {
        Some(LOINC) => "loinc",
        Some("http://snomed.info/sct") => "snomed",
        Some("urn:iso:std:iso:11073:10101") => "mdc",
        _ => "code",
    };
    let named = coded.code.map(|code| format!("{prefix}:{code}").into());
    named.or_else(|| coded.display.map(|text| format!("text:{text}").into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(value: &Value) -> [String; 3] {
        let coded = coded(&[Found { kind: "", value }]);
        [coded.system, coded.code, coded.display].map(|text| text.unwrap_or_default().into_owned())
    }

    #[test]
    fn a_code_is_found_in_whatever_shape_it_comes() {
        let loinc = json!({"system": LOINC, "code": "8867-4"});
        let other = json!({"system": "s", "code": "1", "display": "one"});
        for (value, expected) in [
            (json!({"coding": [other, loinc]}), [LOINC, "8867-4", ""]),
            (json!({"coding": [other, loinc], "text": "HR"}), [LOINC, "8867-4", "HR"]),
            (json!({"coding": [other, {"code": "2"}]}), ["s", "1", "one"]),
            (json!({"coding": [{"display": "only"}, other]}), ["s", "1", "one"]),
            (json!({"coding": [{"display": "only"}]}), ["", "", "only"]),
            (json!({"text": "mood"}), ["", "", "mood"]),
            (other.clone(), ["s", "1", "one"]),
            (json!("active"), ["", "active", ""]),
            (json!({"coding": other}), ["s", "1", "one"]),
            (json!({"coding": [null, 7, {"code": 5}]}), ["", "", ""]),
            (json!({"coding": []}), ["", "", ""]),
            (json!(7), ["", "", ""]),
        ] {
            assert_eq!(shown(&value), expected, "{value}");
        }
        let both = json!({"coding": [other, loinc]});
        let all = coded(&[Found { kind: "", value: &both }]).all.unwrap();
        assert_eq!(serde_json::from_str::<Value>(&all).unwrap(), both["coding"]);
    }

    #[test]
    fn a_metric_is_the_catalogues_else_the_code_else_the_text() {
        for (concept, expected) in [
            (json!({"coding": [{"code": "x"}, {"system": LOINC, "code": "8867-4"}]}), "heart_rate"),
            (json!({"coding": [{"system": LOINC, "code": "1-8"}]}), "loinc:1-8"),
            (json!({"coding": [{"system": "http://snomed.info/sct", "code": "9"}]}), "snomed:9"),
            (json!({"coding": [{"system": "urn:iso:std:iso:11073:10101", "code": "1"}]}), "mdc:1"),
            (json!({"coding": [{"code": "x"}]}), "code:x"),
            (json!({"text": "mood"}), "text:mood"),
            (json!({}), ""),
        ] {
            assert_eq!(metric(&concept).unwrap_or_default(), expected, "{concept}");
        }
    }

    #[test]
    fn several_concepts_are_their_codes_or_texts() {
        let high = json!({"coding": [{"code": "H"}], "text": "high"});
        assert_eq!(codes(Some(&json!([high, {"text": "odd"}]))).unwrap(), "H,odd");
        assert_eq!(codes(Some(&high)).unwrap(), "H");
        assert_eq!(codes(Some(&json!([]))), None);
        assert_eq!(codes(None), None);
    }
}
