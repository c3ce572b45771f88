//! Alerts as the lake has them: the table `alerts`, the last step of each.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};
use clap::Args;
use futures::TryStreamExt;
use lake::Lake;
use serde::Serialize;
use watch::RowKey;

use crate::config::open_lake;
use crate::options::{Format, LakeOption};
use crate::print;
use crate::tables::instant;

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) lake: LakeOption,
    /// Those that are over, too.
    #[arg(long)]
    pub(crate) all: bool,
    /// Every step of them, in order, and not only the last.
    #[arg(long)]
    pub(crate) steps: bool,
    /// How they are printed; as JSON one a line.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// A step of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    pub(crate) alert_id: String,
    pub(crate) rule: String,
    pub(crate) severity: String,
    pub(crate) site: String,
    pub(crate) device_id: Option<String>,
    pub(crate) metric: Option<String>,
    pub(crate) heard_through: String,
    pub(crate) state_before: String,
    pub(crate) state: String,
    pub(crate) at_us: i64,
    pub(crate) measured: Option<String>,
    pub(crate) acted_by: Option<String>,
    pub(crate) reason: String,
    /// Until when it is silenced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until_us: Option<i64>,
    /// How far its source's time had come.
    #[serde(skip)]
    pub(crate) heard_us: i64,
    /// The row that caused it.
    #[serde(skip)]
    pub(crate) cause: RowKey,
    /// Steps that it had.
    pub(crate) steps: u64,
    #[serde(skip)]
    pub(super) order: (String, i64),
}

const COLUMNS: [&str; 21] = [
    "alert_id",
    "rule",
    "severity",
    "site",
    "device_id",
    "metric",
    "heard_through",
    "state",
    "state_before",
    "measured",
    "acted_by",
    "source_id",
    "reason",
    "cause_source_id",
    "at_ts",
    "until_ts",
    "heard_ts",
    "source_offset",
    "cause_epoch",
    "cause_offset",
    "cause_row_no",
];
/// So many of them are text.
const TEXTS: usize = 14;

pub(super) async fn list(options: &List) -> anyhow::Result<bool> {
    let lake = open_lake(&options.lake).await?;
    let mut alerts = last_steps(&lake).await?;
    alerts.retain(|alert| options.all || alert.state != "resolved");
    if options.steps {
        let ids: BTreeSet<&str> = alerts.iter().map(|alert| alert.alert_id.as_str()).collect();
        let mut steps = Vec::new();
        scan(&lake, |step| steps.extend(ids.contains(step.alert_id.as_str()).then_some(step)))
            .await?;
        steps.sort_by(|a, b| a.order.cmp(&b.order));
        show(&steps, options.format)?;
        return Ok(true);
    }
    show(&alerts, options.format)?;
    Ok(true)
}

/// Prints them.
pub(crate) fn show(alerts: &[Step], format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        for alert in alerts {
            print::line(&serde_json::to_string(alert)?)?;
        }
        return Ok(());
    }
    let rows: Vec<Vec<String>> = alerts.iter().map(row).collect();
    let head = ["state", "severity", "rule", "whom", "measured", "since", "by", "alert"];
    Ok(print::columns(&head, &rows)?)
}

fn row(alert: &Step) -> Vec<String> {
    let whom = match (&alert.device_id, &alert.metric) {
        (None, _) => format!("source {}", alert.heard_through),
        (Some(device), None) => format!("{}/{device}", alert.site),
        (Some(device), Some(metric)) => format!("{}/{device} {metric}", alert.site),
    };
    let given = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        alert.state.clone(),
        alert.severity.clone(),
        alert.rule.clone(),
        whom,
        given(&alert.measured),
        instant(alert.at_us),
        given(&alert.acted_by),
        alert.alert_id.clone(),
    ]
}

/// The last step of each alert, the newest first.
///
/// # Errors
/// As the lake can't be read.
pub(crate) async fn last_steps(lake: &Lake) -> anyhow::Result<Vec<Step>> {
    let mut alerts: BTreeMap<String, Step> = BTreeMap::new();
    scan(lake, |step| match alerts.get_mut(&step.alert_id) {
        Some(last) => {
            let steps = last.steps + 1;
            if last.order < step.order {
                *last = step;
            }
            last.steps = steps;
        }
        None => drop(alerts.insert(step.alert_id.clone(), step)),
    })
    .await?;
    let mut alerts: Vec<Step> = alerts.into_values().collect();
    alerts.sort_by_key(|alert| std::cmp::Reverse(alert.at_us));
    Ok(alerts)
}

/// Hands over every step, in no particular order.
///
/// # Errors
/// As the lake can't be read.
pub(super) async fn scan(lake: &Lake, mut take: impl FnMut(Step)) -> anyhow::Result<()> {
    let mut batches = lake.scan(lake::tables::alerts::NAME, &COLUMNS).await?;
    while let Some(batch) = batches.try_next().await? {
        each(&batch, &mut take)?;
    }
    Ok(())
}

fn each(batch: &RecordBatch, mut take: impl FnMut(Step)) -> anyhow::Result<()> {
    let column = |name: &str| {
        batch.column_by_name(name).with_context(|| format!("the table has no column {name}"))
    };
    let mut texts: Vec<&StringArray> = Vec::new();
    for name in COLUMNS.iter().take(TEXTS) {
        let text = column(name)?.as_string_opt();
        texts.push(text.with_context(|| format!("column {name} is not text"))?);
    }
    let time = |name: &str| {
        let times = column(name)?.as_primitive_opt::<TimestampMicrosecondType>();
        times.with_context(|| format!("column {name} is no time"))
    };
    let (at, until, heard) = (time("at_ts")?, time("until_ts")?, time("heard_ts")?);
    let long = |name: &str| {
        let numbers = column(name)?.as_primitive_opt::<Int64Type>();
        numbers.with_context(|| format!("column {name} is no number"))
    };
    let (offset, epoch) = (long("source_offset")?, long("cause_epoch")?);
    let cause_offset = long("cause_offset")?;
    let row_no = column("cause_row_no")?.as_primitive_opt::<Int32Type>();
    let row_no = row_no.context("column cause_row_no is no number")?;
    for row in 0..batch.num_rows() {
        let given = |at: usize| {
            let column: &StringArray = texts[at];
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let text = |at: usize| given(at).unwrap_or_default();
        take(Step {
            alert_id: text(0),
            rule: text(1),
            severity: text(2),
            site: text(3),
            device_id: given(4),
            metric: given(5),
            heard_through: text(6),
            state: text(7),
            at_us: at.value(row),
            state_before: text(8),
            measured: given(9),
            acted_by: given(10),
            reason: text(12),
            until_us: until.is_valid(row).then(|| until.value(row)),
            heard_us: heard.value(row),
            cause: RowKey {
                source_id: text(13).into(),
                epoch: epoch.value(row),
                source_offset: cause_offset.value(row),
                row_no: row_no.value(row),
            },
            steps: 1,
            order: (text(11), offset.value(row)),
        });
    }
    Ok(())
}
