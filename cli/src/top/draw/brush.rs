//! Writes lines into a part of the screen, never beyond it.

use std::borrow::Cow;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};

use crate::top::cells::Tone;

/// See the module.
pub(crate) struct Brush<'a> {
    pub(crate) buffer: &'a mut Buffer,
    /// Without them only bold and dim are there; no meaning is in colours alone.
    pub(crate) colours: bool,
}

impl Brush<'_> {
    /// How a tone looks.
    pub(crate) fn style(&self, tone: Tone) -> Style {
        let (colour, modifier) = match tone {
            Tone::Plain => (None, Modifier::empty()),
            Tone::Quiet => (None, Modifier::DIM),
            Tone::Good => (Some(Color::Green), Modifier::empty()),
            Tone::Warning => (Some(Color::Yellow), Modifier::BOLD),
            Tone::Critical => (Some(Color::Red), Modifier::BOLD),
        };
        let style = Style::new().add_modifier(modifier);
        colour.filter(|_| self.colours).map_or(style, |colour| style.fg(colour))
    }

    /// A text in a tone.
    pub(crate) fn span<'t>(&self, text: impl Into<Cow<'t, str>>, tone: Tone) -> Span<'t> {
        Span::styled(text, self.style(tone))
    }

    /// Writes a line into a row of a part; what has no room is cut, and said to be.
    pub(crate) fn write(&mut self, part: Rect, row: u16, line: Line<'_>) {
        if row >= part.height || part.width == 0 {
            return;
        }
        let (x, y) = (part.x, part.y + row);
        self.buffer.set_line(x, y, &line, part.width);
        if line.width() > usize::from(part.width) {
            self.buffer.set_string(x + part.width - 1, y, "…", Style::new());
        }
    }

    /// The same at the right edge.
    pub(crate) fn write_right(&mut self, part: Rect, row: u16, line: Line<'_>) {
        let width = u16::try_from(line.width()).unwrap_or(u16::MAX).min(part.width);
        self.write(Rect { x: part.x + part.width - width, width, ..part }, row, line);
    }
}

/// A text in lines of at most so many columns, broken between words where that can be.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0);
    for word in text.split(' ') {
        let wide = Span::raw(word).width();
        if used > 0 && used + 1 + wide > width {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += wide;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        assert_eq!(wrapped("a bb ccc dddd", 6), ["a bb", "ccc", "dddd"]);
        assert_eq!(wrapped("体温 体温", 5), ["体温", "体温"]);
        assert_eq!(wrapped("toolongforit x", 6), ["toolongforit", "x"]);
        assert_eq!(wrapped("", 6), [""]);
    }

    #[test]
    fn nothing_is_written_beyond_its_part_and_what_is_cut_shows_it() {
        let area = Rect::new(0, 0, 10, 2);
        let mut buffer = Buffer::empty(area);
        let mut brush = Brush { buffer: &mut buffer, colours: true };
        let part = Rect::new(2, 0, 5, 1);
        brush.write(part, 0, Line::raw("体温体温体"));
        brush.write(part, 1, Line::raw("below"));
        brush.write_right(Rect::new(0, 1, 10, 1), 0, Line::raw("right"));
        let rows: Vec<String> =
            (0..2).map(|y| (0..10).map(|x| buffer[(x, y)].symbol().to_owned()).collect()).collect();
        assert_eq!(rows[0].replace(' ', ""), "体温…");
        assert_eq!(rows[1], "     right");
    }

    #[test]
    fn without_colours_there_are_none() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 1, 1));
        let mut brush = Brush { buffer: &mut buffer, colours: false };
        for tone in [Tone::Plain, Tone::Quiet, Tone::Good, Tone::Warning, Tone::Critical] {
            assert_eq!((brush.style(tone).fg, brush.style(tone).bg), (None, None));
        }
        brush.colours = true;
        assert_eq!(brush.style(Tone::Critical).fg, Some(Color::Red));
    }
}
