//! Tests of places.

use proptest::prelude::*;

use super::*;

fn fill(template: &str, filter: &str, topic: &str) -> Option<String> {
    let place = Place::parse(template).unwrap().for_filter(filter).unwrap();
    let whence = Whence { topic, ..Whence::default() };
    place.fill(&whence, &mut Around::default()).map(Cow::into_owned)
}

#[test]
fn levels_constants_and_the_rest_are_filled_in() {
    for (template, filter, topic, name) in [
        ("home", "a/#", "a/b", Some("home")),
        ("my home", "a/#", "a/b", Some("my%20home")),
        ("{1}", "zigbee2mqtt/+", "zigbee2mqtt/lamp", Some("lamp")),
        ("{1}", "zigbee2mqtt/+", "zigbee2mqtt/Küche 1", Some("K%C3%BCche%201")),
        ("{0}-{2}", "+/x/+", "a/x/b", Some("a-b")),
        ("x.{1}", "+/+", "a/b", Some("x.b")),
        ("{rest}", "zigbee2mqtt/#", "zigbee2mqtt/up/lamp", Some("up%2Flamp")),
        ("{rest}", "tele/+/SENSOR", "tele/garage/SENSOR", Some("garage")),
        ("{rest}:{1}", "+/+/#", "a/b/c/d", Some("a%2Fc%2Fd:b")),
        ("{3}", "a/#", "a/b", None),
        ("{1}", "+/+", "a/", None),
        ("{1}", "+/+", "a/..", Some(".%2E")),
        ("{1}", "+/+", "a/50%~", Some("50%25%7E")),
    ] {
        assert_eq!(fill(template, filter, topic).as_deref(), name, "{template} of {topic}");
    }
}

#[test]
fn members_of_the_payload_are_found_in_the_first_object_that_has_them() {
    let fill_as = |template: &str, objects: &[&str]| {
        let place = Place::parse(template).unwrap();
        let mut around = Around::default();
        around.turn_to(objects.last().unwrap());
        let whence = Whence { object: objects[0], ..Whence::default() };
        place.fill(&whence, &mut around).map(Cow::into_owned)
    };
    let fill = |objects: &[&str]| fill_as("/ids/device_id", objects);
    assert_eq!(fill(&[r#"{"ids":{"device_id":"a\u0020b"}}"#]).as_deref(), Some("a%20b"));
    assert_eq!(fill(&["{}", r#"{"ids":{"device_id":0017}}"#]).as_deref(), Some("0017"));
    for nothing in [r#"{"ids":{"device_id":""}}"#, r#"{"ids":{"device_id":null}}"#, r#"{"ids":1}"#]
    {
        assert_eq!(fill(&[nothing]), None, "{nothing}");
    }
    let both = [r#"{"model":"Acurite-Tower","id":11524}"#];
    assert_eq!(fill_as("{/model}.{/id}", &both).as_deref(), Some("Acurite-Tower.11524"));
    assert_eq!(fill_as("{/model}-{/id}", &both).as_deref(), Some("Acurite%2DTower-11524"));
    assert_eq!(fill_as("{/model}-{/channel}", &both), None);
}

#[test]
fn the_name_of_the_object_and_the_publisher_are_filled_in() {
    let fill = |template: &str, whence: Whence<'_>| {
        let place = Place::parse(template).unwrap();
        place.fill(&whence, &mut Around::default()).map(Cow::into_owned)
    };
    let whence = Whence { publisher: "cn=meter 1", member: Some("Device A"), ..Whence::default() };
    assert_eq!(fill("{member}", whence).as_deref(), Some("Device%20A"));
    assert_eq!(fill("{publisher}", whence).as_deref(), Some("cn%3Dmeter%201"));
    assert_eq!(fill("{member}", Whence::default()), None);
    assert_eq!(fill("{publisher}", Whence::default()), None);
}

#[test]
fn what_means_nothing_is_refused() {
    for (text, says) in [
        ("", "empty"),
        ("{1", "without"),
        ("{one}", "no level"),
        ("{1}{2}", "between"),
        ("{1}/{2}", "no id has"),
        ("}{1}", "no id has"),
        ("/a~5", "pointer"),
        ("{/a~5}", "pointer"),
        ("{400}", "no level"),
    ] {
        let mistake = Place::parse(text).unwrap_err();
        assert!(mistake.problem.contains(says), "{mistake}");
    }
    let place = Place::parse("{1}-{3}").unwrap();
    assert_eq!(place.levels(), Some(3));
    let mistake = place.clone().for_filter("a/+/+").unwrap_err();
    assert_eq!(mistake.to_string(), "`{3}` is no level of `a/+/+`, which has 3");
    place.for_filter("a/#").unwrap();
}

#[test]
fn a_name_that_is_too_long_is_cut_between_escapes_and_told_apart_by_its_hash() {
    let long = |last: &str| fill("{0}", "+", &format!("{}{last}", "é".repeat(40))).unwrap();
    let (one, other) = (long("a"), long("b"));
    assert_ne!(one, other);
    for id in [&one, &other] {
        let (name, hash) = id.split_once('~').unwrap();
        assert_eq!((name.len(), hash.len()), (45, 16), "{id}");
        assert!(name.ends_with("%C3"));
    }
    assert_eq!(fill("{0}", "+", &"x".repeat(64)), Some("x".repeat(64)));
}

/// The name of an escaped one.
fn back(id: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = id.as_bytes();
    while let [first, after @ ..] = rest {
        if let (b'%', [high, low, after @ ..]) = (*first, after) {
            let digits = [*high, *low];
            let digits = std::str::from_utf8(&digits).unwrap();
            bytes.push(u8::from_str_radix(digits, 16).unwrap());
            rest = after;
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #[test]
    fn a_name_can_be_had_back(name in "[^/]{1,21}") {
        let id = fill("{0}", "+", &name).unwrap();
        if !id.contains('~') {
            prop_assert_eq!(back(&id), name);
        }
        prop_assert!(id.len() <= NAME_MAX);
        prop_assert!(id.bytes().all(|byte| plain_byte(byte) || matches!(byte, b'%' | b'~')));
    }

    #[test]
    fn inv9_two_devices_never_share_an_id(a in ["[-a.%~]{1,4}", "[-a.%~]{0,4}"], b in ["[-a.%~]{1,4}", "[-a.%~]{0,4}"]) {
        for template in ["{0}-{1}", "{0}.{1}", "{0}a.{1}", "x-{0}.{1}-y", "{rest}", "{1}:{rest}"] {
            let [one, other] = [&a, &b].map(|levels| fill(template, "+/+", &levels.join("/")));
            if a != b && one.is_some() {
                prop_assert_ne!(one, other, "{}", template);
            }
        }
    }
}

#[test]
fn inv8_the_message_around_many_objects_is_looked_through_once() {
    let place = Place::parse("/gateway").unwrap();
    let mut around = Around::default();
    for (whole, id) in
        [(r#"{"gateway":"a"}"#, Some("a")), ("{}", None), (r#"{"gateway":1}"#, Some("1"))]
    {
        around.turn_to(whole);
        for _ in 0..3 {
            let whence = Whence { object: "{}", ..Whence::default() };
            assert_eq!(place.fill(&whence, &mut around).as_deref(), id);
        }
        assert_eq!(around.found.len(), 1);
    }
}
