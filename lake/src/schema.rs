//! Every table of the lake, column by column, in one place: Arrow, Delta and Parquet settings are derived from here.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

/// The types that every engine reads. No unsigned, no nanoseconds, no timestamps without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// 64-bit float.
    Double,
    /// 64-bit signed integer.
    Long,
    /// 32-bit signed integer.
    Int,
    /// Days since 1970-01-01.
    Date,
    /// Microseconds since 1970-01-01 UTC.
    Timestamp,
    /// Bytes.
    Binary,
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Lower case, not an SQL keyword.
    pub name: &'static str,
    /// Type.
    pub kind: Kind,
    /// False: every row has a value.
    pub nullable: bool,
    /// Bytes that a text from outside may have here; a row with a longer one does not fit its table.
    pub bytes_max: usize,
}

/// Bytes of a name, an identifier, a code or a unit. FHIR ids have 64; references and URNs are longer.
pub const NAME_BYTES_MAX: usize = 1024;
/// Bytes of a text that people write: what FHIR allows in a string.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Bytes of `extra`: what one row may carry of members that have no column.
pub const EXTRA_BYTES_MAX: usize = 64 << 10;
/// The column of what a device said that has no column of its own: a JSON object with the members as they came.
const EXTRA: Column = up_to(EXTRA_BYTES_MAX, optional("extra", Kind::Text));
/// Bounded by the message that it comes with.
const WHOLE_MESSAGE: usize = usize::MAX;

/// One table.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// Folder below the lake and name in SQL.
    pub name: &'static str,
    /// All columns; the first is the partition column [`PARTITION`], which is in the file's path and not in the file.
    pub columns: &'static [Column],
    /// Rows of a file are sorted by these.
    pub sort: &'static [&'static str],
    /// Columns with minimum and maximum in the log: time and device only, never what identifies a person.
    pub stats: &'static [&'static str],
    /// The column that `newest` is taken from.
    pub time: &'static str,
    /// Columns with a bloom filter.
    pub bloom: &'static [&'static str],
}

/// Every table is partitioned by this date (UTC) and nothing else.
pub const PARTITION: &str = "event_date";

const fn required(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: false, bytes_max: NAME_BYTES_MAX }
}

const fn optional(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, nullable: true, bytes_max: NAME_BYTES_MAX }
}

const fn up_to(bytes_max: usize, column: Column) -> Column {
    Column { bytes_max, ..column }
}

/// One scalar measurement a row.
pub static READINGS: Table = Table {
    name: "readings",
    columns: &[
        required(PARTITION, Kind::Date),
        required("event_ts", Kind::Timestamp),
        optional("device_ts", Kind::Timestamp),
        required("received_ts", Kind::Timestamp),
        required("site", Kind::Text),
        required("device_id", Kind::Text),
        required("metric", Kind::Text),
        optional("value", Kind::Double),
        up_to(TEXT_BYTES_MAX, optional("value_text", Kind::Text)),
        optional("unit", Kind::Text),
        required("quality", Kind::Text),
        optional("flags", Kind::Text),
        EXTRA,
        optional("patient_id", Kind::Text),
        optional("encounter_id", Kind::Text),
        optional("ward", Kind::Text),
        optional("bed", Kind::Text),
        optional("boot_id", Kind::Long),
        optional("seq", Kind::Long),
        required("protocol", Kind::Text),
        required("source_id", Kind::Text),
        required("epoch", Kind::Long),
        required("source_offset", Kind::Long),
        required("row_no", Kind::Int),
    ],
    sort: &["device_id", "metric", "event_ts"],
    stats: &["event_ts", "received_ts", "device_id"],
    time: "event_ts",
    bloom: &["patient_id"],
};

