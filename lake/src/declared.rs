//! The `[tables]` section: tables of a user's own, beside those that every lake has.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, CatalogError};
use crate::table::{
    Column, FLAGS, IDENTITY, Kind, NAME_BYTES_MAX, PARTITION, TEXT_BYTES_MAX, Table, WHOLE_MESSAGE,
    extra,
};
use crate::tables::{EVENT_TS, RECEIVED_TS};

/// Declared tables, by name.
pub type DeclaredTables = BTreeMap<String, DeclaredTable>;

/// One table. Beside its own columns it has those that every table of messages has: event_date, event_ts, received_ts, site,
/// device_id, flags, extra, and what tells each row from every other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeclaredTable {
    /// What a row is, for people.
    #[serde(default)]
    pub about: String,
    /// Its columns, by name.
    pub columns: BTreeMap<String, DeclaredColumn>,
    /// Rows of a file are sorted by these columns, then by event_ts.
    #[serde(default)]
    pub sort: Vec<String>,
    /// Its rows go after so many days; none: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
}

/// One column: its type, or more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DeclaredColumn {
    /// Its type.
    Type(ColumnType),
    /// Its type and more.
    Whole(WholeColumn),
}

/// A column in all its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WholeColumn {
    /// Its type.
    pub r#type: ColumnType,
    /// Every row must have a value: a message without one is a dead letter.
    #[serde(default)]
    pub required: bool,
    /// What it says, for people.
    #[serde(default)]
    pub about: String,
}

/// Types of declared columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    /// UTF-8, up to 1 MiB.
    String,
    /// 64-bit float.
    Double,
    /// 64-bit integer.
    Bigint,
    /// 32-bit integer.
    Int,
    /// True or false.
    Boolean,
    /// A day.
    Date,
    /// Microseconds, UTC.
    Timestamp,
    /// Any JSON, as text.
    Json,
}

impl ColumnType {
    /// The kind of column that it is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::String | Self::Json => Kind::Text,
            Self::Double => Kind::Double,
            Self::Bigint => Kind::Long,
            Self::Int => Kind::Int,
            Self::Boolean => Kind::Bool,
            Self::Date => Kind::Date,
            Self::Timestamp => Kind::Timestamp,
        }
    }
}

impl DeclaredColumn {
    fn parts(&self) -> (ColumnType, bool, &str) {
        match self {
            Self::Type(r#type) => (*r#type, false, ""),
            Self::Whole(whole) => (whole.r#type, whole.required, &whole.about),
        }
    }
}

impl DeclaredTable {
    /// The table of that name.
    #[must_use]
    pub fn table(&self, name: &str) -> Table {
        let date = "Date of the row's time, UTC: the partition. Say it in WHERE.";
        let site = Column::optional("site", Kind::Text, "Where the message is from, by its rule.");
        let device =
            Column::optional("device_id", Kind::Text, "Who the message is from, by its rule.");
        let own = self.columns.iter().map(|(name, column)| {
            let (r#type, required, about) = column.parts();
            let bytes_max = match r#type {
                ColumnType::Json => WHOLE_MESSAGE,
                ColumnType::String => TEXT_BYTES_MAX,
                _ => NAME_BYTES_MAX,
            };
            Column {
                name: name.clone().into(),
                kind: r#type.kind(),
                nullable: !required,
                bytes_max,
                about: about.to_owned().into(),
            }
        });
        let columns =
            [Column::required(PARTITION, Kind::Date, date), EVENT_TS, RECEIVED_TS, site, device];
        let sort = self.sort.iter().map(|name| name.clone().into());
        Table {
            name: name.to_owned().into(),
            about: self.about.clone().into(),
            columns: columns
                .into_iter()
                .chain(own)
                .chain([FLAGS, extra()])
                .chain(IDENTITY)
                .collect(),
            sort: sort.chain(["event_ts".into()]).collect(),
            stats: ["event_ts", "received_ts", "device_id"].map(Into::into).into(),
            time: "event_ts".into(),
            bloom: Vec::new(),
            retention_days: self.retention_days,
        }
    }
}

impl Catalog {
    /// The tables that every lake has, and the declared ones.
    ///
    /// # Errors
    /// A table that can't be one, by name.
    pub fn declared(tables: &DeclaredTables) -> Result<Self, CatalogError> {
        tables
            .iter()
            .try_fold(Self::builtin(), |catalog, (name, table)| catalog.with(table.table(name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(text: &str) -> Result<Catalog, CatalogError> {
        Catalog::declared(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_declared_table_has_its_columns_and_those_of_every_table() {
        let orders = r#"{"orders":{"about":"Orders.","sort":["customer"],"columns":{
            "customer":{"type":"string","required":true,"about":"Who."},"total":"double","paid":"boolean",
            "due":"date","lines":"json","pieces":"int","invoice":"bigint","sent":"timestamp"}}}"#;
        let catalog = declared(orders).unwrap();
        let table = catalog.get("orders").unwrap();
        let kind = |name: &str| table.column(name).map(|column| (column.kind, column.nullable));
        assert_eq!(kind("customer"), Some((Kind::Text, false)));
        assert_eq!(kind("due"), Some((Kind::Date, true)));
        assert_eq!(kind("paid"), Some((Kind::Bool, true)));
        for name in
            ["event_date", "event_ts", "received_ts", "flags", "extra", "source_id", "row_no"]
        {
            assert!(kind(name).is_some(), "{name}");
        }
        assert_eq!(table.sort, ["customer", "event_ts"]);
    }

    #[test]
    fn what_can_be_no_table_is_refused_by_name() {
        let refused = |text: &str| declared(text).unwrap_err().to_string();
        assert!(refused(r#"{"readings":{"columns":{}}}"#).contains("`readings`"));
        assert!(refused(r#"{"order":{"columns":{}}}"#).contains("word of SQL"));
        assert!(refused(r#"{"orders":{"columns":{"group":"int"}}}"#).contains("`group`"));
        assert!(refused(r#"{"orders":{"columns":{"site":"string"}}}"#).contains("`site`"));
        assert!(refused(r#"{"orders":{"columns":{},"sort":["x"]}}"#).contains("`x`"));
        let unknown =
            serde_json::from_str::<DeclaredTables>(r#"{"orders":{"columns":{"a":"text"}}}"#);
        assert!(unknown.is_err());
    }
}
