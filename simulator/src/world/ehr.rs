//! The EHR system: what it publishes at admission, during the stay and at discharge.
//!
//! It agrees with the devices: the lactate of a laboratory result follows the patient's sepsis, an infusion's rate is
//! the pump's.

use telemetry_core::catalog;

use crate::device::Device;
use crate::message::Message;
use crate::seeded::Stream;
use crate::world::fhir::{self, Identity, Resource, Subject};
use crate::world::noise::rounded;
use crate::world::patient::{Patient, Vitals};

/// Drugs by mouth: name and dose in mg.
const TABLETS: [(&str, f64); 5] = [
    ("paracetamol", 1000.0),
    ("metoprolol", 50.0),
    ("pantoprazole", 40.0),
    ("furosemide", 20.0),
    ("amlodipine", 5.0),
];

/// The EHR, as one sending system.
#[derive(Debug, Clone)]
pub(crate) struct Ehr {
    pub(crate) device: Device,
    start_us: i64,
}

impl Ehr {
    pub(crate) fn new(device: Device, start_us: i64) -> Self {
        Self { device, start_us }
    }

    fn identity(&self, id: String, version: u32) -> Identity {
        Identity { id, boot: self.device.boot(), version }
    }

    /// A patient comes: Patient and Encounter, two messages.
    pub(crate) fn admission(
        &mut self,
        patient: &Patient,
        place: &str,
        admitted_us: i64,
    ) -> [Message; 2] {
        let who = fhir::patient(
            &self.identity(patient.id.clone(), 1),
            patient.female,
            patient.birth_year,
        );
        let identity = self.identity(patient.encounter_id.clone(), 1);
        let stay =
            fhir::encounter(&identity, &subject(patient), place, self.start_us + admitted_us, None);
        [self.send(&[who]), self.send(&[stay])]
    }

    /// A patient leaves: the Encounter's second version.
    pub(crate) fn discharge(
        &mut self,
        patient: &Patient,
        place: &str,
        admitted_us: i64,
        now_us: i64,
    ) -> Message {
        let identity = self.identity(patient.encounter_id.clone(), 2);
        let (from, to) = (self.start_us + admitted_us, self.start_us + now_us);
        let stay = fhir::encounter(&identity, &subject(patient), place, from, Some(to));
        self.send(&[stay])
    }

    /// Laboratory results: a Bundle with the report and its Observations; in 4 of 100 a corrected value follows.
    pub(crate) fn labs(
        &mut self,
        patient: &Patient,
        vitals: &Vitals,
        number: u32,
        now_us: i64,
        draw: &mut Stream,
    ) -> Vec<Message> {
        let at_us = self.start_us + now_us;
        let values = [
            ("lactate", rounded(vitals.lactate + draw.normal(0.0, 0.05).max(-0.2), 10.0)),
            ("leukocytes", rounded(vitals.leukocytes, 10.0)),
            (
                "potassium",
                rounded((patient.potassium + draw.normal(0.0, 0.15)).clamp(2.0, 8.0), 10.0),
            ),
            ("sodium", rounded((patient.sodium + draw.normal(0.0, 1.0)).clamp(110.0, 170.0), 1.0)),
            (
                "creatinine",
                rounded((patient.creatinine * draw.log_normal(1.0, 0.08)).clamp(0.2, 20.0), 100.0),
            ),
            (
                "hemoglobin",
                rounded((patient.hemoglobin + draw.normal(0.0, 0.3)).clamp(4.0, 22.0), 10.0),
            ),
            (
                "platelets",
                rounded((patient.platelets + draw.normal(0.0, 12.0)).clamp(10.0, 900.0), 1.0),
            ),
            (
                "glucose_serum",
                rounded((patient.glucose + draw.normal(0.0, 12.0)).clamp(45.0, 500.0), 1.0),
            ),
        ];
        let about = subject(patient);
        let mut bundle: Vec<Resource> = values
            .iter()
            .map(|(name, value)| {
                let identity = self.identity(
                    format!("lab-{}-{number}-{name}", &patient.id[3..]).replace('_', "-"),
                    1,
                );
                let metric =
                    catalog::metric(name).expect("laboratory metrics are in the catalogue");
                fhir::observation(&identity, &about, "final", metric, *value, at_us)
            })
            .collect();
        let identity = self.identity(format!("report-{}-{number}", &patient.id[3..]), 1);
        bundle.push(fhir::report(&identity, &about, &bundle, at_us));
        let mut messages = vec![self.send(&bundle)];
        if draw.chance(0.04) {
            let (name, value) = draw.pick(&values);
            let identity = self.identity(
                bundle[values.iter().position(|v| v.0 == name).unwrap_or(0)].id.clone(),
                2,
            );
            let metric = catalog::metric(name).expect("as above");
            let value = rounded(value * 1.1, 10.0);
            messages.push(self.send(&[fhir::observation(
                &identity,
                &about,
                "corrected",
                metric,
                value,
                at_us,
            )]));
        }
        messages
    }

