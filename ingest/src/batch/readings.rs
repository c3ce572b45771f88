//! The rows of `readings` of one landing, as plain vectors: nothing is allocated per row.

use std::collections::HashMap;

use lake::table::{NAME_BYTES_MAX, TEXT_BYTES_MAX};
use lake::tables::readings;

use super::cells::Misfit;
use super::dates::Dates;
use super::flags::Flags;
use super::intern::{Interner, NONE, Seeded};
use super::judging::{Judged, Judging, Measured};

/// An absent time, boot or sequence number. No device means -2^63.
pub(crate) const ABSENT: i64 = i64::MIN;

/// Which message a row comes from.
#[derive(Debug, Clone, Copy)]
pub struct Origin {
    /// Number of the source in the batch.
    pub source: u32,
    /// Number of the device in the batch, `u32::MAX` while it is not known.
    pub device: u32,
    /// Offset in the source.
    pub offset: u64,
    /// When it was accepted, Unix microseconds.
    pub received_us: i64,
    /// It may be in the lake already under another epoch.
    pub maybe_repeat: bool,
    /// `received_us` is ingest's time: the source's could not be right.
    pub received_absurd: bool,
    /// No rule of the configuration is for its topic.
    pub unmapped: bool,
    /// The device sent it before.
    pub repeat: bool,
}

impl Origin {
    /// What there is to say of every row of the message.
    pub(crate) fn flags(&self) -> Flags {
        let when = |said, flag| if said { flag } else { Flags::default() };
        when(self.repeat, Flags::REPEAT)
            | when(self.maybe_repeat, Flags::MAYBE_REPEAT)
            | when(self.received_absurd, Flags::RECEIVED_ABSURD)
            | when(self.unmapped, Flags::UNMAPPED)
    }
}

/// What is said about all readings of one JSON object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context {
    pub(crate) event_us: i64,
    pub(crate) device_us: i64,
    pub(crate) boot: i64,
    pub(crate) seq: i64,
    /// Number of the place, from [`Readings::place`].
    pub(crate) place: u32,
    pub(crate) flags: Flags,
    /// Number of the protocol, from [`PROTOCOLS`].
    pub(crate) protocol: u8,
    /// Number of what has no column, from [`Readings::extra`].
    pub(crate) extra: u32,
    /// Number of what an Observation says beside, from [`Readings::clinical`].
    pub(crate) clinical: u32,
    /// Number of a time that could not be read, from [`Readings::time_text`].
    pub(crate) time_text: u32,
}

impl Context {
    /// Readings of a protocol that say nothing else than when they are from.
    pub(crate) fn at(protocol: u8, event_us: i64, device_us: i64) -> Self {
        Self {
            event_us,
            device_us,
            boot: ABSENT,
            seq: ABSENT,
            place: NONE,
            flags: Flags::default(),
            protocol,
            extra: NONE,
            clinical: NONE,
            time_text: NONE,
        }
    }
}

/// What an Observation says beside its values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Clinical<'a> {
    pub(crate) status: Option<&'a str>,
    pub(crate) interpretation: Option<&'a str>,
    pub(crate) reference_range: Option<&'a str>,
    pub(crate) method: Option<&'a str>,
    pub(crate) absent_reason: Option<&'a str>,
    pub(crate) resource_id: Option<&'a str>,
    pub(crate) version_id: Option<&'a str>,
    /// At most [`TEXT_BYTES_MAX`] bytes, the others [`NAME_BYTES_MAX`].
    pub(crate) codings: Option<&'a str>,
}

/// What few rows have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aside {
    /// Number among the [`Readings::clinical_list`].
    pub(crate) clinical: u32,
    pub(crate) time_text: u32,
    /// Number in [`super::judging::COMPARATORS`].
    pub(crate) comparator: u32,
    /// NaN: `value` is as it came.
    pub(crate) value_original: f64,
    pub(crate) unit_original: u32,
}

/// The values of the column `protocol`.
pub(crate) const PROTOCOLS: [&str; 3] = ["readings-json", "fhir-r4", VALUES_NAME];
pub(crate) const READINGS_JSON: u8 = 0;
pub(crate) const FHIR_R4: u8 = 1;
pub(crate) const VALUES: u8 = 2;
/// The same as `protocol` of rows that are no readings.
pub(crate) const VALUES_NAME: &str = "values";

