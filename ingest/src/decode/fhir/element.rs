//! Elements of a resource by their path, as FHIR writes it: `dosage.dose`, `effective[x]`. Lists on the way are looked through.

use serde_json::{Map, Value};

use super::super::reject::{Code, Reject};

/// A resource or a part of one, read whole.
pub(super) type Tree = Map<String, Value>;

/// What stands for the `[x]` of the elements that we look for.
const TYPES: [&str; 28] = [
    "Age",
    "Attachment",
    "Boolean",
    "Canonical",
    "Code",
    "CodeableConcept",
    "Coding",
    "Date",
    "DateTime",
    "Decimal",
    "Duration",
    "Identifier",
    "Instant",
    "Integer",
    "Money",
    "Period",
    "PositiveInt",
    "Quantity",
    "Range",
    "Ratio",
    "Reference",
    "SampledData",
    "String",
    "Time",
    "Timing",
    "UnsignedInt",
    "Uri",
    "Url",
];

/// An element that is there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Found<'a> {
    /// The type that its name says, where it may have several; else empty.
    pub(super) kind: &'a str,
    pub(super) value: &'a Value,
}

/// All elements at a path, in their order.
pub(super) fn all<'a>(tree: &'a Tree, path: &str) -> Vec<Found<'a>> {
    let mut found = Vec::new();
    gather(tree, path, &mut found);
    found
}

/// The elements at the first of several paths that has any.
pub(super) fn first<'a>(tree: &'a Tree, paths: &[&str]) -> Vec<Found<'a>> {
    paths.iter().map(|path| all(tree, path)).find(|found| !found.is_empty()).unwrap_or_default()
}

fn gather<'a>(tree: &'a Tree, path: &str, found: &mut Vec<Found<'a>>) {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let mut step = |kind: &'a str, value: &'a Value| {
        let own = std::slice::from_ref(value);
        for value in value.as_array().map_or(own, Vec::as_slice) {
            match (rest, value) {
                (_, Value::Null) => {}
                (None, value) => found.push(Found { kind, value }),
                (Some(rest), Value::Object(tree)) => gather(tree, rest, found),
                (Some(_), _) => {}
            }
        }
    };
    let Some(stem) = name.strip_suffix("[x]") else {
        if let Some(value) = tree.get(name) {
            step("", value);
        }
        return;
    };
    for (name, value) in tree {
        if let Some(kind) = name.strip_prefix(stem).filter(|kind| TYPES.contains(kind)) {
            step(kind, value);
        }
    }
}

/// A text that is not empty.
pub(super) fn text_of(value: Option<&Value>) -> Option<&str> {
    value?.as_str().filter(|text| !text.is_empty())
}

/// The refusal of what is no FHIR.
pub(super) fn shape(reason: &'static str) -> Reject {
    Reject::new(Code::FhirShapeUnknown, reason)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_goes_through_lists_and_a_choice_knows_its_type() {
        let json = json!({
            "effectivePeriod": {"start": "2020"}, "effectiveness": 7, "_effectiveDateTime": {"id": "x"},
            "onsetDateTime": null, "identifier": [],
            "participant": [{"actor": {"reference": "a"}}, {"x": 1}, 7, {"actor": {"reference": "b"}}],
        });
        let tree = json.as_object().unwrap();
        let effective = all(tree, "effective[x]");
        assert_eq!(effective, [Found { kind: "Period", value: &json["effectivePeriod"] }]);
        let actors = all(tree, "participant.actor.reference");
        let names: Vec<_> = actors.iter().map(|found| found.value.as_str().unwrap()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(all(tree, "onset[x]").is_empty() && all(tree, "identifier").is_empty());
        assert_eq!(first(tree, &["onset[x]", "nothing", "effective[x]"]), effective);
    }

    #[test]
    fn the_types_are_sorted() {
        assert!(TYPES.is_sorted());
    }
}
