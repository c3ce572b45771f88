//! Settings of the decoders whose members have fixed names: how times and numbers are written.

use serde::Deserialize;

use super::Settings;
use super::clock::Clock;
use super::number::Comma;
use super::values::{Time, Written};
use crate::mistake::Mistake;

/// How a device writes.
#[derive(Debug)]
pub(super) struct Manner {
    pub(super) clock: Clock,
    pub(super) comma: Comma,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Given {
    time: TimeOf,
    decimal_comma: bool,
}

/// The member is `ts`, `timestamp` or `time`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TimeOf {
    format: Option<String>,
    zone: Option<String>,
}

impl Manner {
    /// Reads the settings of a rule.
    ///
    /// # Errors
    /// One that there is not, or that makes no sense.
    pub(super) fn of(settings: &Settings) -> Result<Self, Mistake> {
        let known = ["time", "decimal_comma"];
        if let Some(key) = settings.keys().find(|key| !known.contains(&key.as_str())) {
            let reason =
                "is not a setting of this decoder: there are time (format, zone) and decimal_comma";
            return Err(Mistake::new(key, reason));
        }
        let given = serde_json::Value::Object(settings.clone().into_iter().collect());
        let given: Given = serde_json::from_value(given)
            .map_err(|error| Mistake::new("time", format!("is not as it should be: {error}")))?;
        let TimeOf { format, zone } = given.time;
        let written = Written { format, zone, ..Written::default() };
        let clock = Clock::new(Some(&Time::Written(written)))?;
        let comma = if given.decimal_comma { Comma::Always } else { Comma::Never };
        Ok(Self { clock, comma })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manner(text: &str) -> Result<Manner, Mistake> {
        Manner::of(&toml::from_str(text).unwrap())
    }

    #[test]
    fn what_there_is_not_is_named() {
        assert!(manner("").unwrap().clock.is_auto());
        let said = manner(
            "decimal_comma = true\ntime = { format = \"unix_s\", zone = \"Europe/Berlin\" }",
        );
        assert_eq!(said.unwrap().comma, Comma::Always);
        for (wrong, key) in [
            ("tim = 1", "tim"),
            ("time = 1", "time"),
            ("time = { zone = \"Mars\" }", "time.zone"),
            ("time = { format = \"%!\" }", "time.format"),
            ("time = { member = \"/a\" }", "time"),
        ] {
            assert_eq!(manner(wrong).unwrap_err().key, key, "{wrong}");
        }
    }
}
