//! Whether the tables of a lake belong together: what the ledger says of a table against what the table's own log says.
//!
//! A lake that was copied table by table, or lost the end of a log, looks sound table by table. Landing on top of it would
//! promise rows that are not there, or land rows a second time.

use std::collections::HashMap;

use crate::landing::{before_app, lane_app, lanes, table_app};

/// Why a table, whose application versions are `own`, is ahead of the ledger, whose are `ledger`. The ledger must have been read
/// after the table: a landing is decided before it is applied.
pub(crate) fn ahead(ledger: &HashMap<String, i64>, own: &HashMap<String, i64>) -> Option<String> {
    let mut own: Vec<(u8, i64)> = lanes(own).into_iter().collect();
    own.sort_unstable();
    let known = |lane| ledger.get(&lane_app(lane)).copied().unwrap_or(0);
    let (lane, has) = own.into_iter().find(|(lane, has)| *has > known(*lane))?;
    Some(format!("it has landing {has} of lane {lane}, the ledger knows of {}", known(lane)))
}

/// Why `table` lacks landings that the ledger has receipts for, given that the last landing of a lane may still have to be applied.
/// The table must have been read after the ledger: a lane goes on when its last landing is applied.
pub(crate) fn behind(
    table: &str,
    ledger: &HashMap<String, i64>,
    own: &HashMap<String, i64>,
) -> Option<String> {
    lanes(ledger).into_iter().find_map(|(lane, newest)| {
        let last = *ledger.get(&table_app(table, lane))?;
        let before = || ledger.get(&before_app(table, lane)).copied().unwrap_or(0);
        let needs = if last == newest { before() } else { last };
        let has = own.get(&lane_app(lane)).copied().unwrap_or(0);
        (has < needs).then(|| {
            format!("the ledger says that landing {needs} of lane {lane} is in it, it has {has}")
        })
    })
}

/// Whether `table` has every landing that the ledger knows.
pub(crate) fn has_all(
    table: &str,
    ledger: &HashMap<String, i64>,
    own: &HashMap<String, i64>,
) -> bool {
    lanes(ledger).into_keys().all(|lane| {
        let last = ledger.get(&table_app(table, lane)).copied().unwrap_or(0);
        own.get(&lane_app(lane)).copied().unwrap_or(0) >= last
    })
}

/// Whether the ledger says that anything landed in `table`; `None`: it was written by a version that did not say.
pub(crate) fn touched(table: &str, ledger: &HashMap<String, i64>) -> Option<bool> {
    let says = |app: &String| app.starts_with("table/");
    let of_table = format!("table/{table}/");
    if ledger.keys().any(|app| app.starts_with(&of_table)) {
        return Some(true);
    }
    (ledger.keys().any(says) || lanes(ledger).is_empty()).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txns(list: &[(&str, i64)]) -> HashMap<String, i64> {
        list.iter().map(|(app, version)| ((*app).to_owned(), *version)).collect()
    }

    #[test]
    fn a_table_is_whole_ahead_or_behind() {
        let ledger = txns(&[
            ("lane/3", 9),
            ("table/readings/3", 9),
            ("before/readings/3", 7),
            ("table/alerts/3", 5),
            ("before/alerts/3", 2),
        ]);
        let readings = |has| behind("readings", &ledger, &txns(&[("lane/3", has)]));
        assert_eq!((readings(9), readings(7)), (None, None), "the last one may have to be applied");
        assert!(readings(6).unwrap().contains("landing 7 of lane 3"));
        let alerts = |has| behind("alerts", &ledger, &txns(&[("lane/3", has)]));
        assert!(alerts(5).is_none() && alerts(4).is_some(), "that one is long applied");
        assert_eq!(ahead(&ledger, &txns(&[("lane/3", 9)])), None);
        assert!(ahead(&ledger, &txns(&[("lane/3", 10)])).unwrap().contains("knows of 9"));
        assert!(ahead(&ledger, &txns(&[("lane/4", 1)])).unwrap().contains("knows of 0"));
        assert_eq!(
            (touched("alerts", &ledger), touched("dead_letters", &ledger)),
            (Some(true), Some(false))
        );
        assert_eq!(touched("alerts", &txns(&[("lane/3", 1)])), None, "an older version's");
        assert_eq!(touched("alerts", &txns(&[])), Some(false));
    }
}
