//! The metric catalogue: name, LOINC, UCUM unit, MDC code and plausible range of what devices measure.
//!
//! A reading of a metric that is not listed here is kept all the same; the catalogue adds the
//! default unit and the verdict on the value.
//!
//! Sources. LOINC codes: FHIR R4 vital-signs profiles, the curated MIMIC-IV map of MIT-LCP/mimic-code,
//! and the LOINC laboratory codes of US Core; every code passes LOINC's check digit (tested).
//! MDC: 32-bit IEEE 11073-10101 codes (partition × 65536 + term). Units: UCUM, case sensitive.
//! Ranges: engineering limits of what a working sensor on a living patient, or in a building, can
//! report. They are wider than any clinical limit and are not meant for alarms.

/// One catalogued metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Metric {
    /// Canonical name, lower snake case, unique.
    pub name: &'static str,
    /// LOINC code under which this metric is sent first of all, if there is one.
    pub loinc: Option<&'static str>,
    /// Further LOINC codes that mean the same metric.
    pub loinc_also: &'static [&'static str],
    /// Canonical UCUM unit; `None` for metrics whose values are words.
    pub unit: Option<&'static str>,
    /// IEEE 11073 code, 32 bits, if verified.
    pub mdc: Option<u32>,
    /// Lowest plausible value, inclusive, in `unit`.
    pub low: Option<f64>,
    /// Highest plausible value, inclusive, in `unit`.
    pub high: Option<f64>,
    /// Whether devices send 0 for "no value". Only where 0 cannot be a measurement:
    /// a respiratory rate of 0 may be apnoea, so it is not marked.
    pub zero_is_missing: bool,
    /// Of the substance that is measured, in g/mol: laboratories report amount or mass. Of hemoglobin that of one chain, as
    /// IFCC counts it.
    pub molar_mass: Option<f64>,
    /// The values of a metric without a unit that are known, in any case of letters; none: any word may be one.
    pub words: &'static [&'static str],
}

/// What the catalogue says about a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Inside the plausible range, or in a unit that it can't be held against.
    Plausible,
    /// A code for "no value" that a device sent as if it were a measurement.
    Sentinel,
    /// A number that no working sensor reports for this metric.
    OutOfRange,
    /// The metric's values are words: nothing is known about a number.
    NoRange,
}

/// Numbers that patient monitors were seen to send for "no value" (HL7 captures of six monitor
/// families; 2^23 - 1, 2^15 - 1 and -2^15 are full-scale codes). Such a number counts as a sentinel
/// only where the metric's range excludes it: -1 cm[H2O] of PEEP and -100 dB[W] are measurements.
const SENTINELS: [f64; 7] = [-999.0, -99.9, -100.0, -1.0, 8_388_607.0, 32_767.0, -32_768.0];

/// Judges a number of `metric`: `given` as the device sent it, `value` in the metric's canonical unit, `None` if it can't be brought
/// there. A metric that is not in the catalogue has no sentinels: a counter comes by 8388607, too.
#[must_use]
pub fn judge(metric: &Metric, value: Option<f64>, given: f64) -> Verdict {
    if metric.zero_is_missing && given == 0.0 {
        return Verdict::Sentinel;
    }
    if metric.low.is_none() && metric.high.is_none() {
        return Verdict::NoRange;
    }
    let within = |value: f64| {
        metric.low.is_none_or(|low| value >= low) && metric.high.is_none_or(|high| value <= high)
    };
    // A code for "no value" is one in whatever unit.
    match (within(value.unwrap_or(given)), SENTINELS.contains(&given), value) {
        (true, _, _) | (false, false, None) => Verdict::Plausible,
        (false, true, _) => Verdict::Sentinel,
        (false, false, Some(_)) => Verdict::OutOfRange,
    }
}

/// The metric with this canonical name. One hash and, as a rule, one comparison.
#[must_use]
pub fn metric(name: &str) -> Option<&'static Metric> {
    let mut slot = slot_of(name.as_bytes());
    // An empty slot names no metric, so it ends the search.
    while let Some(found) = SLOTS.get(slot).and_then(|index| METRICS.get(usize::from(*index))) {
        if found.name == name {
            return Some(found);
        }
        slot = (slot + 1) % SLOTS.len();
    }
    None
}

