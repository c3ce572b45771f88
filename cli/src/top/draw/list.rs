//! Draws a list: its columns as wide as what is in them, the marked row, and below it what there is to say of that one.

use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};

use super::brush::{Brush, wrapped};
use crate::print::grouped;
use crate::top::cells::{Column, Row, Tone};
use crate::top::lists::List;
use crate::top::state::{Mode, State, View};

/// Between columns.
const GAP: usize = 2;
/// A column of text is not made narrower than so.
const NARROWEST: usize = 8;
/// Fewer rows of a screen have no room for what is said of the marked one.
const ABOUT_FROM: u16 = 12;
/// Lines of it.
const ABOUT_MAX: usize = 8;

pub(super) fn draw(state: &State, view: View, body: Rect, brush: &mut Brush<'_>) {
    let Some(list) = List::of(state, view) else {
        let waits = state.known(view.ask()).is_none_or(|slot| slot.problem.is_none());
        let said = if waits { "asking …" } else { "" };
        return brush.write(body, 0, Line::from(brush.span(said, Tone::Quiet)));
    };
    let place = state.places.get(&view);
    let search = place.map(|place| place.search.as_str()).unwrap_or_default();
    if list.rows.is_empty() {
        let said = match list.all {
            0 => list.empty.to_owned(),
            all => format!("None of {} has “{search}” in it. Esc shows all.", grouped(all as u64)),
        };
        for (row, text) in (0..).zip(wrapped(&said, body.width.into())) {
            brush.write(body, row, Line::raw(text));
        }
        return;
    }
    let marked = list.marked(place);
    let about = about(&list.rows[marked], body);
    let about_lines = u16::try_from(about.len()).unwrap_or_default();
    let below = if about.is_empty() { 0 } else { about_lines + 1 };
    // The first row has the titles, the last says how many there are.
    let rows = body.height.saturating_sub(2 + below);
    let first = marked.saturating_sub(usize::from(rows).saturating_sub(1));
    let shown = &list.rows[first..list.rows.len().min(first + usize::from(rows))];
    let widths = widths(&list, shown, body.width.into());
    titles(&list, &widths, place.and_then(|place| place.sort), body, brush);
    for (at, row) in (1..).zip(shown) {
        let is_marked = first + usize::from(at) - 1 == marked;
        cells(row, &list, &widths, Rect { y: body.y + at, height: 1, ..body }, is_marked, brush);
    }
    let counted = counted(&list, marked, search, state.mode == Mode::Search);
    brush.write(body, rows + 1, Line::from(brush.span(counted, Tone::Quiet)));
    for (row, text) in (rows + 3..).zip(about) {
        brush.write(body, row, Line::raw(text));
    }
}

/// What is said of the marked row, where there is room for it.
fn about(row: &Row, body: Rect) -> Vec<String> {
    if body.height < ABOUT_FROM {
        return Vec::new();
    }
    let most = ABOUT_MAX.min(usize::from(body.height) / 3);
    let lines = row.about.iter().flat_map(|text| wrapped(text, body.width.into()));
    lines.take(most).collect()
}

fn counted(list: &List, marked: usize, search: &str, searching: bool) -> String {
    let (at, shown) = (grouped(marked as u64 + 1), grouped(list.rows.len() as u64));
    let mut said = format!("{at} of {shown}");
    if !search.is_empty() && !searching {
        said += &format!(", those with “{search}” of {}", grouped(list.all as u64));
    }
    if let Some(note) = &list.note {
        said += &format!("; {note}");
    }
    said
}

/// The width of each column, 0 for those that have no room.
fn widths(list: &List, shown: &[Row], room: usize) -> Vec<usize> {
    let widest = |(at, column): (usize, &Column)| {
        let cells = shown.iter().filter_map(|row| row.cells.get(at));
        let widest = cells.map(|cell| Span::raw(cell.text.as_str()).width()).max();
        // A mark of the order stands beside the title.
        widest.unwrap_or(0).max(column.title.len() + 1)
    };
    let mut widths: Vec<usize> = list.columns.iter().enumerate().map(widest).collect();
    let total = |widths: &[usize]| {
        let used = widths.iter().filter(|width| **width > 0);
        used.map(|width| width + GAP).sum::<usize>().saturating_sub(GAP)
    };
    while total(&widths) > room {
        let over = total(&widths) - room;
        // First texts are cut a little, the widest one; then columns give way, the least of them first.
        let texts = list.columns.iter().enumerate().filter(|(_, column)| !column.number);
        let widest = texts.map(|(at, _)| at).max_by_key(|at| widths[*at]);
        let least =
            list.columns.iter().enumerate().filter(|(at, it)| it.gives_way > 0 && widths[*at] > 0);
        let least = least.max_by_key(|(_, column)| column.gives_way).map(|(at, _)| at);
        match (widest, least) {
            (Some(at), _) if widths[at] >= over + 2 * NARROWEST => widths[at] -= over,
            (_, Some(at)) => widths[at] = 0,
            (Some(at), None) if widths[at] > NARROWEST => {
                widths[at] = widths[at].saturating_sub(over).max(NARROWEST);
            }
            _ => break,
        }
    }
    widths
}

/// Writes one thing into each column that has room.
fn across(list: &List, widths: &[usize], row: Rect, mut write: impl FnMut(usize, bool, Rect)) {
    let mut x = 0;
    for (at, (column, width)) in list.columns.iter().zip(widths).enumerate() {
        let left = usize::from(row.width).saturating_sub(x);
        if *width == 0 || left == 0 {
            continue;
        }
        let wide = u16::try_from((*width).min(left)).unwrap_or(row.width);
        let start = row.x + u16::try_from(x).unwrap_or(row.width);
        write(at, column.number, Rect { x: start, width: wide, ..row });
        x += width + GAP;
    }
}

fn titles(
    list: &List,
    widths: &[usize],
    sort: Option<(usize, bool)>,
    body: Rect,
    brush: &mut Brush<'_>,
) {
    across(list, widths, Rect { height: 1, ..body }, |at, number, part| {
        let mark = match sort {
            Some((column, greatest_first)) if column == at => {
                if greatest_first {
                    "▼"
                } else {
                    "▲"
                }
            }
            _ => "",
        };
        let title = format!("{}{mark}", list.columns[at].title);
        let line = Line::from(Span::styled(title, Modifier::BOLD));
        if number { brush.write_right(part, 0, line) } else { brush.write(part, 0, line) }
    });
}

fn cells(
    row: &Row,
    list: &List,
    widths: &[usize],
    part: Rect,
    is_marked: bool,
    brush: &mut Brush<'_>,
) {
    across(list, widths, part, |at, number, part| {
        let Some(cell) = row.cells.get(at) else { return };
        let line = Line::from(brush.span(cell.text.as_str(), cell.tone));
        if number { brush.write_right(part, 0, line) } else { brush.write(part, 0, line) }
    });
    if is_marked {
        brush.buffer.set_style(part, Style::new().add_modifier(Modifier::REVERSED));
    }
}
