//! A JSON value that is read on its own.

use std::borrow::Cow;

use serde_json::Number;

use super::json::{self, Given};

/// A value that was read on its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read<'a> {
    pub(super) given: Given<'static>,
    pub(super) text: Cow<'a, str>,
}

impl<'a> Read<'a> {
    /// Reads sound JSON.
    pub(super) fn of(raw: &'a str) -> Self {
        let mut text = Cow::Borrowed("");
        let given = match raw.as_bytes().first() {
            Some(b'n') => Given::Null,
            Some(b't') => Given::Bool(true),
            Some(b'f') => Given::Bool(false),
            Some(b'[' | b'{') => Given::Nested,
            Some(b'"') => match json::text(raw) {
                Some(read) => {
                    text = read;
                    Given::Text("")
                }
                None => Given::Beyond,
            },
            Some(_) => number(raw),
            None => Given::Absent,
        };
        Self { given, text }
    }

    /// The text that it is.
    pub(super) fn into_text(self) -> Cow<'a, str> {
        self.text
    }

    pub(super) fn given(&self) -> Given<'_> {
        match self.given {
            Given::Text(_) => Given::Text(&self.text),
            other => other,
        }
    }
}

/// A number as JSON writes it.
pub(super) fn number(raw: &str) -> Given<'static> {
    match serde_json::from_str::<Number>(raw) {
        // A parsed number is finite: `1e999` is an error of the parser.
        Ok(number) => match number.as_i64() {
            Some(int) => Given::Int(int),
            None => number.as_f64().map_or(Given::Beyond, Given::Float),
        },
        Err(_) => Given::Beyond,
    }
}
