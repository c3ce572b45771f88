//! What was observed, dosed or counted: every type that `value[x]` may have, as a number with a unit, as a text, or why there is none.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::coded::{Coded, coded, codes};
use super::element::{Found, Tree, first, text_of};
use crate::batch::flags::Flags;

const UCUM: &str = "http://unitsofmeasure.org";
const ABSENT_SYSTEM: &str = "http://terminology.hl7.org/CodeSystem/data-absent-reason";
const ABSENT_EXTENSION: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";

/// A value and what belongs to it.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Observed<'a> {
    pub(super) number: Option<f64>,
    /// The ends of a range.
    pub(super) low: Option<f64>,
    pub(super) high: Option<f64>,
    pub(super) text: Option<Cow<'a, str>>,
    pub(super) unit: Option<&'a str>,
    pub(super) comparator: Option<&'a str>,
    /// The code that the value is.
    pub(super) coded: Coded<'a>,
    pub(super) truth: Option<bool>,
    pub(super) sampled: Option<&'a Tree>,
    pub(super) absent: Option<String>,
    pub(super) flags: Flags,
}

impl<'a> Observed<'a> {
    /// The value at the first of these paths of an Observation, of a component, of another resource.
    pub(super) fn of(tree: &'a Tree, paths: &[&str]) -> Self {
        let mut observed = Self::default();
        if let Some(found) = first(tree, paths).first() {
            observed.read(*found);
        }
        if observed.coded.system.as_deref() == Some(ABSENT_SYSTEM) {
            let coded = std::mem::take(&mut observed.coded);
            observed.text = None;
            observed.absent = coded.code.map(Cow::into_owned);
        }
        observed.absent = observed.absent.or_else(|| absent_reason(tree));
        if observed.absent.is_some() {
            observed.flags |= Flags::ABSENT;
        }
        observed
    }

    /// Whether there is something to read, or a reason why not.
    pub(super) fn is_said(&self) -> bool {
        self.number.is_some()
            || self.text.is_some()
            || self.sampled.is_some()
            || self.absent.is_some()
    }

    fn read(&mut self, Found { kind, value }: Found<'a>) {
        match (kind, value) {
            (_, Value::Number(number)) => self.number = number.as_f64(),
            (_, Value::Bool(truth)) => {
                self.truth = Some(*truth);
                self.text = Some(Cow::Borrowed(if *truth { "true" } else { "false" }));
                self.flags |= Flags::BOOLEAN;
            }
            ("Integer" | "Decimal", Value::String(text)) => self.number_text(text),
            (_, Value::String(text)) if !text.is_empty() => self.text = Some(Cow::Borrowed(text)),
            (_, Value::Object(tree)) => self.object(kind, tree, value),
            _ => self.flags |= Flags::NOT_CONVERTED,
        }
    }

    /// Told by the type that its name says, else by its members.
    fn object(&mut self, kind: &str, tree: &'a Tree, value: &'a Value) {
        let has = |names: [&str; 2]| names.iter().any(|name| tree.contains_key(*name));
        match kind {
            "CodeableConcept" | "Coding" => self.concept(kind, value),
            "SampledData" => self.sampled(tree),
            "Range" => self.range(tree),
            "Ratio" => self.ratio(tree),
            "Period" => self.period(tree),
            "Quantity" | "Age" | "Duration" | "Money" => self.quantity(tree),
            _ if has(["coding", "text"]) => self.concept(kind, value),
            _ if has(["origin", "data"]) => self.sampled(tree),
            _ if has(["low", "high"]) => self.range(tree),
            _ if has(["numerator", "denominator"]) => self.ratio(tree),
            _ if has(["start", "end"]) => self.period(tree),
            _ if has(["value", "unit"]) || has(["currency", "code"]) => self.quantity(tree),
            _ => self.flags |= Flags::NOT_CONVERTED,
        }
    }

    fn concept(&mut self, kind: &str, value: &'a Value) {
        self.coded = coded(&[Found { kind: "", value }]);
        let words = text_of(value.get("text")).filter(|_| kind != "Coding");
        self.text = match words {
            Some(words) => Some(Cow::Borrowed(words)),
            None => self.coded.words().map(|words| Cow::Owned(words.to_owned())),
        };
        if self.text.is_none() {
            self.flags |= Flags::NOT_CONVERTED;
        }
    }

    fn sampled(&mut self, tree: &'a Tree) {
        self.sampled = Some(tree);
        self.unit = tree.get("origin").and_then(Value::as_object).and_then(unit);
        self.flags |= Flags::SAMPLED;
    }

    fn quantity(&mut self, tree: &'a Tree) {
        self.unit = unit(tree);
        match tree.get("value") {
            Some(Value::Number(number)) => self.number = number.as_f64(),
            Some(Value::String(text)) => self.number_text(text),
            None | Some(Value::Null) => {}
            Some(_) => self.flags |= Flags::NOT_CONVERTED,
        }
        self.comparator = text_of(tree.get("comparator"));
        if self.comparator.is_some() {
            self.flags |= Flags::COMPARATOR;
        }
    }

