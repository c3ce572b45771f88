//! Checks rules and compiles them: one that can match nothing is refused, with what would be right.

use std::collections::BTreeSet;

use super::raw::{RawFile, RawRule, RawState, RawWindow};
use super::{
    Expression, Flapping, Published, RULES_MAX, Rule, RuleError, Rules, Severity, Window, place,
};
use crate::condition::Condition;
use crate::news2::Scale;
use crate::pattern::Pattern;
use crate::reading::Quality;
use crate::span;

mod conditions;
mod metrics;
mod moment;
mod score;

/// What is wrong with a key.
pub(super) struct Wrong {
    key: &'static str,
    problem: String,
}

pub(super) fn wrong<T>(key: &'static str, problem: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { key, problem: problem.into() })
}

const SECOND_US: i64 = 1_000_000;
const HOUR_US: i64 = 3_600 * SECOND_US;
/// A rule is not repeated more often.
const REPEAT_MIN_US: i64 = 60 * SECOND_US;
/// A state is not published more often, and so often where nothing is said.
const STATE_MIN_US: i64 = SECOND_US;
const STATE_US: i64 = 10 * SECOND_US;

pub(super) fn checked(text: &str, file: &RawFile) -> Result<Rules, Vec<RuleError>> {
    let mut errors = Vec::new();
    let mut told =
        |header: &str, number: usize, rule: Option<&str>, Wrong { key, problem }: Wrong| {
            let line = place::of_key(text, header, number, key);
            let rule = rule.filter(|name| !name.is_empty()).map(str::to_owned);
            errors.push(RuleError { line, rule, key: key.to_owned(), problem });
        };
    let mut names = BTreeSet::new();
    let mut rules = Vec::new();
    for (number, raw) in file.rule.iter().enumerate() {
        match name(raw, &mut names).and_then(|()| rule(raw)) {
            Ok(rule) => rules.push(rule),
            Err(wrong) => told("[[rule]]", number, Some(&raw.name), wrong),
        }
    }
    let mut maintenance = Vec::new();
    for (number, raw) in file.maintenance.iter().enumerate() {
        match window(raw) {
            Ok(window) => maintenance.push(window),
            Err(wrong) => told("[[maintenance]]", number, None, wrong),
        }
    }
    let mut states = Vec::new();
    for (number, raw) in file.state.iter().enumerate() {
        match published(raw) {
            Ok(published) => states.push(published),
            Err(wrong) => told("[[state]]", number, None, wrong),
        }
    }
    let amount = match file.rule.len() {
        0 if states.is_empty() => {
            Some("the file has no [[rule]]: nothing would ever be told".to_owned())
        }
        count if count > RULES_MAX => Some(format!("{count} rules are more than {RULES_MAX}")),
        _ => None,
    };
    if let Some(problem) = amount {
        errors.push(RuleError { line: 1, rule: None, key: String::new(), problem });
    }
    if errors.is_empty() { Ok(Rules::of(rules, maintenance, states)) } else { Err(errors) }
}

fn published(raw: &RawState) -> Result<Published, Wrong> {
    Ok(Published {
        site: pattern("site", raw.site.as_deref())?,
        device: pattern("device", raw.device.as_deref())?,
        every_us: match raw.every.as_deref() {
            Some(every) => at_least("every", every, STATE_MIN_US)?,
            None => STATE_US,
        },
    })
}

fn name<'a>(raw: &'a RawRule, names: &mut BTreeSet<&'a str>) -> Result<(), Wrong> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if raw.name.is_empty() || raw.name.len() > 64 || !raw.name.chars().all(fits) {
        return wrong("name", "must be 1 to 64 of a–z, 0–9, - and _: it goes into topics");
    }
    if !names.insert(&raw.name) {
        return wrong("name", "is that of an earlier rule: alerts could not be told apart");
    }
    Ok(())
}

