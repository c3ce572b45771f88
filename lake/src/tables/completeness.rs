//! The view `completeness`: what is there of an hour, by site and source, and whether more is to come.

use crate::table::{Column, Kind, Parts, Table};

/// Its name.
pub const NAME: &str = "completeness";

/// The table. Rows with a site say what the hour has by `event_ts`; rows without one say what became of what the source accepted
/// in that hour, whatever its site. All numbers can be summed.
#[must_use]
pub fn table() -> Table {
    let count = |name, about| Column::optional(name, Kind::Long, about);
    let columns = [
        Column::required("hour_ts", Kind::Timestamp, "Begin of the hour, UTC."),
        Column::optional("site", Kind::Text, "The site. NULL: the source as a whole."),
        Column::required("source_id", Kind::Text, "Gateway or agent."),
        Column::required("epoch", Kind::Long, "Life of the source's spool."),
        Column::required(
            "sealed",
            Kind::Bool,
            "Every source that is known for the site has delivered all that it accepted until the end of the hour. Without a site: this source has.",
        ),
        count("landed", "With a site: rows of that hour by `event_ts`."),
        count("late", "Of those, rows that were accepted after the hour was over."),
        count(
            "expected",
            "Without a site: messages that the source accepted in the hour, from the first to the last of them: all that it accepted then once the row is sealed, until then what is known of them.",
        ),
        count("dead_lettered", "Of those, messages that became dead letters, wholly or partly."),
        count("gaps", "Offsets of the source that never come, landed in the hour."),
        count("first_offset", "Without a site: the first of those messages."),
        count("next_offset", "One beyond the last."),
        Column::optional(
            "passed_ts",
            Kind::Timestamp,
            "Without a site: all that the source accepted before this time is in the lake.",
        ),
    ];
    let parts = Parts {
        sort: &["hour_ts", "site", "source_id", "epoch"],
        stats: &["hour_ts"],
        time: "hour_ts",
        bloom: &[],
    };
    let about = "View: what is there of one hour of one site from one source a row, and whether more is to come. What is expected, refused or lost is known of a source, not \
        of a site: a source numbers its messages whatever their site, and which site one is of is known once it was decoded (`site` of `dead_letters` is what their topics say, \
        right or wrong). So a site's hour is complete when `sealed` says so, and not when counts are equal.";
    Table::new(NAME, about, columns, parts)
}
