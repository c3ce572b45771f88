//! The state and what moves it: rows, time, what is known of sources, and people.

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::condition::{Condition, Row, Truth};
use crate::device::{Device, Order, Series};
use crate::limits::{AHEAD_MAX_US, Counts, Limits, NAME_BYTES_MAX};
use crate::names::{Index, Names};
use crate::news2::Parameter;
use crate::numbers::Known;
use crate::reading::{Mark, Reading};
use crate::rules::{Columns, Rules, Window};
use crate::scene::{Scene, Step, Subject};
use crate::source::Source;
use crate::together::Together;
use crate::track::{NOT_DUE, Track};
use crate::transition::Transition;

/// Rules and all that they remember. Everything in it is a function of what it was given, in that order.
#[derive(Debug)]
pub struct Watch {
    pub(crate) rules: Rules,
    pub(crate) limits: Limits,
    pub(crate) counts: Counts,
    /// Rows that each rule looked at.
    pub(crate) looked_at: Vec<u64>,
    /// Metrics, units and sites.
    pub(crate) names: Names,
    pub(crate) source_names: Names,
    pub(crate) sources: Vec<Source>,
    pub(crate) devices: Vec<Device>,
    pub(crate) index: Index,
    /// Maintenance windows that people asked for.
    pub(crate) windows: Vec<Window>,
    /// Where the next row is looked for first: messages have several rows.
    pub(crate) next: Next,
    /// Of the rows that come many at a time.
    pub(crate) known: Known,
    pub(crate) together: Together,
}

/// Where a row's device and series are, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    pub(crate) device: u32,
    pub(crate) series: Option<usize>,
    pub(crate) unit: Option<u32>,
}

/// Numbers that the next row may have. Right or wrong, they change nothing but the time that it takes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Next {
    source: u32,
    device: u32,
}

impl Watch {
    /// A state that knows nothing yet.
    #[must_use]
    pub fn new(rules: Rules, limits: Limits) -> Self {
        let mut names = Names::default();
        // The unit of what has none, and the site of a source that no device was heard through.
        names.take("", usize::MAX);
        Self {
            looked_at: vec![0; rules.rules.len()],
            rules,
            limits,
            counts: Counts::default(),
            names,
            source_names: Names::default(),
            sources: Vec::new(),
            devices: Vec::new(),
            index: Index::default(),
            windows: Vec::new(),
            next: Next::default(),
            known: Known::default(),
            together: Together::default(),
        }
    }

    /// Whether a rule is for what does not come.
    #[must_use]
    pub fn watches_silence(&self) -> bool {
        self.rules.rules.iter().any(crate::rules::Rule::is_silence)
    }

    /// Whether a `[[state]]` asks for states of devices.
    #[must_use]
    pub fn publishes_states(&self) -> bool {
        !self.rules.states.is_empty()
    }

    /// How often the state of this device is to be published at most, in microseconds; `None`: no `[[state]]` asks for it.
    #[must_use]
    pub fn state_every_us(&self, site: &str, device: &str) -> Option<i64> {
        let asks = self.rules.states.iter();
        let mut asks = asks.filter(|one| one.site.matches(site) && one.device.matches(device));
        asks.next().map(|one| one.every_us)
    }

    /// What was counted since it was made or loaded.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How many rows each rule looked at since it was made or loaded; of silence, how many devices (or metrics, or sources) it
    /// watches. A rule that looked at none has a filter that fits nothing that is there.
    pub fn looked_at(&self) -> impl Iterator<Item = (&str, u64)> {
        let devices = self.devices.iter().flat_map(|device| &device.tracks);
        let groups = self.sources.iter().flat_map(|source| &source.groups);
        let mut silent = vec![0; self.rules.rules.len()];
        for track in devices {
            silent[usize::from(track.rule)] += 1;
        }
        for track in groups {
            let of_source = matches!(
                self.rules.rules[usize::from(track.rule)].condition,
                Condition::Silent { of_source: true, .. }
            );
            silent[usize::from(track.rule)] += u64::from(of_source);
        }
        let all = self.rules.rules.iter().zip(&self.looked_at).zip(silent);
        all.map(|((rule, rows), silent)| {
            (rule.name.as_ref(), if rule.is_silence() { silent } else { *rows })
        })
    }

