//! Several rows at a time: what is known of their devices comes from memory at once, not one device after the other.
//!
//! Of many devices that come in turn most of a row's time is waiting for its device's state. Each step here reads a little of what
//! the next one follows, for all rows before any is judged, so that a processor has several of these waits at a time. Nothing of it
//! changes anything: [`Watch::reading`] does all that it does without.

use std::hint::black_box;

use crate::hints::Hint;
use crate::reading::Reading;
use crate::track::NEVER;
use crate::transition::Transition;
use crate::watch::Watch;

/// Rows that are looked at ahead: about as many waits as a processor has at a time.
const ROWS: usize = 16;

/// Where a row's device and series are, if they are known.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    device: Option<u32>,
    series: Option<usize>,
}

impl Watch {
    /// Takes rows in the order of arrival, each as [`Watch::reading`] does.
    pub fn readings(&mut self, rows: &[(Hint, Reading<'_>)], out: &mut Vec<Transition>) {
        for rows in rows.chunks(ROWS) {
            let mut places = [Place::default(); ROWS];
            self.look_ahead(rows, &mut places);
            for ((_, row), place) in rows.iter().zip(&places) {
                // Devices may have been forgotten since, or come to be known.
                self.next.device = place.device.unwrap_or(self.next.device);
                self.next.series = place.series.unwrap_or(self.next.series);
                self.reading(row, out);
            }
        }
    }

    fn look_ahead(&mut self, rows: &[(Hint, Reading<'_>)], places: &mut [Place; ROWS]) {
        for ((hint, row), place) in rows.iter().zip(places.iter_mut()) {
            place.device = self.device_by(*hint, row);
        }
        let mut read = 0_i64;
        for ((hint, row), place) in rows.iter().zip(places.iter_mut()) {
            let Some(number) = place.device else { continue };
            let metric = self.metric_by(*hint, row);
            let device = &self.devices[number as usize];
            place.series = metric.and_then(|metric| device.series_of(metric));
        }
        for place in places.iter() {
            let Some((device, series)) = place.device.zip(place.series) else { continue };
            let device = &self.devices[device as usize];
            for feed in &device.series[series].feeds {
                read ^= device.tracks[usize::from(*feed)].time_of(NEVER);
            }
        }
        for place in places.iter() {
            let Some((device, series)) = place.device.zip(place.series) else { continue };
            let device = &self.devices[device as usize];
            for feed in &device.series[series].feeds {
                read ^= device.tracks[usize::from(*feed)].memory.glance();
            }
        }
        black_box(read);
    }

    fn device_by(&mut self, hint: Hint, row: &Reading<'_>) -> Option<u32> {
        let known = self.hints.devices.get(hint.device);
        if let Some(number) = known.filter(|it| self.is_device(*it, row.site, row.device)) {
            return Some(number);
        }
        let number = self.known_device(row.site, row.device)?;
        self.hints.devices.keep(hint.device, number);
        Some(number)
    }

    fn metric_by(&mut self, hint: Hint, row: &Reading<'_>) -> Option<u32> {
        let known = self.hints.metrics.get(hint.metric);
        if let Some(number) = known.filter(|number| self.names.is(*number, row.metric)) {
            return Some(number);
        }
        let number = self.names.find(row.metric)?;
        self.hints.metrics.keep(hint.metric, number);
        Some(number)
    }
}
