//! UCUM by `octofhir-ucum`: whether a text is a code, and how to come from one unit to another.

use octofhir_ucum::{AdvancedConversionContext, convert_with_context, validate};

use super::Linear;

/// Longest code that is looked at, in bytes: reading one takes time by its length.
const CODE_BYTES_MAX: usize = 64;

/// Whether a text is a UCUM code, case sensitive.
pub(super) fn is_code(unit: &str) -> bool {
    !unit.is_empty() && unit.len() <= CODE_BYTES_MAX && validate(unit).is_ok()
}

/// How to come from a unit to another, if they measure the same, and in proportion.
pub(super) fn linear(from: &str, to: &str) -> Option<Linear> {
    if from.len() > CODE_BYTES_MAX || to.len() > CODE_BYTES_MAX {
        return None;
    }
    let context = AdvancedConversionContext::default();
    let converted = convert_with_context(1.0, from, to, &context).ok()?;
    let (factor, offset) = (converted.factor?.to_f64(), converted.offset?.to_f64());
    (factor.is_finite() && factor != 0.0 && offset.is_finite()).then_some(Linear { factor, offset })
}
