//! `/sessions` of the gateway's admin endpoint: who has a session, and the end of one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use service_runtime::admin::Routes;
use service_runtime::http::{Method, Request, Response, StatusCode};

use crate::access::audit::{AuditEvent, AuditRecord};
use crate::access::owner::Owner;
use crate::session::Parked;
use crate::shared::Shared;
use crate::will;

/// Sessions of one answer.
const LISTED_MAX: usize = 10_000;

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SessionStatus {
    /// Its client id.
    pub client_id: String,
    /// The name of the identity that it belongs to.
    pub identity: String,
    /// Whether its client is there.
    pub connected: bool,
    /// While its client is away: its subscriptions, …
    pub subscriptions: Option<usize>,
    /// … the messages that wait for it, and their bytes, …
    pub waiting: Option<usize>,
    /// See `waiting`.
    pub waiting_bytes: Option<usize>,
    /// … and the seconds until it ends; `None` for never.
    pub expires_in_s: Option<u64>,
}

/// The answer of `GET /sessions`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionList {
    /// The sessions by client id, at most 10,000.
    pub sessions: Vec<SessionStatus>,
    /// How many there are beyond these.
    pub more: usize,
}

/// The body of `POST /sessions/end`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndSession {
    /// Whose session ends.
    pub client_id: String,
}

/// Adds the routes to those of the books. `has_token`: whoever asks has shown the admin token; without one nothing can be ended.
pub(crate) fn routes(shared: Arc<Shared>, books: Routes, has_token: bool) -> Routes {
    Arc::new(move |request| {
        let (shared, books) = (shared.clone(), books.clone());
        Box::pin(async move {
            match (&request.method, request.path.as_str()) {
                (&Method::GET, "/sessions") => Some(list(&shared, &request.query)),
                (&Method::POST, "/sessions/end") if has_token => Some(end(&shared, &request).await),
                (&Method::POST, "/sessions/end") => Some(Response::text(
                    StatusCode::FORBIDDEN,
                    "ending sessions needs an admin token: set gateway.admin_token_file\n",
                )),
                _ => books(request).await,
            }
        })
    })
}

fn list(shared: &Shared, query: &str) -> Response {
    let wanted = match query.strip_prefix("identity=") {
        None if query.is_empty() => None,
        Some(name) => Some(name),
        None => return Response::text(StatusCode::BAD_REQUEST, "ask with ?identity=NAME\n"),
    };
    let now = shared.clock.uptime();
    let describe = |client_id: &Arc<str>, owner: &Owner, _, parked: Option<&Parked>| {
        if wanted.is_some_and(|name| name != owner.name) {
            return None;
        }
        let expires_at = parked.and_then(|parked| parked.expires_at);
        let session = parked.map(|parked| &parked.session);
        let (waiting, waiting_bytes) = session.map(|session| session.mailbox.size()).unzip();
        Some(SessionStatus {
            client_id: client_id.to_string(),
            identity: owner.name.clone(),
            connected: parked.is_none(),
            subscriptions: session.map(|session| session.subscriptions().len()),
            waiting,
            waiting_bytes,
            expires_in_s: expires_at.map(|at| at.saturating_sub(now).as_secs()),
        })
    };
    let mut sessions = shared.registry.describe(describe);
    sessions.sort_unstable();
    let more = sessions.len().saturating_sub(LISTED_MAX);
    sessions.truncate(LISTED_MAX);
    Response::json(StatusCode::OK, &SessionList { sessions, more })
}

async fn end(shared: &Shared, request: &Request) -> Response {
    let Ok(EndSession { client_id }) = serde_json::from_slice(&request.body) else {
        return Response::text(StatusCode::BAD_REQUEST, "send {\"client_id\": \"…\"}\n");
    };
    let Some(ended) = shared.registry.end(&client_id) else {
        return Response::text(StatusCode::NOT_FOUND, "no session has this client id\n");
    };
    shared.access.audit().record(AuditRecord {
        client_id: Some(&client_id),
        detail: Some("by an operator"),
        ..AuditRecord::of(AuditEvent::SessionEnded)
    });
    if let Some(parked) = ended {
        parked.session.end(&shared.fanout);
        // A session that ends does not wait for its will's delay (MQTT 5 section 3.1.3.2.2).
        if let Some((_, will)) = parked.will {
            will::publish(will, shared).await;
        }
    }
    Response::json(StatusCode::OK, &EndSession { client_id })
}
