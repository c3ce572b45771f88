//! Draws the overview: how much comes and how far behind it is, what there is, and what needs attention with what to do.

use std::collections::VecDeque;

use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

use super::brush::{Brush, wrapped};
use crate::print::grouped;
use crate::top::answers::Overview;
use crate::top::cells::Tone;
use crate::top::state::{State, View};
use crate::top::troubles::{Wrong, wrong};
use crate::top::words::{ago, plural, rate, span};

/// Heights of a line that is drawn with characters.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns before it, and after it.
const BESIDE: u16 = 24;
const LABEL: usize = 14;

pub(super) fn draw(state: &State, body: Rect, brush: &mut Brush<'_>) {
    let Some(now) = state.overview() else {
        let waits = state.known(View::Overview.ask()).is_none_or(|slot| slot.problem.is_none());
        let said = if waits { "asking …" } else { "" };
        return brush.write(body, 0, Line::from(brush.span(said, Tone::Quiet)));
    };
    let mut rows = rates(state, now, body.width, brush);
    rows.push(Line::default());
    rows.extend(totals(now, brush));
    rows.push(Line::default());
    for (at, line) in (0..).zip(&rows) {
        brush.write(body, at, line.clone());
    }
    let above = u16::try_from(rows.len()).unwrap_or(body.height).min(body.height);
    let below = Rect { y: body.y + above, height: body.height - above, ..body };
    attention(state, now, below, brush);
}

fn rates<'a>(state: &State, now: &Overview, width: u16, brush: &Brush<'_>) -> Vec<Line<'a>> {
    let (rates, past) = (now.rates, &state.past);
    let room = usize::from(width.saturating_sub(BESIDE)).min(60);
    let late = match now.lag.oldest_s {
        Some(s) if s > 60.0 => Tone::Critical,
        Some(s) if s > 20.0 => Tone::Warning,
        _ => Tone::Plain,
    };
    let lag = now.lag.oldest_s.map_or("-".into(), span);
    let row = |label: &str, value: String, tone, line: &VecDeque<f64>| {
        let label = Span::styled(format!("{label:LABEL$}"), Modifier::BOLD);
        Line::from(vec![
            label,
            brush.span(format!("{value:>8}  "), tone),
            Span::raw(drawn(line, room)),
        ])
    };
    vec![
        row("Messages /s", rate(rates.messages_per_s), Tone::Plain, &past.messages),
        row("Rows /s", rate(rates.rows_per_s), Tone::Plain, &past.rows),
        row("Lag", lag, late, &past.lag),
    ]
}

/// Values as characters of different heights, the newest at the right.
fn drawn(line: &VecDeque<f64>, room: usize) -> String {
    let shown = line.iter().skip(line.len().saturating_sub(room));
    let most = shown.clone().copied().fold(0.0, f64::max);
    let height = |value: &f64| {
        let part = if most > 0.0 { value / most * 7.0 } else { 0.0 };
        // The highest that is not above it.
        let at = (0..7_u8).take_while(|at| f64::from(*at) + 0.5 <= part).count();
        HEIGHTS.get(at).copied().unwrap_or('█')
    };
    shown.map(height).collect()
}

fn totals<'a>(now: &Overview, brush: &Brush<'_>) -> Vec<Line<'a>> {
    let label = |text: &str| Span::styled(format!("{text:LABEL$}"), Modifier::BOLD);
    let part = |count: u64, word: &str, tone: Tone| {
        brush.span(format!("{} {word}", grouped(count)), if count > 0 { tone } else { Tone::Plain })
    };
    let comma = || Span::raw(", ");
    let (devices, alerts, letters) = (now.devices, now.alerts, now.dead_letters);
    let waiting = now.lag.messages.map_or("unknown".into(), |count| {
        format!("{} not in the lake yet", plural(count, "message", "messages"))
    });
    let landings = format!("{} landings a minute", rate(now.rates.landings_per_min));
    vec![
        Line::from(vec![label("On the way"), Span::raw(format!("{waiting}, {landings}"))]),
        Line::from(vec![
            label("Devices"),
            part(devices.online, "online", Tone::Good),
            comma(),
            part(devices.silent, "silent", Tone::Critical),
            comma(),
            part(devices.unknown, "unknown", Tone::Warning),
        ]),
        Line::from(vec![
            label("Sources"),
            Span::raw(now.sources.map_or("unknown here".into(), grouped)),
        ]),
        Line::from(vec![
            label("Alerts"),
            part(alerts.firing, "firing", Tone::Critical),
            comma(),
            part(alerts.acknowledged, "acknowledged", Tone::Plain),
            comma(),
            part(alerts.silenced, "silenced", Tone::Plain),
            comma(),
            part(alerts.pending, "pending", Tone::Plain),
        ]),
        Line::from(vec![
            label("Dead letters"),
            part(letters.last_hour, "in the last hour", Tone::Warning),
            comma(),
            Span::raw(format!("{} since the start", grouped(letters.total))),
        ]),
    ]
}

