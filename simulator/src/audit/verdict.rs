//! Messages of the lake against sends of the journal, one partition at a time.

use std::collections::{HashMap, HashSet};

use super::grouping::{LANDED_SIZE, Landed};
use super::report::{AlteredExample, AuditReport, LOST_MAX, Lost};
use super::spill::{Fields, Filler};
use crate::fingerprint::{Fingerprint, MessageKey};
use crate::message::{DeviceName, Expectation, Outcome};

pub(super) const INTENT_SIZE: usize = 16 + 4 + 8 + 8 + 1 + 4 + 16;
pub(super) const EVENT_SIZE: usize = 17;

/// A first send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) key: MessageKey,
    pub(super) device: u32,
    pub(super) boot: i64,
    pub(super) seq: i64,
    pub(super) expect: Expectation,
}

/// What else the journal says about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    SendAgain,
    Acknowledged,
    Refused,
}

pub(super) fn event_bytes(key: MessageKey, event: Event) -> [u8; EVENT_SIZE] {
    let event = match event {
        Event::SendAgain => 0u8,
        Event::Acknowledged => 1,
        Event::Refused => 2,
    };
    Filler::new().put(&key.0.to_le_bytes()).put(&[event]).done()
}

impl Sent {
    pub(super) fn to_bytes(self) -> [u8; INTENT_SIZE] {
        let outcome = match self.expect.outcome {
            Outcome::Rows => 0u8,
            Outcome::DeadLetter => 1,
            Outcome::Any => 2,
        };
        Filler::new()
            .put(&self.key.0.to_le_bytes())
            .put(&self.device.to_le_bytes())
            .put(&self.boot.to_le_bytes())
            .put(&self.seq.to_le_bytes())
            .put(&[outcome])
            .put(&self.expect.rows.to_le_bytes())
            .put(&self.expect.fingerprint.0.to_le_bytes())
            .done()
    }

    fn from_bytes(bytes: &[u8; INTENT_SIZE]) -> Self {
        let mut fields = Fields::of(bytes);
        let key = MessageKey(u128::from_le_bytes(fields.take()));
        let device = u32::from_le_bytes(fields.take());
        let boot = i64::from_le_bytes(fields.take());
        let seq = i64::from_le_bytes(fields.take());
        let outcome = match fields.take() {
            [0] => Outcome::Rows,
            [1] => Outcome::DeadLetter,
            [_] => Outcome::Any,
        };
        let rows = u32::from_le_bytes(fields.take());
        let fingerprint = Fingerprint(u128::from_le_bytes(fields.take()));
        Self { key, device, boot, seq, expect: Expectation { outcome, rows, fingerprint } }
    }
}

/// One message of the journal and its copies in the lake.
#[derive(Debug)]
struct Account {
    sent: Sent,
    sends: u64,
    acks: u64,
    refused: u64,
    copies: u64,
    flagged: u64,
    altered: Option<&'static str>,
    altered_copies: u64,
    dead: bool,
}

/// Judges the messages whose keys fall into one partition.
pub(super) fn judge_partition(
    intents: &[[u8; INTENT_SIZE]],
    events: &[[u8; EVENT_SIZE]],
    landed: &[[u8; LANDED_SIZE]],
    known: &HashSet<u64>,
    devices: &[DeviceName],
    report: &mut AuditReport,
    lost: &mut Vec<Lost>,
) {
    let mut accounts = accounts(intents, events);
    for record in landed {
        let landed = Landed::from_bytes(record);
        match accounts.get_mut(&landed.key) {
            Some(account) => account.copy(&landed),
            None if known.contains(&landed.device) => report.unexplained += 1,
            None => report.foreign += 1,
        }
    }
    for account in accounts.values() {
        account.judge(devices, report, lost);
    }
}

fn accounts(
    intents: &[[u8; INTENT_SIZE]],
    events: &[[u8; EVENT_SIZE]],
) -> HashMap<MessageKey, Account> {
    let mut accounts: HashMap<MessageKey, Account> = HashMap::with_capacity(intents.len());
    for record in intents {
        let sent = Sent::from_bytes(record);
        let account = accounts.entry(sent.key).or_insert(Account {
            sent,
            sends: 0,
            acks: 0,
            refused: 0,
            copies: 0,
            flagged: 0,
            altered: None,
            altered_copies: 0,
            dead: false,
        });
        account.sends += 1;
    }
    for record in events {
        let mut fields = Fields::of(record);
        let key = MessageKey(u128::from_le_bytes(fields.take()));
        let Some(account) = accounts.get_mut(&key) else { continue };
        match fields.take() {
            [0] => account.sends += 1,
            [1] => account.acks += 1,
            [_] => account.refused += 1,
        }
    }
    accounts
}

impl Account {
    fn copy(&mut self, landed: &Landed) {
        self.copies += 1;
        self.flagged += u64::from(landed.maybe_repeat);
        self.dead |= landed.dead;
        let Expectation { outcome, rows, fingerprint } = self.sent.expect;
        let wrong = match outcome {
            Outcome::Any => None,
            Outcome::Rows if landed.dead => Some("became a dead letter"),
            Outcome::Rows | Outcome::DeadLetter if landed.rows != rows => {
                Some("has another number of rows")
            }
            Outcome::Rows | Outcome::DeadLetter if landed.fingerprint != fingerprint => {
                Some("says something else")
            }
            Outcome::Rows | Outcome::DeadLetter => None,
        };
        if wrong.is_some() {
            self.altered = wrong;
            self.altered_copies += 1;
        }
    }

    fn judge(&self, devices: &[DeviceName], report: &mut AuditReport, lost: &mut Vec<Lost>) {
        let Sent { device, boot, seq, .. } = self.sent;
        report.messages += 1;
        report.sends += self.sends;
        report.refused += self.refused;
        report.acknowledged += u64::from(self.acks > 0);
        report.landed += u64::from(self.copies > 0);
        report.dead_lettered += u64::from(self.dead);
        report.altered += self.altered_copies;
        // A refused send was not accepted, so it explains no copy; an acknowledged one always does.
        let explained = self.sends.saturating_sub(self.refused).max(self.acks);
        let excess = self.copies.saturating_sub(explained);
        report.maybe_repeat += excess.min(self.flagged);
        report.doubled += excess.saturating_sub(self.flagged);
        report.messages_doubled += u64::from(excess > self.flagged);
        report.resent += self.copies.min(explained).saturating_sub(1);
        let missing = self.acks.saturating_sub(self.copies);
        report.lost += missing;
        if missing > 0 && lost.len() < LOST_MAX {
            lost.push(Lost { device, boot, seq });
        }
        match (self.acks, self.copies) {
            (0, 0) => report.unacknowledged += 1,
            (0, _) => report.unacknowledged_landed += 1,
            _ => {}
        }
        if let (Some(reason), Some(name)) = (self.altered, devices.get(device as usize)) {
            report.example(AlteredExample {
                site: name.site.to_string(),
                device_id: name.device_id.to_string(),
                boot,
                seq,
                reason,
            });
        }
    }
}
