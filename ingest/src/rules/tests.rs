//! Which rule takes a topic, and which rules are refused.

use super::*;
use crate::decode::DECODERS;

fn rules(topics: &[TopicRule]) -> Result<Rules, String> {
    Rules::new(topics, "tm/v1", &Layout::default(), DECODERS).map_err(|mistake| mistake.to_string())
}

fn refused(rule: TopicRule) -> String {
    rules(&[rule]).unwrap_err()
}

fn profile(name: &str) -> TopicRule {
    TopicRule { profile: Some(name.to_owned()), ..TopicRule::default() }
}

/// Filter, site and device that a topic gets.
fn found(rules: &Rules, topic: &str) -> (String, bool, String) {
    let (number, at) = rules.find(topic).unwrap();
    let rule = rules.rule(number);
    let at = at.map_or_else(|| "-".to_owned(), |at| format!("{}/{}", at.site, at.device));
    (rule.filter.clone(), rule.unmapped, at)
}

#[test]
fn without_a_configuration_every_topic_has_a_rule() {
    let rules = rules(&[]).unwrap();
    let own = found(&rules, "dt/icu/ehr-1/fhir");
    assert_eq!(own, ("dt/+/+/fhir".to_owned(), false, "icu/ehr-1".to_owned()));
    for (topic, filter, at) in [
        ("zigbee2mqtt/kitchen_sensor", "zigbee2mqtt/#", "zigbee2mqtt/kitchen_sensor"),
        ("tele/garage/SENSOR", "tele/+/SENSOR", "tasmota/garage"),
        ("shellyplus1pm-a1/status/switch:0", "+/status/+", "shelly/shellyplus1pm-a1"),
        // ESPHome's `+/sensor/+/state` would take it, too, for a sensor of a node `homeassistant`.
        (
            "homeassistant/sensor/porch/state",
            "homeassistant/+/+/+",
            "home-assistant-statestream/sensor.porch",
        ),
        ("porch/sensor/temperature/state", "+/sensor/+/state", "esphome/porch"),
        ("v3/app@ttn/devices/eui-70b3/up", "v3/+/devices/+/up", "app%40ttn/eui-70b3"),
        ("dt/icu/mon-1/waveforms", "dt/+/+/#", "icu/mon-1"),
        ("home/livingroom/temperature", "#", "-"),
        ("somebody/status/door", "#", "-"),
    ] {
        assert_eq!(found(&rules, topic), (filter.to_owned(), true, at.to_owned()), "{topic}");
    }
    assert_eq!(rules.find("$SYS/broker/uptime").unwrap_err().code, Code::TopicUnknown);
}

#[test]
fn a_profile_is_one_line_and_everything_of_it_can_be_said_otherwise() {
    let mut rule = profile("zigbee2mqtt");
    rule.site = Some("home".to_owned());
    let own = rules(&[rule.clone()]).unwrap();
    let at = found(&own, "zigbee2mqtt/kitchen");
    assert_eq!(at, ("zigbee2mqtt/#".to_owned(), false, "home/kitchen".to_owned()));
    // Another base topic.
    (rule.filter, rule.device) = (Some("z2m/+".to_owned()), Some("{1}".to_owned()));
    let own = rules(&[rule]).unwrap();
    assert_eq!(found(&own, "z2m/kitchen"), ("z2m/+".to_owned(), false, "home/kitchen".to_owned()));
    assert!(found(&own, "zigbee2mqtt/kitchen").1, "that is nobody's rule now");
}

#[test]
fn a_topic_of_a_family_may_have_a_rule_of_its_own_before_the_profile() {
    let own = TopicRule::new("tele/+/SENSOR", "values");
    let both = rules(&[own, profile("tasmota")]).unwrap();
    assert_eq!(found(&both, "tele/a/SENSOR").0, "tele/+/SENSOR");
    assert_eq!(found(&both, "tele/a/STATE").2, "tasmota/a");
    let twice = rules(&[profile("tasmota"), profile("tasmota")]).unwrap_err();
    assert!(twice.contains("rule 2") && twice.contains("is never reached"), "{twice}");
}

#[test]
fn settings_are_merged_table_by_table() {
    let mut own = serde_json::json!({"a": {"b": 1, "c": 2}, "d": [1]});
    let over = serde_json::json!({"a": {"c": 3}, "d": [2], "e": true});
    merge(own.as_object_mut().unwrap(), over.as_object().unwrap());
    assert_eq!(own, serde_json::json!({"a": {"b": 1, "c": 3}, "d": [2], "e": true}));
}

#[test]
fn inv12_a_rule_that_can_match_nothing_is_refused() {
    let values = |filter| TopicRule::new(filter, "values");
    for (filter, says) in [
        ("tm/v1/up/+/+", "is below `tm/v1`"),
        ("cmd/#", "not stored"),
        ("$SYS/#", "not stored"),
        ("a/#/b", "is not a topic filter"),
    ] {
        let error = refused(values(filter));
        assert!(error.contains("rule 1") && error.contains(says), "{error}");
    }
    let hidden = rules(&[values("home/#"), values("home/+/temperature")]).unwrap_err();
    assert!(hidden.contains("rule 2") && hidden.contains("`home/#` before it"), "{hidden}");
    rules(&[values("home/+/temperature"), values("home/#")]).unwrap();
}

#[test]
fn inv12_a_decoder_a_profile_or_a_setting_that_there_is_not_is_refused_by_name() {
    let error = refused(TopicRule::new("a", "jsno"));
    assert!(error.contains("`jsno` is not a decoder: there are readings, fhir, status"), "{error}");
    assert!(refused(profile("zigbee")).contains("`zigbee` is not a profile: there are aws-iot"));
    let mut rule = TopicRule::new("a", "fhir");
    rule.settings.insert("version".into(), 4.into());
    assert!(refused(rule).contains("`settings.version`"));
    let mut rule = TopicRule::new("a", "values");
    rule.settings.insert("renam".into(), 4.into());
    assert!(refused(rule).contains("settings.renam"));
    let nothing = TopicRule { site: Some("home".into()), ..TopicRule::default() };
    assert!(refused(nothing).contains("`filter` is missing"));
}
