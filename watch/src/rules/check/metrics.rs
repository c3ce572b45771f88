//! The metric of a rule, held against the catalogue: what can't be measured is refused.

use telemetry_core::catalog::{METRICS, Metric, metric};

use super::super::raw::RawRule;
use super::{Wrong, wrong};
use crate::condition::Condition;
use crate::pattern::Pattern;

pub(super) fn of(raw: &RawRule, condition: &Condition) -> Result<Option<Pattern>, Wrong> {
    let Some(text) = raw.metric.as_deref() else { return without(condition) };
    if text.is_empty() {
        return wrong("metric", "is empty and matches nothing");
    }
    if matches!(condition, Condition::News2 { .. }) {
        return wrong("metric", "is chosen by NEWS2 itself: leave it out");
    }
    let pattern = Pattern::new(text);
    let listed: Vec<&Metric> = if pattern.is_exact() {
        metric(text).into_iter().collect()
    } else {
        METRICS.iter().filter(|metric| pattern.matches(metric.name)).collect()
    };
    if raw.uncatalogued {
        return match listed.first() {
            Some(found) => wrong(
                "uncatalogued",
                format!("is said of `{}`, which is in the catalogue: leave it out", found.name),
            ),
            None => Ok(Some(pattern)),
        };
    }
    if listed.is_empty() {
        return wrong(
            "metric",
            format!(
                "is {text:?}, which the catalogue does not know{}: say `uncatalogued = true` if devices send it",
                near(text)
            ),
        );
    }
    let mut first = Ok(());
    for (nth, metric) in listed.iter().enumerate() {
        match possible(condition, metric) {
            Ok(()) => return Ok(Some(pattern)),
            Err(wrong) if nth == 0 => first = Err(wrong),
            Err(_) => {}
        }
    }
    first.map(|()| Some(pattern))
}

fn without(condition: &Condition) -> Result<Option<Pattern>, Wrong> {
    let needs_none = matches!(
        condition,
        Condition::News2 { .. }
            | Condition::Silent { .. }
            | Condition::When
            | Condition::Count(_)
            | Condition::Share(_)
    );
    if needs_none {
        return Ok(None);
    }
    wrong("metric", "is missing: say which one, such as \"heart_rate\", or \"*\"")
}

/// Whether a value of the metric can make the condition true, and another false.
fn possible(condition: &Condition, metric: &Metric) -> Result<(), Wrong> {
    let name = metric.name;
    let (low, high) = (metric.low.unwrap_or(f64::MIN), metric.high.unwrap_or(f64::MAX));
    let range = || format!("`{name}` is {low} to {high} {}", metric.unit.unwrap_or_default());
    let number = metric.unit.is_some() || metric.low.is_some();
    let of_numbers = matches!(
        condition,
        Condition::Above { .. }
            | Condition::Below { .. }
            | Condition::Outside { .. }
            | Condition::Change(_)
            | Condition::Stuck(_)
            | Condition::Kinetic(_)
    );
    if of_numbers && !number {
        return wrong(
            "metric",
            format!("is `{name}`, whose values are words: use `equals` or `when`"),
        );
    }
    match condition {
        Condition::Above { limit, .. } if *limit >= high => {
            wrong("above", format!("can't be exceeded: {}", range()))
        }
        Condition::Above { limit, .. } if *limit < low => {
            wrong("above", format!("is exceeded by every value: {}", range()))
        }
        Condition::Above { clear, .. } if *clear < low => {
            wrong("clear", format!("is never reached: {}", range()))
        }
        Condition::Below { limit, .. } if *limit <= low => {
            wrong("below", format!("can't be undercut: {}", range()))
        }
        Condition::Below { limit, .. } if *limit > high => {
            wrong("below", format!("is undercut by every value: {}", range()))
        }
        Condition::Below { clear, .. } if *clear > high => {
            wrong("clear", format!("is never reached: {}", range()))
        }
        Condition::Outside { low: least, high: most, .. } if *least <= low && *most >= high => {
            wrong("outside", format!("has every value within it: {}", range()))
        }
        Condition::Outside { low: least, high: most, .. } if *least > high || *most < low => {
            wrong("outside", format!("has no value within it: {}", range()))
        }
        Condition::Change(change) if change.by > high - low => {
            wrong(if change.rising { "rise" } else { "fall" }, format!("can't be: {}", range()))
        }
        Condition::Kinetic(kinetic) if metric.unit != Some("Cel") => wrong(
            "mean_kinetic_above",
            format!("is a temperature, and `{name}` is none (at {})", kinetic.above),
        ),
        Condition::Kinetic(kinetic) if kinetic.above >= high || kinetic.above < low => {
            wrong("mean_kinetic_above", format!("can't be passed: {}", range()))
        }
        Condition::Equals(word) if word.is_empty() => {
            wrong("equals", "is empty and matches nothing")
        }
        Condition::Equals(_) if number && metric.words.is_empty() => wrong(
            "equals",
            format!("is a word, and `{name}` is a number: use above, below or outside"),
        ),
        Condition::Equals(word) if !metric.words.is_empty() && !metric.takes(word) => wrong(
            "equals",
            format!("is {word:?}, which `{name}` never is: there are {}", metric.words.join(", ")),
        ),
        _ => Ok(()),
    }
}

/// A metric that may have been meant.
fn near(text: &str) -> String {
    let shares = |name: &str| name.split('_').any(|part| part.len() > 2 && text.contains(part));
    let names: Vec<&str> =
        METRICS.iter().map(|metric| metric.name).filter(|name| shares(name)).take(3).collect();
    if names.is_empty() { String::new() } else { format!(" (there is {})", names.join(", ")) }
}
