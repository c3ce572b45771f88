//! What a message would become: its rule and its rows, for people who write rules.

use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::util::display::array_value_to_string;
use lake::LakeError;
use lake::table::IDENTITY;
use telemetry_core::id::{Epoch, SourceId};
use telemetry_core::spool::record::Record;

use crate::batch::Layout;
use crate::config::Config;
use crate::decoding::Decoding;
use crate::rules::RuleMistake;

/// A row: its table, and the columns that have a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedRow {
    /// The table.
    pub table: String,
    /// Column and value, in the table's order.
    pub columns: Vec<(String, String)>,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The rule that took it; none: nobody did.
    pub rule: Option<String>,
    /// Its rows.
    pub rows: Vec<ExplainedRow>,
}

/// Why a message can't be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The configuration makes no sense.
    #[error("[ingest] topics: {0}")]
    Rule(#[from] RuleMistake),
    /// Its rows can't be shown.
    #[error("the rows cannot be shown")]
    Rows(#[from] LakeError),
    /// The same.
    #[error("the rows cannot be shown")]
    Arrow(#[from] arrow::error::ArrowError),
}

/// Decodes a message as a running ingest would, and lands nothing. Columns that only say which message a row is from are left out.
///
/// # Errors
/// [`ExplainError`].
///
/// # Panics
/// Never: the source that it makes up is a good one.
pub fn explain(
    config: &Config,
    layout: Arc<Layout>,
    topic: &str,
    publisher: &str,
    payload: &[u8],
    now_us: i64,
) -> Result<Explained, ExplainError> {
    // Whoever may send what is another question.
    let sources = [("*".to_owned(), vec!["#".to_owned(), "$aws/#".to_owned()])].into();
    let config = Config { sources, ..config.clone() };
    let decoding = Decoding::new(&config, layout)?;
    let mut batch = decoding.batch();
    let id: SourceId = "try".parse().expect("a good name");
    let source = batch.source(&id, Epoch::from_random(1), 0);
    let (offset, chain, flags, attributes) = (0, 0, 0, &[][..]);
    let record =
        Record { offset, chain, received_us: now_us, flags, publisher, topic, attributes, payload };
    decoding.record(&mut batch, source, &record, now_us);
    batch.advance(source, 1, 0, 1);
    let rule = decoding.rule_of(topic).map(str::to_owned);
    let (files, _) = batch.into_files(0)?;
    let mut rows = Vec::new();
    for file in files {
        for part in file.batches {
            for row in 0..part.num_rows() {
                rows.push(explained(&file.table.name, &part, row)?);
            }
        }
    }
    Ok(Explained { rule, rows })
}

fn explained(table: &str, batch: &RecordBatch, row: usize) -> Result<ExplainedRow, ExplainError> {
    let schema = batch.schema();
    let shown = schema.fields().iter().zip(batch.columns());
    let shown = shown.filter(|(field, column)| {
        !column.is_null(row) && IDENTITY.iter().all(|own| own.name != *field.name())
    });
    let columns = shown.map(|(field, column)| {
        let text = match field.name().as_str() {
            // As bytes nobody could read it.
            "payload" => "(as given)".to_owned(),
            _ => array_value_to_string(column, row)?,
        };
        Ok((field.name().clone(), text))
    });
    let columns = columns.collect::<Result<_, ExplainError>>()?;
    Ok(ExplainedRow { table: table.to_owned(), columns })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_785_542_400_000_000;

    fn shown(topic: &str, payload: &str) -> (String, Vec<String>) {
        let config = Config::default();
        let explained =
            explain(&config, Arc::default(), topic, "me", payload.as_bytes(), NOW).unwrap();
        let rows = explained.rows.iter().map(|row| {
            let columns = row.columns.iter().map(|(name, value)| format!("{name}={value}"));
            format!("{}: {}", row.table, columns.collect::<Vec<_>>().join(" "))
        });
        (explained.rule.unwrap_or_default(), rows.collect())
    }

    #[test]
    fn a_message_shows_its_rule_and_its_rows() {
        let (rule, rows) =
            shown("tele/garage/SENSOR", r#"{"AM2301":{"Temperature":18.8},"TempUnit":"C"}"#);
        assert!(rule.contains("tele/+/SENSOR"), "{rule}");
        assert!(
            rows[0].starts_with("readings: ") && rows[0].contains("value=18.8 unit=Cel"),
            "{rows:?}"
        );
        let (_, rows) = shown("home/x", "{");
        assert!(
            rows[0].starts_with("dead_letters: ") && rows[0].contains("json_truncated"),
            "{rows:?}"
        );
        assert_eq!(shown("$SYS/x", "1").0, "");
    }
}
