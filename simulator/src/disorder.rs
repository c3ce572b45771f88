//! Disorder on request: duplicates, reordering and malformed messages, drawn from their own stream.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use crate::config;
use crate::message::{Expectation, Message, Planned, StreamKind};
use crate::plan::PlanError;
use crate::seeded::Stream;

/// Messages held back at once; beyond it the oldest is let go.
const HELD_MAX: usize = 256;
/// A held message is overtaken by at most so many of its device.
const OVERTAKEN_MAX: u64 = 8;

/// Whether a message is sent for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// The first time.
    First,
    /// Once more, on purpose.
    Repeat,
    /// Malformed on purpose.
    Malformed,
}

/// A message to send now.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// When it is due, in simulated microseconds since the start.
    pub due_us: i64,
    /// What to send.
    pub message: Message,
    /// Whether it was sent before.
    pub copy: Sending,
}

/// Disturbs a plan.
pub struct Disorder<P> {
    plan: P,
    config: config::Disorder,
    stream: Stream,
    held: VecDeque<(Planned, u64)>,
    ready: VecDeque<Outgoing>,
    malformed: u64,
}

impl<P: Iterator<Item = Result<Planned, PlanError>>> Disorder<P> {
    /// Disturbs `plan` as `config` says.
    pub fn new(plan: P, config: config::Disorder, seed: u64) -> Self {
        let stream = Stream::new(seed, "disorder", "", "messages");
        Self { plan, config, stream, held: VecDeque::new(), ready: VecDeque::new(), malformed: 0 }
    }

    fn accept(&mut self, planned: Planned) {
        let (device, due_us) = (planned.message.device, planned.due_us);
        if self.stream.chance(self.config.reordering) {
            let overtaken_by = 1 + self.stream.below(OVERTAKEN_MAX);
            self.held.push_back((planned, overtaken_by));
            if self.held.len() > HELD_MAX {
                self.release_oldest(due_us);
            }
            return;
        }
        self.send(planned);
        self.let_go(device, due_us);
    }

    fn send(&mut self, planned: Planned) {
        let Planned { due_us, message } = planned;
        let twice = self.stream.chance(self.config.duplicates).then(|| message.clone());
        let broken = self.stream.chance(self.config.malformed).then(|| {
            self.malformed += 1;
            malformed(&message, self.malformed, &mut self.stream)
        });
        self.ready.push_back(Outgoing { due_us, message, copy: Sending::First });
        self.ready.extend(twice.map(|message| Outgoing { due_us, message, copy: Sending::Repeat }));
        self.ready.extend(broken.map(|message| Outgoing {
            due_us,
            message,
            copy: Sending::Malformed,
        }));
    }

    /// A message of `device` went by: those it overtook come nearer to their turn.
    fn let_go(&mut self, device: u32, due_us: i64) {
        for (held, left) in &mut self.held {
            if held.message.device == device {
                *left -= 1;
            }
        }
        while let Some(at) = self.held.iter().position(|(_, left)| *left == 0) {
            if let Some((held, _)) = self.held.remove(at) {
                self.send(Planned { due_us, ..held });
            }
        }
    }

    fn release_oldest(&mut self, due_us: i64) {
        if let Some((held, _)) = self.held.pop_front() {
            self.send(Planned { due_us: due_us.max(held.due_us), ..held });
        }
    }
}

impl<P: Iterator<Item = Result<Planned, PlanError>>> Iterator for Disorder<P> {
    type Item = Result<Outgoing, PlanError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(outgoing) = self.ready.pop_front() {
                return Some(Ok(outgoing));
            }
            match self.plan.next() {
                Some(Ok(planned)) => self.accept(planned),
                Some(Err(error)) => return Some(Err(error)),
                None if self.held.is_empty() => return None,
                None => self.release_oldest(0),
            }
        }
    }
}

