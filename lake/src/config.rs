//! The `[lake]` section: where the tables are.

use serde::{Deserialize, Serialize};

/// Which lake a process writes or reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LakeConfig {
    /// A folder, file:///… or s3://bucket/prefix.
    pub url: String,
    /// Whether the group of the process may read what it writes into a folder (files 0640, folders 0750), or only its user.
    pub group_readable: bool,
}

impl LakeConfig {
    /// A lake with the other settings at their defaults.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self { url: url.to_owned(), ..Self::default() }
    }
}

impl Default for LakeConfig {
    fn default() -> Self {
        Self { url: "tidemark-data/lake".into(), group_readable: false }
    }
}
