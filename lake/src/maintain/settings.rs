//! What upkeep is to do: the `[maintain]` section, and what a run is told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::logs::CHECKPOINT_COMMITS;
use crate::catalog::Catalog;
use crate::date::date_of;
use crate::table::Table;
use crate::tables::{completeness, device_latest, ehr_current, ehr_retracted, landings, vitals_1m};

/// Days that superseded files stay at least, for readers of older versions and for whoever sleeps.
pub const KEEP_DAYS: u32 = 7;
const DAY_US: i64 = 24 * 3600 * 1_000_000;
/// The views that there are. With `ehr_current` comes `ehr_retracted`.
const VIEWS: [&str; 4] =
    [completeness::NAME, vitals_1m::NAME, device_latest::NAME, ehr_current::NAME];
/// What stands for all tables.
const ALL: &str = "*";

/// How ingest looks after its lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MaintainConfig {
    /// Seconds between two looks at all tables; 0: never, somebody else runs `tidemark maintain`.
    pub every_seconds: u64,
    /// How much of one processor merging files may take, in percent.
    pub cpu_percent: u32,
    /// A date that is over is merged once no row came for it for so many minutes.
    pub quiet_minutes: u32,
    /// Days that files stay which are no part of a table any more; 7 or more.
    pub keep_days: u32,
    /// Hours between two sweeps of such files.
    pub sweep_hours: u32,
    /// Table → days after which its rows go; before what the table itself says. 0: never.
    pub retention_days: BTreeMap<String, u32>,
    /// Table → days after which its rows move into its archive. 0: never.
    pub archive_days: BTreeMap<String, u32>,
    /// Tables that nothing is removed from, whatever their retention; "*": all.
    pub legal_hold: Vec<String>,
    /// The views that are kept up to date.
    pub views: Vec<String>,
}

impl Default for MaintainConfig {
    fn default() -> Self {
        Self {
            every_seconds: 60,
            cpu_percent: 50,
            quiet_minutes: 60,
            keep_days: KEEP_DAYS,
            sweep_hours: 6,
            retention_days: BTreeMap::new(),
            archive_days: BTreeMap::new(),
            legal_hold: Vec::new(),
            views: VIEWS.map(str::to_owned).into(),
        }
    }
}

/// Why a setting can't be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A number out of its range.
    #[error("[maintain] {key} must be {range}")]
    Range {
        /// Which.
        key: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// No such table.
    #[error("[maintain] {key}: `{table}` is not a table of this lake")]
    Unknown {
        /// Where it is named.
        key: &'static str,
        /// The name.
        table: String,
    },
    /// No such view.
    #[error("[maintain] views: `{view}` is not a view: {}", VIEWS.join(", "))]
    View {
        /// The name.
        view: String,
    },
    /// A table whose rows stay where they are.
    #[error("[maintain] archive_days: `{table}` has no archive: use retention_days for it")]
    Unarchived {
        /// Its name.
        table: String,
    },
    /// What would never be done.
    #[error(
        "[maintain] archive_days: rows of `{table}` go after {retention} days and cannot move after {days}: archive_days must be less"
    )]
    Never {
        /// Its name.
        table: String,
        /// Days until they move.
        days: u32,
        /// Days until they go.
        retention: u32,
    },
    /// What would make the books wrong.
    #[error(
        "[maintain] retention_days: `{table}` is the ledger: what it says of landed rows is needed as long as the lake"
    )]
    Ledger {
        /// Its name.
        table: String,
    },
}

