//! How many records of the audit log each party may have a second: a flood of one hides nothing of another. Pure.

use std::collections::HashMap;
use std::time::Duration;

use super::record::{AuditEvent, AuditRecord};
use crate::listener::addresses::subscriber;

/// Refusals of one party a second: a client can make them as fast as it can send.
const REFUSALS_MAX: u32 = 50;
/// Connections of one party a second: all clients of a concentrator may come back at once.
const CONNECTIONS_MAX: u32 = 500;
/// Records of a party that come in although the queue is nearly full.
const FIRST: u32 = 2;
/// Parties that are told apart; beyond them those that were quiet for longest are forgotten, and further ones share one budget.
const PARTIES_MAX: usize = 4096;

/// Who causes a record: an identity that has proved itself, else an address. A name that is only claimed is nobody's.
type Party = String;

/// The records of a party in its current second.
#[derive(Debug, Default)]
struct Budget {
    second: u64,
    refusals: u32,
    connections: u32,
    left_out: u64,
}

/// What each party had. Times are uptimes.
#[derive(Debug, Default)]
pub(super) struct Fair {
    parties: HashMap<Party, Budget>,
}

fn party(record: &AuditRecord<'_>) -> Option<Party> {
    match (record.proof, record.identity, record.peer) {
        (Some(_), Some(identity), _) => Some(format!("identity {identity}")),
        (_, _, Some(peer)) => Some(format!("address {}", subscriber(peer.ip()))),
        // What nobody outside causes.
        _ => None,
    }
}

impl Fair {
    /// Admits a record, with the number of the party's that were not since its last; `None` when it is one of these itself.
    pub(super) fn admit(
        &mut self,
        record: &AuditRecord<'_>,
        crowded: bool,
        now: Duration,
    ) -> Option<u64> {
        let Some(party) = party(record) else { return Some(0) };
        let budget = self.budget(party, now.as_secs());
        let (had, most) = match record.event {
            AuditEvent::Connected | AuditEvent::Disconnected => {
                (&mut budget.connections, CONNECTIONS_MAX)
            }
            _ => (&mut budget.refusals, REFUSALS_MAX),
        };
        if *had >= if crowded { FIRST } else { most } {
            budget.left_out += 1;
            return None;
        }
        *had += 1;
        Some(std::mem::take(&mut budget.left_out))
    }

    fn budget(&mut self, mut party: Party, second: u64) -> &mut Budget {
        if self.parties.len() >= PARTIES_MAX && !self.parties.contains_key(&party) {
            self.parties.retain(|_, budget| budget.second == second);
            if self.parties.len() >= PARTIES_MAX {
                party = "others".to_owned();
            }
        }
        let budget = self.parties.entry(party).or_default();
        if budget.second != second {
            *budget = Budget { second, left_out: budget.left_out, ..Budget::default() };
        }
        budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(peer: [u8; 4], event: AuditEvent) -> AuditRecord<'static> {
        AuditRecord { peer: Some((peer, 1).into()), ..AuditRecord::of(event) }
    }

    #[test]
    fn each_party_has_its_own_second() {
        let mut fair = Fair::default();
        let mut admit = |last, ms, crowded| {
            let record = of([10, 0, 0, last], AuditEvent::Refused);
            fair.admit(&record, crowded, Duration::from_millis(ms))
        };
        let admitted = (0..60).filter(|_| admit(7, 0, false).is_some()).count();
        assert_eq!((admitted, admit(7, 1000, false)), (50, Some(10)));
        // Where the queue is nearly full, who says little is heard before who says much.
        assert_eq!([admit(8, 0, true), admit(8, 0, true)], [Some(0); 2]);
        assert_eq!([admit(8, 0, true), admit(9, 0, true)], [None, Some(0)]);
    }

    #[test]
    fn connections_have_a_budget_of_their_own_and_the_gateways_own_records_need_none() {
        let mut fair = Fair::default();
        let mut admitted = |event, times| {
            let record = of([10, 0, 0, 7], event);
            (0..times).filter(|_| fair.admit(&record, false, Duration::ZERO).is_some()).count()
        };
        assert_eq!(admitted(AuditEvent::Refused, 100), 50);
        assert_eq!(admitted(AuditEvent::Connected, 400), 400);
        let reloaded = AuditRecord::of(AuditEvent::Reloaded);
        assert!((0..1000).all(|_| fair.admit(&reloaded, true, Duration::ZERO) == Some(0)));
    }

    #[test]
    fn inv8_parties_that_are_told_apart_are_limited() {
        let mut fair = Fair::default();
        for n in 0..10_000_u32 {
            let [_, a, b, c] = n.to_be_bytes();
            fair.admit(&of([10, a, b, c], AuditEvent::Refused), false, Duration::ZERO);
        }
        assert!(fair.parties.len() <= PARTIES_MAX + 1);
        fair.admit(&of([11, 0, 0, 1], AuditEvent::Refused), false, Duration::from_secs(1));
        assert_eq!(fair.parties.len(), 1, "who is quiet is forgotten");
    }
}
