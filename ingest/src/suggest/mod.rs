//! From messages to rules: looks at what devices publish and writes rules for a person to approve.

mod groups;
mod guesses;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use crate::decode::values::{Said, Settings, Values};
use groups::{Group, grouped};
use guesses::{column, device_member, time_member, unit, word};
pub use rows::unmapped;

/// Messages that are looked at at most.
pub const SAMPLES_MAX: usize = 20_000;

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Its topic.
    pub topic: String,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A rule, and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// Messages that it was made from.
    pub messages: usize,
    /// The lines to paste, with comments.
    pub toml: String,
}

/// Rules for the topics of `samples`, those with most messages first.
#[must_use]
pub fn suggest(samples: &[Sample]) -> Vec<Suggestion> {
    let mut suggestions: Vec<Suggestion> = grouped(samples).iter().map(suggested).collect();
    suggestions.sort_by_key(|suggestion| std::cmp::Reverse(suggestion.messages));
    suggestions
}

fn suggested(group: &Group<'_>) -> Suggestion {
    let mut lines = Lines::default();
    let topics: BTreeSet<&str> = group.messages.iter().map(|message| message.topic).collect();
    let example = topics.first().copied().unwrap_or_default();
    lines.comment(&format!(
        "{} messages of {} topics, such as {example}",
        group.messages.len(),
        topics.len()
    ));
    if let Some(profile) = group.profile {
        lines.comment("A ready-made rule is for these: `tidemark profiles` shows it.");
        lines.line("[[ingest.topics]]");
        lines.text("profile", profile);
        lines.text("site", "home");
    } else if group.unreadable == group.messages.len() {
        lines.comment("Neither JSON nor a short text. If it is CBOR or MessagePack, say so; keep the messages meanwhile.");
        rule(&mut lines, group, "values");
        lines.line("raw = true");
        lines.line("settings.encoding = \"cbor\"");
    } else if let Some((pointer, items)) = group.items() {
        table(&mut lines, group, &pointer, &items);
    } else {
        rule(&mut lines, group, "values");
        settings(&mut lines, group);
    }
    Suggestion { messages: group.messages.len(), toml: lines.0 }
}

/// Filter, decoder and places.
fn rule(lines: &mut Lines, group: &Group<'_>, decoder: &str) {
    lines.line("[[ingest.topics]]");
    lines.text("filter", &group.filter);
    lines.text("decoder", decoder);
    let (site, device) = group.places(device_member(&group.objects()));
    lines.text("site", &site);
    lines.text("device", &device);
}

fn settings(lines: &mut Lines, group: &Group<'_>) {
    let objects = group.objects();
    if let Some((member, local)) = time_member(&objects) {
        if local {
            lines.comment("The time has no zone: UTC is assumed unless you say it.");
            lines.line(&format!(
                "settings.time = {{ member = {}, zone = \"UTC\" }}",
                quoted(&member)
            ));
        } else {
            lines.text("settings.time", &member);
        }
    }
    let Ok(values) = Values::new(&Settings::default()) else { return };
    let (mut units, mut words) = (BTreeMap::new(), BTreeMap::new());
    for message in &group.messages {
        let Some(text) = message.text else { continue };
        for found in values.read(message.topic, text).into_iter().flatten() {
            for leaf in found.readings {
                if leaf.unit.is_none()
                    && matches!(leaf.value, Said::Number(_))
                    && let Some(unit) = unit(&leaf.metric)
                {
                    units.insert(leaf.metric.clone().into_owned(), unit);
                }
                if let Said::Text(text) = &leaf.value
                    && let Some(number) = word(text)
                {
                    words.insert(text.clone().into_owned(), number);
                }
            }
        }
    }
    let units: Vec<String> = units
        .iter()
        .map(|(metric, unit)| format!("{} = {}", quoted(metric), quoted(unit)))
        .collect();
    if !units.is_empty() {
        lines.comment("Units by the names: are they right?");
        lines.line(&format!("settings.unit = {{ {} }}", units.join(", ")));
    }
    let words: Vec<String> =
        words.iter().map(|(text, number)| format!("{} = {number}", quoted(text))).collect();
    if !words.is_empty() {
        lines.line(&format!("settings.words = {{ {} }}", words.join(", ")));
    }
}

/// A declared table whose rows are the elements of an array.
fn table(lines: &mut Lines, group: &Group<'_>, pointer: &str, items: &[&Value]) {
    let name = guesses::table_name(pointer);
    let mut columns: BTreeMap<String, (String, &'static str)> = BTreeMap::new();
    let around = group.objects();
    let around = around.iter().map(|object| (*object, true));
    for (object, outer) in items.iter().map(|item| (*item, false)).chain(around) {
        for (member, value) in object.as_object().into_iter().flatten() {
            // The array itself is no column.
            if outer && pointer.trim_start_matches('/').split('/').next() == Some(member) {
                continue;
            }
            let kind = guesses::kind(value);
            let column = column(member);
            let entry = columns.entry(column).or_insert_with(|| (member.clone(), kind));
            entry.1 = guesses::wider(entry.1, kind);
        }
    }
    columns.retain(|_, (_, kind)| *kind != "null");
    lines.comment("Each element of an array as a row of a table of its own.");
    lines.line(&format!("[tables.{name}]"));
    lines.text("about", "say what a row is");
    lines.line(&format!("[tables.{name}.columns]"));
    for (column, (_, kind)) in &columns {
        lines.line(&format!("{column} = {kind:?}"));
    }
    lines.line("");
    rule(lines, group, "json");
    lines.text("settings.table", &name);
    lines.text("settings.rows", pointer);
    if let Some((member, _)) = time_member(&group.objects()) {
        lines.text("settings.time", &member);
    }
    let named = columns.iter().filter(|(column, (member, _))| *column != member);
    let named: Vec<String> = named
        .map(|(column, (member, _))| format!("{column} = {}", quoted(&guesses::pointer(member))))
        .collect();
    if !named.is_empty() {
        lines.line(&format!("settings.columns = {{ {} }}", named.join(", ")));
    }
}

/// As TOML writes a text.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, line: &str) {
        // Writing to a text does not fail.
        let _written = writeln!(self.0, "{line}");
    }

    fn comment(&mut self, text: &str) {
        self.line(&format!("# {text}"));
    }

    fn text(&mut self, key: &str, value: &str) {
        self.line(&format!("{key} = {}", quoted(value)));
    }
}

#[cfg(test)]
mod tests;
