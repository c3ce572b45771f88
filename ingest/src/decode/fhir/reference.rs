//! References: which resource they mean, within the Bundle that they came in and beyond it.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::Value;

use super::super::json;
use super::super::object::Object;
use super::super::read::Read;
use super::element::{Found, Tree, first, text_of};
use super::paths::Paths;

/// Resources of one Bundle that are known by their `fullUrl`; references to further ones keep their text only.
const TARGETS_MAX: usize = 50_000;

/// The resources of a Bundle, by `fullUrl`; of one within a Bundle with those of that.
#[derive(Debug, Default)]
pub(super) struct Index<'a> {
    own: HashMap<Cow<'a, str>, Target<'a>>,
    outer: Option<&'a Self>,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Target<'a> {
    kind: Cow<'a, str>,
    id: Option<Cow<'a, str>>,
    /// Its JSON.
    text: &'a str,
}

impl Target<'_> {
    /// The resource.
    pub(super) fn read(&self) -> Option<Tree> {
        json::parse_object(self.text).ok()
    }
}

/// What a reference means.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Referred<'a> {
    /// As it came; of one by identifier `system|value`.
    pub(super) text: Option<Cow<'a, str>>,
    /// The type that it is of, if that is said.
    kind: Option<&'a str>,
    id: Option<&'a str>,
}

impl<'a> Index<'a> {
    /// Of a Bundle within one whose resources are these.
    pub(super) fn within(outer: Option<&'a Self>) -> Self {
        Self { own: HashMap::new(), outer }
    }

    /// Of an entry of the Bundle.
    pub(super) fn add(&mut self, entry: &'a str) {
        let Ok(mut entry) = Object::read(entry) else { return };
        let text = |raw: Option<&'a str>| json::text(raw?).filter(|text| !text.is_empty());
        let Some(full_url) = text(entry.take("fullUrl")) else { return };
        let Some(resource) = entry.take("resource") else { return };
        let Ok(mut read) = Object::read(resource) else { return };
        let Some(kind) = text(read.take("resourceType")) else { return };
        let id = text(read.take("id")).or_else(|| match &full_url {
            Cow::Borrowed(url) => id_of_url(url).map(Cow::Borrowed),
            Cow::Owned(url) => id_of_url(url).map(|id| Cow::Owned(id.to_owned())),
        });
        if self.own.len() < TARGETS_MAX {
            self.own.entry(full_url).or_insert(Target { kind, id, text: resource });
        }
    }

    /// The resource that a reference means: of the innermost Bundle that has it.
    pub(super) fn target(&self, reference: &str) -> Option<&Target<'a>> {
        let own = self.own.get(reference).or_else(|| self.own.get(without_version(reference)));
        own.or_else(|| self.outer?.target(reference))
    }
}

/// The id that a `fullUrl` gives its resource: that of a server, or what stands for one until a server gives it.
pub(super) fn id_of_url(url: &str) -> Option<&str> {
    let placeholder = ["urn:uuid:", "urn:oid:"].iter().find_map(|scheme| url.strip_prefix(scheme));
    placeholder.or_else(|| Some(type_and_id(url)?.1)).filter(|id| !id.is_empty())
}

/// Type and id in `Patient/7`, `http://ehr/fhir/Patient/7/_history/2`. Searches (`Patient?identifier=…`) have none.
pub(super) fn type_and_id(reference: &str) -> Option<(&str, &str)> {
    if reference.contains(['?', '#']) {
        return None;
    }
    let path = path_of(without_version(reference)).trim_end_matches('/');
    let mut segments = path.rsplit('/');
    let (id, kind) = (segments.next()?, segments.next()?);
    let is_id = !id.is_empty() && !id.starts_with(['$', '_']);
    (is_type(kind) && is_id).then_some((kind, id))
}

/// A URL without the name of its server, which may look like that of a type.
pub(super) fn path_of(url: &str) -> &str {
    let Some((_, rest)) = url.split_once("://") else { return url };
    rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default()
}

/// Whether it looks as names of resource types do.
pub(super) fn is_type(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The version in `Patient/7/_history/2`.
pub(super) fn version_of_url(url: &str) -> Option<&str> {
    url.split_once("/_history/").map(|(_, version)| version).filter(|version| !version.is_empty())
}

fn without_version(reference: &str) -> &str {
    reference.split_once("/_history/").map_or(reference, |(reference, _)| reference)
}

/// What a reference in `tree` means.
pub(super) fn refer<'a>(value: &'a Value, tree: &'a Tree, index: &'a Index<'_>) -> Referred<'a> {
    let said = text_of(value.get("type"));
    let Some(text) = text_of(value.get("reference")) else {
        let identifier = value.get("identifier").and_then(token);
        return Referred { text: identifier.map(Cow::Owned), kind: said, id: None };
    };
    let (kind, id) = if let Some(local) = text.strip_prefix('#') {
        // Its id means nothing elsewhere.
        (contained(tree, local).and_then(|own| text_of(own.get("resourceType"))), None)
    } else if let Some(target) = index.target(text) {
        (Some(target.kind.as_ref()), target.id.as_deref())
    } else if let Some((kind, id)) = type_and_id(text) {
        (Some(kind), Some(id))
    } else {
        (None, text.strip_prefix("urn:").and_then(|_| id_of_url(text)))
    };
    Referred { text: Some(Cow::Borrowed(text)), kind: kind.or(said), id }
}

/// A resource within a resource.
pub(super) fn contained<'a>(tree: &'a Tree, id: &str) -> Option<&'a Tree> {
    let contained = tree.get("contained")?.as_array()?.iter().filter_map(Value::as_object);
    contained.into_iter().find(|own| text_of(own.get("id")) == Some(id))
}

