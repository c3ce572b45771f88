//! A patient: vital signs that move together, by the hour, with noise, and with sepsis or respiratory failure.
//!
//! The equations and their constants are those of the project's domain study: heart and respiratory rate per degree of
//! fever (7.3 and 1.4 per °C), Severinghaus' oxygen dissociation curve (1979), and noise fitted to 32 hours of one real
//! ICU patient (PhysioNet). One patient is thin evidence; the ranges are meant to look right, not to be a reference.

use crate::seeded::Stream;
use crate::world::noise::{Slow, daily};

/// What is wrong with a patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Illness {
    Stable,
    Sepsis,
    RespiratoryFailure,
}

/// How an illness grows (logistically) and, from its treatment on, decays (exponentially).
#[derive(Debug, Clone, Copy)]
struct Course {
    illness: Illness,
    onset_s: f64,
    treated_s: f64,
}

/// When a scenario begins, is half way, is treated, and has faded; microseconds of simulated time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) onset_us: i64,
    pub(super) half_us: i64,
    pub(super) treated_us: i64,
    pub(super) faded_us: i64,
}

/// The patient's state at one moment, in catalogue units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Vitals {
    pub(crate) heart_rate: f64,
    pub(crate) resp_rate: f64,
    pub(crate) spo2: f64,
    pub(crate) systolic: f64,
    pub(crate) diastolic: f64,
    pub(crate) mean_pressure: f64,
    pub(crate) temperature: f64,
    pub(crate) etco2: f64,
    pub(crate) perfusion: f64,
    pub(crate) lactate: f64,
    pub(crate) leukocytes: f64,
    pub(crate) alert: bool,
}

/// One patient from admission to discharge.
#[derive(Debug, Clone)]
pub(crate) struct Patient {
    pub(crate) id: String,
    pub(crate) encounter_id: String,
    pub(crate) female: bool,
    pub(crate) birth_year: i32,
    pub(crate) potassium: f64,
    pub(crate) sodium: f64,
    pub(crate) creatinine: f64,
    pub(crate) hemoglobin: f64,
    pub(crate) platelets: f64,
    pub(crate) glucose: f64,
    heart_rate: f64,
    resp_rate: f64,
    systolic: f64,
    diastolic: f64,
    temperature: f64,
    oxygen: f64,
    rhythm: f64,
    course: Course,
    stream: Stream,
    noise: [Slow; 9],
    now_s: i64,
}

impl Patient {
    /// A new patient, admitted at `now_s` (simulated seconds). `deteriorating`: the chance of an illness that grows.
    pub(crate) fn new(seed: u64, name: &str, now_s: i64, year: i32, deteriorating: f64) -> Self {
        let mut draw = Stream::new(seed, "patient", name, "baseline");
        let age = draw.normal(64.0, 16.0).clamp(18.0, 95.0).floor();
        let copd = draw.chance(0.08);
        let systolic = draw.normal(122.0, 12.0) + 0.4 * (age - 50.0);
        let oxygen = if copd { 62.0 } else { draw.normal(88.0, 6.0) - 0.3 * (age - 40.0).max(0.0) };
        let course = Course::draw(&mut draw, now_s, deteriorating);
        let mut stream = Stream::new(seed, "patient", name, "noise");
        let noise = [
            (0.73, 2.0), // heart rate
            (0.27, 70.0),
            (0.57, 1.9), // respiratory rate
            (0.28, 300.0),
            (0.14, 1.5), // oxygen saturation
            (0.86, 115.0),
            (0.6, 8.0), // blood pressure
            (0.4, 120.0),
            (1.0, 240.0), // temperature
        ]
        .map(|(share, tau_min)| Slow::new(&mut stream, share, tau_min));
        #[expect(clippy::cast_possible_truncation, reason = "an age")]
        let birth_year = year - age as i32;
        Self {
            id: format!("pt-{name}"),
            encounter_id: format!("enc-{name}"),
            female: draw.chance(0.5),
            birth_year,
            potassium: draw.normal(4.1, 0.35),
            sodium: draw.normal(139.0, 2.5),
            creatinine: draw.log_normal(0.9, 0.25),
            hemoglobin: draw.normal(12.8, 1.4),
            platelets: draw.normal(240.0, 55.0),
            glucose: draw.normal(112.0, 18.0),
            heart_rate: draw.normal(76.0, 8.0),
            resp_rate: draw.normal(16.0, 1.5),
            systolic,
            diastolic: draw.normal(72.0, 7.0),
            temperature: draw.normal(36.75, 0.2),
            oxygen: oxygen.max(55.0),
            rhythm: draw.range(2.0, 4.0),
            course,
            stream,
            noise,
            now_s,
        }
    }