/// What a place takes in the list and in the map, with what these have in reserve.
const PLACE_BYTES: usize = 2 * (16 + 24);
/// The same of what an Observation says.
const CLINICAL_BYTES: usize = 2 * (8 * CLINICAL.len() + 8);

/// See the module. All vectors have one entry per row.
#[derive(Debug, Default)]
pub(crate) struct Readings {
    pub(crate) source: Vec<u32>,
    pub(crate) device: Vec<u32>,
    pub(crate) metric: Vec<u32>,
    pub(crate) unit: Vec<u32>,
    pub(crate) text: Vec<u32>,
    pub(crate) place: Vec<u32>,
    pub(crate) extra: Vec<u32>,
    /// Number among the [`Readings::asides`].
    pub(crate) aside: Vec<u32>,
    pub(crate) flags: Vec<Flags>,
    pub(crate) protocol: Vec<u8>,
    pub(crate) event_us: Vec<i64>,
    pub(crate) device_us: Vec<i64>,
    pub(crate) received_us: Vec<i64>,
    /// NaN: none.
    pub(crate) value: Vec<f64>,
    pub(crate) boot: Vec<i64>,
    pub(crate) seq: Vec<i64>,
    pub(crate) offset: Vec<i64>,
    pub(crate) row_no: Vec<i32>,

    pub(crate) dates: Dates,
    judging: Judging,
    pub(crate) metrics: Interner,
    pub(crate) units: Interner,
    pub(crate) texts: Interner,
    pub(crate) people: Interner,
    pub(crate) extras: Interner,
    places: HashMap<[u32; 4], u32, Seeded>,
    /// Patient, encounter, ward and bed of each place.
    pub(crate) place_list: Vec<[u32; 4]>,
    /// The last place of each device of the batch, by its number; [`NONE`]: none.
    last_places: Vec<u32>,
    pub(crate) asides: Vec<Aside>,
    /// Of the columns that few rows have.
    pub(crate) words: Interner,
    clinicals: HashMap<[u32; CLINICAL.len()], u32, Seeded>,
    /// The columns [`CLINICAL`] of what Observations say.
    pub(crate) clinical_list: Vec<[u32; CLINICAL.len()]>,
}

impl Readings {
    /// Rows so far.
    pub(crate) fn len(&self) -> usize {
        self.event_us.len()
    }

