//! What a rule may say about `values`, as the configuration and the profiles write it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// See the module. A path is what stands between the root and a value, joined with `.`; in a pattern `*` stands for the whole or
/// a part of one name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    /// Pointers to where the values begin, the first that is there counts; none: the whole payload.
    pub(crate) root: Pointers,
    /// Each member of the root is an object, or an array of them, of its own; a place may use its name as `{member}`.
    pub(crate) each_member: bool,
    /// Levels of the topic, as `{2}`: the metric of a bare value, and what stands before all other paths.
    pub(crate) metric: Option<String>,
    /// Path to metric; `*` in the metric stands for what it stood for in the path.
    pub(crate) rename: BTreeMap<String, String>,
    /// Path or metric to unit (UCUM), or to a pointer to the member that says it.
    pub(crate) unit: BTreeMap<String, String>,
    /// Paths that are no reading: they are kept in `extra`.
    pub(crate) ignore: Vec<String>,
    /// The only paths that are readings.
    pub(crate) only: Vec<String>,
    /// Path or metric to what its number is multiplied with, and what is added then.
    pub(crate) scale: BTreeMap<String, Scale>,
    /// Words that are numbers: for all paths, or path or metric to words.
    pub(crate) words: BTreeMap<String, Words>,
    /// Texts such as `21,5` are numbers.
    pub(crate) decimal_comma: bool,
    /// Arrays whose elements have names.
    pub(crate) arrays: Vec<Array>,
    /// Where the time is.
    pub(crate) time: Option<Time>,
    /// Pointers to members that say something about all readings: they are in `extra` of every row.
    pub(crate) per_row: Vec<String>,
    /// Which messages say whether a device is there.
    pub(crate) status: Option<Status>,
}

// A factor that is no number is refused when settings are compiled.
impl Eq for Settings {}

impl Settings {
    /// These, and where they say nothing, what a profile says: of tables each entry, of everything else the whole.
    pub(crate) fn over(mut self, profile: &Self) -> Self {
        fn fill<T: Clone>(own: &mut BTreeMap<String, T>, profile: &BTreeMap<String, T>) {
            for (key, said) in profile {
                own.entry(key.clone()).or_insert_with(|| said.clone());
            }
        }
        fn instead<T: Clone>(own: &mut Vec<T>, profile: &[T]) {
            if own.is_empty() {
                own.extend_from_slice(profile);
            }
        }
        if self.root.texts().is_empty() {
            self.root = profile.root.clone();
        }
        self.each_member |= profile.each_member;
        self.metric = self.metric.or_else(|| profile.metric.clone());
        fill(&mut self.rename, &profile.rename);
        fill(&mut self.unit, &profile.unit);
        instead(&mut self.ignore, &profile.ignore);
        instead(&mut self.only, &profile.only);
        fill(&mut self.scale, &profile.scale);
        fill(&mut self.words, &profile.words);
        self.decimal_comma |= profile.decimal_comma;
        instead(&mut self.arrays, &profile.arrays);
        self.time = self.time.or_else(|| profile.time.clone());
        instead(&mut self.per_row, &profile.per_row);
        self.status = self.status.or_else(|| profile.status.clone());
        self
    }
}

/// One pointer or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Pointers {
    One(String),
    Several(Vec<String>),
}

impl Default for Pointers {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Pointers {
    pub(super) fn texts(&self) -> &[String] {
        match self {
            Self::One(pointer) => std::slice::from_ref(pointer),
            Self::Several(pointers) => pointers,
        }
    }
}

/// A factor, or a factor and what is added.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Scale {
    Factor(f64),
    Line {
        #[serde(default = "one")]
        factor: f64,
        #[serde(default)]
        offset: f64,
    },
}

fn one() -> f64 {
    1.0
}

/// The number of a word, or the words of a path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Words {
    Number(f64),
    Path(BTreeMap<String, f64>),
}

/// An array whose elements are named by a member.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Array {
    /// Path of the array; empty: the root.
    #[serde(default)]
    pub(crate) path: String,
    /// The member that names an element.
    pub(crate) key: Option<String>,
    /// The member with its value; none: all others.
    pub(crate) value: Option<String>,
    /// The member with its unit.
    pub(crate) unit: Option<String>,
    /// The member with its time.
    pub(crate) time: Option<String>,
    /// It is kept in one piece, in `extra` of one row.
    #[serde(default)]
    pub(crate) whole: bool,
}

/// Where the time is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Time {
    /// `false`: the payload has none.
    Any(bool),
    /// Pointers; the first that is there counts.
    Members(Pointers),
    /// And how it is written.
    Written(Written),
}

/// How times are written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Written {
    /// Pointers; none: the usual names.
    pub(crate) member: Pointers,
    /// `auto`, `rfc3339`, `unix_s`, `unix_ms`, `unix_us`, `unix_ns`, or a pattern of strptime; none: `auto`.
    pub(crate) format: Option<String>,
    /// The zone of local times, as `Europe/Berlin` or `+02:00`.
    pub(crate) zone: Option<String>,
}

/// Which messages say whether a device is there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Status {
    /// `false`: none.
    Any(bool),
    /// These.
    Told(StatusTold),
}

/// What such a message looks like.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct StatusTold {
    /// Last levels of the topic.
    pub(crate) levels: Option<Vec<String>>,
    /// What it says, and what that is called in the table.
    pub(crate) words: Option<BTreeMap<String, String>>,
    /// The member of an object that says it.
    pub(crate) member: Option<String>,
    /// Every object of these topics says this: the topic means it.
    pub(crate) says: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_more_than_its_profile_and_the_profile_the_rest() {
        let read = |text: &str| toml::from_str::<Settings>(text).unwrap();
        let profile = read(
            r#"
            root = "/a"
            ignore = ["x", "y"]
            time = "/ts"
            rename = { a = "one", b = "two" }
            words = { ON = 1 }
            per_row = ["/rssi"]
            "#,
        );
        let own = read(
            r#"
            ignore = ["z"]
            time = { member = "/at", zone = "Europe/Berlin" }
            rename = { b = "second", c = "third" }
            decimal_comma = true
            "#,
        );
        let both = read(
            r#"
            root = "/a"
            ignore = ["z"]
            time = { member = "/at", zone = "Europe/Berlin" }
            rename = { a = "one", b = "second", c = "third" }
            words = { ON = 1 }
            decimal_comma = true
            per_row = ["/rssi"]
            "#,
        );
        assert_eq!(own.over(&profile), both);
        assert_eq!(Settings::default().over(&profile), profile);
        assert_eq!(profile.clone().over(&Settings::default()), profile);
    }
}
