//! Reading messages back from the lake: dead letters, and messages that were kept.

use std::collections::HashSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use futures::TryStreamExt;
use futures::stream::BoxStream;
use lake::tables::{dead_letters, messages, replays};
use lake::{Lake, LakeError};
use telemetry_core::topic::filter_matches;

/// Which message: source, epoch, offset.
pub type Place = (String, i64, i64);

/// Where messages are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// `dead_letters`
    DeadLetters,
    /// `messages`
    Messages,
}

impl Kept {
    /// The table's name.
    #[must_use]
    pub fn table(self) -> &'static str {
        match self {
            Self::DeadLetters => dead_letters::NAME,
            Self::Messages => messages::NAME,
        }
    }

    fn columns(self) -> &'static [&'static str] {
        const ALL: [&str; 9] = [
            "source_id",
            "epoch",
            "source_offset",
            "received_ts",
            "topic",
            "publisher",
            "payload",
            "reason_code",
            "reason",
        ];
        match self {
            Self::DeadLetters => &ALL,
            Self::Messages => &ALL[..7],
        }
    }
}

/// Which of them.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// With this reason code.
    pub reason: Option<String>,
    /// Of topics that this filter matches.
    pub topic: Option<String>,
    /// Received at this time or later, microseconds since 1970.
    pub since_us: Option<i64>,
}

/// A message as it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Which message.
    pub place: Place,
    /// When it was received, microseconds since 1970.
    pub received_us: i64,
    /// Its topic; empty if it had none.
    pub topic: String,
    /// Who published it.
    pub publisher: String,
    /// Its payload.
    pub payload: Vec<u8>,
    /// Why it is a dead letter.
    pub reason_code: Option<String>,
    /// The same for people.
    pub reason: Option<String>,
}

/// The messages that are wanted, a few at a time, as of now.
///
/// # Errors
/// As [`Lake::scan`].
pub async fn letters(
    lake: &Lake,
    kept: Kept,
    wanted: Wanted,
) -> Result<BoxStream<'static, Result<Vec<Letter>, LakeError>>, LakeError> {
    let mut files = lake.files(kept.table()).await?;
    if let Some(since) = wanted.since_us {
        let first = lake::date::date_of(since);
        files.retain(|file| file.date.is_none_or(|date| date >= first));
    }
    let rows = lake.scan_files(kept.table(), files, kept.columns())?;
    Ok(Box::pin(rows.map_ok(move |batch| read(&batch, &wanted))))
}

fn read(batch: &RecordBatch, wanted: &Wanted) -> Vec<Letter> {
    let text = |at: usize| batch.columns().get(at).map(|column| column.as_string::<i32>());
    let (Some(source), Some(topic), Some(publisher)) = (text(0), text(4), text(5)) else {
        return Vec::new();
    };
    let (code, reason) = (text(7), text(8));
    let epoch = batch.column(1).as_primitive::<Int64Type>();
    let offset = batch.column(2).as_primitive::<Int64Type>();
    let received = batch.column(3).as_primitive::<TimestampMicrosecondType>();
    let payload = batch.column(6).as_binary::<i32>();
    let given = |column: &arrow::array::StringArray, row: usize| {
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let row = |row: usize| {
        let topic = given(topic, row).unwrap_or_default();
        let reason_code = code.and_then(|code| given(code, row));
        let fits = wanted.topic.as_ref().is_none_or(|filter| filter_matches(filter, &topic))
            && wanted.reason.as_ref().is_none_or(|reason| Some(reason) == reason_code.as_ref())
            && wanted.since_us.is_none_or(|since| received.value(row) >= since);
        fits.then(|| Letter {
            place: (source.value(row).to_owned(), epoch.value(row), offset.value(row)),
            received_us: received.value(row),
            topic,
            publisher: given(publisher, row).unwrap_or_default(),
            payload: payload.value(row).to_vec(),
            reason_code,
            reason: reason.and_then(|reason| given(reason, row)),
        })
    };
    (0..batch.num_rows()).filter_map(row).collect()
}

/// The messages that were replayed so far. Takes about 64 bytes for each.
///
/// # Errors
/// As [`Lake::scan`].
pub async fn replayed(lake: &Lake) -> Result<HashSet<Place>, LakeError> {
    let mut all = HashSet::new();
    places(lake, replays::NAME, |place| {
        all.insert(place);
    })
    .await?;
    Ok(all)
}

/// Of `wanted` those that have rows in any table but those that keep messages.
///
/// # Errors
/// As [`Lake::scan`].
pub(super) async fn landed(
    lake: &Lake,
    wanted: &HashSet<Place>,
) -> Result<HashSet<Place>, LakeError> {
    let mut found = HashSet::new();
    let keeping = [dead_letters::NAME, messages::NAME, replays::NAME];
    for table in lake.catalog().of_rows() {
        if !keeping.contains(&table.name.as_ref()) {
            let note = |place: Place| {
                if wanted.contains(&place) {
                    found.insert(place);
                }
            };
            places(lake, &table.name, note).await?;
        }
    }
    Ok(found)
}

async fn places(lake: &Lake, table: &str, mut each: impl FnMut(Place)) -> Result<(), LakeError> {
    let mut rows = lake.scan(table, &["source_id", "epoch", "source_offset"]).await?;
    while let Some(batch) = rows.try_next().await? {
        let source = batch.column(0).as_string::<i32>();
        let epoch = batch.column(1).as_primitive::<Int64Type>();
        let offset = batch.column(2).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            each((source.value(row).to_owned(), epoch.value(row), offset.value(row)));
        }
    }
    Ok(())
}
