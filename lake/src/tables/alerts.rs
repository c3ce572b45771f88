//! The table `alerts`: one step of one alert's life a row.

use crate::table::{Column, IDENTITY, Kind, Parts, TEXT_BYTES_MAX, Table};

/// Its name.
pub const NAME: &str = "alerts";

/// The table.
#[must_use]
pub fn table() -> Table {
    let columns = [
        Column::required(
            "at_ts",
            Kind::Timestamp,
            "When it became so: of values by the time of the event, of silence by its source's time.",
        ),
        Column::required("found_ts", Kind::Timestamp, "When it was found out, by ingest's clock."),
        Column::required(
            "heard_ts",
            Kind::Timestamp,
            "How far the source's time had come when it was found out.",
        ),
        Column::required(
            "alert_id",
            Kind::Text,
            "Which alert: all steps from its beginning to its end have the same. A function of rule, device, metric and the row that it began with.",
        ),
        Column::required("rule", Kind::Text, "The rule's name."),
        Column::required("rule_version", Kind::Text, "A hash of what the rule said then."),
        Column::required("severity", Kind::Text, "`info`, `warning` or `critical`."),
        Column::required(
            "site",
            Kind::Text,
            "Where the device is; of a source, the site of the first device heard through it.",
        ),
        Column::optional(
            "device_id",
            Kind::Text,
            "The device's name within its site; null: the source as a whole.",
        ),
        Column::optional("metric", Kind::Text, "What was measured; null: about the whole device."),
        Column::required(
            "heard_through",
            Kind::Text,
            "The source that the device was heard through.",
        ),
        Column::required("state_before", Kind::Text, "The state before."),
        Column::required(
            "state",
            Kind::Text,
            "The state from here on: `pending`, `firing`, `acknowledged`, `silenced` or `resolved`.",
        ),
        Column::required(
            "reason",
            Kind::Text,
            "Why it moved: `condition`, `person`, `maintenance`, `time` or `rule_changed`.",
        ),
        Column::optional("measured", Kind::Text, "What was measured, for people.")
            .up_to(TEXT_BYTES_MAX),
        Column::optional("threshold", Kind::Text, "What the rule asks, for people.")
            .up_to(TEXT_BYTES_MAX),
        Column::optional("acted_by", Kind::Text, "Who acknowledged or silenced it."),
        Column::optional("until_ts", Kind::Timestamp, "Until when it is silenced."),
    ];
    let parts = Parts {
        sort: &["device_id", "at_ts"],
        stats: &["at_ts", "found_ts", "device_id"],
        time: "at_ts",
        bloom: &[],
    };
    let about = "One step of one alert's life a row, landed with the rows that caused it. Its identity is of ingest itself: `source_id` begins with `~watch`, `source_offset` counts the steps.";
    Table::new(NAME, about, columns.into_iter().chain(cause()).chain(IDENTITY), parts)
}

/// Which rows it was made of.
fn cause() -> [Column; 5] {
    [
        Column::required(
            "cause_source_id",
            Kind::Text,
            "The row of `readings` that caused the step (of silence the last that was heard): its `source_id`, …",
        ),
        Column::required("cause_epoch", Kind::Long, "… `epoch`, …"),
        Column::required("cause_offset", Kind::Long, "… `source_offset` …"),
        Column::required("cause_row_no", Kind::Int, "… and `row_no`."),
        Column::optional(
            "evidence",
            Kind::Text,
            "The first rows by which the condition was true, at most eight: a JSON list of `source_id/epoch/source_offset/row_no`.",
        )
        .up_to(TEXT_BYTES_MAX),
    ]
}
