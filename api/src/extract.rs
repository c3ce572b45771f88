//! Reads what comes with a request: query, path and body, with errors that say what is wrong.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;

use crate::error::Error;

/// Largest body.
const BODY_BYTES_MAX: usize = 16 << 10;

/// The query.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        let read = Query::<T>::try_from_uri(&parts.uri);
        let bad = |error: axum::extract::rejection::QueryRejection| Error::Bad(error.body_text());
        read.map(|Query(query)| Self(query)).map_err(bad)
    }
}

/// The names in the path.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        let bad = |error: axum::extract::rejection::PathRejection| Error::Bad(error.body_text());
        read.map(|Path(names)| Self(names)).map_err(bad)
    }
}

/// The body: one JSON object, said to be so. A page of another site cannot send that without being asked.
pub(crate) struct Sent<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Sent<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        if !kind.eq_ignore_ascii_case("application/json") {
            return Err(Error::Bad("send a body with Content-Type: application/json".into()));
        }
        let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
        let body: Bytes = match body {
            Ok(body) => body.to_bytes(),
            Err(_) => {
                return Err(Error::Bad(format!("the body has more than {BODY_BYTES_MAX} bytes")));
            }
        };
        // Where it is wrong, not what is there.
        let bad = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            let kind = if error.is_data() { "not what is asked for" } else { "no JSON" };
            Error::Bad(format!(
                "the body is {kind}, at line {line} column {column}: see /openapi.json"
            ))
        };
        // Serde takes a list for an object, too.
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
            return Err(Error::Bad("the body is a list, not an object: see /openapi.json".into()));
        }
        serde_json::from_slice(&body).map(Self).map_err(bad)
    }
}
