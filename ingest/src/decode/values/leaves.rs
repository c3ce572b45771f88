//! Takes each value of an object for what it is: a reading, or something to keep.

use std::borrow::Cow;

use lake::table::{EXTRA_BYTES_MAX, NAME_BYTES_MAX};

use super::compiled::Unit;
use super::groups::{Found, Reader};
use super::settings::Array;
use super::tree::At;
use super::{Group, Leaf, Said, Told, scalar};
use crate::batch::flags::Flags;
use crate::decode::extra::Extra;
use crate::decode::json;
use crate::decode::reject::{Code, Reject};

/// Readings of one message, at most.
const LEAVES_MAX: usize = 100_000;
/// What the metrics of one message may take: a long name above many values is written once for each.
const METRICS_BYTES_MAX: usize = 16 << 20;

impl<'a> Reader<'_, 'a> {
    /// Adds a name to the path; returns where it began.
    pub(super) fn child(&mut self, name: &str) -> usize {
        let place = self.path.len();
        if place > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        place
    }

    /// Any value, where the path is.
    pub(super) fn value(
        &mut self,
        at: At,
        mut allowed: bool,
        unit: Option<&str>,
    ) -> Result<(), Reject> {
        let tree = self.tree;
        if self.taken.contains(&at) {
            return Ok(());
        }
        if tree.node(at).shadowed
            || self.path.len() > NAME_BYTES_MAX
            || self.values.ignores(&self.path)
        {
            self.keep(at);
            return Ok(());
        }
        allowed |= self.values.only.get(&self.path).is_some();
        if tree.is_scalar(at) {
            if allowed {
                return self.leaf(at, unit);
            }
            self.keep(at);
            return Ok(());
        }
        if tree.children(at).next().is_none() {
            self.keep(at);
            return Ok(());
        }
        if tree.is_array(at) {
            return self.array(at, allowed);
        }
        for member in tree.children(at) {
            let name = &tree.node(member).name;
            if self.path.len() + name.len() > NAME_BYTES_MAX {
                // Not even written down: it would be there once for each of its values.
                self.keep_as(member, name.clone());
                continue;
            }
            let place = self.child(name);
            self.value(member, allowed, None)?;
            self.path.truncate(place);
        }
        Ok(())
    }

    fn array(&mut self, at: At, allowed: bool) -> Result<(), Reject> {
        let tree = self.tree;
        let values = self.values;
        let array = values.array(&self.path);
        if array.is_some_and(|array| array.whole) {
            if allowed {
                return self.leaf(at, None);
            }
            self.keep(at);
            return Ok(());
        }
        for (index, element) in tree.children(at).enumerate() {
            let named = array.and_then(|array| {
                let key = tree.member(element, array.key.as_deref()?)?;
                Some((array, key, name_of(tree.raw(key))?))
            });
            match named {
                Some((array, key, name)) => {
                    let place = self.child(&name);
                    self.element(element, key, array, allowed)?;
                    self.path.truncate(place);
                }
                None => {
                    let place = self.child(&index.to_string());
                    self.value(element, allowed, None)?;
                    self.path.truncate(place);
                }
            }
        }
        Ok(())
    }

    /// An element that has a name.
    fn element(
        &mut self,
        element: At,
        key: At,
        array: &Array,
        allowed: bool,
    ) -> Result<(), Reject> {
        let tree = self.tree;
        let member = |name: &Option<String>| tree.member(element, name.as_deref()?);
        let (value, unit, time) = (member(&array.value), member(&array.unit), member(&array.time));
        let unit_text = unit.and_then(|unit| name_of(tree.raw(unit)));
        let unit_text = unit_text.as_deref();
        let outer = self.group;
        if let Some(time) = time {
            let group = &self.groups[self.group];
            let timed = Group {
                time: Told::Nothing,
                readings: Vec::new(),
                report: None,
                extra: group.extra.clone(),
                first: Extra::default(),
                raw: tree.raw(element),
                whole: group.whole,
                member: group.member.clone(),
            };
            self.group = self.groups.len();
            self.groups.push(timed);
            self.clocks.push(None);
            self.told(time, self.values.clock.read(tree.raw(time)), None);
        }
        for member in tree.children(element) {
            if member == key || Some(member) == time || Some(member) == unit {
                continue;
            }
            if Some(member) == value {
                self.value(member, allowed, unit_text)?;
                continue;
            }
            let place = self.child(&tree.node(member).name);
            let unit = if value.is_none() { unit_text } else { None };
            self.value(member, allowed, unit)?;
            self.path.truncate(place);
        }
        self.group = outer;
        Ok(())
    }

    /// A reading.
    fn leaf(&mut self, at: At, unit: Option<&str>) -> Result<(), Reject> {
        let (tree, values) = (self.tree, self.values);
        let raw = tree.raw(at);
        let metric = match values.renamed(&self.path) {
            Some(metric) => {
                let place = self.groups[self.group].readings.len();
                self.metrics_bytes += self.path.len();
                self.renamed.push((self.group, place, self.path.clone()));
                metric
            }
            None if tree.name(at) == self.path => tree.node(at).name.clone(),
            None => Cow::Owned(self.path.clone()),
        };
        self.leaves += 1;
        self.metrics_bytes += metric.len();
        if self.leaves > LEAVES_MAX || self.metrics_bytes > METRICS_BYTES_MAX {
            let reason = format!(
                "more than {LEAVES_MAX} readings in one message, or longer names than it may have"
            );
            return Err(Reject::new(Code::TooManyValues, reason));
        }
        let words = values.words_of(&self.path, &metric);
        let (value, flags) = match tree.is_scalar(at) {
            true => scalar::of_json(raw, values.comma, words),
            false => (Said::Nested, Flags::VALUE_IN_EXTRA),
        };
        let value = values.scaled(value, &self.path, &metric);
        let said = || match values.unit(&self.path, &metric)? {
            Unit::Constant(unit) => Some(Cow::Borrowed(unit.as_str())),
            Unit::Said(place) => name_of(tree.raw((*self.units.get(*place)?)?)),
        };
        let unit = unit.map(|unit| Cow::Owned(unit.to_owned())).or_else(said);
        self.groups[self.group].readings.push(Leaf { metric, value, unit, raw, flags });
        Ok(())
    }

    /// Keeps a value under its path.
    pub(super) fn keep(&mut self, at: At) {
        let tree = self.tree;
        let own = tree.node(at).name.clone();
        // Beyond that it is too long anyway, and says so.
        let short = self.path == own || self.kept_bytes > EXTRA_BYTES_MAX;
        let name = if short { own } else { Cow::Owned(self.path.clone()) };
        self.keep_as(at, name);
    }

    fn keep_as(&mut self, at: At, name: Cow<'a, str>) {
        let raw = self.tree.raw(at);
        self.kept_bytes += name.len() + raw.len();
        if self.groups.is_empty() {
            self.open(at, 0, None, &Found::default());
        }
        self.groups[self.group].first.add(name, raw);
    }
}

/// The text of a key or a unit.
fn name_of(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => json::text(raw).filter(|text| !text.is_empty()),
        b'{' | b'[' | b'n' => None,
        _ => Some(Cow::Borrowed(raw)),
    }
}
