//! Who a client is and what it may do, as the tables say at this moment.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use service_runtime::Clock;
use tokio::sync::watch;

use crate::access::audit::{AuditEvent, AuditRecord};
use crate::access::grants::Grants;
use crate::access::owner::Owner;
use crate::access::{Access, Denied, Identity};

/// A client's rights.
pub(super) struct Rights {
    access: Access,
    identity: Identity,
    client_id: Arc<str>,
    grants: Grants,
    generation: watch::Receiver<u64>,
    clock: Clock,
    peer: SocketAddr,
    listener: Arc<str>,
}

impl Rights {
    /// `generation` was taken before the client's proof was looked at: a change since then is seen.
    pub(super) fn new(
        access: Access,
        generation: watch::Receiver<u64>,
        identity: Identity,
        client_id: &Arc<str>,
        clock: Clock,
        (peer, listener): (SocketAddr, Arc<str>),
    ) -> Self {
        let grants = access.grants(&identity, client_id);
        let client_id = client_id.clone();
        Self { access, identity, client_id, grants, generation, clock, peer, listener }
    }

    /// Returns who the client is, for what it leaves behind.
    pub(super) fn owner(&self) -> Owner {
        Owner::of(&self.identity)
    }

    /// Returns the rules that hold for it now.
    pub(super) fn grants(&self) -> &Grants {
        &self.grants
    }

    /// Returns where the client is and by which port it came.
    pub(super) fn place(&self) -> (SocketAddr, Arc<str>) {
        (self.peer, self.listener.clone())
    }

    /// Tells whether the client may publish to a topic; a refusal is recorded.
    pub(super) fn may_publish(&mut self, topic: &str) -> bool {
        let allowed = self.grants.may_publish(topic);
        if !allowed {
            self.record(AuditEvent::PublishDenied, Some(topic), None);
        }
        allowed
    }

    /// Tells whether the client may subscribe to a filter; a refusal is recorded.
    pub(super) fn may_subscribe(&self, filter: &str) -> bool {
        let allowed = self.grants.may_subscribe(filter);
        if !allowed {
            self.record(AuditEvent::SubscribeDenied, Some(filter), None);
        }
        allowed
    }

    /// Waits until the tables change or the client's proof ends. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        let left = self.identity.expires_us.map(|end| {
            let left_us = end.saturating_sub(self.clock.now_us());
            Duration::from_micros(u64::try_from(left_us).unwrap_or(0))
        });
        let ended = async {
            match left {
                Some(left) => tokio::time::sleep(left).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            // The sender lives as long as `access`, which is ours.
            _ = self.generation.changed() => {}
            () = ended => {}
        }
    }

    /// Takes what the tables say now.
    pub(super) fn refresh(&mut self) -> Result<(), Denied> {
        self.identity = self.access.refresh(&self.identity)?;
        if !self.access.client_id_fits(&self.identity, &self.client_id) {
            return Err(Denied::ClientId);
        }
        self.grants = self.access.grants(&self.identity, &self.client_id);
        Ok(())
    }

    /// Writes a line into the audit log.
    pub(super) fn record(&self, event: AuditEvent, topic: Option<&str>, detail: Option<&str>) {
        self.access.audit().record(AuditRecord {
            identity: Some(&self.identity.name),
            proof: Some(self.identity.kind()),
            client_id: Some(&self.client_id),
            peer: Some(self.peer),
            listener: Some(&self.listener),
            topic,
            detail,
            ..AuditRecord::of(event)
        });
    }
}