    /// What a nurse charts: blood pressure, temperature and consciousness.
    pub(crate) fn charting(
        &mut self,
        patient: &Patient,
        vitals: &Vitals,
        number: u32,
        now_us: i64,
    ) -> [Message; 3] {
        let (at_us, about, name) = (self.start_us + now_us, subject(patient), &patient.id[3..]);
        let id = |what: &str| Identity {
            id: format!("chart-{name}-{number}-{what}"),
            boot: self.device.boot(),
            version: 1,
        };
        let (systolic, diastolic) = (rounded(vitals.systolic, 1.0), rounded(vitals.diastolic, 1.0));
        let pressure = fhir::blood_pressure(&id("bp"), &about, systolic, diastolic, at_us);
        let metric = catalog::metric("temp_body").expect("temperature is in the catalogue");
        let temperature = rounded(vitals.temperature, 10.0);
        let temperature =
            fhir::observation(&id("temp"), &about, "final", metric, temperature, at_us);
        let word = if vitals.alert { "alert" } else { "confused" };
        let consciousness = fhir::consciousness(&id("acvpu"), &about, word, at_us);
        [self.send(&[pressure]), self.send(&[temperature]), self.send(&[consciousness])]
    }

    /// A tablet: given, or in 3 of 100 not.
    pub(crate) fn tablet(
        &mut self,
        patient: &Patient,
        number: u32,
        now_us: i64,
        draw: &mut Stream,
    ) -> Message {
        let (drug, mg) = draw.pick(&TABLETS);
        let status = if draw.chance(0.03) { "not-done" } else { "completed" };
        let identity = self.identity(format!("med-{}-{number}", &patient.id[3..]), 1);
        let at_us = self.start_us + now_us;
        let given =
            fhir::administration(&identity, &subject(patient), status, drug, fhir::dose(mg), at_us);
        self.send(&[given])
    }

    /// An infusion starts, changes its rate (the next version) or ends.
    pub(crate) fn infusion(
        &mut self,
        patient: &Patient,
        pump: &str,
        version: u32,
        drug: &str,
        rate: Option<f64>,
        now_us: i64,
    ) -> Message {
        let status = if rate.is_some() { "in-progress" } else { "completed" };
        let identity = self.identity(format!("inf-{}-{pump}", &patient.id[3..]), version);
        let dosage = fhir::infusion(rate.unwrap_or(0.0));
        let at_us = self.start_us + now_us;
        let given = fhir::administration(&identity, &subject(patient), status, drug, dosage, at_us);
        self.send(&[given])
    }

    fn send(&mut self, resources: &[Resource]) -> Message {
        fhir::message(&mut self.device, resources)
    }
}

fn subject(patient: &Patient) -> Subject {
    Subject { patient_id: patient.id.clone(), encounter_id: patient.encounter_id.clone() }
}
