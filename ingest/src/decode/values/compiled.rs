//! Settings that were checked, and what they say about one path.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::Said;
use super::pattern::{Patterns, Renamed};
use super::report::Reports;
use super::settings::{Array, Scale, Settings, Words};
use crate::decode::clock::Clock;
use crate::decode::number::Comma;
use crate::decode::place::{Piece, Place};
use crate::decode::sound::Pointer;
use crate::mistake::Mistake;

/// How the values of a rule's messages become readings.
#[derive(Debug, Clone)]
pub(crate) struct Values {
    pub(super) roots: Vec<Pointer>,
    pub(super) each_member: bool,
    pub(super) metric: Option<Place>,
    rename: Patterns<Renamed>,
    units: Patterns<Unit>,
    /// Pointers that say a unit.
    pub(super) unit_pointers: Vec<Pointer>,
    ignore: Patterns<()>,
    pub(super) only: Patterns<()>,
    scale: Patterns<(f64, f64)>,
    words: HashMap<String, f64>,
    words_by_path: Patterns<BTreeMap<String, f64>>,
    pub(super) comma: Comma,
    pub(super) comma_bare: Comma,
    arrays: Patterns<Array>,
    pub(super) clock: Clock,
    pub(super) per_row: Vec<Pointer>,
    pub(super) reports: Reports,
}

/// Where a unit comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Unit {
    Constant(String),
    /// The member to which the pointer of this number leads.
    Said(usize),
}

impl Values {
    /// Compiles settings.
    ///
    /// # Errors
    /// What cannot be meant, with its key.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Mistake> {
        let mut unit_pointers = Vec::new();
        let mut units = Patterns::default();
        for (path, unit) in &settings.unit {
            let unit = if unit.starts_with('/') {
                unit_pointers.push(pointer("unit", unit)?);
                Unit::Said(unit_pointers.len() - 1)
            } else {
                Unit::Constant(unit.clone())
            };
            units.add("unit", path, unit)?;
        }
        let (words, words_by_path) = words(settings)?;
        let comma = |default| if settings.decimal_comma { Comma::Always } else { default };
        let pointers = |key: &'static str, texts: &[String]| -> Result<Vec<Pointer>, Mistake> {
            texts.iter().map(|text| pointer(key, text)).collect()
        };
        Ok(Self {
            roots: pointers("root", settings.root.texts())?,
            each_member: settings.each_member,
            metric: settings.metric.as_deref().map(metric).transpose()?,
            rename: Patterns::new("rename", &settings.rename, |from, to| Renamed::new(from, to))?,
            units,
            unit_pointers,
            ignore: set("ignore", &settings.ignore)?,
            only: set("only", &settings.only)?,
            scale: Patterns::new("scale", &settings.scale, scale)?,
            words,
            words_by_path,
            comma: comma(Comma::Never),
            comma_bare: comma(Comma::Careful),
            arrays: arrays(&settings.arrays)?,
            clock: Clock::new(settings.time.as_ref())?,
            per_row: pointers("per_row", &settings.per_row)?,
            reports: Reports::new(settings.status.as_ref())?,
        })
    }

    pub(super) fn ignores(&self, path: &str) -> bool {
        self.ignore.get(path).is_some()
    }

    pub(super) fn array(&self, path: &str) -> Option<&Array> {
        self.arrays.get(path)
    }

    pub(super) fn renamed(&self, path: &str) -> Option<Cow<'_, str>> {
        self.rename.captured(path).map(|(renamed, stars)| renamed.fill(&stars))
    }

    pub(super) fn unit(&self, path: &str, metric: &str) -> Option<&Unit> {
        self.units.get(path).or_else(|| self.units.get(metric))
    }

    pub(super) fn unit_constant(&self, path: &str, metric: &str) -> Option<&str> {
        match self.unit(path, metric)? {
            Unit::Constant(unit) => Some(unit),
            Unit::Said(_) => None,
        }
    }

    /// The number of a word at a path.
    pub(super) fn words_of<'s>(
        &'s self,
        path: &str,
        metric: &str,
    ) -> impl Fn(&str) -> Option<f64> + use<'s> {
        let own = self.words_by_path.get(path).or_else(|| self.words_by_path.get(metric));
        move |text| own.and_then(|own| own.get(text)).or_else(|| self.words.get(text)).copied()
    }

    /// The number in its unit.
    pub(super) fn scaled<'a>(&self, said: Said<'a>, path: &str, metric: &str) -> Said<'a> {
        let scale = self.scale.get(path).or_else(|| self.scale.get(metric));
        match (scale, said) {
            (Some((factor, offset)), Said::Number(number)) => {
                Said::Number(times(number, *factor) + offset)
            }
            (Some((factor, offset)), Said::Word { number, text }) => {
                Said::Word { number: times(number, *factor) + offset, text }
            }
            (Some((factor, offset)), Said::Bound { comparator, number, text }) => {
                Said::Bound { comparator, number: times(number, *factor) + offset, text }
            }
            (_, said) => said,
        }
    }
}