/// One version of one EHR resource, or one component of it, a row.
pub static EHR_EVENTS: Table = Table {
    name: "ehr_events",
    columns: &[
        required(PARTITION, Kind::Date),
        required("event_ts", Kind::Timestamp),
        required("received_ts", Kind::Timestamp),
        required("site", Kind::Text),
        required("system_id", Kind::Text),
        required("resource_type", Kind::Text),
        optional("resource_id", Kind::Text),
        optional("version_id", Kind::Text),
        optional("patient_id", Kind::Text),
        optional("encounter_id", Kind::Text),
        optional("status", Kind::Text),
        optional("code_system", Kind::Text),
        optional("code", Kind::Text),
        up_to(TEXT_BYTES_MAX, optional("code_display", Kind::Text)),
        optional("value", Kind::Double),
        up_to(TEXT_BYTES_MAX, optional("value_text", Kind::Text)),
        optional("unit", Kind::Text),
        optional("effective_start", Kind::Timestamp),
        optional("effective_end", Kind::Timestamp),
        up_to(WHOLE_MESSAGE, required("resource", Kind::Text)),
        optional("flags", Kind::Text),
        EXTRA,
        required("source_id", Kind::Text),
        required("epoch", Kind::Long),
        required("source_offset", Kind::Long),
        required("row_no", Kind::Int),
    ],
    sort: &["system_id", "resource_type", "event_ts"],
    stats: &["event_ts", "received_ts", "system_id"],
    time: "event_ts",
    bloom: &["patient_id"],
};

/// One birth, death, heartbeat or battery report of one device a row.
pub static DEVICE_STATUS: Table = Table {
    name: "device_status",
    columns: &[
        required(PARTITION, Kind::Date),
        required("event_ts", Kind::Timestamp),
        optional("device_ts", Kind::Timestamp),
        required("received_ts", Kind::Timestamp),
        required("site", Kind::Text),
        required("device_id", Kind::Text),
        required("status", Kind::Text),
        optional("battery", Kind::Double),
        optional("firmware", Kind::Text),
        up_to(TEXT_BYTES_MAX, optional("detail", Kind::Text)),
        optional("flags", Kind::Text),
        EXTRA,
        optional("boot_id", Kind::Long),
        optional("seq", Kind::Long),
        required("protocol", Kind::Text),
        required("source_id", Kind::Text),
        required("epoch", Kind::Long),
        required("source_offset", Kind::Long),
        required("row_no", Kind::Int),
    ],
    sort: &["device_id", "event_ts"],
    stats: &["event_ts", "received_ts", "device_id"],
    time: "event_ts",
    bloom: &[],
};

/// One message that could not become rows, or not all of them, with its bytes and the reason.
pub static DEAD_LETTERS: Table = Table {
    name: "dead_letters",
    columns: &[
        required(PARTITION, Kind::Date),
        required("received_ts", Kind::Timestamp),
        optional("site", Kind::Text),
        optional("device_id", Kind::Text),
        up_to(WHOLE_MESSAGE, optional("topic", Kind::Text)),
        up_to(WHOLE_MESSAGE, optional("publisher", Kind::Text)),
        up_to(WHOLE_MESSAGE, required("payload", Kind::Binary)),
        required("reason_code", Kind::Text),
        up_to(WHOLE_MESSAGE, required("reason", Kind::Text)),
        required("stage", Kind::Text),
        required("source_id", Kind::Text),
        required("epoch", Kind::Long),
        required("source_offset", Kind::Long),
        required("row_no", Kind::Int),
    ],
    sort: &["received_ts"],
    stats: &["received_ts", "device_id"],
    time: "received_ts",
    bloom: &[],
};

/// The ledger: which offsets of which source are in the lake, and by which landing. One row per landing, source and table;
/// a source that added no row to any table (its offsets were all gaps) has one row without a table. Counts can be summed:
/// those of a source (messages, gaps) are in its first row only, 0 in its others.
pub static LANDINGS: Table = Table {
    name: "landings",
    columns: &[
        required(PARTITION, Kind::Date),
        required("landed_at", Kind::Timestamp),
        required("landing_id", Kind::Text),
        required("worker", Kind::Text),
        required("lane", Kind::Int),
        required("lane_counter", Kind::Long),
        required("source_id", Kind::Text),
        required("epoch", Kind::Long),
        required("from_offset", Kind::Long),
        required("to_offset", Kind::Long),
        required("chain_after", Kind::Text),
        required("message_count", Kind::Long),
        optional("table_name", Kind::Text),
        required("row_count", Kind::Long),
        required("dead_letter_count", Kind::Long),
        required("gap_count", Kind::Long),
        up_to(WHOLE_MESSAGE, optional("gaps", Kind::Text)),
        optional("event_ts_min", Kind::Timestamp),
        optional("event_ts_max", Kind::Timestamp),
        required("file_count", Kind::Int),
        required("file_bytes", Kind::Long),
        required("plan_path", Kind::Text),
        optional("appended", Kind::Long),
    ],
    sort: &[],
    stats: &["landed_at", "lane", "lane_counter"],
    time: "landed_at",
    bloom: &[],
};

