//! Every sample of every profile becomes the rows that it says.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use telemetry_core::topic::filter_matches;

use super::*;
use crate::decode::place::{Around, Place, Whence};
use crate::decode::values::{self, Group, Said, Told, Values};

/// What stands in `profiles/samples/`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Samples {
    sample: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    /// Device and firmware.
    from: String,
    /// Where its vendor, or somebody who has one, shows it.
    source: String,
    topic: String,
    #[serde(default)]
    publisher: String,
    payload: String,
    /// When it was received.
    received: String,
    /// Of all rows that do not say it.
    site: Option<String>,
    device_id: Option<String>,
    event_ts: Option<String>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Row {
    /// `readings` if nothing is said.
    table: Option<String>,
    site: Option<String>,
    device_id: Option<String>,
    metric: Option<String>,
    value: Option<f64>,
    value_text: Option<String>,
    unit: Option<String>,
    /// None: when it was received.
    event_ts: Option<String>,
    status: Option<String>,
}

/// A rule that was compiled.
struct Compiled<'a> {
    rule: &'a ProfileRule,
    values: Values,
    site: Option<Place>,
    device: Place,
}

fn compiled(profile: &Profile) -> Vec<Compiled<'_>> {
    let rules = profile.rules.iter().map(|rule| {
        let place = |text: &str| {
            let place = Place::parse(text).and_then(|place| place.for_filter(&rule.filter));
            place.unwrap_or_else(|mistake| panic!("{} {}: {mistake}", profile.name, rule.filter))
        };
        let values = values::Settings::of(&rule.values).and_then(|own| Values::new(&own));
        Compiled {
            rule,
            values: values
                .unwrap_or_else(|mistake| panic!("{} {}: {mistake}", profile.name, rule.filter)),
            site: rule.site.as_deref().map(place),
            device: place(&rule.device),
        }
    });
    rules.collect()
}

/// The rows of a sample, as they would be in the tables.
fn rows(rules: &[Compiled<'_>], sample: &Sample) -> Vec<Row> {
    let rule = rules.iter().find(|rule| filter_matches(&rule.rule.filter, &sample.topic));
    let rule = rule.unwrap_or_else(|| panic!("no rule is for {}", sample.topic));
    let groups = rule.values.read(&sample.topic, &sample.payload);
    let groups = groups.unwrap_or_else(|reject| panic!("{}: {reject:?}", sample.from));
    let mut around = Around::default();
    groups.iter().flat_map(|group| rows_of(rule, sample, group, &mut around)).collect()
}

fn rows_of<'a>(
    rule: &Compiled<'_>,
    sample: &'a Sample,
    group: &'a Group<'a>,
    around: &mut Around<'a>,
) -> Vec<Row> {
    let whence = Whence {
        topic: &sample.topic,
        publisher: &sample.publisher,
        object: group.raw,
        member: group.member.as_deref(),
    };
    around.turn_to(group.whole);
    let mut filled = |place: &Place| place.fill(&whence, around).map(std::borrow::Cow::into_owned);
    let device_id = filled(&rule.device);
    assert!(device_id.is_some(), "{}: no device in {}", sample.from, sample.topic);
    let event_ts = match group.time {
        Told::At { us, .. } => Some(jiff::Timestamp::from_microsecond(us).unwrap().to_string()),
        Told::Nothing | Told::Unreadable(_) => None,
    };
    let shared =
        Row { site: rule.site.as_ref().and_then(filled), device_id, event_ts, ..Row::default() };
    let report = group.report.iter().map(|report| Row {
        table: Some("device_status".to_owned()),
        status: Some(report.status.clone().into_owned()),
        ..shared.clone()
    });
    let readings = group.readings.iter().map(|leaf| {
        let (value, value_text) = match &leaf.value {
            Said::Number(number) => (Some(*number), None),
            Said::Word { number, text } => (Some(*number), Some(text.clone().into_owned())),
            Said::Bound { number, text, .. } => (Some(*number), Some(text.clone().into_owned())),
            Said::Text(text) | Said::Nothing(text) => (None, Some(text.clone().into_owned())),
            Said::Bool(truth) => (Some(f64::from(u8::from(*truth))), None),
            Said::Null | Said::Nested => (None, None),
        };
        let unit = leaf.unit.as_deref().map(|unit| crate::units::code(unit).into_owned());
        let metric = Some(leaf.metric.clone().into_owned());
        Row { metric, value, value_text, unit, ..shared.clone() }
    });
    report.chain(readings).collect()
}