impl MaintainConfig {
    /// Checks the settings against the tables of a lake.
    ///
    /// # Errors
    /// The first that can't be.
    pub fn check(&self, catalog: &Catalog) -> Result<(), SettingsError> {
        let range = |key, range| Err(SettingsError::Range { key, range });
        if !(1..=100).contains(&self.cpu_percent) {
            return range("cpu_percent", "1 to 100");
        }
        if self.keep_days < KEEP_DAYS {
            return range("keep_days", "7 or more: readers and sleeping workers still need them");
        }
        if self.sweep_hours == 0 {
            return range("sweep_hours", "1 or more");
        }
        let unknown = |key, table: &String| {
            let known = catalog.get(table).is_some();
            (!known).then(|| SettingsError::Unknown { key, table: table.clone() })
        };
        let archived = self.archive_days.keys();
        let retained = self.retention_days.keys();
        let held = self.legal_hold.iter().filter(|table| *table != ALL);
        let mistake = retained
            .map(|table| ("retention_days", table))
            .chain(archived.map(|table| ("archive_days", table)))
            .chain(held.map(|table| ("legal_hold", table)))
            .find_map(|(key, table)| unknown(key, table));
        if let Some(mistake) = mistake {
            return Err(mistake);
        }
        if let Some(view) = self.views.iter().find(|view| !VIEWS.contains(&view.as_str())) {
            return Err(SettingsError::View { view: view.clone() });
        }
        if self.retention_days.contains_key(landings::NAME) {
            return Err(SettingsError::Ledger { table: landings::NAME.to_owned() });
        }
        self.archive_days
            .iter()
            .try_for_each(|(table, days)| self.check_archive(catalog, table, *days))
    }

    fn check_archive(
        &self,
        catalog: &Catalog,
        table: &str,
        days: u32,
    ) -> Result<(), SettingsError> {
        let of = || table.to_owned();
        if days == 0 {
            return Ok(());
        }
        if catalog.archive(table).is_none() {
            return Err(SettingsError::Unarchived { table: of() });
        }
        let own = || catalog.get(table).and_then(|table| table.retention_days);
        match self.retention_days.get(table).copied().or_else(own) {
            Some(retention) if (1..=days).contains(&retention) => {
                Err(SettingsError::Never { table: of(), days, retention })
            }
            _ => Ok(()),
        }
    }
}

/// What one run is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Commits after which a table gets a new checkpoint.
    pub commits: u64,
    /// A date that is over is merged once nothing came for it for so long, microseconds.
    pub quiet_us: i64,
    /// Files that are no part of a table stay so long, microseconds.
    pub keep_us: i64,
    /// Whether to sweep.
    pub sweep: bool,
    /// Table → days.
    pub retention_days: BTreeMap<String, u32>,
    /// Table → days after which its rows move into its archive.
    pub archive_days: BTreeMap<String, u32>,
    /// Tables that nothing is removed from.
    pub legal_hold: Vec<String>,
    /// The views that are brought up to date.
    pub views: Vec<String>,
    /// Only says what it would do.
    pub dry_run: bool,
}

impl Default for Settings {
    /// All that is due, now.
    fn default() -> Self {
        Self {
            commits: CHECKPOINT_COMMITS,
            quiet_us: 0,
            keep_us: i64::from(KEEP_DAYS) * DAY_US,
            sweep: true,
            retention_days: BTreeMap::new(),
            archive_days: BTreeMap::new(),
            legal_hold: Vec::new(),
            views: VIEWS.map(str::to_owned).into(),
            dry_run: false,
        }
    }
}

impl From<&MaintainConfig> for Settings {
    fn from(config: &MaintainConfig) -> Self {
        Self {
            quiet_us: i64::from(config.quiet_minutes) * 60_000_000,
            keep_us: i64::from(config.keep_days) * DAY_US,
            retention_days: config.retention_days.clone(),
            archive_days: config.archive_days.clone(),
            legal_hold: config.legal_hold.clone(),
            views: config.views.clone(),
            ..Self::default()
        }
    }
}

impl Settings {
    /// Whether a view is brought up to date.
    #[must_use]
    pub fn has_view(&self, view: &str) -> bool {
        let named = if view == ehr_retracted::NAME { ehr_current::NAME } else { view };
        self.views.iter().any(|wanted| wanted == named)
    }

    /// Whether nothing may be removed from that table. An archive is held as its table is.
    pub(crate) fn on_hold(&self, table: &Table) -> bool {
        let name = table.archive_of().unwrap_or(&table.name);
        self.legal_hold.iter().any(|held| held == name || held == ALL)
    }

    /// The first date of a table that does not move into its archive; `None`: none does.
    pub(crate) fn first_unarchived(&self, table: &Table, now_us: i64) -> Option<i32> {
        let days = *self.archive_days.get(table.name.as_ref()).filter(|days| **days > 0)?;
        (!self.on_hold(table)).then(|| date_of(now_us).saturating_sub_unsigned(days))
    }

