//! The saved state: it goes on as if nothing had been, and is never taken for what it is not.

use watch::{Limits, Reason, State, StateError, Watch};

use crate::harness::{HOUR, MINUTE, Row, Scene, rules};

const TWO: &str = "[[rule]]\nname = \"low\"\nmetric = \"spo2\"\nbelow = 90\nfor = \"1m\"\n[[rule]]\nname = \"silence\"\nsilent_for = \"5m\"\n";

fn scene() -> Scene {
    let mut scene = Scene::new(TWO);
    scene.at(0, "spo2", 80.0).at(2 * MINUTE, "spo2", 81.5);
    scene.row(Row::new("e", "door_open", 2 * MINUTE, 0.0).text("open"));
    scene.said();
    scene
}

/// Bytes of version 1 as they are on disk since it was released: they stay readable, and the same state stays the same bytes.
#[test]
fn golden_bytes() {
    let bytes = scene().watch.save();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let golden = include_str!("golden_state_v1.hex").split_whitespace().collect::<String>();
    assert_eq!(hex, golden);
}

#[test]
fn a_loaded_state_is_the_same_and_goes_on() {
    let mut scene = scene();
    let mut out = Vec::new();
    let bytes = scene.watch.save();
    scene.watch = Watch::load(&bytes, rules(TWO), Limits::default(), &mut out).unwrap();
    assert_eq!((out.len(), scene.watch.save() == bytes), (0, true));
    scene.at(3 * MINUTE, "spo2", 97.0).tick("gw", HOUR);
    assert_eq!(scene.said(), ["low resolved 180", "silence firing 420"]);
}

#[test]
fn alerts_of_rules_that_are_gone_or_changed_are_resolved() {
    let bytes = scene().watch.save();
    let other = TWO.replace("below = 90", "below = 85");
    let gone =
        TWO.split("[[rule]]\nname = \"silence\"").next().unwrap().replace("\"low\"", "\"other\"");
    for text in [other.as_str(), gone.as_str()] {
        let mut out = Vec::new();
        let mut watch = Watch::load(&bytes, rules(text), Limits::default(), &mut out).unwrap();
        assert_eq!(out.len(), 1);
        let told = &out[0];
        assert_eq!(
            (told.rule.as_ref(), told.from, told.to),
            ("low", State::Firing, State::Resolved)
        );
        assert_eq!(told.reason, Reason::RuleChanged);
        assert_eq!(watch.devices().map(|device| device.alerts().count()).sum::<usize>(), 0);
        // The new rule begins with the next row.
        watch.reading(&Row::new("d", "spo2", HOUR, 70.0).reading(), &mut out);
        assert!(out.iter().any(|told| told.to == State::Pending), "{out:?}");
    }
}

#[test]
fn rules_in_another_order_find_their_state() {
    let bytes = scene().watch.save();
    let (low, silence) = TWO.split_at(TWO.rfind("[[rule]]").unwrap());
    let mut out = Vec::new();
    let text = format!("{silence}{low}");
    let watch = Watch::load(&bytes, rules(&text), Limits::default(), &mut out).unwrap();
    assert_eq!(out.len(), 0);
    assert_eq!(watch.device("icu", "d").unwrap().alerts().next().unwrap().rule, "low");
}

#[test]
fn bytes_that_are_cut_off_or_altered_are_no_state() {
    let bytes = scene().watch.save();
    let load =
        |bytes: &[u8]| Watch::load(bytes, rules(TWO), Limits::default(), &mut Vec::new()).err();
    for end in 0..bytes.len() {
        assert_eq!(load(&bytes[..end]), Some(StateError::Damaged), "cut at {end}");
    }
    for at in 5..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 0x41;
        assert_eq!(load(&altered), Some(StateError::Damaged), "altered at {at}");
    }
    let mut later = bytes.clone();
    later[4] = 9;
    assert_eq!(load(&later), Some(StateError::Version(9)));
}
