//! What happens to a patient in a bed, from admission to discharge, and what the EHR says about it.

use super::World;
use super::agenda::{Event, seconds};
use super::ehr::Ehr;
use super::patient::{Patient, Vitals};
use crate::message::{Message, Planned};
use crate::seeded::Stream;

impl World {
    pub(super) fn admit(&mut self, bed: usize, now_us: i64) {
        let (seed, year, chance) = (self.seed, self.year, self.ward.deteriorating);
        let state = &mut self.beds[bed];
        state.stay += 1;
        state.orders = 0;
        state.admitted_us = now_us;
        let name = format!("{:03}-{}", bed + 1, state.stay);
        let patient = Patient::new(seed, &name, now_us / 1_000_000, year, chance);
        let draw = &mut state.stream;
        // Length of stay: median 3.2 days; whoever is there at the start has been there for a while.
        let share = if state.stay == 1 { draw.unit() } else { 1.0 };
        let stay_s = (draw.log_normal(3.2 * 86_400.0, 0.85) * share).max(3_600.0);
        let waits =
            [stay_s, draw.range(5.0, 3_600.0), draw.range(5.0, 3_600.0), draw.range(5.0, 7_200.0)];
        let stay = state.stay;
        let [leave, labs, chart, tablet] = waits.map(|wait_s| now_us + seconds(wait_s));
        self.agenda.add(leave, Event::Discharge { bed, stay });
        self.agenda.add(labs, Event::Labs { bed, stay });
        self.agenda.add(chart, Event::Chart { bed, stay });
        self.agenda.add(tablet, Event::Tablet { bed, stay });
        for pump in 0..self.pumps.len() {
            if self.pumps[pump].bed == bed {
                self.infusions[pump] = 0;
                self.agenda.add(now_us + 1_000_000, Event::Rate { pump, stay });
            }
        }
        let place = format!("{} {}", state.ward, state.label);
        if let Some(ehr) = &mut self.ehr {
            for message in ehr.admission(&patient, &place, now_us) {
                self.ready.push_back(Planned { due_us: now_us, message });
            }
        }
        self.beds[bed].patient = Some(patient);
    }

    pub(super) fn discharge(&mut self, bed: usize, now_us: i64) {
        let Some(patient) = self.beds[bed].patient.take() else { return };
        for pump in 0..self.pumps.len() {
            if self.pumps[pump].bed == bed && self.infusions[pump] > 0 {
                self.pumps[pump].halt(now_us);
                self.infusion_message(pump, &patient, None, now_us);
            }
        }
        let state = &mut self.beds[bed];
        let place = format!("{} {}", state.ward, state.label);
        let wait_s = state.stream.exponential(7_200.0).max(900.0);
        let admitted_us = state.admitted_us;
        // Whatever is still on the agenda for this patient is stale from now on.
        state.stay += 1;
        self.agenda.add(now_us + seconds(wait_s), Event::Admit { bed });
        if let Some(ehr) = &mut self.ehr {
            let message = ehr.discharge(&patient, &place, admitted_us, now_us);
            self.emit(now_us, message);
        }
    }

    pub(super) fn rate(&mut self, pump: usize, now_us: i64) {
        let bed = self.pumps[pump].bed;
        let wait_s = self.pumps[pump].change_rate(now_us);
        self.agenda.add(now_us + seconds(wait_s), Event::Rate { pump, stay: self.beds[bed].stay });
        let Some(patient) = self.beds[bed].patient.take() else { return };
        let rate = self.pumps[pump].rate;
        self.infusion_message(pump, &patient, Some(rate), now_us);
        self.beds[bed].patient = Some(patient);
    }

    fn infusion_message(&mut self, pump: usize, patient: &Patient, rate: Option<f64>, now_us: i64) {
        self.infusions[pump] += 1;
        let (version, drug) = (self.infusions[pump], self.pumps[pump].drug);
        let name = self.pumps[pump].device.name.device_id.clone();
        if let Some(ehr) = &mut self.ehr {
            let message = ehr.infusion(patient, &name, version, drug, rate, now_us);
            self.emit(now_us, message);
        }
    }

    pub(super) fn labs(&mut self, bed: usize, now_us: i64) {
        let messages = self.with_ehr(bed, now_us, |ehr, patient, vitals, number, draw| {
            ehr.labs(patient, vitals, number, now_us, draw)
        });
        // Every four to twelve hours; the ill are the ones with a high lactate.
        let wait_s = self.beds[bed].stream.range(4.0, 12.0) * 3600.0;
        self.again(bed, now_us, wait_s, |bed, stay| Event::Labs { bed, stay }, messages);
    }

    pub(super) fn chart(&mut self, bed: usize, now_us: i64) {
        let messages = self.with_ehr(bed, now_us, |ehr, patient, vitals, number, _| {
            ehr.charting(patient, vitals, number, now_us).into()
        });
        self.again(bed, now_us, 4.0 * 3600.0, |bed, stay| Event::Chart { bed, stay }, messages);
    }

    pub(super) fn tablet(&mut self, bed: usize, now_us: i64) {
        let messages = self.with_ehr(bed, now_us, |ehr, patient, _, number, draw| {
            vec![ehr.tablet(patient, number, now_us, draw)]
        });
        let wait_s = self.beds[bed].stream.range(1.5, 3.5) * 3600.0;
        self.again(bed, now_us, wait_s, |bed, stay| Event::Tablet { bed, stay }, messages);
    }

    fn with_ehr(
        &mut self,
        bed: usize,
        now_us: i64,
        act: impl FnOnce(&mut Ehr, &Patient, &Vitals, u32, &mut Stream) -> Vec<Message>,
    ) -> Vec<Message> {
        let Some((_, vitals)) = self.vitals(bed, now_us) else { return Vec::new() };
        let state = &mut self.beds[bed];
        state.orders += 1;
        match (&mut self.ehr, &state.patient) {
            (Some(ehr), Some(patient)) => {
                act(ehr, patient, &vitals, state.orders, &mut state.stream)
            }
            _ => Vec::new(),
        }
    }

    fn again(
        &mut self,
        bed: usize,
        now_us: i64,
        wait_s: f64,
        event: impl FnOnce(usize, u32) -> Event,
        messages: Vec<Message>,
    ) {
        self.agenda.add(now_us + seconds(wait_s), event(bed, self.beds[bed].stay));
        for message in messages {
            self.emit(now_us, message);
        }
    }

    /// The patient in `bed` and its state now.
    fn vitals(&mut self, bed: usize, now_us: i64) -> Option<(&Patient, Vitals)> {
        let hour = self.hour(now_us);
        let patient = self.beds.get_mut(bed)?.patient.as_mut()?;
        let vitals = patient.at(now_us / 1_000_000, hour);
        Some((patient, vitals))
    }
}