    /// What they take in memory: the vectors with what they have in reserve, and the texts.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let numbers = [
            &self.source,
            &self.device,
            &self.metric,
            &self.unit,
            &self.text,
            &self.place,
            &self.extra,
            &self.aside,
            &self.last_places,
        ];
        let longs = [
            &self.event_us,
            &self.device_us,
            &self.received_us,
            &self.boot,
            &self.seq,
            &self.offset,
        ];
        let vectors: usize = numbers.iter().map(|column| 4 * column.capacity()).sum::<usize>()
            + longs.iter().map(|column| 8 * column.capacity()).sum::<usize>()
            + size_of::<Flags>() * self.flags.capacity()
            + self.protocol.capacity()
            + 8 * self.value.capacity()
            + 4 * self.row_no.capacity()
            + PLACE_BYTES * self.place_list.len()
            + CLINICAL_BYTES * self.clinical_list.len()
            + size_of::<Aside>() * self.asides.capacity()
            + self.judging.memory_bytes();
        vectors as u64 + self.texts_bytes()
    }

    /// What their texts take of it, each once however many rows have it.
    pub(crate) fn texts_bytes(&self) -> u64 {
        let texts =
            [&self.metrics, &self.units, &self.texts, &self.people, &self.extras, &self.words];
        texts.iter().map(|texts| texts.memory_bytes()).sum()
    }

    /// As [`Readings::place`], of a device whose last place was most likely the same.
    ///
    /// # Errors
    /// As [`Readings::place`].
    pub(crate) fn place_of(
        &mut self,
        device: u32,
        parts: [Option<&str>; 4],
    ) -> Result<u32, Misfit> {
        let known = self.last_places.get(device as usize).filter(|place| self.is(**place, parts));
        if let Some(place) = known {
            return Ok(*place);
        }
        let place = self.place(parts)?;
        if let Ok(number) = usize::try_from(device)
            && place != NONE
            && device != u32::MAX
        {
            if self.last_places.len() <= number {
                self.last_places.resize(number + 1, NONE);
            }
            self.last_places[number] = place;
        }
        Ok(place)
    }

    fn is(&self, place: u32, parts: [Option<&str>; 4]) -> bool {
        self.place_list.get(place as usize).is_some_and(|known| {
            known.iter().zip(parts).all(|(known, part)| match part {
                Some(part) => *known != NONE && self.people.text(*known) == part,
                None => *known == NONE,
            })
        })
    }

    /// The number of a place (patient, encounter, ward, bed), [`NONE`] if nothing is known of it.
    ///
    /// # Errors
    /// A part that is longer than its column takes.
    pub(crate) fn place(&mut self, parts: [Option<&str>; 4]) -> Result<u32, Misfit> {
        if parts.iter().all(Option::is_none) {
            return Ok(NONE);
        }
        for (column, part) in PLACE.into_iter().zip(parts) {
            fits(column, part.unwrap_or_default(), NAME_BYTES_MAX)?;
        }
        let parts = parts.map(|part| self.people.optional(part));
        let next = u32::try_from(self.place_list.len()).expect("fewer places than rows");
        Ok(*self.places.entry(parts).or_insert_with(|| {
            self.place_list.push(parts);
            next
        }))
    }

    /// The number of what an Observation says, [`NONE`] if it says nothing.
    ///
    /// # Errors
    /// A part that is longer than its column takes.
    pub(crate) fn clinical(&mut self, said: &Clinical<'_>) -> Result<u32, Misfit> {
        if *said == Clinical::default() {
            return Ok(NONE);
        }
        let parts = [
            said.status,
            said.interpretation,
            said.reference_range,
            said.method,
            said.absent_reason,
            said.resource_id,
            said.version_id,
            said.codings,
        ];
        for (column, part) in CLINICAL.into_iter().zip(parts) {
            let max = if column == "codings" { TEXT_BYTES_MAX } else { NAME_BYTES_MAX };
            fits(column, part.unwrap_or_default(), max)?;
        }
        let parts = parts.map(|part| self.words.optional(part));
        let next = u32::try_from(self.clinical_list.len()).expect("no more of them than rows");
        Ok(*self.clinicals.entry(parts).or_insert_with(|| {
            self.clinical_list.push(parts);
            next
        }))
    }

    /// The number of a time that could not be read; what is longer than the column takes is cut off.
    pub(crate) fn time_text(&mut self, text: &str) -> u32 {
        let mut end = text.len().min(NAME_BYTES_MAX);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.words.number(text.get(..end).unwrap_or_default())
    }

    /// The number of a text for `extra`, [`NONE`] for none. It must not be longer than the column takes.
    pub(crate) fn extra(&mut self, text: Option<&str>) -> u32 {
        self.extras.optional(text)
    }

    /// Adds a row: judges the value by the catalogue, fills in the unit, and says so in the flags.
    ///
    /// # Errors
    /// A text that is longer than its column takes; then nothing was added.
    pub(crate) fn push(
        &mut self,
        origin: &Origin,
        context: &Context,
        row_no: i32,
        metric: &str,
        unit: Option<&str>,
        measured: Measured<'_>,
    ) -> Result<(), Misfit> {
        fits("metric", metric, NAME_BYTES_MAX)?;
        fits("unit", unit.unwrap_or_default(), NAME_BYTES_MAX)?;
        fits("value_text", measured.text().unwrap_or_default(), TEXT_BYTES_MAX)?;
        let number = self.metrics.number(metric);
        let judged = self.judging.judge((metric, number), unit, measured, &mut self.units);
        let mut flags = context.flags | origin.flags() | judged.flags;
        if !self.dates.admit(context.event_us) {
            flags |= Flags::DATE_OF_LANDING;
        }
        let text = match measured {
            // What the device said is kept, where nobody takes it for a value.
            Measured::Number(number) if flags.has(Flags::SENTINEL) => {
                self.texts.number(&number.to_string())
            }
            measured => self.texts.optional(measured.text()),
        };
        let aside = self.aside_of(context, &judged);
        self.source.push(origin.source);
        self.device.push(origin.device);
        self.metric.push(number);
        self.unit.push(judged.unit);
        self.text.push(text);
        self.place.push(context.place);
        self.extra.push(context.extra);
        self.aside.push(aside);
        self.flags.push(flags);
        self.protocol.push(context.protocol);
        self.event_us.push(context.event_us);
        self.device_us.push(context.device_us);
        self.received_us.push(origin.received_us);
        self.value.push(judged.value);
        self.boot.push(context.boot);
        self.seq.push(context.seq);
        self.offset.push(origin.offset.cast_signed());
        self.row_no.push(row_no);
        Ok(())
    }

    /// Number of what few rows have, for a row that has it.
    fn aside_of(&mut self, context: &Context, judged: &Judged) -> u32 {
        let Judged { original, comparator, .. } = *judged;
        let nothing = (context.clinical, context.time_text) == (NONE, NONE)
            && original.is_none()
            && comparator.is_none();
        if nothing {
            return NONE;
        }
        let number = u32::try_from(self.asides.len()).expect("no more of them than rows");
        let (value_original, unit_original) = original.unwrap_or((f64::NAN, NONE));
        self.asides.push(Aside {
            clinical: context.clinical,
            time_text: context.time_text,
            comparator: comparator.map_or(NONE, u32::from),
            value_original,
            unit_original,
        });
        number
    }

    /// Where it is now, for [`Readings::truncate`].
    pub(crate) fn mark(&self) -> Mark {
        Mark { rows: self.len(), dates: self.dates.len(), asides: self.asides.len() }
    }

    /// Takes back the rows that came after `mark`: their message turned out not to be sound.
    pub(crate) fn truncate(&mut self, Mark { rows, dates, asides }: Mark) {
        self.dates.truncate(dates);
        self.asides.truncate(asides);
        for column in [
            &mut self.source,
            &mut self.device,
            &mut self.metric,
            &mut self.unit,
            &mut self.text,
            &mut self.place,
            &mut self.extra,
            &mut self.aside,
        ] {
            column.truncate(rows);
        }
        let times = [
            &mut self.event_us,
            &mut self.device_us,
            &mut self.received_us,
            &mut self.boot,
            &mut self.seq,
            &mut self.offset,
        ];
        for column in times {
            column.truncate(rows);
        }
        self.flags.truncate(rows);
        self.protocol.truncate(rows);
        self.value.truncate(rows);
        self.row_no.truncate(rows);
    }
}

