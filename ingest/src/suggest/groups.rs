//! Messages that one rule could be for: topics of one shape with payloads of one kind.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use telemetry_core::topic::filter_matches;

use super::{SAMPLES_MAX, Sample};
use crate::profiles::{ProfileRule, profiles};

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shape {
    Object,
    Array,
    Plain,
    Unreadable,
}

/// A message that was looked into.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) topic: &'a str,
    pub(super) text: Option<&'a str>,
    value: Option<Value>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) filter: String,
    pub(super) profile: Option<&'static str>,
    pub(super) messages: Vec<Message<'a>>,
    pub(super) unreadable: usize,
    shape: Shape,
    /// Levels that differ from topic to topic.
    varying: Vec<usize>,
}

/// Levels of a topic with more names than this are not told apart by name.
const NAMES_MAX: usize = 4;
/// Texts that are plain values have at most this many bytes.
const PLAIN_BYTES_MAX: usize = 256;

pub(super) fn grouped(samples: &[Sample]) -> Vec<Group<'_>> {
    let mut by_shape: BTreeMap<(Option<&'static str>, usize, &str, Shape), Vec<Message<'_>>> =
        BTreeMap::new();
    for sample in samples.iter().take(SAMPLES_MAX) {
        let text = std::str::from_utf8(&sample.payload).ok();
        let value = text.and_then(|text| serde_json::from_str::<Value>(text).ok());
        let shape = match (&value, text) {
            (Some(Value::Object(_)), _) => Shape::Object,
            (Some(Value::Array(_)), _) => Shape::Array,
            (Some(_), _) => Shape::Plain,
            (None, Some(text)) if is_plain(text) => Shape::Plain,
            _ => Shape::Unreadable,
        };
        let text = text.filter(|_| shape != Shape::Unreadable);
        let levels = sample.topic.split('/').count();
        let first = sample.topic.split('/').next().unwrap_or_default();
        let message = Message { topic: &sample.topic, text, value };
        by_shape.entry((profile(&sample.topic), levels, first, shape)).or_default().push(message);
    }
    let groups = by_shape.into_iter().flat_map(|((profile, .., shape), messages)| match profile {
        Some(_) => vec![group(profile, shape, messages)],
        None => split(messages, shape).into_iter().map(|part| group(None, shape, part)).collect(),
    });
    groups.collect()
}

/// By the last level, where that tells kinds of messages apart.
fn split(messages: Vec<Message<'_>>, shape: Shape) -> Vec<Vec<Message<'_>>> {
    let last =
        |message: &Message<'_>| message.topic.rsplit('/').next().unwrap_or_default().to_owned();
    let names: BTreeSet<String> = messages.iter().map(last).collect();
    if shape == Shape::Plain || names.len() > NAMES_MAX {
        return vec![messages];
    }
    let mut parts: BTreeMap<String, Vec<Message<'_>>> = BTreeMap::new();
    for message in messages {
        parts.entry(last(&message)).or_default().push(message);
    }
    parts.into_values().collect()
}

fn group<'a>(profile: Option<&'static str>, shape: Shape, messages: Vec<Message<'a>>) -> Group<'a> {
    let mut names: Vec<BTreeSet<&str>> = Vec::new();
    for message in &messages {
        for (n, level) in message.topic.split('/').enumerate() {
            match names.get_mut(n) {
                Some(seen) => drop(seen.insert(level)),
                None => names.push([level].into()),
            }
        }
    }
    // Below `dt` site and device have their levels, also where only one was heard; the rule is for that one: the built-in
    // rule serves the others.
    let is_ours = names.len() >= 4 && names.first().is_some_and(|seen| seen.first() == Some(&"dt"));
    let varies = |seen: &BTreeSet<&str>| seen.len() > 1;
    let levels = names.iter().map(|seen| match seen.first() {
        Some(only) if !varies(seen) => (*only).to_owned(),
        _ => "+".to_owned(),
    });
    let filter = levels.collect::<Vec<_>>().join("/");
    let is_place = |n: usize| is_ours && matches!(n, 1 | 2);
    let varying = (0..).zip(&names).filter(|(n, seen)| varies(seen) || is_place(*n));
    let varying = varying.map(|(n, _)| n).collect();
    let unreadable = messages.iter().filter(|message| message.text.is_none()).count();
    Group { filter, profile, messages, unreadable, shape, varying }
}

fn is_plain(text: &str) -> bool {
    let text = text.trim();
    let begins = text.starts_with(['{', '[', '"']);
    !text.is_empty() && text.len() <= PLAIN_BYTES_MAX && !text.contains(char::is_control) && !begins
}

/// A profile whose topics are hardly anybody else's.
fn profile(topic: &str) -> Option<&'static str> {
    let told =
        |filter: &str| filter.split('/').filter(|level| !matches!(*level, "+" | "#")).count() >= 2;
    let begins = |rule: &ProfileRule| {
        rule.guess.as_ref().is_some_and(|guess| {
            let level = topic.split('/').nth(guess.level);
            level.is_some_and(|level| level.starts_with(&guess.starts_with))
        })
    };
    let wide = |rule: &ProfileRule| rule.guess.is_none() && told(&rule.filter);
    let first = |is: &dyn Fn(&ProfileRule) -> bool| {
        let is_for = |rule: &ProfileRule| filter_matches(&rule.filter, topic) && is(rule);
        profiles().iter().find(|profile| profile.rules.iter().any(is_for))
    };
    // As the built-in rules stand: those that know their topics by a name come first.
    first(&begins).or_else(|| first(&wide)).map(|profile| profile.name.as_str())
}

