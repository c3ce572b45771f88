//! What a list is made of: columns, rows and cells, and how a text looks.

use super::words::{ago, moment};
use crate::print::grouped;

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tone {
    #[default]
    Plain,
    Quiet,
    Good,
    Warning,
    Critical,
}

/// A column: its title, whether it is of numbers, and how soon it gives way where there is no room (0: never).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    pub(crate) title: &'static str,
    pub(crate) number: bool,
    pub(crate) gives_way: u8,
}

pub(super) const fn text(title: &'static str, gives_way: u8) -> Column {
    Column { title, number: false, gives_way }
}

pub(super) const fn number(title: &'static str, gives_way: u8) -> Column {
    Column { title, number: true, gives_way }
}

/// A cell, and what it is sorted by: its number, else its text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    pub(super) by: Option<i128>,
}

pub(super) fn word(text: impl ToString) -> Cell {
    Cell { text: text.to_string(), tone: Tone::Plain, by: None }
}

pub(super) fn toned(text: impl ToString, tone: Tone) -> Cell {
    Cell { tone, ..word(text) }
}

pub(super) fn count(value: u64) -> Cell {
    Cell { text: grouped(value), tone: Tone::Plain, by: Some(value.into()) }
}

pub(super) fn known(value: Option<u64>) -> Cell {
    value.map_or_else(|| Cell { by: Some(-1), ..word("-") }, count)
}

/// A count that should be none.
pub(super) fn none_is_best(value: u64, tone: Tone) -> Cell {
    Cell { tone: if value > 0 { tone } else { Tone::Plain }, ..count(value) }
}

pub(super) fn when(time: Option<&str>, now_us: i64) -> Cell {
    let Some(time) = time else { return Cell { by: Some(i128::MIN), ..word("-") } };
    Cell { text: ago(time, now_us), tone: Tone::Plain, by: Some(moment(time).into()) }
}

/// A row: its name, its cells, and what there is to say of it below the list.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) cells: Vec<Cell>,
    pub(crate) about: Vec<String>,
}

/// How a severity looks.
pub(crate) fn severity(name: &str) -> Tone {
    match name {
        "critical" => Tone::Critical,
        "warning" => Tone::Warning,
        _ => Tone::Plain,
    }
}

/// A severity as a number, the worst is the greatest.
pub(crate) fn worst(name: &str) -> i128 {
    match name {
        "critical" => 2,
        "warning" => 1,
        _ => 0,
    }
}
