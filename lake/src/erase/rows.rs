//! Which rows of a batch speak of one patient.

use std::collections::HashSet;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use super::subject::Subject;
use crate::table::{ARCHIVE, Table};
use crate::tables::{alerts, dead_letters, messages};

/// Messages by source, epoch and offset.
pub(crate) type Messages = HashSet<(String, i64, i64)>;

/// The columns that say with which message the rows of a table go, if it is a table whose rows go with those of others: messages as they
/// came, and what they raised an alert by. A step of an alert has a measured value, and does not say whose it is.
pub(crate) fn goes_with(table: &Table) -> Option<[&'static str; 3]> {
    let name = table.name.strip_suffix(ARCHIVE).unwrap_or(&table.name);
    match name {
        messages::NAME | dead_letters::NAME => Some(OWN),
        alerts::NAME => Some(["cause_source_id", "cause_epoch", "cause_offset"]),
        _ => None,
    }
}

/// The columns of a row's own message.
const OWN: [&str; 3] = ["source_id", "epoch", "source_offset"];

/// What a row says, and whether it may be of one message with others.
pub(crate) struct Rows<'a> {
    pub(crate) table: &'a Table,
    pub(crate) subject: &'a Subject,
}

impl Rows<'_> {
    /// Whether each row of `batch` (whole rows, texts as views) speaks of the patient, by itself or as one that goes with messages `of`.
    pub(crate) fn matches(&self, batch: &RecordBatch, of: &Messages) -> Vec<bool> {
        let mut matches = vec![false; batch.num_rows()];
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let whole = field.name() == "patient_id";
            if let Some(texts) = column.as_string_view_opt() {
                for (row, found) in
                    matches.iter_mut().enumerate().filter(|(row, _)| texts.is_valid(*row))
                {
                    let text = texts.value(row);
                    *found |= if whole {
                        self.subject.is(text)
                    } else {
                        self.subject.is_in(text.as_bytes())
                    };
                }
            } else if let Some(bytes) = column.as_binary_view_opt() {
                for (row, found) in
                    matches.iter_mut().enumerate().filter(|(row, _)| bytes.is_valid(*row))
                {
                    *found |= self.subject.is_in(bytes.value(row));
                }
            }
        }
        self.resources(batch, &mut matches);
        if let Some(columns) = goes_with(self.table).filter(|_| !of.is_empty()) {
            for (found, message) in matches.iter_mut().zip(messages_in(batch, columns)) {
                *found |= message.is_some_and(|message| of.contains(&message));
            }
        }
        matches
    }

    /// The Patient resource itself.
    fn resources(&self, batch: &RecordBatch, matches: &mut [bool]) {
        let text = |name| batch.column_by_name(name).and_then(|column| column.as_string_view_opt());
        let Some((kind, id)) = text("resource_type").zip(text("resource_id")) else { return };
        for (row, found) in matches.iter_mut().enumerate() {
            let patient = kind.is_valid(row) && kind.value(row) == "Patient";
            *found |= patient && id.is_valid(row) && self.subject.is(id.value(row));
        }
    }

    /// In how many rows the id stands by itself, in whatever column.
    pub(crate) fn stands(&self, batch: &RecordBatch) -> u64 {
        let mut rows = vec![false; batch.num_rows()];
        for column in batch.columns() {
            if let Some(texts) = column.as_string_view_opt() {
                for (row, found) in rows.iter_mut().enumerate() {
                    *found |=
                        texts.is_valid(row) && self.subject.stands_in(texts.value(row).as_bytes());
                }
            } else if let Some(bytes) = column.as_binary_view_opt() {
                for (row, found) in rows.iter_mut().enumerate() {
                    *found |= bytes.is_valid(row) && self.subject.stands_in(bytes.value(row));
                }
            }
        }
        rows.into_iter().map(u64::from).sum()
    }
}

/// The message of each row.
pub(crate) fn identities(batch: &RecordBatch) -> Vec<Option<(String, i64, i64)>> {
    messages_in(batch, OWN)
}

fn messages_in(
    batch: &RecordBatch,
    [source, epoch, offset]: [&str; 3],
) -> Vec<Option<(String, i64, i64)>> {
    let source = batch.column_by_name(source).and_then(|column| column.as_string_view_opt());
    let long =
        |name| batch.column_by_name(name).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let Some(((source, epoch), offset)) = source.zip(long(epoch)).zip(long(offset)) else {
        return vec![None; batch.num_rows()];
    };
    let of = |row: usize| {
        let there = source.is_valid(row) && epoch.is_valid(row) && offset.is_valid(row);
        there.then(|| (source.value(row).to_owned(), epoch.value(row), offset.value(row)))
    };
    (0..batch.num_rows()).map(of).collect()
}
