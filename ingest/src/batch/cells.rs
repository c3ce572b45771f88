//! The fields of a row, and handles of columns: taken when a decoder is made, so that a column of another kind is an error at
//! start and never a null.

use std::marker::PhantomData;

use lake::table::{Kind, Text as Name};

/// One field of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
#[expect(missing_docs, reason = "the kinds of columns")]
pub enum Cell<'a> {
    Null,
    Text(&'a str),
    Double(f64),
    Long(i64),
    Int(i32),
    Bool(bool),
    Date(i32),
    Time(i64),
    Bytes(&'a [u8]),
}

impl Cell<'_> {
    /// What a column takes it for; `None`: it is null.
    pub(crate) fn kind(self) -> Option<Kind> {
        match self {
            Self::Null => None,
            Self::Text(_) => Some(Kind::Text),
            Self::Double(_) => Some(Kind::Double),
            Self::Long(_) => Some(Kind::Long),
            Self::Int(_) => Some(Kind::Int),
            Self::Bool(_) => Some(Kind::Bool),
            Self::Date(_) => Some(Kind::Date),
            Self::Time(_) => Some(Kind::Timestamp),
            Self::Bytes(_) => Some(Kind::Binary),
        }
    }
}

/// Why a row does not fit its table. It names table and column, never the value: that may identify a patient.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// Too many cells, or too few.
    #[error("the row has {given} cells where table `{table}` has {columns} columns")]
    Cells {
        /// The table.
        table: Name,
        /// Its columns.
        columns: usize,
        /// The row's cells.
        given: usize,
    },
    /// A cell of another kind than its column.
    #[error("column `{column}` of table `{table}` holds {expected:?}, the row has {given:?}")]
    Kind {
        /// The table.
        table: Name,
        /// The column.
        column: Name,
        /// Its kind.
        expected: Kind,
        /// The cell's kind.
        given: Kind,
    },
    /// Null where every row has a value.
    #[error("column `{column}` of table `{table}` must have a value, the row has none")]
    Null {
        /// The table.
        table: Name,
        /// The column.
        column: Name,
    },
    /// A text that is longer than its column takes.
    #[error(
        "column `{column}` of table `{table}` takes texts of at most {max} bytes, this one has {given}"
    )]
    Long {
        /// The table.
        table: Name,
        /// The column.
        column: Name,
        /// Bytes that it takes.
        max: usize,
        /// Bytes that came.
        given: usize,
    },
    /// The column's text or bytes would not be addressable with 32 bits any more.
    #[error("column `{column}` of table `{table}` is full: {max} bytes in one landing at most")]
    Full {
        /// The table.
        table: Name,
        /// The column.
        column: Name,
        /// Bytes of a landing.
        max: usize,
    },
}

/// A kind of column, as a type.
pub trait OfKind {
    /// The kind.
    const KIND: Kind;
    /// What a row puts there.
    type Value<'a>: Copy;
    /// The field with it.
    fn cell(value: Self::Value<'_>) -> Cell<'_>;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $kind:ident($value:ty) as $cell:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}

        impl OfKind for $name {
            const KIND: Kind = Kind::$kind;
            type Value<'a> = $value;
            fn cell(value: Self::Value<'_>) -> Cell<'_> {
                Cell::$cell(value)
            }
        }
    )*};
}

kinds! {
    /// UTF-8.
    Text = Text(&'a str) as Text;
    /// 64-bit float.
    Double = Double(f64) as Double;
    /// 64-bit signed integer.
    Long = Long(i64) as Long;
    /// 32-bit signed integer.
    Int = Int(i32) as Int;
    /// True or false.
    Bool = Bool(bool) as Bool;
    /// Days since 1970-01-01.
    Date = Date(i32) as Date;
    /// Microseconds since 1970-01-01 UTC.
    Time = Timestamp(i64) as Time;
    /// Bytes.
    Bytes = Binary(&'a [u8]) as Bytes;
}

/// The handle of a column of kind `K`.
#[derive(Debug)]
pub struct Column<K> {
    pub(super) at: usize,
    kind: PhantomData<fn() -> K>,
}

impl<K> Column<K> {
    pub(super) fn new(at: usize) -> Self {
        Self { at, kind: PhantomData }
    }
}

impl<K> Clone for Column<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Column<K> {}
