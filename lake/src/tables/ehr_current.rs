//! The view `ehr_current`: the latest version of each resource that is not retracted.

use super::ehr_events;
use crate::table::Table;

/// Its name.
pub const NAME: &str = "ehr_current";

/// The table: the columns of `ehr_events`.
#[must_use]
pub fn table() -> Table {
    let about = "View: the rows of `ehr_events` that are of the latest version of their resource; a resource that was deleted or entered in error has none.";
    Table { name: NAME.into(), about: about.into(), ..ehr_events::table() }
}
