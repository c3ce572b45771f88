//! What an object says that has no column: its members, each as it came, for the column `extra`.

use std::borrow::Cow;

use lake::table::EXTRA_BYTES_MAX;

use super::reject::{Code, Reject};
use crate::batch::Misfit;

/// Members without a column, in the order in which they came; of one name also several. Takes no memory when there are none.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Extra<'a>(Vec<(Cow<'a, str>, &'a str)>);

impl<'a> Extra<'a> {
    pub(crate) fn add(&mut self, name: impl Into<Cow<'a, str>>, value: &'a str) {
        self.0.push((name.into(), value));
    }

    /// Takes what another has.
    pub(crate) fn append(&mut self, other: &mut Self) {
        self.0.append(&mut other.0);
    }

    /// Whether its values stand where those of `other` do, so that nothing is lost if one of both is left out.
    pub(crate) fn is_from_the_same_place(&self, other: &Self) -> bool {
        let here = |((_, own), (_, other)): (&(_, &str), &(_, &str))| std::ptr::eq(*own, *other);
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(here)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The JSON object for a row of `table`, `None` if it would have no member. `own` is the row's own value, if it had to be put
    /// here, as JSON.
    ///
    /// # Errors
    /// It is longer than [`EXTRA_BYTES_MAX`].
    pub(crate) fn text(
        &self,
        table: &'static str,
        own: Option<&str>,
    ) -> Result<Option<String>, Misfit> {
        if self.is_empty() && own.is_none() {
            return Ok(None);
        }
        let own = own.map(|value| (Cow::Borrowed("value"), value));
        let members = || self.0.iter().chain(&own);
        // Before anything is copied.
        let given = members().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>() + 1;
        if given > EXTRA_BYTES_MAX {
            return Err(too_long(table, given));
        }
        let mut text = String::with_capacity(given);
        for (name, value) in members() {
            text.push(if text.is_empty() { '{' } else { ',' });
            push_name(&mut text, name);
            text.push(':');
            text.push_str(value);
        }
        text.push('}');
        // Names with escapes are longer than they look.
        if text.len() > EXTRA_BYTES_MAX { Err(too_long(table, text.len())) } else { Ok(Some(text)) }
    }
}

/// Bytes that the rows of one message may still repeat or keep beside their columns, however short the message is.
#[derive(Debug)]
pub(super) struct Room(usize);

/// So many bytes it has at least.
const ROOM_BYTES: usize = 4 << 20;

impl Room {
    pub(super) fn of(text: &str) -> Self {
        Self((2 * text.len()).max(ROOM_BYTES))
    }

    /// Takes room for something that a row says again.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Reject> {
        let left = self.0.checked_sub(bytes);
        self.0 = left.ok_or_else(|| {
            Reject::new(Code::TooManyValues, "what its rows repeat or keep in `extra` is too long")
        })?;
        Ok(())
    }

    /// The text of an `extra`, as [`Extra::text`].
    pub(super) fn text(
        &mut self,
        table: &'static str,
        extra: &Extra<'_>,
        own: Option<&str>,
    ) -> Result<Option<String>, Reject> {
        let text = extra.text(table, own)?;
        self.take(text.as_ref().map_or(0, String::len))?;
        Ok(text)
    }
}

/// The refusal of an `extra` of `given` bytes.
pub(super) fn too_long(table: &'static str, given: usize) -> Misfit {
    Misfit::Long { table: table.into(), column: "extra".into(), max: EXTRA_BYTES_MAX, given }
}

fn push_name(text: &mut String, name: &str) {
    if name.bytes().any(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        text.push_str(&serde_json::Value::from(name).to_string());
    } else {
        text.extend(["\"", name, "\""]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inv10_members_are_written_as_they_came_in_their_order_and_twice_if_they_came_twice() {
        let mut extra = Extra::default();
        assert_eq!(extra.text("t", None), Ok(None));
        extra.add("b", "1.50e3");
        extra.add("a\"\n", r#"{"x" : [true,null]}"#);
        extra.add("b", "\"\\u00e9\"");
        let text = extra.text("t", Some("true")).unwrap().unwrap();
        let expected = r#"{"b":1.50e3,"a\"\n":{"x" : [true,null]},"b":"\u00e9","value":true}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap()["b"], "é");
    }

    #[test]
    fn inv8_it_has_a_limit_that_counts_escapes_too() {
        let value = format!("\"{}\"", "x".repeat(EXTRA_BYTES_MAX - 8));
        let mut extra = Extra::default();
        extra.add("a", &value);
        assert_eq!(extra.text("t", None).unwrap().unwrap().len(), EXTRA_BYTES_MAX);
        extra.add("", "1");
        assert_eq!(extra.text("t", None), Err(too_long("t", EXTRA_BYTES_MAX + 5)));
        let mut extra = Extra::default();
        extra.add("\n".repeat(EXTRA_BYTES_MAX - 5), "1");
        assert!(extra.text("t", None).is_err());
    }
}
