//! Payloads to rows: what a decoder is, and the list of those that there are.

pub(crate) mod clock;
pub(crate) mod eras;
mod extra;
mod fhir;
mod json;
mod json_rows;
pub(crate) mod lenient;
pub(crate) mod members;
pub(crate) mod number;
mod object;
pub(crate) mod place;
mod plain_settings;
mod read;
mod readings;
pub mod reject;
mod scan;
mod sound;
mod status;
pub(crate) mod time;
mod unpack;
pub(crate) mod values;
mod values_rows;

use std::borrow::Cow;
use std::fmt;

use crate::batch::{Layout, Rows};
use crate::mistake::Mistake;
use reject::Reject;

/// Levels of JSON that a payload may have. FHIR needs about ten.
pub const DEPTH_MAX: usize = 64;

/// A message to decode.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Who published it, as gateway or agent know it.
    pub publisher: &'a str,
    /// What the publisher says that the payload is (MQTT 5).
    pub content_type: Option<&'a str>,
    /// Its payload.
    pub payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// The payload as text: what is compressed is unpacked, CBOR and MessagePack become JSON.
    ///
    /// # Errors
    /// It is none, or would be too large.
    pub fn text(&self) -> Result<Cow<'a, str>, Reject> {
        unpack::unpack(self.payload, self.content_type, unpack::Encoding::Auto)
    }
}

/// Turns payloads into rows. It names the tables and columns that it writes when it is made.
pub trait Decoder: fmt::Debug + Send + Sync {
    /// Decodes one message, which has at least one byte.
    ///
    /// # Errors
    /// What could not become rows: the message becomes a dead letter, beside the rows that it has.
    fn decode(&self, message: &Message<'_>, rows: &mut Rows<'_>) -> Result<(), Reject>;

    /// Whether it says itself which device each row is of, where the rule takes that from the payload.
    fn locates(&self) -> bool {
        false
    }
}

/// The settings of a decoder in its rule.
pub type Settings = serde_json::Map<String, serde_json::Value>;

/// What there is to know about a decoder before one is made.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Its name in rules.
    pub name: &'static str,
    /// What it takes, for people.
    pub about: &'static str,
    /// Makes one by the settings of a rule, for the tables that there are.
    pub build: Build,
}

/// Makes a decoder.
pub type Build = fn(&Settings, &Layout) -> Result<Box<dyn Decoder>, Mistake>;

/// All decoders. A new one is a file, and a line here.
pub const DECODERS: &[Spec] =
    &[readings::SPEC, fhir::SPEC, status::SPEC, values_rows::SPEC, json_rows::SPEC];

/// For a decoder without settings.
pub(crate) fn no_settings(settings: &Settings) -> Result<(), Mistake> {
    match settings.keys().next() {
        None => Ok(()),
        Some(key) => Err(Mistake::new(key, "is not a setting of this decoder, it has none")),
    }
}
