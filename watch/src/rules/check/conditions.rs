//! The one condition of a rule.

use super::super::raw::RawRule;
use super::{SECOND_US, Wrong, at_least, score, wrong};
use crate::condition::{COUNT_MAX, Change, Condition, Count, Kinetic, Share, Stuck};

/// What a rule may ask, by the key that says so.
const KEYS: &str = "above, below, outside, equals, rise, fall, stuck_for, count, good_share_below, mean_kinetic_above, silent_for, news2 or when";

pub(super) fn of(raw: &RawRule) -> Result<Condition, Wrong> {
    let said = asked(raw);
    let condition = match said.as_slice() {
        [] if raw.when.is_some() => Condition::When,
        [] => return wrong("name", format!("asks for nothing: say one of {KEYS}")),
        [key] => one(raw, key)?,
        [_, second, ..] => {
            return wrong(
                second,
                format!("is a second condition beside `{}`: write a rule for each", said[0]),
            );
        }
    };
    only(raw, &condition)?;
    Ok(condition)
}

/// The conditions that are said.
fn asked(raw: &RawRule) -> Vec<&'static str> {
    let all = [
        ("above", raw.above.is_some()),
        ("below", raw.below.is_some()),
        ("outside", raw.outside.is_some()),
        ("equals", raw.equals.is_some()),
        ("rise", raw.rise.is_some()),
        ("fall", raw.fall.is_some()),
        ("stuck_for", raw.stuck_for.is_some()),
        ("count", raw.count.is_some()),
        ("good_share_below", raw.good_share_below.is_some()),
        ("mean_kinetic_above", raw.mean_kinetic_above.is_some()),
        ("silent_for", raw.silent_for.is_some()),
        ("news2", raw.news2.is_some()),
    ];
    all.into_iter().filter(|(_, said)| *said).map(|(key, _)| key).collect()
}

fn one(raw: &RawRule, key: &str) -> Result<Condition, Wrong> {
    let rows_min = |usual: u32| raw.min_rows.unwrap_or(usual).max(1);
    Ok(match key {
        "above" => above(raw)?,
        "below" => below(raw)?,
        "outside" => outside(raw)?,
        "equals" => Condition::Equals(raw.equals.clone().unwrap_or_default().trim().to_owned()),
        "rise" => Condition::Change(change(raw, "rise", raw.rise)?),
        "fall" => Condition::Change(change(raw, "fall", raw.fall)?),
        "stuck_for" => {
            let for_us =
                at_least("stuck_for", raw.stuck_for.as_deref().unwrap_or_default(), SECOND_US)?;
            Condition::Stuck(Stuck { for_us, rows_min: rows_min(10).max(2) })
        }
        "count" => match raw.count.unwrap_or_default() {
            times @ 1..=COUNT_MAX => Condition::Count(Count { times, within_us: within(raw)? }),
            _ => return wrong("count", format!("must be 1 to {COUNT_MAX}")),
        },
        "good_share_below" => {
            let below = finite("good_share_below", raw.good_share_below)?;
            if !(below > 0.0 && below <= 1.0) {
                return wrong(
                    "good_share_below",
                    "must be above 0 and at most 1: a share is never below 0",
                );
            }
            Condition::Share(Share { below, within_us: within(raw)?, rows_min: rows_min(10) })
        }
        "mean_kinetic_above" => {
            let above = finite("mean_kinetic_above", raw.mean_kinetic_above)?;
            Condition::Kinetic(Kinetic { above, within_us: within(raw)? })
        }
        "silent_for" => silence(raw)?,
        _ => score::of(raw.news2.as_ref())?,
    })
}

fn finite(key: &'static str, number: Option<f64>) -> Result<f64, Wrong> {
    match number {
        Some(number) if number.is_finite() => Ok(number),
        _ => wrong(key, "must be a number"),
    }
}

