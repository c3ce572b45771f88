//! Goes over JSON that is known to be sound, without reading it again: names and values as slices of the text.
//!
//! What is not sound makes it end early; it never panics and never runs beyond the text.

use std::borrow::Cow;

use super::json;

/// A place in a sound text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Where it is, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The text from `start` to here.
    pub(super) fn since(&self, start: usize) -> Option<&'a str> {
        self.text.get(start..self.at)
    }

    /// The next byte that is no blank, without taking it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    /// Takes `byte` if it comes next.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A member's name, and the colon behind it.
    pub(super) fn name(&mut self) -> Option<Cow<'a, str>> {
        let name = json::text(self.scalar()?)?;
        self.take(b':').then_some(name)
    }

    /// A scalar, as it came.
    pub(super) fn scalar(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        let start = self.at;
        if first == b'"' {
            self.at += 1;
            self.text_end()?;
        } else {
            let rest = self.text.as_bytes().get(start..)?;
            let ends =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t');
            self.at += rest.iter().position(ends).unwrap_or(rest.len());
        }
        self.since(start).filter(|scalar| !scalar.is_empty())
    }

    /// Any value, as it came.
    pub(super) fn value(&mut self) -> Option<&'a str> {
        let first = self.peek()?;
        if !matches!(first, b'{' | b'[') {
            return self.scalar();
        }
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            let byte = *self.text.as_bytes().get(self.at)?;
            self.at += 1;
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 1 => return self.since(start),
                b'}' | b']' => depth -= 1,
                b'"' => self.text_end()?,
                _ => {}
            }
        }
    }

    /// Goes behind the quote that ends a text.
    fn text_end(&mut self) -> Option<()> {
        loop {
            let rest = self.text.as_bytes().get(self.at..)?;
            let at = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
            let escape = rest.get(at) == Some(&b'\\');
            self.at += at + 1 + usize::from(escape);
            if !escape {
                return Some(());
            }
        }
    }
}

/// A JSON pointer (RFC 6901): the whole, or the way to one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pointer(Vec<String>);

impl Pointer {
    /// Reads `/a/b/0`; the empty text is the whole. `None` if it does not begin with a slash or has a `~` that means nothing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return Some(Self(Vec::new()));
        }
        let names = text.strip_prefix('/')?.split('/').map(|name| {
            let plain = name.replace("~1", "").replace("~0", "");
            (!plain.contains('~')).then(|| name.replace("~1", "/").replace("~0", "~"))
        });
        names.collect::<Option<_>>().map(Self)
    }

    /// The way to a member of the whole.
    pub(super) fn member(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// Its names, from the outside in.
    pub(crate) fn names(&self) -> &[String] {
        &self.0
    }

    /// The name of what it leads to; empty for the whole.
    pub(super) fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// What it leads to in sound JSON, as it came. Of several members of one name the last counts.
    pub(super) fn find<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.0.iter().try_fold(text, |text, name| child(text, name))
    }
}

/// Where an array has the element `name`; RFC 6901 lets no number begin with a zero.
pub(super) fn index(name: &str) -> Option<usize> {
    let plain = name == "0" || !name.starts_with(['0', '+']);
    if plain { name.parse().ok() } else { None }
}

fn child<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut walk = Walk::new(text);
    let mut found = None;
    if walk.take(b'[') {
        for _ in 0..index(name)? {
            walk.value()?;
            if !walk.take(b',') {
                return None;
            }
        }
        return if walk.peek()? == b']' { None } else { walk.value() };
    }
    if !walk.take(b'{') {
        return None;
    }
    while walk.peek()? != b'}' {
        let own = walk.name()?;
        let value = walk.value()?;
        if own == name {
            found = Some(value);
        }
        walk.take(b',');
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_pointer_finds_what_it_names_as_it_came() {
        let text = r#" {"a":{"b/c":[1, {"~":"x\"]}" } ]},"e":1.50,"e":[ ],"":7} "#;
        let find = |pointer: &str| Pointer::parse(pointer).unwrap().find(text);
        assert_eq!(find("/a/b~1c/0"), Some("1"));
        assert_eq!(find("/a/b~1c/1/~0"), Some(r#""x\"]}""#));
        assert_eq!(find("/e"), Some("[ ]"), "the last of one name");
        assert_eq!(find("/"), Some("7"));
        assert_eq!(find(""), Some(text));
        for nothing in ["/a/b~1c/2", "/a/b~1c/01", "/a/x", "/e/0", "/e/a/b", "/a/b~1c/-"] {
            assert_eq!(find(nothing), None, "{nothing}");
        }
        for wrong in ["a", "/a~2", "/~"] {
            assert_eq!(Pointer::parse(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_serde_json_finds(text in r#"\{"[a-c]":(1|"x"|\{"[a-c]":\[2,\{\},"\\"\]\}),"[a-c]":\[true, null\]\}"#, pointer in "(/[a-c0-2]){0,3}") {
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            let found = Pointer::parse(&pointer).unwrap().find(&text);
            if value != Value::Null {
                let found = found.map(|raw| serde_json::from_str::<Value>(raw).unwrap());
                prop_assert_eq!(found.as_ref(), value.pointer(&pointer));
            }
        }

        #[test]
        fn what_is_not_sound_does_no_harm(text in r#"[\[\]{}:,"\\a1 ]{0,24}"#, pointer in "(/[a0-1]){0,3}") {
            Pointer::parse(&pointer).unwrap().find(&text);
        }
    }
}