    /// The first date of a table that stays; `None`: all stay.
    pub(crate) fn first_date(&self, table: &Table, now_us: i64) -> Option<i32> {
        if table.name == landings::NAME || self.on_hold(table) {
            return None;
        }
        let name = table.archive_of().unwrap_or(&table.name);
        let days = self.retention_days.get(name).copied();
        let days = days.or(table.retention_days).filter(|days| *days > 0)?;
        Some(date_of(now_us).saturating_sub_unsigned(days))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::{messages, readings};

    fn refused(change: impl Fn(&mut MaintainConfig)) -> String {
        let mut config = MaintainConfig::default();
        change(&mut config);
        config.check(&Catalog::builtin()).unwrap_err().to_string()
    }

    #[test]
    fn inv12_what_could_do_nothing_or_harm_is_refused() {
        MaintainConfig::default().check(&Catalog::builtin()).unwrap();
        assert!(refused(|config| config.keep_days = 6).contains("keep_days must be 7 or more"));
        assert!(refused(|config| config.cpu_percent = 0).contains("cpu_percent"));
        let name = |config: &mut MaintainConfig, table: &str| {
            config.retention_days.insert(table.into(), 3);
        };
        let unknown = refused(|config| name(config, "reading"));
        assert!(unknown.contains("`reading` is not a table"), "{unknown}");
        assert!(refused(|config| name(config, "landings")).contains("ledger"));
        assert!(refused(|config| config.legal_hold.push("all".into())).contains("`all`"));
        let view = refused(|config| config.views.push("vitals".into()));
        assert!(view.contains("`vitals` is not a view: completeness, vitals_1m"), "{view}");
    }

    #[test]
    fn what_can_never_move_into_an_archive_is_refused() {
        let moved = |table: &str, days, retention: Option<u32>| {
            let mut config = MaintainConfig::default();
            config.archive_days.insert(table.into(), days);
            config.retention_days.extend(retention.map(|days| (table.to_owned(), days)));
            config.check(&Catalog::builtin()).map_err(|error| error.to_string())
        };
        for table in ["landings", "messages", "dead_letters"] {
            let error = moved(table, 3, None).unwrap_err();
            assert!(error.contains(&format!("`{table}` has no archive")), "{error}");
        }
        assert!(moved("reading", 3, None).unwrap_err().contains("`reading` is not a table"));
        let late = moved("readings", 30, Some(30)).unwrap_err();
        assert!(late.contains("go after 30 days and cannot move after 30"), "{late}");
        for (days, retention) in [(30, Some(31)), (30, Some(0)), (30, None), (0, Some(3))] {
            moved("readings", days, retention).unwrap();
        }
    }

    #[test]
    fn an_archive_is_held_and_retired_as_its_table_is() {
        let (now, day) = (20_000 * DAY_US + 5, 20_000);
        let (table, archive) = (readings::table(), readings::table().archive());
        let mut settings = Settings::default();
        settings.archive_days.insert("readings".into(), 30);
        settings.retention_days.insert("readings".into(), 300);
        assert_eq!(settings.first_unarchived(&table, now), Some(day - 30));
        assert_eq!(settings.first_unarchived(&archive, now), None);
        assert_eq!(settings.first_date(&archive, now), Some(day - 300));
        settings.legal_hold = vec!["readings".into()];
        assert_eq!(settings.first_unarchived(&table, now), None);
        assert_eq!(settings.first_date(&archive, now), None);
    }

    #[test]
    fn a_legal_hold_and_a_zero_stop_retention_and_the_setting_is_before_the_table() {
        let mut table = messages::table();
        let (now, day) = (20_000 * DAY_US + 5, 20_000);
        let mut settings = Settings::default();
        assert_eq!(settings.first_date(&table, now), None);
        table.retention_days = Some(10);
        assert_eq!(settings.first_date(&table, now), Some(day - 10));
        settings.retention_days.insert("messages".into(), 3);
        assert_eq!(settings.first_date(&table, now), Some(day - 3));
        settings.legal_hold = vec![ALL.into()];
        assert_eq!(settings.first_date(&table, now), None);
        settings.legal_hold.clear();
        settings.retention_days.insert("messages".into(), 0);
        assert_eq!(settings.first_date(&table, now), None);
    }
}
