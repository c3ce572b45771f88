//! Rows that fit their table and rows that do not.

use arrow::array::{Array, AsArray};
use lake::tables::{dead_letters, device_status, ehr_events};
use proptest::prelude::*;

use super::*;

const DAY_US: i64 = 86_400_000_000;

fn dead_letter<'a>(us: i64, site: Cell<'static>, payload: &'a [u8]) -> Vec<Cell<'a>> {
    let text = Cell::Text("x");
    let mut cells = vec![Cell::Time(us), site, Cell::Null, text, text, Cell::Bytes(payload)];
    cells.extend([text, text, text, text, Cell::Long(1), Cell::Long(us), Cell::Int(0)]);
    cells
}

#[test]
fn rows_are_split_by_date_and_sorted() {
    let mut table = RowTable::new(dead_letters::table().into());
    for us in [DAY_US + 5, 3, DAY_US + 1] {
        table.push(us, &dead_letter(us, Cell::Null, b"p")).unwrap();
    }
    let files = table.finish(20_000).unwrap();
    let offsets = |n: usize| {
        files[n]
            .1
            .column_by_name("source_offset")
            .unwrap()
            .as_primitive::<arrow::datatypes::Int64Type>()
            .values()
            .to_vec()
    };
    assert_eq!(files.iter().map(|(date, _)| *date).collect::<Vec<_>>(), [0, 1]);
    assert_eq!((offsets(0), offsets(1)), (vec![3], vec![DAY_US + 1, DAY_US + 5]));
    assert!(files[0].1.column_by_name("site").unwrap().is_null(0));
}

#[test]
fn a_row_that_does_not_fit_is_refused_by_column_and_its_neighbours_stay() {
    let mut table = RowTable::new(dead_letters::table().into());
    table.push(1, &dead_letter(1, Cell::Null, b"p")).unwrap();
    let refused = |table: &mut RowTable, cells: &[Cell<'_>]| {
        let misfit = table.push(2, cells).unwrap_err();
        misfit.to_string()
    };
    let error = refused(&mut table, &dead_letter(2, Cell::Long(7_654_321), b"p"));
    assert_eq!(error, "column `site` of table `dead_letters` holds Text, the row has Long");
    let mut no_payload = dead_letter(2, Cell::Null, b"p");
    no_payload[5] = Cell::Null;
    let error = refused(&mut table, &no_payload);
    assert_eq!(
        error,
        "column `payload` of table `dead_letters` must have a value, the row has none"
    );
    let error = refused(&mut table, &no_payload[1..]);
    assert!(error.contains("12 cells") && error.contains("13 columns"), "{error}");
    table.push(3, &dead_letter(3, Cell::Null, b"p")).unwrap();
    assert_eq!(table.finish(20_000).unwrap()[0].1.num_rows(), 2);
}

#[test]
fn inv8_a_column_takes_no_more_bytes_than_it_can_address() {
    let mut table = RowTable::with_limit(dead_letters::table().into(), 10);
    table.push(1, &dead_letter(1, Cell::Null, b"123456")).unwrap();
    let misfit = table.push(2, &dead_letter(2, Cell::Null, b"12345")).unwrap_err();
    assert_eq!(
        misfit,
        Misfit::Full { table: "dead_letters".into(), column: "payload".into(), max: 10 }
    );
    table.push(3, &dead_letter(3, Cell::Null, b"1234")).unwrap();
    assert_eq!(table.finish(20_000).unwrap()[0].1.num_rows(), 2);
}

#[derive(Debug, Clone)]
enum Given {
    Null,
    Text(String),
    Double(f64),
    Long(i64),
    Int(i32),
    Bool(bool),
    Date(i32),
    Time(i64),
    Bytes(Vec<u8>),
}

impl Given {
    fn cell(&self) -> Cell<'_> {
        match self {
            Self::Null => Cell::Null,
            Self::Text(text) => Cell::Text(text),
            Self::Double(number) => Cell::Double(*number),
            Self::Long(number) => Cell::Long(*number),
            Self::Int(number) => Cell::Int(*number),
            Self::Bool(truth) => Cell::Bool(*truth),
            Self::Date(date) => Cell::Date(*date),
            Self::Time(us) => Cell::Time(*us),
            Self::Bytes(bytes) => Cell::Bytes(bytes),
        }
    }

    fn of(kind: Kind) -> BoxedStrategy<Self> {
        match kind {
            Kind::Text => ".{0,8}".prop_map(Self::Text).boxed(),
            Kind::Double => any::<f64>().prop_map(Self::Double).boxed(),
            Kind::Long => any::<i64>().prop_map(Self::Long).boxed(),
            Kind::Int => any::<i32>().prop_map(Self::Int).boxed(),
            Kind::Bool => any::<bool>().prop_map(Self::Bool).boxed(),
            Kind::Date => any::<i32>().prop_map(Self::Date).boxed(),
            Kind::Timestamp => any::<i64>().prop_map(Self::Time).boxed(),
            Kind::Binary => prop::collection::vec(any::<u8>(), 0..8).prop_map(Self::Bytes).boxed(),
        }
    }

    /// Mostly what the column takes, now and then anything.
    fn for_column(column: &lake::table::Column) -> BoxedStrategy<Self> {
        let kinds =
            [Kind::Text, Kind::Double, Kind::Long, Kind::Int, Kind::Timestamp, Kind::Binary];
        let anything = prop::sample::select(kinds.to_vec()).prop_flat_map(Self::of);
        prop_oneof![60 => Self::of(column.kind), 1 => Just(Self::Null), 1 => anything].boxed()
    }
}

fn rows_of(table: Arc<Table>) -> impl Strategy<Value = (Arc<Table>, Vec<Vec<Given>>)> {
    let row: Vec<_> = table.file_columns().map(Given::for_column).collect();
    (Just(table), prop::collection::vec(row, 0..12))
}

proptest! {
    /// Whatever a decoder hands in, each row is in the file or refused, and the file can be written.
    #[test]
    fn inv4_any_sequence_of_cells_gives_rows_or_refusals_and_never_an_encoding_error(
        (table, rows) in prop_oneof![rows_of(ehr_events::table().into()), rows_of(device_status::table().into()), rows_of(dead_letters::table().into())],
        times in prop::collection::vec(any::<i64>(), 12),
        column_bytes_max in prop_oneof![Just(COLUMN_BYTES_MAX), 0_usize..40],
    ) {
        let mut small = RowTable::with_limit(table.clone(), column_bytes_max);
        let mut taken = 0;
        for (row, time_us) in rows.iter().zip(times) {
            let cells: Vec<Cell<'_>> = row.iter().map(Given::cell).collect();
            taken += u64::from(small.push(time_us, &cells).is_ok());
        }
        prop_assert_eq!(small.len() as u64, taken);
        let mut written = 0;
        for (_, batch) in small.finish(20_000).unwrap() {
            written += lake::parquet::encode(&table, [batch]).unwrap().map_or(0, |file| file.rows);
        }
        prop_assert_eq!(written, taken);
    }
}
