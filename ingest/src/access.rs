//! Which topics a source may send (INV-9).

use std::collections::BTreeMap;

use telemetry_core::id::SourceId;
use telemetry_core::topic::filter_matches;

use crate::decode::reject::{Code, Reject};

/// Stands for the id of the source in a filter.
const SOURCE_ID: &str = "{source_id}";

/// The `[ingest.sources]` table.
#[derive(Debug, Clone)]
pub struct Access {
    sources: BTreeMap<String, Vec<String>>,
}

impl Access {
    /// Takes the table of a configuration.
    #[must_use]
    pub fn new(sources: &BTreeMap<String, Vec<String>>) -> Self {
        Self { sources: sources.clone() }
    }

    /// Whether `source` may send `topic`.
    ///
    /// # Errors
    /// `topic_not_allowed` if it has no business there.
    pub fn check(&self, source: &SourceId, topic: &str) -> Result<(), Reject> {
        let named = self.sources.get(source.as_str()).or_else(|| self.sources.get("*"));
        let matches = |filter: &String| match filter.contains(SOURCE_ID) {
            true => filter_matches(&filter.replace(SOURCE_ID, source.as_str()), topic),
            false => filter_matches(filter, topic),
        };
        if named.is_some_and(|filters| filters.iter().any(matches)) {
            return Ok(());
        }
        Err(Reject::new(Code::TopicNotAllowed, "the source may not send this topic"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn access(sources: &[(&str, &[&str])]) -> Access {
        let sources = sources.iter();
        let sources = sources.map(|(id, filters)| {
            ((*id).to_owned(), filters.iter().map(|f| (*f).to_owned()).collect())
        });
        Access::new(&sources.collect())
    }

    #[test]
    fn inv9_a_source_may_send_its_own_topics_only() {
        let access = access(&[("icu", &["dt/icu/#"]), ("*", &["dt/hall/+/readings"])]);
        let code = |source: &str, topic| {
            access.check(&source.parse().unwrap(), topic).err().map(|reject| reject.code)
        };
        assert_eq!(code("icu", "dt/icu/mon-1/readings"), None);
        assert_eq!(
            code("icu", "dt/hall/mon-1/readings"),
            Some(Code::TopicNotAllowed),
            "named: `*` is not for it"
        );
        assert_eq!(code("other", "dt/hall/mon-1/readings"), None);
        assert_eq!(code("other", "dt/icu/mon-1/readings"), Some(Code::TopicNotAllowed));
    }

    #[test]
    fn inv9_as_it_comes_an_agent_sends_its_own_site_or_itself_and_the_gateway_everything() {
        let access = Access::new(&Config::default().sources);
        let may = |source: &str, topic| access.check(&source.parse().unwrap(), topic).is_ok();
        assert!(!may("ag1", "dt/icu/mon-1/readings"), "a device that is not its own");
        assert!(may("ag1", "dt/ag1/mon-1/readings") && may("ag1", "dt/icu/ag1/status"));
        assert!(!may("ag1", "dt/ag2/mon-1/readings") && !may("ag", "dt/ag1/mon-1/readings"));
        assert!(may("gateway", "dt/icu/mon-1/readings"));
    }
}