/// The metric that a LOINC code stands for. Where two share a code (a wearable's heart rate and
/// the monitor's) the first in [`METRICS`] wins.
#[must_use]
pub fn metric_by_loinc(code: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|m| m.loinc == Some(code) || m.loinc_also.contains(&code))
}

/// Whether `code` has LOINC's form: digits, a hyphen, and the right check digit
/// (mod 10 after Luhn, LOINC Users' Guide, appendix B).
#[must_use]
pub fn loinc_check_digit(code: &str) -> bool {
    let Some((number, check)) = code.split_once('-') else { return false };
    let digits_only = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    if !digits_only(number) || !digits_only(check) || check.len() != 1 || number.len() > 10 {
        return false;
    }
    let sum: u32 = number
        .bytes()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = u32::from(digit - b'0');
            // Every second digit, from the rightmost on, is doubled and its digits added.
            if place % 2 == 0 { digit * 2 / 10 + digit * 2 % 10 } else { digit }
        })
        .sum();
    check.parse() == Ok((10 - sum % 10) % 10)
}

const EMPTY: u8 = u8::MAX;
const SLOTS: [u8; 256] = build_slots();

/// FNV-1a, folded to a slot of the lookup table.
#[expect(clippy::indexing_slicing, reason = "`get` is not const; the loop ends at the length")]
const fn slot_of(name: &[u8]) -> usize {
    let mut hash: u32 = 0x811c_9dc5;
    let mut i = 0;
    while i < name.len() {
        hash = (hash ^ name[i] as u32).wrapping_mul(0x0100_0193);
        i += 1;
    }
    ((hash ^ (hash >> 16)) & 0xff) as usize
}

#[expect(clippy::indexing_slicing, reason = "`get` is not const; a mistake fails the build")]
const fn build_slots() -> [u8; 256] {
    // A quarter full at most, so that probing stays short and always meets an empty slot.
    assert!(METRICS.len() <= 64, "enlarge the table");
    let mut slots = [EMPTY; 256];
    let mut i: u8 = 0;
    while (i as usize) < METRICS.len() {
        let mut slot = slot_of(METRICS[i as usize].name.as_bytes());
        while slots[slot] != EMPTY {
            slot = (slot + 1) % 256;
        }
        slots[slot] = i;
        i += 1;
    }
    slots
}

/// A number with a unit and a plausible range.
const fn number(
    name: &'static str,
    loinc: &'static str,
    unit: &'static str,
    mdc: u32,
    low: f64,
    high: f64,
) -> Metric {
    Metric {
        name,
        loinc: if loinc.is_empty() { None } else { Some(loinc) },
        loinc_also: &[],
        unit: Some(unit),
        mdc: if mdc == 0 { None } else { Some(mdc) },
        low: Some(low),
        high: Some(high),
        zero_is_missing: false,
        molar_mass: None,
        words: &[],
    }
}

/// A metric whose values are words.
const fn words(
    name: &'static str,
    loinc: Option<&'static str>,
    words: &'static [&'static str],
) -> Metric {
    Metric {
        name,
        loinc,
        loinc_also: &[],
        unit: None,
        mdc: None,
        low: None,
        high: None,
        zero_is_missing: false,
        molar_mass: None,
        words,
    }
}

impl Metric {
    /// Whether a word is one that is known for the metric.
    #[must_use]
    pub fn takes(&self, word: &str) -> bool {
        self.words.iter().any(|own| own.eq_ignore_ascii_case(word.trim()))
    }

    const fn grams_per_mole(mut self, molar_mass: f64) -> Self {
        self.molar_mass = Some(molar_mass);
        self
    }

    /// Truth is a value, too: 0 or 1.
    const fn or_truth(mut self) -> Self {
        (self.low, self.high) = (Some(0.0), Some(1.0));
        self
    }