/// A message of the same device that must end in `dead_letters`. `n` makes its bytes unique.
fn malformed(good: &Message, n: u64, stream: &mut Stream) -> Message {
    if good.stream == StreamKind::Values {
        // Whatever else it might be is rows to somebody: a JSON text that was cut off is not.
        return dead(good, &good.topic, format!("{{\"n\":{n},").into_bytes());
    }
    let head = format!(r#"{{"ts":"2026-01-01T00:00:00Z","n":{n}"#);
    let readings = StreamKind::Readings.as_str();
    let (last_level, payload) = match stream.below(10) {
        // A fifth of a JSON text is never whole, nor is its first element if it is an array of up to four.
        0 => (good.stream.as_str(), good.payload[..good.payload.len() / 5].to_vec()),
        1 => (readings, format!(r#"{head},"metric":["x"],"value":{{}}}}"#).into_bytes()),
        2 => (readings, format!(r#"{head},"metric":"heart_rate","value":None}}"#).into_bytes()),
        3 => (readings, format!(r#"{head},"metric":"heart_rate","value":1e999}}"#).into_bytes()),
        4 => (readings, format!(r#"{head},"value":72}}"#).into_bytes()),
        5 => (readings, format!(r#"{head},"metric":"heart_rate"}}"#).into_bytes()),
        6 => (readings, Vec::new()),
        7 => (readings, [b"{\"ts\":\"\xff\xfe\",\"n\":", n.to_string().as_bytes(), b"}"].concat()),
        8 => {
            let (open, close) = ("[".repeat(200), "]".repeat(200));
            (
                readings,
                format!(r#"{head},"metric":"heart_rate","value":{open}{close}}}"#).into_bytes(),
            )
        }
        // Of a stream that has no form of its own: whole it would be rows.
        _ => ("unheard-of", head.into_bytes()),
    };
    let device = good.topic.rsplit_once('/').map_or("dt", |(device, _)| device);
    dead(good, &format!("{device}/{last_level}").into(), payload)
}

/// A message of the same device with other bytes, which become a dead letter.
fn dead(good: &Message, topic: &Arc<str>, payload: Vec<u8>) -> Message {
    let expect = Expectation::dead_letter(topic, &payload);
    let topic = topic.clone();
    let mut message = Message { topic, payload: Bytes::from(payload), expect, ..good.clone() };
    message.key = message.dead_key();
    message
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::Config;
    use crate::families::Families;
    use crate::message::{Outcome, Run};
    use crate::world::World;

    fn disturbed(disorder: config::Disorder, n: usize) -> Vec<Outgoing> {
        let plan = World::ward(&Config::default(), Run::of_boot(1), 0).take(n).map(Ok);
        Disorder::new(plan, disorder, 1).map(Result::unwrap).collect()
    }

    #[test]
    fn without_disorder_the_plan_stays_as_it_is() {
        let planned: Vec<_> =
            World::ward(&Config::default(), Run::of_boot(1), 0).take(1_000).collect();
        let sent = disturbed(config::Disorder::default(), 1_000);
        assert_eq!(sent.len(), 1_000);
        assert!(
            sent.iter()
                .zip(&planned)
                .all(|(a, b)| a.message.payload == b.message.payload && a.due_us == b.due_us)
        );
    }

    #[test]
    fn disorder_loses_nothing_and_repeats_only_duplicates() {
        let disorder = config::Disorder {
            duplicates: 0.1,
            reordering: 0.2,
            malformed: 0.1,
            ..config::Disorder::default()
        };
        let sent = disturbed(disorder, 5_000);
        let count = |copy| sent.iter().filter(|o| o.copy == copy).count();
        assert_eq!(count(Sending::First), 5_000);
        assert!((350..650).contains(&count(Sending::Repeat)));
        assert!((350..650).contains(&count(Sending::Malformed)));
        let mut copies: BTreeMap<_, Vec<Sending>> = BTreeMap::new();
        for outgoing in sent.iter().filter(|o| o.copy != Sending::Malformed) {
            copies.entry(outgoing.message.key).or_default().push(outgoing.copy);
        }
        assert_eq!(copies.len(), 5_000);
        assert!(copies.values().all(|c| c[0] == Sending::First && c.len() <= 2));
    }

    #[test]
    fn reordering_is_bounded() {
        let sent =
            disturbed(config::Disorder { reordering: 0.2, ..config::Disorder::default() }, 5_000);
        let mut newest: BTreeMap<u32, i64> = BTreeMap::new();
        let mut late = 0;
        for outgoing in &sent {
            let seq = newest.entry(outgoing.message.device).or_insert(0);
            late += u32::from(outgoing.message.seq < *seq);
            *seq = (*seq).max(outgoing.message.seq);
        }
        assert!(late > 500, "{late}");
    }

    #[test]
    fn malformed_messages_of_other_topics_are_cut_off() {
        let mut config = Config::default();
        config.families.each = 1;
        let plan = Families::new(&config, Run::of_boot(1), 0).take(200).map(Ok);
        let disorder = config::Disorder { malformed: 1.0, ..config::Disorder::default() };
        let mut bad = Disorder::new(plan, disorder, 1)
            .map(Result::unwrap)
            .filter(|outgoing| outgoing.copy == Sending::Malformed);
        assert!(bad.all(|bad| {
            serde_json::from_slice::<serde_json::Value>(&bad.message.payload)
                .is_err_and(|error| error.is_eof())
        }));
    }

    #[test]
    fn malformed_messages_are_unique_dead_letters_and_never_sound() {
        let sent =
            disturbed(config::Disorder { malformed: 1.0, ..config::Disorder::default() }, 2_000);
        let mut kinds = 0;
        for bad in sent.iter().filter(|o| o.copy == Sending::Malformed).map(|o| &o.message) {
            assert_eq!((bad.expect.outcome, bad.expect.rows), (Outcome::DeadLetter, 1));
            let sound = serde_json::from_slice::<serde_json::Value>(&bad.payload).ok();
            let reading =
                sound.filter(|json| json["metric"].is_string() && json["value"].is_number());
            assert!(reading.is_none() || bad.topic.ends_with("/unheard-of"), "{:?}", bad.payload);
            kinds += u32::from(bad.payload.is_empty())
                + u32::from(std::str::from_utf8(&bad.payload).is_err());
        }
        assert!(kinds > 200);
    }
}
