//! Devices: who is there, what they measured last, and what came last from one.

use axum::Json;
use axum::extract::State;
use ingest::watching::{DeviceNow, DevicesWanted, RuleNow, ValueNow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use watch::Status;

use crate::alerts::Alert;
use crate::caller::Who;
use crate::error::{Error, Refused};
use crate::extract::{Asked, Named};
use crate::mask::{masked, shown_text};
use crate::overview::DeviceTotals;
use crate::role::Right;
use crate::state::Api;
use crate::times::{Time, cursor, from_cursor, page};

/// Whether a device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StatusName {
    /// It is heard.
    Online,
    /// It is not, and its source is.
    Silent,
    /// Its source is away or behind.
    Unknown,
}

impl From<Status> for StatusName {
    fn from(status: Status) -> Self {
        match status {
            Status::Online => Self::Online,
            Status::Silent => Self::Silent,
            Status::Unknown => Self::Unknown,
        }
    }
}

impl From<StatusName> for Status {
    fn from(status: StatusName) -> Self {
        match status {
            StatusName::Online => Self::Online,
            StatusName::Silent => Self::Silent,
            StatusName::Unknown => Self::Unknown,
        }
    }
}

/// Which devices.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct DevicesQuery {
    /// Of this site only.
    site: Option<String>,
    /// With this text in site or name.
    q: Option<String>,
    /// In this state only.
    status: Option<StatusName>,
    /// With their metrics.
    metrics: Option<bool>,
    /// Most of one page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A page of devices, in order of site and name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DevicesPage {
    devices: Vec<Device>,
    /// All that are known.
    totals: DeviceTotals,
    next: Option<String>,
}

/// A device.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Device {
    site: String,
    device: String,
    /// Through which source it was heard last.
    source: String,
    status: StatusName,
    /// When it was heard last, by its source.
    heard: Option<Time>,
    /// Rows in the last full minute.
    rows_per_minute: u32,
    /// Empty in a list without `metrics=true`.
    metrics: Vec<Metric>,
    /// Those that are there; empty for a role that may not see alerts.
    alerts: Vec<Alert>,
}

/// The last value of a metric, by the time of the event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Metric {
    metric: String,
    value: Option<f64>,
    text: Option<String>,
    unit: String,
    /// `good`, `unchecked`, `suspect` or `bad`.
    quality: &'static str,
    /// When it happened.
    event: Time,
    counts: QualityCounts,
    /// Rows that came after newer ones.
    late: u32,
}

/// Rows by quality.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct QualityCounts {
    good: u32,
    unchecked: u32,
    suspect: u32,
    bad: u32,
}

/// A device with all that is known of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceWhole {
    #[serde(flatten)]
    device: Device,
    /// Rules of alerts in force that are for it.
    rules: Vec<RuleShown>,
    /// The topic that it was last heard on, as far as this process knows.
    topic: Option<String>,
    /// The rule that makes rows of what comes there.
    topic_rule: Option<String>,
    raw: Option<Raw>,
}

/// A rule of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleShown {
    name: String,
    condition: String,
}

/// The last message that came, values masked for a role that may not see patients.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Raw {
    topic: String,
    /// Null if it is no text.
    payload: Option<String>,
    received: Time,
    /// Whether values are masked, or its end is cut off.
    masked: bool,
    cut: bool,
}

/// Lists devices.
#[utoipa::path(get, path = "/api/v1/devices", tag = "devices", params(DevicesQuery), responses((status = 200, body = DevicesPage, description = "A page of devices."), Refused))]
pub(crate) async fn list(
    State(api): State<Api>,
    who: Who,
    Asked(query): Asked<DevicesQuery>,
) -> Result<Json<DevicesPage>, Error> {
    who.must(Right::Devices)?;
    let limit = page(query.limit, 100, 1000)?;
    let wanted = DevicesWanted {
        site: query.site,
        text: query.q,
        status: query.status.map(Status::from),
        after: from_cursor(query.after.as_deref())?,
        limit,
        metrics: query.metrics.unwrap_or(false),
    };
    let found = api.ingest()?.watcher.devices(wanted).await?;
    let last = found.devices.last().filter(|_| found.more);
    let next = last.map(|last| cursor(&(&last.site, &last.device)));
    let devices = found.devices.into_iter().map(|device| Device::of(device, &who)).collect();
    Ok(Json(DevicesPage { devices, totals: found.totals.into(), next }))
}

/// Says all that is known of a device.
#[utoipa::path(get, path = "/api/v1/devices/{site}/{device}", tag = "devices",
    params(("site" = String, Path, description = "Its site."), ("device" = String, Path, description = "Its name.")),
    responses((status = 200, body = DeviceWhole, description = "The device."), Refused))]
pub(crate) async fn one(
    State(api): State<Api>,
    who: Who,
    Named((site, name)): Named<(String, String)>,
) -> Result<Json<DeviceWhole>, Error> {
    who.must(Right::Devices)?;
    let watcher = &api.ingest()?.watcher;
    let found = watcher.device(&site, &name).await?;
    let mut device = found.ok_or_else(|| {
        Error::NotFound("such device; /api/v1/devices lists those that are known".into())
    })?;
    let last = watcher.topics().last_of(&site, &name);
    let hides = !who.may(Right::Patients);
    let raw = last.as_ref().map(|last| Raw {
        topic: last.topic.clone(),
        payload: match (hides, last.whole) {
            (false, _) => shown_text(&last.payload),
            // What is cut off is no JSON any more.
            (true, true) => masked(&last.payload).map(|shape| shape.to_string()),
            (true, false) => None,
        },
        received: Time::of(last.at_us),
        masked: hides,
        cut: !last.whole,
    });
    let rules = std::mem::take(&mut device.rules);
    let rules = rules.into_iter().map(|RuleNow { name, condition }| RuleShown { name, condition });
    let rules = rules.collect();
    let (topic, topic_rule) = last.map(|last| (last.topic, last.rule)).unzip();
    let topic_rule = topic_rule.flatten();
    Ok(Json(DeviceWhole { device: Device::of(device, &who), rules, topic, topic_rule, raw }))
}

impl Device {
    fn of(device: DeviceNow, who: &Who) -> Self {
        let alerts = device.alerts.into_iter().filter(|_| who.may(Right::Alerts));
        Self {
            site: device.site,
            device: device.device,
            source: device.source,
            status: device.status.into(),
            heard: Time::known(device.heard_us),
            rows_per_minute: device.rows_per_minute,
            metrics: device.metrics.into_iter().map(Metric::of).collect(),
            alerts: alerts.map(Alert::of).collect(),
        }
    }
}

impl Metric {
    fn of(value: ValueNow) -> Self {
        let [good, unchecked, suspect, bad] = value.counts;
        Self {
            metric: value.metric,
            // JSON has no other numbers.
            value: value.value.filter(|value| value.is_finite()),
            text: value.text,
            unit: value.unit,
            quality: value.quality.name(),
            event: Time::of(value.event_us),
            counts: QualityCounts { good, unchecked, suspect, bad },
            late: value.late,
        }
    }
}
