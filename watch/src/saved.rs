//! The state as bytes: the same state is the same bytes, and what was saved goes on as if it had not been.
//!
//! ```text
//! "TMWS" | version u8 | rules: count, (name, version) each | names | sources: count, (name, source) each
//! | windows: count, (site, device, from, until) each | devices: count, device each | xxh3 u64 of all before
//! ```
//!
//! Numbers as in `wire`; times of a device are apart from when it was heard last (in version 1 they were as they are). What follows
//! from the rest (indexes, queues, which rules a series feeds) is not written. Alerts of rules that are gone or say something else now
//! are resolved when it is loaded.

use xxhash_rust::xxh3::xxh3_64;

use crate::device::Device;
use crate::life::Event;
use crate::limits::Limits;
use crate::names::Names;
use crate::news2::Parameter;
use crate::pattern::Pattern;
use crate::rules::{Rule, Rules, Window};
use crate::scene::{Scene, Step, Subject};
use crate::source::Source;
use crate::track::{Track, WHOLE};
use crate::transition::{Reason, Transition};
use crate::watch::{Watch, nobody};
use crate::wire::{Broken, Reader, Writer};

const MAGIC: &[u8; 4] = b"TMWS";
/// The version that is written; all before it are read.
const VERSION: u8 = 2;
const CHECKSUM: usize = 8;
/// What a device takes, about.
const DEVICE_BYTES: usize = 512;

/// A state that can't be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// It is of a later version.
    #[error(
        "the state has version {0}, this program reads up to {VERSION}: use the newer program, or rebuild the state from the lake"
    )]
    Version(u8),
    /// It is none, or cut off, or altered.
    #[error("the state is damaged: rebuild it from the lake")]
    Damaged,
}

impl From<Broken> for StateError {
    fn from(_: Broken) -> Self {
        Self::Damaged
    }
}

/// The rules that a state was saved with, and which are these of now: by number.
struct Known<'a> {
    /// Name and version.
    saved: Vec<(&'a str, &'a str)>,
    now: Vec<Option<u16>>,
}

