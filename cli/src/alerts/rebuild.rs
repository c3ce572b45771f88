//! `tidemark alerts rebuild`: what ingest knows of devices and alerts, made anew from the rows of the lake.
//!
//! Rows are played in the order of arrival, what people did to alerts at the time that they did it. A source's time goes on between its rows
//! as well, which no row says: it comes to where the steps of alerts say that it was. What no row says is learned again: maintenance that fell
//! on no alert, and which sources are away.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Args;
use ingest::watching::{keep_rebuilt, read_rules};
use lake::{Lander, OpenMode};
use service_runtime::Clock;
use telemetry_core::lane::lane_of;
use watch::{Action, AlertId, Limits, RowId, Rules, Transition, Watch};

use super::backtest::{self, Progress};
use super::lines::moment;
use super::order::{self, Order};
use super::rows::Rows;
use super::steps::{self, Step};
use crate::options::path;
use crate::{config, print};

#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    /// TOML file of the ingest whose state it is: lake, worker, lanes and rules. Stop that ingest first.
    #[arg(long, short, value_parser = path)]
    config: Option<PathBuf>,
    /// From this time of the event on: a day (UTC) or RFC 3339 [default: everything].
    #[arg(long)]
    since: Option<String>,
    /// Rows that are held in memory, at most.
    #[arg(long, default_value_t = 20_000_000)]
    rows_max: usize,
}

/// What a person did, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Act {
    at_us: i64,
    action: Action,
}

/// Rebuilds; true unless it differs from what the lake's alerts say.
pub(super) async fn run(options: &Rebuild) -> anyhow::Result<bool> {
    let everything = config::load(options.config.as_deref())?;
    let ingest = &everything.ingest;
    ensure!(ingest.alerts.watch, "[alerts] watch = false: this ingest keeps no state");
    let since_us = options.since.as_deref().map(moment).transpose().context("--since")?;
    let rules = match &ingest.alerts.rules {
        Some(path) => read_rules(path)?,
        None => Rules::none(),
    };
    let lake = config::open(&everything.lake, OpenMode::Read, &everything.catalog()?).await?;
    let lanes: BTreeSet<u8> = ingest.own_lanes().into_iter().collect();
    let is_own = |source: &str| source.parse().is_ok_and(|id| lanes.contains(&lane_of(&id)));
    let lander =
        Lander::open(&lake, &ingest.worker, lanes.iter().copied(), Clock::default().now_us())
            .await?;
    let time = (since_us.unwrap_or(i64::MIN / 2), i64::MAX);
    let mut rows =
        backtest::read(&lake, time, options.rows_max, |row| is_own(row.id.source_id)).await?;
    order::sort(&mut rows, Order::Arrival);
    let mut steps = Vec::new();
    steps::scan(&lake, |step| steps.extend(is_own(&step.heard_through).then_some(step))).await?;
    let limits = Limits { devices: ingest.alerts.devices_max, ..Limits::default() };
    let (watch, made) = play(Watch::new(rules, limits), &rows, &steps);
    let number = keep_rebuilt(ingest, &lake, &lander, &watch).await?;
    told(&watch, rows.rows.len(), number, &ingest.worker)?;
    same(&made, &steps)
}

fn told(watch: &Watch, rows: usize, number: u64, worker: &str) -> std::io::Result<()> {
    print::line(&format!(
        "{} rows of {} devices, {} alerts that are not over: kept as state {number} of worker {worker}, which goes on from it at its next start",
        print::grouped(rows as u64),
        print::grouped(watch.devices().count() as u64),
        watch.alerts().count()
    ))
}

/// Whether the steps of alerts are those that the lake has.
fn same(made: &[(AlertId, String, i64)], steps: &[Step]) -> anyhow::Result<bool> {
    let known = |step: &Step| Some((step.alert_id.parse().ok()?, step.state.clone(), step.at_us));
    let there: HashSet<_> = steps.iter().filter_map(known).collect();
    let again: HashSet<_> = made.iter().cloned().collect();
    let (gone, new) = (there.difference(&again).count(), again.difference(&there).count());
    print::line(&match (gone, new) {
        (0, 0) => format!("its {} steps of alerts are those in the lake", again.len()),
        _ => format!(
            "{gone} steps of alerts in the lake were not made again, and {new} were made that are not there: other rules then, sources that were away, or rows before --since"
        ),
    })?;
    Ok(gone == 0 && new == 0)
}

/// What people did, in order. A window of maintenance is what it did to each alert.
fn acts(steps: &[Step]) -> Vec<Act> {
    let act = |step: &Step| {
        let (by, alert) = (step.acted_by.as_deref()?.into(), step.alert_id.parse().ok()?);
        let action = match (step.state.as_str(), step.until_us) {
            ("acknowledged", _) => Action::Acknowledge { alert, by },
            ("silenced", Some(until_us)) => Action::Silence { alert, until_us, by },
            _ => return None,
        };
        matches!(step.reason.as_str(), "person" | "maintenance")
            .then_some(Act { at_us: step.at_us, action })
    };
    let mut acts: Vec<Act> = steps.iter().filter_map(act).collect();
    acts.sort_by_key(|act| act.at_us);
    acts
}

