//! The readings of a landing in file order, as Arrow batches with dictionaries.
//!
//! Sorting by (device, metric, time) is a counting sort over the few (device, metric) pairs of a landing; within a pair
//! rows are nearly always in time order already. Batches are small, so that they stay in the CPU's cache while Parquet
//! encodes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, DictionaryArray, Float64Array, Int32Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::SchemaRef;
use lake::date::date_of;
use lake::table::Table;

use super::flags::{Flags, QUALITIES, TIME_SOURCES};
use super::intern::NONE;
use super::judging::COMPARATORS;
use super::readings::{ABSENT, Aside, CLINICAL, PROTOCOLS, Readings};
use super::{Devices, SourceNames};

/// Rows of a batch.
const BATCH_ROWS: usize = 8 * 1024;
/// Pairs of device and metric that a counting sort is worth.
const PAIRS_MAX: usize = 1 << 20;

/// The readings of one landing, sealed: dictionaries made, ready to be read in any order by several threads.
#[derive(Debug)]
pub(crate) struct Sealed {
    rows: Readings,
    schema: SchemaRef,
    sites: Dictionary,
    devices: Dictionary,
    sources: Dictionary,
    epochs: Vec<i64>,
    metrics: Arc<StringArray>,
    units: Arc<StringArray>,
    texts: Arc<StringArray>,
    people: Arc<StringArray>,
    extras: Arc<StringArray>,
    qualities: Arc<StringArray>,
    protocols: Arc<StringArray>,
    words: Arc<StringArray>,
    comparators: Arc<StringArray>,
    time_sources: Arc<StringArray>,
    flag_keys: BTreeMap<Flags, i32>,
    flags: Arc<StringArray>,
}

/// Values, and for each device or source of the batch its key among them.
#[derive(Debug)]
struct Dictionary {
    values: Arc<StringArray>,
    keys: Vec<u32>,
}

const DICTIONARIES: [&str; 26] = [
    "site",
    "device_id",
    "metric",
    "value_text",
    "unit",
    "quality",
    "flags",
    "extra",
    "patient_id",
    "encounter_id",
    "ward",
    "bed",
    "protocol",
    "source_id",
    "unit_original",
    "time_source",
    "time_text",
    "comparator",
    "status",
    "interpretation",
    "reference_range",
    "method",
    "absent_reason",
    "resource_id",
    "version_id",
    "codings",
];

impl Sealed {
    pub(crate) fn new(
        table: &Table,
        rows: Readings,
        devices: &Devices,
        sources: &SourceNames,
    ) -> Self {
        let mut flags: Vec<Flags> = rows.flags.clone();
        flags.sort_unstable();
        flags.dedup();
        let texts: Vec<(Flags, String)> =
            flags.iter().filter_map(|flags| Some((*flags, flags.text()?))).collect();
        Self {
            schema: lake::parquet::dictionary_schema(table, &DICTIONARIES),
            sites: Dictionary { values: devices.sites.dictionary(), keys: devices.site_of.clone() },
            devices: Dictionary {
                values: devices.names.dictionary(),
                keys: devices.name_of.clone(),
            },
            sources: Dictionary {
                values: sources.names.dictionary(),
                keys: sources.name_of.clone(),
            },
            epochs: sources.epochs.clone(),
            metrics: rows.metrics.dictionary(),
            units: rows.units.dictionary(),
            texts: rows.texts.dictionary(),
            people: rows.people.dictionary(),
            extras: rows.extras.dictionary(),
            qualities: Arc::new(StringArray::from(QUALITIES.to_vec())),
            protocols: Arc::new(StringArray::from(PROTOCOLS.to_vec())),
            words: rows.words.dictionary(),
            comparators: Arc::new(StringArray::from(COMPARATORS.to_vec())),
            time_sources: Arc::new(StringArray::from(TIME_SOURCES.to_vec())),
            flag_keys: texts.iter().zip(0..).map(|((flags, _), key)| (*flags, key)).collect(),
            flags: Arc::new(StringArray::from_iter_values(texts.iter().map(|(_, text)| text))),
            rows,
        }
    }

