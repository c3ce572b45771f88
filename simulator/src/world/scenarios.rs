//! What the ward has played: the scenarios, with their times. Found by playing it once more.

use super::World;
use super::agenda::{Event, seconds};
use super::patient::{Patient, Times};
use crate::truth::Truth;

/// Who lies in a bed, as far as it matters here.
#[derive(Debug, Clone, Copy)]
struct Stay {
    since_us: i64,
    illness: Option<(&'static str, Times)>,
}

impl World {
    /// The scenarios of the first `played_us` of the ward. One that did not get half way while it could be seen is none: nobody
    /// could have told it.
    pub(crate) fn truths(mut self, played_us: i64) -> Vec<Truth> {
        let mut stays: Vec<Option<Stay>> = vec![None; self.beds.len()];
        let mut truths = Vec::new();
        while let Some((now_us, event)) = self.agenda.pop() {
            if now_us > played_us {
                break;
            }
            let leaves =
                matches!(event, Event::Discharge { bed, stay } if self.beds[bed].stay == stay);
            self.play(now_us, event);
            self.ready.clear();
            match event {
                Event::Admit { bed } => {
                    let illness = self.beds[bed].patient.as_ref().and_then(Patient::scenario);
                    stays[bed] = Some(Stay { since_us: now_us, illness });
                }
                Event::Discharge { bed, .. } if leaves => {
                    let stay = stays[bed].take();
                    truths.extend(stay.and_then(|stay| self.truth(bed, stay, now_us)));
                }
                _ => {}
            }
        }
        for (bed, stay) in stays.into_iter().enumerate() {
            truths.extend(stay.and_then(|stay| self.truth(bed, stay, played_us)));
        }
        truths.extend(self.fridges.iter().filter_map(|fridge| {
            let (from_us, until_us) = fridge.fails()?;
            let seen_until_us = (until_us + seconds(3_600.0)).min(played_us);
            let name = &fridge.device.name;
            // Half way: the probe takes about an hour to pass 8 °C.
            (seen_until_us > from_us + seconds(3_600.0)).then(|| Truth {
                site: name.site.to_string(),
                device_id: name.device_id.to_string(),
                scenario: "fridge_failure".to_owned(),
                onset_us: self.start_us + from_us,
                treated_us: Some(self.start_us + until_us),
                until_us: self.start_us + seen_until_us,
            })
        }));
        truths.sort_by(|a, b| (a.onset_us, &a.device_id).cmp(&(b.onset_us, &b.device_id)));
        truths
    }

    fn truth(&self, bed: usize, stay: Stay, end_us: i64) -> Option<Truth> {
        let (scenario, times) = stay.illness?;
        let until_us = times.faded_us.min(end_us);
        if times.half_us >= until_us {
            return None;
        }
        let name = &self.monitors[bed].device.name;
        Some(Truth {
            site: name.site.to_string(),
            device_id: name.device_id.to_string(),
            scenario: scenario.to_owned(),
            onset_us: self.start_us + times.onset_us.max(stay.since_us),
            treated_us: Some(self.start_us + times.treated_us),
            until_us: self.start_us + until_us,
        })
    }
}
