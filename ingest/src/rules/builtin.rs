//! The rules behind those of the configuration: for our own topics, for well-known families of devices, and for everything else.

use crate::profiles::{self, Profile, ProfileRule};
use crate::topic_rule::TopicRule;

/// A rule and what is known of it beside its settings.
#[derive(Debug, Clone)]
pub(crate) struct Builtin {
    pub(crate) rule: TopicRule,
    /// Level of the topic and what it must begin with.
    pub(crate) begins: Option<(usize, String)>,
    /// Nobody asked for it: its rows say so.
    pub(crate) unmapped: bool,
}

/// All of them, in order.
pub(crate) fn builtin() -> Vec<Builtin> {
    let own = ["readings", "fhir", "status"].map(|stream| Builtin {
        rule: TopicRule::new(&format!("dt/+/+/{stream}"), stream),
        begins: None,
        unmapped: false,
    });
    let others = ["dt/+/+/#", "#"].map(|filter| Builtin {
        rule: TopicRule::new(filter, "values"),
        begins: None,
        unmapped: true,
    });
    let families = profiles::profiles().iter().flat_map(|profile| {
        let told = profile.rules.iter().filter(|rule| is_told(rule));
        told.map(|rule| Builtin {
            rule: of_profile(profile, rule),
            begins: rule.guess.as_ref().map(|guess| (guess.level, guess.starts_with.clone())),
            unmapped: true,
        })
    });
    // Those that know their topics by a name come first: a filter of another one could be wider than it looks.
    let (named, wide): (Vec<_>, Vec<_>) = families.partition(|rule| rule.begins.is_some());
    own.into_iter().chain(named).chain(wide).chain(others).collect()
}

/// Whether topics of the rule are hardly anybody else's: two of its levels are words, or it says how to tell.
fn is_told(rule: &ProfileRule) -> bool {
    let words = rule.filter.split('/').filter(|level| !matches!(*level, "+" | "#")).count();
    (rule.guess.is_some() || words >= 2) && !rule.filter.starts_with('$')
}

/// The rule of a profile as the configuration would write it.
pub(crate) fn of_profile(profile: &Profile, rule: &ProfileRule) -> TopicRule {
    let mut own = TopicRule::new(&rule.filter, rule.decoder.name());
    own.site = Some(rule.site.clone().unwrap_or_else(|| profile.name.clone()));
    own.device = Some(rule.device.clone());
    own.settings = rule.values.clone();
    own
}
