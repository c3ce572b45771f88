//! Alerts: those that are there, and what people do to them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use ingest::watching::AlertNow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use watch::{Action, AlertId, State as AlertState, Transition};

use crate::caller::Who;
use crate::error::{Error, Refused};
use crate::extract::{Asked, Named, Sent};
use crate::role::Right;
use crate::state::Api;
use crate::times::{Time, cursor, from_cursor, page, read, read_span};

/// Where an alert is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StateName {
    Pending,
    Firing,
    Acknowledged,
    Silenced,
    Resolved,
}

impl From<AlertState> for StateName {
    fn from(state: AlertState) -> Self {
        match state {
            AlertState::Pending => Self::Pending,
            AlertState::Firing => Self::Firing,
            AlertState::Acknowledged => Self::Acknowledged,
            AlertState::Silenced => Self::Silenced,
            AlertState::Resolved => Self::Resolved,
        }
    }
}

/// An alert.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Alert {
    /// Its id: 32 hexadecimal digits.
    pub(crate) alert: String,
    pub(crate) rule: String,
    /// `info`, `warning` or `critical`.
    pub(crate) severity: String,
    pub(crate) state: StateName,
    pub(crate) site: String,
    /// Empty: the source as a whole.
    pub(crate) device: String,
    pub(crate) source: String,
    /// Empty: the whole device.
    pub(crate) metric: String,
    /// What was measured when it moved last, for people.
    pub(crate) value: String,
    /// What its rule asks, for people.
    pub(crate) threshold: String,
    /// Since when it is in this state.
    pub(crate) since: Time,
    /// Who acknowledged or silenced it.
    pub(crate) by: Option<String>,
    /// Until when it is silenced.
    pub(crate) until: Option<Time>,
}

impl Alert {
    pub(crate) fn of(alert: AlertNow) -> Self {
        Self {
            alert: alert.alert.to_string(),
            rule: alert.rule,
            severity: alert.severity.to_owned(),
            state: alert.state.into(),
            site: alert.site,
            device: alert.device,
            source: alert.source,
            metric: alert.metric,
            value: alert.value,
            threshold: alert.threshold,
            since: Time::of(alert.since_us),
            by: alert.by,
            until: alert.until_us.map(Time::of),
        }
    }

    /// As it is after a step.
    pub(crate) fn after(step: &Transition) -> Self {
        let text = |text: &Arc<str>| text.to_string();
        Self {
            alert: step.alert.to_string(),
            rule: text(&step.rule),
            severity: step.severity.name().to_owned(),
            state: step.to.into(),
            site: text(&step.site),
            device: text(&step.device),
            source: text(&step.group),
            metric: text(&step.metric),
            value: text(&step.value),
            threshold: text(&step.threshold),
            since: Time::of(step.heard_us),
            by: step.by.as_ref().map(text),
            until: step.until_us.map(Time::of),
        }
    }
}

/// Which alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AlertsQuery {
    /// In this state only.
    state: Option<StateName>,
    /// Most of one page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A page of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertsPage {
    alerts: Vec<Alert>,
    next: Option<String>,
}

/// Lists the alerts that are there, the worst and newest first.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "alerts", params(AlertsQuery), responses((status = 200, body = AlertsPage, description = "A page of alerts."), Refused))]
pub(crate) async fn list(
    State(api): State<Api>,
    who: Who,
    Asked(query): Asked<AlertsQuery>,
) -> Result<Json<AlertsPage>, Error> {
    who.must(Right::Alerts)?;
    let limit = page(query.limit, 100, 1000)?;
    // Which was last, and how many were before it: it may be resolved by now.
    let after: Option<(String, usize)> = from_cursor(query.after.as_deref())?;
    let all = api.ingest()?.watcher.alerts().await?;
    let fit = |alert: &AlertNow| query.state.is_none_or(|state| state == alert.state.into());
    let mut fit: Vec<Alert> = all.into_iter().filter(fit).map(Alert::of).collect();
    let skipped = after.map_or(0, |(id, before)| {
        fit.iter().position(|alert| alert.alert == id).map_or(before, |at| at + 1)
    });
    fit.drain(..skipped.min(fit.len()));
    let more = fit.len() > limit;
    fit.truncate(limit);
    let last = fit.last().filter(|_| more);
    let next = last.map(|last| cursor(&(&last.alert, skipped + fit.len())));
    Ok(Json(AlertsPage { alerts: fit, next }))
}

/// It is done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Done {}

/// Nothing more is said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acknowledge {}

/// How long nobody wants to hear of it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Silence {
    /// For example `30m` or `2h`; a year at most.
    #[schema(examples("2h"))]
    r#for: String,
}

/// Devices whose alerts are silenced for a while.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Maintenance {
    /// The site, or a pattern with `*`.
    site: String,
    /// The device, or a pattern with `*`.
    device: String,
    /// From when.
    #[schema(format = DateTime)]
    from: String,
    /// Until when.
    #[schema(format = DateTime)]
    until: String,
}

fn id(text: &str) -> Result<AlertId, Error> {
    text.parse().map_err(|error| Error::Bad(format!("`alert` {error}")))
}

async fn act(api: &Api, who: &Who, action: Action) -> Result<Json<Done>, Error> {
    who.must(Right::Act)?;
    api.ingest()?.watcher.act(action).await?;
    Ok(Json(Done {}))
}

/// Says that somebody looks after an alert; answered once that is in the lake.
#[utoipa::path(post, path = "/api/v1/alerts/{alert}/acknowledge", tag = "alerts", request_body = Acknowledge,
    params(("alert" = String, Path, description = "Its id.")),
    responses((status = 200, body = Done, description = "It is acknowledged."), Refused))]
pub(crate) async fn acknowledge(
    State(api): State<Api>,
    who: Who,
    Named(alert): Named<String>,
    Sent(Acknowledge {}): Sent<Acknowledge>,
) -> Result<Json<Done>, Error> {
    let action = Action::Acknowledge { alert: id(&alert)?, by: who.name.clone() };
    act(&api, &who, action).await
}

/// Silences an alert for a while; answered once that is in the lake.
#[utoipa::path(post, path = "/api/v1/alerts/{alert}/silence", tag = "alerts", request_body = Silence,
    params(("alert" = String, Path, description = "Its id.")),
    responses((status = 200, body = Done, description = "It is silenced."), Refused))]
pub(crate) async fn silence(
    State(api): State<Api>,
    who: Who,
    Named(alert): Named<String>,
    Sent(silence): Sent<Silence>,
) -> Result<Json<Done>, Error> {
    let until_us = api.now_us().saturating_add(read_span("for", &silence.r#for)?);
    let action = Action::Silence { alert: id(&alert)?, until_us, by: who.name.clone() };
    act(&api, &who, action).await
}

/// Silences all alerts of some devices for a while; answered once that is in the lake.
#[utoipa::path(post, path = "/api/v1/maintenance", tag = "alerts", request_body = Maintenance,
    responses((status = 200, body = Done, description = "They are silenced then."), Refused))]
pub(crate) async fn maintain(
    State(api): State<Api>,
    who: Who,
    Sent(window): Sent<Maintenance>,
) -> Result<Json<Done>, Error> {
    let (from_us, until_us) = (read("from", &window.from)?, read("until", &window.until)?);
    let Maintenance { site, device, .. } = window;
    let by = who.name.clone();
    act(&api, &who, Action::Maintain { site, device, from_us, until_us, by }).await
}
