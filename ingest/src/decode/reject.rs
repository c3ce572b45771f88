//! Why a message, or a part of it, could not become rows.

use std::borrow::Cow;

use crate::batch::Misfit;

/// Reason codes of dead letters: stable words for queries and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The JSON ends too early.
    JsonTruncated,
    /// Not JSON.
    JsonSyntax,
    /// Deeper than [`super::DEPTH_MAX`].
    NestingTooDeep,
    /// Not UTF-8.
    NotUtf8,
    /// No bytes at all.
    EmptyPayload,
    /// A field has a type that it must not have.
    WrongType,
    /// A number that a double can't hold, or NaN or infinity written out.
    NotFinite,
    /// A reading without a metric.
    MetricMissing,
    /// A reading without a value, or a message without any reading.
    ValueMissing,
    /// FHIR that is not a resource or a Bundle of them.
    FhirShapeUnknown,
    /// The payload does not say which device it is from, where the rule looks for it.
    DeviceMissing,
    /// No decoder for the topic.
    TopicUnknown,
    /// The source may not send the topic.
    TopicNotAllowed,
    /// Whole bytes in a frame that are no record.
    FrameRecordUnparsable,
    /// A text that is longer than its column takes.
    TextTooLong,
    /// More rows, or a larger tree of JSON values, than one message may cost.
    TooManyValues,
    /// The worker ended twice while it had this message alone.
    EndsIngest,
    /// Larger than a spool takes; only its size and hash came.
    TooLarge,
    /// A row that its table can't hold.
    DoesNotFit,
    /// CBOR that is not sound.
    CborSyntax,
    /// MessagePack that is not sound.
    MessagePackSyntax,
    /// gzip or zstd that is not sound.
    CompressionCorrupt,
    /// It unpacks to more than a message may be.
    UnpackTooLarge,
}

/// All codes, as they are declared.
pub(crate) const CODES: &[Code] = &[
    Code::JsonTruncated,
    Code::JsonSyntax,
    Code::NestingTooDeep,
    Code::NotUtf8,
    Code::EmptyPayload,
    Code::WrongType,
    Code::NotFinite,
    Code::MetricMissing,
    Code::ValueMissing,
    Code::FhirShapeUnknown,
    Code::DeviceMissing,
    Code::TopicUnknown,
    Code::TopicNotAllowed,
    Code::FrameRecordUnparsable,
    Code::TextTooLong,
    Code::TooManyValues,
    Code::EndsIngest,
    Code::TooLarge,
    Code::DoesNotFit,
    Code::CborSyntax,
    Code::MessagePackSyntax,
    Code::CompressionCorrupt,
    Code::UnpackTooLarge,
];

impl Code {
    /// The code as it stands in `dead_letters.reason_code`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::JsonTruncated => "json_truncated",
            Self::JsonSyntax => "json_syntax",
            Self::NestingTooDeep => "nesting_too_deep",
            Self::NotUtf8 => "not_utf8",
            Self::EmptyPayload => "empty_payload",
            Self::WrongType => "wrong_type",
            Self::NotFinite => "not_finite",
            Self::MetricMissing => "metric_missing",
            Self::ValueMissing => "value_missing",
            Self::FhirShapeUnknown => "fhir_shape_unknown",
            Self::DeviceMissing => "device_missing",
            Self::TopicUnknown => "topic_unknown",
            Self::TopicNotAllowed => "topic_not_allowed",
            Self::FrameRecordUnparsable => "frame_record_unparsable",
            Self::TextTooLong => "text_too_long",
            Self::TooManyValues => "too_many_values",
            Self::EndsIngest => "ends_ingest",
            Self::TooLarge => "too_large",
            Self::DoesNotFit => "does_not_fit",
            Self::CborSyntax => "cbor_syntax",
            Self::MessagePackSyntax => "message_pack_syntax",
            Self::CompressionCorrupt => "compression_corrupt",
            Self::UnpackTooLarge => "unpack_too_large",
        }
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::TopicUnknown => {
                "no rule of [[ingest.topics]] is for this topic: add one, or publish elsewhere"
            }
            Self::TopicNotAllowed => {
                "[ingest.sources] does not let this source send the topic: allow it, or find out who publishes there"
            }
            Self::FrameRecordUnparsable => "is the source of another version, or its disk damaged?",
            Self::UnpackTooLarge => "let the sender split it: a message unpacks to 16 MiB at most",
            Self::TooManyValues => "let the device send fewer values in a message",
            Self::EndsIngest => "a defect, or too little memory for it: please report it",
            Self::TooLarge => {
                "let the sender split it: the agent keeps at most 8 MiB, less in a small spool"
            }
            Self::DoesNotFit => "a defect of the decoder: please report it",
            _ => {
                "mend what publishes, or the topic's decoder; table dead_letters has bytes and reason"
            }
        }
    }

    /// The stage that refused it, as in `dead_letters.stage`.
    #[must_use]
    pub fn stage(self) -> &'static str {
        match self {
            Self::TopicUnknown => "topic",
            Self::TopicNotAllowed => "access",
            Self::FrameRecordUnparsable => "frame",
            Self::TextTooLong | Self::DoesNotFit => "table",
            _ => "decode",
        }
    }
}

