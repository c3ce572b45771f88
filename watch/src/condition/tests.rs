//! Each condition by itself, on rows that are made up.

use super::*;

const MINUTE: i64 = 60_000_000;

fn row(minute: i64, value: f64) -> Row<'static> {
    Row {
        at_us: minute * MINUTE,
        value: Some(value),
        text: None,
        quality: Quality::Good,
        parameter: None,
        scale: Scale::One,
    }
}

/// What a condition says of each row: `M`et, `C`leared, `-` between, `?` nothing.
fn check(condition: &Condition, rows: &[(i64, f64)]) -> String {
    let mut memory = Memory::default();
    let said = rows.iter().map(|(minute, value)| {
        let said = condition.judge(&mut memory, &row(*minute, *value));
        let mut out = Writer::default();
        memory.write(&mut out);
        memory = Memory::read(&mut Reader::new(&out.bytes)).unwrap();
        assert!(condition.fits(&memory));
        match said.map(|judged| judged.truth) {
            Some(Truth::Met) => 'M',
            Some(Truth::Cleared) => 'C',
            Some(Truth::Between) => '-',
            None => '?',
        }
    });
    said.collect()
}

#[test]
fn thresholds_have_a_zone_in_which_nothing_changes() {
    let above = Condition::Above { limit: 8.0, clear: 7.5 };
    assert_eq!(check(&above, &[(0, 8.0), (1, 8.1), (2, 7.6), (3, 7.5)]), "-M-C");
    let below = Condition::Below { limit: 90.0, clear: 92.0 };
    assert_eq!(check(&below, &[(0, 90.0), (1, 89.0), (2, 92.0)]), "-MC");
    let outside = Condition::Outside { low: 2.0, high: 8.0, margin: 0.5 };
    let rows = [(0, 1.9), (1, 2.0), (2, 2.4), (3, 2.5), (4, 7.5), (5, 7.6), (6, 8.1)];
    assert_eq!(check(&outside, &rows), "M--CC-M");
    let mut memory = Memory::default();
    assert_eq!(above.judge(&mut memory, &Row { value: None, ..row(0, 0.0) }), None);
}

#[test]
fn a_word_is_compared_in_any_case_of_letters() {
    let open = Condition::Equals("open".to_owned());
    let said = |text| {
        let judged = open.judge(&mut Memory::default(), &Row { value: None, text, ..row(0, 0.0) });
        judged.map(|judged| judged.truth)
    };
    assert_eq!(said(Some(" Open")), Some(Truth::Met));
    assert_eq!(said(Some("closed")), Some(Truth::Cleared));
    assert_eq!(said(None), None);
}

#[test]
fn a_change_is_measured_from_the_window_s_extreme() {
    let rise = Condition::Change(Change { by: 30.0, rising: true, within_us: 10 * MINUTE });
    let rows = [(0, 80.0), (5, 70.0), (9, 99.0), (10, 100.0), (15, 100.0), (16, 101.0)];
    assert_eq!(check(&rise, &rows), "CCCMMC");
    let fall = Condition::Change(Change { by: 4.0, rising: false, within_us: 10 * MINUTE });
    assert_eq!(check(&fall, &[(0, 97.0), (1, 98.0), (5, 94.0), (12, 94.0)]), "CCMC");
}

#[test]
fn a_window_that_overflows_is_thinned_and_says_so() {
    let rise = Condition::Change(Change { by: 1e6, rising: true, within_us: 10_000 * MINUTE });
    let mut memory = Memory::default();
    let thinned: Vec<i64> = (0..1_000_i32)
        .filter(|n| rise.judge(&mut memory, &row(i64::from(*n), f64::from(*n))).unwrap().thinned)
        .map(i64::from)
        .collect();
    assert!(!thinned.is_empty() && thinned.len() < 10, "{thinned:?}");
    let Memory::Change(window) = &memory else { panic!("no window") };
    assert_eq!(window.extreme(), Some(0.0), "the oldest is kept");
}

#[test]
fn a_sensor_is_stuck_when_it_says_the_same_for_long_and_often_enough() {
    let stuck = Condition::Stuck(Stuck { for_us: 10 * MINUTE, rows_min: 4 });
    assert_eq!(check(&stuck, &[(0, 5.0), (5, 5.0), (10, 5.0), (11, 5.0), (12, 5.1)]), "C--MC");
}

