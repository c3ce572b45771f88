//! The ledger, the table `landings`: which offsets of which source are in the lake, and by which landing.

use crate::table::{Column, Kind, Parts, Table, WHOLE_MESSAGE};

/// Its name.
pub const NAME: &str = "landings";

/// The table. One row per landing, source and table; a source that added no row to any table (its offsets were all gaps) has
/// one row without a table. Counts can be summed: those of a source (messages, gaps) are in its first row only, 0 in its others.
#[must_use]
pub fn table() -> Table {
    let required = Column::required;
    let optional = Column::optional;
    let columns = [
        required("landed_at", Kind::Timestamp, "When the landing was decided."),
        required("landing_id", Kind::Text, "The landing; also in the names of its files."),
        required("worker", Kind::Text, "The ingest worker that landed it."),
        required("lane", Kind::Int, "The source's lane."),
        required("lane_counter", Kind::Long, "Number of the landing in its lane, from 1."),
        required("source_id", Kind::Text, "The source."),
        required("epoch", Kind::Long, "Life of the source's spool."),
        required("from_offset", Kind::Long, "First offset of the source that it covers."),
        required("to_offset", Kind::Long, "One beyond the last."),
        required("chain_after", Kind::Text, "Chained checksum there, 16 hex digits."),
        required(
            "message_count",
            Kind::Long,
            "Messages of the source, in its first row; 0 in its others.",
        ),
        optional("table_name", Kind::Text, "The table that got rows; NULL: none did."),
        required("row_count", Kind::Long, "Rows that the source added to that table."),
        required(
            "dead_letter_count",
            Kind::Long,
            "The same if the table is `dead_letters`, else 0.",
        ),
        required(
            "gap_count",
            Kind::Long,
            "Offsets that will never come, in the source's first row; 0 in its others.",
        ),
        optional("gaps", Kind::Text, "Those offsets with their reasons: JSON.")
            .up_to(WHOLE_MESSAGE),
        optional("event_ts_min", Kind::Timestamp, "Earliest time of the added rows."),
        optional("event_ts_max", Kind::Timestamp, "Latest time of the added rows."),
        required("file_count", Kind::Int, "Files that the landing added to that table."),
        required("file_bytes", Kind::Long, "Their bytes."),
        required("plan_path", Kind::Text, "The landing's plan, below the lake."),
        optional(
            "appended",
            Kind::Long,
            "Messages that the source had accepted when it sent these.",
        ),
        optional(
            "received_to",
            Kind::Timestamp,
            "When the source accepted the last of these messages, by its clock.",
        ),
    ];
    let parts = Parts {
        sort: &[],
        stats: &["landed_at", "lane", "lane_counter"],
        time: "landed_at",
        bloom: &[],
    };
    let about = "The ledger: which offsets of which source are in the lake, by which landing; one row per landing, source and table.";
    Table::new(NAME, about, columns, parts)
}
