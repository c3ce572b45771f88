//! Time: what becomes silent, is heard again, is repeated, or is no longer silenced.
//!
//! A source's time is the newest receipt of its rows, or what its shell says while it is there and caught up. Silence becomes true
//! at `last heard + after`, whenever that is found out. A device whose source as a whole was not heard for half of that is not
//! told of by itself: it is the source that is silent, and one alert says so for all. When the source is heard again, its devices
//! have their full time once more.

use crate::condition::Condition;
use crate::device::Device;
use crate::life::Event;
use crate::reading::Mark;
use crate::rules::Rule;
use crate::scene::{Scene, Step, Subject};
use crate::source::{Presence, Source, SourceState};
use crate::track::{NEVER, NOT_DUE, Track, WHOLE};
use crate::transition::Transition;
use crate::watch::{Watch, nobody};

use std::cmp::Reverse;

impl Watch {
    /// What is known of a source has changed.
    pub fn source(&mut self, source: &str, state: SourceState, out: &mut Vec<Transition>) {
        let Some(number) = self.source_number(source) else {
            self.counts.beyond_limits += 1;
            return;
        };
        let before = self.sources[number as usize].presence;
        let (presence, at_us) = match state {
            SourceState::Here { heard_us } => (Presence::Here, heard_us),
            SourceState::Behind { heard_us } => (Presence::Behind, heard_us),
            SourceState::Away { since_us } => (Presence::Away, since_us),
        };
        if before == Presence::Here && presence != Presence::Here {
            // Until then it was there, and silence counted.
            self.advance(number, at_us, out);
        }
        let own = &mut self.sources[number as usize];
        own.presence = presence;
        if before != Presence::Here && presence == Presence::Here {
            own.here_since_us = own.here_since_us.max(at_us);
            self.source_again(number, at_us, out);
        }
    }

    /// A source's time has come to here. Of a source that is behind nothing is known of its time but by its rows.
    pub fn tick(&mut self, source: &str, stream_us: i64, out: &mut Vec<Transition>) {
        let Some(number) = self.source_names.find(source) else { return };
        if self.sources[number as usize].presence != Presence::Behind {
            self.advance(number, stream_us, out);
        }
    }

    /// Brings a source's time to `to_us`, and tells what became due, in order of when.
    pub(crate) fn advance(&mut self, source: u32, to_us: i64, out: &mut Vec<Transition>) {
        if to_us <= self.sources[source as usize].stream_us {
            return;
        }
        loop {
            let own = &self.sources[source as usize];
            let queued = own.queue.peek().map_or((NOT_DUE, 0), |Reverse(queued)| *queued);
            let (group_us, group) = own.due(&self.rules.rules);
            if queued.0.min(group_us) > to_us {
                break;
            }
            if group_us <= queued.0 {
                self.group_due(source, group, group_us, out);
            } else {
                self.device_due(source, queued, out);
            }
        }
        self.sources[source as usize].stream_us = to_us;
    }

    /// Follows a source's clock that was set back: else its time would stand still until the clock has caught up, and nothing would
    /// be silent.
    pub(crate) fn follow_clock(&mut self, source: u32, received_us: i64) {
        let own = &mut self.sources[source as usize];
        if !own.is_set_back(received_us) {
            return;
        }
        self.counts.clocks_set_back += 1;
        (own.stream_us, own.heard_us, own.here_since_us) = (received_us, received_us, received_us);
        own.back_since_us = NEVER;
        own.queue.clear();
        for open in own.groups.iter_mut().filter_map(|track| track.open.as_mut()) {
            open.told_us = open.told_us.min(received_us);
        }
        for number in 0..u32::try_from(self.devices.len()).unwrap_or(u32::MAX) {
            let device = &mut self.devices[number as usize];
            if device.source == source {
                device.set_back(received_us);
                self.requeue(number);
            }
        }
    }

    /// The source as a whole is silent, or its alert is repeated.
    fn group_due(&mut self, source: u32, at: usize, due_us: i64, out: &mut Vec<Transition>) {
        let Self { rules, names, source_names, windows, sources, .. } = self;
        let windows = [rules.maintenance.as_slice(), windows.as_slice()];
        let scene = Scene { rules: &rules.rules, names, sources: source_names, windows };
        let own = &mut sources[source as usize];
        let nobody = nobody();
        let subject = Subject { site: own.site, device: &nobody, source };
        let track = &mut own.groups[at];
        let raised = track.state.is_raised();
        let event = if raised { timed(track) } else { Event::Hold };
        let value = (!raised).then(|| format!("source silent, {} devices", own.members));
        let step = Step { value, ..Step::new(event, due_us, due_us, own.mark) };
        scene.step(subject, track, step, out);
    }

    /// Whether time would move something of a source's devices by then.
    pub(crate) fn is_due(&self, source: u32, to_us: i64) -> bool {
        let own = &self.sources[source as usize];
        own.queue.iter().any(|Reverse((queued_us, number))| {
            let device = self.devices.get(*number as usize);
            *queued_us <= to_us
                && device.is_some_and(|device| {
                    device.queued_us == *queued_us
                        && device.source == source
                        && due(device, own, &self.rules.rules).0 <= to_us
                })
        })
    }

