//! The ward as a whole: the same for the same seed, and true to itself.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use xxhash_rust::xxh3::Xxh3;

use super::World;
use crate::config::{Config, Disorder};
use crate::message::{Planned, Run, StreamKind};

fn config(seed: u64) -> Config {
    Config {
        seed,
        disorder: Disorder {
            artefacts: true,
            clock_offset: true,
            bad_time: 0.01,
            ..Disorder::default()
        },
        ..Config::default()
    }
}

fn hash(plan: impl Iterator<Item = Planned>) -> u64 {
    let mut hash = Xxh3::new();
    for planned in plan {
        hash.update(&planned.due_us.to_le_bytes());
        hash.update(planned.message.topic.as_bytes());
        hash.update(&planned.message.payload);
        hash.update(&planned.message.key.0.to_le_bytes());
        hash.update(&planned.message.expect.fingerprint.0.to_le_bytes());
    }
    hash.digest()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_they_do_not_change_between_versions() {
    let run = |seed| hash(World::ward(&config(seed), Run::of_boot(1), 0).take(5_000));
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert_eq!(run(1), 13_686_305_158_396_592_533, "the golden ward changed");
}

#[test]
fn a_plan_never_goes_back_in_time_and_sequence_numbers_are_dense() {
    let world = World::ward(&config(3), Run::of_boot(1), 7);
    let devices = world.devices().to_vec();
    let (mut due_us, mut next) = (0, BTreeMap::new());
    for planned in world.take(20_000) {
        assert!(planned.due_us >= due_us);
        due_us = planned.due_us;
        let message = planned.message;
        let seq = next.entry(message.device).or_insert(0);
        *seq += 1;
        assert_eq!(message.seq, *seq, "{}", message.topic);
        let name = &devices[message.device as usize - 7];
        assert_eq!(message.topic, name.topic(message.stream.as_str()));
        assert!(message.expect.rows > 0);
    }
    assert_eq!(next.len(), devices.len(), "everybody spoke");
}

#[test]
fn keys_are_unique() {
    let mut keys = BTreeSet::new();
    for planned in World::ward(&config(4), Run::of_boot(1), 0).take(50_000) {
        assert!(keys.insert(planned.message.key), "{}", planned.message.topic);
    }
}

#[test]
fn a_bed_more_does_not_change_the_others() {
    let payloads = |beds| {
        let mut config = config(5);
        config.ward.beds = beds;
        let until_us = 600_000_000;
        World::ward(&config, Run::of_boot(1), 0)
            .take_while(|planned| planned.due_us < until_us)
            .filter(|planned| planned.message.topic.contains("/monitor-001/"))
            .map(|planned| planned.message.payload)
            .collect::<Vec<_>>()
    };
    assert_eq!(payloads(3), payloads(4));
    assert!(payloads(3).len() > 100);
}

/// Four days of a small ward, by resource and by device.
fn four_days() -> Vec<(i64, StreamKind, Value)> {
    let mut config = Config { seed: 6, ..Config::default() };
    (config.ward.beds, config.ward.pumps, config.ward.monitor_s) = (6, 6, 300.0);
    (config.ward.rooms, config.ward.fridges) = (0, 0);
    World::ward(&config, Run::of_boot(1), 0)
        .take_while(|planned| planned.due_us < 4 * 86_400_000_000)
        .map(|p| (p.due_us, p.message.stream, serde_json::from_slice(&p.message.payload).unwrap()))
        .collect()
}

#[test]
fn nobody_is_monitored_before_admission_or_after_discharge() {
    let mut inside = BTreeSet::new();
    let mut left = 0;
    for (_, stream, json) in four_days() {
        match (stream, json["resourceType"].as_str(), json["status"].as_str()) {
            (StreamKind::Fhir, Some("Encounter"), Some("in-progress")) => {
                inside.insert(json["id"].as_str().unwrap().to_owned());
            }
            (StreamKind::Fhir, Some("Encounter"), _) => {
                assert!(inside.remove(json["id"].as_str().unwrap()));
                left += 1;
            }
            (StreamKind::Readings, _, _) => {
                if let Some(encounter) = json["encounter_id"].as_str() {
                    assert!(inside.contains(encounter), "{encounter}");
                }
            }
            _ => {}
        }
    }
    assert!(left >= 3, "{left} left within four days");
}

#[test]
fn a_pump_delivers_what_the_record_says() {
    let mut ordered: BTreeMap<String, f64> = BTreeMap::new();
    let mut compared = 0;
    for (_, stream, json) in four_days() {
        if json["resourceType"] == "MedicationAdministration"
            && json["dosage"]["rateQuantity"].is_object()
        {
            let rate = json["dosage"]["rateQuantity"]["value"].as_f64().unwrap();
            let patient =
                json["subject"]["reference"].as_str().unwrap().trim_start_matches("Patient/");
            ordered.insert(patient.to_owned(), rate);
        }
        if stream == StreamKind::Readings && json[0]["metric"] == "infusion_rate" {
            let rate = json[0]["value"].as_f64().unwrap();
            match json[0]["patient_id"].as_str() {
                // Before the first order a pump stands still.
                Some(patient) => assert_eq!(ordered.get(patient).copied().unwrap_or(0.0), rate),
                None => assert_eq!(rate, 0.0),
            }
            compared += 1;
        }
    }
    assert!(compared > 1_000);
}
