//! What alerts went through: the steps of their lives, from the lake's table `alerts`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use axum::Json;
use axum::extract::State;
use futures::TryStreamExt;
use lake::tables::alerts;
use lake::{Lake, LakeError};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Who;
use crate::error::{Error, Refused};
use crate::extract::Asked;
use crate::role::Right;
use crate::state::Api;
use crate::times::{Time, cursor, from_cursor, page, read};

/// Time, unless the query says otherwise.
const USUAL_US: i64 = 24 * 3_600_000_000;
const TIMES: [&str; 2] = ["at_ts", "until_ts"];
const TEXTS: [&str; 13] = [
    "alert_id",
    "rule",
    "severity",
    "site",
    "device_id",
    "metric",
    "heard_through",
    "state_before",
    "state",
    "reason",
    "measured",
    "threshold",
    "acted_by",
];
const IDENTITY: [&str; 2] = ["source_id", "source_offset"];

/// Which steps.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryQuery {
    /// From when; a day before `to`, unless it is here.
    #[param(format = DateTime)]
    from: Option<String>,
    /// Until when; now, unless it is here.
    #[param(format = DateTime)]
    to: Option<String>,
    /// Most of one page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A page of steps, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryPage {
    transitions: Vec<Step>,
    next: Option<String>,
}

/// One step of an alert's life.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
pub(crate) struct Step {
    alert: String,
    rule: String,
    severity: String,
    site: String,
    /// Empty: the source as a whole.
    device: String,
    /// Empty: the whole device.
    metric: String,
    source: String,
    /// The state before.
    before: String,
    /// The state from here on.
    state: String,
    /// `condition`, `person`, `maintenance`, `time` or `rule_changed`.
    reason: String,
    value: String,
    threshold: String,
    by: Option<String>,
    at: Time,
    until: Option<Time>,
}

/// Where a step is among the others: when, and its identity.
type Key = (i64, String, i64);

/// Lists what alerts went through, the newest first.
#[utoipa::path(get, path = "/api/v1/alerts/history", tag = "alerts", params(HistoryQuery), responses((status = 200, body = HistoryPage, description = "A page of steps."), Refused))]
pub(crate) async fn history(
    State(api): State<Api>,
    who: Who,
    Asked(query): Asked<HistoryQuery>,
) -> Result<Json<HistoryPage>, Error> {
    who.must(Right::Alerts)?;
    let limit = page(query.limit, 100, 1000)?;
    let to_us = query.to.as_deref().map_or(Ok(api.now_us()), |text| read("to", text))?;
    let from_us = query.from.as_deref();
    let from_us = from_us.map_or(Ok(to_us.saturating_sub(USUAL_US)), |text| read("from", text))?;
    let after: Option<Key> = from_cursor(query.after.as_deref())?;
    let lake = api.ingest()?.lake.clone();
    let found = api.ask_lake(newest(&lake, (from_us, to_us), after.as_ref(), limit + 1)).await?;
    let mut steps: Vec<(Key, Step)> = found;
    let more = steps.len() > limit;
    steps.truncate(limit);
    let next = steps.last().filter(|_| more).map(|(key, _)| cursor(key));
    Ok(Json(HistoryPage { transitions: steps.into_iter().map(|(_, step)| step).collect(), next }))
}

/// The newest steps before `after`, at most `most`; no more are kept at any time.
async fn newest(
    lake: &Lake,
    (from_us, to_us): (i64, i64),
    after: Option<&Key>,
    most: usize,
) -> Result<Vec<(Key, Step)>, LakeError> {
    let mut files = lake.files(alerts::NAME).await?;
    files.retain(|file| {
        file.oldest_us.is_none_or(|oldest| oldest <= to_us)
            && file.newest_us.is_none_or(|newest| newest >= from_us)
    });
    let columns: Vec<&str> = TIMES.into_iter().chain(TEXTS).chain(IDENTITY).collect();
    let mut rows = lake.scan_files(alerts::NAME, files, &columns)?;
    let mut kept: BinaryHeap<Reverse<(Key, Step)>> = BinaryHeap::new();
    while let Some(batch) = rows.try_next().await? {
        for row in 0..batch.num_rows() {
            let key = key(&batch, row);
            if !(from_us..=to_us).contains(&key.0) || after.is_some_and(|after| key >= *after) {
                continue;
            }
            if kept.len() >= most && kept.peek().is_some_and(|Reverse((least, _))| key < *least) {
                continue;
            }
            kept.push(Reverse((key, step(&batch, row))));
            if kept.len() > most {
                kept.pop();
            }
        }
    }
    // The greatest first: `Reverse` turns the order around.
    Ok(kept.into_sorted_vec().into_iter().map(|Reverse(step)| step).collect())
}

fn key(batch: &RecordBatch, row: usize) -> Key {
    let at = batch.column(0).as_primitive::<TimestampMicrosecondType>().value(row);
    let identity = TIMES.len() + TEXTS.len();
    let source = batch.column(identity).as_string::<i32>().value(row).to_owned();
    (at, source, batch.column(identity + 1).as_primitive::<Int64Type>().value(row))
}

fn step(batch: &RecordBatch, row: usize) -> Step {
    let text = |n: usize| {
        let column = batch.column(TIMES.len() + n).as_string::<i32>();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let or_empty = |n: usize| text(n).unwrap_or_default();
    let time = |n: usize| {
        let column = batch.column(n).as_primitive::<TimestampMicrosecondType>();
        column.is_valid(row).then(|| Time::of(column.value(row)))
    };
    Step {
        alert: or_empty(0),
        rule: or_empty(1),
        severity: or_empty(2),
        site: or_empty(3),
        device: or_empty(4),
        metric: or_empty(5),
        source: or_empty(6),
        before: or_empty(7),
        state: or_empty(8),
        reason: or_empty(9),
        value: or_empty(10),
        threshold: or_empty(11),
        by: text(12),
        at: time(0).unwrap_or_else(|| Time::of(0)),
        until: time(1),
    }
}
