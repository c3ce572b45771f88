//! Splits a payload of FHIR that no spool takes whole: lines (NDJSON) between lines, a Bundle between its entries. What is too large
//! even so, or would lose its meaning, is left out by name, and holds up nothing else.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What a Bundle says beside its entries stands in each of its parts; it may take this share of one, so that parts take no more than
/// about twice what came.
const ENVELOPE_SHARE: usize = 16;
/// Longest name of a resource type: what is longer is none, and may be anything.
const TYPE_MAX: usize = 64;

const TOO_LARGE: &str = "larger than a message may be";
const NO_FHIR: &str =
    "larger than a message may be, and neither a Bundle nor lines of FHIR, which are split";
const ENVELOPE: &str =
    "larger than a message may be, and says too much beside its entries to be split";
const JOINED: &str = "larger than a message may be, and can't be split: entries are known by a `fullUrl` that does not end with their id, so that references to them would mean nothing in another part";

/// A resource that was left out. Nothing of it is said but what it is and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Left {
    /// Its line in the payload, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    /// Its place among the entries of its Bundle, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) entry: Option<usize>,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) resource: Option<String>,
    pub(crate) bytes: usize,
    pub(crate) problem: Cow<'static, str>,
}

impl Left {
    /// Something of which is known how large it is, and what is wrong with it.
    pub(crate) fn new(bytes: usize, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { line: None, entry: None, resource: None, bytes, problem: problem.into() }
    }
}

/// What became of a payload.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    /// In the order of what is in them.
    pub(crate) payloads: Vec<Vec<u8>>,
    pub(crate) left: Vec<Left>,
}

/// Splits a payload into parts of at most `room` bytes.
pub(crate) fn split(payload: &[u8], room: usize) -> Parts {
    let text = std::str::from_utf8(payload).unwrap_or_default();
    let text = text.trim_start_matches('\u{feff}').trim();
    let mut parts = Parts::default();
    match resource_lines(text) {
        Some(lines) => parts.lines(lines, room),
        None => parts.bundle(text, room, None),
    }
    for left in parts.left.iter_mut().filter(|left| (left.line, left.entry) == (None, None)) {
        // It is all of the payload, whatever stands around it.
        left.bytes = payload.len();
    }
    parts
}

/// The lines with their numbers, if the first is a whole resource and there are others.
fn resource_lines(text: &str) -> Option<impl Iterator<Item = (usize, &str)>> {
    let (first, _) = text.split_once('\n')?;
    kind_of(first)?;
    Some((1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()))
}

#[derive(Deserialize)]
struct Resource<'a> {
    #[serde(rename = "resourceType", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
}

/// The type of a resource; `None` if it is none.
fn kind_of(text: &str) -> Option<String> {
    let Resource { kind, .. } = serde_json::from_str(text).ok()?;
    let is_type = kind.starts_with(|first: char| first.is_ascii_uppercase())
        && kind.len() <= TYPE_MAX
        && kind.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_type.then(|| kind.into_owned())
}

impl Parts {
    fn leave(
        &mut self,
        (line, entry): (Option<usize>, Option<usize>),
        text: &str,
        problem: &'static str,
    ) {
        let (resource, bytes) = (kind_of(text), text.len());
        self.left.push(Left { line, entry, resource, bytes, problem: problem.into() });
    }

