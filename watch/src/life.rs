//! The life of one alert: a table of states and what moves them.
//!
//! | from \ on | `Rise` | `Hold` | `Quiet` | `Drop` | `Clear` | `Acknowledge` | `Silence` | `Wake` | `Again` |
//! |---|---|---|---|---|---|---|---|---|---|
//! | resolved | pending | firing | silenced | – | – | – | – | – | – |
//! | pending | – | firing | silenced | resolved | – | – | – | – | – |
//! | firing | – | – | – | – | resolved | acknowledged | silenced | – | firing |
//! | acknowledged | – | – | – | – | resolved | – | silenced | – | – |
//! | silenced | – | – | – | – | resolved | acknowledged | silenced | firing | – |
//!
//! `–` changes nothing and is told to nobody. `Rise`: the condition became true and must hold; `Hold`: it held; `Quiet`: it held
//! in a maintenance window; `Drop`: it ended before; `Clear`: it was false for as long as asked; `Acknowledge` and `Silence`: by a
//! person; `Wake`: the silence is over; `Again`: it is time to repeat it.

/// Where an alert is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// There is nothing, or no more.
    Resolved,
    /// The condition is true, but not for long enough.
    Pending,
    /// People should look.
    Firing,
    /// Somebody does.
    Acknowledged,
    /// Nobody wants to hear of it for a while.
    Silenced,
}

impl State {
    /// All of them, by number.
    pub const ALL: [Self; 5] =
        [Self::Resolved, Self::Pending, Self::Firing, Self::Acknowledged, Self::Silenced];

    /// Its word in tables and topics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Acknowledged => "acknowledged",
            Self::Silenced => "silenced",
        }
    }

    /// Whether its condition held, and was not cleared since.
    #[must_use]
    pub fn is_raised(self) -> bool {
        matches!(self, Self::Firing | Self::Acknowledged | Self::Silenced)
    }
}

/// What can happen to an alert. See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Rise,
    Hold,
    Quiet,
    Drop,
    Clear,
    Acknowledge,
    Silence,
    Wake,
    Again,
}

/// The state after an event; none if it changes nothing.
pub(crate) fn next(state: State, event: Event) -> Option<State> {
    use State::{Acknowledged, Firing, Pending, Resolved, Silenced};
    match (state, event) {
        (Resolved, Event::Rise) => Some(Pending),
        (Resolved | Pending, Event::Hold) => Some(Firing),
        (Resolved | Pending, Event::Quiet) => Some(Silenced),
        (Pending, Event::Drop) => Some(Resolved),
        (Firing | Acknowledged | Silenced, Event::Clear) => Some(Resolved),
        (Firing | Silenced, Event::Acknowledge) => Some(Acknowledged),
        (Firing | Acknowledged | Silenced, Event::Silence) => Some(Silenced),
        (Silenced, Event::Wake) | (Firing, Event::Again) => Some(Firing),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: [Event; 9] = [
        Event::Rise,
        Event::Hold,
        Event::Quiet,
        Event::Drop,
        Event::Clear,
        Event::Acknowledge,
        Event::Silence,
        Event::Wake,
        Event::Again,
    ];

    /// The table of the module's documentation is the code's.
    #[test]
    fn the_table_is_what_the_code_does() {
        let text = include_str!("life.rs");
        let rows = text.lines().filter_map(|line| line.strip_prefix("//! | "));
        let mut seen = 0;
        for row in rows.skip(1) {
            let cells: Vec<&str> =
                row.split('|').map(str::trim).filter(|c| !c.is_empty()).collect();
            let state = State::ALL.into_iter().find(|s| s.name() == cells[0]).unwrap();
            for (event, cell) in EVENTS.into_iter().zip(&cells[1..]) {
                let said = next(state, event).map_or("–", State::name);
                assert_eq!(said, *cell, "{state:?} {event:?}");
                seen += 1;
            }
        }
        assert_eq!(seen, State::ALL.len() * EVENTS.len());
    }

    proptest::proptest! {
        /// Whatever happens in whatever order: nothing is raised but by a condition that held, and a person's word moves only
        /// what is raised.
        #[test]
        fn no_order_of_events_leads_to_an_illegal_step(events in proptest::collection::vec(0..EVENTS.len(), 0..200)) {
            let mut state = State::Resolved;
            for event in events.into_iter().map(|n| EVENTS[n]) {
                let Some(to) = next(state, event) else { continue };
                if !state.is_raised() && to.is_raised() {
                    assert!(matches!(event, Event::Hold | Event::Quiet));
                }
                if state.is_raised() && !to.is_raised() {
                    assert_eq!((event, to), (Event::Clear, State::Resolved));
                }
                if to == State::Acknowledged {
                    assert!(event == Event::Acknowledge && state.is_raised());
                }
                if to == state {
                    assert!(event == Event::Again || event == Event::Silence);
                }
                state = to;
            }
        }
    }
}
