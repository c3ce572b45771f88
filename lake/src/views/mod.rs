//! Views: tables that are made of the others, which can be thrown away and made again with the same result.
//!
//! A view follows its tables: it reads what became part of them since it was last brought up to date, and puts the rows that this
//! touches in the place of what it had, by one commit that says up to which version of each table, and of the ledger, it is true
//! (`txn view/{table}`). Any number of processes may do that at once: one of them commits, the others find the `txn` moved and give
//! way. Where a log does not go back far enough, rows were taken out of a table, or files that a view has not read yet were rewritten and
//! vacuumed by another program, it is made anew.

mod base;
mod completeness;
mod device_latest;
mod devices;
mod ehr;
mod follow;
mod hours;
mod latest;
mod minutes;
mod put;
mod rows;
mod sealed;
mod split;
mod vitals;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use serde::Serialize;
use tracing::warn;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::table::Table;
use crate::tables::{
    completeness as completeness_table, device_latest as device_latest_table, ehr_current,
    ehr_retracted, vitals_1m,
};
use follow::Followed;

pub use sealed::{Asked, HourOfSite};

/// What was done to one view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Viewed {
    /// Its name.
    pub view: String,
    /// Whether it was made anew.
    pub anew: bool,
    /// Rows of its tables that were read.
    pub rows_read: u64,
    /// Rows that were written.
    pub rows_written: u64,
    /// The version of the ledger up to which it is true; `None`: nothing has landed yet, or something is decided and not applied.
    pub ledger_version: Option<u64>,
}

impl Viewed {
    /// Whether there was nothing to do.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.anew && self.rows_read + self.rows_written == 0
    }
}

/// Brings one view up to date.
///
/// # Errors
/// As reading its tables and committing do; the view is as it was.
pub(crate) async fn run(lake: &Lake, view: &Arc<Table>, now_us: i64) -> Result<Viewed, LakeError> {
    let catalog = lake.catalog();
    let named =
        |names: &[&str]| names.iter().filter_map(|name| catalog.get(name)).cloned().collect();
    let tables: Vec<Arc<Table>> = match view.name.as_ref() {
        completeness_table::NAME => catalog.tables().cloned().collect(),
        vitals_1m::NAME => named(&["readings"]),
        device_latest_table::NAME => named(&["readings", "device_status"]),
        _ => named(&["ehr_events"]),
    };
    let of_ehr = [ehr_current::NAME, ehr_retracted::NAME].contains(&view.name.as_ref());
    let beside = of_ehr.then(|| catalog.find(ehr::other(&view.name))).flatten();
    let mut followed = Followed::load(lake, view, tables, beside, now_us).await?;
    if let Err(error) = update(lake, &mut followed).await {
        if followed.anew || !error.is_gone() || !followed.reads_superseded() {
            return Err(error);
        }
        // What was new was rewritten since, and then taken by somebody's VACUUM: its rows are in other files.
        warn!(view = %view.name, %error, "made anew: what it had not seen yet was rewritten and is gone");
        followed.begin_anew();
        update(lake, &mut followed).await?;
    }
    followed.commit().await
}

async fn update(lake: &Lake, followed: &mut Followed) -> Result<(), LakeError> {
    match followed.view.name.as_ref() {
        completeness_table::NAME => completeness::update(lake, followed).await,
        vitals_1m::NAME => vitals::update(followed).await,
        device_latest_table::NAME => device_latest::update(followed).await,
        ehr_retracted::NAME | ehr_current::NAME => ehr::update(lake, followed).await,
        other => {
            let name = other.to_owned();
            Err(LakeError::Unknown { what: "a view", name })
        }
    }
}

/// What passes are told apart by: the same throughout a run.
fn hash(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