/// The columns of a place.
const PLACE: [&str; 4] = ["patient_id", "encounter_id", "ward", "bed"];

/// The columns of what an Observation says.
pub(crate) const CLINICAL: [&str; 8] = [
    "status",
    "interpretation",
    "reference_range",
    "method",
    "absent_reason",
    "resource_id",
    "version_id",
    "codings",
];

/// A text is in the rows again and again although its message has it once: what it may cost is limited by its length.
fn fits(column: &'static str, text: &str, max: usize) -> Result<(), Misfit> {
    if text.len() <= max {
        return Ok(());
    }
    let (table, column) = (readings::NAME.into(), column.into());
    Err(Misfit::Long { table, column, max, given: text.len() })
}

/// How many rows and dates there were at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) rows: usize,
    dates: usize,
    asides: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_those_of_the_table() {
        let table = readings::table();
        let max = |name| table.column(name).unwrap().bytes_max;
        let names = ["metric", "unit", "unit_original", "time_text"];
        for name in PLACE.into_iter().chain(names).chain(CLINICAL) {
            let is_long = name == "codings";
            let own = if is_long { TEXT_BYTES_MAX } else { NAME_BYTES_MAX };
            assert_eq!(max(name), own, "{name}");
        }
        assert_eq!(max("value_text"), TEXT_BYTES_MAX);
    }
}
