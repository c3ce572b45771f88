//! Messages that became readings although no rule is for them (flag `unmapped`), as far as their rows still say them.
//!
//! A row has no topic, but what made it is known: the built-in rules for families name the site after the profile, and the last of
//! all takes the levels of the topic for site, device and, of a plain value, metric. So a topic can be had back, and the payload
//! from the readings of one message.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use futures::TryStreamExt;
use lake::tables::readings;
use lake::{Lake, LakeError};
use serde_json::{Map, Value};
use telemetry_core::topic::filter_matches;

use super::{SAMPLES_MAX, Sample};
use crate::profiles::{self, Profile};
use crate::rules::places::NO_SITE;

const COLUMNS: [&str; 9] = [
    "source_id",
    "epoch",
    "source_offset",
    "row_no",
    "site",
    "device_id",
    "metric",
    "value",
    "value_text",
];
/// Behind them.
const FLAGS: &str = "flags";

/// Which message: source, epoch, offset.
type Place = (String, i64, i64);

/// The rows of a message.
#[derive(Debug, Default)]
struct Said {
    site: String,
    device: String,
    /// By their number.
    readings: BTreeMap<i32, (String, Value)>,
}

/// The messages whose topics, as far as they can be had back, `filter` matches; the newest dates first, [`SAMPLES_MAX`] at most.
///
/// # Errors
/// As [`Lake::scan`].
pub async fn unmapped(lake: &Lake, filter: &str) -> Result<Vec<Sample>, LakeError> {
    let mut files = lake.files(readings::NAME).await?;
    files.sort_by_key(|file| std::cmp::Reverse(file.date));
    let columns = [&COLUMNS[..], &[FLAGS]].concat();
    let mut rows = lake.scan_files(readings::NAME, files, &columns)?;
    let mut messages = BTreeMap::new();
    while let Some(batch) = rows.try_next().await? {
        // Of a message that is there already all rows are wanted.
        take(&batch, &mut messages);
    }
    let samples = messages.into_values().filter_map(|said| said.sample());
    Ok(samples.filter(|sample| filter_matches(filter, &sample.topic)).collect())
}

fn take(batch: &RecordBatch, messages: &mut BTreeMap<Place, Said>) {
    let text = |at: usize| batch.column(at).as_string::<i32>();
    let long = |at: usize| batch.column(at).as_primitive::<Int64Type>();
    let (source, epoch, offset) = (text(0), long(1), long(2));
    let row_no = batch.column(3).as_primitive::<Int32Type>();
    let (site, device, metric) = (text(4), text(5), text(6));
    let number = batch.column(7).as_primitive::<Float64Type>();
    let (words, flags) = (text(8), text(9));
    for row in 0..batch.num_rows() {
        let has = |flag| flags.is_valid(row) && flags.value(row).split(',').any(|own| own == flag);
        if !has("unmapped") {
            continue;
        }
        let place = (source.value(row).to_owned(), epoch.value(row), offset.value(row));
        if messages.len() >= SAMPLES_MAX && !messages.contains_key(&place) {
            continue;
        }
        let value = if words.is_valid(row) {
            words.value(row).into()
        } else if number.is_null(row) {
            Value::Null
        } else if has("boolean") {
            (number.value(row) > 0.5).into()
        } else {
            number.value(row).into()
        };
        let said = messages.entry(place).or_default();
        site.value(row).clone_into(&mut said.site);
        device.value(row).clone_into(&mut said.device);
        said.readings.insert(row_no.value(row), (metric.value(row).to_owned(), value));
    }
}

impl Said {
    /// `None` if nobody can tell the topic any more.
    fn sample(self) -> Option<Sample> {
        let Self { site, device, readings } = self;
        let device = unescaped(&device)?;
        if let Some(profile) = profiles::profile(&site) {
            return Some(Sample { topic: topic_of(profile, &device), payload: object(readings) });
        }
        let site = unescaped(&site)?;
        let mut levels = vec![];
        levels.extend((site != NO_SITE).then_some(site.as_str()));
        levels.push(&device);
        let mut own = readings.values();
        if let (Some((metric, value)), None) = (own.next(), own.next()) {
            levels.extend((levels != [metric.as_str()]).then_some(metric.as_str()));
            let payload = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            return Some(Sample { topic: levels.join("/"), payload: payload.into_bytes() });
        }
        Some(Sample { topic: levels.join("/"), payload: object(readings) })
    }
}

