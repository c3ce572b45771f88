//! One record of the audit log.

use std::net::SocketAddr;

use serde::Serialize;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AuditEvent {
    Connected,
    Refused,
    Disconnected,
    PublishDenied,
    SubscribeDenied,
    /// A will whose owner may not publish it any more.
    WillDenied,
    /// A session that waited for its client, and whose owner is gone.
    SessionEnded,
    /// Logins failed until further ones must wait.
    LoginsThrottled,
    Reloaded,
    ReloadFailed,
}

/// One line. Never a password, a token or a payload.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct AuditRecord<'a> {
    pub(crate) event: AuditEvent,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<&'a str>,
    /// How the identity was proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) proof: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peer: Option<SocketAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) listener: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) topic: Option<&'a str>,
    /// Why, or what exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<&'a str>,
}

impl AuditRecord<'_> {
    /// A record of which only the event is known.
    pub(crate) fn of(event: AuditEvent) -> Self {
        Self {
            event,
            identity: None,
            proof: None,
            client_id: None,
            peer: None,
            listener: None,
            topic: None,
            detail: None,
        }
    }
}
