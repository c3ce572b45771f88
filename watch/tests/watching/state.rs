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

fn bytes_of(hex: &str) -> Vec<u8> {
    let hex: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |two: &[u8]| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap();
    hex.chunks(2).map(byte).collect()
}

/// Bytes of version 2 as they are on disk since it was released: they stay readable, and the same state stays the same bytes.
#[test]
fn golden_bytes() {
    let hex: String = scene().watch.save().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(bytes_of(&hex), bytes_of(include_str!("golden_state_v2.hex")), "{hex}");
}

#[test]
fn a_state_of_version_1_is_the_same_state() {
    let mut out = Vec::new();
    let old = bytes_of(include_str!("golden_state_v1.hex"));
    let watch = Watch::load(&old, rules(TWO), Limits::default(), &mut out).unwrap();
    assert_eq!((out.len(), watch.save() == scene().watch.save()), (0, true));
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
