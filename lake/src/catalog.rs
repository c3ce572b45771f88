//! All tables of a lake: those that every lake has, and those that a configuration declared.

use std::sync::Arc;

use crate::table::{IDENTITY, Kind, PARTITION, Table};
use crate::tables::{
    alerts, completeness, dead_letters, device_latest, device_status, ehr_current, ehr_events,
    ehr_retracted, landings, messages, readings, replays, vitals_1m,
};

/// See the module. Cheap to clone. The ledger is the last table: a lake whose ledger exists is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    tables: Arc<[Arc<Table>]>,
    views: Arc<[Arc<Table>]>,
    archives: Arc<[Arc<Table>]>,
}

/// Tables whose rows are looked for by what they keep of messages, and go by retention: they have no archive.
const UNARCHIVED: [&str; 4] = [alerts::NAME, dead_letters::NAME, messages::NAME, replays::NAME];

fn archives(tables: &[Arc<Table>]) -> Arc<[Arc<Table>]> {
    let (_, of_rows) = tables.split_last().expect("there is a ledger");
    let old = of_rows.iter().filter(|table| !UNARCHIVED.contains(&table.name.as_ref()));
    old.map(|table| Arc::new(table.archive())).collect()
}

/// Tables of a lake at most.
pub const TABLES_MAX: usize = 256;
/// Columns of a table at most.
pub const COLUMNS_MAX: usize = 1000;
/// Bytes of a table's or a column's name at most.
pub const NAME_LENGTH_MAX: usize = 63;

/// Why a table can't be one of a lake's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// A name that some engine would not take.
    #[error(
        "table `{table}`: `{name}` is not a name for {what}: it needs 1 to {NAME_LENGTH_MAX} of `a-z 0-9 _`, a letter first"
    )]
    Name {
        /// The table.
        table: String,
        /// "a table", "a column".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A word of SQL.
    #[error(
        "table `{table}`: `{name}` is a word of SQL: every query would have to quote it, so choose another name for {what}"
    )]
    Keyword {
        /// The table.
        table: String,
        /// "the table", "the column".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A name that is taken.
    #[error(
        "table `{table}`: {what} `{name}` is there already, or is Tidemark's own: choose another name"
    )]
    Taken {
        /// The table.
        table: String,
        /// "the table", "the column".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// It names a column that it does not have.
    #[error("table `{table}`: `{name}` is not one of its columns, but is named in `{part}`")]
    Column {
        /// The table.
        table: String,
        /// `sort`, `stats`, `time`, `bloom`.
        part: &'static str,
        /// The name.
        name: String,
    },
    /// Not what every table of rows has.
    #[error("table `{table}`: column `{name}` must be {wanted}")]
    Shape {
        /// The table.
        table: String,
        /// The column.
        name: String,
        /// What it must be.
        wanted: String,
    },
    /// Too many.
    #[error("table `{table}`: more than {max} {what}")]
    TooMany {
        /// The table.
        table: String,
        /// "tables", "columns".
        what: &'static str,
        /// The limit.
        max: usize,
    },
}

impl Default for Catalog {
    fn default() -> Self {
        Self::builtin()
    }
}

impl Catalog {
    /// The tables that every lake has.
    #[must_use]
    pub fn builtin() -> Self {
        let tables = [
            readings::table(),
            ehr_events::table(),
            device_status::table(),
            alerts::table(),
            dead_letters::table(),
            messages::table(),
            replays::table(),
            landings::table(),
        ];
        let views = [
            completeness::table(),
            vitals_1m::table(),
            device_latest::table(),
            ehr_retracted::table(),
            ehr_current::table(),
        ];
        let tables: Arc<[Arc<Table>]> = tables.into_iter().map(Arc::new).collect();
        Self {
            archives: archives(&tables),
            views: views.into_iter().map(Arc::new).collect(),
            tables,
        }
    }

    /// The same with one more table.
    ///
    /// # Errors
    /// What keeps it from being one.
    pub fn with(&self, table: Table) -> Result<Self, CatalogError> {
        check(&table)?;
        let name = || table.name.clone().into_owned();
        if self.find(&table.name).is_some() || table.archive_of().is_some() {
            return Err(CatalogError::Taken { table: name(), what: "the table", name: name() });
        }
        if self.tables.len() >= TABLES_MAX {
            let (what, max) = ("tables", TABLES_MAX);
            return Err(CatalogError::TooMany { table: name(), what, max });
        }
        let (ledger, others) = self.tables.split_last().expect("there is a ledger");
        let tables = others.iter().cloned().chain([Arc::new(table), ledger.clone()]);
        let tables: Arc<[Arc<Table>]> = tables.collect();
        Ok(Self { archives: archives(&tables), views: self.views.clone(), tables })
    }

