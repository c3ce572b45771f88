//! A source's books for people: what `GET /status` answers, and `tidemark status` prints.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use service_runtime::admin::Routes;
use service_runtime::http::{Method, Response, StatusCode};
use tokio::sync::watch;

use crate::Spool;
use crate::uplink::UplinkStatus;

/// One source's books: accepted = landed + pending (+ what was dropped).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// The source's name.
    pub source_id: String,
    /// Its epoch, 16 hexadecimal digits.
    pub epoch: String,
    /// Offset after the last accepted message.
    pub appended: u64,
    /// Below: on stable storage.
    pub synced: u64,
    /// Below: sent.
    pub sent: u64,
    /// Below: readable in the lake.
    pub landed: u64,
    /// Accepted messages that are not readable yet.
    pub lag: u64,
    /// Raw bytes that ingest lets the source have in flight; absent before the first receipt.
    pub window: Option<u64>,
    /// Bytes of the spool on disk.
    pub spool_bytes: u64,
    /// The lake that the source is bound to.
    pub lake_id: Option<String>,
    /// Another lake that answers, if one does.
    pub wrong_lake: Option<String>,
    /// Whether frames can be sent.
    pub connected: bool,
}

/// Reads the books of a spool and its uplink.
pub fn source_status(spool: &Spool, uplink: &UplinkStatus) -> SourceStatus {
    let spool = spool.status();
    let landed = uplink.positions.landed.max(spool.landed);
    SourceStatus {
        source_id: spool.source_id.to_string(),
        epoch: spool.epoch.to_string(),
        appended: spool.appended,
        synced: spool.synced,
        sent: uplink.positions.sent,
        landed,
        lag: spool.appended.saturating_sub(landed),
        window: uplink.window,
        spool_bytes: spool.bytes,
        lake_id: spool.lake_id,
        wrong_lake: uplink.wrong_lake.clone(),
        connected: uplink.connected,
    }
}

/// Serves `/status`: a JSON array with one object per source.
pub fn routes(spool: Spool, uplink: watch::Receiver<UplinkStatus>) -> Routes {
    Arc::new(move |request| {
        let found = (request.method == Method::GET && request.path == "/status")
            .then(|| Response::json(StatusCode::OK, &[source_status(&spool, &uplink.borrow())]));
        Box::pin(async move { found })
    })
}
