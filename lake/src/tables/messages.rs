//! The table `messages`: messages as they came, of the rules that say `raw = true`.

use super::RECEIVED_TS;
use crate::table::{Column, IDENTITY, Kind, Parts, TEXT_BYTES_MAX, Table, WHOLE_MESSAGE};

/// Its name.
pub const NAME: &str = "messages";

/// The table.
#[must_use]
pub fn table() -> Table {
    let text = |name, about| Column::optional(name, Kind::Text, about);
    let columns = [
        RECEIVED_TS,
        text("site", "Site, where the topic says it."),
        text("device_id", "Device, where the topic says it."),
        Column::required("topic", Kind::Text, "The message's topic.").up_to(WHOLE_MESSAGE),
        text("publisher", "Who published it: identity or client id.").up_to(WHOLE_MESSAGE),
        Column::required("payload", Kind::Binary, "The message, byte for byte.")
            .up_to(WHOLE_MESSAGE),
        Column::required("qos", Kind::Int, "QoS with which it was published, 0 to 2."),
        Column::required("retain", Kind::Bool, "Whether it was to be retained."),
        text("content_type", "What the publisher says that the payload is (MQTT 5)."),
        text(
            "user_properties",
            "User properties of MQTT 5: a JSON array of pairs, in their order.",
        )
        .up_to(TEXT_BYTES_MAX),
    ];
    let parts = Parts {
        sort: &["topic", "received_ts"],
        stats: &["received_ts", "device_id"],
        time: "received_ts",
        bloom: &[],
    };
    let about = "One message as it came, of topics whose rule says `raw = true`.";
    Table::new(NAME, about, columns.into_iter().chain(IDENTITY), parts)
}