    /// Takes a row, in the order of arrival. First its source's time comes to the row's receipt: what became silent until then
    /// is told before it.
    pub fn reading(&mut self, row: &Reading<'_>, out: &mut Vec<Transition>) {
        self.counts.rows += 1;
        let Some((source, device)) = self.places(row, out) else {
            self.counts.beyond_limits += 1;
            return;
        };
        let mark = Mark::of(source, row.id);
        self.hear_source(source, mark, row.received_us, out);
        let heard_us = self.sources[source as usize].stream_us;
        self.take_of(row, (mark, heard_us), Place { device, ..Place::default() }, out);
    }

    /// Takes a row of a device that is known; `heard_us`: how far its source's time has come.
    pub(crate) fn take_of(
        &mut self,
        row: &Reading<'_>,
        (mark, heard_us): (Mark, i64),
        place: Place,
        out: &mut Vec<Transition>,
    ) {
        let device = place.device;
        self.hear_device(device, mark, row.received_us, out);
        let Some(series) = place.series.or_else(|| self.series(device, row)) else {
            self.counts.beyond_limits += 1;
            return;
        };
        if self.devices[device as usize].silences > 0 {
            self.heard_again(device, Some(series), out);
        }
        let at_us = if row.event_us > row.received_us.saturating_add(AHEAD_MAX_US) {
            self.counts.ahead += 1;
            row.received_us
        } else {
            row.event_us
        };
        let unit = place.unit.unwrap_or_else(|| self.unit(device, series, row));
        let own = &mut self.devices[device as usize].series[series];
        match own.order(row, at_us) {
            Order::Late => {
                self.counts.late += 1;
                return;
            }
            Order::Newest => own.keep(row, unit),
            Order::Anew => {
                own.keep(row, unit);
                self.counts.clocks_set_back += 1;
                self.restart(device, series, at_us);
            }
        }
        self.judge((device, series), row, (at_us, heard_us), mark, out);
    }

    fn unit(&mut self, device: u32, series: usize, row: &Reading<'_>) -> u32 {
        let unit = self.devices[device as usize].series[series].unit;
        if self.names.is(unit, row.unit) {
            return unit;
        }
        self.names.take(row.unit, self.limits.names).unwrap_or(0)
    }

    /// Where a row's source and device are.
    fn places(&mut self, row: &Reading<'_>, out: &mut Vec<Transition>) -> Option<(u32, u32)> {
        let source = self.source_number(row.id.source_id)?;
        self.follow_clock(source, row.received_us);
        self.advance(source, row.received_us, out);
        let device = self.device_number(row, source)?;
        Some((source, device))
    }

    pub(crate) fn source_number(&mut self, name: &str) -> Option<u32> {
        if self.source_names.is(self.next.source, name) {
            return Some(self.next.source);
        }
        let number = self.source_names.take(name, self.limits.sources)?;
        self.next.source = number;
        if number as usize == self.sources.len() {
            let mark = Mark { source: number, ..Mark::default() };
            let mut source = Source::new(0, mark);
            source.attach(&self.rules.rules, name);
            self.sources.push(source);
        }
        Some(number)
    }

    fn device_number(&mut self, row: &Reading<'_>, source: u32) -> Option<u32> {
        if self.is_device(self.next.device, row.site, row.device) {
            return Some(self.next.device);
        }
        let device = match self.known_device(row.site, row.device) {
            Some(device) => device,
            None => self.add_device(row, source)?,
        };
        self.next.device = device;
        Some(device)
    }