    /// The same with no tables of rows and archives but these, and no views: a small lake, in which everything that may happen can be tried.
    #[must_use]
    pub fn only(&self, names: &[&str]) -> Self {
        let own = self.of_rows().iter().filter(|table| names.contains(&table.name.as_ref()));
        let tables: Arc<[Arc<Table>]> = own.chain([self.ledger()]).cloned().collect();
        let archives = self.archives.iter().filter(|one| names.contains(&one.name.as_ref()));
        Self { archives: archives.cloned().collect(), views: Arc::default(), tables }
    }

    /// All tables, the ledger last.
    pub fn tables(&self) -> impl DoubleEndedIterator<Item = &Arc<Table>> {
        self.tables.iter()
    }

    /// The tables that messages become rows of: all but the ledger.
    #[must_use]
    pub fn of_rows(&self) -> &[Arc<Table>] {
        self.tables.split_last().map_or(&[], |(_, others)| others)
    }

    /// The ledger.
    ///
    /// # Panics
    /// Never: every catalog has one.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Table> {
        self.tables.last().expect("there is a ledger")
    }

    /// The tables that are made of the others ([`crate::views`]), in the order in which they are made. A lake need not have them.
    #[must_use]
    pub fn views(&self) -> &[Arc<Table>] {
        &self.views
    }

    /// The tables that old dates of others move into. A lake has those that something moved into.
    #[must_use]
    pub fn archives(&self) -> &[Arc<Table>] {
        &self.archives
    }

    /// The archive of a table, if it may have one.
    #[must_use]
    pub fn archive(&self, table: &str) -> Option<&Arc<Table>> {
        self.archives.iter().find(|archive| archive.archive_of() == Some(table))
    }

    /// All tables, then all views, then all archives.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Table>> {
        self.tables.iter().chain(self.views.iter()).chain(self.archives.iter())
    }

    /// The table, view or archive of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Table>> {
        self.all().find(|table| table.name == name)
    }

    /// The table of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Table>> {
        self.tables.iter().find(|table| table.name == name)
    }
}

/// Words reserved in one of PostgreSQL, DuckDB, Spark (ANSI mode), Trino, ClickHouse or MySQL that somebody might want
/// for a column. `value` and `status` are reserved in none of them.
const KEYWORDS: &str = "all analyse analyze and any array as asc asymmetric at authorization between bigint binary \
    both by call case cast check cluster collate column commit constraint create cross cube current \
    current_date current_time current_timestamp current_user database date day dead default deferrable delete desc \
    describe distinct distribute double drop else end escape except exists explain false fetch filter float for \
    foreign from full function global grant group grouping having hour if in index inner insert int integer \
    intersect interval into is join key lateral lead leading left level like limit local localtime localtimestamp \
    long match minute month natural not null number of offset on only option or order out outer over overlaps \
    partition percent placing position primary procedure qualify range rank read recursive references release \
    replace returning revoke right rollback row rows schema second select session_user set show similar some sort \
    start string symmetric system table tables tablesample then time timestamp to trailing trigger true truncate \
    union unique unknown unnest update usage use user using values variadic view when where window with year";

/// Whether a column of a declared table may have this name.
#[must_use]
pub fn is_free(name: &str) -> bool {
    const OWN: [&str; 7] =
        [PARTITION, "event_ts", "received_ts", "site", "device_id", "flags", "extra"];
    let keyword = KEYWORDS.split_whitespace().any(|word| word == name);
    let taken = OWN.contains(&name) || IDENTITY.iter().any(|own| own.name == name);
    well_formed(name) && !keyword && !taken
}

fn well_formed(name: &str) -> bool {
    let head = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let tail = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    head && tail && name.len() <= NAME_LENGTH_MAX
}

