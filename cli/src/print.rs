//! Prints results: tables for people, JSON for programs.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// Prints a line to standard output.
pub(crate) fn line(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Prints a value as JSON, indented.
pub(crate) fn json(value: &impl Serialize) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)
}

/// Prints an error with its causes.
pub(crate) fn error(error: &anyhow::Error) {
    // Standard error may be closed: there is nobody left to tell.
    drop(writeln!(io::stderr().lock(), "tidemark: {error:#}"));
}

/// Prints a line beside the results.
pub(crate) fn aside(text: &str) {
    drop(writeln!(io::stderr().lock(), "{text}"));
}

/// Tells whether an error only says that nobody reads our output any more, as after `tidemark tables | head -1`.
pub(crate) fn reader_left(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints columns, aligned; all but the first to the right.
pub(crate) fn columns(header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = io::stdout().lock();
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    for row in std::iter::once(&header).chain(rows) {
        let cells = row.iter().zip(&widths).enumerate();
        let line: Vec<String> = cells
            .map(
                |(at, (cell, width))| {
                    if at == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        writeln!(out, "{}", line.join("  ").trim_end())?;
    }
    Ok(())
}

/// A line that is written over on a terminal, and printed now and then elsewhere.
#[derive(Debug, Default)]
pub(crate) struct LiveLine {
    updates: u64,
}

impl LiveLine {
    /// Shows the newest state.
    pub(crate) fn show(&mut self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if out.is_terminal() {
            write!(out, "\r\x1b[2K{text}")?;
            out.flush()?;
        } else if self.updates.is_multiple_of(5) {
            writeln!(out, "{text}")?;
        }
        self.updates += 1;
        Ok(())
    }

    /// Leaves the newest state standing.
    pub(crate) fn finish(&self) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if out.is_terminal() && self.updates > 0 {
            writeln!(out)?;
        }
        Ok(())
    }
}

/// Writes a number with thin groups: 1234567 becomes 1,234,567.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1000), grouped(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
