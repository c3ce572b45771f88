//! The view `vitals_1m`: what a device measured in a minute, by metric.

use super::{DEVICE_ID, SITE};
use crate::table::{Column, Kind, Parts, Table};

/// Its name.
pub const NAME: &str = "vitals_1m";

/// The table. Numbers of `readings` that are not `bad`, by device, metric, unit and minute of `event_ts`.
#[must_use]
pub fn table() -> Table {
    let number = |name, about| Column::required(name, Kind::Double, about);
    let columns = [
        Column::required("minute_ts", Kind::Timestamp, "Begin of the minute, by `event_ts`."),
        SITE,
        DEVICE_ID,
        Column::required("metric", Kind::Text, "As in `readings`."),
        Column::optional(
            "unit",
            Kind::Text,
            "As in `readings`: values of another unit are a row of their own.",
        ),
        Column::required("n", Kind::Long, "Values that are not `bad`."),
        Column::required("n_good", Kind::Long, "Of those, `good` ones."),
        number("min_value", "The smallest."),
        number("max_value", "The largest."),
        number("mean_value", "Their mean."),
        number(
            "median_value",
            "Their median; of an even number the mean of the two in the middle.",
        ),
        number("first_value", "The first by `event_ts`."),
        number("last_value", "The last by `event_ts`."),
        Column::required("first_ts", Kind::Timestamp, "`event_ts` of the first."),
        Column::required("last_ts", Kind::Timestamp, "`event_ts` of the last."),
    ];
    let parts = Parts {
        sort: &["device_id", "metric", "minute_ts", "site", "unit"],
        stats: &["minute_ts", "device_id"],
        time: "minute_ts",
        bloom: &[],
    };
    Table::new(
        NAME,
        "View: what one device measured in one minute, a row for each metric.",
        columns,
        parts,
    )
}
