//! The readings of an Observation: its value and those of its components, each with what is said beside it.

use std::borrow::Cow;

use lake::table::{NAME_BYTES_MAX, TEXT_BYTES_MAX};
use serde_json::Value;

use super::super::number::{self, Comma, Told};
use super::super::reject::{Code, Reject};
use super::coded::{coded, codes, metric};
use super::element::{Found, Tree};
use super::said::Said;
use super::sampled::{Reached, SAMPLES_MAX, Sampled};
use super::value::{Observed, reference_range};
use crate::batch::Rows;
use crate::batch::flags::Flags;
use crate::batch::judging::{Comparator, Measured};
use crate::batch::readings::{ABSENT, Clinical, Context, FHIR_R4};

/// Readings of one message.
const READINGS_MAX: i32 = 100_000;

/// One value with its code.
#[derive(Debug)]
pub(super) struct Part<'a> {
    metric: Cow<'static, str>,
    codings: Option<String>,
    observed: Observed<'a>,
    interpretation: Option<String>,
    reference_range: Option<String>,
}

/// The values of an Observation that can be readings, and what is to be said if some can't.
pub(super) fn parts<'a>(tree: &'a Tree, own: &Observed<'a>) -> (Vec<Part<'a>>, Flags) {
    let (mut parts, mut flags) = (Vec::new(), Flags::default());
    let mut part = |tree: &'a Tree, observed: Observed<'a>| {
        flags |= observed.flags & Flags::NOT_CONVERTED;
        if !observed.is_said() {
            return;
        }
        let code = tree.get("code");
        let Some(metric) = code.and_then(metric) else {
            flags |= Flags::CODE_MISSING;
            return;
        };
        parts.push(Part {
            metric,
            codings: code.and_then(|value| coded(&[Found { kind: "", value }]).all),
            observed,
            interpretation: codes(tree.get("interpretation")),
            reference_range: reference_range(tree),
        });
    };
    part(tree, own.clone());
    let mut odd = false;
    match tree.get("component") {
        Some(Value::Array(components)) => {
            for component in components {
                match component.as_object() {
                    Some(component) => part(component, Observed::of(component, &["value[x]"])),
                    None => odd = true,
                }
            }
        }
        other => odd = other.is_some_and(|other| !other.is_null()),
    }
    (parts, if odd { flags | Flags::NOT_CONVERTED } else { flags })
}

/// How many readings and samples there were in a message.
#[derive(Debug, Default)]
pub(super) struct Readings {
    rows: i32,
    samples: usize,
}

