//! A span: a part of a message's way, with its begin and end.

use std::fmt;

use crate::context::{Context, span_id};

/// What a span says beside its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text of the program, or a position.
    Text(String),
    /// A count or an offset.
    Number(u64),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A part of a message's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub(crate) context: Context,
    pub(crate) id: [u8; 8],
    /// `None`: it is the first one of its trace.
    pub(crate) parent: Option<[u8; 8]>,
    pub(crate) name: &'static str,
    /// Unix microseconds.
    pub(crate) begin_us: i64,
    pub(crate) end_us: i64,
    pub(crate) says: Vec<(&'static str, Value)>,
}

impl Span {
    /// A part, by the name of what was done; times in Unix microseconds. A clock that was set back makes it empty, not negative.
    #[must_use]
    pub fn new(context: Context, name: &'static str, (begin_us, end_us): (i64, i64)) -> Self {
        let (id, parent) = (span_id(), Some(context.parent()));
        Self { context, id, parent, name, begin_us, end_us: end_us.max(begin_us), says: Vec::new() }
    }

    /// The whole way of a message whose trace is our own.
    #[must_use]
    pub fn first(context: Context, name: &'static str, times: (i64, i64)) -> Self {
        Self { id: context.parent(), parent: None, ..Self::new(context, name, times) }
    }

    /// What was done.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Says which message it is of.
    #[must_use]
    pub fn of(self, source: &str, epoch: impl fmt::Display, offset: u64) -> Self {
        self.says("tidemark.source", source)
            .says("tidemark.epoch", epoch.to_string())
            .says("tidemark.offset", offset)
    }

    /// Says something of it.
    #[must_use]
    pub fn says(mut self, what: &'static str, value: impl Into<Value>) -> Self {
        self.says.push((what, value.into()));
        self
    }
}
