//! What decoders put rows into: one message at a time, any table.

use std::fmt;

use telemetry_core::spool::attributes::{self, Attribute};

use super::Batch;
use super::cells::{Cell, Column, Misfit, OfKind};
use super::flags::Flags;
use super::judging::Measured;
use super::layout::Handle;
use super::readings::{ABSENT, Context, Origin, Readings};
use crate::decode::members::Shape;
use crate::decode::place::{Around, Whence};
use crate::decode::reject::Reject;
use crate::memory::{Heard, Mark, Memory, Statement};
use crate::rules::places::Places;

/// A row that is being filled in. What is not set is NULL.
pub struct Row<'a> {
    table: usize,
    time_us: i64,
    cells: Vec<Cell<'a>>,
}

impl<'a> Row<'a> {
    /// An empty row of a table, of the date of `time_us` (microseconds since 1970).
    #[must_use]
    pub fn new(table: &Handle, time_us: i64) -> Self {
        let columns = table.table().columns.len() - 1;
        Self { table: table.number(), time_us, cells: vec![Cell::Null; columns] }
    }

    /// Sets a column, or leaves it NULL.
    pub fn set<K: OfKind>(
        &mut self,
        column: Column<K>,
        value: impl Into<Option<K::Value<'a>>>,
    ) -> &mut Self {
        if let (Some(cell), Some(value)) = (self.cells.get_mut(column.at), value.into()) {
            *cell = K::cell(value);
        }
        self
    }
}

impl<'a> Row<'a> {
    /// The table's number, the time and the cells.
    pub(super) fn into_parts(self) -> (usize, i64, Vec<Cell<'a>>) {
        (self.table, self.time_us, self.cells)
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what is in it: that may be about a patient.
        f.debug_struct("Row").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Batch {
    /// Adds a row of the message that `origin` is.
    ///
    /// # Errors
    /// What does not fit its table; then nothing was added.
    pub(crate) fn add(&mut self, origin: &Origin, row: Row<'_>) -> Result<(), Misfit> {
        let Row { table, time_us, cells } = row;
        self.push(table, origin, time_us, cells)
    }
}

/// The rows of one message. Identity, time of receipt and partition are added here, for all tables alike.
pub struct Rows<'a> {
    pub(crate) batch: &'a mut Batch,
    pub(crate) origin: Origin,
    pub(crate) places: &'a Places,
    pub(crate) said: Said<'a>,
}

/// A message as it came, to be known again.
pub(crate) struct Said<'a> {
    topic: &'a str,
    payload: &'a [u8],
    attributes: &'a [u8],
    /// Whether it is a repeat, once that was looked at.
    repeat: Option<bool>,
}

impl<'a> Said<'a> {
    pub(crate) fn new(topic: &'a str, payload: &'a [u8], attributes: &'a [u8]) -> Self {
        Self { topic, payload, attributes, repeat: None }
    }

    /// The broker had kept it for whoever subscribes.
    fn is_retained(&self) -> bool {
        attributes::read(self.attributes)
            .any(|attribute| matches!(attribute, Attribute::Delivery { retain: true, .. }))
    }
}

/// What is known of the device that a message is from.
pub(crate) struct Remembering<'a, 'b> {
    pub(crate) memory: &'a mut Memory,
    /// The device's place in it.
    pub(crate) place: u32,
    pub(crate) said: &'a mut Said<'b>,
    pub(crate) received_us: i64,
}

impl Remembering<'_, '_> {
    /// Takes an object's own numbers and time, [`ABSENT`] where there are none. Returns when it happened, by all that is known of
    /// the device's clock, and what is remarkable about that and about the message.
    pub(crate) fn object(
        &mut self,
        (boot, seq): (i64, i64),
        (event_us, device_us, flags): (i64, i64, Flags),
    ) -> (i64, Flags) {
        let given = |number: i64| (number != ABSENT).then_some(number);
        let repeat = self.is_repeat(given(boot).zip(given(seq)), device_us != ABSENT);
        let flags = if repeat { flags | Flags::REPEAT } else { flags };
        if device_us == ABSENT {
            return (event_us, flags);
        }
        let (boot, seq, received_us) = (given(boot), given(seq), self.received_us);
        let heard = Heard { boot, seq, device_us, received_us };
        match self.memory.clock(self.place, &heard) {
            Some(us) => (us, flags | Flags::TIME_CORRECTED),
            None => (event_us, flags),
        }
    }

    /// By the device's own numbers, else by the payload if that says when it is from, or if a broker had kept it: other messages
    /// may well say the same twice. They are remembered all the same: a broker may keep them, and hand them out later.
    fn is_repeat(&mut self, numbers: Option<(i64, i64)>, timed: bool) -> bool {
        if let Some(repeat) = self.said.repeat {
            return repeat;
        }
        let (mark, telling) = match numbers {
            Some((boot, seq)) => (Mark::Numbered { boot, seq }, true),
            None => (Mark::Payload(self.said.payload), timed || self.said.is_retained()),
        };
        let heard = self.memory.repeats(self.place, self.said.topic, mark, self.received_us);
        let repeat = telling && heard;
        self.said.repeat = Some(repeat);
        repeat
    }

