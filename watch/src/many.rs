//! Many rows at a time, device by device: what is known of a device comes from memory once for all of its rows.
//!
//! Of devices that come in turn most of a row's time was waiting for its device's state, and whatever else the processor's cache had
//! held was gone. What rows make of one device does not depend on those of others, as long as nothing else happens in between: no
//! time that moves something comes, nobody is forgotten, no name is new. Such rows are found first, as many as come one after the other
//! from one source; their transitions come out in the order of arrival. All others are taken one by one. So nothing of it changes
//! anything ([`Watch::reading`] does all that it does), which a test of all kinds of rules holds it to, to the byte.

use std::cmp::Reverse;
use std::hint::black_box;

use crate::limits::LATE_MAX_US;
use crate::numbers::{Numbers, Rows};
use crate::reading::Mark;
use crate::together::{One, Together};
use crate::track::{NEVER, NOT_DUE};
use crate::transition::Transition;
use crate::watch::{Place, Watch};

/// Rows that are taken together at most.
const ROWS_MAX: usize = 1 << 16;
/// Rows whose state is looked at before any of them is judged: about as many waits as a processor has at a time.
const AHEAD: usize = 16;

impl Watch {
    /// Takes rows in the order of arrival, as [`Watch::reading`] does one after the other. `numbering`: which numbers these rows
    /// bring; another one begins whenever a number may be another name than before.
    pub fn rows(&mut self, numbering: u64, rows: &impl Rows, out: &mut Vec<Transition>) {
        self.known.are_of(numbering);
        let mut together = std::mem::take(&mut self.together);
        let mut at = 0;
        while at < rows.count() {
            self.find_together(rows, at, &mut together);
            if together.rows.len() < 2 {
                self.reading(&rows.reading(at), out);
                at += 1;
            } else {
                at += together.rows.len();
                self.by_device(rows, &mut together, out);
            }
        }
        self.together = together;
    }

    /// Finds how many rows from `first` on may be taken together.
    fn find_together(&mut self, rows: &impl Rows, first: usize, together: &mut Together) {
        together.rows.clear();
        let theirs = rows.numbers(first).source;
        let Some(source) = self.source_by(theirs, rows, first) else { return };
        (together.first, together.source) = (first, source);
        let own = &self.sources[source as usize];
        if own.groups.iter().any(|track| track.open.is_some()) {
            return;
        }
        let (mut heard_us, due_us) = (own.stream_us, self.next_due(source));
        let mut oldest_us = i64::MAX;
        together.newest_us = NEVER;
        together.rows.reserve_exact((rows.count() - first).min(ROWS_MAX));
        for row in (first..rows.count()).take(ROWS_MAX) {
            let numbers = rows.numbers(row);
            let received_us = rows.received_us(row);
            heard_us = heard_us.max(received_us);
            oldest_us = oldest_us.min(received_us);
            let newest_us = together.newest_us.max(received_us);
            // What these rows bring about is due after the shortest time that a rule has.
            let moves_time = received_us >= due_us
                || newest_us.saturating_sub(oldest_us) >= self.rules.soonest_us
                || received_us < heard_us.saturating_sub(LATE_MAX_US);
            if numbers.source != theirs || moves_time {
                return;
            }
            let Some((device, metric, unit)) = self.names_by(numbers, rows, row) else { return };
            // Its time with another source may have come already.
            if self.devices[device as usize].source != source {
                return;
            }
            together.newest_us = newest_us;
            together.rows.push(One { device, metric, unit, heard_us });
        }
    }

    /// When time moves something of a source, or of alerts of its devices.
    fn next_due(&self, source: u32) -> i64 {
        let own = &self.sources[source as usize];
        let queued = own.queue.peek().map_or(NOT_DUE, |Reverse((due_us, _))| *due_us);
        let windows = self.rules.maintenance.iter().chain(&self.windows);
        let ends = windows.map(|window| window.until_us).filter(|us| *us > own.stream_us);
        let (group, _) = own.due(&self.rules.rules);
        ends.chain([queued, group]).min().unwrap_or(NOT_DUE)
    }