impl Readings {
    /// Adds the readings of an Observation.
    ///
    /// # Errors
    /// What did not fit its table; the others are there.
    pub(super) fn add(
        &mut self,
        rows: &mut Rows<'_>,
        said: &Said<'_>,
        parts: &[Part<'_>],
    ) -> Result<(), Reject> {
        if parts.is_empty() {
            return Ok(());
        }
        let readings = rows.readings();
        let place = readings.place([said.patient, said.encounter, None, None])?;
        let device_us = said.when.start.or(said.when.end).unwrap_or(ABSENT);
        let mut context = Context { place, ..Context::at(FHIR_R4, said.when.event_us, device_us) };
        if let Some(text) = said.when.unread {
            context.time_text = readings.time_text(text);
        }
        let mut result = Ok(());
        for part in parts {
            context.flags = said.when.flags | said.standing | part.observed.flags;
            result = result.and(self.part(rows, &context, said, part));
        }
        result
    }

    fn part(
        &mut self,
        rows: &mut Rows<'_>,
        context: &Context,
        said: &Said<'_>,
        part: &Part<'_>,
    ) -> Result<(), Reject> {
        let observed = &part.observed;
        let (interpretation, range) = (short(&part.interpretation), short(&part.reference_range));
        let (method, absent) = (short(&said.method), short(&observed.absent));
        let clinical = Clinical {
            status: said.status.as_deref(),
            interpretation: interpretation.as_deref(),
            reference_range: range.as_deref(),
            method: method.as_deref(),
            absent_reason: absent.as_deref(),
            resource_id: said.id,
            version_id: said.version,
            codings: part.codings.as_deref().filter(|text| text.len() <= TEXT_BYTES_MAX),
        };
        let context = Context { clinical: rows.readings().clinical(&clinical)?, ..*context };
        if let Some(tree) = observed.sampled {
            return self.series(rows, &context, part, tree);
        }
        let (measured, flags) = measured(observed);
        let context = Context { flags: context.flags | flags, ..context };
        self.row(rows, &context, &part.metric, observed.unit, measured)
    }

    /// Each sample of a series; of one that is too long, or none, a row that says so.
    fn series(
        &mut self,
        rows: &mut Rows<'_>,
        exact: &Context,
        part: &Part<'_>,
        tree: &Tree,
    ) -> Result<(), Reject> {
        let flagged = |flag| Context { flags: exact.flags | flag, ..*exact };
        let unit = part.observed.unit;
        let Some(sampled) = Sampled::of(tree) else {
            let context = flagged(Flags::NOT_CONVERTED);
            return self.row(rows, &context, &part.metric, unit, Measured::Absent);
        };
        let count = self.samples.saturating_add(sampled.len());
        if count > SAMPLES_MAX {
            let context = flagged(Flags::SAMPLES_IN_RESOURCE);
            return self.row(rows, &context, &part.metric, unit, Measured::Absent);
        }
        self.samples = count;
        for sample in sampled.samples() {
            let (mut context, measured) = match sample.reached {
                Reached::Value(number) => (*exact, Measured::Number(number)),
                Reached::Below(limit) => (*exact, Measured::Bound(Comparator::Less, limit, None)),
                Reached::Above(limit) => (*exact, Measured::Bound(Comparator::More, limit, None)),
                Reached::Nothing(word) => (*exact, Measured::Nothing(word)),
                Reached::Unread(word) => (flagged(Flags::NOT_CONVERTED), Measured::Nothing(word)),
            };
            context.event_us = exact.event_us.saturating_add(sample.after_us);
            if exact.device_us != ABSENT {
                context.device_us = exact.device_us.saturating_add(sample.after_us);
            }
            if sampled.dimensions == 1 {
                self.row(rows, &context, &part.metric, unit, measured)?;
            } else {
                let metric = format!("{}.{}", part.metric, sample.dimension + 1);
                self.row(rows, &context, &metric, unit, measured)?;
            }
        }
        Ok(())
    }

    fn row(
        &mut self,
        rows: &mut Rows<'_>,
        context: &Context,
        metric: &str,
        unit: Option<&str>,
        measured: Measured<'_>,
    ) -> Result<(), Reject> {
        if self.rows >= READINGS_MAX {
            let reason = format!("more than {READINGS_MAX} readings in one message");
            return Err(Reject::new(Code::TooManyValues, reason));
        }
        rows.reading(context, self.rows, metric, unit, measured)?;
        self.rows += 1;
        Ok(())
    }
}

/// What a reading shows of a value. What people wrote may be a number, a bound, or that there is none.
fn measured<'a>(observed: &'a Observed<'_>) -> (Measured<'a>, Flags) {
    let bound = observed.comparator.and_then(Comparator::of_code);
    let text = observed.text.as_deref();
    let told = text.filter(|_| observed.written).map(|text| number::of_text(text, Comma::Careful));
    let (given, flags) = match (observed.number, told) {
        (Some(number), _) => (Some(number), Flags::default()),
        (None, Some(Told::Number(number, flags))) => (Some(number), flags),
        _ => (None, Flags::default()),
    };
    let measured = match (given, told, text) {
        (Some(number), _, text) if bound.is_some() => {
            bound.map_or(Measured::Absent, |bound| Measured::Bound(bound, number, text))
        }
        (Some(number), _, Some(text)) => Measured::Word(number, text),
        (Some(number), ..) => Measured::Number(number),
        (None, Some(Told::Bound(bound, number)), text) => Measured::Bound(bound, number, text),
        (None, Some(Told::Nothing), Some(text)) => Measured::Nothing(text),
        (None, _, Some(text)) => match observed.truth {
            Some(truth) => Measured::Number(f64::from(u8::from(truth))),
            None => Measured::Text(text),
        },
        (None, _, None) => Measured::Absent,
    };
    (measured, flags)
}

/// At most what a column of names takes: the resource has the rest.
fn short(text: &Option<String>) -> Option<Cow<'_, str>> {
    let text = text.as_deref()?;
    if text.len() <= NAME_BYTES_MAX {
        return Some(Cow::Borrowed(text));
    }
    let room = NAME_BYTES_MAX - '…'.len_utf8();
    let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    Some(Cow::Owned(format!("{}…", text.get(..end).unwrap_or_default())))
}
