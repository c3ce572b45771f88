//! What `GET /status` answers on ingest's own admin address.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use service_runtime::Counts;
use service_runtime::admin::Routes;
use service_runtime::counts::Groups;
use service_runtime::http::{Method, Response, StatusCode};

use crate::config::Config;

/// What ingest says of itself. The books of the sources are theirs, and the lake's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestStatus {
    /// Name of the worker in receipts and in the ledger.
    pub worker: String,
    /// The broker that it takes frames from.
    pub broker: String,
    /// What it has refused or could not make rows of since its start, by group (`dead_letters`, `refused`, `limits`, …) and reason.
    /// Messages of a lost landing count again.
    pub counts: Groups,
}

/// Serves `/status`.
pub(crate) fn routes(config: &Config, counts: Counts) -> Routes {
    let (worker, broker) = (config.worker.clone(), config.broker.clone());
    Arc::new(move |request| {
        let found = (request.method == Method::GET && request.path == "/status").then(|| {
            let (worker, broker) = (worker.clone(), broker.clone());
            Response::json(StatusCode::OK, &IngestStatus { worker, broker, counts: counts.read() })
        });
        Box::pin(async move { found })
    })
}
