//! What keys do.

use super::ask::Act;
use super::lists::List;
use super::state::{Action, Confirm, Event, Key, Mode, State, View};

/// For how long an alert can be silenced.
pub(crate) const SPANS: [&str; 5] = ["30m", "1h", "2h", "8h", "24h"];
/// Rows of a page, for the keys that move by one.
const PAGE: usize = 10;
/// Characters of a search.
const SEARCH_MAX: usize = 60;

impl State {
    /// Takes whatever happened; says what is to be done.
    pub(crate) fn event(&mut self, event: Event) -> Vec<Action> {
        let Event::Key(key) = event else { return self.take(event) };
        let mut actions = match (&self.mode, key) {
            (_, Key::Interrupt) => return vec![Action::Quit],
            (Mode::Search, key) => self.search(key),
            (Mode::Help, _) => {
                self.mode = Mode::Look;
                Vec::new()
            }
            (Mode::Confirm(confirm), key) => {
                let confirm = confirm.clone();
                self.confirm(confirm, key)
            }
            (Mode::Look, Key::Char('q')) => return vec![Action::Quit],
            (Mode::Look, key) => {
                self.look(key);
                Vec::new()
            }
        };
        actions.extend(self.due());
        actions
    }

    fn look(&mut self, key: Key) {
        match key {
            Key::Char(digit @ '1'..='8') => {
                let at = usize::try_from(u32::from(digit) - u32::from('1')).unwrap_or_default();
                self.view = View::ALL.get(at).copied().unwrap_or(self.view);
            }
            Key::Tab | Key::Right => self.turn(1),
            Key::BackTab | Key::Left => self.turn(View::ALL.len() - 1),
            Key::Char('?' | 'h') => self.mode = Mode::Help,
            Key::Char('r') => self.refresh(),
            Key::Char('/') if self.view != View::Overview => self.mode = Mode::Search,
            Key::Char('o') => self.sort_by_next(),
            Key::Char('O') => {
                let place = self.place(self.view);
                place.sort = place.sort.map(|(column, greatest_first)| (column, !greatest_first));
            }
            Key::Char('a') if self.view == View::Alerts => self.begin(None),
            Key::Char('s') if self.view == View::Alerts => self.begin(Some(0)),
            Key::Esc => self.place(self.view).search.clear(),
            Key::Up | Key::Char('k') => self.go(|at, _| at.saturating_sub(1)),
            Key::Down | Key::Char('j') => self.go(|at, _| at + 1),
            Key::PageUp => self.go(|at, _| at.saturating_sub(PAGE)),
            Key::PageDown => self.go(|at, _| at + PAGE),
            Key::Home | Key::Char('g') => self.go(|_, _| 0),
            Key::End | Key::Char('G') => self.go(|_, last| last),
            Key::Char(_) | Key::Enter | Key::Backspace | Key::Interrupt => {}
        }
    }

    fn turn(&mut self, by: usize) {
        let at = View::ALL.iter().position(|view| *view == self.view).unwrap_or_default();
        self.view = View::ALL[(at + by) % View::ALL.len()];
    }

    /// Marks another row, of those that are shown; the overview has lines instead.
    fn go(&mut self, to: impl Fn(usize, usize) -> usize) {
        let view = self.view;
        let list = List::of(self, view);
        let rows = list.as_ref().map_or(usize::MAX, |list| list.rows.len());
        let at = match &list {
            Some(list) => list.marked(self.places.get(&view)),
            None => self.place(view).at,
        };
        let last = rows.saturating_sub(1);
        let at = to(at, if list.is_some() { last } else { at }).min(last);
        let id = list.and_then(|list| list.rows.get(at).map(|row| row.id.clone()));
        let place = self.place(view);
        (place.at, place.id) = (at, id);
    }

    /// By the next column, numbers with the greatest first; after the last as it was answered.
    fn sort_by_next(&mut self) {
        let view = self.view;
        let Some(list) = List::of(self, view) else { return };
        let place = self.place(view);
        let next = place.sort.map_or(0, |(column, _)| column + 1);
        place.sort = list.columns.get(next).map(|column| (next, column.number));
    }

    fn search(&mut self, key: Key) -> Vec<Action> {
        let place = self.place(self.view);
        match key {
            Key::Char(letter) if place.search.chars().count() < SEARCH_MAX => {
                place.search.push(letter);
            }
            Key::Backspace => drop(place.search.pop()),
            Key::Esc => {
                place.search.clear();
                self.mode = Mode::Look;
            }
            Key::Enter => self.mode = Mode::Look,
            // Whoever looks for something looks through what is found.
            Key::Up | Key::Down | Key::PageUp | Key::PageDown => self.look(key),
            _ => {}
        }
        Vec::new()
    }

    /// Asks whether it is meant; the alert is the one that is marked now, wherever it moves meanwhile.
    fn begin(&mut self, silence: Option<usize>) {
        let Some(list) = List::of(self, View::Alerts) else { return };
        let at = list.marked(self.places.get(&View::Alerts));
        let Some(row) = list.rows.get(at) else { return };
        let known = self.alerts().map(|known| known.alerts.as_slice()).unwrap_or_default();
        let Some(alert) = known.iter().find(|alert| *alert.alert == row.id) else { return };
        let about = format!("{} on {}", alert.rule, alert.whom());
        self.mode = Mode::Confirm(Confirm { alert: row.id.clone(), about, silence });
    }

    fn confirm(&mut self, confirm: Confirm, key: Key) -> Vec<Action> {
        let Confirm { alert, about, silence } = &confirm;
        let longer = |by: usize| silence.map(|at| (at + by) % SPANS.len());
        match key {
            Key::Char('y') => {}
            Key::Up | Key::Char('+' | 'k') if silence.is_some() => {
                self.mode = Mode::Confirm(Confirm { silence: longer(1), ..confirm });
                return Vec::new();
            }
            Key::Down | Key::Char('-' | 'j') if silence.is_some() => {
                let silence = longer(SPANS.len() - 1);
                self.mode = Mode::Confirm(Confirm { silence, ..confirm });
                return Vec::new();
            }
            Key::Char('n' | 'q') | Key::Esc => {
                self.mode = Mode::Look;
                return Vec::new();
            }
            // A slip of the finger is no answer.
            _ => return Vec::new(),
        }
        self.mode = Mode::Look;
        let (act, words) = match silence.and_then(|at| SPANS.get(at)) {
            Some(span) => (Act::Silence(span), format!("silenced for {span}: {about}")),
            None => (Act::Acknowledge, format!("acknowledged: {about}")),
        };
        self.tell("waiting until it is in the lake …".into(), true);
        vec![Action::Act { alert: alert.clone(), act, words }]
    }
}
