//! The policy: who may publish and subscribe where. Whatever no rule allows is denied, and a rule that denies wins.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use telemetry_core::topic::ControlTopics;

use super::grants::{Action, Decision, Grant, Grants};
use super::identity::Identity;
use super::pattern::{Pattern, PatternError, Values};

/// The rules that hold without a policy file, and below one that does not say `defaults = false`.
const DEFAULT_RULES: &str = include_str!("default_policy.toml");
/// What decisions by a built-in rule name as their place.
const BUILT_IN: &str = "built-in policy";
/// Any role.
const EVERYBODY: &str = "*";
/// Most rules of a file, and most topics of a rule.
const RULES_MAX: usize = 1000;
const TOPICS_MAX: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Actions {
    Publish,
    Subscribe,
    Both,
}

impl Actions {
    fn include(self, action: Action) -> bool {
        match self {
            Self::Both => true,
            Self::Publish => action == Action::Publish,
            Self::Subscribe => action == Action::Subscribe,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPolicy {
    #[serde(default = "yes")]
    defaults: bool,
    #[serde(default, rename = "rule")]
    rules: Vec<RawRule>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    identities: Vec<String>,
    allow: Option<Actions>,
    deny: Option<Actions>,
    topics: Vec<String>,
}

#[derive(Debug)]
struct Rule {
    place: String,
    roles: Vec<String>,
    identities: Vec<String>,
    allows: bool,
    actions: Actions,
    topics: Vec<Pattern>,
}

/// Why a policy was refused.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The file cannot be read.
    #[error("cannot read the policy {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has a key that does not exist.
    #[error("the policy {place} is not valid: {problem}")]
    Syntax {
        /// Which file.
        place: String,
        /// Where and why.
        problem: String,
    },
    /// A rule that cannot work.
    #[error("{place}: {problem}")]
    Rule {
        /// Which rule of which file.
        place: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A pattern that cannot work.
    #[error("{place}: {problem}")]
    Pattern {
        /// Which rule of which file.
        place: String,
        /// What is wrong with the pattern.
        problem: PatternError,
    },
}

/// What `{control}` and `{gateway}` stand for in rules.
#[derive(Debug, Clone)]
pub struct Names {
    /// Prefix of the control topics, such as `tm/v1`.
    pub control: String,
    /// The source id of the gateway.
    pub gateway: String,
}

/// The rules in force.
#[derive(Debug)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// Reads a policy file and puts its rules behind the built-in ones; without a file these hold alone.
    ///
    /// # Errors
    /// What is wrong with which rule.
    pub fn load(path: Option<&Path>, names: &Names) -> Result<Self, PolicyError> {
        let Some(path) = path else { return Self::parse(DEFAULT_RULES, BUILT_IN, names) };
        let text = std::fs::read_to_string(path)
            .map_err(|source| PolicyError::Read { path: path.to_owned(), source })?;
        Self::with_defaults(&text, &path.display().to_string(), names)
    }

    fn with_defaults(text: &str, place: &str, names: &Names) -> Result<Self, PolicyError> {
        let raw = parse_raw(text, place)?;
        let mut policy = Self { rules: Vec::new() };
        if raw.defaults {
            policy = Self::parse(DEFAULT_RULES, BUILT_IN, names)?;
        }
        policy.rules.extend(rules(raw, place, names)?);
        Ok(policy)
    }

    fn parse(text: &str, place: &str, names: &Names) -> Result<Self, PolicyError> {
        Ok(Self { rules: rules(parse_raw(text, place)?, place, names)? })
    }

    /// Picks the rules that concern a client and puts its names in.
    pub(crate) fn grants(&self, identity: &Identity, client_id: &str) -> Grants {
        let values = Values { identity: &identity.name, client_id, site: identity.site.as_deref() };
        let mut grants = Grants::default();
        for rule in self.rules.iter().filter(|rule| rule.concerns(identity)) {
            for pattern in &rule.topics {
                let filter = match rule.allows {
                    true => pattern.narrow(&values),
                    false => Some(pattern.wide(&values)),
                };
                let Some(filter) = filter else { continue };
                for action in [Action::Publish, Action::Subscribe] {
                    if rule.actions.include(action) {
                        let grant =
                            Grant { filter: filter.clone(), place: rule.place.as_str().into() };
                        grants.add(action, rule.allows, grant);
                    }
                }
            }
        }
        grants
    }

    /// Says whether somebody may do something, and which rule decides.
    pub fn explain(
        &self,
        identity: &Identity,
        client_id: &str,
        action: Action,
        topic_or_filter: &str,
    ) -> Decision {
        self.grants(identity, client_id).decide(action, topic_or_filter)
    }
}

impl Rule {
    fn concerns(&self, identity: &Identity) -> bool {
        self.identities.iter().any(|name| **name == *identity.name)
            || self
                .roles
                .iter()
                .any(|role| role == EVERYBODY || identity.roles.iter().any(|own| own == role))
    }
}

fn parse_raw(text: &str, place: &str) -> Result<RawPolicy, PolicyError> {
    toml::from_str(text).map_err(|error| PolicyError::Syntax {
        place: place.to_owned(),
        problem: error.to_string().trim_end().replace('\n', " "),
    })
}

fn rules(raw: RawPolicy, place: &str, names: &Names) -> Result<Vec<Rule>, PolicyError> {
    if raw.rules.len() > RULES_MAX {
        let problem = format!("has more than {RULES_MAX} rules: use roles and templates");
        return Err(PolicyError::Rule { place: place.to_owned(), problem });
    }
    raw.rules.into_iter().zip(1..).map(|(rule, number)| check(rule, place, number, names)).collect()
}

fn check(raw: RawRule, file: &str, number: usize, names: &Names) -> Result<Rule, PolicyError> {
    let place = format!("{file}, rule {number}");
    let refuse = |problem: &str| {
        Err(PolicyError::Rule { place: place.clone(), problem: problem.to_owned() })
    };
    let (allows, actions) = match (raw.allow, raw.deny) {
        (Some(actions), None) => (true, actions),
        (None, Some(actions)) => (false, actions),
        _ => return refuse("needs either allow or deny: \"publish\", \"subscribe\" or \"both\""),
    };
    if raw.roles.is_empty() && raw.identities.is_empty() {
        return refuse("needs roles or identities: say whom it concerns, or roles = [\"*\"]");
    }
    if raw.topics.is_empty() || raw.topics.len() > TOPICS_MAX {
        return refuse("needs topics, and at most 1000 of them");
    }
    let topics = raw.topics.iter().map(|topic| {
        let topic = topic.replace("{control}", &names.control).replace("{gateway}", &names.gateway);
        Pattern::new(&topic)
            .map_err(|problem| PolicyError::Pattern { place: place.clone(), problem })
    });
    let topics = topics.collect::<Result<_, _>>()?;
    let RawRule { roles, identities, .. } = raw;
    Ok(Rule { place, roles, identities, allows, actions, topics })
}

impl Names {
    /// Takes the names of a gateway.
    pub fn new(topics: &ControlTopics, gateway: &str) -> Self {
        let control = topics.all().trim_end_matches("/#").to_owned();
        Self { control, gateway: gateway.to_owned() }
    }
}

#[cfg(test)]
mod tests;
