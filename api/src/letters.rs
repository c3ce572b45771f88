//! Dead letters: how many, why, what they are, and another try.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures::TryStreamExt;
use ingest::replay::{self, Kept, Letter, Wanted};
use ingest::suggest::{Sample as Suggested, suggest};
use lake::tables::dead_letters;
use lake::{Lake, LakeError};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use tracing::info;
use utoipa::{IntoParams, ToSchema};

use crate::caller::Who;
use crate::error::{Error, Refused};
use crate::extract::{Asked, Sent};
use crate::mask::{cut, masked, shown_text};
use crate::role::Right;
use crate::state::Api;
use crate::times::{Time, page};

/// Pairs of reason and topic that are told apart; further topics are counted by reason only.
const PAIRS_MAX: usize = 10_000;
/// Topics that are listed of a reason.
const TOPICS_MAX: usize = 50;
/// Dead letters of one answer.
const SAMPLES_MAX: u32 = 100;
/// The reason of a message that no rule could help.
const NOT_ALLOWED: &str = "topic_not_allowed";

/// Dead letters by reason, the most frequent first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetters {
    reasons: Vec<ReasonCount>,
}

/// A reason.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReasonCount {
    reason: String,
    count: u64,
    /// When the last one was received.
    last: Time,
    /// The most frequent topics.
    topics: Vec<TopicCount>,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TopicCount {
    topic: String,
    count: u64,
}

/// Counts dead letters by reason and topic.
#[utoipa::path(get, path = "/api/v1/dead-letters", tag = "dead letters", responses((status = 200, body = DeadLetters, description = "Counts."), Refused))]
pub(crate) async fn counts(State(api): State<Api>, who: Who) -> Result<Json<DeadLetters>, Error> {
    who.must(Right::Lake)?;
    let lake = api.ingest()?.lake.clone();
    Ok(Json(api.ask_lake(counted(&lake)).await?))
}

#[derive(Default)]
struct Counting {
    reasons: BTreeMap<String, (u64, i64, BTreeMap<String, u64>)>,
    pairs: usize,
}

async fn counted(lake: &Lake) -> Result<DeadLetters, LakeError> {
    let columns = ["reason_code", "topic", "received_ts"];
    let mut rows = lake.scan(dead_letters::NAME, &columns).await?;
    let mut counting = Counting::default();
    while let Some(batch) = rows.try_next().await? {
        counting.take(&batch);
    }
    let mut reasons: Vec<ReasonCount> = counting
        .reasons
        .into_iter()
        .map(|(reason, (count, last_us, topics))| {
            let topics = topics.into_iter().map(|(topic, count)| TopicCount { topic, count });
            let mut topics: Vec<TopicCount> = topics.collect();
            topics.sort_by_key(|topic| std::cmp::Reverse(topic.count));
            topics.truncate(TOPICS_MAX);
            ReasonCount { reason, count, last: Time::of(last_us), topics }
        })
        .collect();
    reasons.sort_by_key(|reason| std::cmp::Reverse(reason.count));
    Ok(DeadLetters { reasons })
}

impl Counting {
    fn take(&mut self, batch: &RecordBatch) {
        let (reasons, topics) =
            (batch.column(0).as_string::<i32>(), batch.column(1).as_string::<i32>());
        let times = batch.column(2).as_primitive::<TimestampMicrosecondType>();
        for row in 0..batch.num_rows() {
            let topic = if topics.is_valid(row) { topics.value(row) } else { "" };
            let reason = reasons.value(row);
            if !self.reasons.contains_key(reason) {
                self.reasons.insert(reason.to_owned(), (0, i64::MIN, BTreeMap::new()));
            }
            let Some((count, last, by_topic)) = self.reasons.get_mut(reason) else { continue };
            *count += 1;
            *last = (*last).max(times.value(row));
            if let Some(count) = by_topic.get_mut(topic) {
                *count += 1;
            } else if self.pairs < PAIRS_MAX {
                self.pairs += 1;
                by_topic.insert(topic.to_owned(), 1);
            }
        }
    }
}

/// Which dead letters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct SamplesQuery {
    /// With this reason only.
    reason: Option<String>,
    /// Of topics that this filter matches.
    topic: Option<String>,
    /// So many, the newest.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u32>,
}

/// Some dead letters, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Samples {
    samples: Vec<Sample>,
}

/// A dead letter. For a role that may not see patients its values are masked.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Sample {
    source: String,
    /// 16 hexadecimal digits.
    epoch: String,
    offset: i64,
    received: Time,
    topic: String,
    reason: String,
    /// Bytes of the whole payload.
    bytes: usize,
    /// The payload as text, 16 KiB at most; null if it is none. Masked: the shape of JSON, null for anything else.
    payload_text: Option<String>,
    /// Its bytes, 16 KiB at most; null where values are masked.
    payload_base64: Option<String>,
    masked: bool,
    /// A rule to begin with, where a rule could help: none does for JSON that is cut off.
    suggestion: Option<String>,
}