impl Group<'_> {
    /// The objects of its messages: whole payloads, or elements of arrays.
    pub(super) fn objects(&self) -> Vec<&Value> {
        let values = self.messages.iter().filter_map(|message| message.value.as_ref());
        let each = values.flat_map(|value| match value {
            Value::Array(elements) => elements.iter().collect(),
            other => vec![other],
        });
        each.filter(|value| value.is_object()).collect()
    }

    /// An array of objects that have more than a name and a value, in every message: its pointer, and its elements.
    pub(super) fn items(&self) -> Option<(String, Vec<&Value>)> {
        if self.shape != Shape::Object {
            return None;
        }
        let objects = self.objects();
        let first = objects.first()?.as_object()?;
        first.iter().find_map(|(name, value)| {
            let is_row = |value: &Value| value.as_object().is_some_and(|row| row.len() >= 3);
            value.as_array().filter(|elements| elements.iter().any(is_row))?;
            let all: Option<Vec<&Vec<Value>>> =
                objects.iter().map(|object| object.get(name)?.as_array()).collect();
            let items: Vec<&Value> =
                all?.into_iter().flatten().filter(|item| item.is_object()).collect();
            (!items.is_empty()).then(|| (super::guesses::pointer(name), items))
        })
    }

    /// Where site and device are: by levels that differ, else by a member.
    pub(super) fn places(&self, member: Option<String>) -> (String, String) {
        let last = self.filter.split('/').count() - 1;
        let plain = self.shape == Shape::Plain && last > 0;
        let differ: Vec<usize> =
            self.varying.iter().copied().filter(|level| !(plain && *level == last)).collect();
        let levels: Vec<&str> = self.filter.split('/').collect();
        let first = Some(levels[0]).filter(|level| levels.len() > 1 && !level.is_empty());
        let first = first.unwrap_or("home");
        match (&differ[..], member) {
            (_, Some(member)) => (first.replace('+', "home"), member),
            ([], None) => {
                let own = if plain { last.saturating_sub(1) } else { last };
                let device = levels.get(own).copied().filter(|level| !level.is_empty());
                let device = device.unwrap_or("device");
                (if own == 0 { "home".to_owned() } else { first.to_owned() }, device.to_owned())
            }
            ([one], None) => {
                (if *one == 0 { "home" } else { first }.to_owned(), format!("{{{one}}}"))
            }
            ([site, device, ..], None) => (format!("{{{site}}}"), format!("{{{device}}}")),
        }
    }
}
