//! Draws the state on a screen: a line that says how it is, the views, one of them, and what keys do. Pure.

mod brush;
mod list;
mod overview;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use self::brush::{Brush, wrapped};
use super::ask::Ask;
use super::cells::Tone;
use super::keys::SPANS;
use super::state::{Mode, State, View};
use super::words::{plural, whole};

/// On a smaller screen nothing can be read.
const WIDTH_MIN: u16 = 40;
const HEIGHT_MIN: u16 = 8;

/// Title of a view, and a shorter one for narrow screens.
fn title(view: View) -> (&'static str, &'static str) {
    match view {
        View::Overview => ("Overview", "Overview"),
        View::Sources => ("Sources", "Sources"),
        View::Devices => ("Devices", "Devices"),
        View::Topics => ("Topics", "Topics"),
        View::Alerts => ("Alerts", "Alerts"),
        View::DeadLetters => ("Dead letters", "Letters"),
        View::Limits => ("Limits", "Limits"),
        View::Connections => ("Connections", "Clients"),
    }
}

/// Draws everything.
pub(crate) fn draw(state: &State, frame: &mut Frame<'_>) {
    let area = frame.area();
    let mut brush = Brush { buffer: frame.buffer_mut(), colours: state.colours };
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let said = format!("too small: {WIDTH_MIN}×{HEIGHT_MIN} at least");
        brush.write(area, 0, Line::raw(said));
        return;
    }
    header(state, area, &mut brush);
    tabs(state, area, &mut brush);
    let inside = area.width.saturating_sub(2);
    let (body, last) = (area.height.saturating_sub(5), area.height - 1);
    let mut body = Rect { x: area.x + 1, y: area.y + 3, width: inside, height: body };
    rule(state, Rect { y: area.y + 2, height: 1, ..area }, &mut brush);
    problem(state, &mut body, &mut brush);
    match (&state.mode, state.view) {
        (Mode::Help, _) => help(body, &mut brush),
        (_, View::Overview) => overview::draw(state, body, &mut brush),
        (_, view) => list::draw(state, view, body, &mut brush),
    }
    footer(state, Rect { y: area.y + last, height: 1, ..area }, &mut brush);
}

fn header(state: &State, area: Rect, brush: &mut Brush<'_>) {
    let version = state.overview().map(|now| format!(" {}", now.version)).unwrap_or_default();
    let worker = state.overview().and_then(|now| now.worker.as_ref());
    let worker = worker.map(|worker| format!(" · {worker}")).unwrap_or_default();
    let name = Span::styled(format!(" tidemark{version}"), Modifier::BOLD);
    brush.write(area, 0, Line::from(vec![name, Span::raw(format!(" · {}{worker}", state.target))]));
    let has_problem = state.known(Ask::Overview).is_some_and(|slot| slot.problem.is_some());
    let how = match state.overview() {
        _ if has_problem => brush.span(" no answer ", Tone::Critical),
        None => brush.span("", Tone::Quiet),
        Some(now) => {
            let wrong = now.troubles.len() as u64 + now.alerts.firing;
            let critical = now.troubles.iter().any(|it| &*it.severity == "critical");
            match wrong {
                0 => brush.span(" all is well ", Tone::Good),
                _ => {
                    let tone = if critical { Tone::Critical } else { Tone::Warning };
                    brush.span(format!(" {} attention ", plural(wrong, "needs", "need")), tone)
                }
            }
        }
    };
    brush.write_right(area, 0, Line::from(how));
}

fn tabs(state: &State, area: Rect, brush: &mut Brush<'_>) {
    let line = |long: bool| {
        let all = View::ALL.iter().enumerate().map(|(at, view)| {
            let number = at + 1;
            let text = match (title(*view), long) {
                ((name, _), true) => format!(" {number} {name} "),
                ((_, name), false) => format!(" {number} {name}"),
            };
            let is_here = *view == state.view;
            if is_here { Span::styled(text, Modifier::REVERSED) } else { Span::raw(text) }
        });
        Line::from(all.collect::<Vec<_>>())
    };
    let fits = |line: &Line<'_>| line.width() <= usize::from(area.width);
    let only = Line::from(vec![
        Span::styled(format!(" {} ", title(state.view).0), Modifier::REVERSED),
        Span::raw(" 1–8, Tab: others"),
    ]);
    let tabs = [line(true), line(false), only].into_iter().find(fits);
    brush.write(area, 1, tabs.unwrap_or_default());
}