/// Shows dead letters, the newest first.
#[utoipa::path(get, path = "/api/v1/dead-letters/samples", tag = "dead letters", params(SamplesQuery), responses((status = 200, body = Samples, description = "Some dead letters."), Refused))]
pub(crate) async fn samples(
    State(api): State<Api>,
    who: Who,
    Asked(query): Asked<SamplesQuery>,
) -> Result<Json<Samples>, Error> {
    who.must(Right::DeadLetters)?;
    let limit = page(query.limit, 10, SAMPLES_MAX)?;
    let wanted = wanted(query.reason, query.topic)?;
    let lake = api.ingest()?.lake.clone();
    let letters = api.ask_lake(newest(&lake, wanted, limit)).await?;
    let hides = !who.may(Right::Patients);
    let samples = letters.iter().map(|letter| Sample::of(letter, hides)).collect();
    Ok(Json(Samples { samples }))
}

fn wanted(reason: Option<String>, topic: Option<String>) -> Result<Wanted, Error> {
    if let Some(filter) = &topic {
        let checked = telemetry_core::topic::validate_filter(filter);
        checked.map_err(|error| Error::Bad(format!("topic is no topic filter: {error}")))?;
    }
    Ok(Wanted { reason, topic, since_us: None })
}

async fn newest(lake: &Lake, wanted: Wanted, limit: usize) -> Result<Vec<Letter>, LakeError> {
    let mut letters = replay::letters(lake, Kept::DeadLetters, wanted).await?;
    let mut newest: Vec<Letter> = Vec::new();
    while let Some(more) = letters.try_next().await? {
        newest.extend(more);
        newest.sort_by_key(|letter| std::cmp::Reverse(letter.received_us));
        newest.truncate(limit);
    }
    Ok(newest)
}

impl Sample {
    fn of(letter: &Letter, hides: bool) -> Self {
        let shape = hides.then(|| masked(&letter.payload)).flatten().map(|shape| shape.to_string());
        let reason = letter.reason_code.clone().unwrap_or_default();
        let (source, epoch, offset) = &letter.place;
        let payload = match (hides, &shape) {
            (false, _) => Some(letter.payload.clone()),
            (true, shape) => shape.clone().map(String::into_bytes),
        };
        let could_help = |payload: &Vec<u8>| {
            let whole = |payload: &[u8]| serde_json::from_slice::<IgnoredAny>(payload).is_ok();
            let is_cut = payload.first().is_some_and(|first| b"{[\"".contains(first));
            reason != NOT_ALLOWED && !payload.is_empty() && (!is_cut || whole(payload))
        };
        let suggestion = payload.filter(could_help).and_then(|payload| {
            let sample = Suggested { topic: letter.topic.clone(), payload };
            suggest(&[sample]).into_iter().next().map(|suggestion| suggestion.toml)
        });
        Self {
            source: source.clone(),
            epoch: format!("{epoch:016x}"),
            offset: *offset,
            received: Time::of(letter.received_us),
            topic: letter.topic.clone(),
            reason,
            bytes: letter.payload.len(),
            payload_text: if hides { shape } else { shown_text(&letter.payload) },
            payload_base64: (!hides).then(|| BASE64_STANDARD.encode(cut(&letter.payload))),
            masked: hides,
            suggestion,
        }
    }
}

/// Which dead letters are tried again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayWanted {
    /// With this reason only.
    #[serde(default)]
    reason: Option<String>,
    /// Of topics that this filter matches.
    #[serde(default)]
    topic: Option<String>,
}

/// What became of them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    /// Messages that were asked for.
    wanted: u64,
    /// They became rows.
    landed: u64,
    /// They had become rows before.
    before: u64,
    /// They still cannot be decoded.
    refused: u64,
    /// Of these a part has rows; they stay as they are.
    partly: u64,
}

/// Decodes dead letters again, by the rules that this process began with; each lands once.
#[utoipa::path(post, path = "/api/v1/dead-letters/replay", tag = "dead letters", request_body = ReplayWanted, responses((status = 200, body = Replayed, description = "What became of them."), Refused))]
pub(crate) async fn replay(
    State(api): State<Api>,
    who: Who,
    Sent(asked): Sent<ReplayWanted>,
) -> Result<Json<Replayed>, Error> {
    who.must(Right::DeadLetters)?;
    let wanted = wanted(asked.reason, asked.topic)?;
    let ingest = api.ingest()?.clone();
    let clock = api.parts().clock;
    let done = api.replay(async {
        let now_us = || clock.now_us();
        let done =
            replay::replay(&ingest.lake, &ingest.config, Kept::DeadLetters, &wanted, false, now_us);
        done.await.map_err(|error| Error::Busy(format!("the replay stopped: {error}")))
    });
    let replay::Replayed { wanted, landed, before, refused, partly } = done.await?;
    info!(by = %who.name, wanted, landed, refused, "dead letters were tried again");
    Ok(Json(Replayed { wanted, landed, before, refused, partly }))
}
