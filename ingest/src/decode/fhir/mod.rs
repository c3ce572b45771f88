//! The stream `fhir`: one FHIR R4 resource as JSON, a Bundle of them, or several, a line each (NDJSON).
//!
//! Each resource becomes one row of `ehr_events` with its JSON as it came; of an Observation each value, its own and its
//! components', also becomes a reading. Types that are not known here keep what such types usually have. A part of a message that
//! is no resource leaves its neighbours alone. What entries say beside their resource is in `extra`, what the Bundle says itself in
//! `extra` of its first row, as `Bundle`. A Bundle within a Bundle is opened, too.

mod bundle;
mod coded;
mod element;
mod event;
mod paths;
mod reading;
mod reference;
mod said;
mod sampled;
#[cfg(test)]
mod tests;
mod value;
mod when;

use serde_json::value::RawValue;

use super::json;
use super::lenient;
use super::reject::{Code, Reject};
use super::{Decoder, Message, Spec, no_settings};
use crate::batch::Rows;
use crate::batch::flags::Flags;
use crate::memory::Statement;
use bundle::{BUNDLES_MAX, Bundle, Entry};
use element::{Tree, shape, text_of};
use event::{Added, Columns};
use reading::Readings;
use reference::Index;
use said::{Beside, Said};
use when::When;

/// Rows of `ehr_events` of one message.
const EVENTS_MAX: usize = 100_000;

pub(super) const SPEC: Spec = Spec {
    name: "fhir",
    about: "one FHIR R4 resource as JSON, a Bundle of them, or several, a line each",
    build: |settings, layout| {
        no_settings(settings)?;
        Ok(Box::new(Fhir { columns: Columns::of(layout)? }))
    },
};

#[derive(Debug)]
struct Fhir {
    columns: Columns,
}

impl Decoder for Fhir {
    fn decode(&self, message: &Message<'_>, rows: &mut Rows<'_>) -> Result<(), Reject> {
        let (columns, text) = (&self.columns, message.text()?);
        let text = text.trim_start_matches('\u{feff}').trim();
        let (readings, untold) = (Readings::default(), Vec::new());
        let mut resources = Resources { columns, rows, events: 0, readings, untold };
        let Some(lines) = lines(text) else { return resources.read(text) };
        let results = lines.map(|(number, line)| {
            resources.line(line).map_err(|reject| {
                let reason = format!("line {number}: {}", reject.reason);
                Reject::new(reject.code, reason)
            })
        });
        results.fold(Ok(()), Result::and)
    }
}

/// The lines of NDJSON with their numbers: the first one is a whole value, and there are others.
fn lines(text: &str) -> Option<impl Iterator<Item = (usize, &str)>> {
    let (first, _) = text.split_once('\n')?;
    serde_json::from_str::<&RawValue>(first).ok()?;
    Some((1..).zip(text.lines().map(str::trim)).filter(|(_, line)| !line.is_empty()))
}

/// The rows of one message.
struct Resources<'a, 'b> {
    columns: &'a Columns,
    rows: &'a mut Rows<'b>,
    events: usize,
    readings: Readings,
    /// What the Bundles that are open say themselves, from the outermost one on, as long as no row has it.
    untold: Vec<Option<String>>,
}

impl Resources<'_, '_> {
    /// One of several lines.
    fn line(&mut self, line: &str) -> Result<(), Reject> {
        let no_json = |reject: &Reject| matches!(reject.code, Code::JsonSyntax | Code::NotFinite);
        let result = match self.read(line) {
            Err(reject) if no_json(&reject) => match lenient::repaired(line.as_bytes()) {
                Some(line) => self.read(&line),
                None => Err(reject),
            },
            result => result,
        };
        // A message that is no JSON has no rows, and is mended and read again: this one has some.
        result.map_err(|reject| match no_json(&reject) {
            true => Reject::new(Code::FhirShapeUnknown, reject.reason),
            false => reject,
        })
    }

    /// A resource, or a Bundle.
    fn read(&mut self, text: &str) -> Result<(), Reject> {
        match Bundle::read(text)? {
            Some(bundle) => self.bundle(&bundle, None, None),
            None => {
                let resource = json::parse_object(text)?;
                self.resource(&resource, text, &Beside::default(), &Index::default())
            }
        }
    }

