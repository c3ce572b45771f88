//! The table `ehr_events`: one version of one EHR resource, or one component of it, a row.

use super::{EVENT_TS, RECEIVED_TS, SITE};
use crate::table::{
    Column, FLAGS, IDENTITY, Kind, Parts, TEXT_BYTES_MAX, Table, WHOLE_MESSAGE, extra,
};

/// Its name.
pub const NAME: &str = "ehr_events";

/// The table.
#[must_use]
pub fn table() -> Table {
    let text = |name, about| Column::optional(name, Kind::Text, about);
    let columns = [
        EVENT_TS,
        RECEIVED_TS,
        SITE,
        Column::required("system_id", Kind::Text, "The EHR system, from the topic."),
        Column::required("resource_type", Kind::Text, "FHIR's resource type."),
        text("resource_id", "The resource's logical id."),
        text("version_id", "`meta.versionId`."),
        text("patient_id", "Id of the Patient that the resource is about."),
        text("encounter_id", "Id of the Encounter that it belongs to."),
        text("status", "The resource's own status, such as `final` or `entered-in-error`."),
        text("code_system", "System of `code`."),
        text("code", "What it is about, by the first coding."),
        text("code_display", "The same for people.").up_to(TEXT_BYTES_MAX),
        Column::optional("value", Kind::Double, "The number of a value with one."),
        text("value_text", "The value, where it is none.").up_to(TEXT_BYTES_MAX),
        text("unit", "Unit of `value`."),
        Column::optional("effective_start", Kind::Timestamp, "From when it holds."),
        Column::optional("effective_end", Kind::Timestamp, "Until when it holds."),
        Column::required("resource", Kind::Text, "The resource, as it came: JSON.")
            .up_to(WHOLE_MESSAGE),
        FLAGS,
        extra(),
    ];
    let parts = Parts {
        sort: &["system_id", "resource_type", "event_ts"],
        stats: &["event_ts", "received_ts", "system_id"],
        time: "event_ts",
        bloom: &["patient_id"],
    };
    let about = "One version of one EHR resource, or one component of it, a row.";
    Table::new(NAME, about, columns.into_iter().chain(IDENTITY), parts)
}
