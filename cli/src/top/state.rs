//! What `tidemark top` knows and shows, and what an event makes of it. Pure: keys, answers and time go in, questions come out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::answers::{
    Alerts, Answer, Connections, DeadLetters, Devices, Limits, Overview, Sources, Topics,
};
use super::ask::{Act, Ask, Problem};

/// Looks that lines of the overview are made of.
const PAST_MAX: usize = 240;
/// What was done is told for so long.
const NOTICE: Duration = Duration::from_secs(8);

/// A page of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum View {
    Overview,
    Sources,
    Devices,
    Topics,
    Alerts,
    DeadLetters,
    Limits,
    Connections,
}

impl View {
    /// All of them, in the order of their keys.
    pub(crate) const ALL: [Self; 8] = [
        Self::Overview,
        Self::Sources,
        Self::Devices,
        Self::Topics,
        Self::Alerts,
        Self::DeadLetters,
        Self::Limits,
        Self::Connections,
    ];

    /// What it is filled with.
    pub(crate) fn ask(self) -> Ask {
        match self {
            Self::Overview => Ask::Overview,
            Self::Sources => Ask::Sources,
            Self::Devices => Ask::Devices,
            Self::Topics => Ask::Topics,
            Self::Alerts => Ask::Alerts,
            Self::DeadLetters => Ask::DeadLetters,
            Self::Limits => Ask::Limits,
            Self::Connections => Ask::Connections,
        }
    }

    /// Whether it needs this answer. Everybody needs the overview: its first line is on every page.
    fn needs(self, ask: Ask) -> bool {
        ask == Ask::Overview || ask == self.ask() || (self == Self::Overview && ask == Ask::Alerts)
    }
}

/// What happens.
#[derive(Debug)]
pub(crate) enum Event {
    Key(Key),
    /// Time goes on: since the start, and Unix microseconds.
    Tick(Duration, i64),
    Answer(Ask, Result<Answer, Problem>),
    /// What became of an action on an alert, with its words.
    Acted(String, Result<(), Problem>),
    /// The window has another size: there is nothing to know, it is drawn again.
    Resized,
}

/// A key, as far as it means something here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    Char(char),
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    Tab,
    BackTab,
    Enter,
    Esc,
    Backspace,
    /// Ctrl-C.
    Interrupt,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    Ask(Ask),
    /// On an alert, with the words that it is told by.
    Act {
        alert: String,
        act: Act,
        words: String,
    },
    Quit,
}

/// What the keys are for at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    Look,
    /// Letters go to the search.
    Search,
    Help,
    Confirm(Confirm),
}

/// An action that waits for a yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Confirm {
    pub(crate) alert: String,
    /// Rule and whom it is about.
    pub(crate) about: String,
    /// For how long, in a silence: a place in the list of spans.
    pub(crate) silence: Option<usize>,
}

/// Where one is in a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// The row that is marked, by its name: rows move.
    pub(crate) id: Option<String>,
    /// Where it was, if it is there no more.
    pub(crate) at: usize,
    /// Column, and whether the greatest comes first; none: as it was answered.
    pub(crate) sort: Option<(usize, bool)>,
    pub(crate) search: String,
}

/// What is known by one question.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Slot {
    pub(crate) answer: Option<Answer>,
    /// When that came.
    pub(crate) at: Duration,
    /// Why there is none since then.
    pub(crate) problem: Option<Problem>,
    asked: Option<Duration>,
    waiting: bool,
}

/// Rates as they were, the newest last.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Past {
    pub(crate) messages: VecDeque<f64>,
    pub(crate) rows: VecDeque<f64>,
    pub(crate) lag: VecDeque<f64>,
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    /// Who is asked.
    pub(crate) target: String,
    /// How often.
    pub(crate) every: Duration,
    /// Whether there may be colours.
    pub(crate) colours: bool,
    pub(crate) now: Duration,
    pub(crate) now_us: i64,
    pub(crate) view: View,
    pub(crate) mode: Mode,
    pub(crate) places: BTreeMap<View, Place>,
    pub(crate) past: Past,
    slots: BTreeMap<Ask, Slot>,
    notice: Option<(String, bool, Duration)>,
}

