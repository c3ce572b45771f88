//! The HTTP API of a process: what its gateway and ingest know, what is in the lake, alerts and what people do to them; described
//! by `/openapi.json`, with server-sent events for all that moves.
//!
//! It is an [`Application`] behind the admin endpoint of a service: hosts and origins are checked before it is asked. Who asks is
//! found out by `caller`, what they may is said by each handler, and everything is bounded: bodies, pages, points, listeners,
//! questions to the lake at once.
#![warn(missing_docs)]
#![expect(
    unused_qualifications,
    reason = "the macros of utoipa write types with their whole paths"
)]

mod alerts;
mod caller;
mod config;
mod devices;
mod error;
mod events;
mod extract;
mod history;
mod known;
mod landed;
mod letters;
mod looking;
mod mask;
mod openapi;
mod overview;
mod pages;
mod pulse;
mod role;
mod running;
mod secrets;
mod series;
mod sources;
mod standing;
mod state;
mod thin;
mod throttle;
mod times;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use http_body_util::BodyExt as _;
use service_runtime::application::Application;
use tower_service::Service as _;

pub use config::ApiConfig;
pub use openapi::description;
pub use pages::{Page, pages};
pub use role::{Right, Role};
pub use state::{Api, Ingest, Parts};

use error::Error;

/// All paths of the API, and those of `console`, which has no fallback of its own.
pub fn router(api: &Api, console: Router) -> Router {
    let known = Router::new()
        .route("/api/v1/me", get(overview::me))
        .route("/api/v1/overview", get(overview::overview))
        .route("/api/v1/sources", get(sources::list))
        .route("/api/v1/devices", get(devices::list))
        .route("/api/v1/devices/{site}/{device}", get(devices::one))
        .route("/api/v1/devices/{site}/{device}/series", get(series::series))
        .route("/api/v1/alerts", get(alerts::list))
        .route("/api/v1/alerts/history", get(history::history))
        .route("/api/v1/alerts/{alert}/acknowledge", post(alerts::acknowledge))
        .route("/api/v1/alerts/{alert}/silence", post(alerts::silence))
        .route("/api/v1/maintenance", post(alerts::maintain))
        .route("/api/v1/dead-letters", get(letters::counts))
        .route("/api/v1/dead-letters/samples", get(letters::samples))
        .route("/api/v1/dead-letters/replay", post(letters::replay))
        .route("/api/v1/landings", get(landed::landed))
        .route("/api/v1/tables", get(landed::tables))
        .route("/api/v1/connections", get(running::connections))
        .route("/api/v1/limits", get(running::limits))
        .route("/api/v1/topics", get(running::topics))
        .route("/api/v1/config", get(running::configuration))
        .route("/api/v1/events", get(events::events))
        .fallback(unknown)
        .method_not_allowed_fallback(method)
        .layer(from_fn_with_state(api.clone(), caller::admit))
        .with_state(api.clone());
    // What a console is made of, and what paths there are, says nothing of what runs here.
    known.merge(console).route("/openapi.json", get(openapi::serve))
}

/// The same as an application of an admin endpoint.
#[must_use]
pub fn application(api: &Api, console: Router) -> Application {
    let router = router(api, console);
    Arc::new(move |request| {
        let mut router = router.clone();
        Box::pin(async move {
            let request: Request = request.map(axum::body::Body::new);
            match router.call(request).await {
                Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
                Err(never) => match never {},
            }
        })
    })
}

/// What is at `/` where there is no console.
pub fn no_console() -> Router {
    Router::new().route("/", get("Tidemark. The API is at /api/v1/, described by /openapi.json.\n"))
}

async fn unknown() -> Error {
    Error::NotFound("such path; /openapi.json lists those of the API".into())
}

async fn method() -> Error {
    Error::Method
}
