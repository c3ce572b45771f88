//! A Bundle and its entries: resources, other Bundles, and requests and answers without one.

use std::borrow::Cow;

use lake::tables::ehr_events;

use super::super::extra::Extra;
use super::super::json;
use super::super::object::Object;
use super::super::reject::Reject;
use super::super::time::{DAY_US, YEAR_1900_US};
use super::element::shape;
use super::reference::{Index, is_type, path_of, text_member, type_and_id, version_of_url};
use super::said::{Beside, Said};
use super::when::{When, point};
use crate::batch::flags::Flags;

/// Bundles within each other that are opened.
pub(super) const BUNDLES_MAX: usize = 8;

/// A Bundle that has entries.
#[derive(Debug)]
pub(super) struct Bundle<'a> {
    /// Its entries, as JSON.
    pub(super) entries: &'a str,
    /// What it says itself.
    about: Extra<'a>,
}

impl<'a> Bundle<'a> {
    /// Reads a resource, if it is a Bundle with entries.
    ///
    /// # Errors
    /// It is no object.
    pub(super) fn read(text: &'a str) -> Result<Option<Self>, Reject> {
        let mut object = Object::read(text)?;
        let kind = text_member(&object, "resourceType");
        let entries = object.raw("entry").filter(|raw| !matches!(*raw, "null" | "[]"));
        let Some(entries) = entries.filter(|_| kind.as_deref() == Some("Bundle")) else {
            return Ok(None);
        };
        object.take("resourceType");
        object.take("entry");
        Ok(Some(Self { entries, about: object.rest() }))
    }

    /// The same of a resource that came in the entry of another Bundle.
    pub(super) fn within(resource: &'a str) -> Option<Self> {
        // Most are none, and need not be read for it.
        let may_be = resource.contains("\"Bundle\"") || resource.contains("\\u");
        may_be.then(|| Self::read(resource).ok().flatten()).flatten()
    }

    /// What it says of all its entries, as JSON; with what the `entry` that it came in says beside it.
    ///
    /// # Errors
    /// It is too long.
    pub(super) fn about(&self, entry: Option<&str>) -> Result<Option<String>, Reject> {
        let mut beside = None;
        if let Some(Ok(mut entry)) = entry.map(Object::read) {
            entry.take("resource");
            beside = entry.rest().text(ehr_events::NAME, None)?;
        }
        let mut about = self.about.clone();
        if let Some(beside) = &beside {
            about.add("entry", beside);
        }
        Ok(about.text(ehr_events::NAME, None)?)
    }
}

/// An entry as it came, taken apart.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// Its resource, as JSON.
    pub(super) resource: Option<&'a str>,
    pub(super) beside: Beside<'a>,
    /// The URL of a resource that an answer tells of.
    location: Option<Cow<'a, str>>,
    /// It asks for something, or answers.
    is_exchange: bool,
}

/// Calls `entry` for each entry of a Bundle, with the index of its resources and of those around it.
///
/// # Errors
/// It is no list; entries before a broken one were handed out.
pub(super) fn entries<'a>(
    entries: &'a str,
    outer: Option<&'a Index<'a>>,
    mut entry: impl FnMut(&'a str, &Index<'a>),
) -> Result<(), Reject> {
    let not_a_list = |_| shape("`entry` of the Bundle is not a list");
    let mut index = Index::within(outer);
    if entries.contains("fullUrl") {
        json::each(entries, |entry| index.add(entry)).map_err(not_a_list)?;
    }
    json::each(entries, |text| entry(text, &index)).map_err(not_a_list)
}

