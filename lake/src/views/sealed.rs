//! Whether an hour of a site is complete, as the view `completeness` and the sources say.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use serde::Serialize;

use super::hours::{HOUR_US, KNOWN_US};
use super::rows::{Columns, at, text_at};
use crate::date::date_of;
use crate::delta::{self, TableLog};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::reader;
use crate::tables::completeness;

/// Sites that are named to who asks for one that is not known, at most.
const SITES_MAX: usize = 20;
const COLUMNS: [&str; 7] =
    ["hour_ts", "site", "source_id", "sealed", "landed", "late", "passed_ts"];

/// What is known of one hour of one site.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HourOfSite {
    /// Every source that is known for the site has delivered all that it accepted until the end of the hour.
    pub sealed: bool,
    /// Rows of it.
    pub landed: i64,
    /// Of those, rows that were accepted after it was over.
    pub late: i64,
    /// Source → all that it accepted before is in the lake, Unix microseconds; `None`: nobody knows. Of the sources that are waited for.
    pub waiting: BTreeMap<String, Option<i64>>,
}

/// The answer to a question for an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// What is known of it.
    Hour(HourOfSite),
    /// Nothing was ever made of what landed: nobody maintains the lake.
    NoView,
    /// No source has brought anything of that site in the week before; some that there are.
    NoSite(Vec<String>),
}

impl Lake {
    /// What is known of the hour of `site` that begins at `hour_us`, Unix microseconds, as of when `completeness` was last brought up to
    /// date.
    ///
    /// # Errors
    /// As [`Lake::scan`].
    pub async fn hour_of_site(&self, site: &str, hour_us: i64) -> Result<Asked, LakeError> {
        let view = self.catalog().find(completeness::NAME);
        let unknown = || LakeError::Unknown { what: "a view", name: completeness::NAME.to_owned() };
        let view = view.ok_or_else(unknown)?;
        if TableLog::load(self.store(), view).await?.is_none() {
            return Ok(Asked::NoView);
        }
        let first = date_of(hour_us - KNOWN_US);
        let (mut files, _) = delta::files(self.store(), view).await?;
        files.retain(|file| file.date.is_some_and(|date| date >= first));
        let mut rows = reader::scan(self.store(), view, files, &COLUMNS)?;
        let mut passed: BTreeMap<String, i64> = self.heard().await?.into_iter().collect();
        let (mut found, mut any) = (HourOfSite::default(), false);
        let (mut sources, mut sites) = (BTreeSet::new(), BTreeSet::new());
        while let Some(batch) = rows.try_next().await? {
            let columns = Columns::of(completeness::NAME, &batch);
            let (hour, of_site) = (columns.time("hour_ts")?, columns.text("site")?);
            let (source, sealed) = (columns.text("source_id")?, columns.bool("sealed")?);
            let (landed, late) = (columns.long("landed")?, columns.long("late")?);
            let passed_ts = columns.time("passed_ts")?;
            for row in 0..batch.num_rows() {
                if let Some(at) = at(passed_ts, row) {
                    let known = passed.entry(source.value(row).to_owned()).or_insert(at);
                    *known = at.max(*known);
                }
                let Some(name) = text_at(of_site, row) else { continue };
                if name != site {
                    sites.insert(name.to_owned());
                    continue;
                }
                any = true;
                let (hour, landed) = (hour.value(row), landed.value(row));
                if landed > 0 && (hour_us - KNOWN_US..=hour_us).contains(&hour) {
                    sources.insert(source.value(row).to_owned());
                }
                if hour == hour_us {
                    found.landed += landed;
                    found.late += late.value(row);
                    found.sealed = sealed.value(row);
                }
            }
        }
        if !any {
            return Ok(Asked::NoSite(sites.into_iter().take(SITES_MAX).collect()));
        }
        if !found.sealed {
            let waited = sources.into_iter().map(|source| {
                let at = passed.get(&source).copied();
                (source, at)
            });
            let end = hour_us + HOUR_US + super::hours::SLACK_US;
            found.waiting = waited.filter(|(_, at)| at.is_none_or(|at| at < end)).collect();
        }
        Ok(Asked::Hour(found))
    }
}
