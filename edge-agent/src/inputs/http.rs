//! Takes messages by HTTP: `POST /v1/messages` with one message, an array, or one per line.
//!
//! The answer comes after the sync: `{"source":…,"epoch":…,"offsets":[first,last]}`, the messages' positions, with which
//! `tidemark wait` tells when they are readable. 507 says that the spool is full. A message that is larger than a spool takes is split, if
//! it is FHIR (`split`), or refused by its place (413, `refused`), as is what is no message (400); the others are accepted all the same.
//!
//! A request with the header `traceparent` has its messages followed to the lake (W3C Trace Context).
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
use telemetry_core::topic::validate_topic;
use tokio::net::TcpListener;

use super::ndjson::parse_line;
use super::parts::{self, Left};
use super::{AcceptError, Door, TRACEPARENT, Taken, WhenFull};

/// Who publishes what comes by HTTP.
pub(crate) const PUBLISHER: &str = "http";
/// What is refused is named up to so many.
const REFUSED_NAMED: usize = 100;
/// Longest `traceparent`: 55 characters today, and versions to come may have more behind it.
const TRACEPARENT_MAX: usize = 256;
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
    /// How many more were.
    #[serde(skip_serializing_if = "is_none")]
    refused_more: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_none(number: &usize) -> bool {
    *number == 0
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

/// A message, or a part of one, that no spool takes, or what is no message.
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
    if (&request.method, request.path.as_str()) != (&Method::POST, "/v1/messages") {
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
    let lines = split(&request.body);
    if lines.is_empty() {
        return Response::text(StatusCode::BAD_REQUEST, "no message in the body\n");
    }
    let traceparent = traceparent(&request);
    let Fitting { messages, of, split, mut refused, malformed } =
        fitting(lines, traceparent.as_ref(), *record_bytes_max);
    let refused_more = refused.len().saturating_sub(REFUSED_NAMED);
    refused.truncate(REFUSED_NAMED);
    let within = |index: usize| of.get(index).copied().unwrap_or(index);
    match door.accept(&messages, WhenFull::Tell).await {
        Ok(places) => {
            let accepted = (!places.is_empty()).then(|| accepted(door, &places));
            let (status, reason) = match (malformed, refused.is_empty()) {
                (true, _) => (StatusCode::BAD_REQUEST, Some("malformed")),
                (false, false) => (StatusCode::PAYLOAD_TOO_LARGE, Some("too_large")),
                (false, true) => (StatusCode::OK, None),
            };
            let response = Response::json(status, &Told { accepted, split, refused, refused_more });
            if let Some(reason) = reason {
                refusals.note(reason, &response);
            }
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
    /// Whether something was no message.
    malformed: bool,
}

/// Leaves out what is no message, and splits what is larger than a record may be.
fn fitting(lines: Vec<&[u8]>, traceparent: Option<&Arc<str>>, record_bytes_max: usize) -> Fitting {
    let mut fitting = Fitting::default();
    for (message, line) in lines.into_iter().enumerate() {
        let taken = match message_of(line) {
            Ok(taken) => Taken { traceparent: traceparent.cloned(), ..taken },
            Err(problem) => {
                let left = Left::new(line.len(), problem);
                fitting.refused.push(Refused { message, left });
                fitting.malformed = true;
                continue;
            }
        };
        let head = encoded_len(PUBLISHER, &taken.topic, &taken.attributes(), &[]);
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
            let traceparent = taken.traceparent.clone();
            let part = Taken::new(taken.topic.clone(), payload);
            fitting.messages.push(Taken { traceparent, ..part });
            fitting.of.push(message);
        }
        fitting.refused.extend(left.into_iter().map(|left| Refused { message, left }));
    }
    fitting
}

/// What the request says of its trace; nothing if that is longer than any that is known.
fn traceparent(request: &Request) -> Option<Arc<str>> {
    let said = request.headers.get(TRACEPARENT)?.to_str().ok()?;
    (said.len() <= TRACEPARENT_MAX).then(|| said.into())
}

/// A message that may be published, or what is wrong with it.
fn message_of(line: &[u8]) -> Result<Taken, String> {
    let taken = parse_line(line).map_err(|error| error.to_string())?;
    validate_topic(&taken.topic).map_err(|error| error.to_string())?;
    Ok(taken)
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
