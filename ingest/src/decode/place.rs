//! Where a row's site or device comes from: a constant, levels of the topic, or a member of the payload.
//!
//! ```text
//! home            a constant
//! {1}, {1}-{2}    levels of the topic, the first is {0}
//! {rest}          all levels that no other {n} of the template and no literal level of the filter names, joined with `/`
//! {member}        the name under which the payload has the object, where a rule takes each member for a device
//! {publisher}     who published it, as the gateway or agent knows it
//! /end/device_id  a JSON pointer; {/model}-{/id} are several
//! ```
//!
//! What a device calls itself may hold any character; an id may not. So names are escaped such that two names never become
//! one id, and the name can be had back: `%XX` for each byte that an id can't have. An id that would be too long is cut and
//! ends in `~` and a hash of the name.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};
use telemetry_core::id::NAME_MAX;

use super::json;
use super::sound::Pointer;
use crate::mistake::Mistake;

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// The same for every message, escaped already.
    Constant(String),
    /// Texts and what stands between them.
    Template(Vec<Piece>),
    /// A member of the payload.
    Member(Pointer),
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// As it is.
    Text(String),
    /// A level of the topic.
    Level(usize),
    /// All levels but these.
    Rest(BTreeSet<usize>),
    /// The name of the object in the payload.
    Member,
    /// Who published it.
    Publisher,
    /// A member of the payload.
    Pointer(Pointer),
}

/// What a place is filled from.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Whence<'a> {
    pub(crate) topic: &'a str,
    pub(crate) publisher: &'a str,
    /// The object that readings are of, as it came.
    pub(crate) object: &'a str,
    /// The name of the object in the payload.
    pub(crate) member: Option<&'a str>,
}

/// The message around the objects that readings are of. What pointers lead to in it is looked up once, however many there are.
#[derive(Debug, Default)]
pub(crate) struct Around<'a> {
    whole: &'a str,
    found: Vec<(Pointer, Option<&'a str>)>,
}

impl<'a> Around<'a> {
    /// From here on this is around the objects.
    pub(crate) fn turn_to(&mut self, whole: &'a str) {
        if !std::ptr::eq(self.whole, whole) {
            self.whole = whole;
            self.found.clear();
        }
    }

    fn find(&mut self, pointer: &Pointer) -> Option<&'a str> {
        if let Some((_, raw)) = self.found.iter().find(|(known, _)| known == pointer) {
            return *raw;
        }
        let raw = pointer.find(self.whole);
        self.found.push((pointer.clone(), raw));
        raw
    }
}

impl Place {
    /// Compiles a template.
    ///
    /// # Errors
    /// What means nothing, or would give two devices one name.
    pub(crate) fn parse(text: &str) -> Result<Self, Mistake> {
        let mistake = |problem: &str| Mistake::new(text, problem);
        if text.is_empty() {
            return Err(mistake("is empty: give a name, levels as {1}, or a pointer as /id"));
        }
        if text.starts_with('/') {
            let pointer = Pointer::parse(text);
            return pointer.map(Self::Member).ok_or_else(|| {
                mistake("is no JSON pointer: write ~0 for `~` and ~1 for `/` in a name")
            });
        }
        if !text.contains(['{', '}']) {
            return Ok(Self::Constant(named(text)));
        }
        let pieces = pieces(text).map_err(mistake)?;
        for pair in pieces.windows(2) {
            if !pair.iter().any(|piece| matches!(piece, Piece::Text(_))) {
                return Err(mistake("has nothing between two parts: put `-` or `.` there"));
            }
        }
        Ok(Self::Template(pieces))
    }

    /// The same for a rule with this filter.
    ///
    /// # Errors
    /// A level that no topic of the filter has.
    pub(crate) fn for_filter(mut self, filter: &str) -> Result<Self, Mistake> {
        let levels: Vec<&str> = filter.split('/').collect();
        let open = levels.last() == Some(&"#");
        if let Some(highest) = self.levels().filter(|highest| !open && *highest >= levels.len()) {
            let problem = format!("is no level of `{filter}`, which has {}", levels.len());
            return Err(Mistake::new(format!("{{{highest}}}"), problem));
        }
        let literal = levels.iter().enumerate().filter(|(_, level)| !matches!(**level, "+" | "#"));
        let literal: Vec<usize> = literal.map(|(at, _)| at).collect();
        if let Self::Template(pieces) = &mut self {
            for piece in pieces {
                if let Piece::Rest(named) = piece {
                    named.extend(&literal);
                }
            }
        }
        Ok(self)
    }

    /// Whether topics alone say it.
    pub(crate) fn is_of_topic(&self) -> bool {
        let of_topic =
            |piece: &Piece| matches!(piece, Piece::Text(_) | Piece::Level(_) | Piece::Rest(_));
        match self {
            Self::Constant(_) => true,
            Self::Member(_) => false,
            Self::Template(pieces) => pieces.iter().all(of_topic),
        }
    }

    /// The highest level that it names.
    pub(crate) fn levels(&self) -> Option<usize> {
        let Self::Template(pieces) = self else { return None };
        let levels = pieces.iter().filter_map(|piece| match piece {
            Piece::Level(level) => Some(*level),
            _ => None,
        });
        levels.max()
    }

