//! Every edge of every band of the chart, and whole patients.

use super::*;

fn edges(parameter: usize, with: impl Fn(f64) -> Observations, scale: Scale, cases: &[(f64, u8)]) {
    for (value, points) in cases {
        let found = score(&with(*value), scale).parts[parameter];
        assert_eq!(found, Some(*points), "{} of {value}", PARAMETERS[parameter]);
    }
}

#[test]
fn respiration_has_the_chart_s_edges() {
    let with = |v| Observations { resp_rate: Some(v), ..Observations::default() };
    let cases = [
        (0.0, 3),
        (8.0, 3),
        (8.49, 3),
        (8.5, 1),
        (9.0, 1),
        (11.0, 1),
        (12.0, 0),
        (20.0, 0),
        (20.49, 0),
        (20.5, 2),
        (21.0, 2),
        (24.0, 2),
        (24.5, 3),
        (25.0, 3),
        (60.0, 3),
    ];
    edges(0, with, Scale::One, &cases);
}

#[test]
fn saturation_has_the_chart_s_edges_on_both_scales() {
    let with = |v| Observations { spo2: Some(v), ..Observations::default() };
    let one = [
        (50.0, 3),
        (91.0, 3),
        (91.49, 3),
        (91.5, 2),
        (92.0, 2),
        (93.0, 2),
        (94.0, 1),
        (95.0, 1),
        (95.5, 0),
        (96.0, 0),
        (100.0, 0),
    ];
    edges(1, with, Scale::One, &one);
    let low = [
        (50.0, 3),
        (83.0, 3),
        (83.5, 2),
        (84.0, 2),
        (85.0, 2),
        (86.0, 1),
        (87.0, 1),
        (88.0, 0),
        (92.0, 0),
        (92.49, 0),
    ];
    edges(1, with, Scale::Two, &low);
    let on = |oxygen| {
        move |v| Observations { spo2: Some(v), oxygen: Some(oxygen), ..Observations::default() }
    };
    let air = [(83.0, 3), (87.0, 1), (88.0, 0), (93.0, 0), (95.0, 0), (97.0, 0), (100.0, 0)];
    edges(1, on(false), Scale::Two, &air);
    let oxygen = [
        (88.0, 0),
        (92.0, 0),
        (92.5, 1),
        (93.0, 1),
        (94.0, 1),
        (95.0, 2),
        (96.0, 2),
        (96.5, 3),
        (97.0, 3),
        (100.0, 3),
    ];
    edges(1, on(true), Scale::Two, &oxygen);
}

#[test]
fn on_scale_2_a_high_saturation_says_nothing_until_oxygen_is_known() {
    let seen = Observations { spo2: Some(97.0), ..Observations::default() };
    assert_eq!(score(&seen, Scale::Two).parts[1], None);
}

#[test]
fn pressure_pulse_and_temperature_have_the_chart_s_edges() {
    let with = |v| Observations { systolic: Some(v), ..Observations::default() };
    let pressure = [
        (40.0, 3),
        (90.0, 3),
        (90.5, 2),
        (91.0, 2),
        (100.0, 2),
        (101.0, 1),
        (110.0, 1),
        (111.0, 0),
        (219.0, 0),
        (219.5, 3),
        (220.0, 3),
    ];
    edges(3, with, Scale::One, &pressure);
    let with = |v| Observations { pulse: Some(v), ..Observations::default() };
    let pulse = [
        (20.0, 3),
        (40.0, 3),
        (41.0, 1),
        (50.0, 1),
        (51.0, 0),
        (90.0, 0),
        (91.0, 1),
        (110.0, 1),
        (111.0, 2),
        (130.0, 2),
        (130.5, 3),
        (131.0, 3),
        (200.0, 3),
    ];
    edges(4, with, Scale::One, &pulse);
    let with = |v| Observations { temperature: Some(v), ..Observations::default() };
    let temperature = [
        (30.0, 3),
        (35.0, 3),
        (35.04, 3),
        (35.05, 1),
        (35.1, 1),
        (36.0, 1),
        (36.05, 0),
        (36.1, 0),
        (38.0, 0),
        (38.04, 0),
        (38.1, 1),
        (39.0, 1),
        (39.1, 2),
        (42.0, 2),
    ];
    edges(6, with, Scale::One, &temperature);
}

