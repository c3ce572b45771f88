//! The row of `ehr_events` of one resource.

use lake::tables::ehr_events;

use super::super::reject::Reject;
use super::said::{Beside, Said};
use crate::batch::flags::Flags;
use crate::batch::{Row, Rows};
use crate::columns;

columns! {
    pub(super) struct Columns of ehr_events::NAME {
        event_ts: Time,
        site: Text,
        system_id: Text,
        resource_type: Text,
        resource_id: Text,
        version_id: Text,
        patient_id: Text,
        encounter_id: Text,
        status: Text,
        code_system: Text,
        code: Text,
        code_display: Text,
        value: Double,
        value_text: Text,
        unit: Text,
        effective_start: Time,
        effective_end: Time,
        resource: Text,
        flags: Text,
        extra: Text,
        verification_status: Text,
        category: Text,
        codings: Text,
        code_reference: Text,
        comparator: Text,
        value_low: Double,
        value_high: Double,
        value_code_system: Text,
        value_code: Text,
        interpretation: Text,
        reference_range: Text,
        method: Text,
        absent_reason: Text,
        subject_reference: Text,
        device_reference: Text,
        identifier: Text,
        recorded_ts: Time,
        last_updated: Time,
        full_url: Text,
        request_method: Text,
        request_url: Text,
    }
}

/// Adds the row of a resource, whose JSON is `text`.
///
/// # Errors
/// What does not fit; if it is only what has no column, the row is there all the same.
pub(super) fn add(
    columns: &Columns,
    rows: &mut Rows<'_>,
    said: &Said<'_>,
    beside: &Beside<'_>,
    text: &str,
) -> Result<(), Added> {
    let event_us = said.when.event_us;
    let extra = beside.extra.text(ehr_events::NAME, None);
    let dated = rows.dated(&columns.table, event_us);
    let cut = if extra.is_err() { Flags::EXTRA_TOO_LONG } else { Flags::default() };
    let flags = (said.flags() | rows.origin().flags() | dated | cut).text();
    let (site, system) = rows.device();
    let (site, system) = (site.to_owned(), system.to_owned());
    let mut row = Row::new(&columns.table, event_us);
    row.set(columns.site, &*site)
        .set(columns.system_id, &*system)
        .set(columns.resource, text)
        .set(columns.flags, flags.as_deref())
        .set(columns.extra, extra.as_ref().ok().and_then(Option::as_deref))
        .set(columns.full_url, beside.full_url.as_deref())
        .set(columns.request_method, beside.method.as_deref())
        .set(columns.request_url, beside.url.as_deref());
    about(columns, &mut row, said);
    observed(columns, &mut row, said);
    rows.add(row).map_err(|misfit| Added::Not(misfit.into()))?;
    extra.map(drop).map_err(|misfit| Added::WithoutExtra(misfit.into()))
}

/// Why a row is not there, or not all of it.
#[derive(Debug)]
pub(super) enum Added {
    Not(Reject),
    WithoutExtra(Reject),
}

/// What it is, whom and what it is about, and when.
fn about<'a>(columns: &Columns, row: &mut Row<'a>, said: &'a Said<'_>) {
    row.set(columns.event_ts, said.when.event_us)
        .set(columns.effective_start, said.when.start)
        .set(columns.effective_end, said.when.end)
        .set(columns.recorded_ts, said.when.recorded)
        .set(columns.last_updated, said.when.updated)
        .set(columns.resource_type, said.kind)
        .set(columns.resource_id, said.id)
        .set(columns.version_id, said.version)
        .set(columns.identifier, said.identifier.as_deref())
        .set(columns.patient_id, said.patient)
        .set(columns.subject_reference, said.subject_reference.as_deref())
        .set(columns.encounter_id, said.encounter)
        .set(columns.device_reference, said.device_reference.as_deref())
        .set(columns.status, said.status.as_deref())
        .set(columns.verification_status, said.verification.as_deref())
        .set(columns.category, said.category.as_deref())
        .set(columns.code_system, said.coded.system.as_deref())
        .set(columns.code, said.coded.code.as_deref())
        .set(columns.code_display, said.coded.display.as_deref())
        .set(columns.codings, said.coded.all.as_deref())
        .set(columns.code_reference, said.code_reference.as_deref());
}

/// What was found, and how far that can be relied on.
fn observed<'a>(columns: &Columns, row: &mut Row<'a>, said: &'a Said<'_>) {
    let observed = &said.observed;
    row.set(columns.value, observed.number)
        .set(columns.value_low, observed.low)
        .set(columns.value_high, observed.high)
        .set(columns.value_text, observed.text.as_deref())
        .set(columns.value_code_system, observed.coded.system.as_deref())
        .set(columns.value_code, observed.coded.code.as_deref())
        .set(columns.unit, observed.unit)
        .set(columns.comparator, observed.comparator)
        .set(columns.absent_reason, observed.absent.as_deref())
        .set(columns.interpretation, said.interpretation.as_deref())
        .set(columns.reference_range, said.reference_range.as_deref())
        .set(columns.method, said.method.as_deref());
}