    /// Takes the unit that the device names for a metric. Returns what is remarkable about it.
    pub(crate) fn unit(&mut self, metric: &str, unit: Option<&str>) -> Flags {
        let changed = unit
            .is_some_and(|unit| self.memory.other_unit(self.place, metric, unit, self.received_us));
        if changed { Flags::UNIT_CHANGED } else { Flags::default() }
    }
}

impl<'a> Rows<'a> {
    /// Which message they come from.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Site and name of the device that the message is from.
    #[must_use]
    pub fn device(&self) -> (&str, &str) {
        self.batch.devices.names(self.origin.device)
    }

    /// Says which device the next rows are of, where the rule takes that from the payload. `scalar`: the payload is nothing but a
    /// value, so that the last level of its topic is what was measured.
    ///
    /// # Errors
    /// The payload does not say it.
    pub(crate) fn locate<'b>(
        &mut self,
        whence: &Whence<'b>,
        around: &mut Around<'b>,
        scalar: bool,
    ) -> Result<(), Reject> {
        if !self.places.are_of_topic() {
            let at = self.places.fill(whence, around, scalar)?;
            self.origin.device = self.batch.devices.number(&at.site, &at.device);
        }
        Ok(())
    }

    /// Adds a row.
    ///
    /// # Errors
    /// What does not fit its table; then nothing was added.
    pub fn add(&mut self, row: Row<'_>) -> Result<(), Misfit> {
        self.batch.add(&self.origin, row)
    }

    /// Whether a row at `time_us` has its own partition date; else it has that of the landing, and gets a flag.
    pub(crate) fn dated(&mut self, table: &Handle, time_us: i64) -> Flags {
        let admitted = self.batch.admits(table.number(), time_us);
        if admitted { Flags::default() } else { Flags::DATE_OF_LANDING }
    }

    /// Adds a reading of the fast table.
    pub(crate) fn reading(
        &mut self,
        context: &Context,
        row_no: i32,
        metric: &str,
        unit: Option<&str>,
        measured: Measured<'_>,
    ) -> Result<(), Misfit> {
        let Batch { readings, .. } = &mut *self.batch;
        readings.push(&self.origin, context, row_no, metric, unit, measured)?;
        let table = self.batch.layout.readings().number();
        self.batch.count_row(self.origin.source, table, context.event_us);
        Ok(())
    }

    pub(crate) fn readings(&mut self) -> &mut Readings {
        &mut self.batch.readings
    }

    /// What is known of the device.
    pub(crate) fn remembering(&mut self) -> Remembering<'_, 'a> {
        self.parts().2
    }

    /// Takes what the message says of a resource. Returns what is remarkable about that; `timed`: it says when it is from.
    pub(crate) fn resource(&mut self, statement: &Statement<'_>, timed: bool) -> Flags {
        let repeat = self.says_again(statement, timed);
        if repeat { Flags::REPEAT } else { Flags::default() }
    }

    /// Takes a message without numbers of its own, whose rows may be of very many devices. Returns what is remarkable about it, the
    /// same for all its rows.
    pub(crate) fn message(&mut self, timed: bool) -> Flags {
        let repeat = match self.said.repeat {
            Some(repeat) => repeat,
            None => {
                let content = [self.said.payload, &[], &[]];
                self.says_again(&Statement { content, ..Statement::default() }, timed)
            }
        };
        self.said.repeat = Some(repeat);
        if repeat { Flags::REPEAT } else { Flags::default() }
    }

    fn says_again(&mut self, statement: &Statement<'_>, timed: bool) -> bool {
        let heard = self.batch.memory.resource(self.said.topic, statement);
        // What has neither name nor time may well be said twice.
        let telling = statement.id.is_some() || timed || self.said.is_retained();
        heard && telling
    }

    /// The readings, how their objects look here, and what is known of the device.
    pub(crate) fn parts(&mut self) -> (&mut Readings, &mut Shape, Remembering<'_, 'a>) {
        let Batch { readings, shape, memory, places, devices, .. } = &mut *self.batch;
        let number = self.origin.device;
        let place = places.place(memory, number, devices.names(number));
        let received_us = self.origin.received_us;
        (readings, shape, Remembering { memory, place, said: &mut self.said, received_us })
    }

    /// Counts the readings that came since there were `before`.
    pub(crate) fn count_readings(&mut self, before: usize) {
        let table = self.batch.layout.readings().number();
        for row in before..self.batch.readings.len() {
            let event_us = self.batch.readings.event_us[row];
            self.batch.count_row(self.origin.source, table, event_us);
        }
    }
}

impl fmt::Debug for Rows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("origin", &self.origin).finish_non_exhaustive()
    }
}
