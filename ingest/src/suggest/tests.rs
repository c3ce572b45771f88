//! What a person gets to see, and that it is a configuration that works.

use super::*;
use crate::batch::Layout;
use crate::config::TopicRule;
use crate::decode::DECODERS;
use crate::rules::Rules;

fn suggestions(samples: &[(&str, &str)]) -> Vec<String> {
    let samples = samples.iter().map(|(topic, payload)| Sample {
        topic: (*topic).to_owned(),
        payload: payload.as_bytes().to_vec(),
    });
    let suggested = suggest(&samples.collect::<Vec<_>>());
    for suggestion in &suggested {
        works(&suggestion.toml);
    }
    suggested.into_iter().map(|suggestion| suggestion.toml).collect()
}

/// Reads it as the configuration does.
fn works(toml: &str) {
    #[derive(serde::Deserialize)]
    struct File {
        ingest: Ingest,
        #[serde(default)]
        tables: lake::DeclaredTables,
    }
    #[derive(serde::Deserialize)]
    struct Ingest {
        topics: Vec<TopicRule>,
    }
    let file: File = toml::from_str(toml).unwrap_or_else(|error| panic!("{error}: {toml}"));
    let layout = Layout::of(&lake::Catalog::declared(&file.tables).unwrap());
    Rules::new(&file.ingest.topics, "tm/v1", &layout, DECODERS)
        .unwrap_or_else(|error| panic!("{error}: {toml}"));
}

#[test]
fn objects_get_places_times_units_and_words() {
    let shown = suggestions(&[
        (
            "plant/hall-1/press-1/state",
            r#"{"sampled_at":1764093292,"tempC":21.5,"motor":{"power":3.5},"lamp":"ON","n":1}"#,
        ),
        (
            "plant/hall-1/press-2/state",
            r#"{"sampled_at":1764093293,"tempC":21,"motor":{"power":4},"lamp":"OFF","n":2}"#,
        ),
        (
            "plant/hall-2/press-1/state",
            r#"{"sampled_at":1764093294,"tempC":22,"motor":{"power":0},"lamp":"OFF","n":3}"#,
        ),
    ]);
    assert_eq!(shown.len(), 1);
    for line in [
        "# 3 messages of 3 topics, such as plant/hall-1/press-1/state",
        "filter = \"plant/+/+/state\"",
        "site = \"{1}\"",
        "device = \"{2}\"",
        "settings.time = \"/sampled_at\"",
        r#"settings.unit = { "motor.power" = "W", "tempC" = "Cel" }"#,
        r#"settings.words = { "OFF" = 0, "ON" = 1 }"#,
    ] {
        assert!(shown[0].contains(line), "{line}: {}", shown[0]);
    }
}

#[test]
fn known_families_get_their_profile_and_the_rest_its_own_rules() {
    let shown = suggestions(&[
        ("zigbee2mqtt/kitchen", r#"{"temperature":21}"#),
        ("zigbee2mqtt/hall", r#"{"temperature":20}"#),
        ("homeassistant/sensor/porch/state", "\"21.5\""),
        ("home/livingroom/temperature", "21.5"),
        ("home/livingroom/lamp", "ON"),
        ("home/kitchen/temperature", "20,5"),
        ("meters", r#"{"device_id":"m1","energy":1.5}"#),
        ("meters", r#"{"device_id":"m2","energy":2.5}"#),
        ("odd/x", "{\"a\":"),
    ]);
    let all = shown.join("\n");
    assert!(all.contains("profile = \"zigbee2mqtt\""), "{all}");
    assert!(all.contains("profile = \"home-assistant-statestream\""), "{all}");
    assert!(!all.contains("esphome"), "{all}");
    assert!(all.contains("filter = \"home/+/+\"") && all.contains("device = \"{1}\""), "{all}");
    assert!(all.contains("device = \"/device_id\""), "{all}");
    assert!(all.contains("settings.encoding = \"cbor\""), "{all}");
}

#[test]
fn arrays_of_things_become_a_table() {
    let shown = suggestions(&[(
        "shop/vienna/orders",
        r#"{"orderId":7,"ordered_at":"2026-11-25T12:00:00","items":[{"sku":"a","price":1,"n":2},{"sku":"b","price":2.5,"n":1,"order":{"x":1}}]}"#,
    )]);
    for line in [
        "[tables.items]",
        "order_id = \"bigint\"",
        "price = \"double\"",
        "sku = \"string\"",
        "its_order = \"json\"",
        "settings.rows = \"/items\"",
        "settings.time = \"/ordered_at\"",
        r#"its_order = "/order""#,
        r#"order_id = "/orderId""#,
    ] {
        assert!(shown[0].contains(line), "{line}: {}", shown[0]);
    }
}

#[test]
fn anything_at_all_gives_rules_that_can_be_read() {
    suggestions(&[
        ("a", "[]"),
        ("a/\"b\"", "{\"a b\":{\"\":null}}"),
        ("//", "[1,[2],{\"a\":\"x\"}]"),
        ("t/é", "\u{0}"),
        ("cmdx/a", "null"),
    ]);
}

#[test]
fn below_dt_one_message_says_where_site_and_device_are() {
    let shown = suggestions(&[("dt/lab/dev1/readings", r#"{"hr":72}"#)]);
    for line in ["filter = \"dt/lab/dev1/readings\"", "site = \"{1}\"", "device = \"{2}\""] {
        assert!(shown[0].contains(line), "{shown:?}");
    }
}
