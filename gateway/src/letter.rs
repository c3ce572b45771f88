//! A message for one session, and what its subscriptions ask for.

use std::sync::Arc;

use crate::message::Message;

/// What a subscription asks for beside its filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Options {
    pub(crate) qos: u8,
    /// MQTT 5: nothing that the subscriber published itself.
    pub(crate) no_local: bool,
    /// MQTT 5: the RETAIN flag as it was published.
    pub(crate) retain_as_published: bool,
    /// MQTT 5: sent along with each delivery.
    pub(crate) id: Option<u32>,
}

/// A message for one session, with what its subscriptions say about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    pub(crate) message: Arc<Message>,
    /// The QoS of the delivery.
    pub(crate) qos: u8,
    /// The RETAIN flag of the delivery.
    pub(crate) retain: bool,
    /// Subscription identifiers of all subscriptions that selected it.
    pub(crate) ids: Vec<u32>,
    /// The shared subscription that it came by: another member can have it if this session ends.
    pub(crate) shared: Option<Arc<str>>,
    /// Its number in the session's queue on disk, if it stands there.
    pub(crate) stored: Option<u64>,
}
