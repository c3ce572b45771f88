//! The description of the API: what `/openapi.json` says.

use axum::Json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi, openapi};

use crate::{
    alerts, devices, error, events, history, landed, letters, overview, running, series, sources,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidemark",
        description = "What a gateway and an ingest know, what is in their lake, and alerts. Times are RFC 3339, UTC. Lists have `limit` and `after`, the `next` of the page before.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        overview::me,
        overview::overview,
        sources::list,
        devices::list,
        devices::one,
        series::series,
        alerts::list,
        history::history,
        alerts::acknowledge,
        alerts::silence,
        alerts::maintain,
        letters::counts,
        letters::samples,
        letters::replay,
        landed::landed,
        landed::tables,
        running::connections,
        running::limits,
        running::topics,
        running::configuration,
        events::events,
    ),
    components(schemas(error::Problem, events::Landed, events::Heard)),
    modifiers(&Logins),
    security((), ("basic" = []), ("bearer" = []))
)]
struct Description;

struct Logins;

impl Modify for Logins {
    fn modify(&self, api: &mut openapi::OpenApi) {
        let Some(components) = &mut api.components else { return };
        for (name, scheme) in [("basic", HttpAuthScheme::Basic), ("bearer", HttpAuthScheme::Bearer)]
        {
            let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(scheme).build());
            components.add_security_scheme(name, scheme);
        }
    }
}

/// The description.
#[must_use]
pub fn description() -> openapi::OpenApi {
    Description::openapi()
}

pub(crate) async fn serve() -> Json<openapi::OpenApi> {
    Json(description())
}
