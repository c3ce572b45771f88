//! What people do: acknowledge, silence, announce maintenance.

use std::sync::Arc;

use crate::action::{ActError, Action};
use crate::device::Device;
use crate::life::Event;
use crate::pattern::Pattern;
use crate::rules::Window;
use crate::scene::{Scene, Step, Subject};
use crate::track::{NEVER, Track};
use crate::transition::{AlertId, Reason, Transition};
use crate::watch::{Watch, nobody};

/// Who says so, and what.
struct Said {
    event: Event,
    reason: Reason,
    by: Arc<str>,
    now_us: i64,
    until_us: i64,
}

impl Watch {
    /// Does what a person says.
    ///
    /// # Errors
    /// If it can't be done; then nothing is changed.
    pub fn act(
        &mut self,
        action: &Action,
        now_us: i64,
        out: &mut Vec<Transition>,
    ) -> Result<(), ActError> {
        let said = |event, by: &Arc<str>, until_us| Said {
            event,
            reason: Reason::Person,
            by: by.clone(),
            now_us,
            until_us,
        };
        match action {
            Action::Acknowledge { alert, by } => {
                self.on_alert(*alert, &said(Event::Acknowledge, by, NEVER), out)
            }
            Action::Silence { until_us, .. } if *until_us <= now_us => Err(ActError::Over),
            Action::Silence { alert, until_us, by } => {
                self.on_alert(*alert, &said(Event::Silence, by, *until_us), out)
            }
            Action::Maintain { site, device, from_us, until_us, by } => {
                if *until_us <= now_us || until_us <= from_us {
                    return Err(ActError::Over);
                }
                if site.is_empty() || device.is_empty() {
                    return Err(ActError::Empty);
                }
                let window = Window {
                    site: Pattern::new(site),
                    device: Pattern::new(device),
                    from_us: *from_us,
                    until_us: *until_us,
                };
                self.maintain(window, &said(Event::Silence, by, *until_us), out)
            }
        }
    }

    fn on_alert(
        &mut self,
        alert: AlertId,
        said: &Said,
        out: &mut Vec<Transition>,
    ) -> Result<(), ActError> {
        let mut found = None;
        self.on_alerts(
            |track, _, _| track.open.as_ref().is_some_and(|open| open.id == alert.0),
            said,
            out,
            &mut found,
        );
        match found {
            Some(true) => Ok(()),
            Some(false) => Err(ActError::NotNow),
            None => Err(ActError::NoSuchAlert),
        }
    }

    fn maintain(
        &mut self,
        window: Window,
        said: &Said,
        out: &mut Vec<Transition>,
    ) -> Result<(), ActError> {
        self.windows.retain(|window| window.until_us > said.now_us);
        if self.windows.len() >= self.limits.maintenance {
            return Err(ActError::TooMany(self.windows.len()));
        }
        self.windows.push(window.clone());
        let said = Said { reason: Reason::Maintenance, by: said.by.clone(), ..*said };
        let in_it = |track: &Track, site: &str, device: &str| {
            track.state.is_raised() && window.holds(site, device, said.now_us)
        };
        self.on_alerts(in_it, &said, out, &mut None);
        Ok(())
    }

    /// Makes a step with the alerts that are meant. `found`: whether there was one, and whether it moved.
    fn on_alerts(
        &mut self,
        meant: impl Fn(&Track, &str, &str) -> bool,
        said: &Said,
        out: &mut Vec<Transition>,
        found: &mut Option<bool>,
    ) {
        let Self { rules, names, source_names, windows, devices, sources, .. } = self;
        let windows = [rules.maintenance.as_slice(), windows.as_slice()];
        let scene = Scene { rules: &rules.rules, names, sources: source_names, windows };
        let mut moved = Vec::new();
        let mut step = |track: &mut Track, subject: Subject<'_>, out: &mut Vec<Transition>| {
            let Some(open) = &track.open else { return false };
            let step = Step {
                reason: said.reason,
                by: Some(said.by.clone()),
                until_us: said.until_us,
                ..Step::new(said.event, said.now_us, said.now_us, open.cause)
            };
            let done = scene.step(subject, track, step, out);
            *found = Some(found.unwrap_or(false) | done);
            done
        };
        for (number, device) in (0..).zip(devices.iter_mut()) {
            let Device { name, site, source, tracks, .. } = device;
            let at = scene.names.get(*site);
            for track in tracks.iter_mut().filter(|track| meant(track, at, name)) {
                let subject = Subject { site: *site, device: name, source: *source };
                if step(track, subject, out) {
                    moved.push(number);
                }
            }
        }
        let nobody = nobody();
        for (source, own) in (0..).zip(sources.iter_mut()) {
            let site = scene.names.get(own.site);
            for track in own.groups.iter_mut().filter(|track| meant(track, site, "")) {
                step(track, Subject { site: own.site, device: &nobody, source }, out);
            }
        }
        for number in moved {
            self.requeue(number);
        }
    }
}