impl State {
    pub(crate) fn new(target: String, every: Duration, colours: bool) -> Self {
        Self {
            target,
            every,
            colours,
            now: Duration::ZERO,
            now_us: 0,
            view: View::Overview,
            mode: Mode::Look,
            places: BTreeMap::new(),
            past: Past::default(),
            slots: BTreeMap::new(),
            notice: None,
        }
    }

    /// Takes what happened but keys; says what is to be done.
    pub(crate) fn take(&mut self, event: Event) -> Vec<Action> {
        match event {
            Event::Tick(now, now_us) => (self.now, self.now_us) = (now, now_us),
            Event::Answer(ask, answer) => self.answered(ask, answer),
            Event::Acted(words, done) => {
                let (told, well) = match done {
                    Ok(()) => (words, true),
                    Err(problem) => (format!("not {words}: {problem}"), false),
                };
                self.tell(told, well);
                for ask in [Ask::Alerts, Ask::Overview] {
                    self.slot(ask).asked = None;
                }
            }
            Event::Key(_) | Event::Resized => {}
        }
        self.due()
    }

    /// What is to be asked now.
    pub(crate) fn due(&mut self) -> Vec<Action> {
        let (now, every, view) = (self.now, self.every, self.view);
        let asks = View::ALL.map(View::ask).into_iter().filter(|ask| view.needs(*ask));
        let mut actions = Vec::new();
        for ask in asks {
            let slot = self.slots.entry(ask).or_default();
            let rest = slot.problem.as_ref().map_or(Duration::ZERO, Problem::rest);
            let pause = every.max(ask.seldom()).max(rest);
            let is_due = slot.asked.is_none_or(|asked| now.saturating_sub(asked) >= pause);
            if is_due && !slot.waiting {
                (slot.asked, slot.waiting) = (Some(now), true);
                actions.push(Action::Ask(ask));
            }
        }
        actions
    }

    fn answered(&mut self, ask: Ask, answer: Result<Answer, Problem>) {
        let now = self.now;
        let slot = self.slot(ask);
        slot.waiting = false;
        match answer {
            Ok(answer) => {
                (slot.at, slot.problem) = (now, None);
                slot.answer = Some(answer);
                if ask == Ask::Overview {
                    self.remember();
                }
            }
            Err(problem) => slot.problem = Some(problem),
        }
    }

    fn remember(&mut self) {
        let Some(now) = self.overview() else { return };
        let (rates, lag) = (now.rates, now.lag.oldest_s.unwrap_or(0.0));
        let past = &mut self.past;
        let lines = [
            (&mut past.messages, rates.messages_per_s),
            (&mut past.rows, rates.rows_per_s),
            (&mut past.lag, lag),
        ];
        for (line, value) in lines {
            line.push_back(value);
            if line.len() > PAST_MAX {
                line.pop_front();
            }
        }
    }

    /// Everything that is shown is asked for anew.
    pub(crate) fn refresh(&mut self) {
        let view = self.view;
        for (_, slot) in self.slots.iter_mut().filter(|(ask, _)| view.needs(**ask)) {
            slot.asked = None;
        }
    }

    /// Says something for a while; `well`: nothing is wrong.
    pub(crate) fn tell(&mut self, words: String, well: bool) {
        self.notice = Some((words, well, self.now));
    }

    /// What is said at the moment.
    pub(crate) fn notice(&self) -> Option<(&str, bool)> {
        let (words, well, at) = self.notice.as_ref()?;
        (self.now.saturating_sub(*at) < NOTICE).then_some((words, *well))
    }

    fn slot(&mut self, ask: Ask) -> &mut Slot {
        self.slots.entry(ask).or_default()
    }

    /// What is known by a question.
    pub(crate) fn known(&self, ask: Ask) -> Option<&Slot> {
        self.slots.get(&ask)
    }

    /// Where one is in a view.
    pub(crate) fn place(&mut self, view: View) -> &mut Place {
        self.places.entry(view).or_default()
    }

