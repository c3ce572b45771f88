//! The scanner and the careful way end in the same rows.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::batch::Said;
use crate::memory::Memory;

const ORIGIN: Origin = Origin {
    source: 0,
    device: 0,
    offset: 7,
    received_us: 1_785_542_400_000_000,
    maybe_repeat: false,
    received_absurd: false,
    unmapped: false,
    repeat: false,
};

/// The rows as texts, so that numbers of interned texts don't matter, and the first reject.
fn rows(text: &str, fast: bool) -> Option<(Vec<String>, Option<Code>)> {
    let mut readings = Readings::default();
    let manner = Manner::of(&Default::default()).unwrap();
    let (mut memory, mut said) = (Memory::default(), Said::new("t", text.as_bytes(), &[]));
    let received_us = ORIGIN.received_us;
    let remembering = Remembering { memory: &mut memory, place: 0, said: &mut said, received_us };
    let mut rows = Gathered::new(&mut readings, (&ORIGIN, &manner), remembering, text);
    if fast {
        rows.fast(text, &mut Shape::default())?;
    } else {
        rows.careful(text).ok()?;
    }
    let code = rows.finish().err().map(|reject| reject.code);
    let shown = (0..readings.len()).map(|row| {
        let place = readings.place_list.get(readings.place[row] as usize);
        let place = place.map(|parts| parts.map(|part| readings.people.text(part).to_owned()));
        let fields = [
            readings.event_us[row],
            readings.device_us[row],
            readings.boot[row],
            readings.seq[row],
        ];
        let texts = [
            readings.metrics.text(readings.metric[row]),
            readings.units.text(readings.unit[row]),
            readings.texts.text(readings.text[row]),
            readings.extras.text(readings.extra[row]),
        ];
        let value = readings.value[row].to_bits();
        format!(
            "{fields:?} {texts:?} {place:?} {value:x} {:?} {}",
            readings.flags[row], readings.row_no[row]
        )
    });
    Some((shown.collect(), code))
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2000_i64..2000).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-500.0..500.0_f64).prop_map(|number| json!((number * 100.0).round() / 100.0)),
        any::<f64>().prop_map(|number| json!(number)),
        "[a-zé ]{0,8}".prop_map(Value::from),
        Just(json!("2026-07-31T10:00:00Z")),
        Just(json!(1_785_538_800_250_i64)),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    let names = [
        "ts",
        "metric",
        "value",
        "unit",
        "boot",
        "seq",
        "patient_id",
        "encounter_id",
        "ward",
        "bed",
        "other",
        "time",
        "timestamp",
    ];
    let member = (prop::sample::select(names.to_vec()), scalar());
    let metric = prop::sample::select(vec!["spo2", "steps", "mood"]);
    (prop::collection::vec(member, 0..8), metric, scalar()).prop_map(|(members, metric, value)| {
        let mut object = json!({"metric": metric, "value": value});
        for (name, value) in members {
            object[name] = value;
        }
        object
    })
}

proptest! {
    #[test]
    fn the_scanner_and_serde_json_end_in_the_same_rows(objects in prop::collection::vec(object(), 1..4), single: bool) {
        let text = if single { objects[0].to_string() } else { json!(objects).to_string() };
        if let Some(fast) = rows(&text, true) {
            prop_assert_eq!(Some(fast), rows(&text, false), "{}", text);
        }
    }

    #[test]
    fn the_scanner_accepts_nothing_that_is_not_json(object in object(), cut in 0.0..1.0_f64, junk in "[{}\\[\\],:\"a0 ]{0,3}") {
        let text = object.to_string();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
        let at = (text.len() as f64 * cut) as usize;
        let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let broken = format!("{}{junk}{}", &text[..at], if junk.is_empty() { "" } else { &text[at..] });
        if rows(&broken, true).is_some() {
            prop_assert!(serde_json::from_str::<Value>(&broken).is_ok(), "{}", broken);
        }
    }

    #[test]
    fn many_values_under_one_time_end_in_the_same_rows(value in scalar(), other in scalar(), ts in scalar()) {
        let text = json!({"ts": ts, "values": {"heart_rate": value, "spo2": other}, "seq": 5, "other": other}).to_string();
        if let Some(fast) = rows(&text, true) {
            prop_assert_eq!(Some(fast), rows(&text, false), "{}", text);
        }
    }
}