    fn lines<'a>(&mut self, lines: impl Iterator<Item = (usize, &'a str)>, room: usize) {
        let mut part = Vec::new();
        for (number, line) in lines {
            let line = line.trim();
            if line.len() > room {
                // What stands before it comes before it.
                self.payloads.extend((!part.is_empty()).then(|| std::mem::take(&mut part)));
                self.bundle(line, room, Some(number));
                continue;
            }
            if !part.is_empty() && part.len() + 1 + line.len() > room {
                self.payloads.push(std::mem::take(&mut part));
            }
            if !part.is_empty() {
                part.push(b'\n');
            }
            part.extend_from_slice(line.as_bytes());
        }
        self.payloads.extend((!part.is_empty()).then_some(part));
    }

    /// Splits a Bundle; anything else is left out.
    fn bundle(&mut self, text: &str, room: usize, line: Option<usize>) {
        let Some(bundle) = Bundle::read(text) else {
            let problem = if line.is_some() { TOO_LARGE } else { NO_FHIR };
            return self.leave((line, None), text, problem);
        };
        let envelope = bundle.head.len() + bundle.tail.len() + "[]".len();
        if envelope > room / ENVELOPE_SHARE {
            return self.leave((line, None), text, ENVELOPE);
        }
        if !bundle.entries.iter().all(|entry| is_known_by_its_id(entry.get())) {
            return self.leave((line, None), text, JOINED);
        }
        let room = room - envelope;
        let (mut from, mut bytes) = (0, 0);
        for (at, entry) in bundle.entries.iter().enumerate() {
            let len = entry.get().len();
            let alone = len > room;
            if alone || bytes + len > room {
                self.payloads.extend(bundle.part(from, at));
                (from, bytes) = (at, 0);
            }
            if alone {
                let resource = Entry::of(entry.get()).and_then(|entry| entry.resource);
                let text = resource.map_or(entry.get(), RawValue::get);
                self.leave((line, Some(at)), text, TOO_LARGE);
                from = at + 1;
                continue;
            }
            bytes += len + ",".len();
        }
        self.payloads.extend(bundle.part(from, bundle.entries.len()));
    }
}

/// A Bundle around its entries.
struct Bundle<'a> {
    head: &'a str,
    entries: Vec<&'a RawValue>,
    tail: &'a str,
}

impl<'a> Bundle<'a> {
    fn read(text: &'a str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Members<'a> {
            #[serde(rename = "resourceType", borrow)]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            entry: &'a RawValue,
        }
        let Members { kind, entry } = serde_json::from_str(text).ok()?;
        let entry = entry.get();
        let entries = serde_json::from_str(entry).ok().filter(|_| kind == "Bundle")?;
        let start = entry.as_ptr().addr().checked_sub(text.as_ptr().addr())?;
        let (head, tail) = (text.get(..start)?, text.get(start + entry.len()..)?);
        Some(Self { head, entries, tail })
    }

    /// The Bundle with some of its entries only, byte for byte as they came.
    fn part(&self, from: usize, to: usize) -> Option<Vec<u8>> {
        let entries = self.entries.get(from..to).filter(|entries| !entries.is_empty())?;
        let mut part = Vec::from(self.head);
        for (at, entry) in entries.iter().enumerate() {
            part.push(if at == 0 { b'[' } else { b',' });
            part.extend_from_slice(entry.get().as_bytes());
        }
        part.push(b']');
        part.extend_from_slice(self.tail.as_bytes());
        Some(part)
    }
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "fullUrl", borrow)]
    full_url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
}

impl<'a> Entry<'a> {
    fn of(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Whether a reference to the `fullUrl` of an entry means the same without the entry: it ends with the id that the resource has.
fn is_known_by_its_id(entry: &str) -> bool {
    let Some(Entry { full_url: Some(url), resource }) = Entry::of(entry) else { return true };
    let placeholder = ["urn:uuid:", "urn:oid:"].iter().find_map(|scheme| url.strip_prefix(scheme));
    let said = placeholder.or_else(|| {
        let (path, _) = url.split_once("/_history/").unwrap_or((&url, ""));
        let (rest, id) = path.rsplit_once('/')?;
        let kind = rest.rsplit('/').next()?;
        kind.starts_with(|first: char| first.is_ascii_uppercase()).then_some(id)
    });
    let own = resource.and_then(|resource| {
        serde_json::from_str::<Resource<'_>>(resource.get()).ok()?.id.map(Cow::into_owned)
    });
    match (said, own) {
        (Some(said), Some(own)) => said == own,
        (said, None) => said.is_some() || resource.is_none(),
        (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests;
