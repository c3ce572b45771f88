//! Wills: published for clients that vanish, at once or after their delay.

use std::time::Duration;

use tokio::sync::watch;

use crate::inbox::Inbox;
use crate::mqtt::{Publish, Reason, Version};
use crate::notices::{Event, Who};
use crate::session::Session;
use crate::shared::Shared;
use crate::store::Op;
use crate::testament::Testament;

/// How long a will waits for a spool that takes nothing.
const PATIENCE: Duration = Duration::from_secs(30);

/// Publishes a will like any message of its client; what becomes of it is counted.
pub(crate) async fn publish(will: Testament, shared: &Shared) {
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

/// A will has become void: its client said goodbye, or is back.
pub(crate) fn forget(will: &Testament, shared: &Shared) {
    shared.store.push(Op::NoWill { client_id: will.client_id.clone(), id: will.id });
}

async fn deliver(testament: Testament, shared: &Shared) -> Result<(), Reason> {
    let Testament { client_id, publisher, will, .. } = testament;
    let mut inbox =
        Inbox::new(Version::V5, &client_id, publisher, false, shared.fanout.audiences())
            .of_the_gone();
    // Nobody's: an inbox needs one for QoS 2, which a will has no packet id for.
    let mut session = Session::new(client_id, "".into(), 0, shared.mailbox_limits.clone(), 1, None);
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
    // Who may leave which will was judged when it was left.
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
