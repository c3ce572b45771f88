//! Rows in memory, each text held once: to be put into an order that files do not have.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::bail;
use watch::{Quality, Reading, RowId};

/// A row; texts as numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Kept {
    pub(super) source: u32,
    pub(super) row_no: i32,
    pub(super) epoch: i64,
    pub(super) offset: i64,
    site: u32,
    device: u32,
    metric: u32,
    unit: u32,
    text: u32,
    quality: Quality,
    value: Option<f64>,
    pub(super) event_us: i64,
    pub(super) received_us: i64,
}

impl Kept {
    /// Tells devices apart.
    pub(super) fn device_number(&self) -> (u32, u32) {
        (self.site, self.device)
    }
}

/// Stands for no text.
const NONE: u32 = u32::MAX;

/// All rows, and their texts.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) rows: Vec<Kept>,
    words: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
    most: usize,
}

impl Rows {
    /// Room for `most` rows.
    pub(super) fn new(most: usize) -> Self {
        Self { rows: Vec::new(), words: Vec::new(), numbers: HashMap::new(), most }
    }

    /// # Errors
    /// If there is no room for it.
    pub(super) fn push(&mut self, row: &Reading<'_>) -> anyhow::Result<()> {
        if self.rows.len() >= self.most {
            bail!(
                "there are more than {} rows, which are sorted in memory: ask for less by --since and --until, or allow more by --rows-max (about 150 bytes each)",
                self.most
            );
        }
        let kept = Kept {
            source: self.number(row.id.source_id),
            row_no: row.id.row_no,
            epoch: row.id.epoch,
            offset: row.id.source_offset,
            site: self.number(row.site),
            device: self.number(row.device),
            metric: self.number(row.metric),
            unit: self.number(row.unit),
            text: row.text.map_or(NONE, |text| self.number(text)),
            quality: row.quality,
            value: row.value,
            event_us: row.event_us,
            received_us: row.received_us,
        };
        self.rows.push(kept);
        Ok(())
    }

    fn number(&mut self, word: &str) -> u32 {
        if let Some(number) = self.numbers.get(word) {
            return *number;
        }
        let number = u32::try_from(self.words.len()).unwrap_or(NONE - 1);
        let word: Arc<str> = word.into();
        self.words.push(word.clone());
        self.numbers.insert(word, number);
        number
    }

    pub(super) fn word(&self, number: u32) -> &str {
        self.words.get(number as usize).map_or("", |word| word)
    }

    pub(super) fn reading(&self, row: &Kept) -> Reading<'_> {
        Reading {
            id: RowId {
                source_id: self.word(row.source),
                epoch: row.epoch,
                source_offset: row.offset,
                row_no: row.row_no,
            },
            site: self.word(row.site),
            device: self.word(row.device),
            metric: self.word(row.metric),
            unit: self.word(row.unit),
            value: row.value,
            text: (row.text != NONE).then(|| self.word(row.text)),
            quality: row.quality,
            event_us: row.event_us,
            received_us: row.received_us,
        }
    }
}