/// `2137 * 0.01` is 21.37, and not 21.370000000000001.
fn times(number: f64, factor: f64) -> f64 {
    let parts = factor.recip();
    let whole = parts.round();
    if factor.abs() < 1.0 && (parts - whole).abs() < 1e-9 * whole.abs() {
        number / whole
    } else {
        number * factor
    }
}

fn pointer(key: &'static str, text: &str) -> Result<Pointer, Mistake> {
    let problem = || Mistake::new(key, format!("has no JSON pointer: `{text}` must be as /a/b"));
    Pointer::parse(text).ok_or_else(problem)
}

fn metric(text: &str) -> Result<Place, Mistake> {
    let mistake = |problem: String| Mistake::new("metric", problem);
    let place = Place::parse(text).map_err(|wrong| mistake(wrong.problem))?;
    let levels = matches!(&place, Place::Template(pieces)
        if pieces.iter().all(|piece| matches!(piece, Piece::Text(_) | Piece::Level(_))));
    if levels { Ok(place) } else { Err(mistake("must be made of levels, as {2}".to_owned())) }
}

fn set(key: &'static str, paths: &[String]) -> Result<Patterns<()>, Mistake> {
    let mut patterns = Patterns::default();
    for path in paths {
        patterns.add(key, path, ())?;
    }
    Ok(patterns)
}

fn scale(path: &str, scale: &Scale) -> Result<(f64, f64), Mistake> {
    let (factor, offset) = match *scale {
        Scale::Factor(factor) => (factor, 0.0),
        Scale::Line { factor, offset } => (factor, offset),
    };
    if factor.is_finite() && factor != 0.0 && offset.is_finite() {
        return Ok((factor, offset));
    }
    Err(Mistake::new(format!("scale.\"{path}\""), "makes every number the same, or none"))
}

type WordTables = (HashMap<String, f64>, Patterns<BTreeMap<String, f64>>);

fn words(settings: &Settings) -> Result<WordTables, Mistake> {
    let (mut words, mut by_path) = WordTables::default();
    for (name, said) in &settings.words {
        match said {
            Words::Number(number) => {
                words.insert(name.clone(), *number);
            }
            Words::Path(own) => by_path.add("words", name, own.clone())?,
        }
    }
    Ok((words, by_path))
}

fn arrays(arrays: &[Array]) -> Result<Patterns<Array>, Mistake> {
    let mut patterns = Patterns::default();
    for array in arrays {
        let others = [&array.value, &array.unit, &array.time];
        let keyless = array.key.is_none() && (!array.whole || others.iter().any(|o| o.is_some()));
        if keyless || (array.whole && array.key.is_some()) {
            let problem = "needs `key`, the member that names an element, or `whole = true`";
            return Err(Mistake::new(format!("arrays.\"{}\"", array.path), problem));
        }
        patterns.add("arrays", &array.path, array.clone())?;
    }
    Ok(patterns)
}
