//! Why a client is refused.

use std::time::Duration;

/// Why a client is refused. The client hears the kind only; the rest is for the audit log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// What it offers as proof is wrong.
    #[error("bad login: {0}")]
    BadLogin(String),
    /// It may not connect, whoever it is.
    #[error("not authorized: {0}")]
    NotAuthorized(String),
    /// The client id is another identity's.
    #[error("the client id does not belong to the identity")]
    ClientId,
    /// The identity has been revoked.
    #[error("the identity has been revoked")]
    Revoked,
    /// Too many logins failed.
    #[error("too many failed logins: it is heard again in {} s; one from another address is heard now", .wait.as_secs().max(1))]
    Throttled {
        /// How long it must wait.
        wait: Duration,
    },
    /// More logins wait than there is room for.
    #[error("too many logins wait to be heard")]
    Crowded,
    /// The certificate or token has expired.
    #[error("the proof has expired")]
    Expired,
}
