//! What a table is: its columns with their types and meanings, its order, and what of it the log may say.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

/// A text of a definition: written in the program, or read from a configuration or a lake.
pub type Text = Cow<'static, str>;

/// The types that every engine reads. No unsigned, no nanoseconds, no timestamps without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// UTF-8.
    Text,
    /// 64-bit float.
    Double,
    /// 64-bit signed integer.
    Long,
    /// 32-bit signed integer.
    Int,
    /// True or false.
    Bool,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01 UTC.
    Timestamp,
    /// Bytes.
    Binary,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Lower case, not an SQL keyword.
    pub name: Text,
    /// Type.
    pub kind: Kind,
    /// False: every row has a value.
    pub nullable: bool,
    /// Bytes that a text from outside may have here; a row with a longer one does not fit its table.
    pub bytes_max: usize,
    /// What it says, for people.
    pub about: Text,
}

/// Bytes of a name, an identifier, a code or a unit. FHIR ids have 64; references and URNs are longer.
pub const NAME_BYTES_MAX: usize = 1024;
/// Bytes of a text that people write: what FHIR allows in a string.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Bytes of `extra`: what one row may carry of members that have no column.
pub const EXTRA_BYTES_MAX: usize = 64 << 10;
/// Bytes of what is bounded by the message that it comes with.
pub const WHOLE_MESSAGE: usize = usize::MAX;

/// Every table is partitioned by this date (UTC) and nothing else.
pub const PARTITION: &str = "event_date";

impl Column {
    /// A column that has a value in every row.
    #[must_use]
    pub const fn required(name: &'static str, kind: Kind, about: &'static str) -> Self {
        let (name, about) = (Cow::Borrowed(name), Cow::Borrowed(about));
        Self { name, kind, nullable: false, bytes_max: NAME_BYTES_MAX, about }
    }

    /// A column that may be NULL.
    #[must_use]
    pub const fn optional(name: &'static str, kind: Kind, about: &'static str) -> Self {
        let (name, about) = (Cow::Borrowed(name), Cow::Borrowed(about));
        Self { name, kind, nullable: true, bytes_max: NAME_BYTES_MAX, about }
    }

    /// The same for texts of so many bytes.
    #[must_use]
    pub fn up_to(self, bytes_max: usize) -> Self {
        Self { bytes_max, ..self }
    }
}

/// One table. Whatever knows tables (who creates, grows, writes, plans, counts, checks, lists or documents them) goes by this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Folder below the lake and name in SQL.
    pub name: Text,
    /// What a row is, for people.
    pub about: Text,
    /// All columns; the first is the partition column [`PARTITION`], which is in the file's path and not in the file.
    pub columns: Vec<Column>,
    /// Rows of a file are sorted by these.
    pub sort: Vec<Text>,
    /// Columns with minimum and maximum in the log: time and device only, never what identifies a person.
    pub stats: Vec<Text>,
    /// The column that `newest` is taken from.
    pub time: Text,
    /// Columns with a bloom filter.
    pub bloom: Vec<Text>,
    /// Days after which its rows go, unless a setting says otherwise; `None`: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_days: Option<u32>,
}

/// The parts of a table of ours, by name.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// See [`Table::sort`].
    pub sort: &'static [&'static str],
    /// See [`Table::stats`].
    pub stats: &'static [&'static str],
    /// See [`Table::time`].
    pub time: &'static str,
    /// See [`Table::bloom`].
    pub bloom: &'static [&'static str],
}

/// Which message a row comes from: every row of every table that messages become has these, and no two rows the same.
pub const IDENTITY: [Column; 4] = [
    Column::required(
        "source_id",
        Kind::Text,
        "Gateway or agent that accepted the message. With `epoch`, `source_offset` and `row_no` it tells every row from every other.",
    ),
    Column::required("epoch", Kind::Long, "Life of the source's spool."),
    Column::required("source_offset", Kind::Long, "The message's number in the epoch, from 0."),
    Column::required("row_no", Kind::Int, "The row's number in its message and table, from 0."),
];

/// The column of what a device said that has no column of its own.
#[must_use]
pub fn extra() -> Column {
    let about = "What the device said that has no column: a JSON object, as text, of the members as they came.";
    Column::optional("extra", Kind::Text, about).up_to(EXTRA_BYTES_MAX)
}