impl<'a> Entry<'a> {
    /// Takes an entry apart.
    ///
    /// # Errors
    /// It is not an object.
    pub(super) fn read(text: &'a str) -> Result<Self, Reject> {
        let mut entry = Object::read(text).map_err(|_| shape("an entry is not an object"))?;
        let resource = entry.take("resource").filter(|raw| *raw != "null");
        let full_url = text_member(&entry, "fullUrl");
        if full_url.is_some() {
            entry.take("fullUrl");
        }
        let part = |name| entry.raw(name).and_then(|raw| Object::read(raw).ok());
        let (request, response) = (part("request"), part("response"));
        let member = |object: &Option<Object<'a>>, name| text_member(object.as_ref()?, name);
        let (method, url) = (member(&request, "method"), member(&request, "url"));
        let location = member(&response, "location");
        let modified = member(&response, "lastModified");
        let is_exchange = request.is_some() || response.is_some();
        // Columns have it all if it is nothing else.
        if let Some(mut request) = request
            && request.take("method").is_some() == method.is_some()
            && request.take("url").is_some() == url.is_some()
            && request.rest().is_empty()
        {
            entry.take("request");
        }
        let modified_us = modified.and_then(|text| point(&text).first);
        let extra = entry.rest();
        let beside = Beside { full_url, method, url, modified_us, extra };
        Ok(Self { resource, beside, location, is_exchange })
    }

    /// What an entry without a resource says: which resource it asks for, or tells of.
    ///
    /// # Errors
    /// It says nothing.
    pub(super) fn bare(&self, received_us: i64) -> Result<Said<'_>, Reject> {
        if !self.is_exchange {
            return Err(shape("an entry of the Bundle has no `resource`"));
        }
        let urls = [&self.location, &self.beside.url, &self.beside.full_url];
        let url = urls.into_iter().find_map(Option::as_deref).unwrap_or_default();
        let (kind, id) = asked(url);
        let deleted = self.beside.method.as_deref() == Some("DELETE");
        let latest = received_us.saturating_add(DAY_US);
        let possible = |us: &i64| (YEAR_1900_US..=latest).contains(us);
        let changed = self.beside.modified_us.filter(possible);
        let flags = if changed.is_some() { Flags::default() } else { Flags::TIME_MISSING };
        let updated = self.beside.modified_us;
        let event_us = changed.unwrap_or(received_us);
        Ok(Said {
            kind: kind.unwrap_or("Bundle"),
            id,
            version: version_of_url(url),
            patient: id.filter(|_| kind == Some("Patient")),
            encounter: id.filter(|_| kind == Some("Encounter")),
            status: deleted.then_some(Cow::Borrowed("deleted")),
            when: When { event_us, updated, flags, ..When::default() },
            ..Said::default()
        })
    }
}

/// Type and id in the URL of a request: of `Patient?identifier=…` only the type.
fn asked(url: &str) -> (Option<&str>, Option<&str>) {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    if let Some((kind, id)) = type_and_id(path) {
        return (Some(kind), Some(id));
    }
    let segments: Vec<&str> = path_of(path).split('/').collect();
    let Some(place) = segments.iter().rposition(|segment| is_type(segment)) else {
        return (None, None);
    };
    let id = segments.get(place + 1).filter(|id| !id.is_empty() && !id.starts_with(['$', '_']));
    (Some(segments[place]), id.copied())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_what_is_asked_for() {
        for (url, expected) in [
            ("Patient/7", (Some("Patient"), Some("7"))),
            ("/Patient/7/_history/2", (Some("Patient"), Some("7"))),
            ("http://Server/fhir/Patient/Abc", (Some("Patient"), Some("Abc"))),
            ("Patient/7/$everything", (Some("Patient"), Some("7"))),
            ("Patient/7/_history", (Some("Patient"), Some("7"))),
            ("Patient/$match", (Some("Patient"), None)),
            ("Patient/_search", (Some("Patient"), None)),
            ("Patient?identifier=a/B", (Some("Patient"), None)),
            ("Patient", (Some("Patient"), None)),
            ("http://Server/metadata", (None, None)),
            ("http://Server", (None, None)),
            ("$process-message", (None, None)),
            ("", (None, None)),
        ] {
            assert_eq!(asked(url), expected, "{url}");
        }
    }
}
