//! What is known of devices, for looking at.

use crate::device::{Device, Series};
use crate::life::State;
use crate::names::Names;
use crate::reading::Quality;
use crate::rules::Severity;
use crate::track::{NEVER, Track};
use crate::transition::AlertId;
use crate::watch::Watch;

/// Whether a device is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It was heard.
    Online,
    /// It was not heard for too long, and its source is there.
    Silent,
    /// Its source is away or behind: that it is not heard says nothing.
    Unknown,
}

/// A device.
#[derive(Debug, Clone, Copy)]
pub struct DeviceView<'a> {
    /// Its site.
    pub site: &'a str,
    /// Its name.
    pub device: &'a str,
    /// Through which source it was heard last.
    pub source: &'a str,
    /// Whether it is there.
    pub status: Status,
    /// When it was heard last, by its source.
    pub heard_us: i64,
    /// Rows of it in the last full minute of its source's time.
    pub rows_per_minute: u32,
    device_state: &'a Device,
    watch: &'a Watch,
}

/// The last value of a metric, by the time of the event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LastValue<'a> {
    /// What was measured.
    pub metric: &'a str,
    /// The number.
    pub value: Option<f64>,
    /// The text; the beginning of a long one.
    pub text: Option<&'a str>,
    /// The unit; empty if there is none.
    pub unit: &'a str,
    /// What the value is worth.
    pub quality: Quality,
    /// When it happened.
    pub event_us: i64,
    /// Rows by quality: good, unchecked, suspect, bad.
    pub counts: [u32; 4],
    /// Rows that were not after the newest.
    pub late: u32,
}

/// An alert that is there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AlertView<'a> {
    /// Which.
    pub alert: AlertId,
    /// Its rule.
    pub rule: &'a str,
    /// How bad it is.
    pub severity: Severity,
    /// Its state.
    pub state: State,
    /// The site; of a source, that of the first device heard through it.
    pub site: &'a str,
    /// The device; empty: the source as a whole.
    pub device: &'a str,
    /// The source.
    pub source: &'a str,
    /// The metric; empty: the whole device.
    pub metric: &'a str,
    /// What was measured when it moved last.
    pub value: &'a str,
    /// What its rule asks.
    pub threshold: &'a str,
    /// How far the source's time had come when it moved last.
    pub since_us: i64,
    /// Who acknowledged or silenced it.
    pub by: Option<&'a str>,
    /// Until when it is silenced.
    pub until_us: Option<i64>,
}

/// A source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceView<'a> {
    /// Its name.
    pub source: &'a str,
    /// Whether nothing can be said of its devices: it is away or behind.
    pub is_unknown: bool,
    /// When it was heard last, by its own time; `None`: never.
    pub heard_us: Option<i64>,
}

impl Watch {
    /// All devices, in the order in which they were first heard.
    pub fn devices(&self) -> impl Iterator<Item = DeviceView<'_>> {
        self.devices.iter().map(|device| self.shown(device))
    }

    /// One device.
    #[must_use]
    pub fn device(&self, site: &str, name: &str) -> Option<DeviceView<'_>> {
        let found = self.index.find(crate::watch::hash_of(site, name), |number| {
            let device = self.devices.get(number as usize);
            device.is_some_and(|own| {
                own.name.as_ref() == name && self.names.get(own.site).as_ref() == site
            })
        });
        found.ok().map(|number| self.shown(&self.devices[number as usize]))
    }

    /// All sources, in the order in which they were first heard.
    pub fn sources(&self) -> impl Iterator<Item = SourceView<'_>> {
        self.source_names.all().iter().zip(&self.sources).map(|(source, own)| SourceView {
            source,
            is_unknown: own.is_unknown(),
            heard_us: (own.heard_us != NEVER).then_some(own.heard_us),
        })
    }

    /// All alerts that are there, of devices and of sources.
    pub fn alerts(&self) -> impl Iterator<Item = AlertView<'_>> {
        let of_devices = self.devices.iter().flat_map(move |device| {
            let at = (device.site, device.name.as_ref(), device.source);
            device.tracks.iter().filter_map(move |track| self.alert(track, at))
        });
        let of_sources = (0..).zip(&self.sources).flat_map(move |(source, own)| {
            own.groups.iter().filter_map(move |track| self.alert(track, (own.site, "", source)))
        });
        of_devices.chain(of_sources)
    }

    fn alert<'a>(
        &'a self,
        track: &'a Track,
        (site, device, source): (u32, &'a str, u32),
    ) -> Option<AlertView<'a>> {
        let open = track.open.as_ref()?;
        let rule = &self.rules.rules[usize::from(track.rule)];
        Some(AlertView {
            alert: AlertId(open.id),
            rule: &rule.name,
            severity: rule.severity,
            state: track.state,
            site: self.names.get(site),
            device,
            source: self.source_names.get(source),
            metric: self.names.all().get(track.metric as usize).map_or("", |name| name),
            value: &open.value,
            threshold: &rule.threshold,
            since_us: open.told_us,
            by: open.by.as_deref(),
            until_us: (track.state == State::Silenced).then_some(open.until_us),
        })
    }

    fn shown<'a>(&'a self, device: &'a Device) -> DeviceView<'a> {
        let source = &self.sources[device.source as usize];
        let now_us = source.stream_us;
        let quiet = now_us.saturating_sub(device.received_us) >= self.limits.shown_silent_us;
        let watched = device.has_clock(&self.rules.rules);
        let silent = if watched { device.silences > 0 } else { quiet };
        let status = match (source.is_unknown(), silent) {
            (true, _) => Status::Unknown,
            (false, true) => Status::Silent,
            (false, false) => Status::Online,
        };
        DeviceView {
            site: self.names.get(device.site),
            device: &device.name,
            source: self.source_names.get(device.source),
            status,
            heard_us: device.received_us,
            rows_per_minute: device.rate(now_us),
            device_state: device,
            watch: self,
        }
    }
}

impl<'a> DeviceView<'a> {
    /// Its metrics, in the order in which they were first heard.
    pub fn metrics(&self) -> impl Iterator<Item = LastValue<'a>> + use<'a> {
        let names = &self.watch.names;
        let known = self.device_state.series.iter().filter(|series| series.event_us != NEVER);
        known.map(|series| last_value(series, names))
    }

    /// Names of the rules in force that are for it, and what they say.
    pub fn rules(&self) -> impl Iterator<Item = (&'a str, String)> {
        let (site, device) = (self.site, self.device);
        let own = self.watch.rules.rules.iter().filter(move |rule| rule.is_of(site, device));
        own.map(|rule| (rule.name.as_ref(), rule.to_string()))
    }

    /// Its alerts that are there.
    pub fn alerts(&self) -> impl Iterator<Item = AlertView<'a>> + use<'a> {
        let (watch, device) = (self.watch, self.device_state);
        let at = (device.site, device.name.as_ref(), device.source);
        device.tracks.iter().filter_map(move |track| watch.alert(track, at))
    }
}

fn last_value<'a>(series: &'a Series, names: &'a Names) -> LastValue<'a> {
    LastValue {
        metric: names.get(series.metric),
        value: (!series.value.is_nan()).then_some(series.value),
        text: series.text.as_deref(),
        unit: names.get(series.unit),
        quality: series.quality,
        event_us: series.event_us,
        counts: series.counts,
        late: series.late,
    }
}
