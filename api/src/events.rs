//! What moves, as server-sent events: alerts, landings, devices that are heard.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use ingest::watching::Moved;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior};
use utoipa::ToSchema;

use crate::alerts::Alert;
use crate::caller::Who;
use crate::error::{Error, Refused};
use crate::role::Right;
use crate::state::Api;

/// How often a comment says that the connection is there, and it is looked whether who listens still may.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// Rows landed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Landed {
    rows: u64,
    messages: u64,
}

/// Devices were heard.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Heard {
    devices: Vec<At>,
}

/// Which device.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct At {
    site: String,
    device: String,
}

/// Sends what moves: `alert`, `landed`, `heard`, and `missed` for who was too slow and should load anew; a comment every 15 s.
#[utoipa::path(get, path = "/api/v1/events", tag = "events", responses((status = 200, content_type = "text/event-stream", body = String, description = "Events, for as long as somebody listens."), Refused))]
pub(crate) async fn events(State(api): State<Api>, who: Who) -> Result<Response, Error> {
    if !who.may(Right::Devices) && !who.may(Right::Alerts) {
        who.must(Right::Devices)?;
    }
    let place = api.listener()?;
    let moves = api.ingest()?.watcher.moves();
    let mut comments = tokio::time::interval(COMMENT_EVERY);
    comments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let listening = Listening { api, who, moves, comments, _place: place };
    let sent = stream::unfold(listening, |mut listening| async {
        let event = listening.next().await?;
        Some((Ok::<_, std::convert::Infallible>(event), listening))
    });
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, Body::from_stream(sent)).into_response())
}

struct Listening {
    api: Api,
    who: Who,
    moves: Receiver<Moved>,
    comments: Interval,
    _place: OwnedSemaphorePermit,
}

impl Listening {
    /// The next event that they may see; none at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            tokio::select! {
                _ = self.comments.tick() => {
                    return self.who.still_holds(&self.api).then(|| Bytes::from_static(b": here\n\n"));
                }
                moved = self.moves.recv() => match moved {
                    Ok(moved) => if let Some(event) = self.shown(&moved) {
                        return Some(event);
                    },
                    Err(RecvError::Lagged(_)) => return Some(Bytes::from_static(b"event: missed\ndata: {}\n\n")),
                    Err(RecvError::Closed) => return None,
                }
            }
        }
    }

    fn shown(&self, moved: &Moved) -> Option<Bytes> {
        match moved {
            Moved::Alert(step) => {
                let may = self.who.may(Right::Alerts);
                may.then(|| event("alert", &Alert::after(step)))
            }
            Moved::Landed { rows, messages } => {
                Some(event("landed", &Landed { rows: *rows, messages: *messages }))
            }
            Moved::Heard(devices) => {
                let may = self.who.may(Right::Devices);
                may.then(|| event("heard", &heard(devices)))
            }
        }
    }
}

fn heard(devices: &Arc<Vec<(String, String)>>) -> Heard {
    let at = |(site, device): &(String, String)| At { site: site.clone(), device: device.clone() };
    Heard { devices: devices.iter().map(at).collect() }
}

/// Writes an event; JSON has no line breaks.
fn event(name: &str, data: &impl Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_else(|_| "{}".to_owned());
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