/// How far a source's time had come at the rows that caused steps. A step that time made came after the last row that was heard.
fn times(steps: &[Step]) -> HashMap<RowId<'_>, i64> {
    let by_rows =
        steps.iter().filter(|step| step.acted_by.is_none() && step.at_us != step.heard_us);
    by_rows.map(|step| (step.cause.id(), step.heard_us)).collect()
}

/// Plays rows and acts; returns the state, and the steps of alerts that were made.
fn play(mut watch: Watch, rows: &Rows, steps: &[Step]) -> (Watch, Vec<(AlertId, String, i64)>) {
    let (mut made, mut out) = (Vec::new(), Vec::new());
    let mut acts = acts(steps).into_iter().peekable();
    let times = times(steps);
    let mut progress = Progress::new(rows.rows.len() as u64);
    let mut take = |out: &mut Vec<Transition>| {
        made.extend(out.drain(..).map(|step| (step.alert, step.to.name().to_owned(), step.at_us)));
    };
    for chunk in rows.rows.chunks(8_192) {
        for kept in chunk {
            while let Some(act) = acts.next_if(|act| act.at_us < kept.received_us) {
                // What is not there any more, by the rules of today, needs no act.
                let _not_there = watch.act(&act.action, act.at_us, &mut out);
            }
            let row = rows.reading(kept);
            if let Some(heard_us) = times.get(&row.id) {
                watch.tick(row.id.source_id, *heard_us, &mut out);
            }
            watch.reading(&row, &mut out);
        }
        take(&mut out);
        progress.add(chunk.len() as u64, "played");
    }
    let mut heard: BTreeMap<&str, i64> = BTreeMap::new();
    for step in steps {
        let at = heard.entry(&step.heard_through).or_insert(step.heard_us);
        *at = step.heard_us.max(*at);
    }
    for (source, heard_us) in heard {
        watch.tick(source, heard_us, &mut out);
    }
    for act in acts {
        let _not_there = watch.act(&act.action, act.at_us, &mut out);
    }
    take(&mut out);
    (watch, made)
}

#[cfg(test)]
mod tests {
    use watch::{Quality, Reading};

    use super::*;

    const RULE: &str = "[[rule]]\nname = \"warm\"\nmetric = \"fridge_temp\"\nabove = 8\n";

    fn reading(offset: i64, value: f64, received_us: i64) -> Reading<'static> {
        Reading {
            id: RowId { source_id: "gateway", epoch: 7, source_offset: offset, row_no: 0 },
            site: "s",
            device: "d",
            metric: "fridge_temp",
            unit: "Cel",
            value: Some(value),
            text: None,
            quality: Quality::Good,
            event_us: received_us - 10,
            received_us,
        }
    }

    /// As the lake has it.
    fn step(step: &Transition) -> Step {
        Step {
            alert_id: step.alert.to_string(),
            rule: step.rule.to_string(),
            severity: step.severity.name().to_owned(),
            site: step.site.to_string(),
            device_id: Some(step.device.to_string()),
            metric: Some(step.metric.to_string()),
            heard_through: step.group.to_string(),
            state_before: step.from.name().to_owned(),
            state: step.to.name().to_owned(),
            at_us: step.at_us,
            measured: None,
            acted_by: step.by.as_deref().map(str::to_owned),
            reason: step.reason.name().to_owned(),
            until_us: step.until_us,
            heard_us: step.heard_us,
            cause: step.cause.clone(),
            steps: 1,
            order: (String::new(), 0),
        }
    }

    /// A source said that it has nothing more, and a row came that it had received a moment before.
    #[test]
    fn inv14_an_alert_is_since_when_it_was_found_also_if_a_source_was_ahead_of_its_rows() {
        let rules = || Rules::parse(RULE).unwrap();
        let all = [reading(0, 5.0, 1_000_000), reading(1, 9.0, 1_040_000)];
        let (mut live, mut out) = (Watch::new(rules(), Limits::default()), Vec::new());
        live.reading(&all[0], &mut out);
        live.tick("gateway", 1_059_000, &mut out);
        live.reading(&all[1], &mut out);
        let steps: Vec<Step> = out.iter().map(step).collect();
        let since: Vec<i64> = live.alerts().map(|alert| alert.since_us).collect();
        assert_eq!(since, [1_059_000]);

        let mut rows = Rows::new(10);
        all.iter().for_each(|row| rows.push(row).unwrap());
        let (made, steps_made) = play(Watch::new(rules(), Limits::default()), &rows, &steps);
        assert_eq!(made.alerts().collect::<Vec<_>>(), live.alerts().collect::<Vec<_>>());
        assert_eq!(steps_made.len(), steps.len());
    }
}
