//! Answers to what is asked of devices and alerts.

use std::cmp::Reverse;

use watch::{AlertView, DeviceView, LastValue, Status, Watch};

use super::now::{
    ALERTS_MAX, AlertNow, DEVICES_MAX, DeviceNow, Devices, DevicesWanted, RuleNow, ValueNow,
};

/// A page of devices.
pub(super) fn devices(watch: &Watch, wanted: &DevicesWanted) -> Devices {
    let text = wanted.text.as_ref().map(|text| text.to_lowercase());
    let mut totals = [0; 3];
    let mut fit: Vec<DeviceView<'_>> = Vec::new();
    for device in watch.devices() {
        totals[device.status as usize] += 1;
        let of_site = wanted.site.as_ref().is_none_or(|site| site == device.site);
        let of_status = wanted.status.is_none_or(|status| status == device.status);
        let after = wanted.after.as_ref().is_none_or(|(site, name)| {
            (device.site, device.device) > (site.as_str(), name.as_str())
        });
        if of_site && of_status && after && named(&device, text.as_deref()) {
            fit.push(device);
        }
    }
    fit.sort_unstable_by_key(|device| (device.site, device.device));
    let limit = wanted.limit.min(DEVICES_MAX);
    let more = fit.len() > limit;
    fit.truncate(limit);
    let devices = fit.iter().map(|device| shown(device, wanted.metrics)).collect();
    Devices { devices, totals, more }
}

fn named(device: &DeviceView<'_>, text: Option<&str>) -> bool {
    let has = |name: &str, text: &str| name.to_lowercase().contains(text);
    text.is_none_or(|text| has(device.device, text) || has(device.site, text))
}

/// One device, with all that is known of it.
pub(super) fn device(watch: &Watch, site: &str, name: &str) -> Option<DeviceNow> {
    watch.device(site, name).map(|device| {
        let rules = device.rules();
        let rules = rules.map(|(name, condition)| RuleNow { name: name.to_owned(), condition });
        DeviceNow { rules: rules.collect(), ..shown(&device, true) }
    })
}

fn shown(device: &DeviceView<'_>, metrics: bool) -> DeviceNow {
    let metrics = metrics.then(|| device.metrics().map(|value| last(&value)).collect());
    DeviceNow {
        site: device.site.to_owned(),
        device: device.device.to_owned(),
        source: device.source.to_owned(),
        status: device.status,
        heard_us: device.heard_us,
        rows_per_minute: device.rows_per_minute,
        metrics: metrics.unwrap_or_default(),
        alerts: device.alerts().map(|view| alert(&view)).collect(),
        rules: Vec::new(),
    }
}

fn last(value: &LastValue<'_>) -> ValueNow {
    ValueNow {
        metric: value.metric.to_owned(),
        value: value.value,
        text: value.text.map(str::to_owned),
        unit: value.unit.to_owned(),
        quality: value.quality,
        event_us: value.event_us,
        counts: value.counts,
        late: value.late,
    }
}

/// The alerts that are there, the worst and newest first.
pub(super) fn alerts(watch: &Watch) -> Vec<AlertNow> {
    let mut all: Vec<AlertView<'_>> = watch.alerts().collect();
    all.sort_unstable_by_key(|alert| {
        (Reverse(alert.severity), Reverse(alert.since_us), alert.alert)
    });
    all.truncate(ALERTS_MAX);
    all.iter().map(alert).collect()
}

fn alert(view: &AlertView<'_>) -> AlertNow {
    AlertNow {
        alert: view.alert,
        rule: view.rule.to_owned(),
        severity: view.severity.name(),
        state: view.state,
        site: view.site.to_owned(),
        device: view.device.to_owned(),
        source: view.source.to_owned(),
        metric: view.metric.to_owned(),
        value: view.value.to_owned(),
        threshold: view.threshold.to_owned(),
        since_us: view.since_us,
        by: view.by.map(str::to_owned),
        until_us: view.until_us,
    }
}

const _: () = assert!(
    Status::Online as usize == 0 && Status::Silent as usize == 1 && Status::Unknown as usize == 2
);
