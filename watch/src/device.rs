//! A device: its series with their last values, and the rules that are for it.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::limits::TEXT_BYTES_MAX;
use crate::news2::Parameter;
use crate::reading::{Mark, Quality, Reading};
use crate::rules::Rule;
use crate::track::{NEVER, NOT_DUE, Track, WHOLE};
use crate::wire::{Broken, Reader, Writer};

const MINUTE_US: i64 = 60_000_000;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) name: Arc<str>,
    /// The number of its site's name.
    pub(crate) site: u32,
    /// Through which it was heard last.
    pub(crate) source: u32,
    /// When it was heard last.
    pub(crate) received_us: i64,
    /// The row that it was heard by.
    pub(crate) mark: Mark,
    pub(crate) series: Vec<Series>,
    pub(crate) tracks: Vec<Track>,
    /// Alerts of its silence, or that of its series, that are there.
    pub(crate) silences: u16,
    /// When it is looked at next, as its source has it noted.
    pub(crate) queued_us: i64,
    /// Rows by minute of receipt: which, how many so far, how many in the one before.
    minute: i64,
    rows: u32,
    rows_before: u32,
}

/// One metric of a device: two lines of a processor's cache.
#[derive(Debug, Clone)]
#[repr(align(64))]
pub(crate) struct Series {
    pub(crate) metric: u32,
    pub(crate) unit: u32,
    pub(crate) quality: Quality,
    pub(crate) parameter: Option<Parameter>,
    /// The newest event that was seen.
    pub(crate) event_us: i64,
    /// When it was heard last.
    pub(crate) received_us: i64,
    /// Since when all its rows are late, or [`NEVER`].
    pub(crate) late_since_us: i64,
    /// NaN: there is none.
    pub(crate) value: f64,
    pub(crate) text: Option<Box<str>>,
    /// Rows by quality.
    pub(crate) counts: [u32; 4],
    pub(crate) late: u32,
    /// The tracks that its rows go to.
    pub(crate) feeds: SmallVec<[u16; 8]>,
}

/// What a row is to its series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// It is the newest.
    Newest,
    /// It is not.
    Late,
    /// It is not, and none was for so long that the device's clock must have been set back.
    Anew,
}

impl Device {
    pub(crate) fn new(name: &str, site: u32, source: u32, mark: Mark) -> Self {
        Self {
            name: name.into(),
            site,
            source,
            received_us: NEVER,
            mark,
            series: Vec::new(),
            tracks: Vec::new(),
            silences: 0,
            queued_us: NOT_DUE,
            minute: NEVER,
            rows: 0,
            rows_before: 0,
        }
    }

    /// A row was heard.
    pub(crate) fn hear(&mut self, mark: Mark, received_us: i64) {
        let minute = received_us.div_euclid(MINUTE_US);
        if minute > self.minute {
            self.rows_before = if minute == self.minute.saturating_add(1) { self.rows } else { 0 };
            (self.minute, self.rows) = (minute, 0);
        }
        self.rows = self.rows.saturating_add(1);
        self.received_us = self.received_us.max(received_us);
        self.mark = mark;
    }

    /// Its source's clock was set back: nothing was heard after this.
    pub(crate) fn set_back(&mut self, received_us: i64) {
        self.received_us = self.received_us.min(received_us);
        self.minute = NEVER;
        for series in &mut self.series {
            series.received_us = series.received_us.min(received_us);
        }
        for open in self.tracks.iter_mut().filter_map(|track| track.open.as_mut()) {
            open.told_us = open.told_us.min(received_us);
        }
        self.queued_us = NOT_DUE;
    }

    /// Rows in the last full minute before `now_us`.
    pub(crate) fn rate(&self, now_us: i64) -> u32 {
        match now_us.div_euclid(MINUTE_US).saturating_sub(self.minute) {
            0 => self.rows_before,
            1 => self.rows,
            _ => 0,
        }
    }

    /// Whether time alone can move anything of it.
    pub(crate) fn has_clock(&self, rules: &[Rule]) -> bool {
        self.tracks.iter().any(|track| rules[usize::from(track.rule)].is_silence())
    }

    /// Finds or makes the tracks of its silence.
    pub(crate) fn attach(&mut self, rules: &[Rule], site: &str) {
        for (number, rule) in (0..).zip(rules) {
            if rule.is_silence_of(site, &self.name, None) {
                self.track(number, WHOLE);
            }
        }
    }

    /// Finds or makes the tracks that a series feeds.
    pub(crate) fn attach_series(&mut self, at: usize, rules: &[Rule], site: &str, metric: &str) {
        let own = self.series[at].metric;
        let mut feeds = SmallVec::new();
        for (number, rule) in (0..).zip(rules) {
            if rule.is_for(site, &self.name, metric) {
                let whole = if rule.is_of_whole_device() { WHOLE } else { own };
                feeds.extend(self.track(number, whole));
            } else if rule.is_silence_of(site, &self.name, Some(metric)) {
                self.track(number, own);
            }
        }
        self.series[at].feeds = feeds;
    }

    fn track(&mut self, rule: u16, metric: u32) -> Option<u16> {
        let found =
            self.tracks.iter().position(|track| track.rule == rule && track.metric == metric);
        let at = found.unwrap_or(self.tracks.len());
        if found.is_none() {
            self.tracks.push(Track::new(rule, metric));
        }
        u16::try_from(at).ok()
    }

