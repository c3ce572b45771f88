//! Topic patterns of the policy: filters with templates, and what one filter says about another.

use telemetry_core::topic::{TopicError, validate_filter};

/// The templates that stand for something of the client.
const IDENTITY: &str = "{identity}";
const CLIENT_ID: &str = "{client_id}";
const SITE: &str = "{site}";

/// A topic filter that may have `{identity}`, `{client_id}` and `{site}` in its levels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(String);

/// What the templates stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Values<'a> {
    pub(crate) identity: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) site: Option<&'a str>,
}

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// Not a topic filter.
    #[error("`{pattern}` is not a topic filter: {problem}")]
    Filter {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        problem: TopicError,
    },
    /// A template that does not exist.
    #[error(
        "`{0}` has an unknown template: there are {{identity}}, {{client_id}}, {{site}}, {{control}} and {{gateway}}"
    )]
    Template(String),
}

impl Pattern {
    /// Checks a pattern.
    pub(crate) fn new(text: &str) -> Result<Self, PatternError> {
        let plain = [IDENTITY, CLIENT_ID, SITE]
            .iter()
            .fold(text.to_owned(), |text, template| text.replace(template, "x"));
        if plain.contains(['{', '}']) {
            return Err(PatternError::Template(text.to_owned()));
        }
        validate_filter(&plain)
            .map_err(|problem| PatternError::Filter { pattern: text.to_owned(), problem })?;
        Ok(Self(text.to_owned()))
    }

    /// Puts the values in for an allowing rule. `None` when a value is missing or could widen the rule: it allows nothing then.
    pub(crate) fn narrow(&self, values: &Values<'_>) -> Option<String> {
        let mut text = self.0.clone();
        for (template, value) in values.pairs() {
            if text.contains(template) {
                text = text.replace(template, value.filter(|value| is_plain(value))?);
            }
        }
        Some(text)
    }

    /// Puts the values in for a denying rule: where a value is missing or unfit, the rule denies every value.
    pub(crate) fn wide(&self, values: &Values<'_>) -> String {
        let levels = self.0.split('/').map(|level| {
            let mut text = level.to_owned();
            for (template, value) in values.pairs() {
                if text.contains(template) {
                    match value.filter(|value| is_plain(value)) {
                        Some(value) => text = text.replace(template, value),
                        None => return "+".to_owned(),
                    }
                }
            }
            text
        });
        levels.collect::<Vec<_>>().join("/")
    }
}

impl Values<'_> {
    fn pairs(&self) -> [(&'static str, Option<&str>); 3] {
        [(IDENTITY, Some(self.identity)), (CLIENT_ID, Some(self.client_id)), (SITE, self.site)]
    }
}

/// Tells whether a value is one level that selects itself only, and brings no template of its own.
fn is_plain(value: &str) -> bool {
    !value.is_empty()
        && !value.starts_with('$')
        && !value.contains(['/', '+', '#', '{', '}'])
        && !value.chars().any(char::is_control)
}

/// Tells whether every topic that `filter` selects is selected by `cover` too.
pub(crate) fn covers(cover: &str, filter: &str) -> bool {
    if filter.starts_with('$') && starts_wild(cover) {
        return false;
    }
    let (mut covering, mut covered) = (cover.split('/'), filter.split('/'));
    loop {
        match (covering.next(), covered.next()) {
            // `a/#` selects `a` too.
            (Some("#"), _) | (None, None) => return true,
            (_, Some("#")) | (None, _) | (_, None) => return false,
            (Some("+"), Some(_)) => {}
            (Some(expected), Some(level)) if expected == level => {}
            _ => return false,
        }
    }
}

/// Tells whether there is a topic that both filters select.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    if (one.starts_with('$') && starts_wild(other)) || (other.starts_with('$') && starts_wild(one))
    {
        return false;
    }
    let (mut ones, mut others) = (one.split('/'), other.split('/'));
    loop {
        match (ones.next(), others.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (None, _) | (_, None) => return false,
            (Some("+"), _) | (_, Some("+")) => {}
            (Some(left), Some(right)) if left == right => {}
            _ => return false,
        }
    }
}

fn starts_wild(filter: &str) -> bool {
    filter.starts_with(['+', '#'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use telemetry_core::topic::filter_matches;

    use super::*;

    const MON: Values<'_> = Values { identity: "mon-1", client_id: "mon-1:a", site: Some("icu") };

    #[test]
    fn templates_take_plain_values_only() {
        let pattern = Pattern::new("dt/{site}/{identity}/x-{client_id}/#").unwrap();
        assert_eq!(pattern.narrow(&MON).unwrap(), "dt/icu/mon-1/x-mon-1:a/#");
        assert_eq!(pattern.narrow(&Values { site: None, ..MON }), None);
        for bad in ["", "+", "#", "a/b", "a+", "$SYS", "{site}", "a\nb"] {
            assert_eq!(pattern.narrow(&Values { client_id: bad, ..MON }), None, "{bad:?}");
            let denied = pattern.wide(&Values { client_id: bad, ..MON });
            assert_eq!(denied, "dt/icu/mon-1/+/#", "{bad:?}");
        }
    }

    #[test]
    fn patterns_are_checked() {
        assert!(matches!(Pattern::new("a/{user}"), Err(PatternError::Template(_))));
        assert!(matches!(Pattern::new("a/#/{site}"), Err(PatternError::Filter { .. })));
        assert!(matches!(Pattern::new(""), Err(PatternError::Filter { .. })));
    }

    #[test]
    fn a_cover_selects_all_that_the_filter_does() {
        for (cover, filter, expected) in [
            ("dt/icu/#", "dt/icu/mon-1/readings", true),
            ("dt/icu/#", "dt/icu", true),
            ("dt/icu/#", "dt/icu/#", true),
            ("dt/icu/#", "dt/#", false),
            ("dt/+/x", "dt/+/x", true),
            ("dt/+/x", "dt/icu/x", true),
            ("dt/icu/x", "dt/+/x", false),
            ("dt/+", "dt/#", false),
            ("#", "$SYS/#", false),
            ("#", "+/a", true),
            ("$SYS/#", "$SYS/broker/+", true),
            ("+/broker", "$SYS/broker", false),
            ("a", "a/b", false),
            ("a/b", "a", false),
        ] {
            assert_eq!(covers(cover, filter), expected, "{cover} over {filter}");
        }
    }

    /// Filters and topics of few letters, so that they meet often.
    fn filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just("+"), Just("$x"), Just("")];
        (prop::collection::vec(level, 1..4), any::<bool>()).prop_filter_map(
            "a filter",
            |(mut levels, open)| {
                if open {
                    levels.push("#");
                }
                let text = levels.join("/");
                validate_filter(&text).is_ok().then_some(text)
            },
        )
    }

    fn topic() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just("c"), Just("$x"), Just("")];
        prop::collection::vec(level, 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("not empty", |topic| !topic.is_empty())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn covers_and_overlap_agree_with_matching(one in filter(), other in filter(), topic in topic()) {
            if covers(&one, &other) && filter_matches(&other, &topic) {
                prop_assert!(filter_matches(&one, &topic));
            }
            if filter_matches(&one, &topic) && filter_matches(&other, &topic) {
                prop_assert!(overlap(&one, &other));
            }
            prop_assert_eq!(overlap(&one, &other), overlap(&other, &one));
        }
    }
}
