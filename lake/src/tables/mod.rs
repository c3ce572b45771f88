//! The tables that every lake has, and its views, one in each file.

pub mod alerts;
pub mod completeness;
pub mod dead_letters;
pub mod device_latest;
pub mod device_status;
pub mod ehr_current;
pub mod ehr_events;
pub mod ehr_retracted;
pub mod landings;
pub mod messages;
pub mod readings;
pub mod replays;
pub mod vitals_1m;

use crate::table::{Column, Kind};

/// When the source accepted the message.
pub(crate) const RECEIVED_TS: Column = Column::required(
    "received_ts",
    Kind::Timestamp,
    "When gateway or agent accepted the message (ingest's time if that can't be right: flag `received_absurd`).",
);
/// What the device's clock said.
pub(crate) const DEVICE_TS: Column = Column::optional(
    "device_ts",
    Kind::Timestamp,
    "What the device's clock said, as it is, also if it can't be right. NULL: nothing that could be read.",
);
/// What could not be read of it.
pub(crate) const TIME_TEXT: Column = Column::optional(
    "time_text",
    Kind::Text,
    "The device's time as it came, where it could not be read.",
);
/// When it happened.
pub(crate) const EVENT_TS: Column = Column::required(
    "event_ts",
    Kind::Timestamp,
    "When it happened: the device's time, or `received_ts` where that is missing or can't be right (a flag says which).",
);
pub(crate) const SITE: Column =
    Column::required("site", Kind::Text, "Where the device is: a place, a ward, a plant.");
pub(crate) const DEVICE_ID: Column =
    Column::required("device_id", Kind::Text, "The device's name within its site.");
pub(crate) const BOOT_ID: Column =
    Column::optional("boot_id", Kind::Long, "Counts the device's restarts.");
pub(crate) const SEQ: Column =
    Column::optional("seq", Kind::Long, "The device's own number of the message.");
pub(crate) const PROTOCOL: Column =
    Column::required("protocol", Kind::Text, "Which decoder made the row, and of what.");
