//! What the API counts of devices and alerts, as metrics: numbers only, of no device and no patient.

use service_runtime::Metrics;

use crate::pulse::{ALERT_STATES, DEVICE_STATES, SEVERITIES};
use crate::state::Api;

impl Api {
    /// Adds the metrics. Before the first count, and where nothing is watched, they are not there.
    pub fn register(&self, metrics: &Metrics) {
        let api = self.clone();
        metrics.observe("tidemark", move |facts| {
            let (listeners, questions) = api.used();
            let used = [("event_listeners", listeners), ("lake_questions", questions)];
            let used = used.map(|(limit, used)| ([("limit", limit)], used as u64));
            let help =
                "What is used of a limit of the API: listeners to events, questions to the lake";
            facts.gauges("api_limit_used", help, used)?;
            let help = "Requests to the API that were refused because their caller asks too often";
            facts.counter("api_throttled", help, api.throttle().refused())?;
            let Some(counted) = api.pulse().counted() else { return Ok(()) };
            let devices = DEVICE_STATES.iter().zip(counted.devices);
            let devices = devices.map(|(state, count)| ([("state", *state)], count as u64));
            let help = "Devices by state; unknown: their source is away, so nobody can tell";
            facts.gauges("devices", help, devices)?;
            let alerts = ALERT_STATES.iter().zip(&counted.alerts).flat_map(|(state, of)| {
                SEVERITIES.iter().zip(of).map(move |(severity, count)| {
                    ([("state", *state), ("severity", *severity)], *count as u64)
                })
            });
            facts.gauges("alerts", "Alerts that are there, by state and severity", alerts)
        });
    }
}