fn attention(state: &State, now: &Overview, part: Rect, brush: &mut Brush<'_>) {
    let all = wrong(now, state.alerts());
    let title = Span::styled("Needs attention", Modifier::BOLD);
    if all.is_empty() {
        let well = brush.span("all is well", Tone::Good);
        let why = Span::raw(": every part can work, no alert fires, no limit is near");
        return brush.write(part, 0, Line::from(vec![well, why]));
    }
    brush.write(part, 0, Line::from(title));
    let lines: Vec<Line<'_>> =
        all.iter().flat_map(|one| shown(one, state.now_us, part.width.into(), brush)).collect();
    let room = usize::from(part.height.saturating_sub(1));
    let at = state.places.get(&View::Overview).map_or(0, |place| place.at);
    let first = at.min(lines.len().saturating_sub(room));
    let more = lines.len().saturating_sub(first + room);
    let fit = if more > 0 { room.saturating_sub(1) } else { room };
    for (row, line) in (1..).zip(lines.into_iter().skip(first).take(fit)) {
        brush.write(part, row, line);
    }
    if more > 0 && room > 0 {
        let said = format!("… ↓ {}", plural(more as u64 + 1, "more line", "more lines"));
        brush.write(part, part.height - 1, Line::from(brush.span(said, Tone::Quiet)));
    }
}

/// What is wrong, since when, and what to do.
fn shown<'a>(one: &Wrong, now_us: i64, width: usize, brush: &Brush<'_>) -> Vec<Line<'a>> {
    // Not broken at its spaces.
    let ago = |since| format!(" ({})", ago(since, now_us).replace(' ', "\u{a0}"));
    let since = one.since.as_deref().map(ago);
    let what = format!("{}{}", one.what, since.unwrap_or_default());
    let indent = " ".repeat(LABEL - 3);
    let room = width.saturating_sub(indent.len());
    let severity = brush.span(format!("{:11}", one.severity), one.tone());
    let mut lines = Vec::new();
    for (at, text) in wrapped(&what, room).into_iter().enumerate() {
        let first = if at == 0 { severity.clone() } else { Span::raw(indent.clone()) };
        lines.push(Line::from(vec![first, Span::raw(text)]));
    }
    for text in wrapped(&one.remedy, room).into_iter().filter(|text| !text.is_empty()) {
        let text = brush.span(text, Tone::Quiet);
        lines.push(Line::from(vec![Span::raw(indent.clone()), text]));
    }
    // They outlive what they were made of.
    lines.into_iter().map(owned).collect()
}

fn owned<'a>(line: Line<'_>) -> Line<'a> {
    let spans =
        line.spans.into_iter().map(|span| Span::styled(span.content.into_owned(), span.style));
    Line::from(spans.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_as_high_as_its_values() {
        let line = |values: &[f64], room| drawn(&values.iter().copied().collect(), room);
        assert_eq!(line(&[], 5), "");
        assert_eq!(line(&[0.0, 0.0], 5), "▁▁");
        assert_eq!(line(&[0.0, 1.0, 3.5, 7.0], 9), "▁▂▅█");
        assert_eq!(line(&[100.0, 1.0, 2.0], 2), "▅█", "the newest, by themselves");
    }
}