/// All tables, the ledger last: a lake whose ledger exists is complete.
pub static TABLES: [&Table; 5] = [&READINGS, &EHR_EVENTS, &DEVICE_STATUS, &DEAD_LETTERS, &LANDINGS];

/// The table of that name.
#[must_use]
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.into_iter().find(|table| table.name == name)
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
            Self::Date => "date",
            Self::Timestamp => "timestamp",
            Self::Binary => "binary",
        }
    }

    /// The Arrow type that readers see. Writers may also hand in text as a dictionary with 32-bit keys.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Double => DataType::Float64,
            Self::Long => DataType::Int64,
            Self::Int => DataType::Int32,
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
            other => *other == self.arrow(),
        }
    }
}

impl Table {
    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The columns that are in the files: all but the partition column.
    pub fn file_columns(&self) -> impl Iterator<Item = &'static Column> {
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
    Field::new(column.name, column.kind.arrow(), column.nullable)
}

/// The partition date of a time: days since 1970-01-01 UTC. Times beyond the range of a date are pinned to its ends.
#[must_use]
pub fn date_of(event_us: i64) -> i32 {
    let days = event_us.div_euclid(86_400_000_000);
    i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX })
}

/// `YYYY-MM-DD`, the form in paths and in the log.
#[must_use]
pub fn date_text(date: i32) -> String {
    arrow::temporal_conversions::date32_to_datetime(date)
        .map_or_else(|| "1970-01-01".to_owned(), |time| time.format("%Y-%m-%d").to_string())
}

/// The date that [`date_text`] wrote, or `None` if it isn't one.
#[must_use]
pub fn date_parse(text: &str) -> Option<i32> {
    let date = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    i32::try_from(date.signed_duration_since(chrono::NaiveDate::default()).num_days()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn no_column_name_is_an_sql_keyword() {
        let keywords: Vec<&str> = KEYWORDS.split_whitespace().collect();
        for table in TABLES {
            for column in table.columns {
                assert!(!keywords.contains(&column.name), "{}.{}", table.name, column.name);
                assert!(
                    column.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                    "{}",
                    column.name
                );
            }
        }
    }

    #[test]
    fn every_table_is_partitioned_by_date_and_names_only_columns_that_it_has() {
        for table in TABLES {
            assert_eq!(table.columns[0], required(PARTITION, Kind::Date));
            for name in table.sort.iter().chain(table.stats).chain(table.bloom).chain([&table.time])
            {
                assert!(table.column(name).is_some(), "{}.{name}", table.name);
            }
        }
        for table in [&READINGS, &EHR_EVENTS, &DEVICE_STATUS, &DEAD_LETTERS] {
            for identity in ["source_id", "epoch", "source_offset", "row_no"] {
                assert!(!table.column(identity).unwrap().nullable, "INV-6 needs it");
            }
        }
    }

    #[test]
    fn statistics_never_hold_what_identifies_a_person() {
        for table in TABLES {
            for name in table.stats {
                let time_or_device = name.ends_with("_ts")
                    || matches!(
                        *name,
                        "device_id" | "system_id" | "landed_at" | "lane" | "lane_counter"
                    );
                assert!(time_or_device, "{}.{name}", table.name);
            }
        }
    }

    #[test]
    fn dates_are_utc_days_on_both_sides_of_1970() {
        assert_eq!(date_of(-1), -1);
        assert_eq!(date_text(date_of(1_785_542_400_000_000 - 1)), "2026-07-31");
        assert_eq!(date_text(date_of(1_785_542_400_000_000)), "2026-08-01");
        assert_eq!(date_parse("2026-08-01"), Some(date_of(1_785_542_400_000_000)));
        assert_eq!(date_parse("yesterday"), None);
        assert_eq!(date_of(i64::MIN), -106_751_992);
    }
}