/// The rows that a sample says, with what it says of all of them.
fn expected(sample: &Sample) -> Vec<Row> {
    let instant = |text: &String| text.parse::<jiff::Timestamp>().unwrap().to_string();
    let rows = sample.rows.iter().cloned().map(|mut row| {
        row.table = row.table.filter(|table| table != "readings");
        row.site = row.site.or_else(|| sample.site.clone());
        row.device_id = row.device_id.or_else(|| sample.device_id.clone());
        row.event_ts = row.event_ts.or_else(|| sample.event_ts.clone()).as_ref().map(instant);
        row
    });
    rows.collect()
}

/// Rows as the samples write them.
fn written(sample: &Sample, rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let mut parts = Vec::new();
        let mut text_part = |name: &str, own: &Option<String>, all: &Option<String>| {
            if own != all {
                parts.extend(own.iter().map(|own| format!("{name} = {own:?}")));
            }
        };
        text_part("table", &row.table, &None);
        text_part("site", &row.site, &sample.site);
        text_part("device_id", &row.device_id, &sample.device_id);
        text_part("metric", &row.metric, &None);
        text_part("status", &row.status, &None);
        text_part("value_text", &row.value_text, &None);
        text_part("unit", &row.unit, &None);
        text_part("event_ts", &row.event_ts, &sample.event_ts);
        parts.extend(row.value.map(|value| format!("value = {value:?}")));
        writeln!(text, "  {{ {} }},", parts.join(", ")).unwrap();
    }
    text
}

#[test]
fn every_sample_becomes_the_rows_that_it_says() {
    let mut wrong = String::new();
    for (profile, samples) in profiles().iter().zip(SAMPLES) {
        let rules = compiled(profile);
        let samples: Samples = toml::from_str(samples).unwrap();
        for sample in &samples.sample {
            let (rows, expected) = (rows(&rules, sample), expected(sample));
            if rows != expected {
                let shown = [&rows, &expected].map(|rows| written(sample, rows));
                writeln!(
                    wrong,
                    "{}: {} is\n{}and should be\n{}",
                    profile.name, sample.from, shown[0], shown[1]
                )
                .unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_profile_has_samples_of_five_kinds_that_say_where_they_are_from() {
    for (profile, samples) in profiles().iter().zip(SAMPLES) {
        let samples: Samples = toml::from_str(samples).unwrap();
        let kinds: BTreeSet<&str> =
            samples.sample.iter().map(|sample| sample.from.as_str()).collect();
        assert!(kinds.len() >= 5, "{}: {}", profile.name, kinds.len());
        for sample in &samples.sample {
            assert!(sample.source.starts_with("http"), "{}: {}", profile.name, sample.from);
            sample.received.parse::<jiff::Timestamp>().unwrap();
        }
    }
}

#[test]
fn profiles_are_sorted_named_after_their_files_and_no_rule_hides_another() {
    assert!(FILES.is_sorted() && FILES.len() == profiles().len());
    for (profile, (file, _)) in profiles().iter().zip(FILES) {
        assert_eq!(&profile.name, file);
        assert_eq!(crate::profiles::profile(file), Some(profile));
        assert!(profile.docs.starts_with("https://") && profile.about.ends_with('.'), "{file}");
        for (place, rule) in profile.rules.iter().enumerate() {
            assert_eq!(rule.decoder, ProfileDecoder::Values, "{file}");
            // A filter is a topic too, of which a wider filter would take all.
            let hidden = profile.rules[..place]
                .iter()
                .any(|earlier| filter_matches(&earlier.filter, &rule.filter));
            assert!(!hidden, "{file}: `{}` is never reached", rule.filter);
            if let Some(guess) = &rule.guess {
                assert!(
                    guess.level < rule.filter.split('/').count() && !guess.starts_with.is_empty()
                );
            }
        }
    }
    assert!(profiles().iter().all(|profile| profile.name != "nonesuch"));
}
