//! The table `dead_letters`: one message that could not become rows, or not all of them, with its bytes and the reason.

use super::RECEIVED_TS;
use crate::table::{Column, IDENTITY, Kind, Parts, Table, WHOLE_MESSAGE};

/// Its name.
pub const NAME: &str = "dead_letters";

/// The table.
#[must_use]
pub fn table() -> Table {
    let columns = [
        RECEIVED_TS,
        Column::optional("site", Kind::Text, "Site, where the topic says it."),
        Column::optional("device_id", Kind::Text, "Device, where the topic says it."),
        Column::optional("topic", Kind::Text, "The message's topic.").up_to(WHOLE_MESSAGE),
        Column::optional("publisher", Kind::Text, "Who published it: identity or client id.")
            .up_to(WHOLE_MESSAGE),
        Column::required("payload", Kind::Binary, "The message, byte for byte.")
            .up_to(WHOLE_MESSAGE),
        Column::required("reason_code", Kind::Text, "Why, in a word (see \"Dead letters\")."),
        Column::required("reason", Kind::Text, "Why, for people; never a part of the payload.")
            .up_to(WHOLE_MESSAGE),
        Column::required(
            "stage",
            Kind::Text,
            "Where it was refused: `frame`, `access`, `topic`, `decode` or `table`.",
        ),
    ];
    let parts = Parts {
        sort: &["received_ts"],
        stats: &["received_ts", "device_id"],
        time: "received_ts",
        bloom: &[],
    };
    let about = "One message that could not become rows, or not all of them, with its bytes and the reason.";
    Table::new(NAME, about, columns.into_iter().chain(IDENTITY), parts)
}
