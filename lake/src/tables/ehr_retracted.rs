//! The view `ehr_retracted`: the resources whose latest version says that they were deleted or entered in error.

use super::ehr_events;
use crate::table::Table;

/// Its name.
pub const NAME: &str = "ehr_retracted";

/// The table: the columns of `ehr_events`.
#[must_use]
pub fn table() -> Table {
    let about = "View: the rows of `ehr_events` that say last of a resource that it was deleted or entered in error.";
    Table { name: NAME.into(), about: about.into(), ..ehr_events::table() }
}
