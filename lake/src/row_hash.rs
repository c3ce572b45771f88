//! A number for every value and for every row's identity, to compare and count rows without holding them.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Float64Type, Int32Type, Int64Type};
use arrow::datatypes::{TimeUnit, TimestampMicrosecondType};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// An odd number with bits all over.
pub(crate) const SALT: u64 = 0x9e37_79b9_7f4a_7c15;

/// Spreads every bit over all others (splitmix64).
pub(crate) fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// A number of each row: of the columns that tell it from every other.
pub(crate) fn identities<'a>(
    columns: impl IntoIterator<Item = &'a ArrayRef>,
    rows: usize,
) -> Vec<u64> {
    let mut numbers = vec![0; rows];
    for values in columns {
        fold(values, |row, value| numbers[row] = mix(numbers[row] ^ value));
    }
    numbers
}

/// Calls `each` with the row and a number of every value that is not NULL.
pub(crate) fn fold(values: &dyn Array, mut each: impl FnMut(usize, u64)) {
    macro_rules! each_of {
        ($array:expr, $number:expr) => {
            $array.iter().enumerate().for_each(|(row, value)| {
                if let Some(value) = value {
                    each(row, $number(value));
                }
            })
        };
    }
    let bytes = |value: &[u8]| xxh3_64_with_seed(value, SALT);
    let text = |value: &str| bytes(value.as_bytes());
    let long = |value: i64| value.cast_unsigned();
    let int = |value: i32| long(i64::from(value));
    match values.data_type() {
        DataType::Utf8View => each_of!(values.as_string_view(), text),
        DataType::Utf8 => each_of!(values.as_string::<i32>(), text),
        DataType::BinaryView => each_of!(values.as_binary_view(), bytes),
        DataType::Float64 => each_of!(values.as_primitive::<Float64Type>(), f64::to_bits),
        DataType::Int64 => each_of!(values.as_primitive::<Int64Type>(), long),
        DataType::Int32 => each_of!(values.as_primitive::<Int32Type>(), int),
        DataType::Date32 => each_of!(values.as_primitive::<Date32Type>(), int),
        DataType::Boolean => each_of!(values.as_boolean(), u64::from),
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            each_of!(values.as_primitive::<TimestampMicrosecondType>(), long);
        }
        other => unreachable!("no table has {other}"),
    }
}
