//! The view `device_latest`: the last value of each metric of each device, and when it was last heard of.

use super::{DEVICE_ID, SITE};
use crate::table::{Column, IDENTITY, Kind, Parts, TEXT_BYTES_MAX, Table};

/// Its name.
pub const NAME: &str = "device_latest";

/// The table. Of `readings` and `device_status`; the last by `event_ts`, so that a backlog never hides what is newer.
#[must_use]
pub fn table() -> Table {
    let text = |name, about| Column::optional(name, Kind::Text, about);
    let columns = [
        Column::required(
            "last_seen_ts",
            Kind::Timestamp,
            "When the last message of the device, of whatever kind, was accepted.",
        ),
        Column::optional(
            "silent_since_ts",
            Kind::Timestamp,
            "`last_seen_ts`, if devices that were last heard through the same source have been heard for longer since: longer than five minutes, and than three times `interval_ms`. NULL: it is not silent as far as the lake knows, or has not spoken twice.",
        ),
        text("heard_through", "The source that its last message came through."),
        Column::optional(
            "interval_ms",
            Kind::Long,
            "Milliseconds from one value to the next, on average over all the time, of the metric that it says most often. NULL: there is none that it has said twice.",
        ),
        SITE,
        DEVICE_ID,
        text(
            "metric",
            "As in `readings`. NULL: a device that has said what it is, and no reading.",
        ),
        Column::optional("event_ts", Kind::Timestamp, "When the last value was measured."),
        Column::optional("received_ts", Kind::Timestamp, "When it was accepted."),
        Column::optional("value", Kind::Double, "The last value, if it is a number."),
        text("value_text", "The last value, if it is a text.").up_to(TEXT_BYTES_MAX),
        text("unit", "Unit of `value`."),
        text("quality", "Its quality."),
        text("status", "What the device last said of itself, by `event_ts`."),
        Column::optional("status_ts", Kind::Timestamp, "When it said that, by `event_ts`."),
        Column::optional("status_received_ts", Kind::Timestamp, "When that was accepted."),
        Column::optional("n", Kind::Long, "Values of this metric, ever."),
        Column::optional("n_good", Kind::Long, "Of those, `good` ones."),
        Column::optional("first_event_ts", Kind::Timestamp, "When the first of them was measured."),
    ];
    // The reading's identity: which row it is.
    let identity = IDENTITY.map(|column| Column { nullable: true, ..column });
    let parts = Parts {
        sort: &["site", "device_id", "metric"],
        stats: &["last_seen_ts", "device_id"],
        time: "last_seen_ts",
        bloom: &[],
    };
    let about = "View: the last value of one metric of one device a row. Silence goes by the time of the source that a device was last heard through, and not by a \
        clock: it is the same whenever the view is made, and who is cut off from the lake makes none of its devices silent (how far a source is says `passed_ts` of \
        `completeness`).";
    Table::new(NAME, about, columns.into_iter().chain(identity), parts)
}
