//! Whether bytes speak of one patient: pure.
//!
//! An id may be as short as `7`, so that it stands somewhere says nothing. What counts is what stands before it: a FHIR reference
//! (`Patient/7`), a member whose name says whose id it is (`"patient_id": "7"`, `subject=7`), or the `id` of a Patient resource.

use std::fmt;

/// Longest id that is looked for, bytes.
const ID_MAX: usize = 1024;
/// Words in the name of a member, column or parameter that holds the id of a patient.
const NAMES: [&str; 5] = ["patient", "subject", "mrn", "pid", "nhs_number"];
/// Bytes before an id in which its name is looked for.
const BEFORE: usize = 96;
/// An id of so many bytes is none by chance.
const LONG: usize = 6;

/// A patient, by id. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Subject(String);

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subject(…)")
    }
}

/// Why an id can't be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a patient's id has 1 to {ID_MAX} bytes, no space at its ends and no control characters")]
pub struct NotAnId;

impl Subject {
    /// The patient with this id, as in the column `patient_id` and behind `Patient/` in references.
    ///
    /// # Errors
    /// If nothing can have that id.
    pub fn new(id: &str) -> Result<Self, NotAnId> {
        let fits = !id.is_empty() && id.len() <= ID_MAX && id.trim() == id;
        let fits = fits && !id.contains(char::is_control);
        fits.then(|| Self(id.to_owned())).ok_or(NotAnId)
    }

    /// Whether a text is the id.
    pub(crate) fn is(&self, text: &str) -> bool {
        text == self.0
    }

    /// Whether bytes speak of the patient.
    pub(crate) fn is_in(&self, bytes: &[u8]) -> bool {
        self.places(bytes).any(|at| self.is_named(bytes, at))
    }

    /// Whether the id stands in bytes by itself, whatever that means there.
    pub(crate) fn stands_in(&self, bytes: &[u8]) -> bool {
        self.places(bytes).next().is_some()
    }

    /// Whether the id is long enough to be none by chance.
    pub(crate) fn is_long(&self) -> bool {
        self.0.len() >= LONG
    }

    /// Where the id stands by itself: not as a part of something longer.
    fn places<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let (id, mut from) = (self.0.as_bytes(), 0);
        std::iter::from_fn(move || {
            loop {
                let at = from + find(bytes.get(from..)?, id)?;
                from = at + 1;
                let before = at.checked_sub(1).and_then(|before| bytes.get(before));
                let after = bytes.get(at + id.len());
                let begins = !before.is_some_and(is_of_id) || is_behind_escape(bytes, at);
                if begins && !after.is_some_and(is_of_id) {
                    return Some(at);
                }
            }
        })
    }

    fn is_named(&self, bytes: &[u8], at: usize) -> bool {
        let before = bytes.get(at.saturating_sub(BEFORE)..at).unwrap_or_default();
        let before = String::from_utf8_lossy(before).to_lowercase();
        if before.ends_with("patient/")
            || before.ends_with("patient%2f")
            || before.ends_with("patient|")
        {
            return true;
        }
        // From the id back over what stands between a value and its name.
        let between =
            |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | ':' | '=' | '>' | '\\');
        let name_end = before.trim_end_matches(between);
        if name_end.len() == before.len() {
            return false;
        }
        let is_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let begin = name_end.rfind(|c: char| !is_of_name(c)).map_or(0, |at| at + 1);
        let name = name_end.get(begin..).unwrap_or_default();
        if NAMES.iter().any(|known| name.contains(known)) {
            return true;
        }
        name == "id" && says_patient(bytes)
    }
}

/// Bytes that ids are made of: what stands beside one makes it a part of something longer.
fn is_of_id(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_') || !byte.is_ascii()
}

/// Whether `%2F` or another escaped character of a URL ends there: its digits are no part of what follows.
fn is_behind_escape(bytes: &[u8], at: usize) -> bool {
    let escape = at.checked_sub(3).and_then(|begin| bytes.get(begin..at));
    escape.is_some_and(|escape| escape[0] == b'%' && escape[1..].iter().all(u8::is_ascii_hexdigit))
}

/// Whether JSON says somewhere that it is a Patient.
fn says_patient(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = find(rest, b"resourceType") {
        rest = rest.get(at + b"resourceType".len()..).unwrap_or_default();
        let value: Vec<u8> = rest
            .iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b':' | b'\\'))
            .take(8)
            .collect();
        if value.starts_with(b"Patient")
            && value.get(7).is_none_or(|next| !next.is_ascii_alphanumeric())
        {
            return true;
        }
    }
    false
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(id: &str) -> Subject {
        Subject::new(id).unwrap()
    }

    #[test]
    fn what_speaks_of_a_patient_does_so_however_it_is_written() {
        for text in [
            r#"{"subject":{"reference":"Patient/7"}}"#,
            r#"{"reference":"https://ehr.example/fhir/Patient/7/_history/2"}"#,
            r#"{"patient_id":"7"}"#,
            r#"{"patientId" : 7, "value": 3}"#,
            r#"{"patient":"7"}"#,
            "patient=7&metric=hr",
            "metric,patient_id\nhr,x patient_id=7",
            r#"{"resourceType":"Patient","id":"7"}"#,
            r#"{ "id" : "7", "resourceType" : "Patient" }"#,
            r#"{\"resourceType\":\"Patient\",\"id\":\"7\"}"#,
            r#"{"MRN":"7"}"#,
            "Patient%2F7",
            "<subject>7</subject>",
        ] {
            assert!(of("7").is_in(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn a_number_that_happens_to_be_the_same_is_nobody() {
        for text in [
            r#"{"value":7}"#,
            r#"{"patient_id":"77"}"#,
            r#"{"patient_id":"7-a"}"#,
            r#"{"patient_id":"a7"}"#,
            r#"{"subject":{"reference":"Patient/70"}}"#,
            r#"{"reference":"Device/7"}"#,
            r#"{"resourceType":"Observation","id":"7"}"#,
            r#"{"resourceType":"PatientX","id":"7"}"#,
            "bed 7",
        ] {
            assert!(!of("7").is_in(text.as_bytes()), "{text}");
        }
        assert!(of("7").stands_in(b"bed 7") && !of("7").stands_in(b"bed 77"));
    }

    #[test]
    fn what_nobody_is_called_is_refused() {
        for id in ["", " 7", "7\n", &"x".repeat(2000)] {
            assert!(Subject::new(id).is_err());
        }
        assert_eq!(format!("{:?}", of("secret")), "Subject(…)");
    }
}
