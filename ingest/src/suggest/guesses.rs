//! What names and values look like: units, times, words, types.

use serde_json::Value;

use crate::batch::flags::Flags;
use crate::decode::clock::Clock;

/// Endings of names that say a unit (UCUM), the more telling first.
const UNITS: [(&str, &str); 44] = [
    ("°c", "Cel"),
    ("_c", "Cel"),
    ("celsius", "Cel"),
    ("_f", "[degF]"),
    ("fahrenheit", "[degF]"),
    ("temperature", "Cel"),
    ("temp", "Cel"),
    ("dewpoint", "Cel"),
    ("dew_point", "Cel"),
    ("humidity", "%"),
    ("_rh", "%"),
    ("battery", "%"),
    ("_pct", "%"),
    ("percent", "%"),
    ("moisture", "%"),
    ("soc", "%"),
    ("_hpa", "hPa"),
    ("_kpa", "kPa"),
    ("_pa", "Pa"),
    ("_bar", "bar"),
    ("pressure", "hPa"),
    ("_mv", "mV"),
    ("voltage", "V"),
    ("_ma", "mA"),
    ("current", "A"),
    ("_kwh", "kW.h"),
    ("_wh", "W.h"),
    ("_kw", "kW"),
    ("power", "W"),
    ("energy", "kW.h"),
    ("lux", "lx"),
    ("illuminance", "lx"),
    ("co2", "[ppm]"),
    ("rssi", "dB[mW]"),
    ("_dbm", "dB[mW]"),
    ("_hz", "Hz"),
    ("frequency", "Hz"),
    ("_kg", "kg"),
    ("_mm", "mm"),
    ("_cm", "cm"),
    ("_km", "km"),
    ("_ms", "ms"),
    ("uptime", "s"),
    ("_s", "s"),
];

/// The unit that a metric's name says.
pub(super) fn unit(metric: &str) -> Option<&'static str> {
    let name = metric.rsplit('.').next().unwrap_or(metric);
    let mut snake = String::new();
    for (n, letter) in name.chars().enumerate() {
        if n > 0 && letter.is_uppercase() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    let found = UNITS.iter().find(|(ending, _)| {
        let plain = ending.trim_start_matches('_');
        snake.ends_with(ending) || snake == plain
    });
    found.map(|(_, unit)| *unit)
}

/// The number that a text stands for: on and off, yes and no.
pub(super) fn word(text: &str) -> Option<u8> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "yes" | "true" => Some(1),
        "off" | "no" | "false" => Some(0),
        _ => None,
    }
}

/// Members that name a device.
const DEVICES: [&str; 12] = [
    "device_id",
    "deviceId",
    "deviceid",
    "device",
    "dev_eui",
    "devEui",
    "serial",
    "serial_number",
    "mac",
    "sensor_id",
    "sn",
    "id",
];

/// The pointer to a member that names the device in every object.
pub(super) fn device_member(objects: &[&Value]) -> Option<String> {
    let names = |value: &Value| value.is_string() || value.is_u64();
    let found = DEVICES.iter().find(|name| {
        !objects.is_empty() && objects.iter().all(|object| object.get(**name).is_some_and(names))
    });
    found.map(|name| pointer(name))
}

/// The pointer to the time in every object, and whether it lacks a zone. Members with a usual name are found without a setting, if they
/// have a zone.
pub(super) fn time_member(objects: &[&Value]) -> Option<(String, bool)> {
    let clock = Clock::new(None).ok()?;
    let (usual, _) = clock.pointers();
    let first = objects.first()?.as_object()?;
    for name in first.keys() {
        let lower = name.to_ascii_lowercase();
        if !["time", "date", "_at", "ts", "stamp", "epoch", "seen"]
            .iter()
            .any(|part| lower.contains(part))
        {
            continue;
        }
        let read = objects.iter().map(|object| clock.guess(&object.get(name)?.to_string()));
        let Some(read) = read.collect::<Option<Vec<_>>>() else { continue };
        let local = read.iter().any(|when| when.flags.has(Flags::LOCAL_TIME));
        let known = usual.iter().any(|pointer| pointer.names() == [name.as_str()]);
        return (local || !known).then(|| (pointer(name), local));
    }
    None
}

/// The JSON pointer to a member.
pub(super) fn pointer(member: &str) -> String {
    format!("/{}", member.replace('~', "~0").replace('/', "~1"))
}

/// A column's name: lower case, words joined with `_`.
pub(super) fn column(member: &str) -> String {
    let mut name = String::new();
    let mut small = false;
    for letter in member.chars() {
        let after_small = std::mem::replace(&mut small, matches!(letter, 'a'..='z' | '0'..='9'));
        match letter {
            'a'..='z' | '0'..='9' => name.push(letter),
            'A'..='Z' => {
                if after_small {
                    name.push('_');
                }
                name.push(letter.to_ascii_lowercase());
            }
            _ if !name.is_empty() && !name.ends_with('_') => name.push('_'),
            _ => {}
        }
    }
    let name = name.trim_end_matches('_').to_owned();
    if name.starts_with(|first: char| first.is_ascii_lowercase()) && lake::catalog::is_free(&name) {
        name
    } else {
        format!("its_{name}")
    }
}

pub(super) fn table_name(pointer: &str) -> String {
    column(pointer.rsplit('/').next().unwrap_or("rows"))
}

/// The type of a value.
pub(super) fn kind(value: &Value) -> &'static str {
    let time = |text: &str| {
        text.len() >= 16 && text.contains('T') && text.starts_with(|c: char| c.is_ascii_digit())
    };
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() => "bigint",
        Value::Number(_) => "double",
        Value::String(text) if time(text) => "timestamp",
        Value::String(_) => "string",
        Value::Array(_) | Value::Object(_) => "json",
    }
}

/// The type that both have room in.
pub(super) fn wider(a: &'static str, b: &'static str) -> &'static str {
    match (a, b) {
        (same, other) if same == other => same,
        ("null", other) | (other, "null") => other,
        ("bigint", "double") | ("double", "bigint") => "double",
        ("json", _) | (_, "json") => "json",
        _ => "string",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_units() {
        for (name, expected) in [
            ("AM2301.Temperature", Some("Cel")),
            ("tempC", Some("Cel")),
            ("room_temp_f", Some("[degF]")),
            ("battery", Some("%")),
            ("batteryVoltage", Some("V")),
            ("supply_mV", None),
            ("supply_mv", Some("mV")),
            ("co2", Some("[ppm]")),
            ("counter", None),
        ] {
            assert_eq!(unit(name), expected, "{name}");
        }
    }

    #[test]
    fn members_become_columns_that_every_engine_takes() {
        for (member, expected) in [
            ("orderId", "order_id"),
            ("Order ID", "order_id"),
            ("SKU", "sku"),
            ("order", "its_order"),
            ("1st", "its_1st"),
            ("größe", "gr_e"),
            ("price", "price"),
            ("site", "its_site"),
        ] {
            assert_eq!(column(member), expected);
        }
    }
}
