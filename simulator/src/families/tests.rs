//! The devices' own plan; what becomes of it is shown by a running pipeline (`cli/tests/end_to_end/families.rs`).

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::config::Disorder;

fn config(each: u32, unknown_members: f64) -> Config {
    let disorder = Disorder { unknown_members, ..Disorder::default() };
    let mut config = Config { disorder, ..Config::default() };
    config.families.each = each;
    config
}

fn plan(config: &Config, boot: i64, messages: usize) -> Vec<Planned> {
    Families::new(config, Run::of_boot(boot), 7).take(messages).collect()
}

#[test]
fn every_family_speaks_and_the_plan_goes_forward() {
    let config = config(3, 0.5);
    let families = Families::new(&config, Run::of_boot(1), 7);
    assert_eq!(families.devices().len(), 3 * FAMILIES.len());
    let ids: BTreeSet<&str> = families.devices().iter().map(|name| &*name.device_id).collect();
    assert_eq!(ids.len(), 3 * FAMILIES.len(), "no two have one name, nor one client id");
    let planned = plan(&config, 1, 1_000);
    assert!(planned.is_sorted_by_key(|planned| planned.due_us));
    let senders: BTreeSet<u32> = planned.iter().map(|planned| planned.message.device).collect();
    assert_eq!(senders, (7..7 + 36).collect());
    assert!(planned.iter().all(|planned| planned.message.expect.rows > 0));
    for end in ["/SENSOR", "/STATE", "/LWT", "/status/switch:0", "/events/rpc", "/online"] {
        assert!(planned.iter().any(|planned| planned.message.topic.ends_with(end)), "{end}");
    }
}

#[test]
fn payloads_are_sound_and_the_same_again_for_the_same_seed() {
    let config = config(1, 1.0);
    let (one, two) = (plan(&config, 1, 2_000), plan(&config, 1, 2_000));
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one.message.payload, two.message.payload);
        let text = std::str::from_utf8(&one.message.payload).unwrap();
        if text.starts_with('{') {
            serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        }
    }
}

#[test]
fn no_reading_of_a_device_is_as_another_not_even_in_another_run() {
    let config = config(2, 0.3);
    let births = 2 * FAMILIES.iter().filter(|family| family.birth.is_some()).count();
    let keys = |boot| plan(&config, boot, 3_000).into_iter().map(|planned| planned.message.key);
    let all: BTreeSet<_> = keys(1).chain(keys(2)).collect();
    assert_eq!(all.len(), 6_000 - births, "but births say the same each time");
}

#[test]
fn unknown_members_come_with_more_rows_and_other_content() {
    let (without, with) = (plan(&config(1, 0.0), 1, 1_200), plan(&config(1, 1.0), 1, 1_200));
    let rows = |plan: &[Planned]| plan.iter().map(|p| p.message.expect.rows).sum::<u32>();
    assert!(rows(&with) > rows(&without) + 5_000, "{} {}", rows(&with), rows(&without));
    let last = with.iter().rfind(|p| p.message.topic.starts_with("zigbee2mqtt/")).unwrap();
    let text = std::str::from_utf8(&last.message.payload).unwrap();
    for part in ["\"fw_note\":null", "\"fw_place\":{", "\"fw_cells\":[", "9007199254740993"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(text.matches("\"fw_note\"").count(), 2, "{text}");
}

#[test]
fn rules_name_each_profile_once() {
    let profiles: BTreeSet<&str> = RULES.iter().map(|(profile, _)| *profile).collect();
    assert_eq!(profiles.len(), FAMILIES.len());
    let toml = rules_toml();
    assert!(toml.contains("profile = \"scalars\"\nfilter = \"house/+/+\"\n"), "{toml}");
}
