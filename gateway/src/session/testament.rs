//! A will and whose it is: what a session publishes when its client vanishes.

use std::sync::Arc;

use crate::mqtt::Will;

/// A will and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Testament {
    pub(crate) client_id: Arc<str>,
    /// As it stands in the spool.
    pub(crate) publisher: String,
    pub(crate) will: Will,
}
