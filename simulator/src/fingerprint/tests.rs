//! Fingerprints and keys do not change, and everything that counts counts.

use super::*;

const READING: ReadingRow<'static> = ReadingRow {
    site: "s",
    device_id: "d",
    metric: "heart_rate",
    event: EventTime::At(1_767_225_600_000_000),
    value: Value::Number(72.0),
    unit: Some("/min"),
    quality: "good",
    patient_id: Some("p"),
    boot_id: Some(1),
    seq: Some(2),
    extra: None,
    time_text: None,
};

#[test]
fn golden_fingerprints_do_not_change() {
    assert_eq!(READING.fingerprint().0, 0xcc6d_8dbd_8bb5_b9c4_cf7f_83f1_ac6c_2eca);
    assert_eq!(device_key("s", "d", 1, 2).0, 0xac42_0881_b934_4ea3_e596_6c97_88d3_ec84);
    assert_eq!(
        resource_key("s", "ehr", "Patient", "p", "1").0,
        0x1ce6_f87d_821c_731a_0cdb_d70a_9ea6_18b0
    );
    assert_eq!(payload_key("dt/s/d/readings", b"{").0, 0xd445_67c0_56a9_2025_d793_cc05_48c8_f3f2);
}

#[test]
fn every_field_of_a_reading_counts() {
    let all = [
        READING,
        ReadingRow { site: "t", ..READING },
        ReadingRow { device_id: "e", ..READING },
        ReadingRow { metric: "pulse_rate", ..READING },
        ReadingRow { event: EventTime::At(1), ..READING },
        ReadingRow { event: EventTime::Received, ..READING },
        ReadingRow { value: Value::Number(72.000_000_1), ..READING },
        ReadingRow { value: Value::Text("72"), ..READING },
        ReadingRow { value: Value::Word(72.0, "72.0"), ..READING },
        ReadingRow { value: Value::Word(72.0, "72"), ..READING },
        ReadingRow { value: Value::Null, ..READING },
        ReadingRow { unit: None, ..READING },
        ReadingRow { quality: "bad", ..READING },
        ReadingRow { patient_id: None, ..READING },
        ReadingRow { boot_id: None, ..READING },
        ReadingRow { seq: Some(3), ..READING },
        ReadingRow { extra: Some("{}"), ..READING },
    ];
    let mut seen: Vec<u128> = all.iter().map(|row| row.fingerprint().0).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), all.len());
}

#[test]
fn a_row_with_a_time_flag_counts_as_received() {
    assert_eq!(EventTime::of_row(5, None, None), EventTime::At(5));
    assert_eq!(EventTime::of_row(5, Some(4), Some("sentinel,untimely")), EventTime::At(5));
    assert_eq!(EventTime::of_row(5, Some(4), Some("sentinel,time_absurd")), EventTime::Received);
    assert_eq!(EventTime::of_row(5, Some(4), Some("repeat,time_corrected")), EventTime::At(4));
}

#[test]
fn minus_zero_is_zero() {
    let zero = ReadingRow { value: Value::Number(0.0), ..READING };
    let minus = ReadingRow { value: Value::Number(-0.0), ..READING };
    assert_eq!(zero.fingerprint(), minus.fingerprint());
}

#[test]
fn a_resource_may_be_reformatted_but_not_changed() {
    let row = |resource| EhrRow {
        site: "s",
        system_id: "ehr",
        resource_type: "Patient",
        resource_id: "p",
        version_id: "1",
        status: None,
        code: None,
        value: Value::Null,
        unit: None,
        effective_us: None,
        resource,
    };
    let sent = row(br#"{"a":1,"b":[2.5]}"#).fingerprint();
    assert_eq!(sent, row(br#"{ "b": [2.50], "a": 1 }"#).fingerprint());
    assert_ne!(sent, row(br#"{"a":1,"b":[2.6]}"#).fingerprint());
}

#[test]
fn a_sum_of_rows_does_not_depend_on_their_order() {
    let other = ReadingRow { metric: "spo2", ..READING }.fingerprint();
    assert_eq!(READING.fingerprint().and(other), other.and(READING.fingerprint()));
    assert_ne!(READING.fingerprint().and(other), other.and(other));
}
