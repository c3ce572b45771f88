//! What an audit found.

use std::fmt;

use serde::Serialize;

use crate::journal::Hole;
use crate::message::DeviceName;

/// Lost messages that are told apart; more are only counted.
pub(super) const LOST_MAX: usize = 1 << 20;
/// Ranges that are listed.
const RANGES_MAX: usize = 1_000;
/// Examples of altered messages that are listed.
const EXAMPLES_MAX: usize = 20;

/// A lost message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lost {
    pub(super) device: u32,
    pub(super) boot: i64,
    pub(super) seq: i64,
}

/// Consecutive lost messages of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "named as in the tables")]
pub struct MissingRange {
    pub site: String,
    pub device_id: String,
    pub boot: i64,
    pub first_seq: i64,
    pub last_seq: i64,
}

/// An altered message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "named as in the tables")]
pub struct AlteredExample {
    pub site: String,
    pub device_id: String,
    pub boot: i64,
    pub seq: i64,
    /// In which way.
    pub reason: &'static str,
}

/// Messages from which on the share of those that are doubled says something.
const ANOTHER_RUN_MIN: u64 = 20;

/// Why an audit proves nothing, whatever it counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum Unproven {
    /// Nothing was sent.
    #[error("the journal has no message: nothing was published, so nothing is proven")]
    Empty,
    /// Nothing was promised.
    #[error(
        "no message of the journal was acknowledged: nothing was promised, so nothing is proven"
    )]
    NothingAcknowledged,
    /// The journal is not whole.
    #[error("{0}")]
    Hole(Hole),
    /// None of the messages is there.
    #[error(
        "not one of {acknowledged} acknowledged messages is in this lake: is it the lake of this journal?"
    )]
    AnotherLake {
        /// Messages acknowledged at least once.
        acknowledged: u64,
    },
    /// Nearly all messages are there more often than the journal says.
    #[error(
        "{messages} of {landed} messages are there more often than this journal explains: another run with the same seed and boot went into this lake. Keep one journal folder for all runs into a lake, or give each its own --seed"
    )]
    AnotherRun {
        /// Messages with copies that no send explains.
        messages: u64,
        /// Messages that are in the lake.
        landed: u64,
    },
}

/// Counts of messages, unless they say otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// Nothing lost, pending, doubled, altered or unexplained, and nothing that leaves it unproven.
    pub passed: bool,
    /// Why the counts prove nothing.
    pub unproven: Vec<Unproven>,
    /// Different messages in the journal.
    pub messages: u64,
    /// Times they were sent.
    pub sends: u64,
    /// Sends that the gateway refused.
    pub refused: u64,
    /// Messages acknowledged at least once.
    pub acknowledged: u64,
    /// Messages that are in the lake at least once.
    pub landed: u64,
    /// Acknowledgements without a copy in the lake.
    pub lost: u64,
    /// Acknowledgements without a copy in the lake that are too young to be called lost.
    pub pending: u64,
    /// Copies that another run with the same messages explains; they are not counted as doubled.
    pub other_run: u64,
    /// Messages with copies beyond what was sent.
    #[serde(skip)]
    pub(super) messages_doubled: u64,
    /// Copies beyond what was sent, and accepted messages with a row that is there twice.
    pub doubled: u64,
    /// Copies beyond what was sent whose rows carry the flag `maybe_repeat`: their spool was cloned or restored.
    pub maybe_repeat: u64,
    /// Copies that are not what was sent.
    pub altered: u64,
    /// Copies beyond the first that repeated sends explain: told apart by device, boot and seq.
    pub resent: u64,
    /// Messages that are in `dead_letters`.
    pub dead_lettered: u64,
    /// Neither acknowledged nor landed.
    pub unacknowledged: u64,
    /// Not acknowledged, but landed.
    pub unacknowledged_landed: u64,
    /// Messages of a journalled device that no send explains.
    pub unexplained: u64,
    /// Messages of other devices: not judged.
    pub foreign: u64,
    /// Accepted messages in the lake, all in all.
    pub messages_in_lake: u64,
    /// Rows in the lake, all in all.
    pub rows: u64,
    /// Devices in the journal.
    pub devices: u64,
    /// Journal files that end in a torn record: one for each killed simulator.
    pub torn_journals: u64,
    /// What is lost, by device; at most 1000 ranges.
    pub missing: Vec<MissingRange>,
    /// Whether there are more ranges than listed.
    pub missing_cut: bool,
    /// Some of the altered messages; at most 20.
    pub altered_examples: Vec<AlteredExample>,
}

