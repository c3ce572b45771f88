//! Under which type, id and version a lake must have the resources of a FHIR message.

use serde_json::Value as Json;

/// Type, id and version of a resource; what is not said is empty.
pub(super) type Name = [String; 3];

/// Bundles within each other that are opened.
const BUNDLES_MAX: usize = 8;

/// The resources of a message in their order; none if it is no FHIR.
pub(super) fn names(message: &Json) -> Option<Vec<Name>> {
    match entries(message) {
        Some(entries) => {
            let mut names = Vec::new();
            of_entries(entries, 1, &mut names);
            Some(names)
        }
        None => Some(vec![of_resource(message, &[])?]),
    }
}

/// Of a Bundle that has some.
fn entries(resource: &Json) -> Option<&[Json]> {
    let entries = resource["entry"].as_array().filter(|entries| !entries.is_empty());
    entries.filter(|_| resource["resourceType"] == "Bundle").map(Vec::as_slice)
}

fn of_entries(all: &[Json], depth: usize, names: &mut Vec<Name>) {
    for entry in all {
        match entries(&entry["resource"]) {
            Some(inner) if depth < BUNDLES_MAX => of_entries(inner, depth + 1, names),
            Some(_) => {}
            None => names.extend(of_entry(entry)),
        }
    }
}

fn of_resource(resource: &Json, urls: &[&str]) -> Option<Name> {
    let kind = resource["resourceType"].as_str()?;
    let own = resource["id"].as_str().filter(|id| !id.is_empty());
    // What has no id yet is known by the URL that stands for it.
    let id = own.or_else(|| urls.iter().find_map(|url| id_in(url)));
    let version = resource["meta"]["versionId"].as_str().unwrap_or_default();
    Some([kind, id.unwrap_or_default(), version].map(str::to_owned))
}

fn of_entry(entry: &Json) -> Option<Name> {
    let full_url = entry["fullUrl"].as_str().unwrap_or_default();
    let asked = entry["request"]["url"].as_str().unwrap_or_default();
    let location = entry["response"]["location"].as_str().unwrap_or_default();
    if !entry["resource"].is_null() {
        return of_resource(&entry["resource"], &[full_url, asked]);
    }
    if !entry["request"].is_object() && !entry["response"].is_object() {
        return None;
    }
    let url = [location, asked, full_url].into_iter().find(|url| !url.is_empty());
    let url = url.unwrap_or_default();
    let (url, version) = url.split_once("/_history/").unwrap_or((url, ""));
    let (path, search) = url.split_once('?').map_or((url, false), |(path, _)| (path, true));
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let is_type = |part: &&&str| part.starts_with(|first: char| first.is_ascii_uppercase());
    let (kind, id) = match parts.as_slice() {
        [.., kind, id] if is_type(&kind) && !search && !id.starts_with(['$', '_']) => (*kind, *id),
        parts => (parts.iter().rfind(is_type).copied().unwrap_or("Bundle"), ""),
    };
    Some([kind, id, version].map(str::to_owned))
}

fn id_in(url: &str) -> Option<&str> {
    if let Some(id) = url.strip_prefix("urn:uuid:").or_else(|| url.strip_prefix("urn:oid:")) {
        return Some(id);
    }
    let url = url.split("/_history/").next().filter(|url| !url.contains(['?', '#']))?;
    let (rest, id) = url.rsplit_once('/')?;
    let kind = rest.rsplit('/').next()?;
    kind.starts_with(|first: char| first.is_ascii_uppercase()).then_some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resources_are_known_by_what_their_message_says_of_them() {
        let bundle = json!({"resourceType": "Bundle", "entry": [
            {"resource": {"resourceType": "Patient", "id": "a", "meta": {"versionId": "2"}}},
            {"fullUrl": "urn:uuid:b", "resource": {"resourceType": "Patient"}},
            {"fullUrl": "http://e/Patient/c", "resource": {"resourceType": "Patient"}},
            {"resource": {"resourceType": "Patient"}, "request": {"method": "PUT", "url": "Patient/d"}},
            {"request": {"method": "DELETE", "url": "Patient/e"}},
            {"request": {"method": "GET", "url": "Patient?name=f"}},
            {"request": {"method": "GET", "url": "metadata"}},
            {"response": {"location": "Patient/g/_history/3"}},
            {"response": {"status": "202 Accepted"}},
            {"fullUrl": "urn:uuid:nothing"},
            {"resource": {"resourceType": "Bundle", "id": "inner", "entry": [
                {"fullUrl": "urn:uuid:h", "resource": {"resourceType": "Patient"}},
                {"resource": {"resourceType": "Bundle", "id": "empty", "entry": []}},
            ]}},
        ]});
        let shown: Vec<String> =
            names(&bundle).unwrap().iter().map(|name| name.join(" ").trim().to_owned()).collect();
        let expected = [
            "Patient a 2",
            "Patient b",
            "Patient c",
            "Patient d",
            "Patient e",
            "Patient",
            "Bundle",
            "Patient g 3",
            "Bundle",
            "Patient h",
            "Bundle empty",
        ];
        assert_eq!(shown, expected);
        let empty = json!({"resourceType": "Bundle", "id": "x", "entry": []});
        assert_eq!(names(&empty).unwrap(), [["Bundle", "x", ""].map(str::to_owned)]);
        assert_eq!(names(&json!({"id": "x"})), None);
    }
}
