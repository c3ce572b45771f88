//! What is answered when something can't be: a status, and a sentence that says what is wrong and what to do.

use std::collections::BTreeMap;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use ingest::watching::NoAnswer;
use lake::LakeError;
use serde::Serialize;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema, ToSchema, openapi};
use watch::ActError;

use crate::role::{Right, Role};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("{0}")]
    Bad(String),
    #[error(
        "log in: as an identity of the gateway by name and password or by its token, or with the admin token (docs/api.md)"
    )]
    LoginNeeded {
        /// A browser should ask for name and password.
        page: bool,
    },
    #[error("this process knows no identities: only the admin token is taken here")]
    TokenNeeded,
    #[error("{name} has no role here: give it one by [api] roles")]
    NoRole { name: String },
    #[error("the role {role:?} may not: it lacks {right:?} (docs/api.md has what each role may)")]
    NotAllowed { role: Role, right: Right },
    #[error("there is no {0}")]
    NotFound(String),
    #[error("this process does not know it: {0}")]
    NotHere(&'static str),
    #[error("{0}")]
    Conflict(String),
    #[error("use another method for this path: docs/api.md and /openapi.json say which")]
    Method,
    #[error("asked too often: try again in {wait_s} s")]
    TooOften { wait_s: u64 },
    #[error("{0}")]
    Busy(String),
}

/// What an error says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What is wrong, and what to do.
    pub(crate) error: String,
}

impl Error {
    fn status(&self) -> StatusCode {
        match self {
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::LoginNeeded { .. } | Self::TokenNeeded => StatusCode::UNAUTHORIZED,
            Self::NoRole { .. } | Self::NotAllowed { .. } => StatusCode::FORBIDDEN,
            Self::NotFound(_) | Self::NotHere(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooOften { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(Problem { error: self.to_string() })).into_response();
        let headers = response.headers_mut();
        match self {
            Self::LoginNeeded { page } => {
                let basic = HeaderValue::from_static("Basic realm=\"tidemark\", charset=\"UTF-8\"");
                let bearer = HeaderValue::from_static("Bearer realm=\"tidemark\"");
                headers.insert(header::WWW_AUTHENTICATE, if page { basic } else { bearer });
            }
            Self::TokenNeeded => {
                let bearer = HeaderValue::from_static("Bearer realm=\"tidemark\"");
                headers.insert(header::WWW_AUTHENTICATE, bearer);
            }
            Self::TooOften { wait_s } => {
                headers.insert(header::RETRY_AFTER, wait_s.into());
            }
            _ => {}
        }
        response
    }
}

impl From<NoAnswer> for Error {
    fn from(no: NoAnswer) -> Self {
        let text = no.to_string();
        match no {
            NoAnswer::Act(ActError::NoSuchAlert) => {
                Self::NotFound("such alert: it may be resolved".into())
            }
            NoAnswer::Act(ActError::NotNow) => Self::Conflict(text),
            NoAnswer::Act(_) => Self::Bad(text),
            NoAnswer::Busy | NoAnswer::Ending => Self::Busy(text),
        }
    }
}

impl From<LakeError> for Error {
    fn from(error: LakeError) -> Self {
        Self::Busy(format!("the lake cannot be read: {error}"))
    }
}

/// The answers that every path may give beside its own.
pub(crate) struct Refused;

impl IntoResponses for Refused {
    fn responses() -> BTreeMap<String, RefOr<openapi::Response>> {
        let each = [
            ("400", "Something in the request makes no sense."),
            ("401", "Nobody is let in without a login."),
            ("403", "The role may not, or the request is another site's."),
            ("404", "There is none, or this process does not know it."),
            ("405", "Another method is meant."),
            ("409", "It is not in a state for that."),
            ("429", "Asked too often."),
            ("503", "Busy, ending, or the lake cannot be read."),
        ];
        let made = each.map(|(status, about)| {
            let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
            let response = ResponseBuilder::new()
                .description(about)
                .content("application/json", content.build());
            (status.to_owned(), RefOr::T(response.build()))
        });
        // The endpoint itself says so, before anybody is asked.
        let text = ContentBuilder::new().schema(Some(<String as PartialSchema>::schema()));
        let too_large = ResponseBuilder::new()
            .description("The body is larger than 64 KiB.")
            .content("text/plain", text.build());
        let too_large = ("413".to_owned(), RefOr::T(too_large.build()));
        made.into_iter().chain([too_large]).collect()
    }
}
