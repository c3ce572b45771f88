//! What is known at a bedside, as time goes by.

use super::*;

const MINUTE: i64 = 60_000_000;
const SETTINGS: Settings = Settings {
    ages: Ages {
        vitals_us: 10 * MINUTE,
        pressure_us: 120 * MINUTE,
        temperature_us: 360 * MINUTE,
        observed_us: 720 * MINUTE,
    },
    assumed: Assumed { oxygen: None, consciousness: None },
    past_us: 0,
};

#[test]
fn an_observation_grows_old_and_is_missing_then() {
    let mut bed = Bedside::default();
    assert!(bed.observe(Parameter::Respiration, Some(26.0), None, 0));
    assert!(bed.observe(Parameter::Systolic, Some(95.0), None, MINUTE));
    let (fresh, kept) = bed.scores(&SETTINGS, Scale::One);
    assert_eq!((fresh.total(), kept.total()), (5, 5));
    bed.observe(Parameter::Temperature, Some(37.0), None, 10 * MINUTE + 1);
    let (fresh, kept) = bed.scores(&SETTINGS, Scale::One);
    assert_eq!((fresh.total(), kept.total()), (2, 5), "the respiration is too old");
    assert!(fresh.missing().any(|name| name == "respiration"));
}

#[test]
fn one_sample_of_five_moves_nothing() {
    let mut bed = Bedside::default();
    for (at, rate) in [(0, 16.0), (5, 16.0), (10, 40.0), (15, 17.0), (20, 16.0)] {
        bed.observe(Parameter::Respiration, Some(rate), None, at * 1_000_000);
        let (fresh, _) = bed.scores(&SETTINGS, Scale::One);
        assert!(at == 10 || fresh.total() == 0, "{at}");
    }
}

#[test]
fn what_is_assumed_stands_in_only_for_what_was_never_said() {
    let assumed = Assumed { oxygen: Some(false), consciousness: Some(Consciousness::Alert) };
    let settings = Settings { assumed, ..SETTINGS };
    let mut bed = Bedside::default();
    let (fresh, _) = bed.scores(&settings, Scale::One);
    assert_eq!((fresh.parts[2], fresh.parts[5]), (Some(0), Some(0)));
    bed.observe(Parameter::OxygenFlow, Some(2.0), None, 1);
    bed.observe(Parameter::Consciousness, None, Some("V"), 1);
    assert!(!bed.observe(Parameter::Consciousness, None, Some("asleep"), 2));
    let (fresh, _) = bed.scores(&settings, Scale::One);
    assert_eq!((fresh.parts[2], fresh.parts[5]), (Some(2), Some(3)));
}

#[test]
fn a_rise_counts_only_against_scores_that_knew_the_same() {
    let mut bed = Bedside::default();
    let scores = |bed: &mut Bedside| bed.scores(&SETTINGS, Scale::One).0;
    bed.observe(Parameter::Systolic, Some(120.0), None, 0);
    let score = scores(&mut bed);
    assert_eq!(bed.rise(&score, 240 * MINUTE).0, 0);
    bed.observe(Parameter::Temperature, Some(39.5), None, MINUTE);
    let score = scores(&mut bed);
    assert_eq!(bed.rise(&score, 240 * MINUTE).0, 0, "the fever may be old");
    bed.observe(Parameter::Systolic, Some(98.0), None, 2 * MINUTE);
    let score = scores(&mut bed);
    assert_eq!(bed.rise(&score, 240 * MINUTE).0, 2);
    bed.observe(Parameter::Temperature, Some(39.5), None, 242 * MINUTE);
    bed.observe(Parameter::Systolic, Some(98.0), None, 242 * MINUTE);
    let score = scores(&mut bed);
    assert_eq!(bed.rise(&score, 240 * MINUTE).0, 0, "it is so since long");
}

#[test]
fn what_is_written_is_read() {
    let mut bed = Bedside::default();
    for n in 0..20_i32 {
        bed.observe(Parameter::Pulse, Some(f64::from(n) + 60.0), None, i64::from(n) * 1_000_000);
        let score = bed.scores(&SETTINGS, Scale::One).0;
        bed.rise(&score, 240 * MINUTE);
    }
    let mut out = Writer::default();
    bed.write(&mut out);
    assert_eq!(Bedside::read(&mut Reader::new(&out.bytes)), Ok(bed));
}

#[test]
fn the_score_that_is_kept_is_that_of_the_chart_whatever_was_observed_in_which_order() {
    let rules = [None, Some(false), Some(true)].map(|oxygen| Settings {
        assumed: Assumed { oxygen, consciousness: oxygen.map(|_| Consciousness::Alert) },
        ..SETTINGS
    });
    let mut bed = Bedside::default();
    let mut number = 1_u32;
    for at in 0..5_000_i64 {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (_, parameter) = Parameter::METRICS[number as usize >> 8 & 7];
        let value = f64::from(number >> 12 & 0xff);
        bed.observe(
            parameter,
            Some(value),
            Some("v").filter(|_| number >> 29 & 1 == 1),
            at * MINUTE,
        );
        let settings = &rules[(number >> 16) as usize % rules.len()];
        let scale = if number >> 31 == 0 { Scale::One } else { Scale::Two };
        let (_, kept) = bed.scores(settings, scale);
        assert_eq!(kept, score(&settings.filled(bed.seen(|_| true)), scale), "{at}");
    }
}
