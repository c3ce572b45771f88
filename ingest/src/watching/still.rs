//! Answers without a pipeline: a state that stands still, for whoever shows it to somebody, such as tests of what asks.

use watch::{ActError, Action, Status};

use super::now::{AlertNow, Ask, DeviceNow, Devices, DevicesWanted, Watched};

/// A state that stands still.
#[derive(Debug, Clone, Default)]
pub struct Still {
    /// Its devices, in order of site and name.
    pub devices: Vec<DeviceNow>,
    /// Its alerts.
    pub alerts: Vec<AlertNow>,
}

impl Watched {
    /// Answers by a state that stands still until nobody can ask any more.
    pub async fn answer(mut self, still: Still) {
        while let Some(ask) = self.asks.recv().await {
            // Whoever asked may be gone.
            match ask {
                Ask::Devices(wanted, answer) => drop(answer.send(still.page(&wanted))),
                Ask::Device((site, name), answer) => drop(answer.send(still.device(&site, &name))),
                Ask::Alerts(answer) => drop(answer.send(still.alerts.clone())),
                Ask::Act(action, answer) => drop(answer.send(still.act(&action))),
            }
        }
    }
}

impl Still {
    fn page(&self, wanted: &DevicesWanted) -> Devices {
        let mut totals = [0; 3];
        let mut fit = Vec::new();
        for device in &self.devices {
            let number = match device.status {
                Status::Online => 0,
                Status::Silent => 1,
                Status::Unknown => 2,
            };
            totals[number] += 1;
            let at = (device.site.clone(), device.device.clone());
            let of_site = wanted.site.as_ref().is_none_or(|site| *site == device.site);
            let of_status = wanted.status.is_none_or(|status| status == device.status);
            let named = wanted.text.as_ref().is_none_or(|text| device.device.contains(text));
            if of_site && of_status && named && wanted.after.as_ref().is_none_or(|it| at > *it) {
                let metrics = if wanted.metrics { device.metrics.clone() } else { Vec::new() };
                fit.push(DeviceNow { metrics, ..device.clone() });
            }
        }
        let more = fit.len() > wanted.limit;
        fit.truncate(wanted.limit);
        Devices { devices: fit, totals, more }
    }

    fn device(&self, site: &str, name: &str) -> Option<DeviceNow> {
        self.devices.iter().find(|it| it.site == site && it.device == name).cloned()
    }

    fn act(&self, action: &Action) -> Result<(), ActError> {
        let (Action::Acknowledge { alert, .. } | Action::Silence { alert, .. }) = action else {
            return Ok(());
        };
        let known = self.alerts.iter().find(|own| own.alert == *alert);
        let known = known.ok_or(ActError::NoSuchAlert)?;
        if known.state.is_raised() { Ok(()) } else { Err(ActError::NotNow) }
    }
}