fn above(raw: &RawRule) -> Result<Condition, Wrong> {
    let limit = finite("above", raw.above)?;
    let clear = finite("clear", raw.clear.or(raw.above))?;
    if clear > limit {
        return wrong("clear", format!("is beyond `above`: it must be at most {limit}"));
    }
    Ok(Condition::Above { limit, clear })
}

fn below(raw: &RawRule) -> Result<Condition, Wrong> {
    let limit = finite("below", raw.below)?;
    let clear = finite("clear", raw.clear.or(raw.below))?;
    if clear < limit {
        return wrong("clear", format!("is beyond `below`: it must be at least {limit}"));
    }
    Ok(Condition::Below { limit, clear })
}

fn outside(raw: &RawRule) -> Result<Condition, Wrong> {
    let [low, high] = raw.outside.unwrap_or_default();
    let (low, high) = (finite("outside", Some(low))?, finite("outside", Some(high))?);
    let margin = finite("margin", raw.margin.or(Some(0.0)))?;
    if low >= high {
        return wrong("outside", "must be [low, high] with low below high");
    }
    if margin < 0.0 || low + margin > high - margin {
        return wrong("margin", "leaves nothing of the band: it would never be cleared");
    }
    Ok(Condition::Outside { low, high, margin })
}

fn change(raw: &RawRule, key: &'static str, by: Option<f64>) -> Result<Change, Wrong> {
    let by = finite(key, by)?;
    if by <= 0.0 {
        return wrong(key, "must be above 0: it is by how much");
    }
    Ok(Change { by, rising: key == "rise", within_us: within(raw)? })
}

fn within(raw: &RawRule) -> Result<i64, Wrong> {
    match raw.within.as_deref() {
        Some(text) => at_least("within", text, SECOND_US),
        None => wrong("within", "is missing: say the time that is looked at, such as \"10m\""),
    }
}

fn silence(raw: &RawRule) -> Result<Condition, Wrong> {
    let after_us =
        at_least("silent_for", raw.silent_for.as_deref().unwrap_or_default(), SECOND_US)?;
    let of_source = match raw.per.as_deref() {
        None | Some("device") => false,
        Some("source") => true,
        Some(_) => return wrong("per", "must be \"device\" or \"source\""),
    };
    Ok(Condition::Silent { after_us, of_source })
}

/// Settings of another condition would do nothing.
fn only(raw: &RawRule, condition: &Condition) -> Result<(), Wrong> {
    let has_within = matches!(
        condition,
        Condition::Change(_) | Condition::Count(_) | Condition::Share(_) | Condition::Kinetic(_)
    );
    let silence = matches!(condition, Condition::Silent { .. });
    let rules = [
        ("flapping", raw.flapping.is_some(), !silence, "conditions on values"),
        ("gap", raw.gap.is_some(), raw.hold.is_some(), "for"),
        ("uncatalogued", raw.uncatalogued, raw.metric.is_some(), "metric"),
        (
            "clear",
            raw.clear.is_some(),
            matches!(condition, Condition::Above { .. } | Condition::Below { .. }),
            "above or below",
        ),
        ("margin", raw.margin.is_some(), matches!(condition, Condition::Outside { .. }), "outside"),
        (
            "within",
            raw.within.is_some(),
            has_within,
            "rise, fall, count, good_share_below or mean_kinetic_above",
        ),
        (
            "min_rows",
            raw.min_rows.is_some(),
            matches!(condition, Condition::Stuck(_) | Condition::Share(_)),
            "stuck_for or good_share_below",
        ),
        ("per", raw.per.is_some(), silence, "silent_for"),
        (
            "quality",
            raw.quality.is_some(),
            !silence && !matches!(condition, Condition::Share(_)),
            "conditions on values",
        ),
    ];
    match rules.into_iter().find(|(_, said, fits, _)| *said && !fits) {
        Some((key, _, _, goes)) => wrong(key, format!("does nothing here: it goes with {goes}")),
        None => Ok(()),
    }
}
