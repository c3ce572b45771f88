//! One rule on one series, device or source: what it remembers, where its alert is, and its clocks.

use std::sync::Arc;

use crate::condition::{Memory, Truth};
use crate::life::{Event, State};
use crate::limits::{EVIDENCE_MAX, NAME_BYTES_MAX};
use crate::reading::Mark;
use crate::rules::Rule;
use crate::wire::{Broken, Reader, Writer};

/// A time that never was.
pub(crate) const NEVER: i64 = i64::MIN;
/// A time that never comes.
pub(crate) const NOT_DUE: i64 = i64::MAX;
/// In place of a metric: the whole device.
pub(crate) const WHOLE: u32 = u32::MAX;
/// Times of firing that are kept, for telling whether it flaps.
const FIRED_MAX: usize = 16;
/// What was measured, at most, bytes.
const VALUE_BYTES_MAX: usize = 512;

/// See the module. A row meets a handful of a device's: each is in one line of a processor's cache.
#[derive(Debug, Clone, PartialEq)]
#[repr(align(64))]
pub(crate) struct Track {
    pub(crate) rule: u16,
    /// The metric's number, or [`WHOLE`].
    pub(crate) metric: u32,
    pub(crate) state: State,
    /// The row judged last.
    last_us: i64,
    pub(crate) memory: Memory,
    /// Only of an alert that is there.
    pub(crate) open: Option<Box<Open>>,
    /// Only of what ever fired.
    fired: Option<Box<Fired>>,
}

/// When it fired, the last times, oldest first.
#[derive(Debug, Clone, PartialEq, Default)]
struct Fired {
    all: [i64; FIRED_MAX],
    len: u8,
}

impl Fired {
    fn times(&self) -> &[i64] {
        &self.all[..usize::from(self.len)]
    }

    fn push(&mut self, at_us: i64) {
        if usize::from(self.len) == FIRED_MAX {
            self.all.rotate_left(1);
            self.len -= 1;
        }
        self.all[usize::from(self.len)] = at_us;
        self.len += 1;
    }
}

/// An alert that is there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Open {
    pub(crate) id: u128,
    /// The condition is true since.
    since_us: i64,
    /// The condition is false since, or [`NEVER`].
    calm_us: i64,
    /// Silenced until.
    pub(crate) until_us: i64,
    /// When it was told last, by the source's time.
    pub(crate) told_us: i64,
    pub(crate) repeats: u16,
    pub(crate) cause: Mark,
    pub(crate) evidence: Vec<Mark>,
    pub(crate) value: String,
    /// Who acknowledged or silenced it.
    pub(crate) by: Option<Arc<str>>,
}

impl Track {
    pub(crate) fn new(rule: u16, metric: u32) -> Self {
        let (memory, open, fired) = (Memory::Nothing, None, None);
        Self { rule, metric, state: State::Resolved, last_us: NEVER, memory, open, fired }
    }

    /// The time at which a row is judged: never before the last.
    pub(crate) fn time_of(&self, at_us: i64) -> i64 {
        at_us.max(self.last_us)
    }

    /// Takes what a row says of the condition. Returns what happens to the alert, and when it did.
    pub(crate) fn take(&mut self, rule: &Rule, truth: Truth, at_us: i64) -> Option<(Event, i64)> {
        let apart = self.last_us != NEVER && at_us.saturating_sub(self.last_us) > rule.gap_us;
        self.last_us = at_us;
        if self.state == State::Resolved {
            let event = if rule.for_us == 0 { Event::Hold } else { Event::Rise };
            return (truth == Truth::Met).then_some((event, at_us));
        }
        let raised = self.state.is_raised();
        let calm_for_us = self.calm_for(rule, at_us);
        let open = self.open.as_mut()?;
        match (raised, truth) {
            (false, Truth::Met) if apart => {
                open.since_us = at_us;
                None
            }
            (false, Truth::Met) => {
                let due_us = open.since_us.saturating_add(rule.for_us);
                (at_us >= due_us).then_some((Event::Hold, due_us))
            }
            (false, _) => Some((Event::Drop, at_us)),
            (true, Truth::Cleared) => {
                if open.calm_us == NEVER {
                    open.calm_us = at_us;
                }
                let due_us = open.calm_us.saturating_add(calm_for_us);
                (at_us >= due_us).then_some((Event::Clear, due_us))
            }
            (true, _) => {
                open.calm_us = NEVER;
                None
            }
        }
    }

    /// For how long the condition must be false: longer if the alert comes and goes.
    fn calm_for(&self, rule: &Rule, at_us: i64) -> i64 {
        let calm_us = self.open.as_ref().map_or(at_us, |open| open.calm_us);
        let since_us = if calm_us == NEVER { at_us } else { calm_us };
        let from_us = since_us.saturating_sub(rule.flapping.within_us);
        let fired = self.fired_us().iter().filter(|fired_us| **fired_us > from_us).count();
        let flaps = fired >= usize::from(rule.flapping.times);
        if flaps { rule.clear_for_us.max(rule.flapping.calm_us) } else { rule.clear_for_us }
    }

