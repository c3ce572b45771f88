//! The topic rules: which decoder a topic goes to, and which device its rows are of. Compiled and checked at start.

pub(crate) mod builtin;
pub(crate) mod places;

use std::fmt;

use telemetry_core::topic::{filter_matches, validate_filter};

use crate::batch::Layout;
use crate::decode::reject::{Code, Reject};
use crate::decode::{Decoder, Settings, Spec};
use crate::mistake::Mistake;
use crate::profiles::{self, Profile};
use crate::topic_rule::TopicRule;
use builtin::{Builtin, builtin, of_profile};
use places::{Places, Whereabouts};

/// All rules: those of the configuration in their order, then the built-in ones. The first that matches wins.
#[derive(Debug)]
pub(crate) struct Rules(Vec<Rule>);

/// One rule.
#[derive(Debug)]
pub(crate) struct Rule {
    filter: String,
    /// Level of the topic and what it must begin with.
    begins: Option<(usize, String)>,
    pub(crate) decoder: Box<dyn Decoder>,
    pub(crate) places: Places,
    /// Nobody asked for it: its rows say so.
    pub(crate) unmapped: bool,
    /// The message is kept, too.
    pub(crate) raw: bool,
    /// What it is called: where it is in the configuration, or what it is for.
    pub(crate) name: String,
}

/// A rule of the configuration that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct RuleMistake {
    /// Which, from 1.
    pub number: usize,
    /// Its filter or profile.
    pub rule: String,
    /// What is wrong.
    pub mistake: Mistake,
}

impl fmt::Display for RuleMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {} (`{}`): {}", self.number, self.rule, self.mistake)
    }
}

impl Rules {
    /// Compiles the rules of a configuration and adds the built-in ones. `prefix` is that of the control topics.
    ///
    /// # Errors
    /// The first rule that makes no sense, or could never match.
    pub(crate) fn new(
        rules: &[TopicRule],
        prefix: &str,
        layout: &Layout,
        decoders: &[Spec],
    ) -> Result<Self, RuleMistake> {
        let mut all: Vec<Rule> = Vec::new();
        for (number, rule) in (1..).zip(rules) {
            let of = |mistake| RuleMistake { number, rule: rule.title(), mistake };
            let mut refused = None;
            let before = all.len();
            for own in expanded(rule).map_err(of)? {
                let missing = || Mistake::new("filter", "is missing, and no `profile` says it");
                let filter = own.filter.as_deref().ok_or_else(missing).map_err(of)?;
                // Of a profile some topics may have a rule of their own before it.
                if let Err(mistake) = reachable(filter, prefix, &all) {
                    refused.get_or_insert(mistake);
                    continue;
                }
                let builtin = Builtin { rule: own, begins: None, unmapped: false };
                let name = format!("rule {number} of [[ingest.topics]]");
                all.push(compiled(builtin, name, layout, decoders).map_err(of)?);
            }
            if let Some(mistake) = refused.filter(|_| all.len() == before) {
                return Err(of(mistake));
            }
        }
        for own in builtin() {
            let title = own.rule.title();
            let name = format!("built-in rule for `{title}`");
            let of = |mistake| RuleMistake { number: 0, rule: title.clone(), mistake };
            all.push(compiled(own, name, layout, decoders).map_err(of)?);
        }
        Ok(Self(all))
    }

    /// The rule for a topic, and site and name of the device if the topic says both.
    ///
    /// # Errors
    /// `topic_unknown` if there is none.
    pub(crate) fn find(&self, topic: &str) -> Result<(usize, Option<Whereabouts>), Reject> {
        let rule = self.0.iter().position(|rule| rule.is_for(topic));
        let unknown = || Reject::new(Code::TopicUnknown, "no decoder is configured for this topic");
        let rule = rule.ok_or_else(unknown)?;
        Ok((rule, self.0[rule].places.of_topic(topic)))
    }

    /// A rule by its number.
    pub(crate) fn rule(&self, rule: usize) -> &Rule {
        &self.0[rule]
    }
}

impl Rule {
    fn is_for(&self, topic: &str) -> bool {
        let begins = |(level, text): &(usize, String)| {
            topic.split('/').nth(*level).is_some_and(|level| level.starts_with(text))
        };
        filter_matches(&self.filter, topic) && self.begins.as_ref().is_none_or(begins)
    }
}

