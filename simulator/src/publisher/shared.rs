//! What all connections of a simulation share.

use std::sync::Arc;

use service_runtime::{Clock, Stop};

use super::dial::Dial;
use super::mqtt::{Codec, Login};
use super::receipts::Tracker;
use crate::journal::Journal;
use crate::progress::Progress;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) dial: Arc<dyn Dial>,
    pub(crate) codec: Codec,
    pub(crate) journal: Option<Journal>,
    pub(crate) progress: Arc<Progress>,
    pub(crate) tracker: Option<Tracker>,
    pub(crate) clock: Clock,
    pub(crate) keep_alive_s: u16,
    pub(crate) login: Option<Login>,
    /// Cut the connection after about so many messages.
    pub(crate) cut_every: u64,
    /// Give up waiting for answers.
    pub(crate) abort: Stop,
}