    fn by_device(&mut self, rows: &impl Rows, together: &mut Together, out: &mut Vec<Transition>) {
        let Together { first, source, newest_us, rows: all, order, moved } = together;
        order.clear();
        order.extend((0_u64..).zip(&*all).map(|(at, one)| (u64::from(one.device) << 32) | at));
        // Those of devices that come in turn are in order already, turn by turn.
        order.sort();
        moved.clear();
        let before = out.len();
        let mut run = Run::default();
        for some in order.chunks(AHEAD) {
            let mut places = [Place::default(); AHEAD];
            self.look_ahead((some, all), (rows, *first), &mut run, &mut places);
            for (key, place) in some.iter().zip(&places) {
                let at = place_of(*key);
                let row = rows.reading(*first + at);
                let mark = Mark::of(*source, row.id);
                self.take_of(&row, (mark, all[at].heard_us), *place, out);
                let number = u32::try_from(at).unwrap_or(u32::MAX);
                moved.resize(out.len() - before, number);
            }
        }
        in_order(out, before, moved);
        let heard_us = all.last().map_or(NEVER, |one| one.heard_us);
        let last = rows.reading(*first + all.len() - 1);
        let own = &mut self.sources[*source as usize];
        let has_moved = heard_us > own.stream_us;
        own.stream_us = own.stream_us.max(heard_us);
        own.heard_us = own.heard_us.max(*newest_us);
        own.back_since_us = NEVER;
        own.mark = Mark::of(*source, last.id);
        debug_assert!(
            !has_moved || !self.is_due(*source, heard_us),
            "time had to move something in between"
        );
        self.counts.rows += all.len() as u64;
    }

    /// Reads a little of what each row needs, so that a processor has several waits at a time.
    fn look_ahead(
        &self,
        (some, all): (&[u64], &[One]),
        (rows, first): (&impl Rows, usize),
        run: &mut Run,
        places: &mut [Place; AHEAD],
    ) {
        let mut read = 0_i64;
        for (key, place) in some.iter().zip(places.iter_mut()) {
            let at = place_of(*key);
            read ^= rows.received_us(first + at);
            let one = &all[at];
            let device = &self.devices[one.device as usize];
            let series = device.series_of(one.metric);
            *place = Place { device: one.device, series, unit: Some(one.unit) };
        }
        for place in places.iter().take(some.len()) {
            run.goes_on(place.device);
            let Some(series) = place.series.filter(|_| run.rows <= AHEAD) else { continue };
            let device = &self.devices[place.device as usize];
            for feed in &device.series[series].feeds {
                read ^= device.tracks[usize::from(*feed)].memory.glance();
            }
        }
        black_box(read);
    }

    fn source_by(&mut self, theirs: u32, rows: &impl Rows, row: usize) -> Option<u32> {
        if let Some(number) = self.known.sources.get(theirs) {
            debug_assert!(self.source_names.is(number, rows.reading(row).id.source_id));
            return Some(number);
        }
        let number = self.source_names.find(rows.reading(row).id.source_id)?;
        self.known.sources.keep(theirs, number);
        Some(number)
    }

    /// The own numbers of a row's device, metric and unit, if all are known.
    fn names_by(
        &mut self,
        theirs: Numbers,
        rows: &impl Rows,
        row: usize,
    ) -> Option<(u32, u32, u32)> {
        let device = match self.known.devices.get(theirs.device) {
            Some(number) => number,
            None => {
                let reading = rows.reading(row);
                let number = self.known_device(reading.site, reading.device)?;
                self.known.devices.keep(theirs.device, number);
                number
            }
        };
        let metric = match self.known.metrics.get(theirs.metric) {
            Some(number) => number,
            None => {
                let number = self.names.find(rows.reading(row).metric)?;
                self.known.metrics.keep(theirs.metric, number);
                number
            }
        };
        let unit = match theirs.unit.map(|unit| (unit, self.known.units.get(unit))) {
            // The name without letters is the first.
            None => 0,
            Some((_, Some(number))) => number,
            Some((unit, None)) => {
                let number = self.names.find(rows.reading(row).unit)?;
                self.known.units.keep(unit, number);
                number
            }
        };
        debug_assert!({
            let row = rows.reading(row);
            self.is_device(device, row.site, row.device)
                && self.names.is(metric, row.metric)
                && self.names.is(unit, row.unit)
        });
        Some((device, metric, unit))
    }
}

