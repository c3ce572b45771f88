//! The books of a lake: per source what is landed and what was dropped, as of its last frame, from the ledger alone.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use futures::TryStreamExt;

use crate::error::LakeError;
use crate::landing::{Gap, SourceKey};
use crate::reader::Rows;

/// The columns of the ledger that are read, in this order.
pub(crate) const COLUMNS: [&str; 7] =
    ["source_id", "epoch", "to_offset", "gap_count", "appended", "landed_at", "dead_letter_count"];

/// What the ledger knows of one source. `landed - dropped` of its messages are rows; `appended - landed` were pending when
/// its last frame left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceBooks {
    /// Which source.
    pub key: SourceKey,
    /// Every offset below is accounted for: as rows, or as dropped.
    pub landed: u64,
    /// Offsets that the source could not deliver.
    pub dropped: u64,
    /// Of what is landed: messages that became dead letters, wholly or partly.
    pub dead_letters: u64,
    /// What the source had accepted when it sent its last landed frame; `None` if a version landed it that did not record it.
    pub appended: Option<u64>,
    /// When its last landing was decided, Unix microseconds.
    pub landed_at_us: Option<i64>,
}

/// Adds up the ledger's rows. Memory grows with the sources, not with the rows.
///
/// # Errors
/// [`LakeError`] from the stream.
pub(crate) async fn add_up(mut rows: Rows) -> Result<Vec<SourceBooks>, LakeError> {
    let mut books = HashMap::new();
    while let Some(batch) = rows.try_next().await? {
        add(&mut books, &batch);
    }
    let mut books: Vec<SourceBooks> = books.into_values().collect();
    books.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(books)
}

/// The columns of the ledger that say where the gaps are, in this order.
pub(crate) const GAP_COLUMNS: [&str; 3] = ["source_id", "epoch", "gaps"];

/// Looks for an offset among a source's gaps; returns the reason of the one that has it.
///
/// # Errors
/// [`LakeError`] from the stream.
pub(crate) async fn gap_at(
    mut rows: Rows,
    key: &SourceKey,
    offset: u64,
) -> Result<Option<String>, LakeError> {
    while let Some(batch) = rows.try_next().await? {
        let (sources, gaps) =
            (batch.column(0).as_string::<i32>(), batch.column(2).as_string::<i32>());
        let epochs = batch.column(1).as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            let of_source = sources.value(row) == key.source_id
                && epochs.value(row).cast_unsigned() == key.epoch;
            if !of_source || gaps.is_null(row) {
                continue;
            }
            // A list that cannot be read is one of a newer version: what it says is not known.
            let listed: Vec<Gap> = serde_json::from_str(gaps.value(row)).unwrap_or_default();
            let found = listed
                .into_iter()
                .find(|gap| (gap.first..gap.first.saturating_add(gap.count)).contains(&offset));
            if let Some(gap) = found {
                return Ok(Some(gap.reason));
            }
        }
    }
    Ok(None)
}

fn add(books: &mut HashMap<SourceKey, SourceBooks>, batch: &RecordBatch) {
    let sources = batch.column(0).as_string::<i32>();
    let [epochs, tos, gaps, appended] =
        [1, 2, 3, 4].map(|n| batch.column(n).as_primitive::<Int64Type>());
    let dead_letters = batch.column(6).as_primitive::<Int64Type>();
    let landed_at = batch.column(5).as_primitive::<TimestampMicrosecondType>();
    for row in 0..batch.num_rows() {
        let key = SourceKey {
            source_id: sources.value(row).to_owned(),
            epoch: epochs.value(row).cast_unsigned(),
        };
        let book = books.entry(key).or_insert_with_key(|key| SourceBooks {
            key: key.clone(),
            landed: 0,
            dropped: 0,
            dead_letters: 0,
            appended: None,
            landed_at_us: None,
        });
        book.dropped += gaps.value(row).cast_unsigned();
        book.dead_letters += dead_letters.value(row).cast_unsigned();
        let to = tos.value(row).cast_unsigned();
        // Files come in no particular order: the last landing is the one that reaches furthest.
        if to >= book.landed {
            book.landed = to;
            book.appended = appended.is_valid(row).then(|| appended.value(row).cast_unsigned());
            book.landed_at_us = Some(landed_at.value(row));
        }
    }
}
