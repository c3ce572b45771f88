//! Which parts payloads become, and what is left out.

use serde_json::Value;

use super::*;

fn patient(id: &str, bytes: usize) -> String {
    let note = "x".repeat(bytes);
    format!(r#"{{"resourceType":"Patient","id":"{id}","note":"{note}"}}"#)
}

fn entry(url: &str, resource: &str) -> String {
    format!(r#"{{"fullUrl":"{url}", "resource":{resource}}}"#)
}

fn bundle(entries: &[String]) -> String {
    let entries = entries.join(" ,\n");
    format!(r#"{{"resourceType":"Bundle","type":"batch","entry" : [{entries}] ,"total":7}}"#)
}

/// The ids of the resources of each part, of which none is larger than it may be.
fn ids(parts: &Parts, room: usize) -> Vec<Vec<String>> {
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    let of = |part: &Vec<u8>| {
        assert!(part.len() <= room, "{} of {room}", part.len());
        let values: Vec<Value> =
            serde_json::Deserializer::from_slice(part).into_iter().map(Result::unwrap).collect();
        let inner = |value: &Value| match value["entry"].as_array() {
            Some(entries) => {
                assert_eq!((&value["type"], &value["total"]), (&"batch".into(), &7.into()));
                entries.iter().map(|entry| id(&entry["resource"])).collect()
            }
            None => vec![id(value)],
        };
        values.iter().flat_map(inner).collect()
    };
    parts.payloads.iter().map(of).collect()
}

/// What was left out, without its problem.
fn left(parts: &Parts) -> Vec<Left> {
    parts.left.iter().map(|own| Left { problem: "".into(), ..own.clone() }).collect()
}

fn named(line: Option<usize>, entry: Option<usize>, resource: &str, bytes: usize) -> Left {
    Left { line, entry, resource: Some(resource.to_owned()), bytes, problem: "".into() }
}

#[test]
fn a_bundle_is_split_between_its_entries_and_one_that_is_too_large_is_left_out_by_name() {
    let large = patient("large", 3000);
    let resources = [("a", 400), ("b", 400), ("c", 900)].map(|(id, n)| patient(id, n));
    let mut entries: Vec<String> = resources.iter().map(|own| entry("urn:uuid:", own)).collect();
    for (entry, id) in entries.iter_mut().zip(["a", "b", "c"]) {
        *entry = entry.replace("urn:uuid:", &format!("urn:uuid:{id}"));
    }
    entries.insert(1, entry("http://e/Patient/large", &large));
    let text = bundle(&entries);
    let parts = split(text.as_bytes(), 2000);
    assert_eq!(ids(&parts, 2000), [&["a"][..], &["b", "c"]]);
    assert_eq!(left(&parts), [named(None, Some(1), "Patient", large.len())]);
    for room in [1200, 1600, 4000, 10_000] {
        let parts = split(text.as_bytes(), room);
        let all = ids(&parts, room).concat();
        let expected = if room < 4000 { vec!["a", "b", "c"] } else { vec!["a", "large", "b", "c"] };
        assert_eq!(all, expected, "nothing twice, nothing missing: {room}");
        assert_eq!(parts.left.len(), 4 - all.len());
    }
}

#[test]
fn lines_are_split_between_lines_and_a_large_bundle_among_them_too() {
    let entries = [patient("c", 500), patient("d", 500)].map(|own| entry("urn:uuid:", &own));
    let entries = [entries[0].replace("uuid:", "uuid:c"), entries[1].replace("uuid:", "uuid:d")];
    let lines = [
        patient("a", 300),
        String::new(),
        patient("b", 300),
        bundle(&entries).replace('\n', ""),
        patient("large", 2000),
        patient("e", 10),
        patient("f", 10),
    ];
    let text = format!("\u{feff}{}\r\n", lines.join("\r\n"));
    let room = 1200;
    let parts = split(text.as_bytes(), room);
    assert_eq!(ids(&parts, room), [&["a", "b"][..], &["c"], &["d"], &["e", "f"]]);
    assert_eq!(left(&parts), [named(Some(5), None, "Patient", lines[4].len())]);
}

#[test]
fn what_would_lose_its_meaning_or_is_no_fhir_is_left_out_whole() {
    let resource = patient("a", 2000);
    let unnamed = resource.replace("\"id\":\"a\",", "");
    for (url, resource, problem) in [
        ("urn:uuid:b", &resource, Some(JOINED)),
        ("http://e/fhir/Patient/b", &resource, Some(JOINED)),
        ("http://e/x", &resource, Some(JOINED)),
        ("http://e/x", &unnamed, Some(JOINED)),
        ("urn:uuid:b", &unnamed, None),
        ("http://e/fhir/Patient/a/_history/3", &resource, None),
    ] {
        let text = bundle(&[entry(url, resource), patient("z", 2000)]);
        let parts = split(text.as_bytes(), 2500);
        assert_eq!(parts.left.first().map(|left| &*left.problem), problem, "{url}");
        if problem.is_some() {
            assert!(parts.payloads.is_empty());
            assert_eq!(left(&parts), [named(None, None, "Bundle", text.len())]);
        }
    }
    let wordy = bundle(&[]).replace("batch", &"x".repeat(300));
    assert_eq!(split(wordy.as_bytes(), 2000).left[0].problem, ENVELOPE);
    for text in [&b"\xff"[..], b"", b"[1,2]", b"{\"v\":1}", b"x\ny", b"{\"v\":1}\n{\"v\":2}\n"] {
        let parts = split(text, 1);
        let expected = Left::new(text.len(), NO_FHIR);
        assert_eq!(parts, Parts { payloads: Vec::new(), left: vec![expected] });
    }
    let no_type = r#"{"resourceType":"Jane Doe"}"#;
    assert_eq!(split(no_type.as_bytes(), 1).left[0].resource, None, "a type, or nothing");
}
