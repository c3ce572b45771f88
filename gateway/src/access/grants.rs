//! What one client may do: the policy's rules with its names put in, ready for the path of every message.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use telemetry_core::topic::{filter_matches, validate_filter, validate_topic};

use super::pattern::{covers, overlap};

/// Topics whose answer is kept; a client that publishes to more is asked again. Enough for a bridge or a hub of a ward, about 20 KiB.
const REMEMBERED_MAX: usize = 256;
/// Rules for publishing that are asked each time: so few are no slower than a look at what is remembered, and need no memory.
const ASKED_MAX: usize = 8;

/// What a client wants to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Send messages to a topic.
    Publish,
    /// Receive the messages of a topic filter.
    Subscribe,
}

/// A filter and the rule that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) filter: String,
    pub(crate) place: Arc<str>,
}

/// An answer, and the rule that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The rule that decided: its place and its topic; `None` when no rule allows it.
    pub rule: Option<(Arc<str>, String)>,
}

#[derive(Debug, Clone, Default)]
struct Rules {
    allow: Vec<Grant>,
    deny: Vec<Grant>,
}

/// What one client may do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Grants {
    publish: Rules,
    subscribe: Rules,
    remembered: HashMap<String, bool>,
}

impl Grants {
    pub(crate) fn add(&mut self, action: Action, allows: bool, grant: Grant) {
        let rules = match action {
            Action::Publish => &mut self.publish,
            Action::Subscribe => &mut self.subscribe,
        };
        if allows { rules.allow.push(grant) } else { rules.deny.push(grant) }
    }

    /// Tells whether the client may publish to a topic. Of many rules it remembers the answer: most clients use few topics.
    pub(crate) fn may_publish(&mut self, topic: &str) -> bool {
        if self.publish.allow.len() + self.publish.deny.len() <= ASKED_MAX {
            return self.publish.allow(topic);
        }
        if let Some(known) = self.remembered.get(topic) {
            return *known;
        }
        let allowed = self.publish.allow(topic);
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.insert(topic.to_owned(), allowed);
        allowed
    }

    /// Tells whether the client may subscribe to a filter, shared (`$share/group/filter`) or not: the rules must allow every
    /// topic that it selects and deny none.
    pub(crate) fn may_subscribe(&self, filter: &str) -> bool {
        self.decide(Action::Subscribe, filter).allowed
    }

    /// Decides, and says which rule did.
    pub(crate) fn decide(&self, action: Action, topic_or_filter: &str) -> Decision {
        match action {
            Action::Publish => {
                let topic = topic_or_filter;
                if validate_topic(topic).is_err() {
                    return Decision::refused(None);
                }
                self.publish.decide(
                    |filter| filter_matches(filter, topic),
                    |filter| filter_matches(filter, topic),
                )
            }
            Action::Subscribe => {
                let Some(filter) = selected(topic_or_filter) else {
                    return Decision::refused(None);
                };
                if validate_filter(filter).is_err() {
                    return Decision::refused(None);
                }
                self.subscribe
                    .decide(|cover| covers(cover, filter), |denied| overlap(denied, filter))
            }
        }
    }
}

impl Rules {
    /// As [`Rules::decide`] of a topic, without saying which rule did.
    fn allow(&self, topic: &str) -> bool {
        let selects = |grant: &Grant| filter_matches(&grant.filter, topic);
        validate_topic(topic).is_ok()
            && !self.deny.iter().any(selects)
            && self.allow.iter().any(selects)
    }

    fn decide(&self, allows: impl Fn(&str) -> bool, denies: impl Fn(&str) -> bool) -> Decision {
        if let Some(deny) = self.deny.iter().find(|grant| denies(&grant.filter)) {
            return Decision::refused(Some(deny));
        }
        match self.allow.iter().find(|grant| allows(&grant.filter)) {
            Some(allow) => Decision { allowed: true, rule: Some(allow.named()) },
            None => Decision::refused(None),
        }
    }
}

impl Grant {
    fn named(&self) -> (Arc<str>, String) {
        (self.place.clone(), self.filter.clone())
    }
}

impl Decision {
    fn refused(by: Option<&Grant>) -> Self {
        Self { allowed: false, rule: by.map(Grant::named) }
    }
}

/// Returns the filter behind `$share/group/`; `None` when there is a group and no filter.
fn selected(filter: &str) -> Option<&str> {
    match filter.strip_prefix("$share/") {
        None => Some(filter),
        Some(shared) => match shared.split_once('/') {
            Some((group, filter)) if !group.is_empty() => Some(filter),
            _ => None,
        },
    }
}