    /// All entries of a Bundle, which may have come in an `entry` of another one, whose resources are `outer`.
    fn bundle(
        &mut self,
        bundle: &Bundle<'_>,
        entry: Option<&str>,
        outer: Option<&Index<'_>>,
    ) -> Result<(), Reject> {
        let depth = self.untold.len();
        if depth >= BUNDLES_MAX {
            let reason = format!("a Bundle within {BUNDLES_MAX} Bundles is not opened");
            return Err(Reject::new(Code::NestingTooDeep, reason));
        }
        // What it says about all of them is in its first row.
        let about = bundle.about(entry);
        let mut result = about.as_ref().map(|_| ()).map_err(Clone::clone);
        self.untold.push(about.unwrap_or_default());
        let opened = bundle::entries(bundle.entries, outer, |entry, index| {
            let added = self.entry(entry, index);
            // The first refusal is told.
            result = std::mem::replace(&mut result, Ok(())).and(added);
        });
        self.untold.truncate(depth);
        opened.and(result)
    }

    /// One entry of a Bundle.
    fn entry(&mut self, text: &str, index: &Index<'_>) -> Result<(), Reject> {
        let entry = Entry::read(text)?;
        if let Some(inner) = entry.resource.and_then(Bundle::within) {
            return self.bundle(&inner, Some(text), Some(index));
        }
        let (before, untold) = (self.events, std::mem::take(&mut self.untold));
        let result = self.single(entry, text, index, &untold);
        let told = self.events > before;
        self.untold = untold.into_iter().map(|about| about.filter(|_| !told)).collect();
        result
    }

    /// One entry that is no Bundle; its row says what Bundles say that no row has yet.
    fn single<'c>(
        &mut self,
        mut entry: Entry<'c>,
        text: &str,
        index: &Index<'_>,
        untold: &'c [Option<String>],
    ) -> Result<(), Reject> {
        for (depth, about) in (1..).zip(untold) {
            let Some(about) = about else { continue };
            let name = if depth == 1 { "Bundle".into() } else { format!("Bundle.{depth}") };
            entry.beside.extra.add(name, about);
        }
        let Some(resource) = entry.resource else {
            let mut said = entry.bare(self.rows.origin().received_us)?;
            // What is asked for, or answered, is no state of a resource; that it is gone is one.
            let named = said.status.as_deref() == Some("deleted");
            said.standing |= self.repeats(&said, &entry.beside, (text, named));
            return self.event(&said, &entry.beside, text).map(drop);
        };
        let tree = json::parse_object(resource)
            .map_err(|_| shape("a `resource` of the Bundle is not an object"))?;
        self.resource(&tree, resource, &entry.beside, index)
    }

    /// A resource, and what was said beside it.
    fn resource(
        &mut self,
        tree: &Tree,
        text: &str,
        beside: &Beside<'_>,
        index: &Index<'_>,
    ) -> Result<(), Reject> {
        let kind = text_of(tree.get("resourceType"));
        let kind = kind.ok_or_else(|| shape("there is no `resourceType`"))?;
        let mut said = Said::of(kind, tree, beside, index, self.rows.origin().received_us);
        let parts = if kind == "Observation" {
            let (parts, flags) = reading::parts(tree, &said.observed);
            said.standing |= flags;
            parts
        } else {
            Vec::new()
        };
        said.standing |= self.repeats(&said, beside, (text, true));
        let complete = self.event(&said, beside, text)?;
        complete.and(self.readings.add(self.rows, &said, &parts))
    }

    /// Whether its system said just that of the resource before, and nothing else since. `named`: it is known by its id.
    fn repeats(
        &mut self,
        said: &Said<'_>,
        beside: &Beside<'_>,
        (text, named): (&str, bool),
    ) -> Flags {
        let Beside { method, url, .. } = beside;
        let (method, url) = (method.as_deref(), url.as_deref());
        let When { start, end, recorded, updated, .. } = said.when;
        let timed = start.or(end).or(recorded).or(updated).is_some() || said.version.is_some();
        let statement = Statement {
            kind: said.kind,
            id: said.id.filter(|_| named),
            version: said.version,
            updated_us: updated,
            content: [text, method.unwrap_or_default(), url.unwrap_or_default()].map(str::as_bytes),
        };
        self.rows.resource(&statement, timed)
    }

    /// The row of `ehr_events`. The inner result: whether all of it is there.
    fn event(
        &mut self,
        said: &Said<'_>,
        beside: &Beside<'_>,
        text: &str,
    ) -> Result<Result<(), Reject>, Reject> {
        if self.events >= EVENTS_MAX {
            let reason = format!("more than {EVENTS_MAX} resources in one message");
            return Err(Reject::new(Code::TooManyValues, reason));
        }
        let added = event::add(self.columns, self.rows, said, beside, text);
        let result = match added {
            Ok(()) => Ok(()),
            // The row is there; the dead letter has what it could not take.
            Err(Added::WithoutExtra(reject)) => Err(reject),
            Err(Added::Not(reject)) => return Err(reject),
        };
        self.events += 1;
        Ok(result)
    }
}