/// The column of flags.
pub const FLAGS: Column = Column::optional(
    "flags",
    Kind::Text,
    "What is remarkable about the row: names, sorted, joined by commas (see \"Flags\").",
);

/// How the name of an archive ends; before that is the name of the table whose old dates are in it.
pub const ARCHIVE: &str = "_archive";

impl Table {
    /// A table whose columns are those given, the partition column before them.
    #[must_use]
    pub fn new(
        name: &'static str,
        about: &'static str,
        columns: impl IntoIterator<Item = Column>,
        parts: Parts,
    ) -> Self {
        let about_date = "Date of the row's time, UTC: the partition. Say it in WHERE.";
        let date = Column::required(PARTITION, Kind::Date, about_date);
        let texts = |names: &'static [&'static str]| {
            names.iter().map(|name| Text::Borrowed(name)).collect()
        };
        Self {
            name: name.into(),
            about: about.into(),
            columns: std::iter::once(date).chain(columns).collect(),
            sort: texts(parts.sort),
            stats: texts(parts.stats),
            time: parts.time.into(),
            bloom: texts(parts.bloom),
            retention_days: None,
        }
    }

    /// The table that old dates of this one move into.
    #[must_use]
    pub fn archive(&self) -> Self {
        let about = format!("Rows of `{}` whose date is older than its `archive_days`.", self.name);
        let name = format!("{}{ARCHIVE}", self.name);
        Self { name: name.into(), about: about.into(), ..self.clone() }
    }

    /// The name of the table whose old dates are in this one, if it is an archive.
    #[must_use]
    pub fn archive_of(&self) -> Option<&str> {
        self.name.strip_suffix(ARCHIVE)
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that tell a row from every other: [`IDENTITY`], or those of the ledger, or a view's whole order.
    #[must_use]
    pub fn identity(&self) -> Vec<&'static str> {
        const LEDGER: [&str; 5] = ["landing_id", "source_id", "epoch", "from_offset", "table_name"];
        let own = IDENTITY.map(|column| match column.name {
            Text::Borrowed(name) => name,
            Text::Owned(_) => unreachable!("they are written in the program"),
        });
        // A view may say which row something is from, where it is from one.
        if own.iter().all(|name| self.column(name).is_some_and(|column| !column.nullable)) {
            return own.into();
        }
        if self.column(LEDGER[0]).is_some() {
            return LEDGER.into();
        }
        let key = self.sort.iter().map(|name| match name {
            Text::Borrowed(name) => *name,
            Text::Owned(_) => unreachable!("a declared table has an identity"),
        });
        key.collect()
    }

    /// The columns that are in the files: all but the partition column.
    pub fn file_columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.name != PARTITION)
    }

    /// Arrow schema of all columns, partition column included, as readers see it.
    #[must_use]
    pub fn arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(self.columns.iter().map(field).collect::<Vec<_>>()))
    }

    /// Arrow schema of a file.
    #[must_use]
    pub fn file_arrow(&self) -> SchemaRef {
        Arc::new(Schema::new(self.file_columns().map(field).collect::<Vec<_>>()))
    }
}

fn field(column: &Column) -> Field {
    Field::new(column.name.as_ref(), column.kind.arrow(), column.nullable)
}

impl Kind {
    /// Its name in a Delta schema.
    #[must_use]
    pub fn delta(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Double => "double",
            Self::Long => "long",
            Self::Int => "integer",
            Self::Bool => "boolean",
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Binary => "binary",
        }
    }

    /// The Arrow type that readers see. Writers may also hand in text as a dictionary with 32-bit keys, text and bytes as views.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Double => DataType::Float64,
            Self::Long => DataType::Int64,
            Self::Int => DataType::Int32,
            Self::Bool => DataType::Boolean,
            Self::Date => DataType::Date32,
            Self::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Binary => DataType::Binary,
        }
    }

    /// Whether a column of this kind may hold `data_type`.
    #[must_use]
    pub fn accepts(self, data_type: &DataType) -> bool {
        match data_type {
            DataType::Dictionary(key, value) => {
                self == Self::Text && **key == DataType::Int32 && **value == DataType::Utf8
            }
            DataType::Utf8View => self == Self::Text,
            DataType::BinaryView => self == Self::Binary,
            other => *other == self.arrow(),
        }
    }
}
