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
use crate::decode::reject::Code;
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
    /// Why it is, wholly or partly, a dead letter.
    pub dead: Option<Code>,
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

/// Decodes messages as a running ingest would, and lands nothing.
#[derive(Debug)]
pub struct Explainer {
    decoding: Decoding,
}

impl Explainer {
    /// By the topic rules of a configuration, for the tables of `layout`.
    ///
    /// # Errors
    /// A rule that makes no sense.
    pub fn new(config: &Config, layout: Arc<Layout>) -> Result<Self, RuleMistake> {
        // Whoever may send what is another question.
        let sources = [("*".to_owned(), vec!["#".to_owned(), "$aws/#".to_owned()])].into();
        let config = Config { sources, ..config.clone() };
        Ok(Self { decoding: Decoding::new(&config, layout)? })
    }

    /// Decodes one message. Columns that only say which message a row is from are left out.
    ///
    /// # Errors
    /// Its rows can't be shown.
    ///
    /// # Panics
    /// Never: the source that it makes up is a good one.
    pub fn explain(
        &self,
        topic: &str,
        publisher: &str,
        payload: &[u8],
        now_us: i64,
    ) -> Result<Explained, ExplainError> {
        let mut batch = self.decoding.batch();
        let id: SourceId = "try".parse().expect("a good name");
        let source = batch.source(&id, Epoch::from_random(1), 0);
        let (offset, chain, flags, attributes) = (0, 0, 0, &[][..]);
        let received_us = now_us;
        let record =
            Record { offset, chain, received_us, flags, publisher, topic, attributes, payload };
        let dead = self.decoding.record(&mut batch, source, &record, now_us);
        batch.advance(source, 1, 0, 1);
        let rule = self.decoding.rule_of(topic).map(str::to_owned);
        let (files, _) = batch.into_files(0)?;
        let mut rows = Vec::new();
        for file in files {
            for part in file.batches {
                for row in 0..part.num_rows() {
                    rows.push(explained(&file.table.name, &part, row)?);
                }
            }
        }
        Ok(Explained { rule, rows, dead })
    }
}

/// Decodes one message as a running ingest would: see [`Explainer`].
///
/// # Errors
/// [`ExplainError`].
pub fn explain(
    config: &Config,
    layout: Arc<Layout>,
    topic: &str,
    publisher: &str,
    payload: &[u8],
    now_us: i64,
) -> Result<Explained, ExplainError> {
    Explainer::new(config, layout)?.explain(topic, publisher, payload, now_us)
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

    #[test]
    fn one_explainer_takes_many_messages_and_says_which_are_dead() {
        let explainer = Explainer::new(&Config::default(), Arc::default()).unwrap();
        let dead = |payload: &str| {
            let explained = explainer.explain("home/x", "me", payload.as_bytes(), NOW).unwrap();
            (explained.rows.len(), explained.dead)
        };
        assert_eq!(dead("{"), (1, Some(Code::JsonTruncated)));
        assert_eq!(dead("21.5"), (1, None));
    }
}