    /// What is wrong with the patient, and when.
    pub(super) fn scenario(&self) -> Option<(&'static str, Times)> {
        let name = match self.course.illness {
            Illness::Stable => return None,
            Illness::Sepsis => "sepsis",
            Illness::RespiratoryFailure => "respiratory_failure",
        };
        Some((name, self.course.times()))
    }

    /// Moves on to `now_s` (never back) and returns the vital signs; `hour` is the hour of the day.
    pub(crate) fn at(&mut self, now_s: i64, hour: f64) -> Vitals {
        while self.now_s < now_s {
            for noise in &mut self.noise {
                noise.step(&mut self.stream);
            }
            self.now_s += 1;
        }
        let sepsis = self.course.severity(Illness::Sepsis, self.now_s);
        let failure = self.course.severity(Illness::RespiratoryFailure, self.now_s);
        self.vitals(sepsis, failure, hour)
    }

    fn vitals(&self, s: f64, r: f64, hour: f64) -> Vitals {
        let n = |i: usize| self.noise[i].now();
        let temperature = self.temperature + 0.3 * daily(hour, 18.0) + 2.2 * s + 0.08 * n(8);
        let fever = temperature - 36.8;
        let heart_rate = self.heart_rate
            + 7.3 * fever
            + self.rhythm * daily(hour, 15.0)
            + 22.0 * s
            + 18.0 * r
            + 3.8 * (n(0) + n(1));
        let resp_rate =
            self.resp_rate + 1.4 * fever.max(-1.0) + 9.0 * s + 14.0 * r + 2.0 * (n(2) + n(3));
        // From treatment on, respiratory failure breathes 35 % oxygen.
        let extra_oxygen =
            if self.course.on_oxygen(self.now_s) { 5.2 * 14.0 * (1.0 - 0.7 * r) } else { 0.0 };
        let tension = (self.oxygen - 42.0 * r - 14.0 * s + extra_oxygen).max(20.0);
        let saturation = 100.0 / (23_400.0 / (tension.powi(3) + 150.0 * tension) + 1.0);
        let asleep = if (1.0..6.0).contains(&hour) { 1.0 } else { 0.0 };
        let systolic = self.systolic + 5.0 * daily(hour, 15.0)
            - 8.0 * asleep
            - 16.0 * s
            - 100.0 * (s - 0.6).max(0.0)
            + 7.0 * (n(6) + n(7));
        let systolic = systolic.clamp(45.0, 250.0);
        let diastolic =
            (self.diastolic + 0.5 * (systolic - self.systolic)).clamp(25.0, systolic - 10.0);
        Vitals {
            heart_rate: heart_rate.clamp(25.0, 240.0),
            resp_rate: resp_rate.clamp(4.0, 60.0),
            spo2: (saturation + 0.8 * (n(4) + n(5))).clamp(50.0, 100.0),
            systolic,
            diastolic,
            mean_pressure: diastolic + (systolic - diastolic) / 3.0,
            temperature: temperature.clamp(33.0, 42.0),
            etco2: (38.0 - 6.0 * r + 80.0 * (r - 0.7).max(0.0) - 8.0 * s).clamp(5.0, 100.0),
            perfusion: (3.0 - 2.0 * s + 0.5 * n(6)).clamp(0.1, 20.0),
            lactate: (1.0 + 4.5 * s + 0.2 * n(7)).clamp(0.3, 25.0),
            leukocytes: (7.0 + 12.0 * s + 0.5 * n(8)).clamp(0.5, 60.0),
            alert: s <= 0.8 && r <= 0.8,
        }
    }
}

