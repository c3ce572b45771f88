//! The lists of the views: rows of what is known, found by the search and in the order that was asked for.

use std::cmp::Ordering;

use super::cells::{Cell, Column, Row};
use super::rows::{self, Rows};
use super::state::{Place, State, View};
use super::words::plural;
use crate::print::grouped;

/// A list as it is shown.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) columns: &'static [Column],
    pub(crate) rows: Vec<Row>,
    /// Rows before the search.
    pub(crate) all: usize,
    /// What is not in it, or beside it.
    pub(crate) note: Option<String>,
    /// What to say, and to do, if there is none.
    pub(crate) empty: &'static str,
}

impl List {
    /// Of a view; none if nothing is known yet, or it has no list.
    pub(crate) fn of(state: &State, view: View) -> Option<Self> {
        let (Rows { columns, rows, empty }, note) = known(state, view)?;
        let mut list = Self { columns, all: rows.len(), rows, note, empty };
        if let Some(place) = state.places.get(&view) {
            list.find(&place.search);
            list.order(place);
        }
        Some(list)
    }

    /// Where the marked row is: by its name, else where it was.
    pub(crate) fn marked(&self, place: Option<&Place>) -> usize {
        let Some(place) = place else { return 0 };
        let by_name =
            place.id.as_ref().and_then(|id| self.rows.iter().position(|row| row.id == *id));
        by_name.unwrap_or(place.at).min(self.rows.len().saturating_sub(1))
    }

    fn find(&mut self, search: &str) {
        let search = search.to_lowercase();
        if !search.is_empty() {
            let has = |cell: &Cell| cell.text.to_lowercase().contains(&search);
            self.rows.retain(|row| row.cells.iter().any(has));
        }
    }

    fn order(&mut self, place: &Place) {
        let Some((column, greatest_first)) = place.sort else { return };
        self.rows.sort_by(|a, b| {
            let order = match (a.cells.get(column), b.cells.get(column)) {
                (Some(a), Some(b)) => compared(a, b),
                _ => Ordering::Equal,
            };
            if greatest_first { order.reverse() } else { order }
        });
    }
}

/// The rows of a view, and what is not in them or beside them.
fn known(state: &State, view: View) -> Option<(Rows, Option<String>)> {
    let now = state.now_us;
    Some(match view {
        View::Overview => return None,
        View::Sources => (rows::sources(&state.sources()?.sources, now), None),
        View::Devices => {
            let known = state.devices()?;
            (rows::devices(&known.devices, now), cut(known.next.is_some()))
        }
        View::Topics => {
            let known = state.topics()?;
            let left_out = (known.left_out > 0).then(|| {
                let messages = plural(known.left_out, "message", "messages");
                format!("{messages} on further topics are not listed")
            });
            (rows::topics(&known.topics, now), cut(known.next.is_some()).or(left_out))
        }
        View::Alerts => {
            let known = state.alerts()?;
            (rows::alerts(&known.alerts, now), cut(known.next.is_some()))
        }
        View::DeadLetters => (rows::dead_letters(&state.dead_letters()?.reasons, now), None),
        View::Limits => (rows::limits(&state.limits()?.limits), None),
        View::Connections => {
            let known = state.connections()?;
            let refused =
                known.refusals.iter().map(|it| format!("{} {}", it.reason, grouped(it.count)));
            let refused = refused.collect::<Vec<_>>().join(", ");
            let refused = (!refused.is_empty()).then(|| format!("refused: {refused}"));
            let note = cut(known.next.is_some()).or(refused);
            (rows::connections(&known.connections, now), note)
        }
    })
}

fn compared(a: &Cell, b: &Cell) -> Ordering {
    let by_text = || a.text.to_lowercase().cmp(&b.text.to_lowercase());
    a.by.zip(b.by).map_or_else(by_text, |(a, b)| a.cmp(&b))
}

fn cut(more: bool) -> Option<String> {
    more.then(|| "only the first 1,000 are listed and searched".to_owned())
}
