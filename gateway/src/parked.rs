//! Sessions whose client is away, when the tables of access change: they lose what their owner has no right to any more.

use crate::access::audit::{AuditEvent, AuditRecord};
use crate::access::owner::Standing;
use crate::session::Parked;
use crate::shared::Shared;
use crate::will;

/// Sessions that are looked at before others have their turn.
const AT_ONCE: usize = 64;

/// Takes subscriptions and letters from sessions whose owner may not have them any more, and ends those whose owner is gone. What is
/// connected sees to itself.
pub(crate) async fn review(shared: &Shared) {
    for (looked_at, client_id) in shared.registry.away().into_iter().enumerate() {
        review_one(shared, &client_id);
        if looked_at % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
    }
}

/// As [`review`], for a session that its connection has just left: the tables may have changed while it did.
pub(crate) fn review_one(shared: &Shared, client_id: &str) {
    let ended = shared.registry.review(client_id, |parked| stays(parked, shared));
    if let Some(parked) = ended {
        end(*parked, shared);
    }
}

fn stays(parked: &mut Parked, shared: &Shared) -> bool {
    let session = &mut parked.session;
    let owner = match shared.access.standing(session.owner(), session.client_id()) {
        Standing::Holds(owner) => owner,
        Standing::Unknown => return true,
        Standing::Gone => return false,
    };
    let grants = shared.access.grants(&owner, session.client_id());
    if session.restrict(&shared.fanout, &grants, |_| true) {
        session.save();
    }
    true
}

fn end(parked: Parked, shared: &Shared) {
    let owner = parked.session.owner().clone();
    shared.access.audit().record(AuditRecord {
        identity: Some(&owner.name),
        client_id: Some(parked.session.client_id()),
        detail: Some("its identity is gone"),
        ..AuditRecord::of(AuditEvent::SessionEnded)
    });
    if let Some((_, will)) = &parked.will {
        will::discard(will, shared);
    }
    parked.session.end(&shared.fanout);
}
