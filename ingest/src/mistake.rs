//! A mistake in a setting: where it is, and what is wrong with it.

/// What is wrong with a rule, a decoder's settings, or a declared table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {problem}")]
pub struct Mistake {
    /// The setting, such as `settings.time.zone`, or what stands there.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

impl Mistake {
    /// A mistake in `key`.
    pub fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }

    /// The same, within another setting.
    #[must_use]
    pub fn within(self, outer: &str) -> Self {
        Self { key: format!("{outer}.{}", self.key), ..self }
    }
}
