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
        text("patient_id", "Id of the Patient that the resource is about: joins `resource_id`."),
        text("encounter_id", "Id of the Encounter that it belongs to."),
        text(
            "status",
            "The resource's own status, such as `final` or `entered-in-error`; `deleted` where a Bundle says so.",
        ),
        text("code_system", "System of `code`."),
        text("code", "What it is about: LOINC's code if there is one, else the first."),
        text("code_display", "The same for people.").up_to(TEXT_BYTES_MAX),
        Column::optional("value", Kind::Double, "The number of a value with one."),
        text("value_text", "The value, where it is none.").up_to(TEXT_BYTES_MAX),
        text("unit", "Unit of `value`."),
        Column::optional("effective_start", Kind::Timestamp, "From when it holds."),
        Column::optional(
            "effective_end",
            Kind::Timestamp,
            "Until when it holds; of a date, a month or a year its last moment.",
        ),
        Column::required(
            "resource",
            Kind::Text,
            "The resource, as it came: JSON. Of an entry without one, the entry.",
        )
        .up_to(WHOLE_MESSAGE),
        FLAGS,
        extra(),
        text(
            "verification_status",
            "How sure the status is: `verificationStatus` of Condition and AllergyIntolerance, `docStatus` of DocumentReference.",
        ),
        text(
            "category",
            "The codes of its category, joined by commas, or the text, such as `vital-signs`.",
        )
        .up_to(TEXT_BYTES_MAX),
        text("codings", "All codings of what it is about, where there are several: a JSON array.")
            .up_to(WHOLE_MESSAGE),
        text(
            "code_reference",
            "The reference to what it is about, where another resource says that, such as `Medication/7`. Of one in the same message `code` is taken from there.",
        ),
        text(
            "comparator",
            "`<`, `<=`, `>=` or `>`: the true value is only known to be so against `value`.",
        ),
        Column::optional("value_low", Kind::Double, "Lower end of a value that is a range."),
        Column::optional("value_high", Kind::Double, "Upper end of a value that is a range."),
        text("value_code_system", "System of `value_code`."),
        text("value_code", "The code of a value that is one: `value_text` is its text."),
        text(
            "interpretation",
            "The codes of its interpretation, joined by commas, or the text, such as `H`.",
        )
        .up_to(TEXT_BYTES_MAX),
        text(
            "reference_range",
            "Its reference ranges, each as `low..high unit` or as its text, joined by `; `.",
        )
        .up_to(TEXT_BYTES_MAX),
        text("method", "How it was found: code or text.").up_to(TEXT_BYTES_MAX),
        text("absent_reason", "Why there is no value: code or text.").up_to(TEXT_BYTES_MAX),
        text(
            "subject_reference",
            "The reference to whom or what it is about, as it came; of one by identifier `system|value`. `patient_id` is the id if that is a Patient.",
        ),
        text("device_reference", "The reference to the device that it is from, as it came."),
        text(
            "identifier",
            "Its first business identifier as `system|value`; of a definition its canonical URL.",
        ),
        Column::optional(
            "recorded_ts",
            Kind::Timestamp,
            "When it was written down (`issued`, `authoredOn`, `recordedDate`, …).",
        ),
        Column::optional(
            "last_updated",
            Kind::Timestamp,
            "When this version was made, by `meta.lastUpdated` or the Bundle.",
        ),
        text("full_url", "`fullUrl` of its entry in a Bundle."),
        text(
            "request_method",
            "What the entry of a Bundle asks for: `POST`, `PUT`, `PATCH`, `DELETE`, …",
        ),
        text("request_url", "The URL that it asks that for."),
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
