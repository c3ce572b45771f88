//! The `[api]` section of the configuration.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::role::Role;

/// Most names and patterns.
const ROLES_MAX: usize = 1_000;

/// Who may ask the API, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Identity of MQTT, or a pattern of names with `*`, → its role here: `operator`, `analyst` or `clinician`. A name counts before a
    /// pattern, a longer pattern before a shorter one; whoever is not here is not let in.
    pub roles: BTreeMap<String, Role>,
    /// Requests a second of one caller; ten times as many may come at once, further ones are answered with 429.
    pub requests_per_second: u32,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self { roles: BTreeMap::new(), requests_per_second: 20 }
    }
}

impl ApiConfig {
    /// Checks what the types cannot.
    ///
    /// # Errors
    /// Which setting does not fit, and what it must be.
    pub fn check(&self) -> Result<(), String> {
        if self.requests_per_second == 0 {
            return Err("[api] requests_per_second must be at least 1".into());
        }
        if self.roles.len() > ROLES_MAX {
            return Err(format!("[api] roles has more than {ROLES_MAX} names"));
        }
        match self.roles.iter().find(|(name, role)| name.is_empty() || **role == Role::Admin) {
            Some((name, Role::Admin)) => Err(format!(
                "[api] roles: `{name}` cannot be admin: that is whoever has the admin token"
            )),
            Some(_) => Err("[api] roles: a name is empty".into()),
            None => Ok(()),
        }
    }

    /// The role of an identity.
    pub(crate) fn role_of(&self, name: &str) -> Option<Role> {
        let by_name = self.roles.get(name).filter(|_| !name.contains('*'));
        let fits =
            |(pattern, _): &(&String, &Role)| pattern.contains('*') && matches(pattern, name);
        let by_pattern = || {
            let longest = self.roles.iter().filter(fits).max_by_key(|(pattern, _)| pattern.len());
            longest.map(|(_, role)| role)
        };
        by_name.or_else(by_pattern).copied()
    }
}

/// Whether a pattern with `*` for any text matches a name.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let mut parts = rest.split('*').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return left.ends_with(part);
        }
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_before_a_pattern_and_the_longest_pattern_before_the_others() {
        let roles = [
            ("*", Role::Analyst),
            ("nurse-*", Role::Clinician),
            ("*-icu", Role::Operator),
            ("nurse-7", Role::Operator),
        ];
        let roles = roles.map(|(name, role)| (name.to_owned(), role)).into();
        let config = ApiConfig { roles, ..ApiConfig::default() };
        for (name, role) in [
            ("nurse-7", Role::Operator),
            ("nurse-8", Role::Clinician),
            ("tech-icu", Role::Operator),
            ("x", Role::Analyst),
            ("*", Role::Analyst),
        ] {
            assert_eq!(config.role_of(name), Some(role), "{name}");
        }
        assert_eq!(ApiConfig::default().role_of("x"), None);
    }

    #[test]
    fn patterns_are_of_stars() {
        for (pattern, name, fits) in [
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*a", "a", false),
            ("*b", "abc", false),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn nobody_is_admin_by_a_name() {
        let bad = ApiConfig { roles: [("x".into(), Role::Admin)].into(), ..ApiConfig::default() };
        assert!(bad.check().unwrap_err().contains("admin token"));
        assert!(ApiConfig { requests_per_second: 0, ..ApiConfig::default() }.check().is_err());
        assert!(ApiConfig::default().check().is_ok());
    }
}