/// A topic that is hardly anybody else's than the profile's, with a device in it.
fn topic_of(profile: &Profile, device: &str) -> String {
    let words = |filter: &str| filter.split('/').filter(|level| !is_free(level)).count();
    let told = profile.rules.iter().rfind(|rule| rule.guess.is_some() || words(&rule.filter) >= 2);
    let Some(rule) = told.or(profile.rules.last()) else { return device.to_owned() };
    let mut devices = std::iter::once(device);
    let levels = rule.filter.split('/').enumerate().map(|(place, level)| {
        if !is_free(level) {
            return level;
        }
        let own = devices.next().unwrap_or("x");
        let guess = rule.guess.as_ref().filter(|guess| guess.level == place);
        let begins = guess.map_or("", |guess| guess.starts_with.as_str());
        if own.starts_with(begins) { own } else { begins }
    });
    levels.collect::<Vec<_>>().join("/")
}

fn is_free(level: &str) -> bool {
    matches!(level, "+" | "#")
}

fn object(readings: BTreeMap<i32, (String, Value)>) -> Vec<u8> {
    let members: Map<String, Value> = readings.into_values().collect();
    Value::Object(members).to_string().into_bytes()
}

/// A name as it was before it became an id; `None` if it was cut, or is none of ours.
fn unescaped(id: &str) -> Option<String> {
    let mut parts = id.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().filter(|_| !id.contains('~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(site: &str, device: &str, readings: &[(&str, Value)]) -> Option<(String, String)> {
        let readings =
            (0..).zip(readings.iter().map(|(metric, value)| ((*metric).to_owned(), value.clone())));
        let said = Said { site: site.into(), device: device.into(), readings: readings.collect() };
        let Sample { topic, payload } = said.sample()?;
        Some((topic, String::from_utf8(payload).unwrap()))
    }

    #[test]
    fn topics_and_payloads_are_had_back() {
        let said = |topic: &str, payload: &str| Some((topic.to_owned(), payload.to_owned()));
        let at = |site, device, metric, value: Value| sample(site, device, &[(metric, value)]);
        assert_eq!(
            at("home", "livingroom", "temperature", 21.5.into()),
            said("home/livingroom/temperature", "21.5")
        );
        assert_eq!(at("default", "livingroom", "lamp", "ON".into()), said("livingroom/lamp", "ON"));
        assert_eq!(
            at("default", "temperature", "temperature", true.into()),
            said("temperature", "true")
        );
        let two = [("a.b", 1.into()), ("c", Value::Null)];
        assert_eq!(
            sample("home", "tv%2Fhall%20x", &two),
            said("home/tv/hall x", r#"{"a.b":1,"c":null}"#)
        );
        assert_eq!(at("home", "cut~0123456789abcdef", "t", 1.into()), None);
    }

    #[test]
    fn every_family_is_known_by_its_topic_again() {
        for profile in profiles::profiles() {
            let topic = topic_of(profile, "kitchen");
            assert!(!topic.contains(['+', '#']), "{topic}");
        }
        let (topic, payload) =
            sample("zigbee2mqtt", "hall%20motion", &[("occupancy", true.into())]).unwrap();
        assert_eq!((&*topic, &*payload), ("zigbee2mqtt/hall motion", r#"{"occupancy":true}"#));
        let (topic, _) =
            sample("shelly", "shellyplus1pm-a1", &[("switch_0_power", 1.into())]).unwrap();
        let suggested = super::super::suggest(&[Sample { topic, payload: b"{}".to_vec() }]);
        assert!(suggested[0].toml.contains("profile = \"shelly\""), "{suggested:?}");
    }
}