fn rule(raw: &RawRule) -> Result<Rule, Wrong> {
    let condition = conditions::of(raw)?;
    let metric = metrics::of(raw, &condition)?;
    let site = pattern("site", raw.site.as_deref())?;
    let device = pattern("device", raw.device.as_deref())?;
    let source = pattern("source", raw.source.as_deref())?;
    let of_source = matches!(condition, Condition::Silent { of_source: true, .. });
    if of_source && (raw.site.is_some() || raw.device.is_some() || raw.metric.is_some()) {
        return wrong(
            "per",
            "is \"source\", which has no site, device or metric: filter by `source`",
        );
    }
    if !of_source && raw.source.is_some() {
        return wrong(
            "source",
            "filters sources: say `per = \"source\"` too, or filter by `site` and `device`",
        );
    }
    let when = match raw.when.as_deref() {
        Some(_) if matches!(condition, Condition::Silent { .. }) => {
            return wrong("when", "looks at rows, and silence has none: leave it out");
        }
        Some(text) => {
            Some(Expression::new(text).map_err(|problem| Wrong { key: "when", problem })?)
        }
        None => None,
    };
    let for_us = holding("for", raw.hold.as_deref(), &condition)?;
    let clear_for_us = holding("clear_for", raw.clear_for.as_deref(), &condition)?;
    let gap_us = match raw.gap.as_deref() {
        Some(gap) => length("gap", gap)?,
        None => (2 * for_us).max(2 * HOUR_US),
    };
    let repeat_us = match raw.repeat.as_deref() {
        Some(repeat) => at_least("repeat", repeat, REPEAT_MIN_US)?,
        None => 0,
    };
    // What the rule says, in the order of its fields.
    let said = toml::to_string(raw).unwrap_or_default();
    let news2 = raw.news2.as_ref();
    let scale_2 = news2.map(|news2| news2.scale_2_devices.as_slice()).unwrap_or_default();
    Ok(Rule {
        name: raw.name.as_str().into(),
        version: super::version(&said).into(),
        severity: raw.severity.unwrap_or(Severity::Warning),
        site,
        device,
        metric,
        source,
        accept: accepted(raw)?,
        when,
        threshold: super::threshold(&condition, for_us).into(),
        condition,
        for_us,
        clear_for_us,
        gap_us,
        repeat_us,
        flapping: flapping(raw)?,
        scale_2: scale_2.iter().map(|device| Pattern::new(device)).collect(),
        scale: if news2.and_then(|news2| news2.scale) == Some(2) { Scale::Two } else { Scale::One },
    })
}

fn pattern(key: &'static str, text: Option<&str>) -> Result<Pattern, Wrong> {
    match text {
        None => Ok(Pattern::any()),
        Some("") => wrong(
            key,
            "is empty and matches nothing: leave it out for all, or write a name with * in it",
        ),
        Some(text) if text.len() > 256 => wrong(key, "is longer than 256 bytes"),
        Some(text) => Ok(Pattern::new(text)),
    }
}

fn accepted(raw: &RawRule) -> Result<u8, Wrong> {
    let Some(words) = &raw.quality else {
        return Ok(Quality::Good.bit() | Quality::Unchecked.bit());
    };
    let mut bits = 0;
    for word in words {
        match Quality::ALL.into_iter().find(|quality| quality.name() == word) {
            Some(quality) => bits |= quality.bit(),
            None => {
                return wrong(
                    "quality",
                    format!("has `{word}`: there are good, unchecked, suspect, bad"),
                );
            }
        }
    }
    if bits == 0 {
        return wrong("quality", "is empty: no row would be looked at");
    }
    Ok(bits)
}

fn flapping(raw: &RawRule) -> Result<Flapping, Wrong> {
    let Some(flapping) = &raw.flapping else {
        return Ok(Flapping { times: 5, within_us: HOUR_US, calm_us: HOUR_US / 5 });
    };
    let within_us = at_least("flapping", &flapping.within, SECOND_US)?;
    if !(2..=16).contains(&flapping.times) {
        return wrong("flapping", "has `times`, which must be 2 to 16");
    }
    Ok(Flapping {
        times: flapping.times,
        within_us,
        calm_us: within_us / i64::from(flapping.times),
    })
}

/// A time for which a condition must hold; conditions with a time of their own take none.
fn holding(key: &'static str, text: Option<&str>, condition: &Condition) -> Result<i64, Wrong> {
    match (text, condition) {
        (None, _) => Ok(0),
        (Some(_), Condition::Silent { .. }) => {
            wrong(key, "is no part of silence: `silent_for` says how long")
        }
        (Some(_), Condition::Stuck(_)) if key == "for" => {
            wrong(key, "is no part of a stuck value: `stuck_for` says how long")
        }
        (Some(text), _) => length(key, text),
    }
}

pub(super) fn length(key: &'static str, text: &str) -> Result<i64, Wrong> {
    match span::parse(text) {
        Some(us) => Ok(us),
        None => wrong(
            key,
            format!("is {text:?}, which is no time: write 90s, 15m, 2h or 7d, up to 366d"),
        ),
    }
}

pub(super) fn at_least(key: &'static str, text: &str, least_us: i64) -> Result<i64, Wrong> {
    match length(key, text)? {
        us if us < least_us => wrong(key, format!("is shorter than {}", span::show(least_us))),
        us => Ok(us),
    }
}

fn window(raw: &RawWindow) -> Result<Window, Wrong> {
    let from_us = moment::of("from", &raw.from)?;
    let until_us = moment::of("until", &raw.until)?;
    if until_us <= from_us {
        return wrong("until", "is not after `from`: the window would never be open");
    }
    Ok(Window {
        site: pattern("site", raw.site.as_deref())?,
        device: pattern("device", raw.device.as_deref())?,
        from_us,
        until_us,
    })
}