    /// The number of a device, if it is known.
    pub(crate) fn known_device(&self, site: &str, device: &str) -> Option<u32> {
        let hash = hash_of(site, device);
        self.index.find(hash, |number| self.is_device(number, site, device)).ok()
    }

    pub(crate) fn is_device(&self, number: u32, site: &str, name: &str) -> bool {
        self.devices.get(number as usize).is_some_and(|device| {
            device.name.as_ref() == name && self.names.get(device.site).as_ref() == site
        })
    }

    fn add_device(&mut self, row: &Reading<'_>, source: u32) -> Option<u32> {
        if row.device.len() > NAME_BYTES_MAX {
            return None;
        }
        if self.devices.len() >= self.limits.devices {
            self.make_room();
        }
        if self.devices.len() >= self.limits.devices {
            return None;
        }
        let site = self.names.take(row.site, self.limits.names)?;
        let mut device = Device::new(row.device, site, source, Mark { source, ..Mark::default() });
        device.attach(&self.rules.rules, row.site);
        let own = &mut self.sources[source as usize];
        own.members += u32::from(device.has_clock(&self.rules.rules));
        if own.site == 0 {
            own.site = site;
        }
        let number = u32::try_from(self.devices.len()).ok()?;
        self.devices.push(device);
        self.put_in_index(number);
        Some(number)
    }

    fn hear_device(
        &mut self,
        number: u32,
        mark: Mark,
        received_us: i64,
        out: &mut Vec<Transition>,
    ) {
        let device = &mut self.devices[number as usize];
        let new = device.received_us == crate::track::NEVER;
        device.hear(mark, received_us);
        if device.source != mark.source {
            let counts = u32::from(device.has_clock(&self.rules.rules));
            self.sources[device.source as usize].members -= counts;
            self.sources[mark.source as usize].members += counts;
            device.source = mark.source;
            device.queued_us = NOT_DUE;
            self.requeue(number);
        } else if new {
            self.requeue(number);
        }
        if self.devices[number as usize].silences > 0 {
            self.heard_again(number, None, out);
        }
    }

    /// The series of a row, which is new if it was not known.
    fn series(&mut self, number: u32, row: &Reading<'_>) -> Option<usize> {
        let device = &mut self.devices[number as usize];
        let metric = self.names.find(row.metric);
        let found = metric.and_then(|metric| device.series_of(metric));
        if found.is_some() {
            return found;
        }
        if device.series.len() >= self.limits.metrics_per_device {
            return None;
        }
        let metric = self.names.take(row.metric, self.limits.names)?;
        let mut series = Series::new(metric, 0, Parameter::of_metric(row.metric));
        series.received_us = row.received_us;
        device.series.push(series);
        let at = device.series.len() - 1;
        let counted = device.has_clock(&self.rules.rules);
        device.attach_series(at, &self.rules.rules, row.site, row.metric);
        let counts = device.has_clock(&self.rules.rules);
        self.sources[device.source as usize].members += u32::from(counts && !counted);
        self.requeue(number);
        Some(at)
    }

    /// What the rules of a series remember is of before its clock was set back.
    fn restart(&mut self, device: u32, series: usize, at_us: i64) {
        let device = &mut self.devices[device as usize];
        for at in &device.series[series].feeds {
            device.tracks[usize::from(*at)].restart(at_us);
        }
    }

