//! The proof that files hold the same rows as others: a count and sums that do not depend on the order of the rows.
//!
//! Each row has a number made of its identity; each value one made of the value, its column and its row's number. What is compared is
//! the sum of all rows' numbers and, for each column, the sum of its values' numbers and how many are NULL. A row that is lost, there
//! twice, or has a value of another row or of another column changes a sum.

use arrow::array::{Array, RecordBatch};

use crate::row_hash::{SALT, fold, identities, mix};
use crate::table::Table;

/// Sums over rows. Equal for equal multisets of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sums {
    identity: Vec<usize>,
    rows: u64,
    identities: [u64; 2],
    columns: Vec<Column>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Column {
    values: u64,
    nulls: u64,
}

impl Sums {
    /// Of no rows of `table`.
    pub(crate) fn new(table: &Table) -> Self {
        let has = |name: &str| table.file_columns().position(|column| column.name == name);
        let identity = table.identity().into_iter().filter_map(has).collect();
        let columns = table.file_columns().map(|_| Column::default()).collect();
        Self { identity, rows: 0, identities: [0; 2], columns }
    }

    /// Adds rows: all columns of the files of the table, in their order.
    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        let identity = self.identity.iter().map(|column| batch.column(*column));
        let rows = identities(identity, batch.num_rows());
        self.rows += batch.num_rows() as u64;
        for row in &rows {
            self.identities[0] = self.identities[0].wrapping_add(mix(*row));
            self.identities[1] = self.identities[1].wrapping_add(mix(row.rotate_left(23) ^ SALT));
        }
        for ((values, sums), number) in batch.columns().iter().zip(&mut self.columns).zip(1_u64..) {
            sums.nulls += values.null_count() as u64;
            let of_column = number.wrapping_mul(SALT);
            fold(values, |row, value| {
                sums.values = sums.values.wrapping_add(mix(value ^ mix(rows[row] ^ of_column)));
            });
        }
    }

    /// What differs between the rows of `self` and those of `written`, for people; `None`: they are the same.
    pub(crate) fn differs(&self, written: &Self, table: &Table) -> Option<String> {
        if self.rows != written.rows {
            return Some(format!("{} rows instead of {}", written.rows, self.rows));
        }
        if self.identities != written.identities {
            return Some("other rows".to_owned());
        }
        let columns = table.file_columns().zip(self.columns.iter().zip(&written.columns));
        let other = columns.filter(|(_, (a, b))| a != b).map(|(column, _)| column.name.as_ref());
        let other: Vec<&str> = other.collect();
        (!other.is_empty()).then(|| format!("other values in {}", other.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, Int32Array, Int64Array, StringViewArray, TimestampMicrosecondArray, UInt32Array,
    };
    use arrow::compute::{concat_batches, take_record_batch};

    use super::*;
    use crate::parquet::view_schema;
    use crate::tables::replays;

    /// Offset, origin, topic.
    type Row<'a> = (i64, &'a str, &'a str);

    fn rows(list: &[Row<'_>]) -> RecordBatch {
        let table = replays::table();
        let text = |text: &dyn Fn(&Row<'_>) -> Option<String>| -> ArrayRef {
            Arc::new(list.iter().map(text).collect::<StringViewArray>())
        };
        let columns = table.file_columns().map(|column| -> ArrayRef {
            match column.name.as_ref() {
                "origin" => text(&|row| Some(row.1.to_owned())),
                "topic" => text(&|row| Some(row.2.to_owned())),
                "reason_code" => text(&|_| None),
                "source_id" => text(&|_| Some("gw".to_owned())),
                "source_offset" => Arc::new(Int64Array::from_iter_values(list.iter().map(|r| r.0))),
                "row_no" => Arc::new(Int32Array::from(vec![0; list.len()])),
                "epoch" => Arc::new(Int64Array::from(vec![7; list.len()])),
                _ => Arc::new(
                    TimestampMicrosecondArray::from(vec![5; list.len()]).with_timezone("UTC"),
                ),
            }
        });
        RecordBatch::try_new(view_schema(&table), columns.collect()).unwrap()
    }

    fn sums(batch: &RecordBatch) -> Sums {
        let mut sums = Sums::new(&replays::table());
        sums.add(batch);
        sums
    }

    #[test]
    fn inv14_the_order_of_rows_and_how_they_are_cut_does_not_matter() {
        let all = rows(&[(1, "a", "x"), (2, "b", "y"), (3, "a", "a topic of some length")]);
        let turned = take_record_batch(&all, &UInt32Array::from(vec![2, 0, 1])).unwrap();
        assert_eq!(sums(&all).differs(&sums(&turned), &replays::table()), None);
        let mut parts = sums(&all.slice(0, 1));
        parts.add(&all.slice(1, 2));
        assert_eq!(parts, sums(&all));
        let twice = concat_batches(&all.schema(), [&all, &all]).unwrap();
        assert_ne!(sums(&twice), sums(&all));
    }

    #[test]
    fn inv14_whatever_is_lost_doubled_or_altered_is_named() {
        let all = [(1, "a", "x"), (2, "b", "y"), (3, "c", "z")];
        let differs = |other: &[_]| {
            sums(&rows(&all)).differs(&sums(&rows(other)), &replays::table()).unwrap()
        };
        assert_eq!(differs(&all[..2]), "2 rows instead of 3");
        assert_eq!(differs(&[all[0], all[1], all[1]]), "other rows");
        assert_eq!(differs(&[all[0], all[1], (3, "c", "Z")]), "other values in topic");
        // Two rows that swapped a value, two columns that swapped theirs.
        assert_eq!(differs(&[(1, "b", "x"), (2, "a", "y"), all[2]]), "other values in origin");
        assert_eq!(differs(&[(1, "x", "a"), all[1], all[2]]), "other values in origin, topic");
    }
}
