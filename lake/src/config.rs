//! The `[lake]` section: where the tables are.

use serde::{Deserialize, Serialize};

/// Which lake a process writes or reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LakeConfig {
    /// A folder, file:///… or s3://bucket/prefix.
    pub url: String,
}

impl Default for LakeConfig {
    fn default() -> Self {
        Self { url: "tidemark-data/lake".into() }
    }
}