/// A line with how old what is below it is.
fn rule(state: &State, area: Rect, brush: &mut Brush<'_>) {
    let line = "─".repeat(area.width.into());
    brush.write(area, 0, Line::from(brush.span(line, Tone::Quiet)));
    let Some(slot) = state.known(state.view.ask()).filter(|slot| slot.answer.is_some()) else {
        return;
    };
    let age = state.now.saturating_sub(slot.at).as_secs();
    let tone = if slot.problem.is_some() { Tone::Warning } else { Tone::Quiet };
    // The time between two answers is no age.
    let said = match age <= 2 * state.every.as_secs() && slot.problem.is_none() {
        true => " live ".to_owned(),
        false => format!(" as of {} ago ", whole(age.cast_signed())),
    };
    brush.write_right(
        Rect { width: area.width - 1, ..area },
        0,
        Line::from(brush.span(said, tone)),
    );
}

/// Says in place why nothing newer is known, and leaves less room for the rest.
fn problem(state: &State, body: &mut Rect, brush: &mut Brush<'_>) {
    let Some(slot) = state.known(state.view.ask()) else { return };
    let Some(problem) = &slot.problem else { return };
    let shown = if slot.answer.is_some() { "Not up to date" } else { "Cannot be shown" };
    let lines = wrapped(&format!("{shown}: {problem}"), body.width.into());
    for text in lines.into_iter().take(4) {
        brush.write(*body, 0, Line::from(brush.span(text, Tone::Critical)));
        (body.y, body.height) = (body.y + 1, body.height.saturating_sub(1));
    }
}

fn footer(state: &State, area: Rect, brush: &mut Brush<'_>) {
    let line = match &state.mode {
        Mode::Search => {
            let search = state.places.get(&state.view).map(|place| place.search.as_str());
            Line::raw(format!(" /{}▏  Enter: keep, Esc: all", search.unwrap_or_default()))
        }
        Mode::Confirm(confirm) => {
            let span = confirm.silence.and_then(|at| SPANS.get(at));
            let asked = match span {
                Some(span) => {
                    format!(" Silence {} for {span}? y: yes, n: no, ↑↓: how long", confirm.about)
                }
                None => format!(" Acknowledge {}? y: yes, n: no", confirm.about),
            };
            Line::from(brush.span(asked, Tone::Warning))
        }
        Mode::Help => Line::raw(" any key: back"),
        Mode::Look => match state.notice() {
            Some((words, true)) => Line::from(brush.span(format!(" {words}"), Tone::Good)),
            Some((words, false)) => Line::from(brush.span(format!(" {words}"), Tone::Critical)),
            None => Line::from(brush.span(hints(state), Tone::Quiet)),
        },
    };
    brush.write(area, 0, line);
}

fn hints(state: &State) -> String {
    let own = match state.view {
        View::Overview => "",
        View::Alerts => "a: acknowledge  s: silence  /: search  o: order  ",
        _ => "/: search  o: order  ",
    };
    format!(" q: quit  ?: help  {own}r: ask now")
}

const HELP: &[(&str, &str)] = &[
    ("1 … 8, Tab, ←→", "another view"),
    ("↑↓ j k, PgUp PgDn, g G", "move in the list"),
    ("/", "search the rows; Enter keeps it, Esc shows all"),
    ("o", "order by the next column; O turns it round"),
    ("a", "alerts: acknowledge the marked one, after a yes"),
    ("s", "alerts: silence it for a while, after a yes"),
    ("r", "ask now, also who refused"),
    ("q, Ctrl-C", "quit"),
];

fn help(body: Rect, brush: &mut Brush<'_>) {
    for (row, (keys, what)) in (0..body.height).zip(HELP) {
        let keys = Span::styled(format!("{keys:24}"), Modifier::BOLD);
        brush.write(body, row, Line::from(vec![keys, Span::raw(*what)]));
    }
}
