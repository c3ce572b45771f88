//! Spellings and conversions, by table.

use proptest::prelude::*;
use telemetry_core::catalog::{METRICS, metric};

use super::*;

#[test]
fn spellings_become_ucum() {
    for (given, expected) in [
        ("°C", "Cel"),
        ("degC", "Cel"),
        ("Celsius", "Cel"),
        ("C", "Cel"),
        ("° F", "[degF]"),
        ("bpm", "/min"),
        ("BPM", "/min"),
        ("beats/min", "{beats}/min"),
        ("breaths/minute", "{breaths}/min"),
        ("percent", "%"),
        ("%RH", "%"),
        ("mmHg", "mm[Hg]"),
        ("MMHG", "mm[Hg]"),
        ("cmH2O", "cm[H2O]"),
        ("mL/hr", "mL/h"),
        ("ml/hour", "mL/h"),
        ("mcg/ml", "ug/mL"),
        ("µg/m³", "ug/m3"),
        ("μmol/L", "umol/L"),
        ("x10^9/L", "10*9/L"),
        ("10^9/L", "10^9/L"),
        ("K/uL", "10*3/uL"),
        ("lbs", "[lb_av]"),
        ("inches", "[in_i]"),
        ("kWh", "kW.h"),
        ("ppm", "[ppm]"),
        ("lux", "lx"),
        ("mph", "[mi_i]/h"),
        // A code already.
        ("hPa", "hPa"),
        ("mmol/L", "mmol/L"),
        ("{beats}/min", "{beats}/min"),
        ("1", "1"),
        // Nobody knows.
        ("furlongs per fortnight", "furlongs per fortnight"),
        ("", ""),
        ("dBm", "dBm"),
    ] {
        assert_eq!(code(given), expected, "{given}");
    }
}

#[test]
fn numbers_come_into_the_catalogues_unit() {
    for (name, given, value, expected) in [
        ("temp_body", "°F", 98.6, 37.0),
        ("temp_body", "K", 310.15, 37.0),
        ("temp_body", "degC", 36.6, 36.6),
        ("room_temp", "F", 32.0, 0.0),
        ("heart_rate", "bpm", 72.0, 72.0),
        ("heart_rate", "Hz", 1.2, 72.0),
        ("spo2", "1", 0.97, 97.0),
        ("nibp_sys", "kPa", 16.0, 120.009_8),
        ("nibp_sys", "mmHg", 120.0, 120.0),
        ("vent_peep", "mbar", 5.0, 5.098_58),
        ("hemoglobin", "g/L", 176.0, 17.6),
        ("hemoglobin", "mmol/L", 4.47, 7.203),
        ("glucose_serum", "mmol/L", 6.3, 113.498),
        ("glucose_poc", "mg/dL", 100.0, 100.0),
        ("creatinine", "umol/L", 88.4, 1.0),
        ("lactate", "mg/dL", 18.0, 1.998_27),
        ("potassium", "meq/L", 4.1, 4.1),
        ("leukocytes", "10^9/L", 7.2, 7.2),
        ("body_weight", "lbs", 154.324, 70.0),
        ("body_height", "inches", 70.0, 177.8),
        ("o2_flow", "mL/min", 2000.0, 2.0),
        ("room_pressure_diff", "hPa", 0.15, 15.0),
        ("rssi", "dBm", -70.0, -100.0),
        ("room_co2", "%", 0.04, 400.0),
        ("hrv_sdnn", "s", 0.05, 50.0),
    ] {
        let metric = metric(name).unwrap();
        let linear = to_catalogue(metric, &code(given));
        let got = linear.unwrap_or_else(|| panic!("{name} in {given}")).apply(value);
        assert!(
            (got - expected).abs() <= 1e-4 * expected.abs(),
            "{name}: {value} {given} is {got}"
        );
    }
}

#[test]
fn what_measures_something_else_is_not_converted() {
    for (name, given) in [
        ("temp_body", "mm[Hg]"),
        ("temp_body", "furlong"),
        ("heart_rate", "%"),
        ("spo2", "Cel"),
        ("nibp_sys", "cm"),
        ("steps", "%"),
        ("gcs_total", "[ppm]"),
        ("room_humidity", "g/m3"),
        ("rssi", "W"),
        ("body_weight", "[lb_av]/min"),
        ("o2_flow", "dBm"),
    ] {
        assert_eq!(to_catalogue(metric(name).unwrap(), &code(given)), None, "{name} in {given}");
    }
}

#[test]
fn the_catalogues_own_units_are_codes_and_stay() {
    for metric in METRICS {
        let Some(unit) = metric.unit else { continue };
        assert_eq!(code(unit), unit, "{}", metric.name);
        assert_eq!(to_catalogue(metric, unit), Some(Linear::SAME), "{}", metric.name);
    }
}

proptest! {
    #[test]
    fn any_text_is_a_unit_or_is_left_alone(unit in "\\PC{0,80}") {
        let code = code(&unit);
        for metric in METRICS {
            let _any = to_catalogue(metric, &code);
        }
    }

    #[test]
    fn any_number_is_converted(value in any::<f64>(), factor in 1e-9_f64..1e9, offset in -500.0_f64..500.0) {
        let converted = Linear { factor, offset }.apply(value);
        let plain = value * factor + offset;
        if plain.is_finite() {
            let size = (value * factor).abs().max(offset.abs());
            prop_assert!((converted - plain).abs() <= size * 1e-11);
        }
    }
}