/// A code and a sentence for people. The sentence names fields and positions, never values: they may identify a patient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The code.
    pub code: Code,
    /// The sentence.
    pub reason: Cow<'static, str>,
}

impl Reject {
    /// A rejection.
    pub fn new(code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// What serde_json's error means.
    #[must_use]
    pub fn json(payload: &[u8], error: &serde_json::Error) -> Self {
        let place = format!("line {} column {}", error.line(), error.column());
        if error.is_eof() {
            return Self::new(Code::JsonTruncated, format!("the JSON ends at {place}"));
        }
        let code = if error.is_data() {
            Code::WrongType
        } else if not_finite(payload, error) {
            Code::NotFinite
        } else {
            Code::JsonSyntax
        };
        Self::new(
            code,
            format!(
                "{} at {place}",
                if code == Code::WrongType { "wrong type" } else { "not JSON" }
            ),
        )
    }
}

impl From<Misfit> for Reject {
    fn from(misfit: Misfit) -> Self {
        let code = match misfit {
            Misfit::Long { .. } => Code::TextTooLong,
            _ => Code::DoesNotFit,
        };
        Self::new(code, misfit.to_string())
    }
}

/// Whether the parser stopped at a number that is none: `1e999`, `NaN`, `Infinity`, `-Infinity`.
fn not_finite(payload: &[u8], error: &serde_json::Error) -> bool {
    if error.to_string().starts_with("number out of range") {
        return true;
    }
    let line = payload
        .split(|byte| *byte == b'\n')
        .nth(error.line().saturating_sub(1))
        .unwrap_or_default();
    // The column counts from 1 and stands at the offending byte, or for `-I` behind the sign.
    let at = error.column().saturating_sub(1);
    let from = |at: usize| line.get(at..).unwrap_or_default();
    [from(at), from(at.saturating_sub(1))].iter().any(|rest| {
        ["NaN", "Infinity", "-Infinity", "-NaN"]
            .iter()
            .any(|word| rest.starts_with(word.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_errors_are_told_apart() {
        let code = |text: &str| {
            Reject::json(
                text.as_bytes(),
                &serde_json::from_str::<serde_json::Value>(text).unwrap_err(),
            )
            .code
        };
        assert_eq!(code(r#"{"a":1"#), Code::JsonTruncated);
        assert_eq!(code(r#"{"a":1,}"#), Code::JsonSyntax);
        assert_eq!(code(r#"{"a":1} x"#), Code::JsonSyntax);
        for number in ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"] {
            assert_eq!(code(&format!("{{\"a\":{number}}}")), Code::NotFinite, "{number}");
            assert_eq!(code(&format!("{{\n\"a\": {number}}}")), Code::NotFinite, "{number}");
        }
        assert_eq!(code("{\"a\":None}"), Code::JsonSyntax);
    }
}