/// A rule with a profile, as the rules that it stands for.
fn expanded(rule: &TopicRule) -> Result<Vec<TopicRule>, Mistake> {
    let Some(name) = &rule.profile else { return Ok(vec![rule.clone()]) };
    let profile = profiles::profile(name).ok_or_else(|| {
        let names: Vec<&str> = profiles::profiles().iter().map(|own| own.name.as_str()).collect();
        Mistake::new(name, format!("is not a profile: there are {}", names.join(", ")))
    })?;
    if rule.decoder.is_some() {
        return Err(Mistake::new("decoder", "is what the profile says: leave one of them out"));
    }
    match &rule.filter {
        None => Ok(profile.rules.iter().map(|own| overridden(profile, own, rule)).collect()),
        Some(filter) => {
            // Whose payloads these are: the profile's own rule for such topics, or its first.
            let own = profile.rules.iter().find(|own| filter_matches(&own.filter, filter));
            let own =
                own.or(profile.rules.first()).ok_or_else(|| Mistake::new(name, "has no rule"))?;
            Ok(vec![overridden(profile, own, rule)])
        }
    }
}

fn overridden(profile: &Profile, own: &profiles::ProfileRule, rule: &TopicRule) -> TopicRule {
    let mut merged = of_profile(profile, own);
    merged.raw = rule.raw;
    merged.filter = rule.filter.clone().or(merged.filter);
    merged.site = rule.site.clone().or(merged.site);
    merged.device = rule.device.clone().or(merged.device);
    merge(&mut merged.settings, &rule.settings);
    merged
}

/// Puts the settings of `over` into `settings`; tables are merged, everything else is replaced.
fn merge(settings: &mut Settings, over: &Settings) {
    for (key, value) in over {
        match (settings.get_mut(key), value) {
            (Some(serde_json::Value::Object(own)), serde_json::Value::Object(over)) => {
                merge(own, over);
            }
            _ => drop(settings.insert(key.clone(), value.clone())),
        }
    }
}

/// Refuses a filter that no message could ever get to.
fn reachable(filter: &str, prefix: &str, earlier: &[Rule]) -> Result<(), Mistake> {
    let wrong = |problem: String| Err(Mistake::new(filter, problem));
    if let Err(error) = validate_filter(filter) {
        return wrong(format!("is not a topic filter: {error}"));
    }
    let below = |prefix: &str| {
        filter.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    if below(prefix) {
        return wrong(format!(
            "is below `{prefix}`, where frames and receipts go: nothing of it is telemetry"
        ));
    }
    if below("cmd") {
        return wrong("is towards devices: commands are not stored".to_owned());
    }
    if below("$SYS") {
        return wrong("is what brokers tell of themselves: it is not stored".to_owned());
    }
    // A filter is a topic too, of which a wider filter takes all.
    match earlier.iter().find(|rule| rule.begins.is_none() && filter_matches(&rule.filter, filter))
    {
        Some(hides) => {
            wrong(format!("is never reached: `{}` before it takes all its topics", hides.filter))
        }
        None => Ok(()),
    }
}

fn compiled(
    Builtin { rule, begins, unmapped }: Builtin,
    name: String,
    layout: &Layout,
    decoders: &[Spec],
) -> Result<Rule, Mistake> {
    let filter = rule
        .filter
        .ok_or_else(|| Mistake::new("filter", "is missing, and no `profile` says it"))?;
    let decoder = rule
        .decoder
        .ok_or_else(|| Mistake::new("decoder", "is missing, and no `profile` says it"))?;
    let spec = decoders.iter().find(|spec| spec.name == decoder).ok_or_else(|| {
        let names: Vec<&str> = decoders.iter().map(|spec| spec.name).collect();
        Mistake::new(&decoder, format!("is not a decoder: there are {}", names.join(", ")))
    })?;
    let places = Places::new(&filter, rule.site.as_deref(), rule.device.as_deref())?;
    let build = (spec.build)(&rule.settings, layout);
    let decoder = build.map_err(|mistake| mistake.within("settings"))?;
    let raw = rule.raw;
    Ok(Rule { filter, begins, decoder, places, unmapped, raw, name })
}

#[cfg(test)]
mod tests;