    fn answer(&self, ask: Ask) -> Option<&Answer> {
        self.slots.get(&ask)?.answer.as_ref()
    }
}

/// The answers by their kinds.
macro_rules! answers {
    ($($name:ident, $kind:ident, $answer:ty;)*) => {
        impl State {
            $(pub(crate) fn $name(&self) -> Option<&$answer> {
                match self.answer(Ask::$kind)? {
                    Answer::$kind(answer) => Some(answer),
                    _ => None,
                }
            })*
        }
    };
}

answers! {
    overview, Overview, Overview;
    sources, Sources, Sources;
    devices, Devices, Devices;
    topics, Topics, Topics;
    alerts, Alerts, Alerts;
    dead_letters, DeadLetters, DeadLetters;
    limits, Limits, Limits;
    connections, Connections, Connections;
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    fn asked(actions: &[Action]) -> Vec<Ask> {
        let asks = actions.iter().filter_map(|action| match action {
            Action::Ask(ask) => Some(*ask),
            _ => None,
        });
        asks.collect()
    }

    fn tick(state: &mut State, s: u64) -> Vec<Ask> {
        asked(&state.take(Event::Tick(Duration::from_secs(s), 0)))
    }

    fn refused(status: u16) -> Result<Answer, Problem> {
        Err(Problem::Refused { status, said: "no".into() })
    }

    #[test]
    fn only_what_is_shown_is_asked_and_never_twice_at_once() {
        let mut state = State::new("x".into(), EVERY, true);
        assert_eq!(tick(&mut state, 0), [Ask::Overview, Ask::Alerts]);
        assert_eq!(tick(&mut state, 100), [], "both are on their way");
        let empty = Answer::Alerts(Alerts { alerts: Vec::new(), next: None });
        assert!(
            state.take(Event::Answer(Ask::Alerts, Ok(empty))).contains(&Action::Ask(Ask::Alerts))
        );
        state.view = View::Sources;
        assert_eq!(tick(&mut state, 101), [Ask::Sources]);
        state.take(Event::Answer(Ask::Sources, Err(Problem::Gone("gone".into()))));
        assert_eq!(tick(&mut state, 105), [], "the lake is asked seldom");
        assert_eq!(tick(&mut state, 106), [Ask::Sources]);
    }

    #[test]
    fn who_is_refused_rests_and_what_was_known_stays() {
        let mut state = State::new("x".into(), EVERY, true);
        tick(&mut state, 0);
        let empty = Answer::Alerts(Alerts { alerts: Vec::new(), next: None });
        state.take(Event::Answer(Ask::Alerts, Ok(empty)));
        tick(&mut state, 2);
        state.take(Event::Answer(Ask::Alerts, refused(401)));
        assert!(state.alerts().is_some());
        let slot = state.known(Ask::Alerts).unwrap();
        assert_eq!((slot.at, slot.problem.is_some()), (Duration::ZERO, true));
        assert_eq!(tick(&mut state, 61), [], "logins that fail are throttled");
        assert_eq!(tick(&mut state, 62), [Ask::Alerts]);
        state.take(Event::Answer(Ask::Alerts, refused(401)));
        state.refresh();
        assert_eq!(tick(&mut state, 63), [Ask::Alerts], "unless somebody wants it now");
    }

    #[test]
    fn what_was_done_is_told_for_a_while_and_looked_at_again() {
        let mut state = State::new("x".into(), EVERY, true);
        tick(&mut state, 0);
        state.take(Event::Answer(Ask::Alerts, refused(503)));
        let done = Event::Acted("acknowledged: hot on f-1".into(), Ok(()));
        assert_eq!(asked(&state.take(done)), [Ask::Alerts]);
        assert_eq!(state.notice(), Some(("acknowledged: hot on f-1", true)));
        state.take(Event::Acted("silenced: x".into(), Err(Problem::Gone("gone".into()))));
        assert_eq!(state.notice(), Some(("not silenced: x: gone", false)));
        tick(&mut state, 9);
        assert_eq!(state.notice(), None);
    }
}