#[test]
fn consciousness_and_oxygen_have_their_points() {
    for (word, points) in
        [("A", 0), ("alert", 0), ("C", 3), ("confused", 3), ("V", 3), ("P", 3), ("U", 3)]
    {
        let consciousness = Consciousness::of_word(word);
        let seen = Observations { consciousness, ..Observations::default() };
        assert_eq!(score(&seen, Scale::One).parts[5], Some(points), "{word}");
    }
    assert_eq!(Consciousness::of_word("asleep"), None);
    for (oxygen, points) in [(false, 0), (true, 2)] {
        let seen = Observations { oxygen: Some(oxygen), ..Observations::default() };
        assert_eq!(score(&seen, Scale::One).parts[2], Some(points));
    }
}

type Patient = (f64, f64, Scale, bool, f64, f64, &'static str, f64, [u8; 7], u8);

const ONE: Scale = Scale::One;
const TWO: Scale = Scale::Two;

/// Respiration, saturation and its scale, oxygen, pressure, pulse, consciousness, temperature; parts and total.
const PATIENTS: [Patient; 14] = [
    (16.0, 98.0, ONE, false, 120.0, 72.0, "A", 36.8, [0, 0, 0, 0, 0, 0, 0], 0),
    (22.0, 95.0, ONE, false, 108.0, 104.0, "A", 38.4, [2, 1, 0, 1, 1, 0, 1], 6),
    (28.0, 90.0, ONE, true, 84.0, 134.0, "V", 39.3, [3, 3, 2, 3, 3, 3, 2], 19),
    (20.0, 90.0, TWO, true, 132.0, 88.0, "A", 36.9, [0, 0, 2, 0, 0, 0, 0], 2),
    (20.0, 90.0, ONE, true, 132.0, 88.0, "A", 36.9, [0, 3, 2, 0, 0, 0, 0], 5),
    (14.0, 97.0, TWO, true, 125.0, 80.0, "A", 37.0, [0, 3, 2, 0, 0, 0, 0], 5),
    (14.0, 97.0, TWO, false, 125.0, 80.0, "A", 37.0, [0, 0, 0, 0, 0, 0, 0], 0),
    (18.0, 97.0, ONE, false, 89.0, 90.0, "A", 36.5, [0, 0, 0, 3, 0, 0, 0], 3),
    (8.0, 93.0, ONE, false, 100.0, 40.0, "U", 35.0, [3, 2, 0, 2, 3, 3, 3], 16),
    (21.0, 96.0, ONE, false, 220.0, 131.0, "C", 38.0, [2, 0, 0, 3, 3, 3, 0], 11),
    (25.0, 91.0, ONE, true, 90.0, 131.0, "P", 35.0, [3, 3, 2, 3, 3, 3, 3], 20),
    (12.0, 94.0, TWO, true, 111.0, 51.0, "A", 36.1, [0, 1, 2, 0, 0, 0, 0], 3),
    (9.0, 84.0, TWO, false, 101.0, 41.0, "A", 35.1, [1, 2, 0, 1, 1, 0, 1], 6),
    (21.0, 93.0, ONE, false, 120.0, 95.0, "A", 37.5, [2, 2, 0, 0, 1, 0, 0], 5),
];

#[test]
fn fourteen_patients_have_the_scores_that_were_worked_out_by_hand() {
    for (number, patient) in (1..).zip(PATIENTS) {
        let (rate, spo2, scale, oxygen, pressure, beats, word, celsius, parts, total) = patient;
        let seen = Observations {
            resp_rate: Some(rate),
            spo2: Some(spo2),
            oxygen: Some(oxygen),
            systolic: Some(pressure),
            pulse: Some(beats),
            consciousness: Consciousness::of_word(word),
            temperature: Some(celsius),
        };
        let found = score(&seen, scale);
        assert_eq!(found.parts, parts.map(Some), "patient {number}");
        assert_eq!(found.total(), total, "patient {number}");
        assert!(found.is_complete() && found.known() == 0b111_1111);
    }
}

#[test]
fn what_is_missing_is_said_and_never_counted_as_nought() {
    let seen =
        Observations { resp_rate: Some(26.0), pulse: Some(f64::NAN), ..Observations::default() };
    let found = score(&seen, Scale::One);
    assert_eq!((found.total(), found.is_complete()), (3, false));
    assert_eq!(found.missing().count(), 6);
    assert_eq!(found.red().collect::<Vec<_>>(), ["respiration"]);
    assert_eq!(Score::default().total(), 0);
    assert_eq!(Score::default().missing().collect::<Vec<_>>(), PARAMETERS);
}
