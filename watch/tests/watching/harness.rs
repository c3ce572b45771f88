//! A watch under test, and rows that are made up.

use watch::{Limits, Quality, Reading, RowId, Rules, SourceState, Transition, Watch};

pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// When tests begin: 2026-01-01.
pub(crate) const START: i64 = 1_767_225_600 * SECOND;

/// A row that owns its texts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) source: String,
    pub(crate) offset: i64,
    pub(crate) device: String,
    pub(crate) metric: &'static str,
    pub(crate) value: Option<f64>,
    pub(crate) text: Option<&'static str>,
    pub(crate) quality: Quality,
    pub(crate) event_us: i64,
    pub(crate) received_us: i64,
}

impl Row {
    /// A good number, received when it was measured.
    pub(crate) fn new(device: &str, metric: &'static str, at_us: i64, value: f64) -> Self {
        Self {
            source: "gw".to_owned(),
            offset: 0,
            device: device.to_owned(),
            metric,
            value: Some(value),
            text: None,
            quality: Quality::Good,
            event_us: START + at_us,
            received_us: START + at_us,
        }
    }

    pub(crate) fn source(self, source: &str) -> Self {
        Self { source: source.to_owned(), ..self }
    }

    pub(crate) fn received(self, at_us: i64) -> Self {
        Self { received_us: START + at_us, ..self }
    }

    pub(crate) fn quality(self, quality: Quality) -> Self {
        Self { quality, ..self }
    }

    pub(crate) fn text(self, text: &'static str) -> Self {
        Self { value: None, text: Some(text), ..self }
    }

    pub(crate) fn reading(&self) -> Reading<'_> {
        Reading {
            id: RowId { source_id: &self.source, epoch: 1, source_offset: self.offset, row_no: 0 },
            site: "icu",
            device: &self.device,
            metric: self.metric,
            unit: "u",
            value: self.value,
            text: self.text,
            quality: self.quality,
            event_us: self.event_us,
            received_us: self.received_us,
        }
    }
}

/// A watch that numbers its rows and keeps all that it told.
pub(crate) struct Scene {
    pub(crate) watch: Watch,
    pub(crate) told: Vec<Transition>,
    offset: i64,
    shown: usize,
}

pub(crate) fn rules(text: &str) -> Rules {
    Rules::parse(text).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

impl Scene {
    /// A watch with one rule of these lines.
    pub(crate) fn rule(lines: &str) -> Self {
        Self::new(&format!("[[rule]]\nname = \"r\"\n{lines}\n"))
    }

    pub(crate) fn new(text: &str) -> Self {
        Self::limited(text, Limits::default())
    }

    pub(crate) fn limited(text: &str, limits: Limits) -> Self {
        Self { watch: Watch::new(rules(text), limits), told: Vec::new(), offset: 0, shown: 0 }
    }

    pub(crate) fn row(&mut self, row: Row) -> &mut Self {
        let row = Row { offset: self.offset, ..row };
        self.offset += 1;
        self.watch.reading(&row.reading(), &mut self.told);
        self
    }

    /// A number of device `d`.
    pub(crate) fn at(&mut self, at_us: i64, metric: &'static str, value: f64) -> &mut Self {
        self.row(Row::new("d", metric, at_us, value))
    }

    pub(crate) fn tick(&mut self, source: &str, at_us: i64) -> &mut Self {
        self.watch.tick(source, START + at_us, &mut self.told);
        self
    }

    pub(crate) fn source(&mut self, source: &str, state: SourceState) -> &mut Self {
        self.watch.source(source, state, &mut self.told);
        self
    }

    /// What was told since the last call: rule, state, and when in seconds.
    pub(crate) fn said(&mut self) -> Vec<String> {
        let new = &self.told[self.shown..];
        self.shown = self.told.len();
        new.iter().map(|t| format!("{} {} {}", t.rule, t.to.name(), seconds(t.at_us))).collect()
    }
}

pub(crate) fn seconds(at_us: i64) -> i64 {
    (at_us - START).div_euclid(SECOND)
}