    /// Where the series of a metric is.
    pub(crate) fn series_of(&self, metric: u32) -> Option<usize> {
        self.series.iter().position(|own| own.metric == metric)
    }

    /// When what a track is about was heard last.
    pub(crate) fn heard(&self, track: &Track) -> i64 {
        if track.metric == WHOLE {
            return self.received_us;
        }
        let series = self.series.iter().find(|series| series.metric == track.metric);
        series.map_or(self.received_us, |series| series.received_us)
    }

    pub(crate) fn has_alert(&self) -> bool {
        self.tracks.iter().any(|track| track.open.is_some())
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.text(&self.name);
        out.unsigned(self.site.into());
        out.unsigned(self.source.into());
        out.time(self.received_us);
        out.base_us = self.received_us;
        self.mark.write(out);
        out.signed(self.minute);
        out.unsigned(self.rows.into());
        out.unsigned(self.rows_before.into());
        out.count(self.series.len());
        for series in &self.series {
            series.write(out);
        }
        out.count(self.tracks.len());
        for track in &self.tracks {
            track.write(out);
        }
    }

    /// Without what follows from the rules: [`Self::attach`].
    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let mut device = Self::new(from.text()?, from.number()?, from.number()?, Mark::default());
        device.received_us = from.time()?;
        from.base_us = device.received_us;
        device.mark = Mark::read(from)?;
        device.minute = from.signed()?;
        (device.rows, device.rows_before) = (from.number()?, from.number()?);
        for _ in 0..from.count()? {
            device.series.push(Series::read(from)?);
        }
        for _ in 0..from.count()? {
            device.tracks.push(Track::read(from)?);
        }
        Ok(device)
    }

    /// What it takes in memory, roughly, beyond itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        let series: usize = self.series.iter().map(Series::heap_bytes).sum();
        let tracks: usize = self.tracks.iter().map(Track::heap_bytes).sum();
        self.name.len()
            + self.series.capacity() * size_of::<Series>()
            + self.tracks.capacity() * size_of::<Track>()
            + series
            + tracks
    }
}

const _: () = assert!(size_of::<Series>() == 128, "a series is two lines of the cache");

impl Series {
    pub(crate) fn new(metric: u32, unit: u32, parameter: Option<Parameter>) -> Self {
        Self {
            metric,
            unit,
            quality: Quality::Bad,
            parameter,
            event_us: NEVER,
            received_us: NEVER,
            late_since_us: NEVER,
            value: f64::NAN,
            text: None,
            counts: [0; 4],
            late: 0,
            feeds: SmallVec::new(),
        }
    }

    /// Takes a row's place in time: late rows are counted, and change nothing else.
    pub(crate) fn order(&mut self, row: &Reading<'_>, at_us: i64) -> Order {
        let count = &mut self.counts[row.quality as usize];
        *count = count.saturating_add(1);
        self.received_us = self.received_us.max(row.received_us);
        if at_us > self.event_us {
            self.late_since_us = NEVER;
            self.event_us = at_us;
            return Order::Newest;
        }
        if at_us < self.event_us {
            if self.late_since_us == NEVER {
                self.late_since_us = row.received_us;
            } else if row.received_us.saturating_sub(self.late_since_us)
                >= crate::limits::LATE_MAX_US
            {
                self.late_since_us = NEVER;
                self.event_us = at_us;
                return Order::Anew;
            }
        }
        self.late = self.late.saturating_add(1);
        Order::Late
    }

    /// Keeps a row's value as the last.
    pub(crate) fn keep(&mut self, row: &Reading<'_>, unit: u32) {
        self.unit = unit;
        self.quality = row.quality;
        self.value = row.value.unwrap_or(f64::NAN);
        let text = row.text.map(|text| {
            let end =
                (0..=TEXT_BYTES_MAX.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
            &text[..end.unwrap_or(0)]
        });
        if self.text.as_deref() != text {
            self.text = text.map(Into::into);
        }
    }

    fn heap_bytes(&self) -> usize {
        let feeds = if self.feeds.spilled() { self.feeds.capacity() * 2 } else { 0 };
        feeds + self.text.as_ref().map_or(0, |text| text.len())
    }

    fn write(&self, out: &mut Writer) {
        out.unsigned(self.metric.into());
        out.unsigned(self.unit.into());
        out.byte(self.quality as u8);
        for us in [self.event_us, self.received_us, self.late_since_us] {
            out.time(us);
        }
        // One spelling of "none".
        out.double(if self.value.is_nan() { f64::NAN } else { self.value });
        out.byte(u8::from(self.text.is_some()));
        if let Some(text) = &self.text {
            out.text(text);
        }
        for count in self.counts {
            out.unsigned(count.into());
        }
        out.unsigned(self.late.into());
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let mut series = Self::new(from.number()?, from.number()?, None);
        series.quality = *Quality::ALL.get(usize::from(from.byte()?)).ok_or(Broken)?;
        (series.event_us, series.received_us, series.late_since_us) =
            (from.time()?, from.time()?, from.time()?);
        series.value = from.double()?;
        series.text = match from.byte()? {
            0 => None,
            1 => Some(from.text()?.into()),
            _ => return Err(Broken),
        };
        for count in &mut series.counts {
            *count = from.number()?;
        }
        series.late = from.number()?;
        Ok(series)
    }
}
