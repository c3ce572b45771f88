//! After a restart: brings what spool and sessions' file say of QoS 2 exchanges together, so that what a device repeats is stored once.
//!
//! The two files are synced one after the other. What is in the spool alone was stored: its packet id is in use, and the same message
//! again is a repeat. What is in the sessions' file alone was not: it must be taken when it comes again. Neither was answered yet.

use std::collections::HashMap;
use std::sync::Arc;

use store_forward::{DiskError, Spool};
use telemetry_core::spool::attributes::{self, Attribute};
use telemetry_core::spool::record::MAYBE_REPEAT;

use crate::store::{Found, Op, Position};

/// Corrects what was found, and returns the changes that make the file say so, too. Blocks.
pub(crate) fn reconcile(spool: &Spool, found: &mut Found) -> Result<Vec<Op>, DiskError> {
    let status = spool.status();
    let epoch = status.epoch;
    let mut changes = Vec::new();
    for session in &mut found.sessions {
        let client_id = session.client_id.clone();
        session.received.retain(|&(pkid, place)| {
            let stored = place.is_none_or(|at| at.epoch != epoch || at.offset < status.appended);
            if !stored {
                changes.push(Op::Released { client_id: client_id.clone(), pkid });
            }
            stored
        });
    }
    let known = found.known.filter(|known| known.epoch == epoch).map_or(0, |known| known.offset);
    let by_client: HashMap<Arc<str>, usize> =
        (0..).zip(&found.sessions).map(|(at, session)| (session.client_id.clone(), at)).collect();
    spool.records(known.max(status.landed), |record| {
        // What was moved from another epoch belongs to exchanges that may have ended there.
        if record.attributes.is_empty() || record.flags & MAYBE_REPEAT != 0 {
            return;
        }
        for attribute in attributes::read(record.attributes) {
            let Attribute::Exchange { pkid, client_id } = attribute else { continue };
            let session = by_client.get(client_id).and_then(|at| found.sessions.get_mut(*at));
            let Some(session) = session else { continue };
            let place = Some(Position { epoch, offset: record.offset });
            session.received.retain(|(used, _)| *used != pkid);
            session.received.push((pkid, place));
            changes.push(Op::Received { client_id: session.client_id.clone(), pkid, place });
        }
    })?;
    changes.push(Op::Known(Position { epoch, offset: status.appended }));
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use store_forward::config::SpoolOptions;
    use store_forward::metrics::SpoolMetrics;
    use store_forward::{Fresh, Message, SpoolConfig};
    use telemetry_core::id::Epoch;

    use super::*;
    use crate::access::owner::Owner;
    use crate::store::{Record, Stored};

    fn session(client_id: &str, received: Vec<(u16, Option<Position>)>) -> Stored {
        let owner = Owner::of_publisher(client_id);
        let (disconnected_us, subscriptions) = (None, Vec::new());
        let record = Record { owner, expiry_seconds: 60, disconnected_us, subscriptions };
        Stored { client_id: client_id.into(), record, letters: Vec::new(), received }
    }

    fn at(epoch: Epoch, offset: u64) -> Option<Position> {
        Some(Position { epoch, offset })
    }

    /// A spool with five messages of exchanges 10 to 14 of client `a`, and one of a client without a session.
    fn spool() -> (tempfile::TempDir, Spool) {
        let folder = tempfile::tempdir().unwrap();
        let config = SpoolConfig { dir: folder.path().join("spool"), ..SpoolConfig::default() };
        let options = SpoolOptions { source_id: "gw".parse().unwrap(), config };
        let open = || Spool::open(&options, Fresh::new(|| 7), SpoolMetrics::default()).unwrap();
        let (spool, writer) = open();
        let exchanges = (10..15).map(|pkid| ("a", pkid)).chain([("b", 10)]);
        for (client_id, pkid) in exchanges {
            let mut attributes = Vec::new();
            Attribute::Exchange { pkid, client_id }.write(&mut attributes);
            let (topic, payload) = ("dt/w/a/readings", &b"{}"[..]);
            let message = Message { publisher: "", topic, attributes: &attributes, payload };
            assert_eq!(spool.append(1, [message]).refused, None);
        }
        spool.close();
        writer.run().unwrap();
        drop(spool);
        (folder, open().0)
    }

    #[test]
    fn inv1_what_one_file_has_and_the_other_has_not_is_settled_by_the_spool() {
        let (_folder, spool) = spool();
        let (epoch, other) = (spool.epoch(), Epoch::from_random(3));
        let before = vec![(1, None), (11, at(epoch, 1)), (20, at(epoch, 6)), (21, at(other, 90))];
        let sessions = vec![session("a", before)];
        let mut found = Found { sessions, known: at(epoch, 2), ..Found::default() };
        let changes = reconcile(&spool, &mut found).unwrap();
        let (client_id, received) = (&found.sessions[0].client_id, &found.sessions[0].received);
        // 10 was released before `known`; 20 never reached the spool; 12 to 14 never reached the file.
        let added = [(12, at(epoch, 2)), (13, at(epoch, 3)), (14, at(epoch, 4))];
        let kept = [(1, None), (11, at(epoch, 1)), (21, at(other, 90))];
        assert_eq!(received[..], [&kept[..], &added].concat());
        let client_id = || client_id.clone();
        let expected = [
            Op::Released { client_id: client_id(), pkid: 20 },
            Op::Received { client_id: client_id(), pkid: 12, place: at(epoch, 2) },
            Op::Received { client_id: client_id(), pkid: 13, place: at(epoch, 3) },
            Op::Received { client_id: client_id(), pkid: 14, place: at(epoch, 4) },
            Op::Known(Position { epoch, offset: 6 }),
        ];
        assert_eq!(changes, expected);
    }

    #[test]
    fn what_is_known_of_another_epoch_says_nothing_of_this_one() {
        let (_folder, spool) = spool();
        let known = at(Epoch::from_random(3), 1000);
        let sessions = vec![session("a", Vec::new())];
        let mut found = Found { sessions, known, ..Found::default() };
        reconcile(&spool, &mut found).unwrap();
        assert_eq!(found.sessions[0].received.len(), 5);
    }
}
