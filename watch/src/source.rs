//! A source: how far its time has come, whether it is known to be there, and the silence of all that is heard through it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::condition::Condition;
use crate::limits::LATE_MAX_US;
use crate::reading::Mark;
use crate::rules::Rule;
use crate::track::{NEVER, NOT_DUE, Track, WHOLE};
use crate::wire::{Broken, Reader, Writer};

/// What is known of a source. One that is away or behind makes its devices unknown: that they are not heard says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceState {
    /// It is there, and what it has is here.
    Here {
        /// Since when.
        heard_us: i64,
    },
    /// It is there, and more of it is on the way.
    Behind {
        /// When it was heard last.
        heard_us: i64,
    },
    /// It is not there.
    Away {
        /// Since when.
        since_us: i64,
    },
}

/// The same, without times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    /// Also as long as nobody said anything.
    Here,
    Behind,
    Away,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Source {
    /// Number of the site's name of the first device heard through it.
    pub(crate) site: u32,
    pub(crate) presence: Presence,
    /// How far its time has come: the newest receipt, or what it was told.
    pub(crate) stream_us: i64,
    /// When it was heard last.
    pub(crate) heard_us: i64,
    /// From when on silence counts: before, it was not there.
    pub(crate) here_since_us: i64,
    /// Since when all its receipts are far behind its time, or [`NEVER`].
    pub(crate) back_since_us: i64,
    /// The last row of it.
    pub(crate) mark: Mark,
    /// Devices of it whose silence a rule is for.
    pub(crate) members: u32,
    /// The silence of the source as a whole, by rule.
    pub(crate) groups: Vec<Track>,
    /// When its devices are to be looked at: (when, device). Made from the devices, not saved. What a device says counts
    /// ([`crate::device::Device::queued_us`]); what else is in here is of no effect.
    pub(crate) queue: BinaryHeap<Reverse<(i64, u32)>>,
}

impl Source {
    pub(crate) fn new(site: u32, mark: Mark) -> Self {
        Self {
            site,
            presence: Presence::Here,
            stream_us: NEVER,
            heard_us: NEVER,
            here_since_us: NEVER,
            back_since_us: NEVER,
            mark,
            members: 0,
            groups: Vec::new(),
            queue: BinaryHeap::new(),
        }
    }

    /// Finds or makes the tracks of its silence: of rules that are for sources, and of those for devices, which stand for all of
    /// them when it is the source that is silent.
    pub(crate) fn attach(&mut self, rules: &[Rule], name: &str) {
        for (number, rule) in (0..).zip(rules) {
            let known = self.groups.iter().any(|track| track.rule == number);
            if !known && rule.is_silence() && rule.source.matches(name) {
                self.groups.push(Track::new(number, WHOLE));
            }
        }
    }

    /// Whether a device's silence says something about the device.
    pub(crate) fn counts_silence(&self, rule: u16) -> bool {
        self.presence == Presence::Here && !self.is_silent(rule)
    }

    fn is_silent(&self, rule: u16) -> bool {
        self.groups.iter().any(|track| track.rule == rule && track.open.is_some())
    }

    /// Whether nothing can be said of its devices.
    pub(crate) fn is_unknown(&self) -> bool {
        self.presence != Presence::Here || self.groups.iter().any(|track| track.open.is_some())
    }

    /// What of its own silence time moves next, and when.
    pub(crate) fn due(&self, rules: &[Rule]) -> (i64, usize) {
        let dues = self.groups.iter().enumerate().map(|(at, track)| {
            let rule = &rules[usize::from(track.rule)];
            let due = if track.state.is_raised() { track.due(rule) } else { self.silent_at(rule) };
            (due, at)
        });
        dues.min().unwrap_or((NOT_DUE, 0))
    }

    /// When it is silent by a rule. Of a rule for devices only if it is known to be away: else the first device that is due tells.
    fn silent_at(&self, rule: &Rule) -> i64 {
        let Condition::Silent { after_us, of_source } = rule.condition else { return NOT_DUE };
        let counts = match self.presence {
            Presence::Behind => false,
            Presence::Here => of_source,
            Presence::Away => of_source || self.members > 0,
        };
        let since_us = self.heard_us.max(self.here_since_us);
        if counts && since_us != NEVER { since_us.saturating_add(after_us) } else { NOT_DUE }
    }

    /// Whether a receipt tells that the source's clock was set back: it and all others for so long are far behind.
    pub(crate) fn is_set_back(&mut self, received_us: i64) -> bool {
        if received_us >= self.stream_us.saturating_sub(LATE_MAX_US) {
            self.back_since_us = NEVER;
            return false;
        }
        if self.back_since_us == NEVER {
            self.back_since_us = received_us;
        }
        received_us.saturating_sub(self.back_since_us) >= LATE_MAX_US
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.groups.capacity() * size_of::<Track>() + self.queue.capacity() * 16
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        out.unsigned(self.site.into());
        out.byte(self.presence as u8);
        for us in [self.stream_us, self.heard_us, self.here_since_us, self.back_since_us] {
            out.time(us);
        }
        self.mark.write(out);
        out.count(self.groups.len());
        for track in &self.groups {
            track.write(out);
        }
    }

    /// Without members and queue, which its devices make.
    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Broken> {
        let mut source = Self::new(from.number()?, Mark::default());
        source.presence = match from.byte()? {
            0 => Presence::Here,
            1 => Presence::Behind,
            2 => Presence::Away,
            _ => return Err(Broken),
        };
        (source.stream_us, source.heard_us) = (from.time()?, from.time()?);
        (source.here_since_us, source.back_since_us) = (from.time()?, from.time()?);
        source.mark = Mark::read(from)?;
        for _ in 0..from.count()? {
            source.groups.push(Track::read(from)?);
        }
        Ok(source)
    }
}
