//! Takes messages by HTTP: `POST /v1/messages` with one message, an array, or one per line.
//!
//! The answer comes after the sync: `{"source":…,"epoch":…,"offsets":[first,last]}`, the messages' positions, with which
//! `tidemark wait` tells when they are readable. 400 names what is wrong with a message, 507 says that the spool is full.
//!
//! Anybody on this machine may send, but no page of the web that somebody here looks at: it would need the input's own name as `Host`,
//! no other site as `Origin` or `Sec-Fetch-Site`, and a `Content-Type` that browsers ask about before they send it.

use std::sync::Arc;

use serde::Serialize;
use service_runtime::http::{self, Method, Request, Response, StatusCode};
use service_runtime::refusals::Refusals;
use service_runtime::{Hosts, Stop};
use store_forward::{AppendError, Place};
use telemetry_core::spool::record::MESSAGE_MAX;
use tokio::net::TcpListener;

use super::ndjson::parse_line;
use super::{AcceptError, Door, WhenFull};

/// Largest request body: some messages of the largest size.
const BODY_MAX: usize = 4 * MESSAGE_MAX;

#[derive(Serialize)]
struct Accepted<'a> {
    source: &'a str,
    epoch: String,
    offsets: [u64; 2],
}

/// Where messages go, and who may bring them.
pub(crate) struct Input {
    pub(crate) door: Door,
    pub(crate) hosts: Hosts,
    pub(crate) refusals: Refusals,
}

pub(crate) async fn run(listener: TcpListener, input: Input, stop: Stop) -> anyhow::Result<()> {
    let (speaking, input) = (input.refusals.clone(), Arc::new(input));
    let handler = move |request| answer(request, input.clone());
    tokio::select! {
        served = http::serve(listener, BODY_MAX, handler, stop) => served,
        never = speaking.speak() => match never {},
    }
}

async fn answer(request: Request, input: Arc<Input>) -> Response {
    let Input { door, hosts, refusals } = &*input;
    if let Err(foreign) = hosts.check(&request) {
        let response = foreign.response();
        refusals.note(foreign.reason(), &response);
        return response;
    }
    if (request.method, request.path.as_str()) != (Method::POST, "/v1/messages") {
        return Response::text(
            StatusCode::NOT_FOUND,
            "unknown path: POST messages to /v1/messages\n",
        );
    }
    if !request.content_type.as_deref().is_some_and(is_json) {
        let response = Response::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send messages with Content-Type: application/json, or application/x-ndjson\n",
        );
        refusals.note("content_type", &response);
        return response;
    }
    let messages: Result<Vec<_>, _> = split(&request.body).into_iter().map(parse_line).collect();
    let messages = match messages {
        Ok(messages) if messages.is_empty() => {
            return Response::text(StatusCode::BAD_REQUEST, "no message in the body\n");
        }
        Ok(messages) => messages,
        Err(problem) => return Response::text(StatusCode::BAD_REQUEST, format!("{problem}\n")),
    };
    match door.accept(&messages, WhenFull::Tell).await {
        Ok(places) => Response::json(StatusCode::OK, &accepted(door, &places)),
        Err(error @ AcceptError::Topic { .. }) => {
            Response::text(StatusCode::BAD_REQUEST, format!("{error}\n"))
        }
        Err(error @ AcceptError::Refused { problem: AppendError::TooLarge, .. }) => Response::text(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("{error}: those before it were accepted\n"),
        ),
        Err(error @ AcceptError::Refused { .. }) => Response::text(
            StatusCode::INSUFFICIENT_STORAGE,
            format!("{error}: those before it were accepted\n"),
        ),
        Err(error @ AcceptError::Stopping) => {
            Response::text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
        }
    }
}

/// Tells whether a `Content-Type` says JSON. Others are what any page may send without asking first (the Fetch standard's "simple"
/// requests); one that is missing may be one of those.
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let types =
        ["application/json", "application/x-ndjson", "application/ndjson", "application/jsonl"];
    types.iter().any(|known| essence.eq_ignore_ascii_case(known))
}

/// Says where the messages stand. If the epoch changed among them (a fork), it names those of the newer one: the positions of the
/// others never come true.
fn accepted<'a>(door: &'a Door, places: &[Place]) -> Accepted<'a> {
    let source = door.spool.source_id().as_str();
    let Some(last) = places.last() else {
        return Accepted { source, epoch: door.spool.epoch().to_string(), offsets: [0, 0] };
    };
    let first = places.iter().find(|place| place.generation == last.generation).unwrap_or(last);
    Accepted { source, epoch: last.epoch.to_string(), offsets: [first.offset, last.offset] }
}

/// Splits a body into JSON objects: the elements of an array, or the lines.
fn split(body: &[u8]) -> Vec<&[u8]> {
    let trimmed = body.trim_ascii();
    if trimmed.starts_with(b"[")
        && let Ok(elements) = serde_json::from_slice::<Vec<&serde_json::value::RawValue>>(trimmed)
    {
        return elements.into_iter().map(|element| element.get().as_bytes()).collect();
    }
    if trimmed.starts_with(b"{") && serde_json::from_slice::<serde::de::IgnoredAny>(trimmed).is_ok()
    {
        return vec![trimmed];
    }
    trimmed.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_object_an_array_and_lines_are_understood() {
        assert_eq!(split(b" {\n\"topic\":\"a\"} ").len(), 1);
        assert_eq!(split(b"[{\"a\":1},{\"b\":2}]"), [&b"{\"a\":1}"[..], b"{\"b\":2}"]);
        assert_eq!(split(b"{\"a\":1}\n\n{\"b\":2}\n").len(), 2);
        assert!(split(b"").is_empty());
    }
}
