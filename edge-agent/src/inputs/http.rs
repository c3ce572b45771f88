//! Takes messages by HTTP: `POST /v1/messages` with one message, an array, or one per line.
//!
//! The answer comes after the sync: `{"source":…,"epoch":…,"offsets":[first,last]}`, the messages' positions, with which
//! `tidemark wait` tells when they are readable. 400 names what is wrong with a message, 507 says that the spool is full. A message that
//! is larger than a spool takes is split, if it is FHIR (`split`), or refused by its place (413, `refused`); the others are accepted.
//!
//! Anybody on this machine may send, but no page of the web that somebody here looks at: it would need the input's own name as `Host`,
//! no other site as `Origin` or `Sec-Fetch-Site`, and a `Content-Type` that browsers ask about before they send it.

use std::sync::Arc;

use serde::Serialize;
use service_runtime::http::{self, Method, Request, Response, StatusCode};
use service_runtime::refusals::Refusals;
use service_runtime::{Hosts, Stop};
use store_forward::{AppendError, Place};
use telemetry_core::spool::format::encoded_len;
use telemetry_core::spool::record::MESSAGE_MAX;
use tokio::net::TcpListener;

use super::ndjson::parse_line;
use super::parts::{self, Left};
use super::{AcceptError, Door, Taken, WhenFull};

/// Who publishes what comes by HTTP.
pub(crate) const PUBLISHER: &str = "http";
/// Largest request body: some messages of the largest size.
const BODY_MAX: usize = 4 * MESSAGE_MAX;

/// What became of the messages of a request.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    accepted: Option<Accepted<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    split: Vec<Split>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Accepted<'a> {
    source: &'a str,
    epoch: String,
    offsets: [u64; 2],
}

/// A message that became several.
#[derive(Serialize)]
struct Split {
    /// Its place in the request, from 0.
    message: usize,
    parts: usize,
}

/// A message, or a part of one, that no spool takes.
#[derive(Serialize)]
struct Refused {
    /// Its place in the request, from 0.
    message: usize,
    #[serde(flatten)]
    left: Left,
}

/// Where messages go, and who may bring them.
pub(crate) struct Input {
    pub(crate) door: Door,
    pub(crate) hosts: Hosts,
    pub(crate) refusals: Refusals,
    /// Bytes of the largest record of the spool.
    pub(crate) record_bytes_max: usize,
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
    let Input { door, hosts, refusals, record_bytes_max } = &*input;
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
    let Fitting { messages, of, split, refused } = fitting(messages, *record_bytes_max);
    let within = |index: usize| of.get(index).copied().unwrap_or(index);
    match door.accept(&messages, WhenFull::Tell).await {
        Ok(places) => {
            let accepted = (!places.is_empty()).then(|| accepted(door, &places));
            let too_large = !refused.is_empty();
            let told = Told { accepted, split, refused };
            if !too_large {
                return Response::json(StatusCode::OK, &told);
            }
            let response = Response::json(StatusCode::PAYLOAD_TOO_LARGE, &told);
            refusals.note("too_large", &response);
            response
        }
        Err(AcceptError::Topic { index, problem }) => {
            let error = AcceptError::Topic { index: within(index), problem };
            Response::text(StatusCode::BAD_REQUEST, format!("{error}\n"))
        }
        Err(AcceptError::Refused { index, problem }) => {
            let status = match problem {
                AppendError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                _ => StatusCode::INSUFFICIENT_STORAGE,
            };
            let error = AcceptError::Refused { index: within(index), problem };
            Response::text(status, format!("{error}: those before it were accepted\n"))
        }
        Err(error @ AcceptError::Stopping) => {
            Response::text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
        }
    }
}

/// The messages of a request as a spool takes them.
#[derive(Default)]
struct Fitting {
    messages: Vec<Taken>,
    /// For each its place in the request.
    of: Vec<usize>,
    split: Vec<Split>,
    refused: Vec<Refused>,
}

/// Splits what is larger than a record may be.
fn fitting(messages: Vec<Taken>, record_bytes_max: usize) -> Fitting {
    let mut fitting = Fitting::default();
    for (message, taken) in messages.into_iter().enumerate() {
        let head = encoded_len(PUBLISHER, &taken.topic, &[], &[]);
        let room = record_bytes_max.saturating_sub(head);
        if taken.payload.len() <= room {
            fitting.messages.push(taken);
            fitting.of.push(message);
            continue;
        }
        let parts::Parts { payloads, left } = parts::split(&taken.payload, room);
        if !payloads.is_empty() {
            fitting.split.push(Split { message, parts: payloads.len() });
        }
        for payload in payloads {
            fitting.messages.push(Taken::new(taken.topic.clone(), payload));
            fitting.of.push(message);
        }
        fitting.refused.extend(left.into_iter().map(|left| Refused { message, left }));
    }
    fitting
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
