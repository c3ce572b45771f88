//! What is wrong with a setting: which key, and what to do about it.

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` {problem}")]
pub(crate) struct Mistake {
    /// The key, or what stands there.
    pub(crate) key: String,
    /// What is wrong with it.
    pub(crate) problem: String,
}

impl Mistake {
    pub(crate) fn new(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { key: key.into(), problem: problem.into() }
    }
}
