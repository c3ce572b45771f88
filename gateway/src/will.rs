//! Wills: published for clients that vanish, at once or after their delay.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::access::audit::{AuditEvent, AuditRecord};
use crate::access::owner::{Owner, Standing};
use crate::inbox::Inbox;
use crate::mqtt::{Publish, Reason, Version};
use crate::notices::{Event, Who};
use crate::session::Session;
use crate::shared::Shared;
use crate::store::Op;
use crate::testament::Testament;

/// How long a will waits for a spool that takes nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Publishes a will like any message of its client, if its owner may still publish it; what becomes of it is counted.
pub(crate) async fn publish(will: Testament, shared: &Shared) {
    if !may_be_published(&will, shared) {
        return discard(&will, shared);
    }
    let (client, id) = (will.client_id.clone(), will.id);
    let published = tokio::time::timeout(PATIENCE, deliver(will, shared)).await;
    if !matches!(published, Ok(Ok(()))) {
        shared.metrics.disconnected("will_refused");
        let who = Who { client: client.clone(), ..Who::default() };
        shared.metrics.notices.tell(Event::WillLost, who);
    }
    shared.store.push(Op::NoWill { client_id: client, id });
}

/// Keeps a will beyond the end of the process, until it is published or forgotten. `due_us`: when, once its client is gone.
pub(crate) fn keep(will: &Testament, due_us: Option<i64>, shared: &Shared) {
    shared.store.push(Op::Will { will: Box::new(will.clone()), due_us });
}

/// A will has become void because its owner has not the right to it any more.
pub(crate) fn discard(will: &Testament, shared: &Shared) {
    shared.access.audit().record(AuditRecord {
        identity: Some(&will.owner.name),
        client_id: Some(&will.client_id),
        topic: Some(&will.will.topic),
        ..AuditRecord::of(AuditEvent::WillDenied)
    });
    let (client, topic) = (will.client_id.clone(), Some(will.will.topic.clone()));
    shared.metrics.notices.tell(Event::WillDenied, Who { client, topic, ..Who::default() });
    forget(will, shared);
}

fn may_be_published(will: &Testament, shared: &Shared) -> bool {
    match shared.access.standing(&will.owner, &will.client_id) {
        // A bridge's state below `$SYS` is no matter of rules.
        Standing::Holds(_) if will.will.topic.starts_with('$') => true,
        Standing::Holds(owner) => {
            shared.access.grants(&owner, &will.client_id).may_publish(&will.will.topic)
        }
        Standing::Unknown => true,
        Standing::Gone => false,
    }
}

/// A will has become void: its client said goodbye, or is back.
pub(crate) fn forget(will: &Testament, shared: &Shared) {
    shared.store.push(Op::NoWill { client_id: will.client_id.clone(), id: will.id });
}

async fn deliver(testament: Testament, shared: &Shared) -> Result<(), Reason> {
    let Testament { client_id, publisher, will, .. } = testament;
    let mut inbox =
        Inbox::new(Version::V5, &client_id, publisher, false, shared.fanout.audiences())
            .of_the_gone();
    let nobody = Arc::new(Owner::gateway());
    // Nobody's: an inbox needs one for QoS 2, which a will has no packet id for.
    let mut session = Session::new(client_id, nobody, 0, shared.session_limits.clone(), 1, None);
    let publish = Publish {
        topic: will.topic,
        alias: None,
        payload: will.payload,
        qos: will.qos,
        retain: will.retain,
        dup: false,
        pkid: 0,
        properties: will.properties,
    };
    // Whether it may be published has been judged.
    inbox.take(shared, &mut session, publish, (true, false))?;
    let mut progress = shared.spool.progress();
    loop {
        progress.mark_unchanged();
        inbox.accept(shared, &mut session)?;
        if inbox.is_accepted() {
            return Ok(());
        }
        wait(&mut progress).await?;
    }
}

async fn wait(progress: &mut watch::Receiver<store_forward::Progress>) -> Result<(), Reason> {
    progress.changed().await.map_err(|_| Reason::Unavailable)
}
