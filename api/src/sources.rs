//! Sources: how far each is delivered, by the lake's ledger and, of the gateway beside, by its own books.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use lake::{Lake, LakeError, SourceBooks};
use serde::Serialize;
use utoipa::ToSchema;

use crate::caller::Who;
use crate::error::{Error, Refused};
use crate::known::Known;
use crate::role::Right;
use crate::state::Api;
use crate::times::Time;

/// Sources of one answer.
const SOURCES_MAX: usize = 10_000;
/// A source that was not heard for so long is away.
const AWAY_US: i64 = 120_000_000;
/// One that has had something pending for so long is behind.
const BEHIND_US: i64 = 30_000_000;

/// What the lake says of sources.
///
/// # Errors
/// 503 if it cannot be read.
pub(crate) async fn known(api: &Api, lake: &Lake) -> Result<Arc<Known>, Error> {
    if let Some(known) = api.sources().fresh(api.now()) {
        return Ok(known);
    }
    let known = api.ask_lake(async {
        let mut books = lake.books().await?;
        // Ingest's own are of rows that it makes itself.
        books.retain(|books| !lake::is_own(&books.key.source_id));
        Ok::<_, LakeError>(Known { books, heard: lake.heard().await? })
    });
    let known = Arc::new(known.await?);
    api.sources().keep(api.now(), known.clone());
    Ok(known)
}

/// All sources.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sources {
    sources: Vec<Source>,
}

/// One life of one source.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Source {
    source: String,
    /// 16 hexadecimal digits.
    epoch: String,
    /// `here`, `behind` (more of it is on the way) or `away`.
    state: &'static str,
    /// Messages that it has accepted, as of its last frame; of the gateway beside, as of now.
    accepted: Option<u64>,
    /// Of them: in the lake.
    landed: u64,
    /// Of them: on the way.
    pending: Option<u64>,
    /// Of them: gone.
    dropped: u64,
    /// Of those in the lake: dead letters.
    dead_letters: u64,
    /// When it was last known to be there.
    heard: Option<Time>,
    /// Devices that were heard through it last.
    devices: Option<usize>,
    /// How long the oldest of its messages that is on the way has been waiting, seconds; not known of agents that are behind.
    lag_seconds: Option<f64>,
    /// Bytes that ingest lets it have on the way; known of the gateway beside.
    window: Option<u64>,
    /// The version of its software, if it says it at the gateway beside.
    version: Option<String>,
}

/// Lists the sources, the newest life of each first.
#[utoipa::path(get, path = "/api/v1/sources", tag = "sources", responses((status = 200, body = Sources, description = "All sources."), Refused))]
pub(crate) async fn list(State(api): State<Api>, who: Who) -> Result<Json<Sources>, Error> {
    who.must(Right::Devices)?;
    let own = api.parts().gateway.as_ref().map(gateway::Insight::source);
    let mut sources = Vec::new();
    if let Some(ingest) = &api.parts().ingest {
        let known = known(&api, &ingest.lake).await?;
        let newest = newest(&known.books);
        for books in known.books.iter().take(SOURCES_MAX) {
            let is_newest = newest.get(books.key.source_id.as_str()) == Some(&books.key.epoch);
            let heard = known.heard.get(&books.key.source_id).copied();
            sources.push(of_lake(&api, books, heard, is_newest));
        }
    }
    if let Some(own) = own {
        let shown = Source {
            state: match (own.connected, own.lag_seconds > 30.0) {
                (false, _) => "away",
                (true, true) => "behind",
                (true, false) => "here",
            },
            accepted: Some(own.accepted),
            landed: own.landed_messages,
            pending: Some(own.pending),
            dropped: own.dropped,
            dead_letters: sources
                .iter()
                .find(|it| it.is(&own.source_id, &own.epoch))
                .map_or(0, |it| it.dead_letters),
            heard: Some(Time::of(api.now_us())),
            devices: api.pulse().devices_of(&own.source_id),
            lag_seconds: Some(own.lag_seconds),
            window: own.window,
            version: version(&api, &own.source_id),
            source: own.source_id,
            epoch: own.epoch,
        };
        sources.retain(|it| !it.is(&shown.source, &shown.epoch));
        sources.push(shown);
    }
    let order =
        |it: &Source| (it.source.clone(), it.state == "away", std::cmp::Reverse(it.heard.clone()));
    sources.sort_by_cached_key(order);
    Ok(Json(Sources { sources }))
}

impl Source {
    fn is(&self, source: &str, epoch: &str) -> bool {
        self.source == source && self.epoch == epoch
    }
}

/// The life of each source that landed last.
fn newest(books: &[SourceBooks]) -> HashMap<&str, u64> {
    let mut newest: HashMap<&str, (Option<i64>, u64)> = HashMap::new();
    for own in books {
        let known = newest.entry(&own.key.source_id).or_insert((own.landed_at_us, own.key.epoch));
        if own.landed_at_us > known.0 {
            *known = (own.landed_at_us, own.key.epoch);
        }
    }
    newest.into_iter().map(|(source, (_, epoch))| (source, epoch)).collect()
}

fn of_lake(api: &Api, books: &SourceBooks, heard: Option<i64>, is_newest: bool) -> Source {
    let heard_us = books.landed_at_us.max(heard.filter(|_| is_newest));
    let pending = books.appended.map(|appended| appended.saturating_sub(books.landed));
    let quiet_us = heard_us.map_or(i64::MAX, |at| api.now_us().saturating_sub(at));
    let state = match (is_newest && quiet_us < AWAY_US, pending) {
        (false, _) => "away",
        (true, Some(1..)) if quiet_us > BEHIND_US => "behind",
        (true, _) => "here",
    };
    Source {
        source: books.key.source_id.clone(),
        epoch: format!("{:016x}", books.key.epoch),
        state,
        accepted: books.appended,
        landed: books.landed.saturating_sub(books.dropped),
        pending,
        dropped: books.dropped,
        dead_letters: books.dead_letters,
        heard: heard_us.map(Time::of),
        devices: api.pulse().devices_of(&books.key.source_id).filter(|_| is_newest),
        lag_seconds: (is_newest && pending == Some(0)).then_some(0.0),
        window: None,
        version: version(api, &books.key.source_id).filter(|_| is_newest),
    }
}

fn version(api: &Api, source: &str) -> Option<String> {
    api.parts().gateway.as_ref()?.version_of(source)
}