    /// The alert is there from here on.
    pub(crate) fn begin(&mut self, id: u128, at_us: i64, cause: Mark) {
        self.open = Some(Box::new(Open {
            id,
            since_us: at_us,
            calm_us: NEVER,
            until_us: NEVER,
            told_us: NEVER,
            repeats: 0,
            cause,
            evidence: Vec::new(),
            value: String::new(),
            by: None,
        }));
    }

    fn fired_us(&self) -> &[i64] {
        self.fired.as_ref().map_or(&[], |fired| fired.times())
    }

    /// It fires, for the nth time.
    pub(crate) fn fires(&mut self, at_us: i64) {
        self.fired.get_or_insert_default().push(at_us);
    }

    /// A row by which the condition is true.
    pub(crate) fn witness(&mut self, mark: Mark) {
        if let Some(open) = &mut self.open
            && open.evidence.len() < EVIDENCE_MAX
            && open.evidence.last() != Some(&mark)
        {
            open.evidence.push(mark);
        }
    }

    /// When time alone moves the alert: its silence ends, or it is repeated.
    pub(crate) fn due(&self, rule: &Rule) -> i64 {
        let Some(open) = &self.open else { return NOT_DUE };
        match self.state {
            State::Silenced => open.until_us,
            State::Firing if rule.repeat_us > 0 && open.repeats < crate::limits::REPEATS_MAX => {
                open.told_us.saturating_add(rule.repeat_us)
            }
            _ => NOT_DUE,
        }
    }

    /// The device's clock was set back: what was remembered is of another time.
    pub(crate) fn restart(&mut self, at_us: i64) {
        self.memory = Memory::Nothing;
        self.last_us = NEVER;
        self.fired = None;
        if let Some(open) = &mut self.open {
            open.since_us = at_us;
            open.calm_us = NEVER;
        }
    }

    /// What it takes in memory, roughly, beyond itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        let open = self.open.as_ref().map_or(0, |open| {
            size_of::<Open>() + open.evidence.capacity() * size_of::<Mark>() + open.value.capacity()
        });
        let fired = self.fired.as_ref().map_or(0, |_| size_of::<Fired>());
        open + fired + self.memory.heap_bytes()
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.unsigned(self.rule.into());
        out.unsigned(self.metric.into());
        out.byte(self.state as u8);
        out.time(self.last_us);
        self.memory.write(out);
        out.count(self.fired_us().len());
        for fired_us in self.fired_us() {
            out.time(*fired_us);
        }
        let Some(open) = &self.open else { return };
        out.wide(open.id);
        for us in [open.since_us, open.calm_us, open.until_us, open.told_us] {
            out.time(us);
        }
        out.unsigned(open.repeats.into());
        open.cause.write(out);
        out.count(open.evidence.len());
        for mark in &open.evidence {
            mark.write(out);
        }
        out.text(&open.value);
        out.text(open.by.as_deref().unwrap_or_default());
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let mut track = Self::new(from.number()?, from.number()?);
        let state = usize::from(from.byte()?);
        track.state = *State::ALL.get(state).ok_or(Broken)?;
        track.last_us = from.time()?;
        track.memory = Memory::read(from)?;
        for _ in 0..within(from.count()?, FIRED_MAX)? {
            track.fires(from.time()?);
        }
        if track.state == State::Resolved {
            return Ok(track);
        }
        let id = from.wide()?;
        let [since_us, calm_us, until_us, told_us] =
            [from.time()?, from.time()?, from.time()?, from.time()?];
        let repeats = from.number()?;
        let cause = Mark::read(from)?;
        let evidence = (0..within(from.count()?, EVIDENCE_MAX)?).map(|_| Mark::read(from));
        let evidence = evidence.collect::<Result<_, _>>()?;
        let value = from.text()?;
        within(value.len(), VALUE_BYTES_MAX)?;
        let value = value.to_owned();
        let by = from.text()?;
        within(by.len(), NAME_BYTES_MAX)?;
        let by = (!by.is_empty()).then(|| by.into());
        track.open = Some(Box::new(Open {
            id,
            since_us,
            calm_us,
            until_us,
            told_us,
            repeats,
            cause,
            evidence,
            value,
            by,
        }));
        Ok(track)
    }
}

impl Open {
    /// Who acts on it; of a name that is too long the beginning.
    pub(crate) fn acts(&mut self, by: &Arc<str>) {
        let mut end = by.len().min(NAME_BYTES_MAX);
        while !by.is_char_boundary(end) {
            end -= 1;
        }
        self.by = by.get(..end).map(Arc::from);
    }

    /// What was measured, cut to what is kept.
    pub(crate) fn says(&mut self, mut value: String) {
        let end =
            (0..=VALUE_BYTES_MAX.min(value.len())).rev().find(|end| value.is_char_boundary(*end));
        value.truncate(end.unwrap_or(0));
        self.value = value;
    }
}

const _: () = assert!(size_of::<Track>() == 64, "a track is a line of the cache");

fn within(count: usize, most: usize) -> Result<usize, Broken> {
    if count > most { Err(Broken) } else { Ok(count) }
}

impl Mark {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.unsigned(self.source.into());
        out.signed(self.epoch);
        out.signed(self.offset);
        out.signed(self.row_no.into());
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let (source, epoch, offset) = (from.number()?, from.signed()?, from.signed()?);
        let row_no = i32::try_from(from.signed()?).map_err(|_| Broken)?;
        Ok(Self { source, row_no, epoch, offset })
    }
}