    const fn zero_is_missing(mut self) -> Self {
        self.zero_is_missing = true;
        self
    }

    const fn also(mut self, codes: &'static [&'static str]) -> Self {
        self.loinc_also = codes;
        self
    }
}

/// Every catalogued metric. A constant 0 for the MDC code and "" for LOINC mean "none verified".
pub const METRICS: &[Metric] = &[
    // Vital signs of bedside monitors.
    number("heart_rate", "8867-4", "/min", 147_842, 10.0, 300.0).zero_is_missing(),
    number("pulse_rate", "8889-8", "/min", 149_530, 20.0, 300.0).zero_is_missing(),
    number("spo2", "2708-6", "%", 150_456, 30.0, 100.0).also(&["59408-5"]).zero_is_missing(),
    number("perfusion_index", "61006-3", "%", 150_488, 0.0, 30.0),
    number("resp_rate", "9279-1", "/min", 151_562, 2.0, 80.0),
    number("nibp_sys", "8480-6", "mm[Hg]", 150_021, 30.0, 300.0)
        .also(&["76534-7"])
        .zero_is_missing(),
    number("nibp_dia", "8462-4", "mm[Hg]", 150_022, 10.0, 200.0)
        .also(&["76535-4"])
        .zero_is_missing(),
    number("nibp_map", "8478-0", "mm[Hg]", 150_023, 20.0, 240.0)
        .also(&["76536-2"])
        .zero_is_missing(),
    number("abp_sys", "76215-3", "mm[Hg]", 150_037, 20.0, 300.0).zero_is_missing(),
    number("abp_dia", "76213-8", "mm[Hg]", 150_038, 10.0, 200.0).zero_is_missing(),
    number("abp_map", "76214-6", "mm[Hg]", 150_039, 20.0, 240.0).zero_is_missing(),
    number("cvp_mean", "8591-0", "mm[Hg]", 150_087, -15.0, 50.0).also(&["60985-9"]),
    number("temp_body", "8310-5", "Cel", 150_364, 25.0, 45.0).zero_is_missing(),
    number("temp_core", "8329-5", "Cel", 150_368, 25.0, 45.0).zero_is_missing(),
    number("temp_skin", "39106-0", "Cel", 150_388, 10.0, 45.0).zero_is_missing(),
    number("etco2", "19891-1", "mm[Hg]", 151_728, 0.0, 150.0),
    number("gcs_total", "9269-2", "{score}", 0, 3.0, 15.0).zero_is_missing(),
    // ACVPU, as NEWS2 asks for it, and how monitors spell it.
    words(
        "consciousness",
        Some("67775-7"),
        &[
            "A",
            "C",
            "V",
            "P",
            "U",
            "alert",
            "confusion",
            "confused",
            "voice",
            "verbal",
            "pain",
            "unresponsive",
        ],
    ),
    // Oxygen and ventilation.
    number("inhaled_o2_conc", "3150-0", "%", 152_196, 20.0, 100.0).zero_is_missing(),
    number("o2_flow", "3151-8", "L/min", 0, 0.0, 80.0).also(&["19941-4"]),
    number("vent_tidal_volume", "76222-9", "mL", 151_868, 0.0, 3_000.0),
    number("vent_minute_volume", "75959-7", "L/min", 151_880, 0.0, 60.0),
    number("vent_peep", "20077-4", "cm[H2O]", 151_976, -5.0, 40.0).also(&["76247-6"]),
    number("vent_pip", "60951-1", "cm[H2O]", 151_817, 0.0, 120.0),
    // Pumps, glucose, wearables.
    number("infusion_rate", "", "mL/h", 157_784, 0.0, 2_000.0),
    number("infusion_volume", "", "mL", 0, 0.0, 10_000.0),
    number("glucose_isf", "99504-3", "mg/dL", 160_212, 20.0, 600.0)
        .grams_per_mole(180.156)
        .zero_is_missing(),
    number("glucose_poc", "41653-7", "mg/dL", 160_184, 10.0, 1_000.0)
        .grams_per_mole(180.156)
        .zero_is_missing(),
    number("wearable_hr", "8867-4", "/min", 147_842, 25.0, 240.0).zero_is_missing(),
    number("steps", "41950-7", "{steps}", 0, 0.0, 120_000.0).also(&["55423-8"]),
    number("hrv_sdnn", "80404-7", "ms", 0, 0.0, 400.0),
    number("activity_accel", "80493-0", "m/s2", 0, 0.0, 160.0),
    number("body_weight", "29463-7", "kg", 188_736, 0.3, 400.0).zero_is_missing(),
    number("body_height", "8302-2", "cm", 0, 20.0, 260.0).zero_is_missing(),
    number("body_mass_index", "39156-5", "kg/m2", 0, 5.0, 120.0).zero_is_missing(),
    number("head_circumference", "9843-4", "cm", 0, 15.0, 80.0).zero_is_missing(),
    // Buildings and cold chain.
    number("fridge_temp", "", "Cel", 0, -40.0, 50.0),
    number("freezer_temp", "", "Cel", 0, -100.0, 30.0),
    number("room_temp", "60832-3", "Cel", 0, -20.0, 60.0),
    number("room_humidity", "", "%", 0, 0.0, 100.0),
    number("room_co2", "", "[ppm]", 0, 300.0, 10_000.0),
    number("room_pressure_diff", "", "Pa", 0, -100.0, 100.0),
    words("door_open", None, &["open", "closed", "true", "false", "on", "off"]).or_truth(),
    number("battery", "", "%", 0, 0.0, 100.0),
    number("rssi", "", "dB[W]", 0, -180.0, -30.0),
    words("tag_zone", None, &[]),
    // Laboratory.
    number("lactate", "32693-4", "mmol/L", 0, 0.0, 40.0).grams_per_mole(90.078),
    number("leukocytes", "6690-2", "10*3/uL", 0, 0.0, 500.0),
    number("hemoglobin", "718-7", "g/dL", 0, 1.0, 30.0).grams_per_mole(16_114.5),
    number("platelets", "777-3", "10*3/uL", 0, 0.0, 3_000.0),
    number("creatinine", "2160-0", "mg/dL", 0, 0.0, 40.0).grams_per_mole(113.118),
    number("potassium", "2823-3", "mmol/L", 0, 1.0, 12.0),
    number("sodium", "2951-2", "mmol/L", 0, 80.0, 200.0),
    number("glucose_serum", "2345-7", "mg/dL", 0, 5.0, 2_000.0).grams_per_mole(180.156),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_loinc_code_passes_its_check_digit() {
        for m in METRICS {
            for code in m.loinc.iter().chain(m.loinc_also) {
                assert!(loinc_check_digit(code), "{}: {code}", m.name);
            }
        }
    }

    #[test]
    fn a_wrong_loinc_code_fails_its_check_digit() {
        for code in [
            "3150-6",
            "8867-5",
            "8867",
            "8867-",
            "-4",
            "88a7-4",
            "8867-44",
            "8867-4 ",
            "",
            "99999999999-1",
        ] {
            assert!(!loinc_check_digit(code), "{code:?}");
        }
        assert!(loinc_check_digit("3150-0"));
    }

    #[test]
    fn names_are_unique_and_found() {
        let names: BTreeSet<_> = METRICS.iter().map(|m| m.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for m in METRICS {
            assert_eq!(metric(m.name), Some(m));
            assert!(
                m.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{}",
                m.name
            );
        }
        for unknown in ["", "heart_rat", "heart_rate ", "Heart_Rate", "é"] {
            assert_eq!(metric(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn a_loinc_code_finds_its_metric_and_the_first_of_two() {
        for (code, name) in [
            ("8867-4", "heart_rate"),
            ("59408-5", "spo2"),
            ("2708-6", "spo2"),
            ("8480-6", "nibp_sys"),
            ("32693-4", "lactate"),
        ] {
            assert_eq!(metric_by_loinc(code).map(|m| m.name), Some(name));
        }
        assert_eq!(metric_by_loinc("85354-9"), None);
    }

    #[test]
    fn units_are_from_the_closed_ucum_list() {
        // Checked once with a UCUM validator; `bpm`, `degC` and `mmHg` are not UCUM.
        let ucum = [
            "/min", "%", "mm[Hg]", "Cel", "{score}", "L/min", "mL", "cm[H2O]", "mL/h", "mg/dL",
            "{steps}", "ms", "m/s2", "kg", "cm", "kg/m2", "[ppm]", "Pa", "dB[W]", "mmol/L",
            "10*3/uL", "g/dL",
        ];
        for m in METRICS {
            assert!(m.unit.is_none_or(|unit| ucum.contains(&unit)), "{}: {:?}", m.name, m.unit);
            let bounded = m.low.is_some() && m.high.is_some();
            assert!(bounded || m.unit.is_none(), "{}: a number has a range", m.name);
        }
    }

    #[test]
    fn ranges_are_ordered_and_mdc_codes_carry_their_partition() {
        for m in METRICS {
            assert!(m.low <= m.high, "{}", m.name);
            assert!(m.mdc.is_none_or(|code| code >> 16 >= 2), "{}: a 16-bit code", m.name);
            if m.zero_is_missing {
                assert!(m.low > Some(0.0), "{}: 0 would be plausible", m.name);
            }
        }
    }

    #[test]
    fn a_sentinel_is_told_from_a_measurement() {
        let of = |name: &str, value: f64| judge(metric(name).unwrap(), Some(value), value);
        for value in [-999.0, -99.9, -100.0, -1.0, 8_388_607.0, 32_767.0, -32_768.0, 0.0, -0.0] {
            assert_eq!(of("heart_rate", value), Verdict::Sentinel, "{value}");
        }
        assert_eq!(of("spo2", 0.0), Verdict::Sentinel);
        assert_eq!(of("spo2", 97.0), Verdict::Plausible);
        assert_eq!(of("spo2", 100.0), Verdict::Plausible);
        assert_eq!(of("spo2", 101.0), Verdict::OutOfRange);
        assert_eq!(of("temp_body", 384.5), Verdict::OutOfRange);
        assert_eq!(of("resp_rate", 0.0), Verdict::OutOfRange, "it may be apnoea");
        assert_eq!(of("vent_peep", -1.0), Verdict::Plausible);
        assert_eq!(of("room_pressure_diff", -100.0), Verdict::Plausible);
        assert_eq!(of("freezer_temp", -99.9), Verdict::Plausible);
        assert_eq!(of("steps", 32_767.0), Verdict::Plausible);
        assert_eq!(of("infusion_rate", 0.0), Verdict::Plausible);
        assert_eq!(of("heart_rate", f64::NAN), Verdict::OutOfRange);
    }

    #[test]
    fn a_sentinel_is_one_in_whatever_unit() {
        let fahrenheit =
            |given: f64| judge(metric("temp_body").unwrap(), Some((given - 32.0) / 1.8), given);
        assert_eq!(fahrenheit(98.6), Verdict::Plausible);
        for given in [0.0, -999.0, -1.0, 32_767.0] {
            assert_eq!(fahrenheit(given), Verdict::Sentinel, "{given}");
        }
        let unheard_of = |given: f64| judge(metric("temp_body").unwrap(), None, given);
        assert_eq!(
            (unheard_of(-999.0), unheard_of(400.0)),
            (Verdict::Sentinel, Verdict::Plausible)
        );
    }

    #[test]
    fn words_are_known_or_not() {
        let of = |name: &str| metric(name).unwrap();
        assert!(of("consciousness").takes("a") && of("consciousness").takes(" Alert "));
        assert!(!of("consciousness").takes("B") && !of("tag_zone").takes("icu"));
        assert_eq!(judge(of("consciousness"), Some(4.0), 4.0), Verdict::NoRange);
        assert_eq!(judge(of("door_open"), Some(1.0), 1.0), Verdict::Plausible);
        assert_eq!(judge(of("door_open"), Some(7.0), 7.0), Verdict::OutOfRange);
    }
}