    /// The id, if the message says it. Members of the payload are looked for in the object, then around it.
    pub(crate) fn fill<'a>(
        &self,
        whence: &Whence<'a>,
        around: &mut Around<'a>,
    ) -> Option<Cow<'_, str>> {
        match self {
            Self::Constant(name) => Some(Cow::Borrowed(name)),
            Self::Member(pointer) => Some(Cow::Owned(named(&said(pointer, whence, around)?))),
            Self::Template(pieces) => filled(pieces, whence, around).map(Cow::Owned),
        }
    }

    /// What a template says of the topic, as it is there: for names that are no ids.
    pub(super) fn text(&self, topic: &str) -> Option<String> {
        let Self::Template(pieces) = self else { return None };
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Level(level) => text.push_str(topic.split('/').nth(*level)?),
                Piece::Rest(_) | Piece::Member | Piece::Publisher | Piece::Pointer(_) => {
                    return None;
                }
            }
        }
        (!text.is_empty()).then_some(text)
    }
}

/// The text or number of a member.
fn said<'a>(
    pointer: &Pointer,
    whence: &Whence<'a>,
    around: &mut Around<'a>,
) -> Option<Cow<'a, str>> {
    let raw = pointer.find(whence.object).or_else(|| around.find(pointer))?;
    let name = match raw.as_bytes().first()? {
        b'"' => json::text(raw)?,
        b'-' | b'0'..=b'9' => Cow::Borrowed(raw),
        _ => return None,
    };
    (!name.is_empty()).then_some(name)
}

fn pieces(text: &str) -> Result<Vec<Piece>, &'static str> {
    let mut pieces = Vec::new();
    let mut named = BTreeSet::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (plain, part) = rest.split_once('{').unwrap_or((rest, ""));
        if !plain.bytes().all(plain_byte) {
            return Err(
                "has a character between its parts that no id has: use `-`, `_`, `.` or `:`",
            );
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain.to_owned()));
        }
        if plain.len() == rest.len() {
            break;
        }
        let (name, after) = part.split_once('}').ok_or("has a `{` without `}`")?;
        pieces.push(match name {
            "rest" => Piece::Rest(BTreeSet::new()),
            "member" => Piece::Member,
            "publisher" => Piece::Publisher,
            pointer if pointer.starts_with('/') => {
                Piece::Pointer(Pointer::parse(pointer).ok_or("has a part that is no JSON pointer")?)
            }
            _ => {
                let level = name.parse().ok().filter(|level| *level < 128);
                let level = level.ok_or(
                    "has a part that is no level, {rest}, {member}, {publisher} or {/pointer}",
                )?;
                named.insert(level);
                Piece::Level(level)
            }
        });
        rest = after;
    }
    for piece in &mut pieces {
        if let Piece::Rest(all) = piece {
            all.clone_from(&named);
        }
    }
    Ok(pieces)
}

fn filled<'a>(pieces: &[Piece], whence: &Whence<'a>, around: &mut Around<'a>) -> Option<String> {
    let mut name = String::new();
    for (at, piece) in pieces.iter().enumerate() {
        // The part must not look as if it ended earlier.
        let behind = match pieces.get(at + 1) {
            Some(Piece::Text(text)) if pieces.len() > at + 2 => text.bytes().next(),
            _ => None,
        };
        let part = match piece {
            Piece::Text(text) => {
                name.push_str(text);
                continue;
            }
            Piece::Level(level) => Cow::Borrowed(whence.topic.split('/').nth(*level)?),
            Piece::Member => Cow::Borrowed(whence.member?),
            Piece::Publisher => Some(whence.publisher).filter(|who| !who.is_empty())?.into(),
            Piece::Pointer(pointer) => said(pointer, whence, around)?,
            Piece::Rest(named) => {
                let levels = whence.topic.split('/').enumerate();
                let levels: Vec<&str> =
                    levels.filter(|(at, _)| !named.contains(at)).map(|(_, level)| level).collect();
                levels.join("/").into()
            }
        };
        name.push_str(&escape(&part, behind));
    }
    (!name.is_empty()).then(|| id(name))
}

fn plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':')
}

/// `name` without what an id can't have, and without `behind`.
fn escape(name: &str, behind: Option<u8>) -> String {
    let plain = |byte| plain_byte(byte) && Some(byte) != behind;
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if plain(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            for half in [byte >> 4, byte & 15] {
                escaped.push(char::from(b"0123456789ABCDEF"[usize::from(half)]));
            }
        }
    }
    escaped
}

/// The id of any name.
pub(crate) fn named(name: &str) -> String {
    id(escape(name, None))
}

/// The id of an escaped name.
fn id(mut name: String) -> String {
    // `.` and `..` would be folders. The last part of a template has no escaped dot, so nothing else ends in one.
    if name.bytes().all(|byte| byte == b'.') && name.pop().is_some() {
        name.push_str("%2E");
    }
    if name.len() <= NAME_MAX {
        return name;
    }
    let hash = Sha256::digest(name.as_bytes());
    let mut cut = NAME_MAX - 17;
    // Half an escape means nothing.
    if let Some(escape) = name[..cut].rfind('%').filter(|escape| escape + 3 > cut) {
        cut = escape;
    }
    name.truncate(cut);
    name.push('~');
    name.extend(hash.iter().take(8).map(|byte| format!("{byte:02x}")));
    name
}

#[cfg(test)]
mod tests;