    /// The rows of each partition date, in the order of the table. `landing_date` is for those that have no date of their own.
    pub(crate) fn orders(&self, devices: &Devices, landing_date: i32) -> Vec<(i32, Vec<u32>)> {
        let all = (0..).take(self.rows.len());
        let mut dates: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
        let date = |row: usize| match self.rows.flags[row].has(Flags::DATE_OF_LANDING) {
            true => landing_date,
            false => date_of(self.rows.event_us[row]),
        };
        let first = (self.rows.len() > 0).then(|| date(0));
        if (0..self.rows.len()).all(|row| Some(date(row)) == first) {
            dates.extend(first.map(|date| (date, all.collect())));
        } else {
            for row in all {
                dates.entry(date(row as usize)).or_default().push(row);
            }
        }
        let (device_ranks, metric_ranks) = (devices.ranks(), self.rows.metrics.ranks());
        let metrics = metric_ranks.len().max(1);
        let pair = |row: u32| {
            let row = row as usize;
            let device = device_ranks[self.rows.device[row] as usize] as usize;
            device * metrics + metric_ranks[self.rows.metric[row] as usize] as usize
        };
        let pairs = devices.site_of.len() * metrics;
        let sort =
            |(date, rows): (i32, Vec<u32>)| (date, sorted(rows, pairs, pair, &self.rows.event_us));
        dates.into_iter().map(sort).collect()
    }

    /// The rows of `order`, a few thousand at a time.
    pub(crate) fn batches(
        self: &Arc<Self>,
        order: Vec<u32>,
    ) -> impl Iterator<Item = RecordBatch> + Send + use<> {
        let sealed = self.clone();
        let mut at = 0;
        std::iter::from_fn(move || {
            let end = (at + BATCH_ROWS).min(order.len());
            let rows = &order[at..end];
            at = end;
            (!rows.is_empty()).then(|| sealed.batch(rows))
        })
    }

    /// Most landings have nothing there, and make nothing of it row by row.
    fn extras(&self, rows: &[u32]) -> ArrayRef {
        if self.extras.len() == 0 {
            return nothing(rows, &self.extras);
        }
        dictionary(rows, |row| self.rows.extra[row], &self.extras)
    }

    /// A column of those that few rows have.
    fn aside(
        &self,
        rows: &[u32],
        values: &Arc<StringArray>,
        of: impl Fn(&Aside) -> u32,
    ) -> ArrayRef {
        if self.rows.asides.is_empty() {
            return nothing(rows, values);
        }
        let number =
            |row: usize| self.rows.asides.get(self.rows.aside[row] as usize).map_or(NONE, &of);
        dictionary(rows, number, values)
    }

    fn originals(&self, rows: &[u32]) -> ArrayRef {
        if self.rows.asides.is_empty() {
            return Arc::new(Float64Array::new_null(rows.len()));
        }
        let original = |row: &u32| {
            let aside = self.rows.asides.get(self.rows.aside[*row as usize] as usize)?;
            Some(aside.value_original).filter(|value| !value.is_nan())
        };
        Arc::new(rows.iter().map(original).collect::<Float64Array>())
    }

    /// What an Observation says beside its values.
    fn clinical(&self, rows: &[u32]) -> [ArrayRef; CLINICAL.len()] {
        let list = &self.rows.clinical_list;
        std::array::from_fn(|part| {
            let number =
                |aside: &Aside| list.get(aside.clinical as usize).map_or(NONE, |said| said[part]);
            self.aside(rows, &self.words, number)
        })
    }

    fn batch(&self, rows: &[u32]) -> RecordBatch {
        let own = &self.rows;
        let place = |part: usize| {
            let number = |row: usize| {
                own.place_list.get(own.place[row] as usize).map_or(NONE, |place| place[part])
            };
            dictionary(rows, number, &self.people)
        };
        let through = |dictionary_of: &Dictionary, of: &[u32]| {
            dictionary(rows, |row| dictionary_of.keys[of[row] as usize], &dictionary_of.values)
        };
        let flag = |row: usize| {
            self.flag_keys.get(&own.flags[row]).map_or(NONE, |key| key.cast_unsigned())
        };
        let mut columns: Vec<ArrayRef> = vec![
            times(rows, &own.event_us, false),
            times(rows, &own.device_us, true),
            times(rows, &own.received_us, false),
            through(&self.sites, &own.device),
            through(&self.devices, &own.device),
            dictionary(rows, |row| own.metric[row], &self.metrics),
            doubles(rows, &own.value),
            dictionary(rows, |row| own.text[row], &self.texts),
            dictionary(rows, |row| own.unit[row], &self.units),
            dictionary(rows, |row| own.flags[row].quality().into(), &self.qualities),
            dictionary(rows, flag, &self.flags),
            self.extras(rows),
            place(0),
            place(1),
            place(2),
            place(3),
            longs(rows, &own.boot, true),
            longs(rows, &own.seq, true),
            dictionary(rows, |row| own.protocol[row].into(), &self.protocols),
            self.originals(rows),
            self.aside(rows, &self.units, |aside| aside.unit_original),
            self.aside(rows, &self.comparators, |aside| aside.comparator),
            dictionary(rows, |row| own.flags[row].time_source().into(), &self.time_sources),
            self.aside(rows, &self.words, |aside| aside.time_text),
        ];
        columns.extend(self.clinical(rows));
        columns.extend([
            through(&self.sources, &own.source),
            Arc::new(Int64Array::from_iter_values(
                rows.iter().map(|row| self.epochs[own.source[*row as usize] as usize]),
            )),
            longs(rows, &own.offset, false),
            Arc::new(Int32Array::from_iter_values(
                rows.iter().map(|row| own.row_no[*row as usize]),
            )),
        ]);
        RecordBatch::try_new(self.schema.clone(), columns)
            .expect("the columns are made after the table's schema")
    }
}