#[test]
fn rows_are_counted_within_a_time() {
    let count = Condition::Count(Count { times: 3, within_us: 10 * MINUTE });
    assert_eq!(check(&count, &[(0, 1.0), (4, 1.0), (9, 1.0), (10, 1.0), (30, 1.0)]), "CCMMC");
    let Condition::Count(count) = count else { unreachable!() };
    let mut memory = Memory::default();
    for minute in 0..3 {
        count.judge(count::Times::of(&mut memory), minute * MINUTE);
    }
    assert_eq!(count.pass(&mut memory, 5 * MINUTE), Truth::Met);
    assert_eq!(count.pass(&mut memory, 11 * MINUTE), Truth::Cleared);
}

#[test]
fn the_share_of_good_rows_is_that_of_the_window() {
    let share = Condition::Share(Share { below: 0.5, within_us: 16 * MINUTE, rows_min: 4 });
    let mut memory = Memory::default();
    let mut say = |minute, quality| {
        let judged = share.judge(&mut memory, &Row { quality, ..row(minute, 0.0) });
        judged.map(|judged| judged.truth)
    };
    assert_eq!(say(0, Quality::Good), None);
    assert_eq!(say(1, Quality::Bad), None);
    assert_eq!(say(2, Quality::Good), None);
    assert_eq!(say(3, Quality::Suspect), Some(Truth::Cleared), "half is not below half");
    assert_eq!(say(4, Quality::Bad), Some(Truth::Met));
    assert_eq!(say(40, Quality::Bad), None, "a new window");
}

#[test]
fn the_mean_kinetic_temperature_is_the_formula_s() {
    let kinetic = Condition::Kinetic(Kinetic { above: 8.0, within_us: 48 * 60 * MINUTE });
    let mean = |rows: &[(i64, f64)]| {
        let mut memory = Memory::default();
        for (minute, celsius) in rows {
            kinetic.judge(&mut memory, &row(*minute, *celsius));
        }
        let Memory::Kinetic(slots) = memory else { panic!("no slots") };
        slots.mean().unwrap()
    };
    let near = |found: f64, right: f64| assert!((found - right).abs() < 1e-6, "{found} {right}");
    near(mean(&[(0, 5.0), (60, 5.0), (120, 5.0)]), 5.0);
    // Half of the time at 20 °C and half at 30 °C: ten thousand over -ln of the mean of two exponentials, worked out apart.
    let two = 10_000.0
        / -f64::midpoint((-10_000.0_f64 / 293.15).exp(), (-10_000.0_f64 / 303.15).exp()).ln()
        - 273.15;
    assert!((25.9..26.4).contains(&two), "{two}");
    near(mean(&[(0, 20.0), (60, 20.0), (60, 30.0), (120, 30.0)]), two);
    near(mean(&[(0, 5.0), (50, 5.0), (50 + 61, 30.0), (50 + 61, 5.0), (50 + 62, 5.0)]), 5.0);
}

#[test]
fn the_mean_kinetic_temperature_is_told_once_an_hour_is_covered() {
    let kinetic = Condition::Kinetic(Kinetic { above: 8.0, within_us: 24 * 60 * MINUTE });
    let rows: Vec<(i64, f64)> = (0..=6).map(|n| (n * 15, 9.0)).collect();
    assert_eq!(check(&kinetic, &rows), "????MMM");
}

#[test]
fn a_score_that_lacks_parameters_says_so_and_age_makes_nobody_better() {
    let settings = Settings {
        ages: crate::news2::Ages {
            vitals_us: 10 * MINUTE,
            pressure_us: 120 * MINUTE,
            temperature_us: 360 * MINUTE,
            observed_us: 720 * MINUTE,
        },
        assumed: crate::news2::Assumed::default(),
        past_us: 0,
    };
    let five = Condition::News2 { settings, asks: Asks::AtLeast { points: 5, clear: 4 } };
    let mut memory = Memory::default();
    let mut say = |minute, parameter, value| {
        let row = Row { parameter: Some(parameter), ..row(minute, value) };
        let truth = five.judge(&mut memory, &row).unwrap().truth;
        (truth, five.measured(&memory, &row, "/min"))
    };
    assert_eq!(say(0, Parameter::Respiration, 26.0).0, Truth::Cleared);
    let (truth, text) = say(1, Parameter::Pulse, 115.0);
    assert_eq!(truth, Truth::Met);
    assert_eq!(
        text,
        "NEWS2 5 or more; not known: oxygen saturation, air or oxygen, systolic pressure, consciousness, temperature; at 3: respiration"
    );
    assert_eq!(
        say(20, Parameter::Temperature, 37.0).0,
        Truth::Between,
        "nothing is fresh any more"
    );
    assert_eq!(say(21, Parameter::Pulse, 80.0).0, Truth::Cleared);
}
