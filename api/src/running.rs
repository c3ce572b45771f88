//! What runs here: connections, limits, topics, and the configuration in force.

use axum::Json;
use axum::extract::State;
use ingest::topics::TOPICS_MAX;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Who;
use crate::error::{Error, Refused};
use crate::extract::Asked;
use crate::role::Right;
use crate::secrets::without_secrets;
use crate::state::{Api, LAKE_MAX, LISTENERS_MAX};
use crate::times::{Time, cursor, from_cursor, page};

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// Most of one page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// A page of sessions, and who was refused.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Connections {
    connections: Vec<ConnectionShown>,
    refusals: Vec<Refusal>,
    next: Option<String>,
}

/// A session at the gateway.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionShown {
    client_id: String,
    identity: String,
    /// Whether its client is there.
    connected: bool,
    /// Since when it is so, as far as this process knows.
    since: Time,
    /// Messages that wait for it, while its client is away.
    waiting: Option<usize>,
}

/// What was refused, since the process began.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Refusal {
    reason: String,
    count: u64,
    last: Time,
}

/// Lists sessions at the gateway, by client id, and counts of what was refused.
#[utoipa::path(get, path = "/api/v1/connections", tag = "running", params(PageQuery), responses((status = 200, body = Connections, description = "A page of sessions."), Refused))]
pub(crate) async fn connections(
    State(api): State<Api>,
    who: Who,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Connections>, Error> {
    who.must(Right::Connections)?;
    let limit = page(query.limit, 100, 1000)?;
    let after: Option<String> = from_cursor(query.after.as_deref())?;
    let (found, more) = api.gateway()?.connections(after.as_deref(), limit);
    let next = found.last().filter(|_| more).map(|last| cursor(&last.client_id));
    let connections = found.into_iter().map(|own| ConnectionShown {
        client_id: own.client_id,
        identity: own.identity,
        connected: own.connected,
        since: Time::of(own.since_us),
        waiting: own.waiting,
    });
    let refusals = api.pulse().group("refused").into_iter().map(|(reason, grown)| Refusal {
        reason,
        count: grown.count,
        last: Time::of(grown.last_us),
    });
    Ok(Json(Connections { connections: connections.collect(), refusals: refusals.collect(), next }))
}

/// Limits, and how full they are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Limits {
    limits: Vec<Limit>,
}

/// A limit.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Limit {
    name: String,
    used: u64,
    max: u64,
    /// What happens when it is reached.
    effect: String,
    /// The setting that moves it; null if none does.
    setting: Option<String>,
}

/// Lists limits, and how full they are.
#[utoipa::path(get, path = "/api/v1/limits", tag = "running", responses((status = 200, body = Limits, description = "All limits."), Refused))]
pub(crate) async fn limits(State(api): State<Api>, who: Who) -> Result<Json<Limits>, Error> {
    who.must(Right::Connections)?;
    let of_gateway = api.parts().gateway.iter().flat_map(gateway::Insight::limits);
    let of_gateway = of_gateway.map(|limit| Limit {
        name: limit.name.into(),
        used: limit.used,
        max: limit.max,
        effect: limit.effect.into(),
        setting: Some(limit.setting.into()),
    });
    let fixed = |name: &str, used: usize, max: usize, effect: &str| Limit {
        name: name.into(),
        used: used as u64,
        max: max as u64,
        effect: effect.into(),
        setting: None,
    };
    let topics = api.parts().ingest.as_ref().map(|ingest| ingest.watcher.topics().size().0);
    let topics = topics.map(|used| {
        fixed(
            "topics",
            used,
            TOPICS_MAX,
            "further topics are not listed; their messages land all the same",
        )
    });
    let (listeners, questions) = api.used();
    let own = [
        fixed(
            "event_listeners",
            listeners,
            LISTENERS_MAX,
            "further listeners to events are answered with 503",
        ),
        fixed(
            "lake_questions",
            questions,
            LAKE_MAX,
            "further questions to the lake wait, 20 s at most",
        ),
    ];
    Ok(Json(Limits { limits: of_gateway.chain(topics).chain(own).collect() }))
}

/// A page of topics.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Topics {
    topics: Vec<Topic>,
    /// Messages on topics that are not listed, since there are more than 10,000.
    left_out: u64,
    next: Option<String>,
}

/// A topic.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Topic {
    topic: String,
    /// The rule that takes it; null: none does.
    rule: Option<String>,
    /// Rows in the last full minute.
    rows_per_minute: u32,
    /// When a message came last.
    last: Time,
    /// Bytes of all payloads since the process began.
    bytes: u64,
    /// Messages that became dead letters since then.
    dead_letters: u64,
}

/// Lists the topics that messages came on since the process began.
#[utoipa::path(get, path = "/api/v1/topics", tag = "running", params(PageQuery), responses((status = 200, body = Topics, description = "A page of topics."), Refused))]
pub(crate) async fn topics(
    State(api): State<Api>,
    who: Who,
    Asked(query): Asked<PageQuery>,
) -> Result<Json<Topics>, Error> {
    who.must(Right::Lake)?;
    let limit = page(query.limit, 100, 1000)?;
    let after: Option<String> = from_cursor(query.after.as_deref())?;
    let seen = api.ingest()?.watcher.topics();
    let (found, more) = seen.list(after.as_deref(), limit, api.now_us());
    let next = found.last().filter(|_| more).map(|last| cursor(&last.topic));
    let topics = found.into_iter().map(|own| Topic {
        topic: own.topic,
        rule: own.rule,
        rows_per_minute: own.rows_per_minute,
        last: Time::of(own.last_us),
        bytes: own.bytes,
        dead_letters: own.dead_letters,
    });
    Ok(Json(Topics { topics: topics.collect(), left_out: seen.size().1, next }))
}

/// The configuration in force.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Configuration {
    /// By section, as in the file; secrets are `***`.
    config: serde_json::Value,
}

/// Shows the configuration in force, without secrets.
#[utoipa::path(get, path = "/api/v1/config", tag = "running", responses((status = 200, body = Configuration, description = "The configuration."), Refused))]
pub(crate) async fn configuration(
    State(api): State<Api>,
    who: Who,
) -> Result<Json<Configuration>, Error> {
    who.must(Right::Config)?;
    Ok(Json(Configuration { config: without_secrets(api.parts().in_force.clone()) }))
}
