//! The tables that messages become rows of, by number, and what decoders get of them when they are made.

use std::sync::Arc;

use lake::Catalog;
use lake::table::{Kind, Table};
use lake::tables::readings;

use super::cells::{Column, OfKind};
use crate::mistake::Mistake;

/// See the module.
#[derive(Debug)]
pub struct Layout {
    tables: Vec<Handle>,
    readings: usize,
}

/// A table as decoders know it.
#[derive(Debug, Clone)]
pub struct Handle {
    number: usize,
    table: Arc<Table>,
    identity: Identity,
}

/// Where a table has what every row of it gets, as places among the columns of its files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identity {
    pub(super) source_id: usize,
    pub(super) epoch: usize,
    pub(super) offset: usize,
    pub(super) row_no: usize,
    pub(super) received: Option<usize>,
}

impl Default for Layout {
    fn default() -> Self {
        Self::of(&Catalog::builtin())
    }
}

impl Layout {
    /// The tables of a catalog.
    ///
    /// # Panics
    /// Never: a catalog has our own tables, and none without the columns that tell its rows apart.
    #[must_use]
    pub fn of(catalog: &Catalog) -> Self {
        let tables = catalog.of_rows().iter().enumerate().map(|(number, table)| {
            let place = |name: &str| place(table, name).expect("the catalog saw to it");
            let identity = Identity {
                source_id: place("source_id"),
                epoch: place("epoch"),
                offset: place("source_offset"),
                row_no: place("row_no"),
                received: table
                    .column("received_ts")
                    .filter(|column| column.kind == Kind::Timestamp)
                    .and_then(|column| self::place(table, &column.name)),
            };
            Handle { number, table: table.clone(), identity }
        });
        let readings = catalog.of_rows().iter().position(|table| table.name == readings::NAME);
        Self { tables: tables.collect(), readings: readings.expect("a catalog has our own tables") }
    }

    /// The table of that name.
    ///
    /// # Errors
    /// There is none.
    pub fn table(&self, name: &str) -> Result<&Handle, Mistake> {
        let found = self.tables.iter().find(|handle| handle.table.name == name);
        found.ok_or_else(|| {
            let names: Vec<&str> =
                self.tables.iter().map(|handle| handle.table.name.as_ref()).collect();
            Mistake::new(name, format!("is no table here: there are {}", names.join(", ")))
        })
    }

    pub(crate) fn tables(&self) -> &[Handle] {
        &self.tables
    }

    pub(crate) fn readings(&self) -> &Handle {
        &self.tables[self.readings]
    }
}

fn place(table: &Table, name: &str) -> Option<usize> {
    table.file_columns().position(|column| column.name == name)
}

impl Handle {
    /// The table.
    #[must_use]
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// The column of that name.
    ///
    /// # Errors
    /// There is none, or it is of another kind.
    pub fn column<K: OfKind>(&self, name: &str) -> Result<Column<K>, Mistake> {
        let table = &self.table.name;
        let wrong = |problem: String| Mistake::new(format!("{table}.{name}"), problem);
        let mut columns = self.table.file_columns().enumerate();
        let column = columns.find(|(_, column)| column.name == name);
        let (at, column) = column.ok_or_else(|| wrong("is no column".to_owned()))?;
        if column.kind != K::KIND {
            let (is, wanted) = (column.kind, K::KIND);
            return Err(wrong(format!("is a column of {is:?}, a decoder writes {wanted:?}")));
        }
        Ok(Column::new(at))
    }
}

/// Names the columns of a table that a decoder writes, with their kinds: a struct of handles and `of(&Layout)` to make it.
#[macro_export]
macro_rules! columns {
    ($(#[$doc:meta])* $vis:vis struct $name:ident of $table:path { $($column:ident: $kind:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug)]
        $vis struct $name {
            $vis table: $crate::batch::Handle,
            $($vis $column: $crate::batch::Column<$crate::batch::$kind>,)*
        }

        impl $name {
            $vis fn of(layout: &$crate::batch::Layout) -> Result<Self, $crate::Mistake> {
                let table = layout.table($table)?.clone();
                Ok(Self { $($column: table.column(stringify!($column))?,)* table })
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::super::cells::{Double, Long, Text};
    use super::*;

    #[test]
    fn a_column_that_is_not_there_or_of_another_kind_is_refused_by_name() {
        let layout = Layout::default();
        let table = layout.table("device_status").unwrap();
        table.column::<Text>("status").unwrap();
        table.column::<Double>("battery").unwrap();
        let error = table.column::<Long>("battery").unwrap_err().to_string();
        assert!(error.contains("device_status.battery") && error.contains("Double"), "{error}");
        assert!(table.column::<Text>("nobody").unwrap_err().to_string().contains("is no column"));
        assert!(layout.table("nowhere").unwrap_err().to_string().contains("there are readings"));
    }
}