impl Watch {
    /// The state as bytes.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let mut out =
            Writer { bytes: Vec::with_capacity(self.devices.len() * DEVICE_BYTES), base_us: 0 };
        out.bytes.extend(MAGIC);
        out.byte(VERSION);
        out.count(self.rules.rules.len());
        for (name, version) in self.rules.names() {
            out.text(name);
            out.text(version);
        }
        out.count(self.names.all().len());
        self.names.all().iter().for_each(|name| out.text(name));
        out.count(self.sources.len());
        for (name, source) in self.source_names.all().iter().zip(&self.sources) {
            out.text(name);
            source.write(&mut out);
        }
        out.count(self.windows.len());
        for window in &self.windows {
            out.text(window.site.text());
            out.text(window.device.text());
            out.signed(window.from_us);
            out.signed(window.until_us);
        }
        out.count(self.devices.len());
        self.devices.iter().for_each(|device| device.write(&mut out));
        let sum = xxh3_64(&out.bytes);
        out.bytes.extend(sum.to_le_bytes());
        out.bytes
    }

    /// Goes on from a state that was saved. Alerts whose rules are gone, or say something else now, are resolved in `out`.
    ///
    /// # Errors
    /// What can't be read; bytes that were altered are never taken for a state.
    pub fn load(
        bytes: &[u8],
        rules: Rules,
        limits: Limits,
        out: &mut Vec<Transition>,
    ) -> Result<Self, StateError> {
        let (body, sum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(StateError::Damaged)?;
        let rest = body.strip_prefix(MAGIC).ok_or(StateError::Damaged)?;
        let (&version, rest) = rest.split_first().ok_or(StateError::Damaged)?;
        match version {
            version if version > VERSION => return Err(StateError::Version(version)),
            1.. if xxh3_64(body) == u64::from_le_bytes(*sum) => {}
            _ => return Err(StateError::Damaged),
        }
        let mut from = Reader { plain: version == 1, ..Reader::new(rest) };
        let known = Known::read(&mut from, &rules.rules)?;
        let mut watch = Self::new(rules, limits);
        watch.read_names(&mut from)?;
        watch.read_sources(&mut from)?;
        for _ in 0..from.count()? {
            let (site, device) = (Pattern::new(from.text()?), Pattern::new(from.text()?));
            let (from_us, until_us) = (from.signed()?, from.signed()?);
            watch.windows.push(Window { site, device, from_us, until_us });
        }
        for _ in 0..from.count()? {
            let device = Device::read(&mut from)?;
            watch.devices.push(device);
        }
        if !from.bytes.is_empty() || !watch.is_sound(&known) {
            return Err(StateError::Damaged);
        }
        watch.adopt(&known, out);
        Ok(watch)
    }

    fn read_names(&mut self, from: &mut Reader<'_>) -> Result<(), Broken> {
        self.names = Names::default();
        for number in 0..from.count()? {
            let taken = self.names.take(from.text()?, usize::MAX);
            if taken != u32::try_from(number).ok() {
                return Err(Broken);
            }
        }
        Ok(())
    }

    fn read_sources(&mut self, from: &mut Reader<'_>) -> Result<(), Broken> {
        for number in 0..from.count()? {
            let taken = self.source_names.take(from.text()?, usize::MAX);
            if taken != u32::try_from(number).ok() {
                return Err(Broken);
            }
            self.sources.push(Source::read(from)?);
        }
        Ok(())
    }

    /// Whether all numbers in it name something.
    fn is_sound(&self, known: &Known<'_>) -> bool {
        let name = |number: u32| (number as usize) < self.names.all().len();
        let source = |number: u32| (number as usize) < self.sources.len();
        let track = |track: &Track| {
            let marks =
                track.open.iter().flat_map(|open| open.evidence.iter().chain([&open.cause]));
            usize::from(track.rule) < known.saved.len()
                && (track.metric == WHOLE || name(track.metric))
                && marks.into_iter().all(|mark| source(mark.source))
        };
        let sources = self.sources.iter();
        let devices = self.devices.iter();
        name(0)
            && sources.into_iter().all(|own| {
                name(own.site) && source(own.mark.source) && own.groups.iter().all(track)
            })
            && devices.into_iter().all(|device| {
                name(device.site)
                    && source(device.source)
                    && source(device.mark.source)
                    && device.series.iter().all(|series| name(series.metric) && name(series.unit))
                    && device.tracks.iter().all(track)
            })
    }

    /// Takes over what is of rules of now, ends what is not, and makes what follows from both.
    fn adopt(&mut self, known: &Known<'_>, out: &mut Vec<Transition>) {
        let (mut sources, mut devices) =
            (std::mem::take(&mut self.sources), std::mem::take(&mut self.devices));
        let nobody = nobody();
        for (number, source) in (0..).zip(&mut sources) {
            let subject = Subject { site: source.site, device: &nobody, source: number };
            let heard_us = source.stream_us;
            source.groups.retain_mut(|track| self.keeps(known, track, subject, heard_us, out));
            source.attach(&self.rules.rules, self.source_names.get(number));
        }
        for device in &mut devices {
            let heard_us = sources[device.source as usize].stream_us;
            let Device { name, site, source, tracks, .. } = device;
            let subject = Subject { site: *site, device: name, source: *source };
            tracks.retain_mut(|track| self.keeps(known, track, subject, heard_us, out));
            let site = self.names.get(device.site).clone();
            device.attach(&self.rules.rules, &site);
            for at in 0..device.series.len() {
                let metric = self.names.get(device.series[at].metric).clone();
                device.series[at].parameter = Parameter::of_metric(&metric);
                device.attach_series(at, &self.rules.rules, &site, &metric);
            }
            let silent = device.tracks.iter().filter(|track| {
                track.open.is_some() && self.rules.rules[usize::from(track.rule)].is_silence()
            });
            device.silences = u16::try_from(silent.count()).unwrap_or(u16::MAX);
        }
        (self.sources, self.devices) = (sources, devices);
        self.rebuild();
    }

    /// Whether a track is of a rule of now; if not, its alert ends.
    fn keeps(
        &self,
        known: &Known<'_>,
        track: &mut Track,
        subject: Subject<'_>,
        heard_us: i64,
        out: &mut Vec<Transition>,
    ) -> bool {
        let saved = usize::from(track.rule);
        let fits = |rule: u16| self.rules.rules[usize::from(rule)].condition.fits(&track.memory);
        if let Some(now) = known.now[saved].filter(|rule| fits(*rule)) {
            track.rule = now;
            return true;
        }
        let Some(open) = &track.open else { return false };
        let event = if track.state.is_raised() { Event::Clear } else { Event::Drop };
        let step = Step {
            reason: Reason::RuleChanged,
            ..Step::new(event, heard_us, heard_us, open.cause)
        };
        let (name, version) = known.saved[saved];
        let gone = [Rule::gone(name, version)];
        let scene = Scene {
            rules: &gone,
            names: &self.names,
            sources: &self.source_names,
            windows: [&[], &[]],
        };
        track.rule = 0;
        scene.step(subject, track, step, out);
        false
    }
}

impl<'a> Known<'a> {
    fn read(from: &mut Reader<'a>, rules: &[Rule]) -> Result<Self, Broken> {
        let mut known = Self { saved: Vec::new(), now: Vec::new() };
        for _ in 0..from.count()? {
            let (name, version) = (from.text()?, from.text()?);
            let same = |rule: &Rule| rule.name.as_ref() == name && rule.version.as_ref() == version;
            let now = rules.iter().position(same).and_then(|at| u16::try_from(at).ok());
            known.saved.push((name, version));
            known.now.push(now);
        }
        Ok(known)
    }
}