    fn judge(
        &mut self,
        (number, series): (u32, usize),
        row: &Reading<'_>,
        (at_us, heard_us): (i64, i64),
        mark: Mark,
        out: &mut Vec<Transition>,
    ) {
        let Self { rules, counts, looked_at, names, source_names, windows, devices, .. } = self;
        let Device { name, site, series: all, tracks, .. } = &mut devices[number as usize];
        let own = &all[series];
        if own.feeds.is_empty() {
            return;
        }
        let windows = [rules.maintenance.as_slice(), windows.as_slice()];
        let scene = Scene { rules: &rules.rules, names, sources: source_names, windows };
        let subject = Subject { site: *site, device: name, source: mark.source };
        let mut moved = false;
        for at in &own.feeds {
            let track = &mut tracks[usize::from(*at)];
            let Some((truth, value)) = truth(&scene, track, own, row, at_us, counts) else {
                continue;
            };
            looked_at[usize::from(track.rule)] += 1;
            if truth == Truth::Met {
                track.witness(mark);
            }
            let rule = &scene.rules[usize::from(track.rule)];
            let at_us = track.time_of(at_us);
            if let Some((event, at_us)) = track.take(rule, truth, at_us) {
                let value = Some(value.say(rule, track, row));
                let step = Step { value, ..Step::new(event, at_us, heard_us, mark) };
                moved |= scene.step(subject, track, step, out);
            }
        }
        if moved {
            self.requeue(number);
        }
    }

    /// What it takes in memory, roughly.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let devices: usize = self.devices.iter().map(Device::heap_bytes).sum();
        let sources: usize = self.sources.iter().map(Source::heap_bytes).sum();
        let names = (self.names.all().len() + self.source_names.all().len()) * 64;
        // The index: key and number, at least half full, and a byte of control each.
        let index = self.devices.len() * 2 * 17;
        self.devices.capacity() * size_of::<Device>()
            + self.sources.capacity() * size_of::<Source>()
            + devices
            + sources
            + names
            + index
    }
}

pub(crate) fn hash_of(site: &str, device: &str) -> u64 {
    xxh3_64_with_seed(device.as_bytes(), xxh3_64(site.as_bytes()))
}

/// The row as the condition saw it, for saying what was measured.
struct Measured<'a>(Row<'a>);

impl Measured<'_> {
    fn say(&self, rule: &crate::rules::Rule, track: &Track, row: &Reading<'_>) -> String {
        rule.condition.measured(&track.memory, &self.0, row.unit)
    }
}

/// What a row says of a rule's condition; none: nothing.
fn truth<'a>(
    scene: &Scene<'_>,
    track: &mut Track,
    series: &Series,
    row: &Reading<'a>,
    at_us: i64,
    counts: &mut Counts,
) -> Option<(Truth, Measured<'a>)> {
    let rule = &scene.rules[usize::from(track.rule)];
    if !rule.accepts(row.quality) {
        return None;
    }
    let passes = match &rule.when {
        None => true,
        Some(expression) => {
            let holds = expression.holds(&columns(row, at_us));
            counts.undecided += u64::from(holds.is_none());
            holds?
        }
    };
    let seen = Row {
        at_us,
        value: row.value.filter(|value| value.is_finite()),
        text: row.text,
        quality: row.quality,
        parameter: series.parameter,
        scale: rule.scale_of(row.device),
    };
    let truth = match (&rule.condition, passes) {
        (Condition::When, passes) => Truth::of(passes),
        (Condition::Count(count), false) => count.pass(&mut track.memory, at_us),
        (_, false) => return None,
        (condition, true) => {
            let judged = condition.judge(&mut track.memory, &seen)?;
            counts.thinned += u64::from(judged.thinned);
            judged.truth
        }
    };
    Some((truth, Measured(seen)))
}

fn columns<'a>(row: &Reading<'a>, at_us: i64) -> Columns<'a> {
    Columns {
        value: row.value,
        text: row.text,
        unit: row.unit,
        quality: row.quality.name(),
        site: row.site,
        device: row.device,
        metric: row.metric,
        event_us: at_us,
        received_us: row.received_us,
    }
}

/// Of a source's own alerts.
pub(crate) fn nobody() -> Arc<str> {
    Arc::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The stage that feeds it may move between threads.
    #[test]
    fn it_may_be_sent_to_another_thread() {
        fn sent<T: Send + Sync>() {}
        sent::<Watch>();
    }
}