/// Whether a table is fit for any lake: names, the columns that it must have, the columns that it names.
pub(crate) fn check(table: &Table) -> Result<(), CatalogError> {
    let of = || table.name.clone().into_owned();
    let names = std::iter::once((&table.name, ["a table", "the table"]))
        .chain(table.columns.iter().map(|column| (&column.name, ["a column", "the column"])));
    for (name, [what, the]) in names {
        let named = || name.clone().into_owned();
        if !well_formed(name) {
            return Err(CatalogError::Name { table: of(), what, name: named() });
        }
        if KEYWORDS.split_whitespace().any(|word| word == name) {
            return Err(CatalogError::Keyword { table: of(), what: the, name: named() });
        }
    }
    if table.columns.len() > COLUMNS_MAX {
        return Err(CatalogError::TooMany { table: of(), what: "columns", max: COLUMNS_MAX });
    }
    for (at, column) in table.columns.iter().enumerate() {
        if table.columns[..at].iter().any(|other| other.name == column.name) {
            let name = column.name.clone().into_owned();
            return Err(CatalogError::Taken { table: of(), what: "the column", name });
        }
    }
    let parts = [("sort", &table.sort), ("stats", &table.stats), ("bloom", &table.bloom)];
    let named =
        parts.into_iter().flat_map(|(part, names)| names.iter().map(move |name| (part, name)));
    for (part, name) in named.chain([("time", &table.time)]) {
        if table.column(name).is_none() {
            let name = name.clone().into_owned();
            return Err(CatalogError::Column { table: of(), part, name });
        }
    }
    let shape = |name: &str, wanted: &str| {
        Err(CatalogError::Shape { table: of(), name: name.to_owned(), wanted: wanted.to_owned() })
    };
    if table.columns.first().is_none_or(|first| first.name != PARTITION || first.kind != Kind::Date)
    {
        return shape(PARTITION, "the first, a date");
    }
    if table.column(&table.time).is_none_or(|time| time.kind != Kind::Timestamp || time.nullable) {
        return shape(
            &table.time,
            "a timestamp that every row has, since the partition is taken from it",
        );
    }
    if table.name == landings::NAME {
        return Ok(());
    }
    for identity in IDENTITY {
        let found = table.column(&identity.name);
        if found.is_none_or(|found| found.kind != identity.kind || found.nullable) {
            return shape(
                &identity.name,
                "there, and in every row: it tells the row from every other",
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Column, Parts};

    const PARTS: Parts = Parts { sort: &[], stats: &[], time: "event_ts", bloom: &[] };

    fn with(name: &'static str, more: &[Column], parts: Parts) -> Result<Catalog, CatalogError> {
        let time = Column::required("event_ts", Kind::Timestamp, "");
        let columns = std::iter::once(time).chain(more.iter().cloned()).chain(IDENTITY);
        Catalog::builtin().with(Table::new(name, "", columns, parts))
    }

    #[test]
    fn our_own_tables_are_fit_and_the_ledger_is_the_last() {
        let catalog = Catalog::builtin();
        for table in catalog.tables() {
            check(table).unwrap();
            assert!(!table.about.is_empty());
            for column in &table.columns {
                assert!(!column.about.is_empty(), "{}.{}", table.name, column.name);
            }
        }
        assert_eq!(catalog.ledger().name, landings::NAME);
        let more = with("orders", &[Column::optional("sum", Kind::Double, "")], PARTS).unwrap();
        assert_eq!(more.ledger().name, landings::NAME);
        assert_eq!(more.of_rows().last().unwrap().name, "orders");
        assert_eq!(more.tables().count(), catalog.tables().count() + 1);
    }

    #[test]
    fn statistics_never_hold_what_identifies_a_person() {
        for table in Catalog::builtin().tables() {
            for name in &table.stats {
                let time_or_device = name.ends_with("_ts")
                    || ["device_id", "system_id", "landed_at", "lane", "lane_counter"]
                        .contains(&name.as_ref());
                assert!(time_or_device, "{}.{name}", table.name);
            }
        }
    }

    #[test]
    fn what_no_engine_would_take_is_refused_by_name() {
        let refused =
            |name, more: &[Column], parts| with(name, more, parts).unwrap_err().to_string();
        let text = |name| [Column::optional(name, Kind::Text, "")];
        assert!(refused("Orders", &[], PARTS).contains("`Orders` is not a name for a table"));
        assert!(refused("1st", &[], PARTS).contains("`1st`"));
        assert!(refused("select", &[], PARTS).contains("word of SQL"));
        assert!(refused("orders", &text("order"), PARTS).contains("`order` is a word of SQL"));
        assert!(refused("orders", &text("a b"), PARTS).contains("`a b`"));
        assert!(refused("readings", &[], PARTS).contains("there already"));
        assert!(refused("orders", &text("epoch"), PARTS).contains("column `epoch`"));
        let parts = Parts { sort: &["nobody"], ..PARTS };
        assert!(refused("orders", &[], parts).contains("`nobody`"));
        let parts = Parts { time: "source_id", ..PARTS };
        assert!(refused("orders", &[], parts).contains("must be a timestamp"));
        let without =
            Table::new("orders", "", [Column::required("event_ts", Kind::Timestamp, "")], PARTS);
        assert!(Catalog::builtin().with(without).unwrap_err().to_string().contains("source_id"));
    }
}
