//! The members of one object of readings, and how the scanner finds them.
//!
//! A device writes its members in the same order every time, so the scanner looks first for the name that came at this
//! place in the object before: one comparison instead of finding the end of a text and its meaning.

use super::extra::Extra;
use super::json::{Given, wrong_type};
use super::reject::Reject;
use super::scan::Scan;

/// The names that mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Ts,
    Metric,
    Value,
    Unit,
    Boot,
    Seq,
    PatientId,
    EncounterId,
    Ward,
    Bed,
    Values,
    Timestamp,
    Time,
}

/// How each name begins a member, in the order of [`Name`].
const BEGINNINGS: [&str; 13] = [
    "\"ts\":",
    "\"metric\":",
    "\"value\":",
    "\"unit\":",
    "\"boot\":",
    "\"seq\":",
    "\"patient_id\":",
    "\"encounter_id\":",
    "\"ward\":",
    "\"bed\":",
    "\"values\":",
    "\"timestamp\":",
    "\"time\":",
];

impl Name {
    pub(super) fn of(text: &str) -> Option<Self> {
        // As bytes: that compiles to a decision tree, as texts to a comparison with each name.
        Some(match text.as_bytes() {
            b"ts" => Self::Ts,
            b"metric" => Self::Metric,
            b"value" => Self::Value,
            b"unit" => Self::Unit,
            b"boot" => Self::Boot,
            b"seq" => Self::Seq,
            b"patient_id" => Self::PatientId,
            b"encounter_id" => Self::EncounterId,
            b"ward" => Self::Ward,
            b"bed" => Self::Bed,
            b"values" => Self::Values,
            b"timestamp" => Self::Timestamp,
            b"time" => Self::Time,
            _ => return None,
        })
    }
}

/// The members of one object.
#[derive(Debug, Clone, Default)]
pub(super) struct Members<'a> {
    given: [Given<'a>; BEGINNINGS.len()],
    /// Those whose names mean nothing.
    pub(super) extra: Extra<'a>,
}

impl<'a> Members<'a> {
    pub(super) fn get(&self, name: Name) -> Given<'a> {
        self.given[name as usize]
    }

    pub(super) fn set(&mut self, name: Name, given: Given<'a>) {
        self.given[name as usize] = given;
    }
}

impl<'a> Members<'a> {
    /// What says when it happened.
    ///
    /// # Errors
    /// Several do, or one says null, so something has no column.
    pub(super) fn time(&self) -> Result<Given<'a>, Reject> {
        if [Name::Timestamp, Name::Time].iter().any(|name| self.get(*name) == Given::Null) {
            return Err(wrong_type("time", "a time"));
        }
        let said = [Name::Ts, Name::Timestamp, Name::Time].map(|name| self.get(name));
        let mut said = said.into_iter().filter(|given| *given != Given::Absent);
        let first = said.next().unwrap_or_default();
        if said.next().is_some() { Err(wrong_type("ts", "alone")) } else { Ok(first) }
    }
}

/// Places that are remembered; members beyond are found by their text.
const PLACES: usize = 12;

/// The names of the last object, in order. Only a guess: every name is compared.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shape([Option<Name>; PLACES]);

/// Reads one object into `members`. Returns where the members of `values` begin, if there are any.
pub(super) fn scan_object<'a>(
    scan: &mut Scan<'a>,
    members: &mut Members<'a>,
    shape: &mut Shape,
) -> Option<Option<Scan<'a>>> {
    let mut values = None;
    if !scan.take(b'{') {
        return None;
    }
    if scan.take(b'}') {
        return Some(values);
    }
    for place in 0.. {
        match scan_name(scan, shape.0.get_mut(place))? {
            // Which of two members of one name counts is for the careful way to say.
            Ok(name) if !matches!(members.get(name), Given::Absent) => return None,
            Ok(Name::Values) if scan.peek()? == b'{' => {
                values = Some(scan_values(scan)?);
                members.set(Name::Values, Given::Nested);
            }
            Ok(name) => members.set(name, scan.scalar()?),
            Err(unknown) => members.extra.add(unknown, scan.raw_scalar()?.1),
        }
        if !scan.take(b',') {
            break;
        }
    }
    scan.take(b'}').then_some(values)
}

/// The next member's name, or its text if it means nothing.
fn scan_name<'a>(
    scan: &mut Scan<'a>,
    guess: Option<&mut Option<Name>>,
) -> Option<Result<Name, &'a str>> {
    if let Some(Some(name)) = guess.as_deref().copied()
        && scan.literal(BEGINNINGS[name as usize])
    {
        return Some(Ok(name));
    }
    let key = scan.key()?;
    let name = Name::of(key);
    if let Some(guess) = guess {
        *guess = name;
    }
    Some(name.ok_or(key))
}

/// Goes over the members of `values`; returns where they begin.
fn scan_values<'a>(scan: &mut Scan<'a>) -> Option<Scan<'a>> {
    if !scan.take(b'{') {
        return None;
    }
    let start = *scan;
    if !scan.take(b'}') {
        scan_member(scan)?;
        while scan.take(b',') {
            scan_member(scan)?;
        }
        if !scan.take(b'}') {
            return None;
        }
    }
    Some(start)
}

/// A member of any name with a scalar.
pub(super) fn scan_member<'a>(scan: &mut Scan<'a>) -> Option<(&'a str, Given<'a>)> {
    Some((scan.key()?, scan.scalar()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_is_only_a_guess() {
        let mut shape = Shape::default();
        let mut read = |text: &'static str| {
            let mut members = Members::default();
            scan_object(&mut Scan::new(text), &mut members, &mut shape)?;
            Some([Name::Ts, Name::Metric, Name::Value].map(|name| members.get(name)))
        };
        let expected = Some([Given::Int(1), Given::Text("a"), Given::Int(2)]);
        for text in [
            r#"{"ts":1,"metric":"a","value":2}"#,
            r#"{"ts":1,"metric":"a","value":2}"#,
            r#"{"value":2,"ts":1,"metric":"a"}"#,
            r#"{"x":0,"value" : 2,"ts":1,"metric":"a"}"#,
            r#"{"x":0,"value":2,"ts":1,"metric":"a"}"#,
            r#"{"x":0,"value":2,"time":1,"ts":1,"metric":"a"}"#,
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
        assert_eq!(read(r#"{"value":1,"value":2}"#), None);
    }

    #[test]
    fn every_name_begins_as_it_is_written() {
        for (place, beginning) in BEGINNINGS.iter().enumerate() {
            let name = Name::of(beginning.trim_matches([':', '"'])).unwrap();
            assert_eq!(name as usize, place);
        }
    }
}