/// An identifier as FHIR's searches write it: `system|value`.
pub(super) fn token(identifier: &Value) -> Option<String> {
    let value = text_of(identifier.get("value"))?;
    Some(match text_of(identifier.get("system")) {
        Some(system) => format!("{system}|{value}"),
        None => value.to_owned(),
    })
}

/// Of whom or what a resource is: the reference as it came and, if it is a `wanted`, its id. Of several the first `wanted`.
pub(super) fn wanted<'a>(
    tree: &'a Tree,
    paths: &[&str],
    wanted: &str,
    index: &'a Index<'_>,
) -> (Option<Cow<'a, str>>, Option<&'a str>) {
    let elements = first(tree, paths);
    let mut any = None;
    for Found { value, .. } in elements {
        let referred = refer(value, tree, index);
        // What does not say its type is taken for what stands there most often.
        if referred.kind.is_none_or(|kind| kind == wanted) && referred.text.is_some() {
            return (referred.text, referred.id);
        }
        any = any.or(referred.text);
    }
    (any, None)
}

/// The id that a resource has: its own, or by `fullUrl` or the URL of the request that it came with.
pub(super) fn own_id<'a>(tree: &'a Tree, urls: [Option<&'a str>; 2]) -> Option<&'a str> {
    text_of(tree.get("id")).or_else(|| urls.into_iter().flatten().find_map(id_of_url))
}

/// The business identifier of a resource: of a definition its URL.
pub(super) fn identifier(tree: &Tree, paths: &Paths) -> Option<String> {
    let found = paths.identifier.iter().flat_map(|path| super::element::all(tree, path));
    found.into_iter().find_map(|Found { value, .. }| match value {
        Value::String(url) => Some(url.clone()).filter(|url| !url.is_empty()),
        value => token(value),
    })
}

/// A member of an entry that is a text.
pub(super) fn text_member<'a>(object: &Object<'a>, name: &str) -> Option<Cow<'a, str>> {
    let text = Read::of(object.raw(name)?).into_text();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_give_the_id_that_joins_or_none() {
        let uuid = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0";
        let entries = [
            json!({"fullUrl": uuid, "resource": {"resourceType": "Patient", "id": "p7"}})
                .to_string(),
            json!({"fullUrl": "urn:uuid:2", "resource": {"resourceType": "Patient"}}).to_string(),
            json!({"fullUrl": "urn:uuid:3", "resource": {"resourceType": "Group", "id": "g"}})
                .to_string(),
            json!({"fullUrl": "http://ehr/x", "resource": {"resourceType": "Patient", "id": "p9"}})
                .to_string(),
        ];
        let mut index = Index::default();
        entries.iter().for_each(|entry| index.add(entry));
        for (reference, text, id) in [
            (json!({"reference": "Patient/7"}), "Patient/7", Some("7")),
            (json!({"reference": "Patient/7/_history/2"}), "Patient/7/_history/2", Some("7")),
            (
                json!({"reference": "https://e/fhir/Patient/a.b-C"}),
                "https://e/fhir/Patient/a.b-C",
                Some("a.b-C"),
            ),
            (json!({"reference": "Group/7"}), "Group/7", None),
            (json!({"reference": uuid}), uuid, Some("p7")),
            (json!({"reference": "urn:uuid:2"}), "urn:uuid:2", Some("2")),
            (json!({"reference": "urn:uuid:3"}), "urn:uuid:3", None),
            (json!({"reference": "urn:uuid:9"}), "urn:uuid:9", Some("9")),
            (json!({"reference": "urn:uuid:9", "type": "Device"}), "urn:uuid:9", None),
            (json!({"reference": "http://ehr/x"}), "http://ehr/x", Some("p9")),
            (
                json!({"reference": "http://ehr/x/_history/1"}),
                "http://ehr/x/_history/1",
                Some("p9"),
            ),
            (json!({"reference": "Patient?identifier=s|1"}), "Patient?identifier=s|1", None),
            (json!({"reference": "#p1"}), "#p1", None),
            (json!({"identifier": {"system": "urn:mrn", "value": "12"}}), "urn:mrn|12", None),
            (json!({"identifier": {"value": "12"}, "type": "Patient"}), "12", None),
            (json!({"display": "somebody"}), "", None),
            (json!({"reference": 7}), "", None),
            (json!("Patient/7"), "", None),
        ] {
            let json = json!({"subject": reference, "contained": [{"resourceType": "Patient", "id": "p1"}]});
            let (kept, found) = wanted(json.as_object().unwrap(), &["subject"], "Patient", &index);
            assert_eq!((kept.unwrap_or_default().as_ref(), found), (text, id), "{reference}");
        }
    }

    #[test]
    fn of_several_references_the_first_to_a_patient_counts() {
        let json = json!({"participant": [{"actor": {"reference": "Practitioner/1"}}, {"actor": {"reference": "Patient/2"}}, {"actor": {"reference": "Patient/3"}}]});
        let index = Index::default();
        let found = wanted(json.as_object().unwrap(), &["participant.actor"], "Patient", &index);
        assert_eq!(found, (Some(Cow::Borrowed("Patient/2")), Some("2")));
    }

    #[test]
    fn inv8_a_bundle_has_a_limit_of_known_resources() {
        let entries: Vec<String> = (0..TARGETS_MAX + 5)
            .map(|n| format!(r#"{{"fullUrl":"urn:uuid:{n}","resource":{{"resourceType":"A"}}}}"#))
            .collect();
        let mut index = Index::default();
        entries.iter().for_each(|entry| index.add(entry));
        assert_eq!(index.own.len(), TARGETS_MAX);
    }
}