impl AuditReport {
    pub(super) fn example(&mut self, example: AlteredExample) {
        if self.altered_examples.len() < EXAMPLES_MAX {
            self.altered_examples.push(example);
        }
    }

    /// Turns lost messages into ranges and passes the verdict.
    pub(super) fn finish(&mut self, mut lost: Vec<Lost>, devices: &[DeviceName]) {
        lost.sort_unstable();
        let runs =
            lost.chunk_by(|a, b| (a.device, a.boot) == (b.device, b.boot) && b.seq <= a.seq + 1);
        for run in runs {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let Some(name) = devices.get(first.device as usize) else { continue };
            if self.missing.len() == RANGES_MAX {
                self.missing_cut = true;
                break;
            }
            self.missing.push(MissingRange {
                site: name.site.to_string(),
                device_id: name.device_id.to_string(),
                boot: first.boot,
                first_seq: first.seq,
                last_seq: last.seq,
            });
        }
        self.missing_cut |= lost.len() == LOST_MAX;
        self.altered_examples.sort_unstable_by(|a, b| {
            (&a.device_id, a.boot, a.seq).cmp(&(&b.device_id, b.boot, b.seq))
        });
        self.prove();
        self.judge();
    }

    /// Notes what makes the counts worth nothing.
    fn prove(&mut self) {
        let Self { messages, acknowledged, landed, messages_doubled, .. } = *self;
        if messages == 0 {
            self.unproven.push(Unproven::Empty);
        } else if acknowledged == 0 {
            self.unproven.push(Unproven::NothingAcknowledged);
        } else if landed == 0 {
            self.unproven.push(Unproven::AnotherLake { acknowledged });
        }
        // Ingest that doubles does not do it to all of them.
        if landed >= ANOTHER_RUN_MIN && messages_doubled * 10 >= landed * 9 {
            self.unproven.push(Unproven::AnotherRun { messages: messages_doubled, landed });
            self.other_run = std::mem::take(&mut self.doubled);
        }
    }

    fn judge(&mut self) {
        let wrong = [self.lost, self.pending, self.doubled, self.altered, self.unexplained];
        self.passed = wrong == [0; 5] && self.unproven.is_empty();
    }

    /// What is missing may still come: it was acknowledged a moment ago.
    pub fn not_yet_lost(&mut self) {
        self.pending += std::mem::take(&mut self.lost);
        self.unproven.retain(|reason| !matches!(reason, Unproven::AnotherLake { .. }));
        self.judge();
    }
}

impl fmt::Display for AuditReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = [
            ("acknowledged", self.acknowledged, "messages that the gateway promised to keep"),
            ("landed", self.landed, "messages that are in the lake"),
            ("lost", self.lost, "acknowledged, but not there"),
            ("pending", self.pending, "acknowledged a moment ago, and not there yet"),
            ("doubled", self.doubled, "there more often than sent, or with a row twice"),
            ("altered", self.altered, "there, but not as sent"),
            ("unexplained", self.unexplained, "there, but never sent"),
            ("resent", self.resent, "copies that the sender itself sent again"),
            ("dead letters", self.dead_lettered, "malformed messages, kept with their bytes"),
            (
                "unacknowledged",
                self.unacknowledged + self.unacknowledged_landed,
                "may have landed or not",
            ),
            ("foreign", self.foreign, "messages of devices that this journal does not know"),
        ];
        for (name, n, what) in lines {
            writeln!(f, "  {name:<15}{n:>12}  {what}")?;
        }
        for reason in &self.unproven {
            writeln!(f, "  unproven: {reason}")?;
        }
        for range in &self.missing {
            let MissingRange { site, device_id, boot, first_seq, last_seq } = range;
            writeln!(f, "  missing: {site}/{device_id} boot {boot} seq {first_seq}..={last_seq}")?;
        }
        for example in &self.altered_examples {
            let AlteredExample { site, device_id, boot, seq, reason } = example;
            writeln!(f, "  altered: {site}/{device_id} boot {boot} seq {seq} {reason}")?;
        }
        write!(f, "audit {}", if self.passed { "passed" } else { "FAILED" })
    }
}
