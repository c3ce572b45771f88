//! The order of rows: as they arrived, or as they happened.

use std::collections::HashMap;

use clap::ValueEnum;

use super::rows::{Kept, Rows};

/// In which order rows are played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Order {
    /// As they arrived, by source and offset: gives the alerts that there were.
    Arrival,
    /// As they happened: gives the alerts that there would have been, had nothing been late.
    Event,
}

/// Sorts rows. Within a source the order of arrival is that of its offsets; its epochs follow each other by their first receipt. Sources
/// are merged by receipt.
pub(super) fn sort(rows: &mut Rows, order: Order) {
    let by_name = ranks(rows);
    let rank = |source: u32| by_name.get(&source).copied().unwrap_or_default();
    let all = &mut rows.rows;
    if order == Order::Event {
        all.sort_by_key(|row| (row.event_us, rank(row.source), row.epoch, row.offset, row.row_no));
        for row in all {
            row.received_us = row.event_us;
        }
        return;
    }
    let mut began: HashMap<(u32, i64), i64> = HashMap::new();
    for row in all.iter() {
        let first = began.entry((row.source, row.epoch)).or_insert(row.received_us);
        *first = (*first).min(row.received_us);
    }
    let began = |row: &Kept| began.get(&(row.source, row.epoch)).copied().unwrap_or_default();
    all.sort_by_key(|row| (rank(row.source), began(row), row.epoch, row.offset, row.row_no));
    // How far the source's receipts have come at each row: what sources are merged by.
    let mut arrived = Vec::with_capacity(all.len());
    let mut so_far = (u32::MAX, i64::MIN);
    for row in all.iter() {
        let before = if so_far.0 == row.source { so_far.1 } else { i64::MIN };
        so_far = (row.source, before.max(row.received_us));
        arrived.push(so_far.1);
    }
    let mut numbered: Vec<(i64, u32)> = arrived.into_iter().zip(0..).collect();
    numbered.sort_unstable();
    let sorted = numbered.into_iter().map(|(_, at)| all[at as usize]).collect();
    *all = sorted;
}

/// The place of each source among their names.
fn ranks(rows: &Rows) -> HashMap<u32, u32> {
    let mut sources: Vec<u32> = rows.rows.iter().map(|row| row.source).collect();
    sources.sort_unstable();
    sources.dedup();
    sources.sort_unstable_by_key(|source| rows.word(*source));
    sources.into_iter().zip(0..).collect()
}

#[cfg(test)]
mod tests {
    use watch::{Quality, Reading, RowId};

    use super::*;

    fn rows(of: &[(&str, i64, i64, i64, i64)]) -> Rows {
        let mut rows = Rows::new(100);
        for (source_id, epoch, source_offset, event_us, received_us) in of {
            let id = RowId { source_id, epoch: *epoch, source_offset: *source_offset, row_no: 0 };
            let (event_us, received_us) = (*event_us, *received_us);
            let reading = Reading {
                id,
                site: "s",
                device: "d",
                metric: "m",
                unit: "",
                value: Some(1.0),
                text: None,
                quality: Quality::Good,
                event_us,
                received_us,
            };
            rows.push(&reading).unwrap();
        }
        rows
    }

    fn sorted(rows: &mut Rows, order: Order) -> Vec<(String, i64, i64)> {
        sort(rows, order);
        let rows = &*rows;
        rows.rows
            .iter()
            .map(|row| (rows.word(row.source).to_owned(), row.epoch, row.offset))
            .collect()
    }

    #[test]
    fn arrival_follows_offsets_within_a_source_and_receipts_between_them() {
        let mut rows = rows(&[
            ("b", 1, 0, 9, 15),
            ("a", 7, 1, 5, 20),
            ("a", 7, 0, 6, 10),
            // A clock that was set back: the offset counts.
            ("a", 7, 2, 7, 12),
            // A new epoch has any number.
            ("a", 3, 0, 8, 30),
        ]);
        let of = |source: &str, epoch, offset| (source.to_owned(), epoch, offset);
        let right = [of("a", 7, 0), of("b", 1, 0), of("a", 7, 1), of("a", 7, 2), of("a", 3, 0)];
        assert_eq!(sorted(&mut rows, Order::Arrival), right);
        let right = [of("a", 7, 1), of("a", 7, 0), of("a", 7, 2), of("a", 3, 0), of("b", 1, 0)];
        assert_eq!(sorted(&mut rows, Order::Event), right);
        assert!(rows.rows.iter().all(|row| row.received_us == row.event_us));
    }

    #[test]
    fn more_rows_than_there_is_room_for_are_an_error_with_a_remedy() {
        let mut few = Rows::new(1);
        let all = rows(&[("a", 1, 0, 1, 1), ("a", 1, 1, 2, 2)]);
        few.push(&all.reading(&all.rows[0])).unwrap();
        let error = few.push(&all.reading(&all.rows[1])).unwrap_err().to_string();
        assert!(error.contains("--since"), "{error}");
    }
}