    /// A device is to be looked at.
    fn device_due(
        &mut self,
        source: u32,
        (queued_us, number): (i64, u32),
        out: &mut Vec<Transition>,
    ) {
        self.sources[source as usize].queue.pop();
        let Some(device) = self.devices.get_mut(number as usize) else { return };
        if device.queued_us != queued_us || device.source != source {
            return;
        }
        device.queued_us = NOT_DUE;
        let due = due(device, &self.sources[source as usize], &self.rules.rules);
        if due.0 == queued_us {
            self.track_due(source, number, due, out);
        }
        self.requeue(number);
    }

    fn track_due(
        &mut self,
        source: u32,
        number: u32,
        (due_us, at): (i64, usize),
        out: &mut Vec<Transition>,
    ) {
        let Self { rules, names, source_names, windows, sources, devices, .. } = self;
        let device = &mut devices[number as usize];
        let rule_number = device.tracks[at].rule;
        let rule = &rules.rules[usize::from(rule_number)];
        let raised = device.tracks[at].state.is_raised();
        let own = &sources[source as usize];
        if let (false, Condition::Silent { after_us, .. }) = (raised, &rule.condition)
            && own.members > 1
            && due_us.saturating_sub(own.heard_us) >= after_us / 2
            && let Some(group) = own.groups.iter().position(|group| group.rule == rule_number)
        {
            self.group_due(source, group, due_us, out);
            return;
        }
        let windows = [rules.maintenance.as_slice(), windows.as_slice()];
        let scene = Scene { rules: &rules.rules, names, sources: source_names, windows };
        let cause = device.mark;
        let Device { name, site, tracks, silences, .. } = device;
        let subject = Subject { site: *site, device: name, source };
        let track = &mut tracks[at];
        let event = if raised { timed(track) } else { Event::Hold };
        let step = Step::new(event, due_us, due_us, cause);
        if scene.step(subject, track, step, out) && !raised {
            *silences += 1;
        }
    }

    /// A row of the source was heard.
    pub(crate) fn hear_source(
        &mut self,
        source: u32,
        mark: Mark,
        received_us: i64,
        out: &mut Vec<Transition>,
    ) {
        let own = &mut self.sources[source as usize];
        own.heard_us = own.heard_us.max(received_us);
        own.mark = mark;
        if own.groups.iter().any(|track| track.open.is_some()) {
            self.source_again(source, received_us, out);
        }
    }

    /// The source is there again: its own silence is over, and that of its devices counts from here on.
    fn source_again(&mut self, source: u32, at_us: i64, out: &mut Vec<Transition>) {
        let Self { rules, names, source_names, windows, sources, devices, .. } = self;
        let windows = [rules.maintenance.as_slice(), windows.as_slice()];
        let scene = Scene { rules: &rules.rules, names, sources: source_names, windows };
        let own = &mut sources[source as usize];
        own.here_since_us = own.here_since_us.max(at_us);
        let nobody = nobody();
        let subject = Subject { site: own.site, device: &nobody, source };
        for track in own.groups.iter_mut().filter(|track| track.open.is_some()) {
            scene.step(subject, track, Step::new(Event::Clear, at_us, at_us, own.mark), out);
        }
        for number in 0..u32::try_from(devices.len()).unwrap_or(u32::MAX) {
            if self.devices[number as usize].source == source {
                self.requeue(number);
            }
        }
    }

    /// A device that was silent is heard: by any row, or by one of its series.
    pub(crate) fn heard_again(
        &mut self,
        number: u32,
        series: Option<usize>,
        out: &mut Vec<Transition>,
    ) {
        let Self { rules, names, source_names, windows, devices, .. } = self;
        let windows = [rules.maintenance.as_slice(), windows.as_slice()];
        let scene = Scene { rules: &rules.rules, names, sources: source_names, windows };
        let device = &mut devices[number as usize];
        let metric = series.map_or(WHOLE, |at| device.series[at].metric);
        let (at_us, cause) = (device.received_us, device.mark);
        let Device { name, site, source, tracks, silences, .. } = device;
        let subject = Subject { site: *site, device: name, source: *source };
        for track in
            tracks.iter_mut().filter(|track| track.metric == metric && track.open.is_some())
        {
            if scene.rules[usize::from(track.rule)].is_silence()
                && scene.step(subject, track, Step::new(Event::Clear, at_us, at_us, cause), out)
            {
                *silences -= 1;
            }
        }
        self.requeue(number);
    }

    /// Notes when a device is to be looked at next, if that is earlier than noted.
    pub(crate) fn requeue(&mut self, number: u32) {
        let device = &mut self.devices[number as usize];
        let source = &mut self.sources[device.source as usize];
        let (due_us, _) = due(device, source, &self.rules.rules);
        if due_us < device.queued_us {
            device.queued_us = due_us;
            source.queue.push(Reverse((due_us, number)));
        }
    }
}

/// What time does to a raised alert.
fn timed(track: &Track) -> Event {
    if track.state == crate::life::State::Silenced { Event::Wake } else { Event::Again }
}

/// What of a device time moves next, and when.
fn due(device: &Device, source: &Source, rules: &[Rule]) -> (i64, usize) {
    let dues = device.tracks.iter().enumerate().map(|(at, track)| {
        let rule = &rules[usize::from(track.rule)];
        let due_us = match rule.condition {
            Condition::Silent { after_us, .. } if !track.state.is_raised() => {
                let counts = source.counts_silence(track.rule);
                let since_us = device.heard(track).max(source.here_since_us);
                if counts { since_us.saturating_add(after_us) } else { NOT_DUE }
            }
            _ => track.due(rule),
        };
        (due_us, at)
    });
    dues.min().unwrap_or((NOT_DUE, 0))
}
