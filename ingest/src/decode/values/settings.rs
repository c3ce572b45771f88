//! What a rule may say about `values`, as the configuration and the profiles write it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::mistake::Mistake;

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
    /// Takes the settings of a rule.
    ///
    /// # Errors
    /// The first that there is not, or that is of another kind.
    pub(crate) fn of(given: &crate::decode::Settings) -> Result<Self, Mistake> {
        // Each alone first: an error of all names none of them.
        for (key, value) in given {
            let alone =
                serde_json::Value::Object([(key.clone(), value.clone())].into_iter().collect());
            if let Err(error) = serde_json::from_value::<Self>(alone) {
                let problem = match error.to_string() {
                    untagged if untagged.contains("untagged") => {
                        "has a value that means nothing there (docs/mapping.md)".to_owned()
                    }
                    error => format!("cannot be meant: {error}"),
                };
                return Err(Mistake::new(key, problem));
            }
        }
        let all = serde_json::Value::Object(given.clone());
        serde_json::from_value(all).map_err(|error| Mistake::new("settings", error.to_string()))
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
    pub(crate) fn texts(&self) -> &[String] {
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
