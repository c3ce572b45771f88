//! The terminal: taken over as long as this lives, and given back as it was, whatever ends it. Alone in knowing crossterm.

use std::io::{self, Stdout, Write};

use crossterm::cursor::{self, Hide, MoveTo, Show};
use crossterm::event::{
    Event as Happened, EventStream, KeyCode, KeyEvent, KeyEventKind, KeyModifiers,
};
use crossterm::style::{
    Attribute, Color as Ink, Colors, Print, ResetColor, SetAttribute, SetColors,
};
use crossterm::terminal::{
    self, Clear, ClearType as Part, EnterAlternateScreen, LeaveAlternateScreen,
};
use crossterm::{execute, queue};
use futures::StreamExt;
use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use ratatui::style::{Color, Modifier};
use ratatui::{Frame, Terminal};

use super::state::{Event, Key};

/// See the module.
pub(crate) struct Screen {
    terminal: Terminal<Ansi<Stdout>>,
    events: EventStream,
}

impl Screen {
    /// Takes the terminal over; also at a panic it is given back, before that is told.
    pub(crate) fn open() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            give_back();
            before(panic);
        }));
        terminal::enable_raw_mode()?;
        let opened = execute!(io::stdout(), EnterAlternateScreen, Hide)
            .and_then(|()| Terminal::new(Ansi(io::stdout())));
        match opened {
            Ok(terminal) => Ok(Self { terminal, events: EventStream::new() }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Draws what has changed.
    pub(crate) fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        self.terminal.draw(draw).map(|_| ())
    }

    /// Waits for a key that means something, or for another size of the window.
    pub(crate) async fn next(&mut self) -> io::Result<Event> {
        loop {
            match self.events.next().await {
                Some(Ok(Happened::Resize(..))) => return Ok(Event::Resized),
                Some(Ok(Happened::Key(pressed))) => {
                    if let Some(key) = key(pressed) {
                        return Ok(Event::Key(key));
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Makes the terminal as it was; there is nobody to tell if that fails.
fn give_back() {
    drop(execute!(
        io::stdout(),
        ResetColor,
        SetAttribute(Attribute::Reset),
        Show,
        LeaveAlternateScreen
    ));
    drop(terminal::disable_raw_mode());
}

fn key(pressed: KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    if pressed.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(pressed.code, KeyCode::Char('c')).then_some(Key::Interrupt);
    }
    match pressed.code {
        KeyCode::Char(letter) if !letter.is_control() => Some(Key::Char(letter)),
        KeyCode::Up => Some(Key::Up),
        KeyCode::Down => Some(Key::Down),
        KeyCode::Left => Some(Key::Left),
        KeyCode::Right => Some(Key::Right),
        KeyCode::PageUp => Some(Key::PageUp),
        KeyCode::PageDown => Some(Key::PageDown),
        KeyCode::Home => Some(Key::Home),
        KeyCode::End => Some(Key::End),
        KeyCode::Tab => Some(Key::Tab),
        KeyCode::BackTab => Some(Key::BackTab),
        KeyCode::Enter => Some(Key::Enter),
        KeyCode::Esc => Some(Key::Esc),
        KeyCode::Backspace => Some(Key::Backspace),
        _ => None,
    }
}

/// Writes cells as escape sequences. `ratatui-crossterm` does the same, with five crates more.
struct Ansi<W>(W);

impl<W: Write> Backend for Ansi<W> {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, cells: I) -> io::Result<()> {
        let (mut next, mut look) = (None, (Color::Reset, Color::Reset, Modifier::empty()));
        queue!(self.0, ResetColor, SetAttribute(Attribute::Reset))?;
        for (x, y, cell) in cells {
            if next != Some((x, y)) {
                queue!(self.0, MoveTo(x, y))?;
            }
            // Behind a wide character the place is said again.
            next = Some((x + 1, y));
            let wanted = (cell.fg, cell.bg, cell.modifier);
            if wanted != look {
                queue!(self.0, ResetColor, SetAttribute(Attribute::Reset))?;
                for (modifier, attribute) in ATTRIBUTES {
                    if cell.modifier.contains(modifier) {
                        queue!(self.0, SetAttribute(attribute))?;
                    }
                }
                let inks = (ink(cell.fg), ink(cell.bg));
                if inks != (Ink::Reset, Ink::Reset) {
                    queue!(self.0, SetColors(Colors::new(inks.0, inks.1)))?;
                }
                look = wanted;
            }
            queue!(self.0, Print(cell.symbol()))?;
        }
        queue!(self.0, ResetColor, SetAttribute(Attribute::Reset))
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        execute!(self.0, Hide)
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        execute!(self.0, Show)
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        cursor::position().map(Position::from)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        execute!(self.0, MoveTo(x, y))
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, part: ClearType) -> io::Result<()> {
        let part = match part {
            ClearType::All => Part::All,
            ClearType::AfterCursor => Part::FromCursorDown,
            ClearType::BeforeCursor => Part::FromCursorUp,
            ClearType::CurrentLine => Part::CurrentLine,
            ClearType::UntilNewLine => Part::UntilNewLine,
        };
        execute!(self.0, Clear(part))
    }

    fn size(&self) -> io::Result<Size> {
        terminal::size().map(Size::from)
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        let columns_rows = self.size()?;
        Ok(WindowSize { columns_rows, pixels: Size::default() })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

const ATTRIBUTES: [(Modifier, Attribute); 3] = [
    (Modifier::BOLD, Attribute::Bold),
    (Modifier::DIM, Attribute::Dim),
    (Modifier::REVERSED, Attribute::Reverse),
];

/// The colours that are used here, as the terminal has them.
fn ink(colour: Color) -> Ink {
    match colour {
        Color::Red => Ink::DarkRed,
        Color::Green => Ink::DarkGreen,
        Color::Yellow => Ink::DarkYellow,
        _ => Ink::Reset,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Style;

    use super::*;

    fn written(cells: &[(u16, u16, Cell)]) -> String {
        let mut out = Vec::new();
        Ansi(&mut out).draw(cells.iter().map(|(x, y, cell)| (*x, *y, cell))).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn cell(symbol: &'static str, style: Style) -> Cell {
        let mut cell = Cell::new(symbol);
        cell.set_style(style);
        cell
    }

    #[test]
    fn cells_become_the_fewest_sequences() {
        let plain = || cell("a", Style::new());
        let row = [(2, 1, plain()), (3, 1, plain()), (7, 1, plain())];
        assert_eq!(written(&row).matches('\x1b').count(), 2 + 2 + 2, "two places, start and end");
        let bad = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        let shown = written(&[(0, 0, cell("!", bad))]);
        assert!(shown.contains("\x1b[1m") && shown.contains("\x1b[38;5;1"), "{shown:?}");
        let plain = written(&[(0, 0, cell("!", Style::new().add_modifier(Modifier::BOLD)))]);
        assert!(!plain.contains("38;5"), "no colour where none is asked for: {plain:?}");
    }

    #[test]
    fn keys_mean_what_they_say() {
        let pressed = |code, modifiers| key(KeyEvent::new(code, modifiers));
        assert_eq!(pressed(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Interrupt));
        assert_eq!(pressed(KeyCode::Char('y'), KeyModifiers::CONTROL), None);
        assert_eq!(pressed(KeyCode::Char('G'), KeyModifiers::SHIFT), Some(Key::Char('G')));
        assert_eq!(pressed(KeyCode::F(1), KeyModifiers::NONE), None);
    }
}
