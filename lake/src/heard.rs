//! How far sources say that they are delivered, as ingest workers heard it: an object a worker, `_tidemark/heard/{worker}`. A source
//! that has nothing to send says so; without its word nobody could tell it from one that is away. Whoever deletes it loses no row.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::LakeError;
use crate::lake::Lake;

const FOLDER: &str = "_tidemark/heard";
const VERSION: u8 = 1;
/// Workers whose words are read, at most.
const WORKERS_MAX: usize = 64;

/// What one worker heard.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    v: u8,
    /// Source → when it said, by its own clock, that all that it had accepted was landed; Unix microseconds.
    pub sources: BTreeMap<String, i64>,
}

impl Heard {
    /// What a worker heard.
    #[must_use]
    pub fn new(sources: BTreeMap<String, i64>) -> Self {
        Self { v: VERSION, sources }
    }
}

impl Lake {
    /// Keeps what `worker` heard; what it kept before is gone.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn keep_heard(&self, worker: &str, heard: &Heard) -> Result<(), LakeError> {
        let bytes = serde_json::to_vec(heard).expect("it has only string keys and integers");
        self.store().put(&format!("{FOLDER}/{worker}.json"), Bytes::from(bytes)).await
    }

    /// What workers heard: source → all that it had accepted before this time (its clock, Unix microseconds) is landed. What can't
    /// be read counts as not heard.
    ///
    /// # Errors
    /// [`LakeError::Store`].
    pub async fn heard(&self) -> Result<HashMap<String, i64>, LakeError> {
        let mut all: HashMap<String, i64> = HashMap::new();
        for object in self.store().list(FOLDER).await?.into_iter().take(WORKERS_MAX) {
            let Some(bytes) = self.store().get(&object.path).await? else { continue };
            let heard: Heard = serde_json::from_slice(&bytes).unwrap_or_default();
            if heard.v != VERSION {
                continue;
            }
            for (source, at) in heard.sources {
                let known = all.entry(source).or_insert(at);
                *known = at.max(*known);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_version_1() {
        let heard = Heard::new([("gw".to_owned(), 1_785_542_400_000_000)].into());
        let golden = r#"{"v":1,"sources":{"gw":1785542400000000}}"#;
        assert_eq!(serde_json::to_string(&heard).unwrap(), golden);
        assert_eq!(serde_json::from_str::<Heard>(golden).unwrap(), heard);
    }
}
