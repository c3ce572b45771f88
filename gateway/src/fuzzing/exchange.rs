//! Exchanges of QoS 1 and 2 with a subscriber and a publisher, beside a model that is as plain as can be.

use std::collections::HashSet;
use std::sync::Arc;

use super::Input;
use crate::letter::Letter;
use crate::message::Message;
use crate::session::{AfterReceived, Again, Outgoing, Received};
use crate::store::Flight;

/// A message under way, in the model.
#[derive(Debug, Clone)]
struct Known {
    pkid: u16,
    letter: Letter,
    released: bool,
}

struct Exchange {
    outgoing: Outgoing,
    most: u16,
    model: Vec<Known>,
    /// The next number of a letter on disk.
    next: u64,
    sent: u64,
}

/// Each step is one byte, and what it needs behind it.
pub fn exchange(data: &[u8]) {
    let mut input = Input(data);
    let most = u16::from(input.byte() % 8) + 1;
    let outgoing = Outgoing::new(most);
    let mut exchange = Exchange { outgoing, most, model: Vec::new(), next: 0, sent: 0 };
    let (mut received, mut in_use) = (Received::default(), HashSet::new());
    while !input.is_empty() {
        match input.byte() % 10 {
            0 | 1 => exchange.send(input.byte() % 2 + 1, true),
            2 => exchange.send(input.byte() % 2 + 1, false),
            3 => exchange.puback(&mut input),
            4 | 5 => exchange.pubrec(&mut input),
            6 => exchange.pubcomp(&mut input),
            7 => exchange.next += [1, 0x7ffd, 0x7ffe, 0x7fff][input.below(4)],
            8 => exchange.restart(),
            _ => {
                let pkid = u16::from(input.byte());
                assert_eq!(received.contains(pkid), in_use.contains(&pkid));
                if input.byte() & 1 == 0 {
                    received.begin(pkid);
                    in_use.insert(pkid);
                } else {
                    assert_eq!(received.end(pkid), in_use.remove(&pkid));
                }
                assert_eq!(received.len(), in_use.len());
            }
        }
        exchange.check();
    }
}

impl Exchange {
    fn send(&mut self, qos: u8, on_disk: bool) {
        let stored = on_disk.then_some(self.next);
        if !self.outgoing.may_send(stored) {
            let full = self.model.len() == usize::from(self.most);
            let behind = |first: u64| on_disk && self.next - first >= 0x7fff;
            let behind = self.model.iter().any(|known| known.letter.stored.is_some_and(behind));
            assert!(full || behind, "nothing is in its way");
            return;
        }
        self.sent += 1;
        self.next += u64::from(on_disk);
        let message = Arc::new(Message::own("a".into(), self.sent.to_string(), qos, false));
        let letter = Letter { message, qos, retain: false, ids: Vec::new(), shared: None, stored };
        let pkid = self.outgoing.send(letter.clone());
        assert!(pkid != 0 && self.model.iter().all(|known| known.pkid != pkid), "{pkid} is free");
        self.model.push(Known { pkid, letter, released: false });
    }

    /// Returns a packet id, mostly one in use, and where the model has it.
    fn choose(&self, input: &mut Input<'_>) -> (u16, Option<usize>) {
        let choice = input.byte();
        if choice >= 0xf0 || self.model.is_empty() {
            let pkid = u16::from(choice);
            return (pkid, self.model.iter().position(|known| known.pkid == pkid));
        }
        let at = usize::from(choice) % self.model.len();
        (self.model[at].pkid, Some(at))
    }

    fn puback(&mut self, input: &mut Input<'_>) {
        let (pkid, at) = self.choose(input);
        let expected = at.filter(|at| self.model[*at].letter.qos == 1);
        let expected = expected.map(|at| self.model.remove(at).letter);
        assert_eq!(self.outgoing.acknowledged(pkid), expected);
    }

    fn pubrec(&mut self, input: &mut Input<'_>) {
        let (pkid, at) = self.choose(input);
        let refused = input.byte() & 1 == 1;
        let expected = match at.filter(|at| self.model[*at].letter.qos == 2) {
            None => AfterReceived::Unknown,
            Some(at) if refused && !self.model[at].released => {
                AfterReceived::Refused(self.model.remove(at).letter)
            }
            Some(at) => {
                self.model[at].released = true;
                AfterReceived::Release(self.model[at].letter.stored)
            }
        };
        assert_eq!(self.outgoing.received(pkid, refused), expected);
    }

    fn pubcomp(&mut self, input: &mut Input<'_>) {
        let (pkid, at) = self.choose(input);
        let expected = at.filter(|at| self.model[*at].released);
        let expected = expected.map(|at| self.model.remove(at).letter);
        assert_eq!(self.outgoing.completed(pkid), expected);
    }

    /// The process ends: what stands on disk comes back, the rest is gone.
    fn restart(&mut self) {
        self.model.retain(|known| known.letter.stored.is_some());
        self.outgoing = Outgoing::new(self.most);
        for Known { pkid, letter, released } in self.model.clone() {
            self.outgoing.restore(letter, Flight { pkid, released });
        }
    }

    /// What would be sent again is what the model has, in its order.
    fn check(&self) {
        let again: Vec<_> = self.outgoing.again().collect();
        assert_eq!(again.len(), self.model.len());
        assert!(again.len() <= usize::from(self.most));
        for ((pkid, again), known) in again.into_iter().zip(&self.model) {
            assert_eq!(pkid, known.pkid);
            match again {
                Again::Release => assert!(known.released),
                Again::Publish(letter) => assert!(!known.released && *letter == known.letter),
            }
        }
    }
}