/// Sorts by pair, then time.
fn sorted(rows: Vec<u32>, pairs: usize, pair: impl Fn(u32) -> usize, event_us: &[i64]) -> Vec<u32> {
    let time = |row: &u32| event_us[*row as usize];
    if pairs > PAIRS_MAX || rows.len() < 64 {
        let mut rows = rows;
        rows.sort_by_key(|row| (pair(*row), time(row)));
        return rows;
    }
    // Where each pair begins, from how often each occurs.
    let mut begins = vec![0_u32; pairs + 1];
    for row in &rows {
        begins[pair(*row) + 1] += 1;
    }
    for pair in 0..pairs {
        begins[pair + 1] += begins[pair];
    }
    let mut ends = begins.clone();
    let mut order = vec![0; rows.len()];
    for row in rows {
        let end = &mut ends[pair(row)];
        order[*end as usize] = row;
        *end += 1;
    }
    for range in begins.windows(2) {
        let run = &mut order[range[0] as usize..range[1] as usize];
        if !run.is_sorted_by_key(time) {
            run.sort_by_key(time);
        }
    }
    order
}

fn nothing(rows: &[u32], values: &Arc<StringArray>) -> ArrayRef {
    Arc::new(DictionaryArray::new(Int32Array::new_null(rows.len()), values.clone()))
}

fn dictionary(rows: &[u32], number: impl Fn(usize) -> u32, values: &Arc<StringArray>) -> ArrayRef {
    let keys: Vec<i32> = rows.iter().map(|row| number(*row as usize).cast_signed()).collect();
    // `NONE` is -1 as a key.
    let nulls =
        keys.contains(&-1).then(|| keys.iter().map(|key| *key >= 0).collect::<NullBuffer>());
    let keys = Int32Array::new(keys.into(), nulls);
    Arc::new(DictionaryArray::new(keys, values.clone()))
}

fn gather(rows: &[u32], column: &[i64], nullable: bool) -> (Vec<i64>, Option<NullBuffer>) {
    let values: Vec<i64> = rows.iter().map(|row| column[*row as usize]).collect();
    let some_absent = nullable && values.contains(&ABSENT);
    let nulls = some_absent.then(|| values.iter().map(|value| *value != ABSENT).collect());
    (values, nulls)
}

fn longs(rows: &[u32], column: &[i64], nullable: bool) -> ArrayRef {
    let (values, nulls) = gather(rows, column, nullable);
    Arc::new(Int64Array::new(values.into(), nulls))
}

fn times(rows: &[u32], column: &[i64], nullable: bool) -> ArrayRef {
    let (values, nulls) = gather(rows, column, nullable);
    Arc::new(TimestampMicrosecondArray::new(values.into(), nulls).with_timezone("UTC"))
}

fn doubles(rows: &[u32], column: &[f64]) -> ArrayRef {
    let values: Vec<f64> = rows.iter().map(|row| column[*row as usize]).collect();
    let some_absent = values.iter().any(|value| value.is_nan());
    let nulls = some_absent.then(|| values.iter().map(|value| !value.is_nan()).collect());
    Arc::new(Float64Array::new(values.into(), nulls))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_counting_sort_agrees_with_a_plain_one(rows in prop::collection::vec((0_usize..6, 0_i64..50), 0..300)) {
            let times: Vec<i64> = rows.iter().map(|(_, time)| *time).collect();
            let pair = |row: u32| rows[row as usize].0;
            let all: Vec<u32> = (0..).take(rows.len()).collect();
            let mut plain = all.clone();
            plain.sort_by_key(|row| (pair(*row), times[*row as usize]));
            prop_assert_eq!(sorted(all, 6, pair, &times), plain);
        }
    }
}