    /// A number that came as a text, against the rules; or a text where a number should be.
    fn number_text(&mut self, text: &'a str) {
        self.text = Some(Cow::Borrowed(text)).filter(|text| !text.is_empty());
        self.number = serde_json::from_str::<Number>(text).ok().and_then(|number| number.as_f64());
        let flag = if self.number.is_some() { Flags::TEXT_NUMBER } else { Flags::NOT_CONVERTED };
        self.flags |= flag;
    }

    fn range(&mut self, tree: &'a Tree) {
        let part = |name: &str| tree.get(name).and_then(Value::as_object);
        let number = |part: Option<&Tree>| part?.get("value")?.as_f64();
        (self.low, self.high) = (number(part("low")), number(part("high")));
        self.unit = part("low").and_then(unit).or_else(|| part("high").and_then(unit));
        self.compound(range_text(tree));
    }

    fn ratio(&mut self, tree: &'a Tree) {
        let part = |name: &str| tree.get(name).and_then(Value::as_object);
        let (Some(above), Some(below)) = (part("numerator"), part("denominator")) else {
            return self.compound(None);
        };
        self.comparator =
            text_of(above.get("comparator")).or_else(|| text_of(below.get("comparator")));
        if self.comparator.is_some() {
            self.flags |= Flags::COMPARATOR;
        }
        let sign = if unit(above).is_some() || unit(below).is_some() { " / " } else { ":" };
        let parts = amount(above).zip(amount(below));
        self.compound(parts.map(|(above, below)| format!("{above}{sign}{below}")));
    }

    fn period(&mut self, tree: &'a Tree) {
        let end = |name: &str| text_of(tree.get(name)).unwrap_or_default();
        let (start, end) = (end("start"), end("end"));
        let said = !(start.is_empty() && end.is_empty());
        self.compound(said.then(|| format!("{start}/{end}")));
    }

    /// What is no point of a scale is a text.
    fn compound(&mut self, text: Option<String>) {
        self.flags |= if text.is_some() { Flags::COMPOUND } else { Flags::NOT_CONVERTED };
        self.text = text.map(Cow::Owned);
    }
}

/// The unit of a quantity: its code is one only in UCUM, else the text for people is.
fn unit(quantity: &Tree) -> Option<&str> {
    let part = |name: &str| text_of(quantity.get(name));
    let ucum = part("code").filter(|_| part("system") == Some(UCUM));
    ucum.or_else(|| part("unit")).or_else(|| part("code")).or_else(|| part("currency"))
}

/// A quantity in a few words: `<5 mg`.
fn amount(quantity: &Tree) -> Option<String> {
    let value = match quantity.get("value")? {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let comparator = text_of(quantity.get("comparator")).unwrap_or_default();
    Some(match unit(quantity) {
        Some(unit) => format!("{comparator}{value} {unit}"),
        None => format!("{comparator}{value}"),
    })
}

/// A range as `low..high unit`, either end may be open.
fn range_text(range: &Tree) -> Option<String> {
    let part = |name: &str| range.get(name).and_then(Value::as_object);
    let number = |part: Option<&Tree>| part?.get("value").map(ToString::to_string);
    let (low, high) = (number(part("low")), number(part("high")));
    if low.is_none() && high.is_none() {
        return None;
    }
    let unit = part("low").and_then(unit).or_else(|| part("high").and_then(unit));
    let text = format!("{}..{}", low.unwrap_or_default(), high.unwrap_or_default());
    Some(unit.map_or_else(|| text.clone(), |unit| format!("{text} {unit}")))
}

/// The reference ranges of an Observation or a component: each as its text, or as `low..high unit`, several joined by `; `.
pub(super) fn reference_range(tree: &Tree) -> Option<String> {
    let ranges = tree.get("referenceRange")?.as_array()?.iter().filter_map(Value::as_object);
    let words = ranges.filter_map(|range| {
        range_text(range).or_else(|| text_of(range.get("text")).map(str::to_owned))
    });
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join("; "))
}

/// Why there is no value: the element for it, or the extension of the value that is not there.
fn absent_reason(tree: &Tree) -> Option<String> {
    if let Some(reason) = codes(tree.get("dataAbsentReason")) {
        return Some(reason);
    }
    let of_value =
        tree.iter().filter(|(name, _)| name.starts_with("value") || name.starts_with("_value"));
    let mut extensions = of_value
        .flat_map(|(_, value)| [Some(value), value.get("_value")])
        .filter_map(|value| value?.get("extension")?.as_array())
        .flatten();
    extensions.find_map(|extension| {
        let absent = text_of(extension.get("url")) == Some(ABSENT_EXTENSION);
        text_of(extension.get("valueCode").filter(|_| absent)).map(str::to_owned)
    })
}

#[cfg(test)]
mod tests;
