//! The table `replays`: one dead letter, or kept message, that was decoded again and landed.

use crate::table::{Column, IDENTITY, Kind, Parts, Table};

/// Its name.
pub const NAME: &str = "replays";

/// The table.
#[must_use]
pub fn table() -> Table {
    let columns = [
        Column::required("replayed_ts", Kind::Timestamp, "When."),
        Column::required(
            "origin",
            Kind::Text,
            "The table that it was read from: `dead_letters` or `messages`.",
        ),
        Column::optional("reason_code", Kind::Text, "Why it had been a dead letter."),
        Column::required("topic", Kind::Text, "Its topic.").up_to(crate::table::WHOLE_MESSAGE),
    ];
    let parts =
        Parts { sort: &["replayed_ts"], stats: &["replayed_ts"], time: "replayed_ts", bloom: &[] };
    let about = "One dead letter, or kept message, that was decoded again and whose rows were landed: with it the dead letter is dealt with.";
    Table::new(NAME, about, columns.into_iter().chain(IDENTITY), parts)
}