impl Course {
    fn draw(draw: &mut Stream, now_s: i64, deteriorating: f64) -> Self {
        let illness = match (draw.chance(deteriorating), draw.chance(0.6)) {
            (false, _) => Illness::Stable,
            (true, true) => Illness::Sepsis,
            (true, false) => Illness::RespiratoryFailure,
        };
        let tau_s = Self { illness, onset_s: 0.0, treated_s: 0.0 }.tau_s();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a simulation is shorter than 285 million years"
        )]
        let onset_s = now_s as f64 + draw.range(-8.0, 12.0) * 3600.0;
        let treated_s = onset_s + 3.0 * tau_s + draw.range(1.5, 2.5) * tau_s;
        Self { illness, onset_s, treated_s }
    }

    fn tau_s(&self) -> f64 {
        if self.illness == Illness::Sepsis { 2.5 * 3600.0 } else { 2.0 * 3600.0 }
    }

    /// It grows to half its most in three time constants, and fades by two thirds in that of its recovery.
    fn times(&self) -> Times {
        let us = |s: f64| {
            #[expect(clippy::cast_possible_truncation, reason = "days, in microseconds")]
            let us = (s * 1e6) as i64;
            us
        };
        Times {
            onset_us: us(self.onset_s),
            half_us: us(self.onset_s + 3.0 * self.tau_s()),
            treated_us: us(self.treated_s),
            faded_us: us(self.treated_s + self.recovery_s()),
        }
    }

    fn recovery_s(&self) -> f64 {
        if self.illness == Illness::Sepsis { 36_000.0 } else { 28_800.0 }
    }

    fn on_oxygen(&self, now_s: i64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let now = now_s as f64;
        self.illness == Illness::RespiratoryFailure && now >= self.treated_s
    }

    /// How far `illness` has gone, 0 to 1; 0 for an illness that the patient does not have.
    fn severity(&self, illness: Illness, now_s: i64) -> f64 {
        if self.illness != illness || illness == Illness::Stable {
            return 0.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "as above")]
        let now = now_s as f64;
        let most = if illness == Illness::Sepsis { 0.95 } else { 0.85 };
        let recovery_s = self.recovery_s();
        let tau = self.tau_s();
        let grown = |t: f64| most / (1.0 + libm::exp(-(t - self.onset_s - 3.0 * tau) / tau));
        if now <= self.treated_s {
            grown(now)
        } else {
            grown(self.treated_s) * libm::exp(-(now - self.treated_s) / recovery_s)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(illness: Illness) -> Course {
        Course { illness, onset_s: 0.0, treated_s: 12.0 * 3600.0 }
    }

    #[test]
    fn an_illness_grows_until_it_is_treated_and_then_fades() {
        let sepsis = course(Illness::Sepsis);
        let at = |hours: i64| sepsis.severity(Illness::Sepsis, hours * 3600);
        assert!(at(0) < 0.06 && at(6) < at(9) && at(9) < at(12) && at(12) > 0.7);
        assert!(at(22) < at(12) * 0.4 && at(22) > 0.0);
        assert!(sepsis.severity(Illness::RespiratoryFailure, 40_000).abs() < 1e-12);
        assert!(course(Illness::Stable).severity(Illness::Stable, 40_000).abs() < 1e-12);
    }

    #[test]
    fn sepsis_moves_the_vital_signs_together() {
        let patient = Patient::new(5, "001-1", 0, 2026, 0.0);
        let (well, ill) = (patient.vitals(0.0, 0.0, 12.0), patient.vitals(0.9, 0.0, 12.0));
        assert!(ill.temperature > well.temperature + 1.5);
        assert!(ill.heart_rate > well.heart_rate + 25.0);
        assert!(ill.resp_rate > well.resp_rate + 7.0);
        assert!(ill.systolic < well.systolic - 20.0);
        assert!(ill.lactate > well.lactate + 3.0);
        assert!(ill.spo2 < well.spo2);
        assert!(well.alert && !ill.alert);
    }

    #[test]
    fn respiratory_failure_takes_the_oxygen() {
        let patient = Patient::new(5, "001-1", 0, 2026, 0.0);
        let (well, ill) = (patient.vitals(0.0, 0.0, 12.0), patient.vitals(0.0, 0.8, 12.0));
        assert!(ill.spo2 < well.spo2 - 5.0, "{ill:?}");
        assert!(ill.resp_rate > well.resp_rate + 8.0);
    }

    #[test]
    fn asking_more_often_does_not_change_the_patient() {
        let mut often = Patient::new(5, "001-1", 0, 2026, 1.0);
        let mut once = often.clone();
        for t in 0..600 {
            often.at(t, 3.0);
        }
        assert_eq!(often.at(600, 3.0), once.at(600, 3.0));
    }

    #[test]
    fn a_hundred_patients_are_plausible_for_a_day() {
        for n in 0..100 {
            let mut patient = Patient::new(9, &n.to_string(), 0, 2026, 0.5);
            for hour in [0, 6, 12, 23] {
                let v = patient.at(hour * 600, f64::from(u8::try_from(hour).unwrap()));
                assert!(v.diastolic < v.mean_pressure && v.mean_pressure < v.systolic, "{v:?}");
                assert!((50.0..=100.0).contains(&v.spo2), "{v:?}");
            }
        }
    }
}
