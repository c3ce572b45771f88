//! The table `readings`: one scalar measurement a row.

use super::{BOOT_ID, DEVICE_ID, DEVICE_TS, EVENT_TS, PROTOCOL, RECEIVED_TS, SEQ, SITE, TIME_TEXT};
use crate::table::{Column, FLAGS, IDENTITY, Kind, Parts, TEXT_BYTES_MAX, Table, extra};

/// Its name.
pub const NAME: &str = "readings";

/// The table.
#[must_use]
pub fn table() -> Table {
    let text = |name, about| Column::optional(name, Kind::Text, about);
    let columns = [
        EVENT_TS,
        DEVICE_TS,
        RECEIVED_TS,
        SITE,
        DEVICE_ID,
        Column::required(
            "metric",
            Kind::Text,
            "What was measured, by the catalogue's name where there is one.",
        ),
        Column::optional(
            "value",
            Kind::Double,
            "The number. NULL: text, or no value (`quality` is `bad`).",
        ),
        text("value_text", "The text, where the value is one.").up_to(TEXT_BYTES_MAX),
        text("unit", "Unit of `value`: UCUM where the device or the catalogue says so."),
        Column::required(
            "quality",
            Kind::Text,
            "`good` (understood, in the catalogue's unit, inside its range), `unchecked` (nothing is known to check it by), `suspect` or `bad` (no usable value): `flags` say why.",
        ),
        FLAGS,
        extra(),
        text("patient_id", "Who it was measured on, as the message says."),
        text("encounter_id", "The stay during which it was measured, as the message says."),
        text("ward", "As the message says."),
        text("bed", "As the message says."),
        BOOT_ID,
        SEQ,
        PROTOCOL,
    ];
    let parts = Parts {
        sort: &["device_id", "metric", "event_ts"],
        stats: &["event_ts", "received_ts", "device_id"],
        time: "event_ts",
        bloom: &["patient_id"],
    };
    Table::new(
        NAME,
        "One scalar measurement a row.",
        columns.into_iter().chain(rarely()).chain(IDENTITY),
        parts,
    )
}

/// What few rows have.
fn rarely() -> [Column; 13] {
    let text = |name, about| Column::optional(name, Kind::Text, about);
    [
        Column::optional(
            "value_original",
            Kind::Double,
            "The number as it came, where `value` or `unit` is not as it came.",
        ),
        text("unit_original", "The unit as it came, where `value` or `unit` is not as it came."),
        text(
            "comparator",
            "`<`, `<=`, `>=` or `>`: the true value is only known to be so against `value`.",
        ),
        text(
            "time_source",
            "Whose time `event_ts` is: `device`, `corrected` (the device's, by what its clock is wrong) or `received`.",
        ),
        TIME_TEXT,
        text("status", "The Observation's status, such as `final` or `entered-in-error`."),
        text(
            "interpretation",
            "The Observation's interpretation: the codes, joined by commas, or the text.",
        ),
        text(
            "reference_range",
            "The Observation's reference range: as its text, or as `low..high unit`.",
        ),
        text("method", "How it was measured, as the Observation says: code or text."),
        text("absent_reason", "Why there is no value, as the Observation says: code or text."),
        text("resource_id", "The resource that it is from: joins `ehr_events`, with `version_id`."),
        text("version_id", "The version of that resource."),
        text(
            "codings",
            "All codings of what was measured, where there are several: a JSON array, as it came.",
        )
        .up_to(TEXT_BYTES_MAX),
    ]
}
