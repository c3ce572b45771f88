//! Paths of values, and patterns of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::mistake::Mistake;

/// Something for each path that it is for.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Patterns<T> {
    exact: HashMap<String, T>,
    /// Those with a star, the most literal first.
    globs: Vec<(Glob, T)>,
}

impl<T> Default for Patterns<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), globs: Vec::new() }
    }
}

/// A pattern with stars.
#[derive(Debug, Clone, PartialEq)]
struct Glob(Vec<Name>);

/// What one name looks like.
#[derive(Debug, Clone, PartialEq)]
enum Name {
    Literal(String),
    /// Something between two texts.
    Star(String, String),
}

impl<T> Patterns<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.globs.is_empty()
    }

    /// Adds what `pattern` stands for.
    ///
    /// # Errors
    /// A name with two stars.
    pub(super) fn add(&mut self, key: &str, pattern: &str, is: T) -> Result<(), Mistake> {
        if !pattern.contains('*') {
            self.exact.insert(pattern.to_owned(), is);
            return Ok(());
        }
        let glob = Glob::parse(pattern).ok_or_else(|| {
            Mistake::new(format!("{key}.\"{pattern}\""), "has two `*` in one name: one is enough")
        })?;
        let place = self.globs.partition_point(|(other, _)| other.literal() >= glob.literal());
        self.globs.insert(place, (glob, is));
        Ok(())
    }

    /// Compiles a table of paths.
    pub(super) fn new<S>(
        key: &str,
        table: &BTreeMap<String, S>,
        compile: impl Fn(&str, &S) -> Result<T, Mistake>,
    ) -> Result<Self, Mistake> {
        let mut patterns = Self::default();
        for (pattern, said) in table {
            patterns.add(key, pattern, compile(pattern, said)?)?;
        }
        Ok(patterns)
    }

    /// What is for `path`: a path without stars first, then the pattern with the most letters.
    pub(super) fn get(&self, path: &str) -> Option<&T> {
        let glob = || self.globs.iter().find(|(glob, _)| glob.captures(path).is_some());
        self.exact.get(path).or_else(|| glob().map(|(_, is)| is))
    }

    /// The same with what the stars stand for.
    pub(super) fn captured<'a>(&self, path: &'a str) -> Option<(&T, Vec<&'a str>)> {
        if let Some(exact) = self.exact.get(path) {
            return Some((exact, Vec::new()));
        }
        self.globs.iter().find_map(|(glob, is)| Some((is, glob.captures(path)?)))
    }
}

impl Glob {
    fn parse(pattern: &str) -> Option<Self> {
        let names = pattern.split('.').map(|name| match name.split_once('*') {
            None => Some(Name::Literal(name.to_owned())),
            Some((_, after)) if after.contains('*') => None,
            Some((before, after)) => Some(Name::Star(before.to_owned(), after.to_owned())),
        });
        names.collect::<Option<_>>().map(Self)
    }

    /// How many letters it has.
    fn literal(&self) -> usize {
        let letters = self.0.iter().map(|name| match name {
            // A name without a star says more than any with one.
            Name::Literal(text) => text.len() + 1,
            Name::Star(before, after) => before.len() + after.len(),
        });
        letters.sum()
    }

    fn captures<'a>(&self, path: &'a str) -> Option<Vec<&'a str>> {
        let mut captured = Vec::new();
        let mut names = path.split('.');
        for name in &self.0 {
            let own = names.next()?;
            match name {
                Name::Literal(text) if text == own => {}
                Name::Literal(_) => return None,
                Name::Star(before, after) => {
                    let star = own.strip_prefix(before.as_str())?.strip_suffix(after.as_str())?;
                    captured.push(star);
                    if star.is_empty() {
                        return None;
                    }
                }
            }
        }
        names.next().is_none().then_some(captured)
    }
}

/// The new name of a path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Renamed(Vec<String>);

impl Renamed {
    /// Compiles a metric for the paths of `pattern`.
    ///
    /// # Errors
    /// It is empty, or has more stars than the pattern.
    pub(super) fn new(pattern: &str, metric: &str) -> Result<Self, Mistake> {
        let mistake = |problem| Err(Mistake::new(format!("rename.\"{pattern}\""), problem));
        if metric.is_empty() {
            return mistake("has no name: use `ignore` for what is no reading");
        }
        if metric.matches('*').count() > pattern.matches('*').count() {
            return mistake("has more `*` in the metric than in the path");
        }
        Ok(Self(metric.split('*').map(str::to_owned).collect()))
    }

    /// The metric, with what the stars stand for.
    pub(super) fn fill(&self, captured: &[&str]) -> Cow<'_, str> {
        if let [plain] = self.0.as_slice() {
            return Cow::Borrowed(plain);
        }
        let mut metric = String::new();
        for (place, text) in self.0.iter().enumerate() {
            if place > 0 {
                metric.push_str(captured.get(place - 1).copied().unwrap_or_default());
            }
            metric.push_str(text);
        }
        Cow::Owned(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(rules: &[(&str, &str)], path: &str) -> Option<String> {
        let table = rules.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
        let patterns = Patterns::new("rename", &table, |from, to| Renamed::new(from, to)).unwrap();
        patterns.captured(path).map(|(to, stars)| to.fill(&stars).into_owned())
    }

    #[test]
    fn a_star_stands_for_one_name_or_a_part_of_it() {
        let rules = [
            ("temperature", "temp"),
            ("*.Temperature", "temperature"),
            ("DS18B20-*.Temperature", "temperature_*"),
            ("switch:*.aenergy.by_*.0", "energy_*_*"),
            ("a.*.*", "*"),
        ];
        for (path, metric) in [
            ("temperature", Some("temp")),
            ("AM2301.Temperature", Some("temperature")),
            ("DS18B20-2.Temperature", Some("temperature_2")),
            ("DS18B20-.Temperature", Some("temperature")),
            ("switch:0.aenergy.by_minute.0", Some("energy_0_minute")),
            ("a.b.c", Some("b")),
            ("a.b", None),
            ("a.b.c.d", None),
            (".Temperature", None),
            ("x.y.Temperature", None),
        ] {
            assert_eq!(renamed(&rules, path).as_deref(), metric, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let mut patterns = Patterns::default();
        assert!(patterns.add("ignore", "a.*b*", ()).is_err());
        let mistake = Renamed::new("a.*", "*_*").unwrap_err();
        assert_eq!(
            mistake.to_string(),
            "`rename.\"a.*\"` has more `*` in the metric than in the path"
        );
        assert!(Renamed::new("a", "").is_err());
    }
}
