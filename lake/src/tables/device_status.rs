//! The table `device_status`: one birth, death, heartbeat or battery report of one device a row.

use super::{BOOT_ID, DEVICE_ID, DEVICE_TS, EVENT_TS, PROTOCOL, RECEIVED_TS, SEQ, SITE, TIME_TEXT};
use crate::table::{Column, FLAGS, IDENTITY, Kind, Parts, TEXT_BYTES_MAX, Table, extra};

/// Its name.
pub const NAME: &str = "device_status";

/// The table.
#[must_use]
pub fn table() -> Table {
    let columns = [
        EVENT_TS,
        DEVICE_TS,
        RECEIVED_TS,
        SITE,
        DEVICE_ID,
        Column::required(
            "status",
            Kind::Text,
            "What the device said of itself, such as `online` or `offline`.",
        ),
        Column::optional("battery", Kind::Double, "Charge in percent."),
        Column::optional("firmware", Kind::Text, "Version of its software."),
        Column::optional("detail", Kind::Text, "More about it, as it came: JSON.")
            .up_to(TEXT_BYTES_MAX),
        FLAGS,
        extra(),
        BOOT_ID,
        SEQ,
        PROTOCOL,
        TIME_TEXT,
    ];
    let parts = Parts {
        sort: &["device_id", "event_ts"],
        stats: &["event_ts", "received_ts", "device_id"],
        time: "event_ts",
        bloom: &[],
    };
    let about = "One birth, death, heartbeat or battery report of one device a row.";
    Table::new(NAME, about, columns.into_iter().chain(IDENTITY), parts)
}