/// How many rows of one device came one after the other: what the first ones needed is there for the others.
#[derive(Debug, Default)]
struct Run {
    device: u32,
    rows: usize,
}

impl Run {
    fn goes_on(&mut self, device: u32) {
        if self.device != device {
            *self = Self { device, rows: 0 };
        }
        self.rows += 1;
    }
}

/// The place of a row in [`Together::rows`].
fn place_of(key: u64) -> usize {
    usize::try_from(key & u64::from(u32::MAX)).unwrap_or(usize::MAX)
}

/// Transitions from `before` on come in the order of their rows: `moved`.
fn in_order(out: &mut Vec<Transition>, before: usize, moved: &[u32]) {
    if moved.is_sorted() {
        return;
    }
    let mut moved: Vec<(u32, Transition)> =
        moved.iter().copied().zip(out.drain(before..)).collect();
    moved.sort_by_key(|(row, _)| *row);
    out.extend(moved.into_iter().map(|(_, transition)| transition));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::reading::{Quality, Reading, RowId};
    use crate::rules::Rules;

    const SECOND: i64 = 1_000_000;
    const RULES: &str = "[[rule]]\nname = \"silence\"\nsilent_for = \"10s\"\n[[rule]]\nname = \"high\"\nmetric = \"spo2\"\nabove = 50\n";
    const DEVICES: [&str; 3] = ["a", "b", "c"];

    /// Rows of three devices in turn, so many microseconds apart.
    struct InTurn {
        from: i64,
        apart_us: i64,
        count: usize,
    }

    impl Rows for InTurn {
        fn count(&self) -> usize {
            self.count
        }

        fn numbers(&self, row: usize) -> Numbers {
            let device = u32::try_from(row % DEVICES.len()).unwrap();
            Numbers { source: 7, device, metric: 9, unit: None }
        }

        fn received_us(&self, row: usize) -> i64 {
            self.from + i64::try_from(row).unwrap() * self.apart_us
        }

        fn reading(&self, row: usize) -> Reading<'_> {
            let at_us = self.received_us(row);
            Reading {
                id: RowId { source_id: "gw", epoch: 1, source_offset: at_us, row_no: 0 },
                site: "icu",
                device: DEVICES[row % DEVICES.len()],
                metric: "spo2",
                unit: "",
                value: Some(if row < 30 { 40.0 } else { 60.0 }),
                text: None,
                quality: Quality::Good,
                event_us: at_us,
                received_us: at_us,
            }
        }
    }

    fn together(watch: &mut Watch, rows: &InTurn) -> usize {
        let mut together = Together::default();
        watch.find_together(rows, 0, &mut together);
        together.rows.len()
    }

    #[test]
    fn rows_of_known_devices_are_taken_together_until_time_moves_something() {
        let mut watch = Watch::new(Rules::parse(RULES).unwrap(), Limits::default());
        let mut out = Vec::new();
        let first = InTurn { from: 0, apart_us: 1, count: 3 };
        assert_eq!(together(&mut watch, &first), 0, "nobody is known");
        watch.rows(1, &first, &mut out);
        let dense = InTurn { from: SECOND, apart_us: 1_000, count: 90 };
        assert_eq!(together(&mut watch, &dense), 90);
        let sparse = InTurn { from: SECOND, apart_us: SECOND, count: 90 };
        assert_eq!(
            together(&mut watch, &sparse),
            9,
            "the first could be silent ten seconds after it was heard"
        );
        watch.rows(1, &dense, &mut out);
        let devices: Vec<&str> = out.iter().map(|told| told.device.as_ref()).collect();
        assert_eq!(devices, DEVICES, "in the order of arrival, though taken device by device");
        assert_eq!(out[0].cause.source_offset, SECOND + 30 * 1_000);
    }
}
