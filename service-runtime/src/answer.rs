//! What an HTTP handler answers: a whole body, or one that comes in pieces for as long as the server runs.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::StatusCode;
use hyper::body::{Frame, SizeHint};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::Stop;

/// A response with its whole body.
#[derive(Debug, Clone)]
pub struct Response {
    /// 200, 404, ….
    pub status: StatusCode,
    /// MIME type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// Makes a plain text response.
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: Bytes::from(body.into()) }
    }

    /// Makes a JSON response.
    pub fn json(status: StatusCode, body: &impl serde::Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => Self { status, content_type: "application/json", body: bytes.into() },
            Err(error) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
        }
    }
}

/// A body, whole or in pieces.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;
/// Why a body could not be made to its end.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// An answer.
#[derive(Debug)]
pub enum Answer {
    /// With its whole body.
    Whole(Response),
    /// With headers of its own, and a body that may go on.
    Streamed(hyper::Response<Body>),
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Whole(response)
    }
}

impl Answer {
    /// The answer as it is sent; a body that goes on ends with the server.
    pub(crate) fn until(self, stop: &Stop) -> Result<hyper::Response<Ending>, hyper::http::Error> {
        match self {
            Self::Whole(Response { status, content_type, body }) => hyper::Response::builder()
                .status(status)
                .header(hyper::header::CONTENT_TYPE, content_type)
                .body(Ending { body: whole(body), stop: None }),
            Self::Streamed(response) => {
                let stop = Some(Box::pin(stop.clone().cancelled_owned()));
                Ok(response.map(|body| Ending { body, stop }))
            }
        }
    }
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync()
}

/// A body that ends with the server: nobody waits for one that goes on for ever.
pub(crate) struct Ending {
    body: Body,
    stop: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl hyper::body::Body for Ending {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        // What has a known end is sent to its end.
        let goes_on = self.body.size_hint().exact().is_none();
        if goes_on
            && let Some(stop) = &mut self.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
